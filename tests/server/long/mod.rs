//! Runs of half an hour, which `scripts/test --long` starts. Clients exchange messages while other clients attack the
//! server, its commits fail, its processes are killed, and members leave and join. One seed chooses all of this. At the
//! end the history checker must find no violation, and the servers must return their memory.
//!
//! `GREENROOM_LONG_MINUTES` shortens a run, and `GREENROOM_TEST_SEED` repeats one.

mod attackers;
mod faults;
mod membership;
mod mix;

use crate::support::database::runs_on_postgres;

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
