//! `dm`: pairs of users write to each other, at an even rate (open loop) or as fast as acknowledgements come (closed).

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::Result;
use crate::measure::{Clock, Counters, watch as watch_run};
use crate::options::{Direct, Options};
use crate::people::{pair, register};
use crate::progress;
use crate::report::Report;
use crate::target::Target;
use crate::wire::{Connection, find};

/// One socket that sends and receives.
struct Talker {
    connection: Connection,
    conversation: String,
    /// Its number among all sockets, by which receivers tell senders apart.
    number: u32,
    pace: Pace,
    text: Rc<str>,
    clock: Clock,
    counters: Rc<Counters>,
    /// Messages begun.
    begun: u64,
    /// Messages on their way.
    open: u32,
    /// The last revision received of its conversation.
    held: Option<u64>,
    /// The last message received of each sender.
    heard: HashMap<u32, u64>,
}

/// When the next message is due.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// At these even intervals, whatever the server does.
    Open { next: u64, interval: u64 },
    /// Whenever fewer than this many are on their way.
    Closed { window: u32 },
}

/// As much of a frame as is looked at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    rev: Option<u64>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &Direct) -> Result<Report> {
    let users = load.users / 2 * 2;
    let people = register(target, users).await?;
    let conversations = pair(target, &people).await?;
    let fresh = target.restart().await?;
    let sockets = users * load.sockets;
    let mut connections = Vec::new();
    for person in &people {
        for _ in 0..load.sockets {
            connections.push(Connection::open(target.address, &person.token).await?);
        }
        progress::tell(&format!("opened {} of {sockets} sockets", connections.len()));
    }
    progress::end_line();

    let clock = Clock::start(options);
    let counters = Rc::new(Counters::default());
    let text: Rc<str> = "x".repeat(load.size as usize).into();
    let (finish, finished) = watch::channel(false);
    let mut talkers = Vec::new();
    for (number, connection) in (0..sockets).zip(connections) {
        let talker = Talker {
            connection,
            conversation: conversations[(number / load.sockets / 2) as usize].clone(),
            number,
            pace: Pace::new(load, number, sockets),
            text: Rc::clone(&text),
            clock,
            counters: Rc::clone(&counters),
            begun: 0,
            open: 0,
            held: None,
            heard: HashMap::new(),
        };
        talkers.push(tokio::task::spawn_local(talker.talk(finished.clone())));
    }
    // Each message reaches every socket of both users.
    let copies = u64::from(2 * load.sockets);
    let cost = watch_run(target, clock, &counters, |acknowledged| acknowledged * copies).await;
    finish.send_replace(true);
    for talker in talkers {
        talker.await?;
    }

    let seconds = options.seconds as f64;
    let mut report = Report::new("dm");
    report.add("loop", if load.closed.is_some() { "closed" } else { "open" });
    report.add("rate_wanted", load.closed.is_none().then_some(load.rate));
    report.add("in_flight", load.closed);
    report.add("users", users);
    report.add("sockets", sockets);
    report.add("conversations", conversations.len());
    report.add("content_characters", load.size);
    report.add("fresh_start", fresh);
    report.add("seconds", options.seconds);
    report.add("sent", counters.sent.get());
    report.add_known("acknowledged_per_second", Some(counters.acknowledged_measured.get() as f64 / seconds));
    report.add_known("delivered_per_second", Some(counters.delivered_measured.get() as f64 / seconds));
    report.add_latency("acknowledgement", &counters.acknowledgement);
    report.add_latency("delivery", &counters.delivery);
    report.add_latency("own_lateness", &counters.lateness);
    report.add_faults(&counters, counters.acknowledged.get() * copies);
    report.add_cost(&cost, seconds, counters.acknowledged_measured.get());
    Ok(report)
}

impl Pace {
    fn new(load: &Direct, number: u32, sockets: u32) -> Self {
        if let Some(closed) = load.closed {
            // What does not divide evenly goes to the first sockets.
            return Self::Closed { window: closed / sockets + u32::from(number < closed % sockets) };
        }
        let interval = 1_000_000_000 * u64::from(sockets) / u64::from(load.rate);
        Self::Open { next: interval * u64::from(number) / u64::from(sockets), interval }
    }
}

impl Talker {
    async fn talk(mut self, mut finished: watch::Receiver<bool>) {
        if let Err(error) = self.converse(&mut finished).await {
            self.counters.error(&error.to_string());
        }
    }

    async fn converse(&mut self, finished: &mut watch::Receiver<bool>) -> Result<()> {
        loop {
            let next = self.send_what_is_due();
            self.connection.flush()?;
            tokio::select! {
                ready = self.connection.ready() => {
                    ready?;
                    self.receive()?;
                }
                () = tokio::time::sleep_until(self.clock.instant(next.unwrap_or_default())), if next.is_some() => (),
                _ = finished.changed() => return Ok(()),
            }
        }
    }

    /// Puts out what is due; when the next message will be, if time decides that.
    fn send_what_is_due(&mut self) -> Option<u64> {
        loop {
            let now = self.clock.now();
            let due = match &mut self.pace {
                Pace::Open { next, .. } if *next >= self.clock.until => return None,
                Pace::Open { next, .. } if *next > now => return Some(*next),
                Pace::Open { next, interval } => {
                    let due = *next;
                    *next += *interval;
                    if self.clock.measures(due) {
                        self.counters.lateness.note(now - due);
                    }
                    due
                }
                Pace::Closed { window } if self.open >= *window || now >= self.clock.until => return None,
                Pace::Closed { .. } => now,
            };
            self.send(due);
        }
    }

    /// The name of a message carries what its receivers need: who, which, and when it was due.
    fn send(&mut self, due: u64) {
        let name = format!("{}.{}.{due}", self.number, self.begun);
        let frame = format!(
            r#"{{"type":"message.send","id":{},"payload":{{"conversation_id":"{}","content":"{}","temp_id":"{name}"}}}}"#,
            self.begun, self.conversation, self.text,
        );
        self.connection.outbox().text(&frame);
        self.begun += 1;
        self.open += 1;
        Counters::add(&self.counters.sent);
    }

    fn receive(&mut self) -> Result<()> {
        let now = self.clock.now();
        let (clock, counters) = (self.clock, &self.counters);
        let (open, held, heard) = (&mut self.open, &mut self.held, &mut self.heard);
        self.connection.read(|frame, _| {
            let Ok(envelope) = serde_json::from_slice::<Envelope>(frame) else {
                counters.error("a frame that cannot be read");
                return;
            };
            let payload = envelope.payload.map_or("", RawValue::get);
            match envelope.kind {
                "message.sent" => {
                    *open = open.saturating_sub(1);
                    Counters::add(&counters.acknowledged);
                    if clock.measures(now) {
                        Counters::add(&counters.acknowledged_measured);
                    }
                    if let Some((.., due)) = name_in(payload).filter(|(.., due)| clock.measures(*due)) {
                        counters.acknowledgement.note(now.saturating_sub(due));
                    }
                }
                "message.new" => {
                    Counters::add(&counters.delivered);
                    if clock.measures(now) {
                        Counters::add(&counters.delivered_measured);
                    }
                    counters.event(held, envelope.rev.unwrap_or_default());
                    let Some((sender, number, due)) = name_in(payload) else { return };
                    let last = heard.insert(sender, number);
                    if last.is_some_and(|last| number != last + 1) {
                        Counters::add(&counters.disordered);
                    }
                    if clock.measures(due) {
                        counters.delivery.note(now.saturating_sub(due));
                    }
                }
                "error" => {
                    *open = open.saturating_sub(1);
                    counters.error(code_in(payload));
                }
                _ => (),
            }
        })
    }
}

/// Sender, number and due time out of the name of the message in a payload.
fn name_in(payload: &str) -> Option<(u32, u64, u64)> {
    let key = "\"temp_id\":\"";
    let name = &payload[find(payload.as_bytes(), key.as_bytes())? + key.len()..];
    let mut parts = name.split('"').next()?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The code of an error's payload.
fn code_in(payload: &str) -> &str {
    let key = "\"code\":\"";
    let code = find(payload.as_bytes(), key.as_bytes()).map(|at| &payload[at + key.len()..]);
    code.and_then(|code| code.split('"').next()).unwrap_or("an error without a code")
}
