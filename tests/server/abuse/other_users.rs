//! The users who do not attack. They send, read, sign in, refresh and connect, and record how long each call took and
//! which calls were refused.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use reqwest::Method;
use serde_json::{Value, json};

use super::attacks::Stop;
use super::harness::attack_duration;
use crate::support::rest::Body;
use crate::support::{ConnectOptions, PASSWORD, TestUser};

/// Messages of one user in a second: far fewer than a user may send.
const SENDS_PER_SECOND: u32 = 10;
/// The number of messages that a user sends before the user reads those of the others.
const SENDS_PER_READ: u64 = 5;
/// The number of times that each user signs in during an attack, as on another device. It does not depend on the length
/// of the attack, so that no user signs in more often than a user may.
const SIGN_INS: u32 = 3;
/// How long the client waits for the answer to a refresh before it repeats the call. All other calls have the deadline
/// [`crate::support::DEADLINE`], which is as long as the client waits.
const REFRESH_DEADLINE: Duration = Duration::from_secs(5);

/// What the users measured.
pub struct Measurements {
    /// How long the sends took, in microseconds.
    pub sends: Histogram<u64>,
    /// How long all other calls took, in microseconds.
    pub others: Histogram<u64>,
    /// The calls that were refused, or answered too late.
    pub refused: Vec<String>,
}

impl Default for Measurements {
    fn default() -> Self {
        let new = || Histogram::new(3).expect("three digits are allowed");
        Self { sends: new(), others: new(), refused: Vec::new() }
    }
}

impl Measurements {
    /// Adds the measurements of another user.
    pub fn add(&mut self, other: Self) {
        self.sends.add(other.sends).expect("both histograms have one scale");
        self.others.add(other.others).expect("both histograms have one scale");
        self.refused.extend(other.refused);
    }

    fn check(&mut self, is_expected: bool, answer: &Value) {
        if !is_expected {
            self.refused.push(answer.to_string());
        }
    }
}

/// Sends to `group`, reads it and signs in again, one after the other, until `stop` is set.
pub async fn exchange_messages(user: TestUser, group: String, stop: Stop) -> Measurements {
    let mut measurements = Measurements::default();
    let mut socket = user.connect_unsubscribed().await;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / SENDS_PER_SECOND);
    let sends_per_sign_in = u64::from(SENDS_PER_SECOND) * attack_duration().as_secs() / u64::from(SIGN_INS);
    // Each user signs in at least once, also without an attack. Otherwise the memory for hashing would count as growth
    // by the attack.
    for number in 0.. {
        ticks.tick().await;
        if number > 0 && stop.is_set() {
            break;
        }
        // A send marks all messages as read, so the user reads before the send.
        if number % SENDS_PER_READ == 0 {
            let started = Instant::now();
            let answer = socket.command("message.read", json!({ "conversation_id": group })).await;
            record(&mut measurements.others, started);
            measurements.check(answer["type"] == "ack", &answer);
        }
        let started = Instant::now();
        let answer = socket.command("message.send", json!({ "conversation_id": group, "content": "hello" })).await;
        record(&mut measurements.sends, started);
        measurements.check(answer["type"] == "message.sent", &answer);
        if number % sends_per_sign_in.max(1) == 0 {
            sign_in_and_connect(&user, &mut measurements).await;
        }
    }
    measurements
}

/// Signs in, refreshes, and connects with the new token.
async fn sign_in_and_connect(user: &TestUser, measurements: &mut Measurements) {
    let body = json!({ "login": user.username, "password": PASSWORD });
    let Some((signed_in, _)) = post(user, "/auth/login", body, measurements).await else { return };
    let body = json!({ "refresh_token": signed_in["refresh_token"] });
    let Some((refreshed, took)) = post(user, "/auth/refresh", body, measurements).await else { return };
    if took > REFRESH_DEADLINE {
        measurements.refused.push(format!("a refresh was answered after {took:?}"));
    }
    let started = Instant::now();
    let login = TestUser::signed_in(&user.target, &refreshed);
    if let Err(refusal) = login.try_connect(ConnectOptions::default()).await {
        measurements.refused.push(format!("a connection: {refusal:?}"));
    }
    record(&mut measurements.others, started);
}

/// Makes a call that must succeed. Returns the answer and how long it took.
async fn post(user: &TestUser, path: &str, body: Value, measurements: &mut Measurements) -> Option<(Value, Duration)> {
    let started = Instant::now();
    let answer = user.target.try_call(Method::POST, path, None, Body::Json(body)).await;
    record(&mut measurements.others, started);
    match answer {
        Ok(answer) if answer.status == 200 => return Some((answer.body, started.elapsed())),
        Ok(answer) => measurements.refused.push(format!("{path}: {} {}", answer.status, answer.body)),
        Err(error) => measurements.refused.push(format!("{path}: {error}")),
    }
    None
}

fn record(times: &mut Histogram<u64>, started: Instant) {
    times.record(started.elapsed().as_micros() as u64).expect("the histogram grows");
}
