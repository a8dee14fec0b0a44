//! `return`: after a restart of the server all users reconnect at the same time from one address, under the normal
//! limits.
//!
//! A user has reconnected when the client has new tokens, an authenticated socket and the list of conversations. A
//! client that is refused waits for the time in the answer, and tries again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::measurement::{Counters, Latency};
use crate::options::ReconnectOptions;
use crate::progress;
use crate::report::Report;
use crate::socket::Socket;
use crate::target::Target;
use crate::users::{PASSWORD, RegisteredUser, create_direct_conversations, register};

/// A client that has not reconnected after this time has failed.
const RECONNECT_TIMEOUT: Duration = Duration::from_mins(5);
/// The pause after a refusal that contains no time to wait.
const DEFAULT_PAUSE: Duration = Duration::from_millis(250);

/// The state that all clients of a run share.
struct Shared {
    target: Target,
    uses_password: bool,
    started: Instant,
    refusals: RefCell<BTreeMap<String, u64>>,
    /// The time until a client has reconnected.
    reconnected: Latency,
    /// The time until a client has new tokens.
    tokens: Latency,
    reconnected_count: Cell<u32>,
}

/// Runs the scenario.
pub async fn run(mut target: Target, load: &ReconnectOptions) -> Result<Report> {
    let users = register(&target, load.users.next_multiple_of(2)).await?;
    create_direct_conversations(&target, &users).await?;
    if !target.restart_limited().await? {
        return Err("this scenario restarts the server, so it cannot be used with --url".into());
    }
    let cpu = target.cpu_seconds();
    let shared = Rc::new(Shared {
        target,
        uses_password: load.sign_in,
        started: Instant::now(),
        refusals: RefCell::default(),
        reconnected: Latency::default(),
        tokens: Latency::default(),
        reconnected_count: Cell::new(0),
    });
    let clients: Vec<_> =
        users.into_iter().map(|user| tokio::task::spawn_local(reconnect(shared.clone(), user))).collect();
    let total = clients.len();
    // The sockets stay open until all clients have reconnected.
    let mut sockets = Vec::with_capacity(total);
    let counters = Counters::default();
    for client in clients {
        match client.await? {
            Ok(socket) => sockets.push(socket),
            Err(error) => counters.add_error(&error.to_string()),
        }
    }
    let seconds = shared.started.elapsed().as_secs_f64();
    progress::end_line();
    let cpu = shared.target.cpu_seconds().zip(cpu).map(|(after, before)| after - before);

    let mut report = Report::new("return");
    report.add("users", total);
    report.add("by", if load.sign_in { "password" } else { "refresh token" });
    report.add("back", sockets.len());
    report.add_rounded("seconds_until_all_are_back", Some(seconds));
    report.add_latency("tokens", &shared.tokens);
    report.add_latency("back", &shared.reconnected);
    report.add("refusals_before", json!(*shared.refusals.borrow()));
    report.add_rounded("server_cpu_seconds", cpu);
    report.add_faults(&counters, 0);
    Ok(report)
}

async fn reconnect(shared: Rc<Shared>, user: RegisteredUser) -> Result<Socket> {
    let token = loop {
        match request_token(&shared, &user).await {
            Ok(token) => break token,
            Err(pause) => wait(&shared, pause).await?,
        }
    };
    shared.tokens.record(shared.started.elapsed().as_nanos() as u64);
    let socket = loop {
        match Socket::open(shared.target.address, &token).await {
            Ok(socket) => break socket,
            Err(error) => wait(&shared, count_refusal(&shared, &error.to_string(), None)).await?,
        }
    };
    loop {
        let request = shared.target.http.get(shared.target.api("/conversations?limit=100")).bearer_auth(&token);
        match call(&shared, request).await {
            Ok(_) => break,
            Err(pause) => wait(&shared, pause).await?,
        }
    }
    shared.reconnected.record(shared.started.elapsed().as_nanos() as u64);
    shared.reconnected_count.set(shared.reconnected_count.get() + 1);
    progress::show(&format!("{} clients have reconnected", shared.reconnected_count.get()));
    Ok(socket)
}

/// Returns a new access token, or the time to wait before the next attempt.
async fn request_token(shared: &Shared, user: &RegisteredUser) -> std::result::Result<String, Duration> {
    let (path, body) = if shared.uses_password {
        ("/auth/login", json!({ "login": user.username, "password": PASSWORD }))
    } else {
        ("/auth/refresh", json!({ "refresh_token": user.refresh_token }))
    };
    let answer = call(shared, shared.target.http.post(shared.target.api(path)).json(&body)).await?;
    answer["access_token"].as_str().map(str::to_owned).ok_or(DEFAULT_PAUSE)
}

/// Returns the answer, or the time to wait before the next attempt.
async fn call(shared: &Shared, request: reqwest::RequestBuilder) -> std::result::Result<Value, Duration> {
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => {
            let reason = if error.is_timeout() { "timeout" } else { "connection" };
            return Err(count_refusal(shared, reason, None));
        }
    };
    let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let code = body["code"].as_str().unwrap_or("no code").to_owned();
    Err(count_refusal(shared, &format!("{} {code}", status.as_u16()), seconds))
}

/// Counts a refusal by its reason, and returns the time to wait. `seconds` is the time that the answer contains.
fn count_refusal(shared: &Shared, reason: &str, seconds: Option<u64>) -> Duration {
    *shared.refusals.borrow_mut().entry(reason.to_owned()).or_default() += 1;
    seconds.map_or(DEFAULT_PAUSE, Duration::from_secs)
}

/// Waits before the next attempt. Fails after [`RECONNECT_TIMEOUT`].
async fn wait(shared: &Shared, pause: Duration) -> Result<()> {
    if shared.started.elapsed() > RECONNECT_TIMEOUT {
        return Err("the client did not reconnect in time".into());
    }
    tokio::time::sleep(pause).await;
    Ok(())
}
