//! One user takes the node on, and the others notice nothing: each input that once took it down, against a server with its
//! limits as they are by default. Nothing that the bystanders do is refused, `/health` is always 200, and the server's memory
//! stays within [`world::GROWTH_BYTES`] of what it was.
//!
//! What the bystanders' messages take is measured and printed, never judged:
//! `cargo test --release --test abuse -- --nocapture --test-threads 1`, with `GREENROOM_ABUSE_SECONDS=20` for figures.
//! `tests/abuse/world.rs` is the stage, `bystanders.rs` what the others do meanwhile, `attacks.rs` what more than one test
//! does, `pupils.rs` fills the database; every other file is a kind of abuse.

// What the bystanders' messages took is for whoever reads the output.
#![allow(clippy::print_stderr)]

mod support;

#[path = "abuse/attacks.rs"]
mod attacks;
#[path = "abuse/bodies.rs"]
mod bodies;
#[path = "abuse/bystanders.rs"]
mod bystanders;
#[path = "abuse/calls.rs"]
mod calls;
#[path = "abuse/commands.rs"]
mod commands;
#[path = "abuse/groups.rs"]
mod groups;
#[path = "abuse/handshakes.rs"]
mod handshakes;
#[path = "abuse/presence.rs"]
mod presence;
#[path = "abuse/pupils.rs"]
mod pupils;
#[path = "abuse/search.rs"]
mod search;
#[path = "abuse/sign_ins.rs"]
mod sign_ins;
#[path = "abuse/world.rs"]
mod world;
