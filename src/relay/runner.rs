//! Runs one reader of the log: takes the lease, reads a page up to the floor of the log, and processes it and moves the
//! cursor in one transaction.

use super::RelaySignals;
use super::failures::{FIRST_PAUSE, error_text, is_own_fault, is_timeout};
use super::floor::{ADVANCE_INTERVAL, LogFloor};
use super::page_size::PageSize;
use super::reader::{Begin, Reader, RoundResult};
use crate::app::App;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::Ephemeral;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::floor;
use crate::store::log::pages::{self, LogRow};
use crate::store::log::parked::{self, ParkedStream};
use crate::store::log::readers::{self, Lease};
use crate::supervision::Part;
use crate::telemetry::FailureFlag;
use crate::work::read::read_as_server;
use crate::work::transact::{WorkFuture, transact_as, typed_work, write_as_server};
use crate::work::tx::Tx;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A lease is valid for this time after the last transaction of its node.
pub const LEASE_DURATION: Duration = Duration::from_secs(3);
/// The pause after a database error.
pub const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The pause after which a failed reader checks whether the operator has restarted it.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// A reader that begins now gets no rows from before this time.
const BEGIN_TOLERANCE: Duration = Duration::from_secs(5);

/// Runs one reader on one node. Clones run the same reader.
#[derive(Clone)]
pub struct ReaderRunner {
    pub(super) app: App,
    pub(super) reader: Arc<dyn Reader>,
    node: Arc<str>,
    floor: LogFloor,
    page_size: Arc<Mutex<PageSize>>,
}

/// Whether a transaction of a reader has done its work.
pub(super) enum TransactionResult {
    /// The work is done. These frames are sent after the commit.
    Done(Vec<Ephemeral>),
    /// Nothing was changed: another node has the lease, or has moved the cursor or the parked stream.
    Outdated,
}

/// What a round reads before it chooses between a page and a parked stream.
struct ReaderState {
    lease: Lease,
    next_parked: Option<ParkedStream>,
}

impl ReaderRunner {
    /// Returns a runner of `reader` for the node with the id `node`. All readers of the node share `floor`.
    pub fn new(app: App, reader: Arc<dyn Reader>, floor: LogFloor, node: &str) -> Self {
        let page_size = Arc::new(Mutex::new(PageSize::new(reader.page_limit().rows)));
        Self { app, reader, node: node.into(), floor, page_size }
    }

    /// Runs rounds until the server stops.
    pub async fn run(self, mut signals: RelaySignals) {
        let ended = write_as_server(&self.app, ServerWriter::System, async |conn| {
            Ok(readers::end_stale_lease(conn, self.reader.name()).await?)
        });
        if let Err(error) = ended.await {
            tracing::warn!(%error, "the lease of a stopped node could not be ended; it will expire");
        }
        let (reader, part, failure_flag) = (self.reader.name(), self.part(), FailureFlag::default());
        while !signals.is_stopping() {
            signals.mark_growth_seen();
            let result = self.run_round().await;
            part.set_working(matches!(result, Ok(result) if result != RoundResult::Failed));
            if result.is_ok() && failure_flag.clear() {
                tracing::info!(reader, "a reader of the log works again");
            }
            match result {
                Ok(RoundResult::Worked { has_more: true }) => {}
                Ok(RoundResult::Worked { has_more: false }) => signals.sleep(self.reader.page_interval()).await,
                Ok(RoundResult::Idle(until)) => {
                    signals.wait_for_growth(until.map(|until| until.since(Timestamp::now()))).await;
                }
                Ok(RoundResult::Waiting) => signals.wait_for_growth(Some(ADVANCE_INTERVAL)).await,
                Ok(RoundResult::Failed) => signals.sleep(FAILED_PAUSE).await,
                Err(error) => {
                    if failure_flag.set() {
                        tracing::warn!(reader, %error, "a reader of the log cannot continue; trying again");
                    }
                    signals.sleep(self.page_size(|size| size.pause()).max(RETRY_PAUSE)).await;
                }
            }
        }
    }

    /// Processes one page, or one parked stream whose next attempt is due. The future may be dropped at any await; its
    /// transaction is then rolled back, unless its COMMIT was sent.
    pub async fn run_round(&self) -> Result<RoundResult> {
        let now = Timestamp::now();
        let name = self.reader.name();
        let state = read_as_server(&self.app, ReadPool::Log, async |conn| match readers::lease(conn, name).await? {
            Some(lease) => Ok(Some(ReaderState { lease, next_parked: parked::next_parked(conn, name).await? })),
            None => Ok(None),
        });
        let Some(ReaderState { lease, next_parked }) = state.await? else { return self.register(now).await };
        if lease.is_failed {
            return Ok(RoundResult::Failed);
        }
        if lease.is_held_by_another(&self.node, now) {
            return Ok(RoundResult::Idle(Some(lease.until.plus(Duration::from_millis(1)))));
        }
        let until = next_parked.as_ref().map(|stream| stream.next_at);
        if let Some(stream) = next_parked.filter(|stream| stream.next_at <= now) {
            self.retry_parked(stream).await?;
            return Ok(RoundResult::Worked { has_more: true });
        }
        if lease.newest <= lease.cursor {
            return Ok(RoundResult::Idle(until));
        }
        // Of the nodes that see the new rows, only the one that gets the lease takes ticks.
        if self.floor.takes_ticks() && !lease.is_held_by(&self.node, now) && !self.take_lease(lease.cursor).await? {
            return Ok(RoundResult::Worked { has_more: true });
        }
        let end = self.floor.advance().await?;
        let (rows, bytes) = (self.page_size(|size| size.rows()), self.reader.page_limit().bytes);
        let page = read_as_server(&self.app, ReadPool::Log, async |conn| {
            Ok(pages::page(conn, lease.cursor, end.floor, rows, bytes).await?)
        });
        let page = page.await.map_err(|error| self.shrink_pages(error, rows))?;
        if page.rows.is_empty() {
            let is_waiting = end.newest > end.floor;
            return Ok(if is_waiting { RoundResult::Waiting } else { RoundResult::Idle(until) });
        }
        self.process(page.rows.into(), lease.cursor).await?;
        Ok(RoundResult::Worked { has_more: page.has_more })
    }

    /// Registers the reader where it states that it begins.
    async fn register(&self, now: Timestamp) -> Result<RoundResult> {
        let cursor = match self.reader.begin() {
            Begin::Start => 0,
            Begin::Now => match self.find_recent_floor(now).await? {
                Some(floor) => floor,
                None => return Ok(RoundResult::Waiting),
            },
        };
        write_as_server(&self.app, ServerWriter::System, async |conn| {
            Ok(readers::register(conn, self.reader.name(), cursor, now).await?)
        })
        .await?;
        Ok(RoundResult::Worked { has_more: true })
    }

    /// Returns the floor of the log, unless it is not known yet or many rows have appeared above it: this node may not
    /// have raised it for a long time, or a transaction that has not ended holds it.
    async fn find_recent_floor(&self, now: Timestamp) -> Result<Option<i64>> {
        let end = self.floor.advance().await?;
        let is_known = end.floor > 0 || end.newest == 0;
        let oldest_above = read_as_server(&self.app, ReadPool::Log, async |conn| {
            Ok(floor::get_oldest_time_above(conn, end.floor).await?)
        });
        let is_recent = oldest_above.await?.is_none_or(|at| now.since(at) <= BEGIN_TOLERANCE);
        Ok((is_known && is_recent).then_some(end.floor))
    }

    /// Takes the lease, in a transaction of its own. Returns false if another node has it, or has moved the cursor.
    async fn take_lease(&self, cursor: i64) -> Result<bool> {
        let now = Timestamp::now();
        let claimed = write_as_server(&self.app, ServerWriter::System, async |conn| {
            Ok(readers::claim(conn, self.reader.name(), &self.node, now, now.plus(LEASE_DURATION)).await?)
        });
        Ok(claimed.await? == Some(cursor))
    }

    /// Processes `rows`, which follow `cursor`. If a row fails, processes the rows before it, or parks the stream of
    /// the row if it is the first one. After a timeout nothing is processed and the next page is smaller.
    async fn process(&self, rows: Arc<[LogRow]>, cursor: i64) -> Result<()> {
        let mut count = rows.len();
        loop {
            match self.process_page(rows.clone(), count, cursor).await {
                Ok(()) => break,
                Err(error) if !is_own_fault(&error) => return Err(self.shrink_pages(error, count)),
                Err(_) if count > 1 => count /= 2,
                Err(error) => {
                    self.park(&rows[0], cursor, &error).await?;
                    break;
                }
            }
        }
        self.page_size(|size| size.grow(count));
        Ok(())
    }

    /// Makes the next pages smaller if `error` is a timeout of a page of `rows` rows. Returns the error.
    pub(super) fn shrink_pages(&self, error: Error, rows: usize) -> Error {
        if is_timeout(&error) {
            self.page_size(|size| size.shrink(rows));
        }
        error
    }

    /// Processes the first `count` of `rows` and moves the cursor from `cursor` to the last of them.
    async fn process_page(&self, rows: Arc<[LogRow]>, count: usize, cursor: i64) -> Result<()> {
        let runner = self.clone();
        self.transact_with_lease(move |tx, locked_cursor| {
            let (runner, rows) = (runner.clone(), rows.clone());
            Box::pin(async move {
                if locked_cursor != cursor {
                    return Ok(TransactionResult::Outdated);
                }
                let (name, rows) = (runner.reader.name(), &rows[..count]);
                let last_id = rows.last().map_or(cursor, |last| last.id);
                let mut streams: Vec<Stream> = rows.iter().map(|row| row.stream).collect();
                streams.sort_unstable();
                streams.dedup();
                let parked = parked::list_parked(tx.conn(), name, &streams).await?;
                let rows: Vec<&LogRow> = rows.iter().filter(|row| !parked.contains(&row.stream)).collect();
                let frames = runner.handle(tx, &rows).await?;
                readers::set_cursor(tx.conn(), name, last_id).await?;
                Ok(TransactionResult::Done(frames))
            })
        })
        .await
    }

    /// Calls the reader, unless there are no rows. A panic of the reader becomes an error.
    pub(super) async fn handle(&self, tx: &mut Tx, rows: &[&LogRow]) -> Result<Vec<Ephemeral>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.part()
            .catch_panic_in(self.reader.handle(tx, rows))
            .await
            .unwrap_or_else(|panicked| Err(Error::internal(panicked)))
    }

    /// Parks the stream of a row that failed, and moves the cursor from `cursor` to the row.
    async fn park(&self, row: &LogRow, cursor: i64, error: &Error) -> Result<()> {
        let (id, reader, row_at, text) = (row.id, self.reader.clone(), (row.stream, row.rev), error_text(error));
        tracing::warn!(reader = reader.name(), stream = ?row.stream, rev = row.rev.0, error = text, "a stream is parked");
        self.transact_with_lease(move |tx, locked_cursor| {
            let (reader, text) = (reader.clone(), text.clone());
            Box::pin(async move {
                if locked_cursor != cursor {
                    return Ok(TransactionResult::Outdated);
                }
                let next_at = Timestamp::now().plus(FIRST_PAUSE);
                parked::park(tx.conn(), reader.name(), row_at, next_at, &text).await?;
                readers::set_cursor(tx.conn(), reader.name(), id).await?;
                Ok(TransactionResult::Done(Vec::new()))
            })
        })
        .await
    }

    /// Runs `work` with the cursor in a transaction that has locked the reader's row and renewed the lease. If another
    /// node has the lease or the reader is failed, `work` does not run.
    pub(super) async fn transact_with_lease<W>(&self, work: W) -> Result<()>
    where
        W: for<'t> Fn(&'t mut Tx, i64) -> WorkFuture<'t, TransactionResult> + Send + Sync + 'static,
    {
        let (reader, node, work) = (self.reader.clone(), self.node.clone(), Arc::new(work));
        let transaction = typed_work(move |tx| {
            let (reader, node, work) = (reader.clone(), node.clone(), work.clone());
            Box::pin(async move {
                let (now, until) = (tx.now(), tx.now().plus(LEASE_DURATION));
                match readers::claim(tx.conn(), reader.name(), &node, now, until).await? {
                    Some(cursor) => work(tx, cursor).await,
                    None => Ok(TransactionResult::Outdated),
                }
            })
        });
        if let TransactionResult::Done(frames) = transact_as(&self.app, ServerWriter::System, &transaction).await? {
            self.app.notify_all(frames);
        }
        Ok(())
    }

    fn part(&self) -> Part {
        self.app.supervision().part(format!("reader {}", self.reader.name()))
    }

    pub(super) fn page_size<T>(&self, action: impl FnOnce(&mut PageSize) -> T) -> T {
        action(&mut self.page_size.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
