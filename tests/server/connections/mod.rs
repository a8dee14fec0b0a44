//! What stands between the server and the network it is on: memory, descriptors, slow and silent connections. Each test has
//! a server of its own and knows nothing of what is behind its door.

// A test stops by panicking.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "support/mod.rs"]
mod support;

#[path = "door/crowd.rs"]
mod crowd;
#[path = "door/memory.rs"]
mod memory;
#[path = "door/proxy.rs"]
mod proxy;
#[path = "door/refusals.rs"]
mod refusals;
#[path = "door/silence.rs"]
mod silence;
#[path = "door/versions.rs"]
mod versions;
