//! `room`: one user writes to a group; everybody listens. A broadcast is on its way until every socket has it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use crate::Result;
use crate::measure::{Clock, Counters, watch as watch_run};
use crate::options::{Options, Room};
use crate::people::{group, register};
use crate::progress;
use crate::report::Report;
use crate::target::Target;
use crate::wire::{Connection, find, number_after};

/// What the publisher and the listeners know of each broadcast.
struct Broadcasts {
    clock: Clock,
    /// The revision before the first broadcast.
    base: u64,
    sockets: u32,
    /// When each went out.
    sent_at: RefCell<Vec<u64>>,
    /// How many sockets have each.
    received: RefCell<Vec<u32>>,
    /// How many have reached everybody.
    complete: Cell<u64>,
    /// Rung when one more has.
    completed: Notify,
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &Room) -> Result<Report> {
    let people = register(target, load.users).await?;
    let (conversation, base) = group(target, &people).await?;
    let fresh = target.restart().await?;
    let sockets = load.users * load.sockets;
    let mut connections = Vec::new();
    for person in &people {
        for _ in 0..load.sockets {
            connections.push(Connection::open(target.address, &person.token).await?);
        }
        progress::tell(&format!("opened {} of {sockets} sockets", connections.len()));
    }
    progress::end_line();

    let broadcasts = Rc::new(Broadcasts {
        clock: Clock::start(options),
        base,
        sockets,
        sent_at: RefCell::default(),
        received: RefCell::default(),
        complete: Cell::default(),
        completed: Notify::new(),
    });
    let counters = Rc::new(Counters::default());
    let (finish, finished) = watch::channel(false);
    let mut connections = connections.into_iter();
    let publisher = connections.next().ok_or("there is a socket")?;
    let frame = format!(
        r#"{{"type":"message.send","id":1,"payload":{{"conversation_id":"{conversation}","content":"{}"}}}}"#,
        "x".repeat(load.size as usize),
    );
    let mut tasks = vec![tokio::task::spawn_local(publish(
        publisher,
        frame,
        u64::from(load.window),
        Rc::clone(&broadcasts),
        Rc::clone(&counters),
        finished.clone(),
    ))];
    for connection in connections {
        tasks.push(tokio::task::spawn_local(listen(
            connection,
            Rc::clone(&broadcasts),
            Rc::clone(&counters),
            finished.clone(),
        )));
    }
    let copies = u64::from(sockets);
    let cost = watch_run(target, broadcasts.clock, &counters, |acknowledged| acknowledged * copies).await;
    finish.send_replace(true);
    for task in tasks {
        task.await?;
    }

    let seconds = options.seconds as f64;
    let mut report = Report::new("room");
    report.add("users", load.users);
    report.add("sockets", sockets);
    report.add("window", load.window);
    report.add("content_characters", load.size);
    report.add("fresh_start", fresh);
    report.add("seconds", options.seconds);
    report.add("broadcasts", counters.sent.get());
    report.add_known("broadcasts_per_second", Some(counters.acknowledged_measured.get() as f64 / seconds));
    report.add_known("deliveries_per_second", Some(counters.delivered_measured.get() as f64 / seconds));
    let per_cpu = cost.server_cpu.map(|cpu| counters.delivered_measured.get() as f64 / cpu.max(f64::EPSILON));
    report.add_known("deliveries_per_server_cpu_second", per_cpu);
    report.add_latency("acknowledgement", &counters.acknowledgement);
    report.add_latency("delivery", &counters.delivery);
    report.add_faults(&counters, counters.acknowledged.get() * copies);
    report.add_cost(&cost, seconds, counters.acknowledged_measured.get());
    Ok(report)
}

/// Keeps `window` broadcasts on their way, and listens like everybody.
async fn publish(
    mut connection: Connection,
    frame: String,
    window: u64,
    broadcasts: Rc<Broadcasts>,
    counters: Rc<Counters>,
    mut finished: watch::Receiver<bool>,
) {
    let mut held = None;
    loop {
        while !broadcasts.clock.is_over() && counters.sent.get() < broadcasts.complete.get() + window {
            broadcasts.sent_at.borrow_mut().push(broadcasts.clock.now());
            broadcasts.received.borrow_mut().push(0);
            connection.outbox().text(&frame);
            Counters::add(&counters.sent);
        }
        let outcome = tokio::select! {
            ready = connection.ready() => ready.and_then(|()| broadcasts.receive(&mut connection, &mut held, &counters)),
            () = broadcasts.completed.notified() => Ok(()),
            _ = finished.changed() => return,
        };
        if let Err(error) = outcome {
            counters.error(&error.to_string());
            return;
        }
    }
}

async fn listen(
    mut connection: Connection,
    broadcasts: Rc<Broadcasts>,
    counters: Rc<Counters>,
    mut finished: watch::Receiver<bool>,
) {
    let mut held = None;
    loop {
        let outcome = tokio::select! {
            ready = connection.ready() => ready.and_then(|()| broadcasts.receive(&mut connection, &mut held, &counters)),
            _ = finished.changed() => return,
        };
        if let Err(error) = outcome {
            counters.error(&error.to_string());
            return;
        }
    }
}

impl Broadcasts {
    /// Reads what has come. The frames are not parsed: a million deliveries leave no time for it, and the revision near
    /// the beginning tells which broadcast it is.
    fn receive(&self, connection: &mut Connection, held: &mut Option<u64>, counters: &Counters) -> Result<()> {
        let now = self.clock.now();
        connection.read(|frame, _| {
            let start = &frame[..frame.len().min(160)];
            if find(start, b"\"message.new\"").is_some() {
                let rev = number_after(start, b"\"rev\":").unwrap_or_default();
                counters.event(held, rev);
                self.delivered(rev, now, counters);
            } else if find(start, b"\"message.sent\"").is_some() {
                let index = counters.acknowledged.get() as usize;
                Counters::add(&counters.acknowledged);
                if self.clock.measures(now) {
                    Counters::add(&counters.acknowledged_measured);
                }
                if let Some(sent_at) = self.sent_at.borrow().get(index).filter(|sent_at| self.clock.measures(**sent_at))
                {
                    counters.acknowledgement.note(now - sent_at);
                }
            } else if find(start, b"\"error\"").is_some() {
                counters.error(&String::from_utf8_lossy(frame));
            }
        })
    }

    fn delivered(&self, rev: u64, now: u64, counters: &Counters) {
        Counters::add(&counters.delivered);
        if self.clock.measures(now) {
            Counters::add(&counters.delivered_measured);
        }
        // There is one publisher, so the revisions are its broadcasts in their order.
        let index = rev.wrapping_sub(self.base + 1) as usize;
        let mut received = self.received.borrow_mut();
        let Some(count) = received.get_mut(index) else {
            counters.error("a revision that was not sent");
            return;
        };
        *count += 1;
        if *count == self.sockets {
            self.complete.set(self.complete.get() + 1);
            self.completed.notify_one();
        }
        if let Some(sent_at) = self.sent_at.borrow().get(index).filter(|sent_at| self.clock.measures(**sent_at)) {
            counters.delivery.note(now - sent_at);
        }
    }
}
