//! Tests of the library inside the test process, without sockets. They call the real use cases, writers and database,
//! and cause what no client can cause: locks that another transaction holds, statements that fail, and callers that
//! disappear at a chosen moment.
//!
//! A test always runs on SQLite, and also on PostgreSQL if `GREENROOM_TEST_POSTGRES` names a server. No test depends on
//! the state of the process: every test has a database, a runtime and an application of its own.

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
mod reading;
mod relay;
mod repairs;
mod sign_in;
mod supervision;
mod transactions;
mod without_database;
mod writer;
