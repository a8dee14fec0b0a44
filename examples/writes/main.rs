//! Measures how fast sends become durable: the application in this process, without HTTP and sockets, under a closed
//! loop of senders.
//!
//! It compares group commit with the same code with batches of one and, on PostgreSQL, with `pgbench` and the three
//! statements that every message needs. The table is for readers (standard error), the JSON for programs (standard
//! output).

// The report and the errors of this program are for the terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod application;
mod database;
mod load;
mod options;
mod pgbench;
mod report;

use actix::System;
use application::Application;
use clap::Parser;
use database::NewDatabase;
use greenroom::domain::limits;
use load::Figures;
use options::Options;
use report::Report;
use std::process::ExitCode;
use std::time::Duration;

/// The allocator of the program `greenroom`, so that the application uses memory as in that program.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The result of a step. An error ends the run and is printed in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The names of the measured paths in the report.
const GROUP_COMMIT: &str = "group commit";
const BATCHES_OF_ONE: &str = "batches of one";

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => {
            eprint!("{}", report.table());
            println!("{}", report.json(&options));
            if report.has_no_errors() { ExitCode::SUCCESS } else { ExitCode::from(2) }
        }
        Err(error) => {
            eprintln!("writes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Report> {
    let mut report = Report::default();
    for (path, batch_size) in [(GROUP_COMMIT, limits::BATCH_SIZE), (BATCHES_OF_ONE, 1)] {
        measure(options, &NewDatabase::create_sqlite()?, path, batch_size, &mut report)?;
    }
    let Some(url) = options.postgres()? else { return Ok(report) };
    let mut payload_bytes = 0;
    for (path, batch_size) in [(GROUP_COMMIT, limits::BATCH_SIZE), (BATCHES_OF_ONE, 1)] {
        let database = NewDatabase::create_postgres(url)?;
        payload_bytes = measure(options, &database, path, batch_size, &mut report)?.max(payload_bytes);
        database.remove()?;
    }
    if !pgbench::is_installed() {
        eprintln!("writes: pgbench is not on the PATH and is left out");
        return Ok(report);
    }
    let database = NewDatabase::create_postgres(url)?;
    with_application(&database, 1, async |_| Ok(()))?;
    for senders in &options.senders {
        eprintln!("writes: {}, pgbench, {senders} clients", database.backend_name());
        let figures = pgbench::run(&database, payload_bytes, *senders, options.seconds)?;
        report.add(database.backend_name(), "pgbench", *senders, figures);
    }
    database.remove()?;
    Ok(report)
}

/// Measures one path on a new database with every number of senders. Returns the mean size of its events in bytes.
fn measure(
    options: &Options,
    database: &NewDatabase,
    path: &'static str,
    batch_size: usize,
    report: &mut Report,
) -> Result<usize> {
    with_application(database, batch_size, async |application| {
        for senders in &options.senders {
            eprintln!("writes: {}, {path}, {senders} senders", database.backend_name());
            let figures: Figures = load::run(application, *senders, options.seconds).await;
            report.add(database.backend_name(), path, *senders, figures);
        }
        application.payload_bytes().await
    })
}

/// Runs `work` with an application whose database has threads of its own, as in a server.
fn with_application<T>(
    database: &NewDatabase,
    batch_size: usize,
    work: impl AsyncFnOnce(&Application) -> Result<T>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
        .thread_name("database")
        .enable_all()
        .build()?;
    let result = System::new().block_on(async {
        let application = Application::start(database, runtime.handle(), batch_size).await?;
        let result = work(&application).await;
        application.stop().await;
        result
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
