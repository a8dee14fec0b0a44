//! `history`: clients read pages of 50 messages from random points of one direct conversation with many messages.
//!
//! The messages are sent through sockets before the measurement. Each client has one HTTP connection that stays open,
//! and sends its next request when it has read the last answer (closed loop).

use std::rc::Rc;

use serde::Deserialize;
use tokio::sync::watch;

use crate::Result;
use crate::measurement::{Clock, Counters, observe};
use crate::options::{HistoryOptions, Options};
use crate::page_reader::{PageReader, count_page, report_pages};
use crate::progress;
use crate::report::Report;
use crate::socket::{Socket, error_code, find};
use crate::target::Target;
use crate::users::{RegisteredUser, create_direct_conversations, refresh, register};

/// The number of messages in a page.
const PAGE_ITEMS: u64 = 50;
/// The sockets of each user that send the messages before the measurement, at most 20. The server runs one send of a
/// socket into a conversation after the other, so more sockets are faster.
const SOCKETS_PER_USER: usize = 16;
/// The messages that one socket has under way: 256 over the sockets of both users.
const WINDOW: u64 = 256 / (2 * SOCKETS_PER_USER as u64);
/// The characters of a message.
const CONTENT_CHARACTERS: usize = 100;

/// The parts of an answer that the tool checks.
#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
}

/// The part of a message that the tool checks.
#[derive(Deserialize)]
struct Item {
    seq: u64,
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &HistoryOptions) -> Result<Report> {
    let mut users = register(target, 2).await?;
    let conversation_id = create_direct_conversations(target, &users).await?.remove(0);
    fill(target, &users, &conversation_id, load.messages).await?;
    let restarted = target.restart().await?;
    // The access tokens may be about to expire after a long time of sending.
    refresh(target, &mut users).await?;

    let clock = Clock::start(options);
    let counters = Rc::new(Counters::default());
    let (finish, finished) = watch::channel(false);
    let mut tasks = Vec::new();
    for number in 0..load.connections {
        // The clients use both users in turn, because the server bounds the calls of each user.
        let client = HistoryClient {
            reader: PageReader::new(&users[number as usize % 2].access_token)?,
            url: target.api(&format!("/conversations/{conversation_id}/messages?limit={PAGE_ITEMS}")),
            message_count: load.messages,
            random: Random(u64::from(number) << 32),
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

    let mut report = Report::new("history");
    report.add("messages", load.messages);
    report.add("content_characters", CONTENT_CHARACTERS);
    report.add("page_items", PAGE_ITEMS);
    report.add("connections", load.connections);
    report.add("fresh_start", restarted);
    report_pages(&mut report, options, &counters, &cost);
    Ok(report)
}

/// Sends messages into a conversation until `message_count` are acknowledged. Fails if one is refused.
async fn fill(target: &Target, users: &[RegisteredUser], conversation_id: &str, message_count: u64) -> Result<()> {
    let counters = Rc::new(Counters::default());
    let frame: Rc<str> = format!(
        r#"{{"type":"message.send","id":1,"payload":{{"conversation_id":"{conversation_id}","content":"{}"}}}}"#,
        "x".repeat(CONTENT_CHARACTERS),
    )
    .into();
    let mut tasks = Vec::new();
    for user in users {
        for _ in 0..SOCKETS_PER_USER {
            let socket = Socket::open_unsubscribed(target.address, &user.access_token).await?;
            tasks.push(tokio::task::spawn_local(send(socket, Rc::clone(&frame), message_count, Rc::clone(&counters))));
        }
    }
    for task in tasks {
        task.await??;
    }
    progress::end_line();
    Ok(())
}

/// Keeps [`WINDOW`] messages under way on one socket, until all sockets together have sent `message_count` messages.
/// Returns when those of this socket are acknowledged.
async fn send(mut socket: Socket, frame: Rc<str>, message_count: u64, counters: Rc<Counters>) -> Result<()> {
    let mut unacknowledged_count = 0;
    loop {
        while unacknowledged_count < WINDOW && counters.sent.get() < message_count {
            socket.send_buffer().text(&frame);
            unacknowledged_count += 1;
            Counters::add(&counters.sent);
        }
        if unacknowledged_count == 0 {
            return Ok(());
        }
        socket.ready().await?;
        let mut refusal = None;
        socket.read(|frame| {
            let start = &frame[..frame.len().min(160)];
            if find(start, b"\"message.sent\"").is_some() {
                unacknowledged_count -= 1;
                Counters::add(&counters.acknowledged);
            } else if find(start, b"\"error\"").is_some() {
                refusal = Some(error_code(&String::from_utf8_lossy(frame)).to_owned());
            }
        })?;
        if let Some(code) = refusal {
            return Err(format!("a message was refused: {code}").into());
        }
        progress::show(&format!("stored {} of {message_count} messages", counters.acknowledged.get()));
    }
}

/// A client that reads random pages.
struct HistoryClient {
    reader: PageReader,
    /// The address of a page, without the parameter `before`.
    url: String,
    message_count: u64,
    random: Random,
    clock: Clock,
    counters: Rc<Counters>,
}

impl HistoryClient {
    /// Reads pages until the measurement is over.
    async fn run(mut self, mut finished: watch::Receiver<bool>) {
        tokio::select! {
            () = self.read_pages() => (),
            _ = finished.changed() => (),
        }
    }

    async fn read_pages(&mut self) {
        while !self.clock.is_over() {
            // Every page is full: at least 50 messages have a smaller `seq`.
            let before = PAGE_ITEMS + 1 + self.random.below(self.message_count + 1 - PAGE_ITEMS);
            let sent_at = self.clock.now();
            Counters::add(&self.counters.sent);
            if let Err(error) = self.read_page(before).await {
                self.counters.add_error(&error.to_string());
                continue;
            }
            count_page(&self.counters, self.clock, sent_at);
        }
    }

    /// Reads the page before the `seq` in `before`. Fails unless it contains exactly the 50 messages before it.
    async fn read_page(&self, before: u64) -> Result<()> {
        let page: Page = self.reader.read(&format!("{}&before={before}", self.url)).await?;
        if page.items.len() as u64 != PAGE_ITEMS {
            return Err(format!("a page with {} messages", page.items.len()).into());
        }
        if !page.items.iter().map(|item| item.seq).eq(before - PAGE_ITEMS..before) {
            return Err("a page with other messages than those before the `seq`".into());
        }
        Ok(())
    }
}

/// `SplitMix64`, a generator that spreads the pages evenly enough over the conversation.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
