//! `list`: a client reads the first page of a list of many conversations, at even intervals (open loop).
//!
//! A twenty-fifth of the conversations are direct, the others are groups of two. Each has one message by the other user.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::Result;
use crate::measurement::{Clock, Counters, observe};
use crate::options::{ListOptions, Options};
use crate::page_reader::{PageReader, count_page, report_pages};
use crate::progress;
use crate::report::Report;
use crate::target::Target;
use crate::users::{RegisteredUser, create_direct_conversations, create_group, post, refresh, register};

/// How many of the conversations there are for each direct one.
const CONVERSATIONS_PER_PEER: u32 = 25;

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
            reader: PageReader::new(&users[0].access_token)?,
            url: target.api(&format!("/conversations?limit={}", load.page)),
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

    let mut report = Report::new("list");
    report.add("rate_wanted", load.rate);
    report.add("conversations", load.conversations);
    report.add("page_items", load.page);
    report.add("connections", load.connections);
    report.add("fresh_start", restarted);
    report.add_latency("own_lateness", &counters.lateness);
    report_pages(&mut report, options, &counters, &cost);
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

/// A client that reads the first page at even intervals.
struct ListClient {
    reader: PageReader,
    url: String,
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
            count_page(&self.counters, self.clock, due);
        }
    }

    /// Reads one page. Fails unless it has as many conversations as it should have, each with one unread message.
    async fn read_page(&self) -> Result<()> {
        let page: Page = self.reader.read(&self.url).await?;
        if page.items.len() != self.expected || page.items.iter().any(|item| item.unread_count != 1) {
            return Err("a page with other conversations than those of the user".into());
        }
        Ok(())
    }
}
