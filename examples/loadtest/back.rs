//! `return`: the server starts anew, and everybody behind one address comes back at once, under the limits of the contract.
//! A client is back when it has new tokens, a socket that is let in, and its list of conversations; whatever refuses it, it
//! waits as it was told and tries again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::measure::{Counters, Latency};
use crate::options::Return;
use crate::people::{PASSWORD, Person, pair, register};
use crate::progress;
use crate::report::Report;
use crate::target::Target;
use crate::wire::Connection;

/// A client that is not back after this has failed.
const PATIENCE: Duration = Duration::from_mins(5);
/// The pause where a refusal names none.
const PAUSE: Duration = Duration::from_millis(250);

/// What the clients of a run share.
struct Shared {
    target: Target,
    signs_in: bool,
    began: Instant,
    refusals: RefCell<BTreeMap<String, u64>>,
    back: Latency,
    tokens: Latency,
    count: std::cell::Cell<u32>,
}

/// Runs the scenario.
pub async fn run(mut target: Target, load: &Return) -> Result<Report> {
    let people = register(&target, load.users.next_multiple_of(2)).await?;
    pair(&target, &people).await?;
    if !target.restart_limited().await? {
        return Err("only a server that this tool starts can be started anew; leave --url out".into());
    }
    let cpu = target.cpu_seconds();
    let shared = Rc::new(Shared {
        target,
        signs_in: load.sign_in,
        began: Instant::now(),
        refusals: RefCell::default(),
        back: Latency::default(),
        tokens: Latency::default(),
        count: std::cell::Cell::new(0),
    });
    let clients: Vec<_> =
        people.into_iter().map(|person| tokio::task::spawn_local(come_back(shared.clone(), person))).collect();
    let total = clients.len();
    // sockets stay open until everybody is back
    let mut sockets = Vec::with_capacity(total);
    let counters = Counters::default();
    for client in clients {
        match client.await? {
            Ok(socket) => sockets.push(socket),
            Err(error) => counters.error(&error.to_string()),
        }
    }
    let seconds = shared.began.elapsed().as_secs_f64();
    progress::end_line();
    let cpu = shared.target.cpu_seconds().zip(cpu).map(|(after, before)| after - before);

    let mut report = Report::new("return");
    report.add("users", total);
    report.add("by", if load.sign_in { "password" } else { "refresh token" });
    report.add("back", sockets.len());
    report.add_known("seconds_until_all_are_back", Some(seconds));
    report.add_latency("tokens", &shared.tokens);
    report.add_latency("back", &shared.back);
    report.add("refusals_before", json!(*shared.refusals.borrow()));
    report.add_known("server_cpu_seconds", cpu);
    report.add_faults(&counters, 0);
    Ok(report)
}

async fn come_back(shared: Rc<Shared>, person: Person) -> Result<Connection> {
    let token = loop {
        match tokens(&shared, &person).await {
            Ok(token) => break token,
            Err(pause) => wait(&shared, pause).await?,
        }
    };
    shared.tokens.note(shared.began.elapsed().as_nanos() as u64);
    let socket = loop {
        match Connection::open(shared.target.address, &token).await {
            Ok(socket) => break socket,
            Err(error) => wait(&shared, refused(&shared, &error.to_string(), None)).await?,
        }
    };
    loop {
        let request = shared.target.http.get(shared.target.api("/conversations?limit=100")).bearer_auth(&token);
        match answer(&shared, request).await {
            Ok(_) => break,
            Err(pause) => wait(&shared, pause).await?,
        }
    }
    shared.back.note(shared.began.elapsed().as_nanos() as u64);
    shared.count.set(shared.count.get() + 1);
    progress::tell(&format!("{} are back", shared.count.get()));
    Ok(socket)
}

async fn tokens(shared: &Shared, person: &Person) -> std::result::Result<String, Duration> {
    let (path, body) = if shared.signs_in {
        ("/auth/login", json!({ "login": person.username, "password": PASSWORD }))
    } else {
        ("/auth/refresh", json!({ "refresh_token": person.refresh_token }))
    };
    let answer = answer(shared, shared.target.http.post(shared.target.api(path)).json(&body)).await?;
    answer["access_token"].as_str().map(str::to_owned).ok_or(PAUSE)
}

/// The answer, or how long to wait for the next attempt.
async fn answer(shared: &Shared, request: reqwest::RequestBuilder) -> std::result::Result<Value, Duration> {
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Err(refused(shared, if error.is_timeout() { "timeout" } else { "connection" }, None)),
    };
    let seconds = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let code = body["code"].as_str().unwrap_or("no code").to_owned();
    Err(refused(shared, &format!("{} {code}", status.as_u16()), seconds))
}

fn refused(shared: &Shared, what: &str, seconds: Option<u64>) -> Duration {
    *shared.refusals.borrow_mut().entry(what.to_owned()).or_default() += 1;
    seconds.map_or(PAUSE, Duration::from_secs)
}

async fn wait(shared: &Shared, pause: Duration) -> Result<()> {
    if shared.began.elapsed() > PATIENCE {
        return Err("not back in time".into());
    }
    tokio::time::sleep(pause).await;
    Ok(())
}
