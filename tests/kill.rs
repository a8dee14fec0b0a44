//! The kill test (G1, G2, G3): writers and readers over twenty conversations while the server is killed again and
//! again without warning. What was acknowledged is there, once and in order, and nobody missed anything.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support::follower::Follower;
use support::history::{Conversation, Recorder, Row, SendId, check};
use support::rest::Body;
use support::{DEADLINE, Random, TestServer, TestSocket, TestUser, eventually_within};

const KILLS: u64 = 20;
const USERS: usize = 6;
/// Messages that one writer has on the wire at a time.
const WINDOW: usize = 4;

/// What all tasks of the run share.
#[derive(Clone)]
struct Run {
    recorder: Recorder,
    /// Acknowledgements so far, by which the killer measures time.
    acknowledged: Arc<AtomicU64>,
    /// No new messages any more; what is open is still brought to its end.
    closing: Arc<AtomicBool>,
}

/// A message that is not acknowledged yet.
struct Pending {
    conversation: String,
    temp_id: String,
    content: String,
    send: SendId,
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_disordered_when_the_server_is_killed() {
    let mut random = Random::from_environment();
    let mut server = TestServer::start().await;
    let users = register(&server).await;
    let conversations = conversations(&users).await;
    assert_eq!(conversations.len(), 20);
    let before = stand(&users, &conversations).await;

    let run = Run { recorder: Recorder::default(), acknowledged: Arc::default(), closing: Arc::default() };
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    for user in &users {
        let mine: Vec<String> =
            conversations.iter().filter(|(_, of)| of.contains(&user.id)).map(|(id, _)| id.clone()).collect();
        let name = |kind: &str| format!("{}'s {kind}", user.username);
        let writer = Follower::new(user, &name("writer"), &run.recorder).await;
        let reader = Follower::new(user, &name("reader"), &run.recorder).await;
        writers.push(tokio::spawn(write(writer, mine, run.clone(), random.fork())));
        readers.push(tokio::spawn(read(reader, run.clone(), random.fork())));
    }

    for kill in 1..=KILLS {
        let target = run.acknowledged.load(Ordering::Relaxed) + random.between(10, 120);
        let what = format!("{target} acknowledgements, to kill for the {kill}. time");
        eventually_within(DEADLINE * 3, &what, async || {
            assert!(!writers.iter().any(tokio::task::JoinHandle::is_finished), "a writer gave up");
            run.acknowledged.load(Ordering::Relaxed) >= target
        })
        .await;
        tokio::time::sleep(Duration::from_micros(random.between(0, 5_000))).await;
        server.kill_nine();
        server.restart().await;
    }

    run.closing.store(true, Ordering::Relaxed);
    let mut clients = Vec::new();
    for writer in writers {
        clients.push(writer.await.expect("the writer ends well"));
    }
    let after = stand(&users, &conversations).await;
    for reader in readers {
        clients.push(reader.await.expect("the reader ends well"));
    }
    let last: BTreeMap<String, i64> = after.iter().map(|(id, (_, rev))| (id.clone(), *rev)).collect();
    for (client, socket) in clients {
        let client = client.finish(socket, &last, &mut random).await;
        assert_eq!(client.resets, 0, "the log reaches back, so nothing is reset");
    }
    for (id, of) in &conversations {
        let ((first_seq, first_rev), (last_seq, last_rev)) = (before[id], after[id]);
        let reader = users.iter().find(|user| of.contains(&user.id)).expect("a participant");
        let messages = reader.history(id).await;
        let rows = messages.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
        run.recorder.conversation(id, Conversation { first_seq, first_rev, last_seq, last_rev, rows });
    }

    let history = run.recorder.history();
    eprintln!("{} messages, {} sessions, {KILLS} kills", history.sends.len(), history.sessions.len());
    let unanswered = history.sends.iter().filter(|send| send.outcomes.is_empty()).count();
    assert_eq!(unanswered, 0, "every message was acknowledged in the end");
    assert_eq!(check(&history), []);
    server.stop().await;
}

async fn register(server: &TestServer) -> Vec<TestUser> {
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(server.user(&format!("user-{number}")).await);
    }
    users
}

/// A direct conversation for each pair and five groups, with the ids of their participants.
async fn conversations(users: &[TestUser]) -> Vec<(String, Vec<String>)> {
    let mut made = Vec::new();
    for (index, one) in users.iter().enumerate() {
        for other in &users[index + 1..] {
            made.push((one.direct(other).await, vec![one.id.clone(), other.id.clone()]));
        }
    }
    for (number, owner) in users.iter().take(5).enumerate() {
        let others: Vec<&TestUser> = users.iter().filter(|user| user.id != owner.id).collect();
        let id = owner.group(&format!("group {number}"), &others).await;
        made.push((id, users.iter().map(|user| user.id.clone()).collect()));
    }
    made
}

/// Each conversation's last number and revision.
async fn stand(users: &[TestUser], conversations: &[(String, Vec<String>)]) -> BTreeMap<String, (i64, i64)> {
    let mut stand = BTreeMap::new();
    for (id, of) in conversations {
        let reader = users.iter().find(|user| of.contains(&user.id)).expect("a participant");
        let conversation = reader.conversation(id).await;
        let number = |name: &str| conversation[name].as_i64().expect("a number");
        stand.insert(id.clone(), (number("last_seq"), number("last_rev")));
    }
    stand
}

/// Sends until the run closes; after every loss of the connection what is unanswered goes out again.
async fn write(mut client: Follower, mine: Vec<String>, run: Run, mut random: Random) -> (Follower, TestSocket) {
    let mut pending: VecDeque<Pending> = VecDeque::new();
    let mut socket = client.connect(&mut random).await;
    let mut number = 0;
    loop {
        while pending.len() < WINDOW && !run.closing.load(Ordering::Relaxed) {
            number += 1;
            let conversation = random.pick(&mine).clone();
            let temp_id = format!("{}-{number}-{:x}", client.user.username, random.next());
            let send = run.recorder.invoke(&conversation, &client.user.id, &temp_id);
            let content = format!("message {number} of {}", client.user.username);
            let message = Pending { conversation, temp_id, content, send };
            put(&socket, &message);
            pending.push_back(message);
        }
        if pending.is_empty() {
            return (client, socket);
        }
        let lost = match socket.try_frame().await {
            Ok(frame) => {
                client.note(&frame);
                !answered(&frame, &mut pending, &run)
            }
            Err(_) => true,
        };
        if lost {
            socket = client.connect(&mut random).await;
            for message in &pending {
                // Some clients have a second way: the same message over REST at the same time is still one message.
                if random.one_in(3) {
                    tokio::spawn(put_over_rest(client.user.clone(), run.clone(), message.request(), message.send));
                }
                put(&socket, message);
            }
        }
    }
}

impl Pending {
    /// The path and the body of the REST call for the same message.
    fn request(&self) -> (String, Value) {
        let path = format!("/conversations/{}/messages", self.conversation);
        (path, json!({ "content": self.content, "temp_id": self.temp_id }))
    }
}

fn put(socket: &TestSocket, message: &Pending) {
    socket.send(json!({
        "type": "message.send",
        "id": message.temp_id,
        "payload": {
            "conversation_id": message.conversation,
            "content": message.content,
            "temp_id": message.temp_id,
        },
    }));
}

/// The server may die under it; then the outcome stays unknown and the socket's answer counts.
async fn put_over_rest(user: TestUser, run: Run, (path, body): (String, Value), send: SendId) {
    let answer = user.target.try_call(Method::POST, &path, Some(&user.access_token), Body::Json(body)).await;
    match answer {
        Ok(answer) if matches!(answer.status, 200 | 201) => run.recorder.stored(send, &answer.body, None),
        Ok(answer) if answer.status == 503 => (),
        Ok(answer) => run.recorder.failed(send, &format!("{} {}", answer.status, answer.body)),
        Err(_) => (),
    }
}

/// Notes the answer to a send. False when the server says that it cannot now: then the connection is begun anew.
fn answered(frame: &Value, pending: &mut VecDeque<Pending>, run: &Run) -> bool {
    let Some(position) = pending.iter().position(|message| frame["id"] == message.temp_id.as_str()) else {
        return true;
    };
    let payload = &frame["payload"];
    if frame["type"] == "error" && payload["code"] == "unavailable" {
        return false;
    }
    let message = pending.remove(position).expect("the position was just found");
    assert_eq!(frame["type"], "message.sent", "a send was answered by {frame}");
    assert_eq!(payload["temp_id"], message.temp_id.as_str());
    let rev = payload["rev"].as_i64();
    assert!(rev.is_some(), "message.sent names a revision: {frame}");
    run.recorder.stored(message.send, &payload["message"], rev);
    run.acknowledged.fetch_add(1, Ordering::Relaxed);
    true
}

/// Reads until the run closes.
async fn read(mut client: Follower, run: Run, mut random: Random) -> (Follower, TestSocket) {
    let mut socket = client.connect(&mut random).await;
    while !run.closing.load(Ordering::Relaxed) {
        match socket.poll_frame(Duration::from_millis(100)).await {
            Some(Ok(frame)) => client.note(&frame),
            Some(Err(_)) => socket = client.connect(&mut random).await,
            None => (),
        }
    }
    (client, socket)
}
