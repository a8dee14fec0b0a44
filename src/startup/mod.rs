//! Starts all parts of the server in order, and stops them in order.
//!
//! [`wiring`] creates the application, [`server`] adds the actors and the HTTP server, [`shutdown`] stops them, and
//! [`embedded`] is an application without a server.
//!
//! Tasks that wait for the database run on a separate runtime, so that no connection depends on a thread that is busy
//! writing to sockets. Sockets and sessions run on the workers of the HTTP server. Rooms run on arbiters.

mod embedded;
mod maintenance;
mod server;
mod shutdown;
mod wiring;

pub use embedded::{Embedded, create_offline_app};

use crate::backends::{self, BackendError};
use crate::config::Settings;
use crate::error::Error;
use actix::System;
use server::RunningServer;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Runs the server until SIGTERM or Ctrl-C, and then stops all parts in order.
pub fn serve(settings: Settings) -> Result<(), StartupError> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
        .thread_name("database")
        .enable_all()
        .build()?;
    let runtime = threads.handle().clone();
    let db = threads.block_on(backends::open(&settings))?;
    let ended = System::new().block_on(async {
        let server = RunningServer::start(Arc::new(settings), &db, &runtime).await?;
        shutdown::wait_for_stop_signal().await?;
        server.stop(&runtime).await
    });
    threads.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// The reason why the server does not run, as one line for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartupError(String);

impl StartupError {
    fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

impl From<BackendError> for StartupError {
    fn from(error: BackendError) -> Self {
        Self::new(error)
    }
}

impl From<Error> for StartupError {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

impl From<std::io::Error> for StartupError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}
