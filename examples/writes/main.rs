//! How fast sends become durable: the application in this process, without HTTP and sockets, under a closed loop of
//! senders. Group commit is measured beside the same path with batches of one, and on PostgreSQL beside `pgbench` with the
//! three statements that no message can do without. The table is for people (standard error), the JSON for programs
//! (standard output).

// What it has to say goes to the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod load;
mod options;
mod pgbench;
mod report;
mod stage;

use actix::System;
use clap::Parser;
use greenroom::domain::limits;
use load::Figures;
use options::Options;
use report::Report;
use stage::{Place, Stage};
use std::process::ExitCode;
use std::time::Duration;

/// The program's own, as the server this measures must be the one that ships.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Whatever stops a run; it is told in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How a path is called in the report.
const GROUPED: &str = "group commit";
const ONES: &str = "batches of one";

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            eprint!("{}", report.table());
            println!("{}", report.json(&options));
            if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
        Err(error) => {
            eprintln!("writes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let mut report = Report::default();
    for (path, batch) in [(GROUPED, limits::BATCH_SIZE), (ONES, 1)] {
        measure(options, &Place::sqlite()?, path, batch, &mut report)?;
    }
    let Some(url) = options.postgres()? else { return Ok(report) };
    let mut payload = 0;
    for (path, batch) in [(GROUPED, limits::BATCH_SIZE), (ONES, 1)] {
        let place = Place::postgres(url)?;
        payload = measure(options, &place, path, batch, &mut report)?.max(payload);
        place.remove()?;
    }
    if !pgbench::is_here() {
        eprintln!("writes: pgbench is not on the PATH and is left out");
        return Ok(report);
    }
    let place = Place::postgres(url)?;
    with_stage(&place, 1, async |_| Ok(()))?;
    for senders in &options.senders {
        eprintln!("writes: {}, pgbench, {senders} clients", place.name());
        let figures = pgbench::run(&place, payload, *senders, options.seconds)?;
        report.add(place.name(), "pgbench", *senders, figures);
    }
    place.remove()?;
    Ok(report)
}

/// Measures one path on a fresh database with every number of senders, and returns how many bytes its events have.
fn measure(options: &Options, place: &Place, path: &'static str, batch: usize, report: &mut Report) -> Result<usize> {
    with_stage(place, batch, async |stage| {
        for senders in &options.senders {
            eprintln!("writes: {}, {path}, {senders} senders", place.name());
            let figures: Figures = load::run(stage, *senders, options.seconds).await;
            report.add(place.name(), path, *senders, figures);
        }
        stage.payload_bytes().await
    })
}

/// Runs `work` with an application on its own threads, as a server has them.
fn with_stage<T>(place: &Place, batch: usize, work: impl AsyncFnOnce(&Stage) -> Result<T>) -> Result<T> {
    let database = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
        .thread_name("database")
        .enable_all()
        .build()?;
    let result = System::new().block_on(async {
        let stage = Stage::open(place, database.handle(), batch).await?;
        let result = work(&stage).await;
        stage.close().await;
        result
    });
    database.shutdown_timeout(Duration::from_secs(1));
    result
}
