//! The load tool: puts a known load on a server on this machine and tells what came of it, as a table for people
//! (standard error) and as JSON for programs (standard output).
//!
//! It measures honestly rather than kindly: in the open loop the time of a message runs from the moment it was *due*, so
//! that a server which stalls is charged for everybody it kept waiting; and it tells its own share of the processor,
//! because on a small machine the tool and the server compete for it.

// What it has to say goes to the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod back;
mod direct;
mod idle;
mod measure;
mod options;
mod people;
mod progress;
mod report;
mod room;
mod target;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use options::{Options, Scenario};
use report::Report;
use target::Target;
use tokio::signal::unix::{SignalKind, signal};

/// The program's own, as the server this measures must be the one that ships.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Whatever stops a run; it is told in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == target::SERVE) {
        return greenroom::cli::run(["greenroom", "serve"].map(Into::into));
    }
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("loadtest: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // One thread: the clients share their counters without locks, and the tool never takes more than one core.
    match tokio::task::LocalSet::new().block_on(&runtime, until_interrupted(run(&options))) {
        Ok(report) => {
            eprint!("{}", report.table());
            println!("{}", report.json());
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
        Err(error) => {
            eprintln!("loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Gives up at Ctrl-C or SIGTERM; giving up stops the tool's own server and removes its folder.
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
        Scenario::Return(load) => back::run(target, load).await,
    }
}
