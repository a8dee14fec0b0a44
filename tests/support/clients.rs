//! Clients for long runs: writers that repeat their messages until the server answers, and readers. Everything that
//! they send and receive is recorded, for [`super::history::check`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::follower::Follower;
use super::history::{Conversation, Recorder, Row, SendId};
use super::rest::Body;
use super::{Random, TestSocket, TestUser};

/// The greatest number of unacknowledged messages of one writer.
const WINDOW: usize = 4;
/// The error codes after which a client sends the same message again.
const TRANSIENT: [&str; 3] = ["unavailable", "busy", "rate_limited"];

/// The state that all clients of a run share.
#[derive(Clone, Default)]
pub struct Run {
    pub recorder: Recorder,
    /// The number of acknowledgements so far.
    pub acknowledged: Arc<AtomicU64>,
    /// True when the writers send no new messages and only complete the unacknowledged ones.
    pub closing: Arc<AtomicBool>,
    /// The error codes that a send may get, for example because its sender was removed. Any other code is a failure.
    pub expected_errors: &'static [&'static str],
    /// The pause of a writer between two messages.
    pub pause: Duration,
}

/// A message without an acknowledgement.
struct Pending {
    conversation: String,
    temp_id: String,
    content: String,
    send: SendId,
}

impl Pending {
    /// Returns the path and the body of the REST call for the same message.
    fn request(&self) -> (String, Value) {
        let path = format!("/conversations/{}/messages", self.conversation);
        (path, json!({ "content": self.content, "temp_id": self.temp_id }))
    }

    fn send_over(&self, socket: &TestSocket) {
        socket.send(json!({
            "type": "message.send",
            "id": self.temp_id,
            "payload": {
                "conversation_id": self.conversation,
                "content": self.content,
                "temp_id": self.temp_id,
            },
        }));
    }
}

/// What a writer does after a frame.
enum Next {
    Continue,
    /// Send the message with this index again, after the pause in the error.
    Repeat(usize, Duration),
}

/// Sends to these conversations until the run closes. After every loss of the connection it sends the unacknowledged
/// messages again.
pub async fn write(
    mut client: Follower,
    conversations: Vec<String>,
    run: Run,
    mut random: Random,
) -> (Follower, TestSocket) {
    let mut pending: VecDeque<Pending> = VecDeque::new();
    let mut socket = client.connect(&mut random).await;
    let mut number = 0;
    loop {
        while pending.len() < WINDOW && !run.closing.load(Ordering::Relaxed) {
            number += 1;
            let conversation = random.pick(&conversations).clone();
            let temp_id = format!("{}-{number}-{:x}", client.user.username, random.next());
            let send = run.recorder.add_send(&conversation, &client.user.id, &temp_id);
            let content = format!("message {number} of {}", client.user.username);
            let message = Pending { conversation, temp_id, content, send };
            message.send_over(&socket);
            pending.push_back(message);
        }
        if pending.is_empty() {
            return (client, socket);
        }
        if let Ok(frame) = socket.try_frame().await {
            client.record(&frame);
            if let Next::Repeat(index, pause) = record_answer(&frame, &mut pending, &run) {
                tokio::time::sleep(pause).await;
                pending[index].send_over(&socket);
            }
        } else {
            socket = client.connect(&mut random).await;
            for message in &pending {
                // Some clients send the same message over REST at the same time. It must still be one message.
                if random.one_in(3) {
                    tokio::spawn(send_over_rest(client.user.clone(), run.clone(), message.request(), message.send));
                }
                message.send_over(&socket);
            }
        }
        if !run.pause.is_zero() {
            tokio::time::sleep(run.pause).await;
        }
    }
}

/// Sends a message over REST. If the server dies before it answers, the outcome is unknown and the answer on the socket
/// counts.
async fn send_over_rest(user: TestUser, run: Run, (path, body): (String, Value), send: SendId) {
    let answer = user.target.try_call(Method::POST, &path, Some(&user.access_token), Body::Json(body)).await;
    match answer {
        Ok(answer) if matches!(answer.status, 200 | 201) => run.recorder.add_acknowledgement(send, &answer.body, None),
        Ok(answer) if matches!(answer.status, 503 | 429 | 401) => (),
        Ok(answer) => run.recorder.add_error(send, &format!("{} {}", answer.status, answer.body)),
        Err(_) => (),
    }
}

/// Records the answer to a send, if the frame is one. Returns what the writer does next.
fn record_answer(frame: &Value, pending: &mut VecDeque<Pending>, run: &Run) -> Next {
    let Some(index) = pending.iter().position(|message| frame["id"] == message.temp_id.as_str()) else {
        return Next::Continue;
    };
    let payload = &frame["payload"];
    let code = payload["code"].as_str().unwrap_or_default();
    if frame["type"] == "error" && TRANSIENT.contains(&code) {
        let pause = payload["retry_after_ms"].as_u64().unwrap_or(100).clamp(10, 1_000);
        return Next::Repeat(index, Duration::from_millis(pause));
    }
    let message = pending.remove(index).expect("the index was just found");
    if frame["type"] == "error" && run.expected_errors.contains(&code) {
        run.recorder.add_error(message.send, code);
        return Next::Continue;
    }
    assert_eq!(frame["type"], "message.sent", "the answer to a send is {frame}");
    assert_eq!(payload["temp_id"], message.temp_id.as_str());
    let rev = payload["rev"].as_i64();
    assert!(rev.is_some(), "message.sent names a revision: {frame}");
    run.recorder.add_acknowledgement(message.send, &payload["message"], rev);
    run.acknowledged.fetch_add(1, Ordering::Relaxed);
    Next::Continue
}

/// Receives events until the run closes.
pub async fn read(mut client: Follower, run: Run, mut random: Random) -> (Follower, TestSocket) {
    let mut socket = client.connect(&mut random).await;
    while !run.closing.load(Ordering::Relaxed) {
        match socket.poll_frame(Duration::from_millis(100)).await {
            Some(Ok(frame)) => client.record(&frame),
            Some(Err(_)) => socket = client.connect(&mut random).await,
            None => (),
        }
    }
    (client, socket)
}

/// The ids of conversations, each with the ids of its participants.
pub type Conversations = Vec<(String, Vec<String>)>;

/// Creates a direct conversation of each pair of users, and `groups` groups of all users, each with another owner.
pub async fn create_conversations(users: &[TestUser], groups: usize) -> Conversations {
    let mut created = Vec::new();
    for (index, one) in users.iter().enumerate() {
        for other in &users[index + 1..] {
            created.push((one.direct(other).await, vec![one.id.clone(), other.id.clone()]));
        }
    }
    for (number, owner) in users.iter().take(groups).enumerate() {
        let others: Vec<&TestUser> = users.iter().filter(|user| user.id != owner.id).collect();
        let id = owner.group(&format!("group {number}"), &others).await;
        created.push((id, users.iter().map(|user| user.id.clone()).collect()));
    }
    created
}

/// Returns the `last_seq` and `last_rev` of each conversation.
pub async fn get_last_numbers(users: &[TestUser], conversations: &Conversations) -> BTreeMap<String, (i64, i64)> {
    let mut numbers = BTreeMap::new();
    for (id, participants) in conversations {
        let reader = users.iter().find(|user| participants.contains(&user.id)).expect("a participant");
        let conversation = reader.conversation(id).await;
        let number = |name: &str| conversation[name].as_i64().expect("a number");
        numbers.insert(id.clone(), (number("last_seq"), number("last_rev")));
    }
    numbers
}

/// Records the messages of each conversation that were stored during the run. `before` and `after` are the numbers of
/// [`get_last_numbers`] at both times.
pub async fn record_conversations(
    run: &Run,
    users: &[TestUser],
    conversations: &Conversations,
    before: &BTreeMap<String, (i64, i64)>,
    after: &BTreeMap<String, (i64, i64)>,
) {
    for (id, participants) in conversations {
        let ((first_seq, first_rev), (last_seq, last_rev)) = (before[id], after[id]);
        let reader = users.iter().find(|user| participants.contains(&user.id)).expect("a participant");
        let messages = reader.history(id).await;
        let rows = messages.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
        run.recorder.add_conversation(id, Conversation { first_seq, first_rev, last_seq, last_rev, rows });
    }
}
