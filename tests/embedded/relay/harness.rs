//! The shared parts of the tests of the relay: random changes in a group, nodes that run a reader, and a recount that
//! the statistics must equal.

pub use super::recording_reader::{Failure, RECORDING_LAG, RecordingReader, check_recorded};
use crate::harness::{TestApp, TestSend};
use crate::support::{DEADLINE, Random};
use greenroom::domain::caller::Caller;
use greenroom::domain::content::Content;
use greenroom::domain::ids::{ConversationId, MessageId};
use greenroom::domain::links::links;
use greenroom::domain::stream::Stream;
use greenroom::domain::time::Timestamp;
use greenroom::error::Error;
use greenroom::protocol::messages::Audience;
use greenroom::relay::floor::LogFloor;
use greenroom::relay::lag::LagWatch;
use greenroom::relay::reader::{Begin, PageLimit, Reader, RoundResult};
use greenroom::relay::retention;
use greenroom::relay::runner::ReaderRunner;
use greenroom::relay::statistics::Statistics;
use greenroom::usecases::{deletions, edits};
use sea_orm::TryGetable;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The time between two rounds of a reader that waits for the floor of the log.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Polls `work` at most `polls` times and then drops it. If `polls` grows from call to call, the work is dropped at
/// each of its awaits.
pub async fn poll_at_most<T>(work: impl Future<Output = T>, polls: u32) -> Option<T> {
    let mut work = Box::pin(work);
    let mut made_polls = 0;
    poll_fn(move |context| {
        made_polls += 1;
        match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if made_polls >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A group of three users who send, change and delete messages.
pub struct TestGroup {
    pub users: Vec<Caller>,
    pub id: ConversationId,
    sent: Vec<(MessageId, Caller)>,
}

impl TestGroup {
    pub async fn new(test: &TestApp) -> Self {
        let users = test.users(3).await;
        let id = test.group(&users).await;
        Self { users, id, sent: Vec::new() }
    }

    /// Returns the stream of the group.
    pub fn stream(&self) -> Stream {
        Stream::Conversation(self.id)
    }

    /// Sends a message, sometimes with links.
    pub async fn send(&mut self, test: &TestApp, random: &mut Random) {
        let sender = *random.pick(&self.users);
        let content = match random.between(0, 4) {
            0 => "https://a.example/ and http://b.example".to_owned(),
            1 => "(https://c.example).".to_owned(),
            _ => "only words".to_owned(),
        };
        let send = TestSend::new(self.id, &sender, content);
        self.sent.push((send.id, sender));
        test.send(send).await.unwrap();
    }

    /// Sends, edits or deletes a message.
    pub async fn send_or_change(&mut self, test: &TestApp, random: &mut Random) {
        if self.sent.is_empty() || random.one_in(2) {
            return self.send(test, random).await;
        }
        let index = random.between(0, self.sent.len() as u64) as usize;
        let (id, sender) = self.sent[index];
        if random.one_in(3) {
            self.sent.swap_remove(index);
            deletions::delete(&test.app, &sender, self.id, id, Audience::Everyone).await.unwrap();
        } else {
            let content = if random.one_in(2) { "https://d.example" } else { "changed" };
            edits::edit(&test.app, &sender, self.id, id, Content::parse(content).unwrap()).await.unwrap();
        }
    }
}

/// The parts of the relay on one node: its floor of the log, and its runner of one reader.
pub struct Node {
    pub floor: LogFloor,
    pub runner: ReaderRunner,
}

impl Node {
    /// Creates a node with the reader of the statistics.
    pub fn new(test: &TestApp, name: &str) -> Self {
        Self::with(test, name, Arc::new(Statistics))
    }

    pub fn with(test: &TestApp, name: &str, reader: Arc<dyn Reader>) -> Self {
        let floor = LogFloor::new(&test.app);
        Self { runner: ReaderRunner::new(test.app.clone(), reader, floor.clone(), name), floor }
    }

    /// Waits until the reader may read all rows of the log, which transactions of other tests may delay on PostgreSQL.
    pub async fn raise_floor(&self) {
        loop {
            let end = self.floor.advance().await.unwrap();
            if end.floor >= end.newest {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Runs rounds until the reader has processed all rows.
    pub async fn read(&self) {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < DEADLINE, "the reader does not reach the end of the log");
            match self.runner.run_round().await.unwrap() {
                RoundResult::Idle(_) => return,
                RoundResult::Waiting => tokio::time::sleep(POLL_INTERVAL).await,
                RoundResult::Worked { .. } => {}
                RoundResult::Failed => panic!("the reader is failed"),
            }
        }
    }
}

/// Removes the rows that are older than `before` and no longer needed, and returns their number. The maximum lag of the
/// recording reader applies.
pub async fn remove_old_rows(test: &TestApp, before: Timestamp) -> u64 {
    let readers: [Arc<dyn Reader>; 1] = [RecordingReader::reopen(Begin::Start, PageLimit { rows: 1, bytes: 1 })];
    retention::remove_old_rows(&test.app, &LagWatch::new(&readers), before).await.unwrap()
}

/// Returns whether `/health` names this part.
pub fn is_failing(test: &TestApp, part: &str) -> bool {
    test.app.supervision().failing().iter().any(|failing| failing == part)
}

/// Fails with a timeout, immediately.
pub async fn time_out() -> Error {
    let elapsed = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
    Error::database_unreachable(elapsed.unwrap_err())
}

/// Makes every lease expire.
pub async fn expire_leases(test: &TestApp) {
    write(test, "UPDATE readers SET leased_until = 0").await;
}

/// Ends the pause of every parked stream.
pub async fn end_pauses(test: &TestApp) {
    write(test, "UPDATE reader_failures SET next_at = 0").await;
}

/// Executes a statement while other transactions are writing.
pub async fn write(test: &TestApp, statement: &str) {
    let _turn = test.app.db().take_server_turn(greenroom::store::db::write_queue::ServerWriter::System).await;
    test.run(statement).await;
}

/// The statistics: for each conversation the numbers of messages and links and the time of the first message, for each
/// sender the number of messages, and the links.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Counts {
    conversations: BTreeMap<Uuid, (i64, i64, Option<i64>)>,
    senders: BTreeMap<(Uuid, Uuid), i64>,
    links: BTreeSet<(Uuid, i64, i64, String)>,
}

pub fn get<T: TryGetable>(row: &sea_orm::QueryResult, name: &str) -> T {
    row.try_get("", name).unwrap()
}

impl Counts {
    /// Returns the statistics that the reader has stored.
    pub async fn stored(test: &TestApp) -> Self {
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

    /// Counts the stored messages, as the reader does.
    pub async fn recount(test: &TestApp) -> Self {
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
        assert_eq!(Self::stored(test).await, Self::recount(test).await);
    }
}

/// Returns each parked stream with its revision, attempts and status.
pub async fn list_parked(test: &TestApp) -> Vec<(Uuid, i64, i64, String)> {
    let rows = test.rows("SELECT * FROM reader_failures ORDER BY stream_id").await;
    rows.iter().map(|row| (get(row, "stream_id"), get(row, "rev"), get(row, "attempts"), get(row, "status"))).collect()
}

/// Returns the id of the last row that a reader has processed.
pub async fn cursor(test: &TestApp, name: &str) -> i64 {
    let rows = test.rows(&format!("SELECT cursor FROM readers WHERE name = '{name}'")).await;
    rows.first().map_or(0, |row| get(row, "cursor"))
}

/// Panics unless the ids of the rows of each stream are in the order of the revisions, which have no gap.
pub async fn check_order(test: &TestApp) {
    let mut revs: BTreeMap<Uuid, i64> = BTreeMap::new();
    for row in test.rows("SELECT stream_id, rev FROM outbox ORDER BY id").await {
        let rev: i64 = get(&row, "rev");
        let last = revs.insert(get(&row, "stream_id"), rev).unwrap_or(0);
        assert_eq!(rev, last + 1, "the events of a stream are not in the order of their revisions");
    }
}
