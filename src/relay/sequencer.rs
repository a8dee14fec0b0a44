//! The sequencer: stamps `position` on committed rows in the order of their ids, once. One node holds it; its transaction
//! locks the row that says so and that holds the last position, then the unstamped rows, waiting for each and skipping
//! none. So positions become visible in their order, and of one stream in the order of revisions.

use super::Signals;
use super::reader::{LEASE, RETRY};
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::dialect;
use crate::store::gate::Class;
use crate::store::pools::Share;
use crate::store::readers::{self, SEQUENCER};
use crate::telemetry::Trouble;
use std::sync::Arc;
use tokio::sync::watch;

/// Rows of one transaction.
pub const PAGE: u64 = 1000;

/// The sequencer of one node.
pub struct Sequencer {
    app: App,
    node: String,
}

/// Whether positions are stamped at all; see [`readers::position`].
pub fn is_needed(app: &App) -> bool {
    dialect::is_postgres(app.db().read(Share::Log))
}

impl Sequencer {
    /// For a node.
    pub fn new(app: App, node: &str) -> Self {
        Self { app, node: node.to_owned() }
    }

    /// Stamps what is committed until the server stops; `grow` tells the readers.
    pub async fn run(self: Arc<Self>, grow: watch::Sender<u64>, mut signals: Signals) {
        let trouble = Trouble::default();
        while !signals.is_stopping() {
            signals.look();
            let turn = self.turn().await;
            if turn.is_ok() && trouble.is_over() {
                tracing::info!("the log is given positions again");
            }
            match turn {
                Ok(0) => signals.growth(None).await,
                Ok(_) => grow.send_modify(|times| *times += 1),
                Err(error) => {
                    if trouble.failed() {
                        tracing::warn!(%error, "the log cannot be given positions; trying again");
                    }
                    signals.rest(RETRY).await;
                }
            }
        }
    }

    /// Stamps one page, if this node holds the sequencer or can take it; returns how many rows it stamped.
    pub async fn turn(&self) -> Result<u64> {
        self.app
            .db()
            .guard(async {
                let conn = self.app.db().read(Share::Log);
                let now = Timestamp::now();
                if !readers::head(conn).await?.unstamped {
                    return Ok(0);
                }
                match readers::lease(conn, SEQUENCER).await? {
                    Some(lease) if lease.is_others(&self.node, now) => Ok(0),
                    Some(_) => self.stamp(now).await,
                    None => {
                        let turn = self.app.db().turn(Class::System).await;
                        readers::register(self.app.db().write()?, SEQUENCER, 0, now).await?;
                        drop(turn);
                        self.stamp(now).await
                    }
                }
            })
            .await
    }

    async fn stamp(&self, now: Timestamp) -> Result<u64> {
        let _turn = self.app.db().turn(Class::System).await;
        let tx = self.app.db().begin().await?;
        let Some(last) = readers::claim(&tx, SEQUENCER, &self.node, now, now.plus(LEASE)).await? else {
            tx.rollback().await;
            return Ok(0);
        };
        let stamped = readers::stamp(&tx, last, PAGE).await?;
        readers::advance(&tx, SEQUENCER, last + stamped as i64).await?;
        tx.commit().await?;
        Ok(stamped)
    }
}
