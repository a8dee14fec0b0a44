//! The queue before what writes. Sends, marks, the server's own work and users' transactions take turns; users' queue
//! among themselves, fair by user and charged by the rows they touch ([`super::turns`]), so that whoever makes large
//! groups waits behind everybody who changes a row.
//!
//! On SQLite one writes at a time. On PostgreSQL some connections are kept free for sends, marks and the server's own
//! work, and users' transactions run together on the others.

use super::db::Db;
use super::turns::{self, Turns};
use crate::domain::address::network;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::DatabaseBackend;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

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
    /// The operator's.
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
            Self::User(_) => limits::WRITES_PER_USER,
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

/// The queue. At most one of each class meets the others at `inner`, which is fair, so that none of them starves.
pub(super) struct Gate {
    marks: Arc<Mutex<()>>,
    accepted: Arc<Mutex<()>>,
    system: Arc<Mutex<()>>,
    inner: Arc<Mutex<()>>,
    accounts: Turns<Account>,
}

/// The right to write, given back when dropped.
pub struct Turn {
    _inner: Option<OwnedMutexGuard<()>>,
    _own: Option<OwnedMutexGuard<()>>,
    account: Option<turns::Turn<Account>>,
}

impl Turn {
    /// Says how many rows were touched: what is beyond those it was charged for is charged now.
    pub fn touched(&mut self, rows: u64) {
        if let Some(account) = &mut self.account {
            account.has_cost(rows);
        }
    }
}

impl Gate {
    /// Users' transactions run so many at a time.
    pub(super) fn new(at_once: usize) -> Self {
        let [marks, accepted, system, inner] = [(); 4].map(|()| Arc::default());
        Self { marks, accepted, system, inner, accounts: Turns::new(at_once) }
    }
}

impl Db {
    /// Waits for the right to write for all users together; on PostgreSQL there is nothing to wait for.
    pub async fn turn(&self, class: Class) -> Turn {
        if self.backend() != DatabaseBackend::Sqlite {
            return Turn { _inner: None, _own: None, account: None };
        }
        let gate = self.gate();
        let own = match class {
            Class::Sends => None,
            Class::Marks => Some(gate.marks.clone().lock_owned().await),
            Class::Accepted => Some(gate.accepted.clone().lock_owned().await),
            Class::System => Some(gate.system.clone().lock_owned().await),
        };
        Turn { _inner: self.inner().await, _own: own, account: None }
    }

    /// Waits for the right to a transaction that touches about so many `rows`, charged to `account`. It is `busy` where
    /// the account has too many under way already, or when the turn does not come in time.
    pub async fn turn_of(&self, account: Account, rows: usize) -> Result<Turn> {
        let turn = self.gate().accounts.take(account, rows as u64, account.most());
        let turn = tokio::time::timeout(PATIENCE, turn).await.map_err(Error::overloaded)?;
        let turn = turn.map_err(|_| Error::busy("too many changes of yours are waiting; wait for their answers"))?;
        Ok(Turn { _inner: self.inner().await, _own: None, account: Some(turn) })
    }

    /// How many transactions of users wait for their turn.
    pub fn waiting_writes(&self) -> usize {
        self.gate().accounts.waiting()
    }

    async fn inner(&self) -> Option<OwnedMutexGuard<()>> {
        match self.backend() {
            DatabaseBackend::Sqlite => Some(self.gate().inner.clone().lock_owned().await),
            _ => None,
        }
    }
}
