//! The connections, shared out by what they are for, so that one kind of work cannot take those of another: a search waits
//! for searches and holds up no reconnect.

use super::db::{Db, Observer};
use super::reading::Reads;
use super::turns::Turn;
use crate::config::Writing;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::error::{Error, Result};
use sea_orm::DatabaseConnection;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// What a read is for. Whatever can take long, such as a search, is none of these: see [`Db::heavy`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// Who somebody is, and whether the account and the login stand.
    Authentication,
    /// What a client asks for and a page shows.
    Ordinary,
    /// What a session has missed and may follow: sync, repair, catch-up; and the readers of the log.
    Log,
}

/// The connection pools of one database, each with its own share of the connections.
pub struct Pools {
    /// For transactions, and statements that write.
    pub write: DatabaseConnection,
    /// See [`Share::Authentication`].
    pub authentication: DatabaseConnection,
    /// See [`Share::Ordinary`].
    pub ordinary: DatabaseConnection,
    /// See [`Share::Log`].
    pub log: DatabaseConnection,
    /// For heavy reads; whoever opens it bounds how long a statement may take.
    pub heavy: DatabaseConnection,
    /// What those of `write` are for, beside one for each writer of sends; on SQLite all share one.
    pub writing: Writing,
    /// How many connections `heavy` has.
    pub heavy_at_once: usize,
    /// When a connection broke.
    pub breaks: Breaks,
}

/// When a connection broke last. What broke one may have broken all: those that have been idle since before are tried
/// before they are used, or each would tell anew, whenever it is met, that the database is away.
#[derive(Clone, Default)]
pub struct Breaks(Arc<Mutex<Option<Instant>>>);

impl Breaks {
    /// One broke now.
    pub fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether one broke while another one was idle for so long.
    pub fn within(&self, idle: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() <= idle)
    }
}

impl Pools {
    pub(super) fn observed_by(mut self, observer: &Arc<OnceLock<Observer>>) -> Self {
        let Self { write, authentication, ordinary, log, heavy, writing: _, heavy_at_once: _, breaks: _ } = &mut self;
        for pool in [write, authentication, ordinary, log, heavy] {
            let observer = observer.clone();
            pool.set_metric_callback(move |info| {
                if let Some(observe) = observer.get() {
                    observe(info.statement, info.elapsed);
                }
            });
        }
        self
    }

    pub(super) fn of(&self, share: Share) -> Reads {
        let pool = match share {
            Share::Authentication => &self.authentication,
            Share::Ordinary => &self.ordinary,
            Share::Log => &self.log,
        };
        Reads::new(pool.clone(), share)
    }

    /// Closes all of them; that which writes first.
    pub(super) async fn close(&self) {
        for pool in [&self.write, &self.authentication, &self.ordinary, &self.log, &self.heavy] {
            let _ = pool.clone().close().await;
        }
    }
}

/// The right to one heavy read at a time, given back when dropped.
pub struct Heavy {
    pool: DatabaseConnection,
    _turn: Turn<UserId>,
}

impl Heavy {
    /// The connection of the turn.
    pub fn conn(&self) -> &DatabaseConnection {
        &self.pool
    }
}

/// How long a read waits for its turn.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl Db {
    /// Waits for a turn at heavy reading; the turns are fair by user, and each takes its connection from a pool of its
    /// own, whose statements are given up after [`limits::HEAVY_STATEMENT`]. It is `busy` where `user` has
    /// [`limits::HEAVY_PER_USER`] under way already, or when the turn does not come in time.
    pub async fn heavy(&self, user: UserId) -> Result<Heavy> {
        let turn = self.heavy_turns().take(user, 1, limits::HEAVY_PER_USER);
        let turn = tokio::time::timeout(PATIENCE, turn).await.map_err(Error::overloaded)?;
        let turn = turn.map_err(|_| Error::busy("your own searches are still under way; wait for their answers"))?;
        Ok(Heavy { pool: self.pools().heavy.clone(), _turn: turn })
    }
}
