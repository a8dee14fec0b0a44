//! One user attacks the server, and the other users notice nothing: every input that once made a server unusable,
//! against a server with its default limits. No request of the other users is refused, `/health` is always 200, and the
//! server's memory grows by less than [`harness::GROWTH_BYTES`].
//!
//! The latency of the other users' messages is measured and printed, and no test fails because of it: `cargo test
//! --release --test server abuse -- --nocapture --test-threads 1`, with `GREENROOM_ABUSE_SECONDS=20` for figures.
//! `harness.rs` starts the server, `bystanders.rs` contains the other users, `attacks.rs` the attacks that several
//! tests use, and `bulk_users.rs` fills the database. Every other file is one kind of attack.

pub mod attacks;
pub mod bulk_users;
mod bystanders;
mod command_floods;
mod connection_floods;
mod harness;
mod large_groups;
mod password_guesses;
mod presence;
mod request_floods;
mod search;
mod unfinished_requests;
