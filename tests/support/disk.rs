//! A disk that refuses what the server writes.

use std::process::Command;

use super::TestServer;

/// A script for [`through`](super::server::Builder::through) that ignores the signal of a file that grows beyond its limit,
/// as a service manager does, so that the write fails instead. What the server prints goes through a pipe, which has no
/// limit.
pub const LIMITED: &str = r#"trap '' XFSZ; exec "$@" > >(exec cat) 2>&1"#;

/// Lets no file of the server grow beyond so many bytes, or takes the limit away (`unlimited`).
pub fn limit_files(server: &TestServer, bytes: &str) {
    let (id, limit) = (server.process().id().to_string(), format!("--fsize={bytes}:unlimited"));
    let set = Command::new("prlimit").args(["--pid", &id, &limit]).status().expect("prlimit runs");
    assert!(set.success(), "the limit is set");
}
