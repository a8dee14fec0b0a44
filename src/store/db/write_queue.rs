//! The queue in which everything that writes to the database waits for its turn.
//!
//! Sends, marks, the server's own work and users' transactions take turns. Users' transactions also queue among
//! themselves ([`crate::store::db::fair_queue`]): fairly by user, and charged by the rows that they change. So a user
//! who creates large groups waits behind users who change few rows. There are pauses between large transactions
//! ([`crate::store::db::large_writes`]). On SQLite, a large transaction that has not reached its COMMIT starts again
//! when a send waits.
//!
//! On SQLite one transaction writes at a time. On PostgreSQL each writer of sends has a connection, marks and the
//! server's own work have one or two ([`WriteConnections`]), and users' transactions share the others. So each turn
//! comes with a free connection: no transaction waits for a connection behind transactions that wait for a lock.

use crate::config::WriteConnections;
use crate::domain::address::network;
use crate::domain::caller::{Principal, TicketHolder};
use crate::domain::ids::{ConversationId, LoginId, ServiceTokenId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use crate::store::db::Db;
use crate::store::db::fair_queue::{self, FairQueue};
use crate::store::db::large_writes::{self, LargeWrites};
use sea_orm::DatabaseBackend;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// A part of the server that writes for all users together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerWriter {
    Sends,
    Marks,
    /// Records which access tokens were accepted, in one transaction for all calls that wait for it.
    AcceptedTokens,
    /// The relay and maintenance.
    System,
}

/// The owner to whom a transaction is charged: the most specific identity that the server knows of the caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteOwner {
    User(UserId),
    /// Used if the server knows only the login: a refresh token and a ticket name no user.
    Login(LoginId),
    /// A service token that acts for no user.
    Service(ServiceTokenId),
    /// The network of a client that registers.
    Network(IpAddr),
    /// A conversation that another transaction has locked, for the sends to it that wait for the lock.
    Conversation(ConversationId),
    /// The operator, who creates accounts and tokens on the command line.
    Operator,
    /// The steps of bulk changes, which the server makes one after another.
    BulkChanges,
}

impl WriteOwner {
    /// Returns the owner for an unauthenticated client with this address.
    pub fn from_address(address: IpAddr) -> Self {
        Self::Network(network(address))
    }

    /// Returns how many transactions of this owner may run or wait.
    fn max_writes(self) -> usize {
        match self {
            Self::User(_) | Self::Service(_) | Self::Conversation(_) => limits::WRITES_PER_USER,
            Self::Login(_) => limits::WRITES_PER_LOGIN,
            Self::Network(_) | Self::Operator | Self::BulkChanges => limits::WRITES_PER_NETWORK,
        }
    }
}

impl From<UserId> for WriteOwner {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

impl From<&Principal> for WriteOwner {
    fn from(principal: &Principal) -> Self {
        match principal {
            Principal::User(caller) => Self::User(caller.user_id),
            Principal::Service(token) => Self::Service(token.id),
        }
    }
}

impl From<TicketHolder> for WriteOwner {
    fn from(holder: TicketHolder) -> Self {
        match holder {
            TicketHolder::Login(login) => Self::Login(login),
            TicketHolder::Host { user_id, .. } | TicketHolder::Service { user_id, .. } => Self::User(user_id),
        }
    }
}

impl From<LoginId> for WriteOwner {
    fn from(login: LoginId) -> Self {
        Self::Login(login)
    }
}

/// The queue of everything that writes. At most one task of each [`ServerWriter`] except `Sends` has a turn.
pub(super) struct WriteQueue {
    marks: Arc<Mutex<()>>,
    accepted: Arc<Mutex<()>>,
    system: Arc<Mutex<()>>,
    /// On SQLite every turn holds this lock. The lock is fair, so each writer gets it.
    sqlite_writer: Arc<Mutex<()>>,
    /// The number of writers of sends that wait for `sqlite_writer`.
    waiting_sends: AtomicUsize,
    owners: FairQueue<WriteOwner>,
    /// A large transaction passes this queue before `owners`.
    large: LargeWrites<WriteOwner>,
}

/// The right to write, which ends when it is dropped.
pub struct WriteTurn {
    sqlite_writer: Option<OwnedMutexGuard<()>>,
    _server_writer: Option<OwnedMutexGuard<()>>,
    permit: Option<fair_queue::FairPermit<WriteOwner>>,
    large_permit: Option<fair_queue::FairPermit<WriteOwner>>,
    since: Instant,
}

impl WriteTurn {
    /// Charges the owner for `rows` rows, if the transaction changed more rows than the owner was charged for before.
    pub fn charge_rows(&mut self, rows: u64) {
        for permit in self.permit.iter_mut().chain(&mut self.large_permit) {
            permit.raise_cost(rows);
        }
    }

    /// Returns whether the turn is for a large transaction.
    pub fn is_large(&self) -> bool {
        self.large_permit.is_some()
    }

    /// Releases the SQLite writer and waits for it again, so that transactions that wait already can write first. Keeps
    /// the permits. Does nothing on PostgreSQL.
    pub async fn requeue(&mut self, db: &Db) {
        self.sqlite_writer = None;
        self.sqlite_writer = db.lock_sqlite_writer().await;
        self.since = Instant::now();
    }
}

impl Drop for WriteTurn {
    fn drop(&mut self) {
        if let Some(permit) = self.large_permit.take() {
            large_writes::release_after_pause(permit, self.since.elapsed());
        }
    }
}

impl WriteQueue {
    /// Creates the queue. On PostgreSQL, writers of the server that share a connection also share a lock.
    pub(super) fn new(backend: DatabaseBackend, connections: WriteConnections) -> Self {
        let [marks, accepted, system]: [Arc<Mutex<()>>; 3] = [(); 3].map(|()| Arc::default());
        let (accepted, system) = match (backend, connections.server) {
            (DatabaseBackend::Sqlite, _) => (accepted, system),
            (_, 1) => (marks.clone(), marks.clone()),
            _ => (marks.clone(), system),
        };
        let (sqlite_writer, waiting_sends) = (Arc::default(), AtomicUsize::new(0));
        let (owners, large) = (FairQueue::new(connections.users), LargeWrites::default());
        Self { marks, accepted, system, sqlite_writer, waiting_sends, owners, large }
    }
}

impl Db {
    /// Waits for a turn to write for all users together.
    pub async fn take_server_turn(&self, writer: ServerWriter) -> WriteTurn {
        let queue = self.write_queue();
        let server_writer = match writer {
            ServerWriter::Sends => None,
            ServerWriter::Marks => Some(queue.marks.clone().lock_owned().await),
            ServerWriter::AcceptedTokens => Some(queue.accepted.clone().lock_owned().await),
            ServerWriter::System => Some(queue.system.clone().lock_owned().await),
        };
        let waiting = (writer == ServerWriter::Sends).then(|| WaitingSend::new(&queue.waiting_sends));
        let sqlite_writer = self.lock_sqlite_writer().await;
        drop(waiting);
        let since = Instant::now();
        WriteTurn { sqlite_writer, _server_writer: server_writer, permit: None, large_permit: None, since }
    }

    /// Waits for a turn for a transaction that changes about `rows` rows. The owner is charged for them. Fails with
    /// `busy` if too many transactions of the owner run or wait already, or if the turn does not come within
    /// [`limits::WRITE_TURN_TIMEOUT`].
    pub async fn take_owner_turn(&self, owner: WriteOwner, rows: usize) -> Result<WriteTurn> {
        let (queue, rows) = (self.write_queue(), rows as u64);
        let permits = async {
            let large = queue.large.acquire(owner, rows, owner.max_writes()).await?;
            Ok((queue.owners.acquire(owner, rows, owner.max_writes()).await?, large))
        };
        let permits = tokio::time::timeout(limits::WRITE_TURN_TIMEOUT, permits).await.map_err(Error::overloaded)?;
        let (permit, large_permit) = permits.map_err(|fair_queue::QueueFull| {
            Error::busy("Too many changes of yours are waiting; wait for their answers.")
        })?;
        let sqlite_writer = self.lock_sqlite_writer().await;
        let since = Instant::now();
        Ok(WriteTurn { sqlite_writer, _server_writer: None, permit: Some(permit), large_permit, since })
    }

    /// Returns how many transactions of users wait for their turn.
    pub fn waiting_writes(&self) -> usize {
        self.write_queue().owners.waiting() + self.write_queue().large.waiting()
    }

    /// Returns whether sends wait for the transaction that writes on SQLite.
    pub fn has_waiting_sends(&self) -> bool {
        self.write_queue().waiting_sends.load(Ordering::Relaxed) > 0
    }

    async fn lock_sqlite_writer(&self) -> Option<OwnedMutexGuard<()>> {
        match self.backend() {
            DatabaseBackend::Sqlite => Some(self.write_queue().sqlite_writer.clone().lock_owned().await),
            _ => None,
        }
    }
}

/// Counts a writer of sends as waiting until it is dropped.
struct WaitingSend<'c>(&'c AtomicUsize);

impl<'c> WaitingSend<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for WaitingSend<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
