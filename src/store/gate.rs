//! The queue before what writes. Sends, marks, the server's own work and users' transactions take turns; users' queue
//! among themselves, fair by user and charged by the rows they touch ([`super::turns`]), so that whoever makes large
//! groups waits behind everybody who changes a row. Large ones leave pauses between them ([`super::large`]), and on SQLite
//! one that has not come to its COMMIT begins anew when somebody wants to send.
//!
//! On SQLite one writes at a time. On PostgreSQL each writer of sends has a connection, marks and the server's own work have
//! one or two ([`Writing`]), and users' transactions run together on the others. Whoever has a turn therefore finds a
//! connection: nobody waits for one behind those who wait for a lock.

use super::db::Db;
use super::large::{self, Large};
use super::turns::{self, Turns};
use crate::config::Writing;
use crate::domain::address::network;
use crate::domain::ids::{ConversationId, LoginId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::DatabaseBackend;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// How long a user's transaction waits for its turn before it is `busy`; together with the transaction itself less than
/// the caller waits.
const PATIENCE: Duration = Duration::from_secs(4);

/// Who writes for all users together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The writer of sends.
    Sends,
    /// The writer of marks.
    Marks,
    /// Whoever notes which access tokens were accepted; one at a time, for all who wait for it.
    Accepted,
    /// The server itself: the relay, maintenance.
    System,
}

/// Whose account a transaction is charged to: that of the nearest that is known of whoever asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Account {
    /// A user's.
    User(UserId),
    /// That of a login, where only this is known: a refresh token and a ticket name it.
    Login(LoginId),
    /// That of a network, from which somebody registers.
    Network(IpAddr),
    /// That of a conversation that somebody has locked, for the sends to it that wait for the lock.
    Conversation(ConversationId),
    /// That of the operator, for accounts and tokens made from the command line.
    Operator,
}

impl Account {
    /// That of whoever comes from `address` and is nobody yet.
    pub fn at(address: IpAddr) -> Self {
        Self::Network(network(address))
    }

    /// How many of its transactions run or wait.
    fn most(self) -> usize {
        match self {
            Self::User(_) | Self::Conversation(_) => limits::WRITES_PER_USER,
            Self::Login(_) => limits::WRITES_PER_LOGIN,
            Self::Network(_) | Self::Operator => limits::WRITES_PER_NETWORK,
        }
    }
}

impl From<UserId> for Account {
    fn from(user: UserId) -> Self {
        Self::User(user)
    }
}

impl From<LoginId> for Account {
    fn from(login: LoginId) -> Self {
        Self::Login(login)
    }
}

/// The queue. At most one of each class has a turn. On SQLite they meet at `inner`, which is fair: no class starves.
pub(super) struct Gate {
    marks: Arc<Mutex<()>>,
    accepted: Arc<Mutex<()>>,
    system: Arc<Mutex<()>>,
    inner: Arc<Mutex<()>>,
    /// How many writers of sends wait for `inner`.
    sends: AtomicUsize,
    accounts: Turns<Account>,
    /// Before the turns of `accounts`.
    large: Large<Account>,
}

/// The right to write, given back when dropped.
pub struct Turn {
    inner: Option<OwnedMutexGuard<()>>,
    _own: Option<OwnedMutexGuard<()>>,
    account: Option<turns::Turn<Account>>,
    large: Option<turns::Turn<Account>>,
    since: Instant,
}

impl Turn {
    /// Says how many rows were touched: what is beyond those it was charged for is charged now.
    pub fn touched(&mut self, rows: u64) {
        for account in self.account.iter_mut().chain(&mut self.large) {
            account.has_cost(rows);
        }
    }
}

impl Turn {
    /// Whether it is for a large transaction.
    pub fn is_large(&self) -> bool {
        self.large.is_some()
    }

    /// Lets those write who have waited so far.
    pub async fn step_aside(&mut self, db: &Db) {
        self.inner = None;
        self.inner = db.inner().await;
        self.since = Instant::now();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turn) = self.large.take() {
            large::rest(turn, self.since.elapsed());
        }
    }
}

impl Gate {
    /// On PostgreSQL, classes that share a connection take turns at it.
    pub(super) fn new(backend: DatabaseBackend, writing: Writing) -> Self {
        let [marks, accepted, system]: [Arc<Mutex<()>>; 3] = [(); 3].map(|()| Arc::default());
        let (accepted, system) = match (backend, writing.server) {
            (DatabaseBackend::Sqlite, _) => (accepted, system),
            (_, 1) => (marks.clone(), marks.clone()),
            _ => (marks.clone(), system),
        };
        let (inner, sends) = (Arc::default(), AtomicUsize::new(0));
        Self { marks, accepted, system, inner, sends, accounts: Turns::new(writing.users), large: Large::default() }
    }
}

impl Db {
    /// Waits for the right to write for all users together.
    pub async fn turn(&self, class: Class) -> Turn {
        let gate = self.gate();
        let own = match class {
            Class::Sends => None,
            Class::Marks => Some(gate.marks.clone().lock_owned().await),
            Class::Accepted => Some(gate.accepted.clone().lock_owned().await),
            Class::System => Some(gate.system.clone().lock_owned().await),
        };
        let waiting = (class == Class::Sends).then(|| Waiting::new(&gate.sends));
        let inner = self.inner().await;
        drop(waiting);
        Turn { inner, _own: own, account: None, large: None, since: Instant::now() }
    }

    /// Waits for the right to a transaction that touches about so many `rows`, charged to `account`. It is `busy` where
    /// the account has too many under way already, or when the turn does not come in time.
    pub async fn turn_of(&self, account: Account, rows: usize) -> Result<Turn> {
        let (gate, rows) = (self.gate(), rows as u64);
        let turns = async {
            let large = gate.large.take(account, rows, account.most()).await?;
            Ok((gate.accounts.take(account, rows, account.most()).await?, large))
        };
        let turns = tokio::time::timeout(PATIENCE, turns).await.map_err(Error::overloaded)?;
        let (turn, large) = turns
            .map_err(|turns::Full| Error::busy("too many changes of yours are waiting; wait for their answers"))?;
        Ok(Turn { inner: self.inner().await, _own: None, account: Some(turn), large, since: Instant::now() })
    }

    /// How many transactions of users wait for their turn.
    pub fn waiting_writes(&self) -> usize {
        self.gate().accounts.waiting() + self.gate().large.waiting()
    }

    /// Whether sends wait for the one who writes on SQLite.
    pub fn sends_wait(&self) -> bool {
        self.gate().sends.load(Ordering::Relaxed) > 0
    }

    async fn inner(&self) -> Option<OwnedMutexGuard<()>> {
        match self.backend() {
            DatabaseBackend::Sqlite => Some(self.gate().inner.clone().lock_owned().await),
            _ => None,
        }
    }
}

/// Counted as waiting until dropped.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
