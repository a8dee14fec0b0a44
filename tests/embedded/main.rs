//! The library inside the test process, without sockets: these tests call the real use cases, writers and database, and
//! provoke what no client can provoke: locks that another transaction holds, statements that fail, callers that vanish
//! at a given moment.
//!
//! A test runs on SQLite always, and on PostgreSQL too if `GREENROOM_TEST_POSTGRES` names a server. Nothing here
//! depends on the state of the process: every test has a database, a runtime and an application of its own.

// A test stops by panicking, and measurements are printed for the person who reads the output.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod fairness;
mod harness;
mod migrations;
mod query_plans;
mod races;
mod relay;
mod repairs;
mod sign_in;
mod supervision;
mod transactions;
mod without_database;
mod writer;
