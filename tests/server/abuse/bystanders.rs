//! Bystanders: they talk, read, sign in, refresh and connect, and write down how long each took and what was refused.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use reqwest::Method;
use serde_json::{Value, json};

use super::attacks::Stop;
use super::harness::seconds;
use crate::support::rest::Body;
use crate::support::{ConnectOptions, PASSWORD, TestUser};

/// Messages of one bystander, a second: well within what a user may send.
const PER_SECOND: u32 = 10;
/// After so many messages a bystander reads what the others said.
const READS_EVERY: u64 = 5;
/// Into so many parts an attack is cut, after each of which a bystander comes once more, as on another device: however
/// long it is, nobody signs in more often than a user may.
const COMINGS: u32 = 3;
/// How long the client waits for the answer to a refresh before it asks again. Any other answer has
/// [`crate::support::DEADLINE`], which is as long as the client waits.
const REFRESH: Duration = Duration::from_secs(5);

/// What bystanders had.
pub struct Had {
    /// What their messages took, in microseconds.
    pub sends: Histogram<u64>,
    /// What everything else took.
    pub others: Histogram<u64>,
    /// What was refused, or came too late.
    pub refused: Vec<String>,
}

impl Default for Had {
    fn default() -> Self {
        let new = || Histogram::new(3).expect("three digits");
        Self { sends: new(), others: new(), refused: Vec::new() }
    }
}

impl Had {
    /// Two bystanders' together.
    pub fn add(&mut self, other: Self) {
        self.sends.add(other.sends).expect("one scale");
        self.others.add(other.others).expect("one scale");
        self.refused.extend(other.refused);
    }

    fn judge(&mut self, is_right: bool, answer: &Value) {
        if !is_right {
            self.refused.push(answer.to_string());
        }
    }
}

/// Talks in `group`, reads it and comes once more, until it is over; one after the other.
pub async fn live(user: TestUser, group: String, stop: Stop) -> Had {
    let mut had = Had::default();
    let mut socket = user.connect_unsubscribed().await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let comes_every = u64::from(PER_SECOND) * seconds().as_secs() / u64::from(COMINGS);
    // each comes once at least, also while all is quiet: the memory that hashing takes is none that an attack took
    for number in 0.. {
        ticks.tick().await;
        if number > 0 && stop.is_over() {
            break;
        }
        // before sending, which marks everything as read
        if number % READS_EVERY == 0 {
            let begun = Instant::now();
            let answer = socket.command("message.read", json!({ "conversation_id": group })).await;
            note(&mut had.others, begun);
            had.judge(answer["type"] == "ack", &answer);
        }
        let begun = Instant::now();
        let answer = socket.command("message.send", json!({ "conversation_id": group, "content": "in peace" })).await;
        note(&mut had.sends, begun);
        had.judge(answer["type"] == "message.sent", &answer);
        if number % comes_every.max(1) == 0 {
            come(&user, &mut had).await;
        }
    }
    had
}

/// Signs in, refreshes, and connects with the new token.
async fn come(user: &TestUser, had: &mut Had) {
    let body = json!({ "login": user.username, "password": PASSWORD });
    let Some((signed_in, _)) = post(user, "/auth/login", body, had).await else { return };
    let body = json!({ "refresh_token": signed_in["refresh_token"] });
    let Some((refreshed, took)) = post(user, "/auth/refresh", body, had).await else { return };
    if took > REFRESH {
        had.refused.push(format!("a refresh was answered after {took:?}"));
    }
    let begun = Instant::now();
    let login = TestUser::signed_in(&user.target, &refreshed);
    if let Err(refusal) = login.try_connect(ConnectOptions::default()).await {
        had.refused.push(format!("a connection: {refusal:?}"));
    }
    note(&mut had.others, begun);
}

/// The answer to a call that must succeed, and how long it took.
async fn post(user: &TestUser, path: &str, body: Value, had: &mut Had) -> Option<(Value, Duration)> {
    let begun = Instant::now();
    let answer = user.target.try_call(Method::POST, path, None, Body::Json(body)).await;
    note(&mut had.others, begun);
    match answer {
        Ok(answer) if answer.status == 200 => return Some((answer.body, begun.elapsed())),
        Ok(answer) => had.refused.push(format!("{path}: {} {}", answer.status, answer.body)),
        Err(error) => had.refused.push(format!("{path}: {error}")),
    }
    None
}

fn note(took: &mut Histogram<u64>, begun: Instant) {
    took.record(begun.elapsed().as_micros() as u64).expect("it fits");
}
