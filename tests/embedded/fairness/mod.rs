//! One user's work holds up nobody else: what waits for a connection is busy, and the database is not away for it.

// A test stops by panicking.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "fairness/accounts.rs"]
mod accounts;
#[path = "fairness/connections.rs"]
mod connections;
#[path = "fairness/groups.rs"]
mod groups;
#[path = "fairness/health.rs"]
mod health;
#[path = "inside/mod.rs"]
mod inside;
#[path = "fairness/locks.rs"]
mod locks;
#[path = "fairness/reads.rs"]
mod reads;
#[path = "fairness/search.rs"]
mod search;
#[path = "fairness/writes.rs"]
mod writes;
