//! `list`: a client reads the first page of a list of many conversations, at even intervals (open loop).
//!
//! A twenty-fifth of the conversations are direct, the others are groups of two. Each has one message by the other user.

use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::Result;
use crate::measurement::{Clock, Counters, observe};
use crate::options::{ListOptions, Options};
use crate::progress;
use crate::report::Report;
use crate::socket::error_code;
use crate::target::Target;
use crate::users::{RegisteredUser, create_direct_conversations, create_group, post, refresh, register};

/// How many of the conversations there are for each direct one.
const CONVERSATIONS_PER_PEER: u32 = 25;
/// A request without an answer after this time is an error.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts of an answer that the tool checks.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
}

/// The parts of a conversation that the tool checks.
#[derive(Deserialize)]
struct Item {
    unread_count: u64,
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &ListOptions) -> Result<Report> {
    let mut users = register(target, 1 + load.conversations.div_ceil(CONVERSATIONS_PER_PEER)).await?;
    create_conversations(target, &users, load.conversations).await?;
    let restarted = target.restart().await?;
    refresh(target, &mut users[..1]).await?;

    let clock = Clock::start(options);
    let counters = Rc::new(Counters::default());
    let (finish, finished) = watch::channel(false);
    let interval = 1_000_000_000 * u64::from(load.connections) / u64::from(load.rate);
    let mut tasks = Vec::new();
    for number in 0..load.connections {
        let client = ListClient {
            http: reqwest::Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).pool_max_idle_per_host(1).build()?,
            url: target.api(&format!("/conversations?limit={}", load.page)),
            access_token: users[0].access_token.clone(),
            expected: load.conversations.min(load.page) as usize,
            next_due: interval * u64::from(number) / u64::from(load.connections),
            interval,
            clock,
            counters: Rc::clone(&counters),
        };
        tasks.push(tokio::task::spawn_local(client.run(finished.clone())));
    }
    let cost = observe(target, clock, &counters, |_| 0).await;
    finish.send_replace(true);
    for task in tasks {
        task.await?;
    }

    let seconds = options.seconds as f64;
    let mut report = Report::new("list");
    report.add("rate_wanted", load.rate);
    report.add("conversations", load.conversations);
    report.add("page_items", load.page);
    report.add("connections", load.connections);
    report.add("fresh_start", restarted);
    report.add("seconds", options.seconds);
    report.add("requests", counters.sent.get());
    report.add_rounded("requests_per_second", Some(counters.acknowledged_measured.get() as f64 / seconds));
    report.add_latency("request", &counters.acknowledgement);
    report.add_latency("own_lateness", &counters.lateness);
    report.add_errors(&counters);
    report.add_cost(&cost, seconds, "request", counters.acknowledged_measured.get());
    Ok(report)
}

/// Creates the conversations of the first user, each with a message by another user.
async fn create_conversations(target: &Target, users: &[RegisteredUser], count: u32) -> Result<()> {
    let (reader, peers) = (&users[0], &users[1..]);
    for number in 0..count {
        let peer = &peers[(number / CONVERSATIONS_PER_PEER) as usize];
        let pair = [reader.clone(), peer.clone()];
        let id = if number % CONVERSATIONS_PER_PEER == 0 {
            create_direct_conversations(target, &pair).await?.remove(0)
        } else {
            create_group(target, &pair).await?.0
        };
        let message = json!({ "content": format!("message in conversation {number}") });
        post(target, peer, &format!("/conversations/{id}/messages"), &message).await?;
        progress::show(&format!("created {} of {count} conversations", number + 1));
    }
    progress::end_line();
    Ok(())
}

/// A client with one HTTP connection.
struct ListClient {
    http: reqwest::Client,
    url: String,
    access_token: String,
    /// The number of conversations in an answer.
    expected: usize,
    next_due: u64,
    interval: u64,
    clock: Clock,
    counters: Rc<Counters>,
}

impl ListClient {
    /// Reads pages until the measurement is over.
    async fn run(mut self, mut finished: watch::Receiver<bool>) {
        tokio::select! {
            () = self.read_pages() => (),
            _ = finished.changed() => (),
        }
    }

    async fn read_pages(&mut self) {
        while self.next_due < self.clock.until {
            let due = self.next_due;
            self.next_due += self.interval;
            tokio::time::sleep_until(self.clock.instant(due)).await;
            if self.clock.is_measured(due) {
                self.counters.lateness.record(self.clock.now().saturating_sub(due));
            }
            Counters::add(&self.counters.sent);
            if let Err(error) = self.read_page().await {
                self.counters.add_error(&error.to_string());
                continue;
            }
            let now = self.clock.now();
            Counters::add(&self.counters.acknowledged);
            if self.clock.is_measured(now) {
                Counters::add(&self.counters.acknowledged_measured);
            }
            if self.clock.is_measured(due) {
                self.counters.acknowledgement.record(now.saturating_sub(due));
            }
        }
    }

    /// Reads one page. Fails unless it has as many conversations as it should have, each with one unread message.
    async fn read_page(&self) -> Result<()> {
        let request = self.http.get(&self.url).bearer_auth(&self.access_token);
        // Addresses of requests are not in these errors, so that equal errors are counted together.
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(reqwest::Error::without_url)?;
        if !status.is_success() {
            return Err(format!("{} {}", status.as_u16(), error_code(&String::from_utf8_lossy(&body))).into());
        }
        let page: Page = serde_json::from_slice(&body)?;
        if page.items.len() != self.expected || page.items.iter().any(|item| item.unread_count != 1) {
            return Err("a page with other conversations than those of the user".into());
        }
        Ok(())
    }
}
