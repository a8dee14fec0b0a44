//! The black-box harness: real servers, users in a line each, sockets that keep every frame, a history checker.
//!
//! Nothing here knows the server's code. It starts the built program as a child process and talks to it over the
//! network, as any client would, so that a test says what a client can rely on. Assertions about one feature belong
//! to the test files.

// Each test program includes the whole harness and uses a part of it; and a test stops by panicking. Bodies and frames
// are made for one call, so they are handed over whole.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::print_stderr, clippy::needless_pass_by_value)]

pub mod cluster;
pub mod crowd;
pub mod database;
pub mod disk;
pub mod follower;
pub mod history;
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

/// How long any single condition may take before the test gives up. Far above what a healthy server needs, so that a
/// slow machine makes a slow test and not a failing one.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(20);

/// Says on the real standard error, which the test harness does not swallow, what a test leaves out here and why.
pub fn leave_out(what: &str) {
    let _ = writeln!(std::io::stderr(), "left out: {what}");
}

/// Polls until `condition` holds; panics with `what` when it does not within [`DEADLINE`].
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(DEADLINE, what, condition).await;
}

/// [`eventually`] with a deadline of one's own, for what the contract allows to take longer.
pub async fn eventually_within(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < deadline, "after {deadline:?} it still does not hold: {what}");
        tokio::time::sleep(POLL).await;
    }
}
