//! A disk that refuses the writes of the server.

use std::process::Command;

use super::TestServer;

/// A script for [`with_launcher`](super::server::ServerBuilder::with_launcher) that ignores the signal for a file that
/// grows beyond its limit, as a service manager does, so that the write fails instead. The output of the server goes
/// through a pipe, which has no limit.
pub const LIMITED: &str = r#"trap '' XFSZ; exec "$@" > >(exec cat) 2>&1"#;

/// Limits the size of each file of the server to `bytes`, or removes the limit (`unlimited`).
pub fn limit_files(server: &TestServer, bytes: &str) {
    let (id, limit) = (server.process().id().to_string(), format!("--fsize={bytes}:unlimited"));
    let set = Command::new("prlimit").args(["--pid", &id, &limit]).status().expect("prlimit runs");
    assert!(set.success(), "the limit is set");
}
