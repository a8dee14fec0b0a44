//! The load tool: puts a known load on a server on this machine, and reports its measurements, as a table for readers
//! (standard error) and as JSON for programs (standard output).
//!
//! In the open loop the latency of a message begins when the message is *due*. A server that stalls is therefore
//! charged for all messages that it delays. The report contains the tool's own share of the processor time, because the
//! tool and the server may compete for the same cores.

// The report, the progress and the errors of this program are for the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod completions;
mod direct;
mod history;
mod idle;
mod list;
mod measurement;
mod options;
mod page_reader;
mod processes;
mod progress;
mod readers_lag;
mod reconnect;
mod report;
mod room;
mod socket;
mod target;
mod users;

use std::process::ExitCode;

use clap::Parser;
use options::{Options, Scenario};
use report::Report;
use target::Target;
use tokio::signal::unix::{SignalKind, signal};

/// The allocator of the program `greenroom`, so that the server in this executable uses memory as that program does.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The result of a step. An error ends the run and is printed in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == target::SERVE) {
        return greenroom::cli::run(["greenroom", "serve"].map(Into::into));
    }
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("loadtest: the runtime did not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    // With one thread the clients share their counters without locks, and the tool uses one core at most.
    match tokio::task::LocalSet::new().block_on(&runtime, until_interrupted(run(&options))) {
        Ok(report) => {
            eprint!("{}", report.table());
            println!("{}", report.json());
            if report.has_no_faults() { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs to the end, or until Ctrl-C or SIGTERM. Both stop the tool's own server and remove its folder.
async fn until_interrupted(run: impl Future<Output = Result<Report>>) -> Result<Report> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        report = run => report,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        _ = terminate.recv() => Err("terminated".into()),
    }
}

async fn run(options: &Options) -> Result<Report> {
    let mut target = Target::open(options).await?;
    match &options.scenario {
        Scenario::Dm(load) => direct::run(&mut target, options, load).await,
        Scenario::Room(load) => room::run(&mut target, options, load).await,
        Scenario::Idle(load) => idle::run(&mut target, options, load).await,
        Scenario::Return(load) => reconnect::run(target, load).await,
        Scenario::History(load) => history::run(&mut target, options, load).await,
        Scenario::List(load) => list::run(&mut target, options, load).await,
    }
}
