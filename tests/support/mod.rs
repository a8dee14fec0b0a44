//! The harness of tests over the network: real servers, users, sockets that keep every frame, and a history checker.
//!
//! It starts the built program as a child process and uses it over the network, as every client does. So a test checks
//! the behaviour that a client can rely on. Assertions about one feature belong into the test files.

// Each test program includes the whole harness and uses a part of it, and a test stops by panicking. Bodies and frames
// are made for one call, so they are passed by value.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr, clippy::needless_pass_by_value)]

pub mod authorization_table;
pub mod clients;
pub mod cluster;
pub mod database;
pub mod disk;
pub mod follower;
pub mod history;
pub mod integrity;
pub mod process;
pub mod random;
pub mod rest;
pub mod server;
pub mod socket;
pub mod user;
pub mod wire;

use std::io::Write;
use std::time::{Duration, Instant};

pub use database::TestDatabase;
pub use random::Random;
pub use rest::Answer;
pub use server::{Target, TestServer};
pub use socket::{Auth, ConnectOptions, Refusal, TestSocket};
pub use user::{PASSWORD, TestUser};
pub use wire::{RawSocket, SlowSocket, StalledSocket};

/// The time after which a test stops waiting for a condition. It is far above what the server needs, so that a slow
/// machine makes a slow test and not a failing one.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The pause between two checks of a condition.
const POLL: Duration = Duration::from_millis(20);

/// Prints which part of a test does not run here and why. It writes directly to standard error, because the test runner
/// hides the output of `eprintln!`.
pub fn report_skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "left out: {what}");
}

/// Polls until `condition` holds; panics with `what` if it does not hold within [`DEADLINE`].
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(DEADLINE, what, condition).await;
}

/// [`eventually`] with another deadline, for conditions that may take longer.
pub async fn eventually_within(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < deadline, "after {deadline:?} this still does not hold: {what}");
        tokio::time::sleep(POLL).await;
    }
}
