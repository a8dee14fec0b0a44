//! `idle`: many sockets that only answer pings, and the memory that each of them uses.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use crate::Result;
use crate::measurement::Counters;
use crate::options::{IdleOptions, Options};
use crate::progress;
use crate::report::Report;
use crate::socket::Socket;
use crate::target::Target;
use crate::users::{create_direct_conversations, register};

/// The pause before each sample of memory, in which the server finishes its work.
const IDLE_PAUSE: Duration = Duration::from_secs(1);

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &IdleOptions) -> Result<Report> {
    tokio::time::sleep(IDLE_PAUSE).await;
    let started = target.resident_bytes();
    let user_count = load.sockets.div_ceil(load.each).next_multiple_of(2);
    let users = register(target, user_count).await?;
    create_direct_conversations(target, &users).await?;
    tokio::time::sleep(IDLE_PAUSE).await;
    let registered = target.resident_bytes();
    // The figure above contains memory that the registrations used. The restart keeps it out of the figures below.
    let restarted = target.restart().await?;
    tokio::time::sleep(IDLE_PAUSE).await;
    let before = target.resident_bytes();

    let (finish, finished) = watch::channel(false);
    let counters = Rc::new(Counters::default());
    let mut tasks = Vec::new();
    for number in 0..load.sockets {
        let user = &users[(number / load.each) as usize];
        let socket = Socket::open(target.address, &user.access_token).await?;
        tasks.push(tokio::task::spawn_local(answer_pings(socket, counters.clone(), finished.clone())));
        if (number + 1) % 100 == 0 {
            progress::show(&format!("opened {} of {} sockets", number + 1, load.sockets));
        }
    }
    progress::end_line();
    tokio::time::sleep(IDLE_PAUSE).await;
    let opened = target.resident_bytes();
    let cpu = target.cpu_seconds();
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let after = target.resident_bytes();
    let cpu = target.cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    finish.send_replace(true);
    for task in tasks {
        task.await?;
    }
    tokio::time::sleep(IDLE_PAUSE).await;
    let closed = target.resident_bytes();

    let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / (1024.0 * 1024.0));
    let kib_per_socket = |bytes: Option<u64>| {
        let growth = bytes.zip(before).map(|(after, before)| after.saturating_sub(before));
        growth.map(|growth| growth as f64 / 1024.0 / f64::from(load.sockets))
    };
    let mut report = Report::new("idle");
    report.add("sockets", load.sockets);
    report.add("users", user_count);
    report.add("fresh_start", restarted);
    report.add("seconds", options.seconds);
    report.add_rounded("server_rss_mib_started", mib(started));
    report.add_rounded("server_rss_mib_registered", mib(registered));
    report.add_rounded("server_rss_mib_base", mib(before));
    report.add_rounded("server_rss_mib_opened", mib(opened));
    report.add_rounded("server_rss_mib_after", mib(after));
    report.add_rounded("server_rss_mib_closed", mib(closed));
    report.add_rounded("kib_per_socket_opened", kib_per_socket(opened));
    report.add_rounded("kib_per_socket_after", kib_per_socket(after));
    report.add_rounded("server_cpu_cores", cpu.map(|cpu| cpu / options.seconds as f64));
    report.add_faults(&counters, 0);
    Ok(report)
}

/// Answers pings until the run is over.
async fn answer_pings(mut socket: Socket, counters: Rc<Counters>, mut finished: watch::Receiver<bool>) {
    loop {
        let outcome = tokio::select! {
            ready = socket.ready() => ready.and_then(|()| socket.read(|_| ())),
            _ = finished.changed() => return,
        };
        if let Err(error) = outcome {
            counters.add_error(&error.to_string());
            return;
        }
    }
}
