//! `idle`: many sockets that do nothing but answer pings, and what each of them costs.

use tokio::sync::watch;

use crate::Result;
use crate::measure::Counters;
use crate::options::{Idle, Options};
use crate::people::{pair, register};
use crate::progress;
use crate::report::Report;
use crate::target::Target;
use crate::wire::Connection;

/// How long memory is given to settle before a look.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs the scenario.
pub async fn run(target: &mut Target, options: &Options, load: &Idle) -> Result<Report> {
    tokio::time::sleep(SETTLE).await;
    let started = target.resident_bytes();
    let users = load.sockets.div_ceil(load.each).next_multiple_of(2);
    let people = register(target, users).await?;
    pair(target, &people).await?;
    tokio::time::sleep(SETTLE).await;
    let registered = target.resident_bytes();
    // What the registrations left behind shows in the figure above and blurs none below.
    let fresh = target.restart().await?;
    tokio::time::sleep(SETTLE).await;
    let before = target.resident_bytes();

    let (finish, finished) = watch::channel(false);
    let counters = std::rc::Rc::new(Counters::default());
    let mut tasks = Vec::new();
    for number in 0..load.sockets {
        let person = &people[(number / load.each) as usize];
        let connection = Connection::open(target.address, &person.token).await?;
        tasks.push(tokio::task::spawn_local(rest(connection, counters.clone(), finished.clone())));
        if (number + 1) % 100 == 0 {
            progress::tell(&format!("opened {} of {} sockets", number + 1, load.sockets));
        }
    }
    progress::end_line();
    tokio::time::sleep(SETTLE).await;
    let opened = target.resident_bytes();
    let cpu = target.cpu_seconds();
    tokio::time::sleep(std::time::Duration::from_secs(options.seconds)).await;
    let after = target.resident_bytes();
    let cpu = target.cpu_seconds().zip(cpu).map(|(after, before)| after - before);
    finish.send_replace(true);
    for task in tasks {
        task.await?;
    }
    tokio::time::sleep(SETTLE).await;
    let closed = target.resident_bytes();

    let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / (1024.0 * 1024.0));
    let each = |bytes: Option<u64>| {
        let grown = bytes.zip(before).map(|(after, before)| after.saturating_sub(before));
        grown.map(|grown| grown as f64 / 1024.0 / f64::from(load.sockets))
    };
    let mut report = Report::new("idle");
    report.add("sockets", load.sockets);
    report.add("users", users);
    report.add("fresh_start", fresh);
    report.add("seconds", options.seconds);
    report.add_known("server_rss_mib_started", mib(started));
    report.add_known("server_rss_mib_registered", mib(registered));
    report.add_known("server_rss_mib_base", mib(before));
    report.add_known("server_rss_mib_opened", mib(opened));
    report.add_known("server_rss_mib_after", mib(after));
    report.add_known("server_rss_mib_closed", mib(closed));
    report.add_known("kib_per_socket_opened", each(opened));
    report.add_known("kib_per_socket_after", each(after));
    report.add_known("server_cpu_cores", cpu.map(|cpu| cpu / options.seconds as f64));
    report.add_faults(&counters, 0);
    Ok(report)
}

/// Answers pings until the run is over.
async fn rest(mut connection: Connection, counters: std::rc::Rc<Counters>, mut finished: watch::Receiver<bool>) {
    loop {
        let outcome = tokio::select! {
            ready = connection.ready() => ready.and_then(|()| connection.read(|_, _| ())),
            _ = finished.changed() => return,
        };
        if let Err(error) = outcome {
            counters.error(&error.to_string());
            return;
        }
    }
}
