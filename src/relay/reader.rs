//! Runs one reader of the log: takes the lease, reads a page, and processes it and moves the cursor in one transaction.
//!
//! Each reader has a separate file, which contains what it does with a page.
//!
//! - *Exactly once*: the cursor is read and moved under the lock of the reader's row, in the transaction of the
//!   effects. If the page was read with another cursor, or another node has the lease, nothing is committed.
//! - *Database not available*: if the database does not answer or a lock is not free, no row is at fault; the cursor
//!   stays.
//! - *A row that fails* is found by halving the page. It parks its stream for this reader: the cursor moves past the
//!   row, and later rows of the stream wait. The row is tried again with growing pauses. When it succeeds, the waiting
//!   rows follow in the order of their revisions. After [`MAX_ATTEMPTS`] the status becomes `failed`: the row is not
//!   tried again and later rows of the stream keep waiting. The operator sets the status to `parked` to try again.

use super::RelaySignals;
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::db::failure::{FailureKind, failure_kind};
use crate::store::db::pools::ReadPool;
use crate::store::db::transaction::Transaction;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::readers::{self, LogRow, ParkedStream};
use crate::telemetry::FailureFlag;
use crate::work::transact::WorkFuture;
use sea_orm::DbErr;
use std::sync::Arc;
use std::time::Duration;

/// A lease is valid for this time after the last transaction of its node.
pub const LEASE_DURATION: Duration = Duration::from_secs(3);
/// The pause after a database error.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The number of failures after which the status of a row becomes `failed`.
pub const MAX_ATTEMPTS: i64 = 10;
/// Rows in one transaction at most.
pub const PAGE_ROWS: u64 = 1000;
/// Rows of a parked stream in one transaction at most.
const PARKED_PAGE_ROWS: u64 = 200;
/// The pause after the first failure of a row. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Characters of an error text that are stored.
const ERROR_CHARS: usize = 500;

/// A reader of the log whose effects are only in the database.
pub trait Reader: Send + Sync + 'static {
    /// Returns the name of its row in `readers`, which must never change.
    fn name(&self) -> &str;

    /// Returns the pause after a page that was not full. More rows arrive in the meantime, so that fewer transactions
    /// are necessary.
    fn page_interval(&self) -> Duration;

    /// Processes rows with statements of the transaction `conn`, and must have no other effects, because it runs again
    /// if the transaction fails. The rows of each stream come in the order of their revisions, each once. An error
    /// means that one of the rows cannot be processed, unless the database was not available.
    fn handle<'t>(&'t self, conn: &'t Transaction, rows: &'t [&'t LogRow]) -> WorkFuture<'t, ()>;
}

/// The result of one round of a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoundResult {
    /// The round did some work, and there may be more.
    Worked {
        /// Whether the next round should begin at once.
        has_more: bool,
    },
    /// There is nothing to do until the log grows, or until this time.
    Idle(Option<Timestamp>),
}

/// Runs one reader on one node.
pub struct ReaderRunner {
    app: App,
    reader: Arc<dyn Reader>,
    node: String,
}

/// The result of a transaction of a reader.
#[derive(PartialEq, Eq)]
enum TransactionResult {
    Committed,
    /// Nothing was changed: another node has the lease, or has moved the cursor or the parked stream.
    Outdated,
}

impl ReaderRunner {
    /// Returns a runner of `reader` for the node with the id `node`.
    pub fn new(app: App, reader: Arc<dyn Reader>, node: &str) -> Self {
        Self { app, reader, node: node.to_owned() }
    }

    /// Runs rounds until the server stops.
    pub async fn run(self: Arc<Self>, mut signals: RelaySignals) {
        let ended = self.with_database(async {
            let _turn = self.app.db().take_server_turn(ServerWriter::System).await;
            Ok(readers::end_stale_lease(self.app.db().write()?, self.reader.name()).await?)
        });
        if let Err(error) = ended.await {
            tracing::warn!(%error, "the lease of a stopped node could not be ended; it will expire");
        }
        let (reader, failure_flag) = (self.reader.name(), FailureFlag::default());
        while !signals.is_stopping() {
            signals.mark_growth_seen();
            let result = self.run_round().await;
            if result.is_ok() && failure_flag.clear() {
                tracing::info!(reader, "a reader of the log works again");
            }
            match result {
                Ok(RoundResult::Worked { has_more: true }) => {}
                Ok(RoundResult::Worked { has_more: false }) => signals.sleep(self.reader.page_interval()).await,
                Ok(RoundResult::Idle(until)) => {
                    signals.wait_for_growth(until.map(|until| until.since(Timestamp::now()))).await;
                }
                Err(error) => {
                    if failure_flag.set() {
                        tracing::warn!(reader, %error, "a reader of the log cannot continue; trying again");
                    }
                    signals.sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Processes one page, or one parked stream whose next attempt is due. The future may be dropped at any await; its
    /// transaction is then rolled back.
    pub async fn run_round(&self) -> Result<RoundResult> {
        let now = Timestamp::now();
        let Some((cursor, parked)) = self.read_state(now).await? else {
            return Ok(RoundResult::Worked { has_more: true });
        };
        let (cursor, until) = match cursor {
            Ok(cursor) => (cursor, parked.as_ref().map(|stream| stream.next_at)),
            Err(until) => return Ok(RoundResult::Idle(Some(until))),
        };
        if let Some(stream) = parked.filter(|stream| stream.next_at <= now) {
            self.retry_parked(&stream, now).await?;
            return Ok(RoundResult::Worked { has_more: true });
        }
        let rows = self
            .with_database(async { Ok(readers::page(self.app.db().read(ReadPool::Log), cursor, PAGE_ROWS).await?) })
            .await?;
        let Some(last) = rows.last() else { return Ok(RoundResult::Idle(until)) };
        let last_position = last.position;
        self.process(&rows, cursor, last_position, now).await?;
        Ok(RoundResult::Worked { has_more: rows.len() as u64 == PAGE_ROWS })
    }

    /// Returns the cursor, or as the error the time until which another node has the lease; and the next parked stream.
    /// `None` if the reader was not registered, and is now.
    async fn read_state(&self, now: Timestamp) -> Result<Option<(Result<i64, Timestamp>, Option<ParkedStream>)>> {
        let name = self.reader.name();
        self.with_database(async {
            let conn = self.app.db().read(ReadPool::Log);
            let Some(lease) = readers::lease(conn, name).await? else {
                let _turn = self.app.db().take_server_turn(ServerWriter::System).await;
                readers::register(self.app.db().write()?, name, 0, now).await?;
                return Ok(None);
            };
            if lease.is_held_by_another(&self.node, now) {
                return Ok(Some((Err(lease.until.plus(Duration::from_millis(1))), None)));
            }
            Ok(Some((Ok(lease.cursor), readers::next_parked(conn, name).await?)))
        })
        .await
    }

    /// Processes `rows`, which follow `cursor` up to `last_position`. If a row fails, processes the rows before it, or
    /// parks the stream of the row if it is the first one.
    async fn process(&self, rows: &[LogRow], cursor: i64, last_position: i64, now: Timestamp) -> Result<()> {
        let mut count = rows.len();
        loop {
            let last_position = rows.get(count).map_or(last_position, |next| next.position - 1);
            match self.with_database(self.process_page(&rows[..count], cursor, last_position, now)).await {
                Ok(_) => return Ok(()),
                Err(error) if !is_row_error(&error) => return Err(error),
                Err(_) if count > 1 => count /= 2,
                Err(error) => {
                    self.with_database(self.park(&rows[0], cursor, last_position, now, &error)).await?;
                    return Ok(());
                }
            }
        }
    }

    async fn process_page(
        &self,
        rows: &[LogRow],
        cursor: i64,
        last_position: i64,
        now: Timestamp,
    ) -> Result<TransactionResult> {
        let name = self.reader.name();
        self.with_lease(now, async |tx, locked_cursor| {
            if locked_cursor != cursor {
                return Ok(TransactionResult::Outdated);
            }
            let mut streams: Vec<Stream> = rows.iter().map(|row| row.stream).collect();
            streams.sort_unstable();
            streams.dedup();
            let parked = readers::list_parked(tx, name, &streams).await?;
            let rows: Vec<&LogRow> = rows.iter().filter(|row| !parked.contains(&row.stream)).collect();
            if !rows.is_empty() {
                self.handle(tx, &rows).await?;
            }
            readers::set_cursor(tx, name, last_position).await?;
            Ok(TransactionResult::Committed)
        })
        .await
    }

    /// Calls the reader. A panic of the reader becomes an error.
    async fn handle(&self, tx: &Transaction, rows: &[&LogRow]) -> Result<()> {
        let part = self.app.supervision().part(format!("reader {}", self.reader.name()));
        part.attempt(self.reader.handle(tx, rows)).await.unwrap_or_else(|panicked| Err(Error::internal(panicked)))
    }

    async fn park(
        &self,
        row: &LogRow,
        cursor: i64,
        last_position: i64,
        now: Timestamp,
        error: &Error,
    ) -> Result<TransactionResult> {
        let name = self.reader.name();
        let text = error_text(error);
        tracing::warn!(reader = name, stream = ?row.stream, rev = row.rev.0, error = text, "a stream is parked");
        self.with_lease(now, async |tx, locked_cursor| {
            if locked_cursor != cursor {
                return Ok(TransactionResult::Outdated);
            }
            readers::park(tx, name, (row.stream, row.rev), now.plus(FIRST_PAUSE), &text).await?;
            readers::set_cursor(tx, name, last_position).await?;
            Ok(TransactionResult::Committed)
        })
        .await
    }

    /// Processes the row at which a stream is parked, and the waiting rows after it.
    async fn retry_parked(&self, parked: &ParkedStream, now: Timestamp) -> Result<()> {
        let mut limit = PARKED_PAGE_ROWS;
        loop {
            match self.with_database(self.process_parked(parked, limit, now)).await {
                Ok(_) => return Ok(()),
                Err(error) if !is_row_error(&error) => return Err(error),
                // A later row may have failed: try the parked row alone.
                Err(_) if limit > 1 => limit = 1,
                Err(error) => {
                    self.with_database(self.record_failure(parked, now, &error)).await?;
                    return Ok(());
                }
            }
        }
    }

    async fn process_parked(&self, parked: &ParkedStream, limit: u64, now: Timestamp) -> Result<TransactionResult> {
        let name = self.reader.name();
        self.with_lease(now, async |tx, cursor| {
            if !readers::is_parked(tx, name, parked).await? {
                return Ok(TransactionResult::Outdated);
            }
            let rows = readers::stream_page(tx, parked.stream, parked.rev, cursor, limit).await?;
            let rows: Vec<&LogRow> = rows.iter().collect();
            if !rows.is_empty() {
                self.handle(tx, &rows).await?;
            }
            let last = rows.last().filter(|_| rows.len() as u64 == limit);
            readers::advance_parked(tx, name, parked, last.map(|last| last.rev.next()), now).await?;
            Ok(TransactionResult::Committed)
        })
        .await
    }

    async fn record_failure(&self, parked: &ParkedStream, now: Timestamp, error: &Error) -> Result<TransactionResult> {
        let name = self.reader.name();
        let (text, attempts) = (error_text(error), parked.attempts + 1);
        let is_given_up = attempts >= MAX_ATTEMPTS;
        if is_given_up {
            let (stream, rev) = (parked.stream, parked.rev.0);
            tracing::error!(reader = name, ?stream, rev, error = text, "a row is given up");
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow((attempts - 1).clamp(0, 20) as u32);
        self.with_lease(now, async |tx, _| {
            if !readers::is_parked(tx, name, parked).await? {
                return Ok(TransactionResult::Outdated);
            }
            readers::record_failure(tx, name, parked, now.plus(pause), &text, is_given_up).await?;
            Ok(TransactionResult::Committed)
        })
        .await
    }

    /// Runs `work` with the cursor in a transaction that has locked the reader's row and renewed the lease. Commits
    /// only if `work` returns `Committed`. If another node has the lease, `work` does not run.
    async fn with_lease(
        &self,
        now: Timestamp,
        work: impl AsyncFnOnce(&Transaction, i64) -> Result<TransactionResult>,
    ) -> Result<TransactionResult> {
        let _turn = self.app.db().take_server_turn(ServerWriter::System).await;
        let tx = self.app.db().begin().await?;
        let claimed = readers::claim(&tx, self.reader.name(), &self.node, now, now.plus(LEASE_DURATION)).await?;
        let result = match claimed {
            Some(cursor) => work(&tx, cursor).await,
            None => Ok(TransactionResult::Outdated),
        };
        if matches!(result, Ok(TransactionResult::Committed)) {
            tx.commit().await?;
        } else {
            tx.rollback().await;
        }
        result
    }

    async fn with_database<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.app.db().run(work).await
    }
}

/// Returns whether an error is caused by a row, and not by a database that is unavailable, busy or slow.
fn is_row_error(error: &Error) -> bool {
    match error.cause().and_then(|cause| cause.downcast_ref::<DbErr>()) {
        Some(cause) => matches!(failure_kind(cause), FailureKind::Data | FailureKind::Fault),
        None => ![Code::Busy, Code::Unavailable].contains(&error.code()),
    }
}

/// Returns the text of an error as it is stored and logged. PostgreSQL cannot store the character NUL.
fn error_text(error: &Error) -> String {
    let text = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().filter(|character| *character != '\0').take(ERROR_CHARS).collect()
}
