//! The sequencer: assigns every committed row of the log its `position`, once and in the order of the row ids.
//!
//! One node at a time has its lease. Its transaction locks the row with the lease and the last position, then the rows
//! without a position. It waits for each locked row and skips none. Therefore positions become visible in ascending
//! order, and the positions of one stream follow its revisions.

use super::RelaySignals;
use super::runner::{LEASE_DURATION, RETRY_PAUSE};
use crate::app::App;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::positions;
use crate::store::log::readers::{self, SEQUENCER};
use crate::telemetry::FailureFlag;
use crate::work::read::read_as_server;
use crate::work::transact::{transact_as, typed_work, write_as_server};
use sea_orm::DatabaseBackend;
use std::sync::Arc;
use tokio::sync::watch;

/// Rows in one transaction at most.
pub const PAGE_ROWS: u64 = 1000;

/// Assigns positions; one node at a time has its lease.
pub struct Sequencer {
    app: App,
    node: String,
}

/// Returns whether the database needs a sequencer; see [`positions::position_column`].
pub fn is_needed(app: &App) -> bool {
    app.db().backend() == DatabaseBackend::Postgres
}

impl Sequencer {
    /// Returns the sequencer for the node with the id `node`.
    pub fn new(app: App, node: &str) -> Self {
        Self { app, node: node.to_owned() }
    }

    /// Assigns positions until the server stops. Changes `growth` to wake the readers.
    pub async fn run(self: Arc<Self>, growth: watch::Sender<u64>, mut signals: RelaySignals) {
        let (part, failure_flag) = (self.app.supervision().part("sequencer"), FailureFlag::default());
        while !signals.is_stopping() {
            signals.mark_growth_seen();
            let assigned = self.run_round().await;
            part.set_working(assigned.is_ok());
            if assigned.is_ok() && failure_flag.clear() {
                tracing::info!("the sequencer assigns positions again");
            }
            match assigned {
                Ok(0) => signals.wait_for_growth(None).await,
                Ok(_) => growth.send_modify(|times| *times += 1),
                Err(error) => {
                    if failure_flag.set() {
                        tracing::warn!(%error, "the sequencer cannot assign positions; trying again");
                    }
                    signals.sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Assigns the positions of one page, if this node has the lease or can get it. Returns the number of rows.
    pub async fn run_round(&self) -> Result<u64> {
        let now = Timestamp::now();
        let state = read_as_server(&self.app, ReadPool::Log, async |conn| {
            Ok((positions::get_log_end(conn).await?, readers::lease(conn, SEQUENCER).await?))
        });
        let (end, lease) = state.await?;
        if !end.has_rows_without_position {
            return Ok(0);
        }
        match lease {
            Some(lease) if lease.is_held_by_another(&self.node, now) => return Ok(0),
            Some(_) => {}
            None => {
                write_as_server(&self.app, ServerWriter::System, async |conn| {
                    Ok(readers::register(conn, SEQUENCER, end.position, now).await?)
                })
                .await?;
            }
        }
        self.assign_positions().await
    }

    async fn assign_positions(&self) -> Result<u64> {
        let node = self.node.clone();
        let work = typed_work(move |tx| {
            let node = node.clone();
            Box::pin(async move {
                let (conn, now) = (tx.conn(), tx.now());
                let Some(last) = readers::claim(conn, SEQUENCER, &node, now, now.plus(LEASE_DURATION)).await? else {
                    return Ok(0);
                };
                let assigned = positions::assign_positions(conn, last, PAGE_ROWS).await?;
                readers::set_cursor(conn, SEQUENCER, last + assigned as i64).await?;
                Ok(assigned)
            })
        });
        transact_as(&self.app, ServerWriter::System, &work).await
    }
}
