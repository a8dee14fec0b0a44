//! `dm`: pairs of users exchange messages: both users write at even intervals (open loop), or one of them writes whenever
//! an earlier message is acknowledged (closed loop).
//!
//! A message is complete, and counts, when its sender has the acknowledgement and every socket of the other user has the
//! message.

use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::watch;

use crate::Result;
use crate::completions::Completions;
use crate::measurement::{Clock, Counters, observe};
use crate::options::{DirectOptions, Options};
use crate::progress;
use crate::readers_lag::ReadersLag;
use crate::report::Report;
use crate::socket::{Socket, error_code, find, find_last, number_after};
use crate::target::Target;
use crate::users::{create_direct_conversations, register};

/// The greatest number of messages of all pairs together that are under way in the closed loop.
const MAX_UNDER_WAY: u32 = 20_000;
/// The type and the revision of a frame are in this many bytes at its beginning.
const FRAME_START_BYTES: usize = 160;

/// A client with one socket, which sends to one conversation and receives its messages.
struct DirectClient {
    socket: Socket,
    conversation_id: String,
    /// The number of this client among all. It is in every message, so that the receivers know the sender.
    number: u32,
    /// The number of sockets that each user has.
    sockets_of_user: u32,
    pace: Pace,
    text: Rc<str>,
    clock: Clock,
    counters: Rc<Counters>,
    completions: Rc<Completions>,
    /// Set in the clients of the conversation whose statistics are watched.
    readers_lag: Option<Rc<ReadersLag>>,
    sent_count: u64,
    unacknowledged_count: u32,
    /// The last revision of the conversation that was received.
    last_rev: Option<u64>,
    /// The number of the last message that was received from each sender.
    last_received: HashMap<u32, u64>,
}

/// The rule for when the next message is due. Times are those of the [`Clock`].
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// A message is due at even intervals, whatever the server does.
    Open { next_due: u64, interval: u64 },
    /// A message is due when fewer than `window` are unacknowledged. A client that only receives has 0.
    Closed { window: u32 },
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &DirectOptions) -> Result<Report> {
    if load.window.is_some_and(|window| window * load.pairs > MAX_UNDER_WAY) {
        return Err(format!("more than {MAX_UNDER_WAY} messages of all pairs together").into());
    }
    let user_count = 2 * load.pairs;
    let users = register(target, user_count).await?;
    let conversations = create_direct_conversations(target, &users).await?;
    let restarted = target.restart().await?;
    let socket_count = user_count * load.sockets;
    let mut sockets = Vec::new();
    for user in &users {
        for _ in 0..load.sockets {
            sockets.push(Socket::open(target.address, &user.access_token).await?);
        }
        progress::show(&format!("opened {} of {socket_count} sockets", sockets.len()));
    }
    progress::end_line();

    let clock = Clock::start(options);
    let counters = Rc::new(Counters::default());
    let completions = Rc::new(Completions::new(socket_count, load.sockets));
    let readers_lag =
        load.readers_lag.then(|| ReadersLag::start(target, &users[0], &conversations[0], clock, &counters));
    let text: Rc<str> = "x".repeat(load.size as usize).into();
    let (finish, finished) = watch::channel(false);
    let mut tasks = Vec::new();
    for (number, socket) in (0..socket_count).zip(sockets) {
        let pair = (number / load.sockets / 2) as usize;
        let client = DirectClient {
            socket,
            conversation_id: conversations[pair].clone(),
            number,
            sockets_of_user: load.sockets,
            pace: Pace::new(load, number, socket_count),
            text: Rc::clone(&text),
            clock,
            counters: Rc::clone(&counters),
            completions: Rc::clone(&completions),
            readers_lag: readers_lag.clone().filter(|_| pair == 0),
            sent_count: 0,
            unacknowledged_count: 0,
            last_rev: None,
            last_received: HashMap::new(),
        };
        tasks.push(tokio::task::spawn_local(client.run(finished.clone())));
    }
    // Each message reaches every socket of both users.
    let copies = u64::from(2 * load.sockets);
    let cost = observe(target, clock, &counters, |acknowledged| acknowledged * copies).await;
    finish.send_replace(true);
    for task in tasks {
        task.await?;
    }

    let seconds = options.seconds as f64;
    let mut report = Report::new("dm");
    report.add("loop", if load.window.is_some() { "closed" } else { "open" });
    report.add("rate_wanted", load.window.is_none().then_some(load.rate));
    report.add("window", load.window);
    report.add("pairs", load.pairs);
    report.add("sockets", socket_count);
    report.add("content_characters", load.size);
    report.add("fresh_start", restarted);
    report.add("seconds", options.seconds);
    report.add("sent", counters.sent.get());
    report.add_rounded("messages_per_second", Some(counters.completed_measured.get() as f64 / seconds));
    report.add_latency("acknowledgement", &counters.acknowledgement);
    report.add_latency("delivery", &counters.delivery);
    report.add_latency("own_lateness", &counters.lateness);
    if let Some(readers_lag) = &readers_lag {
        report.add_latency("readers_lag", &readers_lag.lag);
    }
    report.add_faults(&counters, counters.acknowledged.get() * copies);
    report.add_cost(&cost, seconds, "message", counters.completed_measured.get());
    Ok(report)
}

impl Pace {
    fn new(load: &DirectOptions, number: u32, socket_count: u32) -> Self {
        if let Some(window) = load.window {
            let is_sender = number.is_multiple_of(2 * load.sockets);
            return Self::Closed { window: if is_sender { window } else { 0 } };
        }
        let interval = 1_000_000_000 * u64::from(socket_count) / u64::from(load.rate);
        Self::Open { next_due: interval * u64::from(number) / u64::from(socket_count), interval }
    }
}

impl DirectClient {
    async fn run(mut self, mut finished: watch::Receiver<bool>) {
        if let Err(error) = self.send_and_receive(&mut finished).await {
            self.counters.add_error(&error.to_string());
        }
    }

    async fn send_and_receive(&mut self, finished: &mut watch::Receiver<bool>) -> Result<()> {
        loop {
            let next_due = self.send_due_messages();
            self.socket.flush()?;
            tokio::select! {
                ready = self.socket.ready() => {
                    ready?;
                    self.receive()?;
                }
                () = tokio::time::sleep_until(self.clock.instant(next_due.unwrap_or_default())),
                    if next_due.is_some() => (),
                _ = finished.changed() => return Ok(()),
            }
        }
    }

    /// Sends the messages that are due. Returns the time of the next message, or `None` if it depends on an
    /// acknowledgement or if nothing more is to be sent.
    fn send_due_messages(&mut self) -> Option<u64> {
        loop {
            let now = self.clock.now();
            let due = match &mut self.pace {
                Pace::Open { next_due, .. } if *next_due >= self.clock.until => return None,
                Pace::Open { next_due, .. } if *next_due > now => return Some(*next_due),
                Pace::Open { next_due, interval } => {
                    let due = *next_due;
                    *next_due += *interval;
                    if self.clock.is_measured(due) {
                        self.counters.lateness.record(now - due);
                    }
                    due
                }
                Pace::Closed { window } if self.unacknowledged_count >= *window || now >= self.clock.until => {
                    return None;
                }
                Pace::Closed { .. } => now,
            };
            self.send(due);
        }
    }

    /// Sends one message. Its `temp_id` contains the number of the sender, the number of the message, and the due time,
    /// which the receivers need.
    fn send(&mut self, due: u64) {
        let temp_id = format!("{}.{}.{due}", self.number, self.sent_count);
        let frame = format!(
            r#"{{"type":"message.send","id":{},"payload":{{"conversation_id":"{}","content":"{}","temp_id":"{temp_id}"}}}}"#,
            self.sent_count, self.conversation_id, self.text,
        );
        self.socket.send_buffer().text(&frame);
        self.sent_count += 1;
        self.unacknowledged_count += 1;
        self.completions.add_message(self.number);
        Counters::add(&self.counters.sent);
    }

    /// Reads the frames that have arrived. It searches for the few parts that it needs instead of parsing the JSON,
    /// because the tool shares its processor with the server.
    fn receive(&mut self) -> Result<()> {
        let now = self.clock.now();
        let (clock, counters, completions) = (self.clock, &self.counters, &self.completions);
        let (own_user, sockets_of_user) = (self.number / self.sockets_of_user, self.sockets_of_user);
        let (unacknowledged_count, last_rev) = (&mut self.unacknowledged_count, &mut self.last_rev);
        let (last_received, readers_lag) = (&mut self.last_received, &self.readers_lag);
        let add_arrival = |sender, number| {
            if completions.add_arrival(sender, number) && clock.is_measured(now) {
                Counters::add(&counters.completed_measured);
            }
        };
        self.socket.read(|frame| {
            let start = &frame[..frame.len().min(FRAME_START_BYTES)];
            if find(start, b"\"message.new\"").is_some() {
                Counters::add(&counters.delivered);
                if clock.is_measured(now) {
                    Counters::add(&counters.delivered_measured);
                }
                counters.check_order(last_rev, number_after(start, b"\"rev\":").unwrap_or_default());
                let Some((sender, number, due)) = parse_temp_id(frame) else {
                    counters.add_error("an event without its `temp_id`");
                    return;
                };
                let last = last_received.insert(sender, number);
                if last.is_some_and(|last| number != last + 1) {
                    Counters::add(&counters.disordered);
                }
                if sender / sockets_of_user != own_user {
                    add_arrival(sender, number);
                }
                if clock.is_measured(due) {
                    counters.delivery.record(now.saturating_sub(due));
                }
            } else if find(start, b"\"message.sent\"").is_some() {
                *unacknowledged_count = unacknowledged_count.saturating_sub(1);
                Counters::add(&counters.acknowledged);
                if clock.is_measured(now) {
                    Counters::add(&counters.acknowledged_measured);
                }
                if let Some(readers_lag) = readers_lag {
                    readers_lag.note_acknowledged(now);
                }
                let Some((sender, number, due)) = parse_temp_id(frame) else {
                    counters.add_error("an acknowledgement without its `temp_id`");
                    return;
                };
                add_arrival(sender, number);
                if clock.is_measured(due) {
                    counters.acknowledgement.record(now.saturating_sub(due));
                }
            } else if find(start, b"\"error\"").is_some() {
                *unacknowledged_count = unacknowledged_count.saturating_sub(1);
                counters.add_error(error_code(&String::from_utf8_lossy(frame)));
            }
        })
    }
}

/// Returns the number of the sender, the number of the message, and the due time, from the `temp_id` in a frame. It is
/// near the end of the frame, after the text.
fn parse_temp_id(frame: &[u8]) -> Option<(u32, u64, u64)> {
    let key = b"\"temp_id\":\"";
    let temp_id = &frame[find_last(frame, key)? + key.len()..];
    let length = temp_id.iter().position(|byte| *byte == b'"')?;
    let mut parts = std::str::from_utf8(&temp_id[..length]).ok()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
