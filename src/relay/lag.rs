//! Marks readers that are too far behind as failed, so that no reader keeps old rows in the log for ever.
//!
//! A reader is too far behind if the oldest row that it has not processed is older than its greatest lag. One check is
//! not enough to mark it: a server that was off for long finds all its readers behind. So a reader is marked at the
//! next check of the same node, an hour later, unless it has made progress: its oldest unread row is younger, or it has
//! fewer unread rows.
//!
//! The rows in `readers` of names that this program does not know are checked too, with a lag of their own. Such a
//! reader belongs to a version of the program that no longer runs, or that still runs on another node during an
//! upgrade.

use super::reader::Reader;
use crate::app::App;
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::readers::{self, ReaderLag};
use crate::store::log::retention::KeptSince;
use crate::work::read::read_as_server;
use crate::work::transact::write_as_server;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Checks how far the readers are behind. It remembers what it found at the check before.
pub struct LagWatch {
    max_lags: BTreeMap<String, Duration>,
    /// The age of the oldest unread row and the number of unread rows of those readers that were too far behind at the
    /// last check.
    behind: BTreeMap<String, (Duration, i64)>,
}

impl LagWatch {
    /// Creates a watch that knows the greatest lags of `readers`.
    pub fn new(readers: &[Arc<dyn Reader>]) -> Self {
        let max_lags = readers.iter().map(|reader| (reader.name().to_owned(), reader.max_lag())).collect();
        Self { max_lags, behind: BTreeMap::new() }
    }

    /// Marks those readers as failed that were too far behind at the last check and have not come nearer since. Returns
    /// their names.
    pub async fn check(&mut self, app: &App, now: Timestamp) -> Result<Vec<String>> {
        let lags = read_as_server(app, ReadPool::Log, async |conn| Ok(readers::list_lags(conn).await?)).await?;
        let (mut behind, mut failed) = (BTreeMap::new(), Vec::new());
        for lag in lags {
            let Some(age) = lag.oldest_unread_at.map(|at| now.since(at)).filter(|age| *age > self.max_lag(&lag.name))
            else {
                continue;
            };
            match self.behind.get(&lag.name) {
                Some((earlier_age, earlier_rows)) if age >= *earlier_age && lag.unread_rows >= *earlier_rows => {
                    if self.mark_failed(app, &lag, age, now).await? {
                        failed.push(lag.name);
                    }
                }
                _ => drop(behind.insert(lag.name, (age, lag.unread_rows))),
            }
        }
        self.behind = behind;
        Ok(failed)
    }

    /// Returns the time since which a row that failed keeps the rows of its stream in the log, for each reader.
    pub(super) fn kept_since(&self, now: Timestamp) -> KeptSince {
        let readers = self.max_lags.iter().map(|(name, lag)| (name.clone(), now.minus(*lag))).collect();
        KeptSince { readers, unknown_readers: now.minus(limits::UNKNOWN_READER_LAG) }
    }

    fn max_lag(&self, reader: &str) -> Duration {
        self.max_lags.get(reader).copied().unwrap_or(limits::UNKNOWN_READER_LAG)
    }

    async fn mark_failed(&self, app: &App, lag: &ReaderLag, age: Duration, now: Timestamp) -> Result<bool> {
        let marked =
            write_as_server(app, ServerWriter::System, async |conn| Ok(readers::mark_failed(conn, lag, now).await?));
        let is_marked = marked.await?;
        if is_marked {
            let (reader, hours) = (&lag.name, age.as_secs() / 3600);
            let is_known = self.max_lags.contains_key(reader);
            tracing::error!(
                reader,
                is_known,
                hours,
                "a reader of the log is too far behind and has failed: it stops, and the log keeps no rows for it; \
                 after mending the cause, set its failed_at to NULL in the table readers"
            );
        }
        Ok(is_marked)
    }
}
