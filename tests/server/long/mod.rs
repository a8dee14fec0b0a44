//! Runs that take half an hour, by hand: `scripts/test --long`. Honest clients talk while the server is attacked, its
//! commits fail, its processes die and members come and go, all mixed by one seed. Afterwards the history checker must
//! find nothing, and the memory must have come back.
//!
//! `GREENROOM_LONG_MINUTES` shortens a run, `GREENROOM_TEST_SEED` repeats one.

#![allow(clippy::print_stderr)] // how a run went is what its reader wants to see

mod support;

#[path = "long/abuse.rs"]
mod abuse;
#[allow(dead_code)] // the tests of single attacks use the rest of it
#[path = "abuse/attacks.rs"]
mod attacks;
#[path = "long/churn.rs"]
mod churn;
#[path = "long/faults.rs"]
mod faults;
#[path = "long/mix.rs"]
mod mix;
#[path = "abuse/pupils.rs"]
mod pupils;

use support::database::runs_on_postgres;

/// One node on SQLite or PostgreSQL.
#[tokio::test]
#[ignore = "long: 30 minutes"]
async fn long_mix_on_one_node() {
    mix::run(1).await;
}

/// Two nodes on one PostgreSQL.
#[tokio::test]
#[ignore = "long: 30 minutes, on PostgreSQL"]
async fn long_mix_on_two_nodes() {
    if runs_on_postgres() {
        mix::run(2).await;
    } else {
        eprintln!("left out: two nodes share a PostgreSQL database");
    }
}
