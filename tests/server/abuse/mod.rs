//! Attacks by one user on a server with its default limits: every input that once made a server unusable. The other
//! users notice no attack: no request of theirs is refused, `/health` always answers 200, and the memory of the server
//! grows by less than [`harness::GROWTH_BYTES`].
//!
//! The latency of the other users' messages is measured and printed, and no test fails because of it: `cargo test
//! --release --test server abuse -- --nocapture --test-threads 1`, with `GREENROOM_ABUSE_SECONDS=20` for figures.
//! `harness.rs` starts the server, `other_users.rs` contains the other users, `attacks.rs` the attacks that several
//! tests use, and `bulk_users.rs` fills the database. Every other file is one kind of attack.

pub mod attacks;
pub mod bulk_users;
mod command_floods;
mod connection_floods;
mod harness;
mod large_groups;
mod other_users;
mod password_guesses;
mod presence;
mod request_floods;
mod search;
mod unfinished_requests;
