//! A reader that records what it gets and fails at chosen rows, and the check that it got everything.

use super::harness::{get, time_out};
use crate::harness::TestApp;
use greenroom::domain::stream::Stream;
use greenroom::error::Error;
use greenroom::mailboxes::Ephemeral;
use greenroom::relay::reader::{Begin, PageLimit, Reader};
use greenroom::store::dialect;
use greenroom::store::log::pages::LogRow;
use greenroom::work::transact::WorkFuture;
use greenroom::work::tx::Tx;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// A reader that records the rows that it gets in a table of its own, and fails at chosen rows.
pub struct RecordingReader {
    failures: Mutex<BTreeMap<(Stream, i64), Failure>>,
    begin: Begin,
    limit: PageLimit,
    /// The next page of more rows than this takes too long.
    slow_above: AtomicUsize,
    /// The sizes of the rows in each page that the reader got.
    pages: Mutex<Vec<Vec<usize>>>,
}

/// The maximum lag of this reader.
pub const RECORDING_LAG: Duration = Duration::from_hours(100);

/// The reason why the reader fails at a row.
#[derive(Clone, Copy)]
pub enum Failure {
    /// The reader cannot process the row.
    Row,
    /// The database refuses a statement.
    Data,
    /// The database is down.
    DatabaseDown,
    /// Processing the row fails with a timeout, at the first poll.
    Slow,
}

impl RecordingReader {
    /// Creates the reader and its table. The key of the table refuses a row that is recorded twice.
    pub async fn new(test: &TestApp) -> Arc<Self> {
        Self::with(test, Begin::Start, PageLimit { rows: 1000, bytes: 1 << 20 }).await
    }

    /// Creates the reader and its table, with its start and its pages.
    pub async fn with(test: &TestApp, begin: Begin, limit: PageLimit) -> Arc<Self> {
        let table = "CREATE TABLE recorded_rows (
            number INTEGER NOT NULL, kind INTEGER NOT NULL, stream TEXT NOT NULL, rev BIGINT NOT NULL,
            UNIQUE (stream, rev))";
        test.run(table).await;
        Self::reopen(begin, limit)
    }

    /// Creates the reader for a table that exists.
    pub fn reopen(begin: Begin, limit: PageLimit) -> Arc<Self> {
        let (failures, slow_above, pages) = (Mutex::default(), AtomicUsize::new(usize::MAX), Mutex::default());
        Arc::new(Self { failures, begin, limit, slow_above, pages })
    }

    /// Makes the next page of more than this number of rows take too long.
    pub fn slow_down(&self, above: usize) {
        self.slow_above.store(above, Ordering::Relaxed);
    }

    /// Returns the sizes of the rows in each page since the last call of this function.
    pub fn take_pages(&self) -> Vec<Vec<usize>> {
        std::mem::take(&mut self.pages.lock().unwrap())
    }

    /// Makes a row fail from now on.
    pub fn fail(&self, stream: Stream, rev: i64, failure: Failure) {
        self.failures.lock().unwrap().insert((stream, rev), failure);
    }

    /// Ends all failures.
    pub fn stop_failing(&self) {
        self.failures.lock().unwrap().clear();
    }

    /// Returns the revisions of a stream in the order in which they were recorded.
    pub async fn revs(test: &TestApp, stream: Stream) -> Vec<i64> {
        let query = format!("SELECT rev FROM recorded_rows WHERE stream = '{}' ORDER BY number", stream.id());
        test.rows(&query).await.iter().map(|row| get(row, "rev")).collect()
    }
}

impl Reader for RecordingReader {
    fn name(&self) -> &'static str {
        "recording"
    }

    fn begin(&self) -> Begin {
        self.begin
    }

    fn max_lag(&self) -> Duration {
        RECORDING_LAG
    }

    fn page_interval(&self) -> Duration {
        Duration::ZERO
    }

    fn page_limit(&self) -> PageLimit {
        self.limit
    }

    fn handle<'t>(&'t self, tx: &'t mut Tx, rows: &'t [&'t LogRow]) -> WorkFuture<'t, Vec<Ephemeral>> {
        Box::pin(async move {
            let conn = tx.conn();
            self.pages.lock().unwrap().push(rows.iter().map(|row| row.text.len()).collect());
            if rows.len() > self.slow_above.load(Ordering::Relaxed) {
                self.slow_down(usize::MAX);
                take_too_long(conn).await?;
            }
            for row in rows {
                let failure = self.failures.lock().unwrap().get(&(row.stream, row.rev.0)).copied();
                match failure {
                    Some(Failure::Row) => return Err(Error::internal("this row cannot be read")),
                    Some(Failure::DatabaseDown) => return Err(Error::unavailable("the database is down")),
                    Some(Failure::Slow) => return Err(time_out().await),
                    Some(Failure::Data) | None => {}
                }
                let kind = if failure.is_some() { "NULL" } else { "1" };
                let text = format!(
                    "INSERT INTO recorded_rows SELECT (SELECT count(*) FROM recorded_rows), {kind}, '{}', {}",
                    row.stream.id(),
                    row.rev.0
                );
                dialect::run(conn, dialect::plain(conn, &text, vec![])).await?;
            }
            Ok(Vec::new())
        })
    }
}

/// Waits longer than a statement may take on PostgreSQL, or than a transaction may take on SQLite.
async fn take_too_long(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    if !dialect::is_postgres(conn) {
        return std::future::pending().await;
    }
    conn.execute_unprepared("SET LOCAL statement_timeout = 50").await?;
    conn.execute_unprepared("SELECT pg_sleep(30)").await.map(drop)
}

/// Panics unless the recording reader got every row of the log once, and those of each stream in the order of their
/// revisions, without a gap.
pub async fn check_recorded(test: &TestApp) {
    let mut revs: BTreeMap<String, i64> = BTreeMap::new();
    for row in test.rows("SELECT stream, rev FROM recorded_rows ORDER BY number").await {
        let (stream, rev): (String, i64) = (get(&row, "stream"), get(&row, "rev"));
        let last = revs.insert(stream, rev).unwrap_or(0);
        assert_eq!(rev, last + 1, "the reader skipped a row, or got it too late");
    }
    let ends = test.rows("SELECT stream_id, max(rev) AS rev FROM outbox GROUP BY stream_id").await;
    let ends: BTreeMap<String, i64> =
        ends.iter().map(|row| (get::<Uuid>(row, "stream_id").to_string(), get(row, "rev"))).collect();
    assert_eq!(revs, ends);
}
