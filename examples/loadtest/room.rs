//! `room`: one user writes to a group, and every socket of all members receives each message.
//!
//! A message is under way until every socket has received it. Such a message is called a broadcast here.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::{Notify, watch};

use crate::Result;
use crate::measurement::{Clock, Counters, observe};
use crate::options::{Options, RoomOptions};
use crate::progress;
use crate::report::Report;
use crate::socket::{Socket, find, number_after};
use crate::target::Target;
use crate::users::{create_group, register};

/// The state of all broadcasts, which the sender and the receivers share. A broadcast is known by its index.
struct Broadcasts {
    clock: Clock,
    /// The revision of the group before the first broadcast.
    base_rev: u64,
    socket_count: u32,
    sent_at: RefCell<Vec<u64>>,
    /// The number of sockets that have received each broadcast.
    receivers: RefCell<Vec<u32>>,
    /// The number of broadcasts that all sockets have received.
    complete_count: Cell<u64>,
    /// Wakes the sender when one more broadcast is complete.
    completed: Notify,
}

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &RoomOptions) -> Result<Report> {
    let users = register(target, load.users).await?;
    let (conversation_id, base_rev) = create_group(target, &users).await?;
    let restarted = target.restart().await?;
    let socket_count = load.users * load.sockets;
    let mut sockets = Vec::new();
    for user in &users {
        for _ in 0..load.sockets {
            sockets.push(Socket::open(target.address, &user.access_token).await?);
        }
        progress::show(&format!("opened {} of {socket_count} sockets", sockets.len()));
    }
    progress::end_line();

    let broadcasts = Rc::new(Broadcasts {
        clock: Clock::start(options),
        base_rev,
        socket_count,
        sent_at: RefCell::default(),
        receivers: RefCell::default(),
        complete_count: Cell::default(),
        completed: Notify::new(),
    });
    let counters = Rc::new(Counters::default());
    let (finish, finished) = watch::channel(false);
    let mut sockets = sockets.into_iter();
    let sender = sockets.next().ok_or("there is no socket")?;
    let frame = format!(
        r#"{{"type":"message.send","id":1,"payload":{{"conversation_id":"{conversation_id}","content":"{}"}}}}"#,
        "x".repeat(load.size as usize),
    );
    let mut tasks = vec![tokio::task::spawn_local(send_and_receive(
        sender,
        frame,
        match load.rate {
            Some(rate) => Pace::Interval(1_000_000_000 / u64::from(rate)),
            None => Pace::Window(u64::from(load.window)),
        },
        Rc::clone(&broadcasts),
        Rc::clone(&counters),
        finished.clone(),
    ))];
    for socket in sockets {
        tasks.push(tokio::task::spawn_local(receive(
            socket,
            Rc::clone(&broadcasts),
            Rc::clone(&counters),
            finished.clone(),
        )));
    }
    let copies = u64::from(socket_count);
    let cost = observe(target, broadcasts.clock, &counters, |acknowledged| acknowledged * copies).await;
    finish.send_replace(true);
    for task in tasks {
        task.await?;
    }

    let seconds = options.seconds as f64;
    let mut report = Report::new("room");
    report.add("users", load.users);
    report.add("sockets", socket_count);
    report.add("window", load.rate.is_none().then_some(load.window));
    report.add("rate_wanted", load.rate);
    report.add("content_characters", load.size);
    report.add("fresh_start", restarted);
    report.add("seconds", options.seconds);
    report.add("broadcasts", counters.sent.get());
    report.add_rounded("broadcasts_per_second", Some(counters.acknowledged_measured.get() as f64 / seconds));
    report.add_rounded("deliveries_per_second", Some(counters.delivered_measured.get() as f64 / seconds));
    report.add_latency("acknowledgement", &counters.acknowledgement);
    report.add_latency("delivery", &counters.delivery);
    report.add_faults(&counters, counters.acknowledged.get() * copies);
    report.add_cost(&cost, seconds, "delivery", counters.delivered_measured.get());
    Ok(report)
}

/// When the sender sends its next broadcast.
#[derive(Clone, Copy)]
enum Pace {
    /// When fewer than so many are under way.
    Window(u64),
    /// When so many nanoseconds have passed since the one before was due.
    Interval(u64),
}

impl Pace {
    /// Returns the time at which the next broadcast is due, if it may be sent now.
    fn due(self, broadcasts: &Broadcasts, sent: u64) -> Option<u64> {
        let now = broadcasts.clock.now();
        match self {
            Self::Window(window) => (sent < broadcasts.complete_count.get() + window).then_some(now),
            Self::Interval(interval) => Some(sent * interval).filter(|due| *due <= now),
        }
    }

    /// Waits until a broadcast is due, if this depends on the time only.
    async fn wait(self, clock: Clock, sent: u64) {
        match self {
            Self::Window(_) => std::future::pending().await,
            Self::Interval(interval) => tokio::time::sleep_until(clock.instant(sent * interval)).await,
        }
    }
}

/// Sends broadcasts at a pace, and receives them like the other sockets.
async fn send_and_receive(
    mut socket: Socket,
    frame: String,
    pace: Pace,
    broadcasts: Rc<Broadcasts>,
    counters: Rc<Counters>,
    mut finished: watch::Receiver<bool>,
) {
    let mut last_rev = None;
    loop {
        while !broadcasts.clock.is_over()
            && let Some(due) = pace.due(&broadcasts, counters.sent.get())
        {
            broadcasts.sent_at.borrow_mut().push(due);
            broadcasts.receivers.borrow_mut().push(0);
            socket.send_buffer().text(&frame);
            Counters::add(&counters.sent);
        }
        let outcome = tokio::select! {
            ready = socket.ready() => ready.and_then(|()| broadcasts.read(&mut socket, &mut last_rev, &counters)),
            () = broadcasts.completed.notified() => Ok(()),
            () = pace.wait(broadcasts.clock, counters.sent.get()), if !broadcasts.clock.is_over() => Ok(()),
            _ = finished.changed() => return,
        };
        if let Err(error) = outcome {
            counters.add_error(&error.to_string());
            return;
        }
    }
}

async fn receive(
    mut socket: Socket,
    broadcasts: Rc<Broadcasts>,
    counters: Rc<Counters>,
    mut finished: watch::Receiver<bool>,
) {
    let mut last_rev = None;
    loop {
        let outcome = tokio::select! {
            ready = socket.ready() => ready.and_then(|()| broadcasts.read(&mut socket, &mut last_rev, &counters)),
            _ = finished.changed() => return,
        };
        if let Err(error) = outcome {
            counters.add_error(&error.to_string());
            return;
        }
    }
}

impl Broadcasts {
    /// Reads the frames that have arrived. It does not parse them, because that would take too long for a million
    /// deliveries: the revision near the beginning of a frame identifies the broadcast.
    fn read(&self, socket: &mut Socket, last_rev: &mut Option<u64>, counters: &Counters) -> Result<()> {
        let now = self.clock.now();
        socket.read(|frame| {
            let start = &frame[..frame.len().min(160)];
            if find(start, b"\"message.new\"").is_some() {
                let rev = number_after(start, b"\"rev\":").unwrap_or_default();
                counters.check_order(last_rev, rev);
                self.add_delivery(rev, now, counters);
            } else if find(start, b"\"message.sent\"").is_some() {
                let index = counters.acknowledged.get() as usize;
                Counters::add(&counters.acknowledged);
                if self.clock.is_measured(now) {
                    Counters::add(&counters.acknowledged_measured);
                }
                if let Some(sent_at) =
                    self.sent_at.borrow().get(index).filter(|sent_at| self.clock.is_measured(**sent_at))
                {
                    counters.acknowledgement.record(now - sent_at);
                }
            } else if find(start, b"\"error\"").is_some() {
                counters.add_error(&String::from_utf8_lossy(frame));
            }
        })
    }

    /// Counts that one socket has received the event `rev`.
    fn add_delivery(&self, rev: u64, now: u64, counters: &Counters) {
        Counters::add(&counters.delivered);
        if self.clock.is_measured(now) {
            Counters::add(&counters.delivered_measured);
        }
        // Only one user sends, so each broadcast has the revision after the one before it.
        let index = rev.wrapping_sub(self.base_rev + 1) as usize;
        let mut receivers = self.receivers.borrow_mut();
        let Some(count) = receivers.get_mut(index) else {
            counters.add_error("a revision that was not sent");
            return;
        };
        *count += 1;
        if *count == self.socket_count {
            self.complete_count.set(self.complete_count.get() + 1);
            self.completed.notify_one();
        }
        if let Some(sent_at) = self.sent_at.borrow().get(index).filter(|sent_at| self.clock.is_measured(**sent_at)) {
            counters.delivery.record(now - sent_at);
        }
    }
}
