//! Runs one reader of the log: takes the lease, reads a page, and processes it and moves the cursor in one transaction.

use super::RelaySignals;
use super::failures::{FIRST_PAUSE, error_text, is_own_fault, is_timeout};
use super::page_size::PageSize;
use super::reader::{Begin, Reader, RoundResult};
use crate::app::App;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::mailboxes::Ephemeral;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::ServerWriter;
use crate::store::log::pages::{self, LogRow};
use crate::store::log::parked::{self, ParkedStream};
use crate::store::log::positions;
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

/// Runs one reader on one node. Clones run the same reader.
#[derive(Clone)]
pub struct ReaderRunner {
    pub(super) app: App,
    pub(super) reader: Arc<dyn Reader>,
    node: Arc<str>,
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
    /// Returns a runner of `reader` for the node with the id `node`.
    pub fn new(app: App, reader: Arc<dyn Reader>, node: &str) -> Self {
        let page_size = Arc::new(Mutex::new(PageSize::new(reader.page_limit().rows)));
        Self { app, reader, node: node.into(), page_size }
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
        let Some(ReaderState { lease, next_parked }) = self.read_or_register(now).await? else {
            return Ok(RoundResult::Worked { has_more: true });
        };
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
        let (rows, bytes) = (self.page_size(|size| size.rows()), self.reader.page_limit().bytes);
        let page = read_as_server(&self.app, ReadPool::Log, async |conn| {
            Ok(pages::page(conn, lease.cursor, rows, bytes).await?)
        });
        let page = page.await.map_err(|error| self.shrink_pages(error, rows))?;
        let Some(last) = page.rows.last() else { return Ok(RoundResult::Idle(until)) };
        let last_position = last.position;
        self.process(page.rows.into(), lease.cursor, last_position).await?;
        Ok(RoundResult::Worked { has_more: page.has_more })
    }

    /// Returns the lease and the next parked stream. Registers the reader if it is not registered, and then returns
    /// `None`.
    async fn read_or_register(&self, now: Timestamp) -> Result<Option<ReaderState>> {
        let name = self.reader.name();
        let state = read_as_server(&self.app, ReadPool::Log, async |conn| match readers::lease(conn, name).await? {
            Some(lease) => Ok(Ok(ReaderState { lease, next_parked: parked::next_parked(conn, name).await? })),
            None => Ok(Err(positions::get_log_end(conn).await?)),
        });
        let end = match state.await? {
            Ok(state) => return Ok(Some(state)),
            Err(end) => end,
        };
        let cursor = match self.reader.begin() {
            Begin::Start => 0,
            Begin::Now => end.position,
        };
        write_as_server(&self.app, ServerWriter::System, async |conn| {
            Ok(readers::register(conn, name, cursor, now).await?)
        })
        .await?;
        Ok(None)
    }

    /// Processes `rows`, which follow `cursor` up to `last_position`. If a row fails, processes the rows before it, or
    /// parks the stream of the row if it is the first one. After a timeout nothing is processed and the next page is
    /// smaller.
    async fn process(&self, rows: Arc<[LogRow]>, cursor: i64, last_position: i64) -> Result<()> {
        let mut count = rows.len();
        loop {
            let last_position = rows.get(count).map_or(last_position, |next| next.position - 1);
            match self.process_page(rows.clone(), count, cursor, last_position).await {
                Ok(()) => break,
                Err(error) if !is_own_fault(&error) => return Err(self.shrink_pages(error, count)),
                Err(_) if count > 1 => count /= 2,
                Err(error) => {
                    self.park(&rows[0], cursor, last_position, &error).await?;
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

    /// Processes the first `count` of `rows` and moves the cursor from `cursor` to `last_position`.
    async fn process_page(&self, rows: Arc<[LogRow]>, count: usize, cursor: i64, last_position: i64) -> Result<()> {
        let runner = self.clone();
        self.transact_with_lease(move |tx, locked_cursor| {
            let (runner, rows) = (runner.clone(), rows.clone());
            Box::pin(async move {
                if locked_cursor != cursor {
                    return Ok(TransactionResult::Outdated);
                }
                let (name, rows) = (runner.reader.name(), &rows[..count]);
                let mut streams: Vec<Stream> = rows.iter().map(|row| row.stream).collect();
                streams.sort_unstable();
                streams.dedup();
                let parked = parked::list_parked(tx.conn(), name, &streams).await?;
                let rows: Vec<&LogRow> = rows.iter().filter(|row| !parked.contains(&row.stream)).collect();
                let frames = runner.handle(tx, &rows).await?;
                readers::set_cursor(tx.conn(), name, last_position).await?;
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

    async fn park(&self, row: &LogRow, cursor: i64, last_position: i64, error: &Error) -> Result<()> {
        let (reader, row_at, text) = (self.reader.clone(), (row.stream, row.rev), error_text(error));
        tracing::warn!(reader = reader.name(), stream = ?row.stream, rev = row.rev.0, error = text, "a stream is parked");
        self.transact_with_lease(move |tx, locked_cursor| {
            let (reader, text) = (reader.clone(), text.clone());
            Box::pin(async move {
                if locked_cursor != cursor {
                    return Ok(TransactionResult::Outdated);
                }
                let next_at = Timestamp::now().plus(FIRST_PAUSE);
                parked::park(tx.conn(), reader.name(), row_at, next_at, &text).await?;
                readers::set_cursor(tx.conn(), reader.name(), last_position).await?;
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
