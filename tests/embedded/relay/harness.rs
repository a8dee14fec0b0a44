//! What the tests of the relay share: things that happen, a reader that can be made to fail, and the recount with which
//! the statistics must agree.

use crate::harness::{Inside, Post};
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
use greenroom::work::transact::{Tx, WorkFuture};
use sea_orm::{ConnectionTrait, DbErr, TryGetable};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// Polls `work` until it is done, or so often at most, and drops it then: at each of its awaits in turn, as the number
/// grows.
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

/// A group of three in which something happens.
pub struct Talk {
    pub users: Vec<Caller>,
    pub group: ConversationId,
    sent: Vec<(MessageId, Caller)>,
}

impl Talk {
    pub async fn new(inside: &Inside) -> Self {
        let users = inside.users(3).await;
        let group = inside.group(&users).await;
        Self { users, group, sent: Vec::new() }
    }

    /// The group's stream.
    pub fn stream(&self) -> Stream {
        Stream::Conversation(self.group)
    }

    /// Somebody says something; some of it has links.
    pub async fn say(&mut self, inside: &Inside, random: &mut Random) {
        let sender = *random.pick(&self.users);
        let text = match random.between(0, 4) {
            0 => "https://a.example/ and http://b.example".to_owned(),
            1 => "(https://c.example).".to_owned(),
            _ => "only words".to_owned(),
        };
        let post = Post::new(self.group, &sender, text);
        self.sent.push((post.id, sender));
        inside.send(post).await.unwrap();
    }

    /// Somebody says something, or changes or deletes what was said.
    pub async fn act(&mut self, inside: &Inside, random: &mut Random) {
        if self.sent.is_empty() || random.one_in(2) {
            return self.say(inside, random).await;
        }
        let at = random.between(0, self.sent.len() as u64) as usize;
        let (id, sender) = self.sent[at];
        if random.one_in(3) {
            self.sent.swap_remove(at);
            deletions::delete(&inside.app, &sender, self.group, id, Audience::Everyone).await.unwrap();
        } else {
            let text = if random.one_in(2) { "https://d.example" } else { "changed" };
            edits::edit(&inside.app, &sender, self.group, id, Content::parse(text).unwrap()).await.unwrap();
        }
    }
}

/// A node's sequencer, where there is one, and its runner of one reader.
pub struct Node {
    pub sequencer: Option<Sequencer>,
    pub runner: ReaderRunner,
}

impl Node {
    /// With the statistics.
    pub fn new(inside: &Inside, name: &str) -> Self {
        Self::with(inside, name, Arc::new(Statistics))
    }

    pub fn with(inside: &Inside, name: &str, reader: Arc<dyn Reader>) -> Self {
        let app = &inside.app;
        Self {
            sequencer: sequencer::is_needed(app).then(|| Sequencer::new(app.clone(), name)),
            runner: ReaderRunner::new(app.clone(), reader, name),
        }
    }

    /// Stamps everything, where that is needed.
    pub async fn stamp(&self) {
        if let Some(sequencer) = &self.sequencer {
            while sequencer.run_round().await.unwrap() > 0 {}
        }
    }

    /// Reads everything that can be read now.
    pub async fn read(&self) {
        self.stamp().await;
        while !matches!(self.runner.run_round().await.unwrap(), RoundResult::Idle(_)) {}
    }
}

/// Has every lease expire now, as time would.
pub async fn expire(inside: &Inside) {
    write(inside, "UPDATE readers SET leased_until = 0").await;
}

/// Has every parked row be due now, as time would.
pub async fn due(inside: &Inside) {
    write(inside, "UPDATE reader_failures SET next_at = 0").await;
}

/// A statement of the test beside whatever is writing.
pub async fn write(inside: &Inside, statement: &str) {
    let _turn = inside.app.db().take_server_turn(greenroom::store::db::write_queue::ServerWriter::System).await;
    inside.run(statement).await;
}

/// What is counted: of each conversation its messages, links and first moment, of each sender the messages, and the links.
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
    /// As the reader has them.
    pub async fn kept(inside: &Inside) -> Self {
        let mut counts = Self::default();
        for row in inside.rows("SELECT * FROM conversation_statistics").await {
            let counted = (get(&row, "messages"), get(&row, "links"), get(&row, "first_message_at"));
            counts.conversations.insert(get(&row, "conversation_id"), counted);
        }
        for row in inside.rows("SELECT * FROM sender_statistics").await {
            counts.senders.insert((get(&row, "conversation_id"), get(&row, "user_id")), get(&row, "messages"));
        }
        for row in inside.rows("SELECT * FROM message_links").await {
            let link = (get(&row, "message_id"), get(&row, "position"), get(&row, "seq"), get(&row, "url"));
            counts.links.insert(link);
        }
        counts
    }

    /// As the messages say.
    pub async fn recounted(inside: &Inside) -> Self {
        let mut counts = Self::default();
        let messages = "SELECT * FROM messages WHERE sender_id IS NOT NULL ORDER BY conversation_id, seq";
        for row in inside.rows(messages).await {
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

    /// Panics where the reader and the messages disagree.
    pub async fn check(inside: &Inside) {
        let failures = inside.rows("SELECT last_error FROM reader_failures WHERE reader = 'statistics'").await;
        let failures: Vec<String> = failures.iter().map(|row| get(row, "last_error")).collect();
        assert_eq!(failures, Vec::<String>::new());
        assert_eq!(Self::kept(inside).await, Self::recounted(inside).await);
    }
}

/// A reader that writes down what it is given, in a table of its own, and fails where it is told to.
pub struct Diary {
    fails: Mutex<BTreeMap<(Stream, i64), Failing>>,
    begin: Begin,
    limit: PageLimit,
    /// Pages of more rows take too long.
    slow_above: AtomicUsize,
    /// The sizes of the rows of each page that it was given.
    pages: Mutex<Vec<Vec<usize>>>,
}

/// How far behind a diary may be.
pub const DIARY_LAG: Duration = Duration::from_hours(100);

/// How a row fails.
#[derive(Clone, Copy)]
pub enum Failing {
    /// The reader cannot handle it.
    Row,
    /// The database refuses it.
    Data,
    /// The database is away.
    Away,
    /// It takes too long, without taking the time.
    Slow,
}

impl Diary {
    /// With its table. Its key refuses a row that is written down twice.
    pub async fn new(inside: &Inside) -> Arc<Self> {
        Self::with(inside, Begin::Start, PageLimit { rows: 1000, bytes: 1 << 20 }).await
    }

    /// With its table, where it begins, and its pages.
    pub async fn with(inside: &Inside, begin: Begin, limit: PageLimit) -> Arc<Self> {
        let table = "CREATE TABLE diary (
            line INTEGER NOT NULL, kind INTEGER NOT NULL, stream TEXT NOT NULL, rev BIGINT NOT NULL, UNIQUE (stream, rev))";
        inside.run(table).await;
        Self::again(begin, limit)
    }

    /// Without its table, which exists already.
    pub fn again(begin: Begin, limit: PageLimit) -> Arc<Self> {
        let (fails, slow_above, pages) = (Mutex::default(), AtomicUsize::new(usize::MAX), Mutex::default());
        Arc::new(Self { fails, begin, limit, slow_above, pages })
    }

    /// The next page of more than so many rows takes too long.
    pub fn slow_down(&self, above: usize) {
        self.slow_above.store(above, Ordering::Relaxed);
    }

    /// Takes the sizes of the rows of each page since the last time.
    pub fn pages(&self) -> Vec<Vec<usize>> {
        std::mem::take(&mut self.pages.lock().unwrap())
    }

    /// This row fails from now on.
    pub fn fail(&self, stream: Stream, rev: i64, how: Failing) {
        self.fails.lock().unwrap().insert((stream, rev), how);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.fails.lock().unwrap().clear();
    }

    /// The revisions of a stream in the order in which they were written down.
    pub async fn revs(inside: &Inside, stream: Stream) -> Vec<i64> {
        let query = format!("SELECT rev FROM diary WHERE stream = '{}' ORDER BY line", stream.id());
        inside.rows(&query).await.iter().map(|row| get(row, "rev")).collect()
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

/// Takes longer than a statement may on PostgreSQL, and than a transaction may on SQLite, which has no such limit.
async fn take_too_long(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    if !dialect::is_postgres(conn) {
        return std::future::pending().await;
    }
    conn.execute_unprepared("SET LOCAL statement_timeout = 50").await?;
    conn.execute_unprepared("SELECT pg_sleep(30)").await.map(drop)
}

/// The parked rows: stream, rev, attempts, status.
pub async fn parked(inside: &Inside) -> Vec<(Uuid, i64, i64, String)> {
    let rows = inside.rows("SELECT * FROM reader_failures ORDER BY stream_id").await;
    rows.iter().map(|row| (get(row, "stream_id"), get(row, "rev"), get(row, "attempts"), get(row, "status"))).collect()
}

/// Where a reader stands.
pub async fn cursor(inside: &Inside, name: &str) -> i64 {
    let rows = inside.rows(&format!("SELECT cursor FROM readers WHERE name = '{name}'")).await;
    rows.first().map_or(0, |row| get(row, "cursor"))
}

/// Panics unless every row of the log has its place, places are dense, and of one stream in the order of revisions.
pub async fn check_order(inside: &Inside) {
    let order = if inside.is_postgres() { "position" } else { "id" };
    let rows = inside.rows(&format!("SELECT {order} AS place, stream_id, rev FROM outbox ORDER BY {order}")).await;
    let mut revs: BTreeMap<Uuid, i64> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let place: Option<i64> = get(row, "place");
        if inside.is_postgres() {
            assert_eq!(place, Some(index as i64 + 1), "positions are dense");
        }
        let rev: i64 = get(row, "rev");
        let last = revs.insert(get(row, "stream_id"), rev).unwrap_or(0);
        assert_eq!(rev, last + 1, "of one stream the order is that of revisions");
    }
}
