//! The queue before what writes. Sends, marks, the server's own work and users' transactions take turns; users' queue
//! among themselves, fair by user and charged by the rows they touch ([`super::turns`]), so that whoever makes large
//! groups waits behind everybody who changes a row.
//!
//! On SQLite one writes at a time. On PostgreSQL some connections are kept free for sends, marks and the server's own
//! work, and users' transactions run together on the others.

use super::db::Db;
use super::turns::{self, Turns};
use crate::domain::ids::{LoginId, UserId};
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::DatabaseBackend;
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
    /// The server itself: the relay, maintenance.
    System,
}

/// Whose account a transaction is charged to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Account {
    /// A user's.
    User(UserId),
    /// A login's, where only that is known: a ticket and a refresh token do not say whose they are.
    Login(LoginId),
    /// That of those who are not known yet, who sign in and register, all together.
    Nobody,
}

/// The queue. At most one of each class meets the others at `inner`, which is fair, so that none of them starves.
pub(super) struct Gate {
    marks: Arc<Mutex<()>>,
    system: Arc<Mutex<()>>,
    inner: Arc<Mutex<()>>,
    accounts: Turns<Account>,
}

/// The right to write, given back when dropped.
pub struct Turn {
    _inner: Option<OwnedMutexGuard<()>>,
    _own: Option<OwnedMutexGuard<()>>,
    _account: Option<turns::Turn<Account>>,
}

impl Gate {
    /// Users' transactions run so many at a time.
    pub(super) fn new(at_once: usize) -> Self {
        let [marks, system, inner] = [(); 3].map(|()| Arc::default());
        Self { marks, system, inner, accounts: Turns::new(at_once) }
    }
}

impl Db {
    /// Waits for the right to write for all users together; on PostgreSQL there is nothing to wait for.
    pub async fn turn(&self, class: Class) -> Turn {
        if self.backend() != DatabaseBackend::Sqlite {
            return Turn { _inner: None, _own: None, _account: None };
        }
        let gate = self.gate();
        let own = match class {
            Class::Sends => None,
            Class::Marks => Some(gate.marks.clone().lock_owned().await),
            Class::System => Some(gate.system.clone().lock_owned().await),
        };
        Turn { _inner: self.inner().await, _own: own, _account: None }
    }

    /// Waits for the right to a transaction that touches about so many `rows`, charged to `account`. It is `busy` where
    /// the account has as many under way as it may, or when the turn does not come in time.
    pub async fn turn_of(&self, account: Account, rows: usize) -> Result<Turn> {
        let most = match account {
            Account::User(_) => limits::WRITES_PER_USER,
            Account::Login(_) => limits::WRITES_PER_LOGIN,
            Account::Nobody => limits::WRITES_OF_NOBODY,
        };
        let turn = self.gate().accounts.take(account, rows as u64, most);
        let turn = tokio::time::timeout(PATIENCE, turn).await.map_err(Error::overloaded)?;
        let turn = turn.map_err(|_| Error::busy("too many changes of yours are waiting; wait for their answers"))?;
        Ok(Turn { _inner: self.inner().await, _own: None, _account: Some(turn) })
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
