//! The options of the benchmark. Every number has bounds, so that a mistyped one cannot overload the machine.

use crate::Result;
use clap::Parser;
use std::net::{IpAddr, ToSocketAddrs};
use url::Url;

/// Measures how fast sends become durable.
#[derive(Debug, Parser)]
#[command(
    name = "writes",
    after_help = "Examples:
  cargo run --release --example writes
      on a new SQLite file in the temporary folder; TMPDIR names another folder, which should be on a real disk
  scripts/postgres-run sh -c 'cargo run --release --example writes -- --database-url $DATABASE_URL'
      on SQLite, then on a temporary PostgreSQL, and there also with pgbench

Each sender sends its next message when the last one is acknowledged (closed loop). The exit code is 2 if a send was
refused."
)]
pub struct Options {
    /// A PostgreSQL on this machine. The benchmark creates databases in it, and drops them afterwards.
    #[arg(long)]
    pub database_url: Option<String>,

    /// Seconds of the measurement for each number of senders, after a second of load.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=120))]
    pub seconds: u64,

    /// Numbers of senders, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256", value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub senders: Vec<u32>,
}

impl Options {
    /// Returns the address in `--database-url`. Fails if it is not a PostgreSQL on this machine.
    pub fn postgres(&self) -> Result<Option<&str>> {
        let Some(text) = &self.database_url else { return Ok(None) };
        let url = Url::parse(text)?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err("--database-url: the address must begin with postgres://".into());
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_local = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => (host, 0).to_socket_addrs()?.all(|address| address.ip().is_loopback()),
        };
        if is_local { Ok(Some(text)) } else { Err("--database-url: the database must be on this machine".into()) }
    }
}
