//! `dm`: pairs of users write to each other, at even intervals (open loop), or whenever an earlier message is
//! acknowledged (closed loop).

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::Result;
use crate::measurement::{Clock, Counters, observe};
use crate::options::{DirectOptions, Options};
use crate::progress;
use crate::report::Report;
use crate::socket::{Socket, error_code, find};
use crate::target::Target;
use crate::users::{create_direct_conversations, register};

/// A client with one socket, which sends to one conversation and receives its messages.
struct DirectClient {
    socket: Socket,
    conversation_id: String,
    /// The number of this client among all. It is in every message, so that the receivers know the sender.
    number: u32,
    pace: Pace,
    text: Rc<str>,
    clock: Clock,
    counters: Rc<Counters>,
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
    /// A message is due when fewer than `window` are unacknowledged.
    Closed { window: u32 },
}

/// The parts of a frame that the tool reads.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    rev: Option<u64>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &DirectOptions) -> Result<Report> {
    let user_count = load.users / 2 * 2;
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
    let text: Rc<str> = "x".repeat(load.size as usize).into();
    let (finish, finished) = watch::channel(false);
    let mut tasks = Vec::new();
    for (number, socket) in (0..socket_count).zip(sockets) {
        let client = DirectClient {
            socket,
            conversation_id: conversations[(number / load.sockets / 2) as usize].clone(),
            number,
            pace: Pace::new(load, number, socket_count),
            text: Rc::clone(&text),
            clock,
            counters: Rc::clone(&counters),
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
    report.add("loop", if load.closed.is_some() { "closed" } else { "open" });
    report.add("rate_wanted", load.closed.is_none().then_some(load.rate));
    report.add("in_flight", load.closed);
    report.add("users", user_count);
    report.add("sockets", socket_count);
    report.add("conversations", conversations.len());
    report.add("content_characters", load.size);
    report.add("fresh_start", restarted);
    report.add("seconds", options.seconds);
    report.add("sent", counters.sent.get());
    report.add_rounded("acknowledged_per_second", Some(counters.acknowledged_measured.get() as f64 / seconds));
    report.add_rounded("delivered_per_second", Some(counters.delivered_measured.get() as f64 / seconds));
    report.add_latency("acknowledgement", &counters.acknowledgement);
    report.add_latency("delivery", &counters.delivery);
    report.add_latency("own_lateness", &counters.lateness);
    report.add_faults(&counters, counters.acknowledged.get() * copies);
    report.add_cost(&cost, seconds, "messages", counters.acknowledged_measured.get());
    Ok(report)
}

impl Pace {
    fn new(load: &DirectOptions, number: u32, socket_count: u32) -> Self {
        if let Some(closed) = load.closed {
            // The first sockets get one more each, until the remainder of the division is used up.
            return Self::Closed { window: closed / socket_count + u32::from(number < closed % socket_count) };
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
        Counters::add(&self.counters.sent);
    }

    fn receive(&mut self) -> Result<()> {
        let now = self.clock.now();
        let (clock, counters) = (self.clock, &self.counters);
        let (unacknowledged_count, last_rev) = (&mut self.unacknowledged_count, &mut self.last_rev);
        let last_received = &mut self.last_received;
        self.socket.read(|frame| {
            let Ok(envelope) = serde_json::from_slice::<Envelope>(frame) else {
                counters.add_error("a frame that is not JSON");
                return;
            };
            let payload = envelope.payload.map_or("", RawValue::get);
            match envelope.kind {
                "message.sent" => {
                    *unacknowledged_count = unacknowledged_count.saturating_sub(1);
                    Counters::add(&counters.acknowledged);
                    if clock.is_measured(now) {
                        Counters::add(&counters.acknowledged_measured);
                    }
                    if let Some((.., due)) = parse_temp_id(payload).filter(|(.., due)| clock.is_measured(*due)) {
                        counters.acknowledgement.record(now.saturating_sub(due));
                    }
                }
                "message.new" => {
                    Counters::add(&counters.delivered);
                    if clock.is_measured(now) {
                        Counters::add(&counters.delivered_measured);
                    }
                    counters.check_order(last_rev, envelope.rev.unwrap_or_default());
                    let Some((sender, number, due)) = parse_temp_id(payload) else { return };
                    let last = last_received.insert(sender, number);
                    if last.is_some_and(|last| number != last + 1) {
                        Counters::add(&counters.disordered);
                    }
                    if clock.is_measured(due) {
                        counters.delivery.record(now.saturating_sub(due));
                    }
                }
                "error" => {
                    *unacknowledged_count = unacknowledged_count.saturating_sub(1);
                    counters.add_error(error_code(payload));
                }
                _ => (),
            }
        })
    }
}

/// Returns the number of the sender, the number of the message, and the due time, from the `temp_id` in a payload.
fn parse_temp_id(payload: &str) -> Option<(u32, u64, u64)> {
    let key = "\"temp_id\":\"";
    let temp_id = &payload[find(payload.as_bytes(), key.as_bytes())? + key.len()..];
    let mut parts = temp_id.split('"').next()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
