//! The shared parts of the tests of the relay: random changes in a group, a reader that can be made to fail, and a
//! recount that the statistics must equal.

use crate::harness::{TestApp, TestSend};
use crate::support::Random;
use greenroom::domain::caller::Caller;
use greenroom::domain::content::Content;
use greenroom::domain::ids::{ConversationId, MessageId};
use greenroom::domain::links::links;
use greenroom::domain::stream::Stream;
use greenroom::error::Error;
use greenroom::mailboxes::Ephemeral;
use greenroom::protocol::messages::Audience;
use greenroom::relay::reader::{Begin, PageLimit, Reader, RoundResult};
use greenroom::relay::runner::ReaderRunner;
use greenroom::relay::sequencer::{self, Sequencer};
use greenroom::relay::statistics::Statistics;
use greenroom::store::dialect;
use greenroom::store::log::readers::LogRow;
use greenroom::usecases::{deletions, edits};
use greenroom::work::transact::WorkFuture;
use greenroom::work::tx::Tx;
use sea_orm::{ConnectionTrait, DbErr, TryGetable};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// Polls `work` at most `polls` times and then drops it. With growing `polls` it is dropped at each of its awaits.
pub async fn polled<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = Box::pin(work);
    let mut made = 0;
    poll_fn(move |context| {
        made += 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if made >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A group of three users who send, change and delete messages.
pub struct Talk {
    pub users: Vec<Caller>,
    pub group: ConversationId,
    sent: Vec<(MessageId, Caller)>,
}

impl Talk {
    pub async fn new(test: &TestApp) -> Self {
        let users = test.users(3).await;
        let group = test.group(&users).await;
        Self { users, group, sent: Vec::new() }
    }

    /// Returns the stream of the group.
    pub fn stream(&self) -> Stream {
        Stream::Conversation(self.group)
    }

    /// Sends a message, sometimes with links.
    pub async fn say(&mut self, test: &TestApp, random: &mut Random) {
        let sender = *random.pick(&self.users);
        let content = match random.between(0, 4) {
            0 => "https://a.example/ and http://b.example".to_owned(),
            1 => "(https://c.example).".to_owned(),
            _ => "only words".to_owned(),
        };
        let post = TestSend::new(self.group, &sender, content);
        self.sent.push((post.id, sender));
        test.send(post).await.unwrap();
    }

    /// Sends, edits or deletes a message.
    pub async fn act(&mut self, test: &TestApp, random: &mut Random) {
        if self.sent.is_empty() || random.one_in(2) {
            return self.say(test, random).await;
        }
        let at = random.between(0, self.sent.len() as u64) as usize;
        let (id, sender) = self.sent[at];
        if random.one_in(3) {
            self.sent.swap_remove(at);
            deletions::delete(&test.app, &sender, self.group, id, Audience::Everyone).await.unwrap();
        } else {
            let content = if random.one_in(2) { "https://d.example" } else { "changed" };
            edits::edit(&test.app, &sender, self.group, id, Content::parse(content).unwrap()).await.unwrap();
        }
    }
}

/// The sequencer of a node, on PostgreSQL, and its runner of one reader.
pub struct Node {
    pub sequencer: Option<Sequencer>,
    pub runner: ReaderRunner,
}

impl Node {
    /// Creates a node with the reader of the statistics.
    pub fn new(test: &TestApp, name: &str) -> Self {
        Self::with(test, name, Arc::new(Statistics))
    }

    pub fn with(test: &TestApp, name: &str, reader: Arc<dyn Reader>) -> Self {
        let app = &test.app;
        Self {
            sequencer: sequencer::is_needed(app).then(|| Sequencer::new(app.clone(), name)),
            runner: ReaderRunner::new(app.clone(), reader, name),
        }
    }

    /// Gives a position to every row, on PostgreSQL.
    pub async fn stamp(&self) {
        if let Some(sequencer) = &self.sequencer {
            while sequencer.run_round().await.unwrap() > 0 {}
        }
    }

    /// Runs rounds until there is nothing to read.
    pub async fn read(&self) {
        self.stamp().await;
        while !matches!(self.runner.run_round().await.unwrap(), RoundResult::Idle(_)) {}
    }
}

/// Makes every lease expire.
pub async fn expire(test: &TestApp) {
    write(test, "UPDATE readers SET leased_until = 0").await;
}

/// Ends the pause of every parked stream.
pub async fn due(test: &TestApp) {
    write(test, "UPDATE reader_failures SET next_at = 0").await;
}

/// Executes a statement while other transactions are writing.
pub async fn write(test: &TestApp, statement: &str) {
    let _turn = test.app.db().take_server_turn(greenroom::store::db::write_queue::ServerWriter::System).await;
    test.run(statement).await;
}

/// The statistics: the messages, links and first time of each conversation, the messages of each sender, and the links.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Counts {
    conversations: BTreeMap<Uuid, (i64, i64, Option<i64>)>,
    senders: BTreeMap<(Uuid, Uuid), i64>,
    links: BTreeSet<(Uuid, i64, i64, String)>,
}

fn get<T: TryGetable>(row: &sea_orm::QueryResult, name: &str) -> T {
    row.try_get("", name).unwrap()
}

impl Counts {
    /// Reads the statistics of the reader.
    pub async fn kept(test: &TestApp) -> Self {
        let mut counts = Self::default();
        for row in test.rows("SELECT * FROM conversation_statistics").await {
            let counted = (get(&row, "messages"), get(&row, "links"), get(&row, "first_message_at"));
            counts.conversations.insert(get(&row, "conversation_id"), counted);
        }
        for row in test.rows("SELECT * FROM sender_statistics").await {
            counts.senders.insert((get(&row, "conversation_id"), get(&row, "user_id")), get(&row, "messages"));
        }
        for row in test.rows("SELECT * FROM message_links").await {
            let link = (get(&row, "message_id"), get(&row, "position"), get(&row, "seq"), get(&row, "url"));
            counts.links.insert(link);
        }
        counts
    }

    /// Counts the messages.
    pub async fn recounted(test: &TestApp) -> Self {
        let mut counts = Self::default();
        let messages = "SELECT * FROM messages WHERE sender_id IS NOT NULL ORDER BY conversation_id, seq";
        for row in test.rows(messages).await {
            let (conversation, sender): (Uuid, Uuid) = (get(&row, "conversation_id"), get(&row, "sender_id"));
            let (id, content): (Uuid, String) = (get(&row, "id"), get(&row, "content"));
            let counted = counts.conversations.entry(conversation).or_insert((0, 0, None));
            counted.0 += 1;
            counted.2 = counted.2.or(Some(get(&row, "created_at")));
            *counts.senders.entry((conversation, sender)).or_default() += 1;
            for (position, url) in links(&content).into_iter().enumerate() {
                counted.1 += 1;
                counts.links.insert((id, position as i64, get(&row, "seq"), url.to_owned()));
            }
        }
        counts
    }

    /// Panics if the statistics differ from the recount.
    pub async fn check(test: &TestApp) {
        let failures = test.rows("SELECT last_error FROM reader_failures WHERE reader = 'statistics'").await;
        let failures: Vec<String> = failures.iter().map(|row| get(row, "last_error")).collect();
        assert_eq!(failures, Vec::<String>::new());
        assert_eq!(Self::kept(test).await, Self::recounted(test).await);
    }
}

/// A reader that records the rows that it gets in a table of its own, and fails at chosen rows.
pub struct Diary {
    fails: Mutex<BTreeMap<(Stream, i64), Failing>>,
    begin: Begin,
    limit: PageLimit,
    /// Pages of more rows than this take too long.
    slow_above: AtomicUsize,
    /// The sizes of the rows of each page that it got.
    pages: Mutex<Vec<Vec<usize>>>,
}

/// How far behind this reader may be.
pub const DIARY_LAG: Duration = Duration::from_hours(100);

/// The kind of a failure.
#[derive(Clone, Copy)]
pub enum Failing {
    /// The reader cannot process the row.
    Row,
    /// The database refuses a statement.
    Data,
    /// The database is down.
    Away,
    /// The row reports that it took too long, without waiting.
    Slow,
}

impl Diary {
    /// Creates the reader and its table. The key of the table refuses a row that is recorded twice.
    pub async fn new(test: &TestApp) -> Arc<Self> {
        Self::with(test, Begin::Start, PageLimit { rows: 1000, bytes: 1 << 20 }).await
    }

    /// Creates the reader and its table, with its start and its pages.
    pub async fn with(test: &TestApp, begin: Begin, limit: PageLimit) -> Arc<Self> {
        let table = "CREATE TABLE diary (
            line INTEGER NOT NULL, kind INTEGER NOT NULL, stream TEXT NOT NULL, rev BIGINT NOT NULL, UNIQUE (stream, rev))";
        test.run(table).await;
        Self::again(begin, limit)
    }

    /// Creates the reader for a table that exists.
    pub fn again(begin: Begin, limit: PageLimit) -> Arc<Self> {
        let (fails, slow_above, pages) = (Mutex::default(), AtomicUsize::new(usize::MAX), Mutex::default());
        Arc::new(Self { fails, begin, limit, slow_above, pages })
    }

    /// Makes the next page of more than this number of rows take too long.
    pub fn slow_down(&self, above: usize) {
        self.slow_above.store(above, Ordering::Relaxed);
    }

    /// Takes the sizes of the rows of each page since the last call.
    pub fn pages(&self) -> Vec<Vec<usize>> {
        std::mem::take(&mut self.pages.lock().unwrap())
    }

    /// Makes a row fail from now on.
    pub fn fail(&self, stream: Stream, rev: i64, how: Failing) {
        self.fails.lock().unwrap().insert((stream, rev), how);
    }

    /// Ends all failures.
    pub fn heal(&self) {
        self.fails.lock().unwrap().clear();
    }

    /// Returns the revisions of a stream in the order in which they were recorded.
    pub async fn revs(test: &TestApp, stream: Stream) -> Vec<i64> {
        let query = format!("SELECT rev FROM diary WHERE stream = '{}' ORDER BY line", stream.id());
        test.rows(&query).await.iter().map(|row| get(row, "rev")).collect()
    }
}

impl Reader for Diary {
    fn name(&self) -> &'static str {
        "diary"
    }

    fn begin(&self) -> Begin {
        self.begin
    }

    fn max_lag(&self) -> Duration {
        DIARY_LAG
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
                let failing = self.fails.lock().unwrap().get(&(row.stream, row.rev.0)).copied();
                match failing {
                    Some(Failing::Row) => return Err(Error::internal("this row cannot be read")),
                    Some(Failing::Away) => return Err(Error::unavailable("the database is away")),
                    Some(Failing::Slow) => {
                        let elapsed = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
                        return Err(Error::database_unreachable(elapsed.unwrap_err()));
                    }
                    Some(Failing::Data) | None => {}
                }
                let kind = if failing.is_some() { "NULL" } else { "1" };
                let text = format!(
                    "INSERT INTO diary SELECT (SELECT count(*) FROM diary), {kind}, '{}', {}",
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

/// Returns the parked streams with revision, attempts and status.
pub async fn parked(test: &TestApp) -> Vec<(Uuid, i64, i64, String)> {
    let rows = test.rows("SELECT * FROM reader_failures ORDER BY stream_id").await;
    rows.iter().map(|row| (get(row, "stream_id"), get(row, "rev"), get(row, "attempts"), get(row, "status"))).collect()
}

/// Returns the position of a reader.
pub async fn cursor(test: &TestApp, name: &str) -> i64 {
    let rows = test.rows(&format!("SELECT cursor FROM readers WHERE name = '{name}'")).await;
    rows.first().map_or(0, |row| get(row, "cursor"))
}

/// Panics unless every log row has a position, the positions have no gap, and those of a stream are in the order of its
/// revisions.
pub async fn check_order(test: &TestApp) {
    let order = if test.is_postgres() { "position" } else { "id" };
    let rows = test.rows(&format!("SELECT {order} AS place, stream_id, rev FROM outbox ORDER BY {order}")).await;
    let mut revs: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let place: Option<i64> = get(row, "place");
        if test.is_postgres() {
            assert_eq!(place, Some(index as i64 + 1), "positions are dense");
        }
        let rev: i64 = get(row, "rev");
        let last = revs.insert(get(row, "stream_id"), rev).unwrap_or(0);
        assert_eq!(rev, last + 1, "of one stream the order is that of revisions");
    }
}
