//! How a reader of the log is driven: take the lease, read a page, have it handled and move the cursor in one
//! transaction. What a reader does with a page is in a file of its own.
//!
//! - *Once*: the cursor is read and moved under the lock of the reader's row, in the transaction of the effects. Whoever
//!   read a page under another cursor, or lost the lease meanwhile, commits nothing.
//! - *Away*: a database that does not answer, or a lock that did not come, is nobody's fault; the cursor stays.
//! - *A row that fails* is found by halving the page. It parks its stream for this reader: the cursor passes it, and later
//!   rows of the stream wait. It is tried again with growing pauses; once it succeeds, those that waited follow it in the
//!   order of their revisions. After [`ATTEMPTS`] it is given up: its stream waits on, so that order and nothing else is
//!   ever lost, until its status is `parked` again.

use super::Signals;
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::gate::Class;
use crate::store::pools::Share;
use crate::store::readers::{self, LogRow, Parked};
use crate::store::transaction::Transaction;
use crate::store::{self, Failure};
use crate::telemetry::Trouble;
use crate::usecases::transact::Work;
use sea_orm::DbErr;
use std::sync::Arc;
use std::time::Duration;

/// How long a node holds a reader after its last transaction.
pub const LEASE: Duration = Duration::from_secs(3);
/// How long a reader waits when the database failed it.
pub const RETRY: Duration = Duration::from_millis(500);
/// How often a row may fail before it is given up.
pub const ATTEMPTS: i64 = 10;
/// Rows of one transaction.
pub const PAGE: u64 = 1000;
/// Rows of a parked stream in one transaction.
const PARKED_PAGE: u64 = 200;
/// The first pause before a row that failed is tried again; each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Characters of an error that are kept.
const ERROR_CHARS: usize = 500;

/// What follows from events, with effects in the database alone.
pub trait Reader: Send + Sync + 'static {
    /// The name of its row in `readers`, for ever.
    fn name(&self) -> &str;

    /// How long it rests after a page that was not full, so that the next one is worth its transaction.
    fn rest(&self) -> Duration;

    /// Does what follows from `rows` with statements of the transaction, whole sets at a time, and nothing else: it runs
    /// again when the transaction fails. Of each stream the rows come in the order of their revisions, each once. An error
    /// says that one of the rows cannot be handled, unless the database caused it by being away.
    fn handle<'t>(&'t self, conn: &'t Transaction, rows: &'t [&'t LogRow]) -> Work<'t, ()>;
}

/// What a turn did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// It read; there may be more.
    Read {
        /// Whether there is more for certain.
        full: bool,
    },
    /// There is nothing to do until the log grows, or until this moment.
    Idle(Option<Timestamp>),
}

/// One reader on one node.
pub struct Runner {
    app: App,
    reader: Arc<dyn Reader>,
    node: String,
}

/// What came of a transaction of the reader.
#[derive(PartialEq, Eq)]
enum Outcome {
    Committed,
    /// Another node holds the reader, or has moved its cursor; nothing was changed.
    Overtaken,
}

impl Runner {
    /// Of a reader, for a node.
    pub fn new(app: App, reader: Arc<dyn Reader>, node: &str) -> Self {
        Self { app, reader, node: node.to_owned() }
    }

    /// Reads until the server stops.
    pub async fn run(self: Arc<Self>, mut signals: Signals) {
        let taken = self.guarded(async {
            let _turn = self.app.db().turn(Class::System).await;
            Ok(readers::take_over(self.app.db().write()?, self.reader.name()).await?)
        });
        if let Err(error) = taken.await {
            tracing::warn!(%error, "the lease of a node that died was not ended; it expires");
        }
        let (reader, trouble) = (self.reader.name(), Trouble::default());
        while !signals.is_stopping() {
            signals.look();
            let turn = self.turn().await;
            if turn.is_ok() && trouble.is_over() {
                tracing::info!(reader, "a reader of the log goes on");
            }
            match turn {
                Ok(Turn::Read { full: true }) => {}
                Ok(Turn::Read { full: false }) => signals.rest(self.reader.rest()).await,
                Ok(Turn::Idle(until)) => signals.growth(until.map(|until| until.since(Timestamp::now()))).await,
                Err(error) => {
                    if trouble.failed() {
                        tracing::warn!(reader, %error, "a reader of the log cannot go on; trying again");
                    }
                    signals.rest(RETRY).await;
                }
            }
        }
    }

    /// Handles one page, or one parked stream that is due. It may be dropped at any await: what it began is rolled back.
    pub async fn turn(&self) -> Result<Turn> {
        let now = Timestamp::now();
        let Some((cursor, parked)) = self.stand(now).await? else { return Ok(Turn::Read { full: true }) };
        let (cursor, until) = match cursor {
            Ok(cursor) => (cursor, parked.as_ref().map(|row| row.next_at)),
            Err(until) => return Ok(Turn::Idle(Some(until))),
        };
        if let Some(row) = parked.filter(|row| row.next_at <= now) {
            self.again(&row, now).await?;
            return Ok(Turn::Read { full: true });
        }
        let rows =
            self.guarded(async { Ok(readers::page(self.app.db().read(Share::Log), cursor, PAGE).await?) }).await?;
        let Some(last) = rows.last() else { return Ok(Turn::Idle(until)) };
        let upto = last.position;
        self.read(&rows, cursor, upto, now).await?;
        Ok(Turn::Read { full: rows.len() as u64 == PAGE })
    }

    /// Where the reader stands, or until when another node holds it; and its next parked row. `None` when it was
    /// registered just now.
    async fn stand(&self, now: Timestamp) -> Result<Option<(Result<i64, Timestamp>, Option<Parked>)>> {
        let name = self.reader.name();
        self.guarded(async {
            let conn = self.app.db().read(Share::Log);
            let Some(lease) = readers::lease(conn, name).await? else {
                let _turn = self.app.db().turn(Class::System).await;
                readers::register(self.app.db().write()?, name, 0, now).await?;
                return Ok(None);
            };
            if lease.is_others(&self.node, now) {
                return Ok(Some((Err(lease.until.plus(Duration::from_millis(1))), None)));
            }
            Ok(Some((Ok(lease.cursor), readers::next_parked(conn, name).await?)))
        })
        .await
    }

    /// Handles `rows`, which lie behind `cursor` and reach to `upto`, or as many of the first as can be handled.
    async fn read(&self, rows: &[LogRow], cursor: i64, upto: i64, now: Timestamp) -> Result<()> {
        let mut count = rows.len();
        loop {
            let upto = rows.get(count).map_or(upto, |next| next.position - 1);
            match self.guarded(self.apply(&rows[..count], cursor, upto, now)).await {
                Ok(_) => return Ok(()),
                Err(error) if !is_of_a_row(&error) => return Err(error),
                Err(_) if count > 1 => count /= 2,
                Err(error) => {
                    self.guarded(self.park(&rows[0], cursor, upto, now, &error)).await?;
                    return Ok(());
                }
            }
        }
    }

    async fn apply(&self, rows: &[LogRow], cursor: i64, upto: i64, now: Timestamp) -> Result<Outcome> {
        let name = self.reader.name();
        self.fenced(now, async |tx, stands| {
            if stands != cursor {
                return Ok(Outcome::Overtaken);
            }
            let mut streams: Vec<Stream> = rows.iter().map(|row| row.stream).collect();
            streams.sort_unstable();
            streams.dedup();
            let waiting = readers::parked(tx, name, &streams).await?;
            let rows: Vec<&LogRow> = rows.iter().filter(|row| !waiting.contains(&row.stream)).collect();
            if !rows.is_empty() {
                self.handle(tx, &rows).await?;
            }
            readers::advance(tx, name, upto).await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    /// A reader that panics has failed like one that refuses.
    async fn handle(&self, tx: &Transaction, rows: &[&LogRow]) -> Result<()> {
        let part = self.app.supervision().part(format!("reader {}", self.reader.name()));
        part.attempt(self.reader.handle(tx, rows)).await.unwrap_or_else(|panicked| Err(Error::internal(panicked)))
    }

    async fn park(&self, row: &LogRow, cursor: i64, upto: i64, now: Timestamp, error: &Error) -> Result<Outcome> {
        let name = self.reader.name();
        let text = told(error);
        tracing::warn!(reader = name, stream = ?row.stream, rev = row.rev.0, error = text, "a stream is parked");
        self.fenced(now, async |tx, stands| {
            if stands != cursor {
                return Ok(Outcome::Overtaken);
            }
            readers::park(tx, name, (row.stream, row.rev), now.plus(FIRST_PAUSE), &text).await?;
            readers::advance(tx, name, upto).await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    /// Tries a parked row again, and those that wait behind it.
    async fn again(&self, row: &Parked, now: Timestamp) -> Result<()> {
        let mut limit = PARKED_PAGE;
        loop {
            match self.guarded(self.resume(row, limit, now)).await {
                Ok(_) => return Ok(()),
                Err(error) if !is_of_a_row(&error) => return Err(error),
                // one of those behind it may be the one that fails
                Err(_) if limit > 1 => limit = 1,
                Err(error) => {
                    self.guarded(self.fail(row, now, &error)).await?;
                    return Ok(());
                }
            }
        }
    }

    async fn resume(&self, parked: &Parked, limit: u64, now: Timestamp) -> Result<Outcome> {
        let name = self.reader.name();
        self.fenced(now, async |tx, cursor| {
            if !readers::is_parked(tx, name, parked).await? {
                return Ok(Outcome::Overtaken);
            }
            let rows = readers::stream_page(tx, parked.stream, parked.rev, cursor, limit).await?;
            let rows: Vec<&LogRow> = rows.iter().collect();
            if !rows.is_empty() {
                self.handle(tx, &rows).await?;
            }
            let more = rows.last().filter(|_| rows.len() as u64 == limit);
            readers::move_parked(tx, name, parked, more.map(|last| last.rev.next()), now).await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    async fn fail(&self, parked: &Parked, now: Timestamp, error: &Error) -> Result<Outcome> {
        let name = self.reader.name();
        let (text, attempts) = (told(error), parked.attempts + 1);
        let given_up = attempts >= ATTEMPTS;
        if given_up {
            tracing::error!(reader = name, stream = ?parked.stream, rev = parked.rev.0, error = text, "a row is given up");
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow((attempts - 1).clamp(0, 20) as u32);
        self.fenced(now, async |tx, _| {
            if !readers::is_parked(tx, name, parked).await? {
                return Ok(Outcome::Overtaken);
            }
            readers::failed_again(tx, name, parked, now.plus(pause), &text, given_up).await?;
            Ok(Outcome::Committed)
        })
        .await
    }

    /// Runs `work` in a transaction that holds the reader's row; it is given the cursor. Nothing is committed unless it
    /// says so, and nothing at all while another node holds the reader.
    async fn fenced(
        &self,
        now: Timestamp,
        work: impl AsyncFnOnce(&Transaction, i64) -> Result<Outcome>,
    ) -> Result<Outcome> {
        let _turn = self.app.db().turn(Class::System).await;
        let tx = self.app.db().begin().await?;
        let claimed = readers::claim(&tx, self.reader.name(), &self.node, now, now.plus(LEASE)).await?;
        let outcome = match claimed {
            Some(cursor) => work(&tx, cursor).await,
            None => Ok(Outcome::Overtaken),
        };
        if matches!(outcome, Ok(Outcome::Committed)) {
            tx.commit().await?;
        } else {
            tx.rollback().await;
        }
        outcome
    }

    async fn guarded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.app.db().guard(work).await
    }
}

/// Whether an error speaks of a row, rather than of a database that is away, busy or slow.
fn is_of_a_row(error: &Error) -> bool {
    match error.cause().and_then(|cause| cause.downcast_ref::<DbErr>()) {
        Some(cause) => matches!(store::failure(cause), Failure::Data | Failure::Fault),
        None => ![Code::Busy, Code::Unavailable].contains(&error.code()),
    }
}

/// An error as an admin is told of it.
fn told(error: &Error) -> String {
    let text = error.cause().map_or_else(|| error.to_string(), ToString::to_string);
    text.chars().filter(|letter| *letter != '\0').take(ERROR_CHARS).collect()
}
