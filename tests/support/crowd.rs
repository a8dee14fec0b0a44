//! Honest clients for long runs: writers that keep messages on their way whatever happens to the server, and readers that
//! follow. What they did and saw is written down, to be judged by [`super::history::check`].

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

/// Messages that one writer has on their way at a time.
const WINDOW: usize = 4;
/// Answers that mean: not now, send it again.
const TRANSIENT: [&str; 3] = ["unavailable", "busy", "rate_limited"];

/// What all clients of a run share.
#[derive(Clone, Default)]
pub struct Run {
    /// Where everything is written down.
    pub recorder: Recorder,
    /// Acknowledgements so far, by which a run measures its progress.
    pub acknowledged: Arc<AtomicU64>,
    /// No new messages any more; what is open is still brought to its end.
    pub closing: Arc<AtomicBool>,
    /// Refusals that are part of the run, because members are removed meanwhile for example. Any other is a fault.
    pub lawful: &'static [&'static str],
    /// The pause between two messages of a writer.
    pub pause: Duration,
}

/// A message that is not acknowledged yet.
struct Pending {
    conversation: String,
    temp_id: String,
    content: String,
    send: SendId,
}

impl Pending {
    /// The path and the body of the REST call for the same message.
    fn request(&self) -> (String, Value) {
        let path = format!("/conversations/{}/messages", self.conversation);
        (path, json!({ "content": self.content, "temp_id": self.temp_id }))
    }

    fn put(&self, socket: &TestSocket) {
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

/// What the answer to a send asks of its writer.
enum Next {
    /// Go on.
    GoOn,
    /// Put this message on the wire again after the pause that the server named.
    Again(usize, Duration),
}

/// Sends until the run closes; after every loss of the connection what is unanswered goes out again.
pub async fn write(mut client: Follower, mine: Vec<String>, run: Run, mut random: Random) -> (Follower, TestSocket) {
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
            message.put(&socket);
            pending.push_back(message);
        }
        if pending.is_empty() {
            return (client, socket);
        }
        if let Ok(frame) = socket.try_frame().await {
            client.note(&frame);
            if let Next::Again(index, pause) = answered(&frame, &mut pending, &run) {
                tokio::time::sleep(pause).await;
                pending[index].put(&socket);
            }
        } else {
            socket = client.connect(&mut random).await;
            for message in &pending {
                // Some clients have a second way: the same message over REST at the same time is still one message.
                if random.one_in(3) {
                    tokio::spawn(put_over_rest(client.user.clone(), run.clone(), message.request(), message.send));
                }
                message.put(&socket);
            }
        }
        if !run.pause.is_zero() {
            tokio::time::sleep(run.pause).await;
        }
    }
}

/// The server may die under it; then the outcome stays unknown and the socket's answer counts.
async fn put_over_rest(user: TestUser, run: Run, (path, body): (String, Value), send: SendId) {
    let answer = user.target.try_call(Method::POST, &path, Some(&user.access_token), Body::Json(body)).await;
    match answer {
        Ok(answer) if matches!(answer.status, 200 | 201) => run.recorder.stored(send, &answer.body, None),
        Ok(answer) if matches!(answer.status, 503 | 429 | 401) => (),
        Ok(answer) => run.recorder.failed(send, &format!("{} {}", answer.status, answer.body)),
        Err(_) => (),
    }
}

/// Notes the answer to a send.
fn answered(frame: &Value, pending: &mut VecDeque<Pending>, run: &Run) -> Next {
    let Some(index) = pending.iter().position(|message| frame["id"] == message.temp_id.as_str()) else {
        return Next::GoOn;
    };
    let payload = &frame["payload"];
    let code = payload["code"].as_str().unwrap_or_default();
    if frame["type"] == "error" && TRANSIENT.contains(&code) {
        let pause = payload["retry_after_ms"].as_u64().unwrap_or(100).clamp(10, 1_000);
        return Next::Again(index, Duration::from_millis(pause));
    }
    let message = pending.remove(index).expect("the index was just found");
    if frame["type"] == "error" && run.lawful.contains(&code) {
        run.recorder.failed(message.send, code);
        return Next::GoOn;
    }
    assert_eq!(frame["type"], "message.sent", "a send was answered by {frame}");
    assert_eq!(payload["temp_id"], message.temp_id.as_str());
    let rev = payload["rev"].as_i64();
    assert!(rev.is_some(), "message.sent names a revision: {frame}");
    run.recorder.stored(message.send, &payload["message"], rev);
    run.acknowledged.fetch_add(1, Ordering::Relaxed);
    Next::GoOn
}

/// Reads until the run closes.
pub async fn read(mut client: Follower, run: Run, mut random: Random) -> (Follower, TestSocket) {
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

/// Conversations by id, each with the ids of its participants.
pub type Conversations = Vec<(String, Vec<String>)>;

/// A direct conversation for each pair, and `groups` groups of all, each owned by another user.
pub async fn conversations(users: &[TestUser], groups: usize) -> Conversations {
    let mut made = Vec::new();
    for (index, one) in users.iter().enumerate() {
        for other in &users[index + 1..] {
            made.push((one.direct(other).await, vec![one.id.clone(), other.id.clone()]));
        }
    }
    for (number, owner) in users.iter().take(groups).enumerate() {
        let others: Vec<&TestUser> = users.iter().filter(|user| user.id != owner.id).collect();
        let id = owner.group(&format!("group {number}"), &others).await;
        made.push((id, users.iter().map(|user| user.id.clone()).collect()));
    }
    made
}

/// Each conversation's last number and revision.
pub async fn positions(users: &[TestUser], conversations: &Conversations) -> BTreeMap<String, (i64, i64)> {
    let mut positions = BTreeMap::new();
    for (id, of) in conversations {
        let reader = users.iter().find(|user| of.contains(&user.id)).expect("a participant");
        let conversation = reader.conversation(id).await;
        let number = |name: &str| conversation[name].as_i64().expect("a number");
        positions.insert(id.clone(), (number("last_seq"), number("last_rev")));
    }
    positions
}

/// Writes down each conversation as the server tells it at the end, from the positions before the run to those after it.
pub async fn note_conversations(
    run: &Run,
    users: &[TestUser],
    conversations: &Conversations,
    before: &BTreeMap<String, (i64, i64)>,
    after: &BTreeMap<String, (i64, i64)>,
) {
    for (id, of) in conversations {
        let ((first_seq, first_rev), (last_seq, last_rev)) = (before[id], after[id]);
        let reader = users.iter().find(|user| of.contains(&user.id)).expect("a participant");
        let messages = reader.history(id).await;
        let rows = messages.iter().map(Row::from_message).filter(|row| row.seq > first_seq).collect();
        run.recorder.conversation(id, Conversation { first_seq, first_rev, last_seq, last_rev, rows });
    }
}
