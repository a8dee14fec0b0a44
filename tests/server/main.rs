//! The server as its clients see it: these tests start the built program as a child process and use it over the
//! network. Each test has a server of its own, so no test disturbs another.
//!
//! Tests that need PostgreSQL, for example those with two servers on one database, are marked as ignored. A plain
//! `cargo test` leaves them out; `scripts/test postgres` runs them with `--include-ignored`.

// A test stops by panicking, and measurements are printed for the person who reads the output.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod accounts;
mod authorization;
mod connections;
mod conversations;
mod disk;
mod history_checker;
mod live_and_replayed;
mod long;
mod messages;
mod model;
mod nodes;
mod program;
mod races;
mod rest;
mod sessions;
mod sync;
