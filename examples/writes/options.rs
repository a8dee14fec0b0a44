//! What can be asked of the benchmark. Every number is bounded, so that a slip of the finger cannot take the machine down.

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
      on a fresh SQLite file in the temporary folder; TMPDIR names another, which should be on a real disk
  scripts/postgres-run sh -c 'cargo run --release --example writes -- --database-url $DATABASE_URL'
      on SQLite and then on a fresh database of a PostgreSQL of its own, beside pgbench

A closed loop: every sender sends its next message when the last one is acknowledged. The exit code is 2 when a send
was refused."
)]
pub struct Options {
    /// A PostgreSQL on this machine in which databases may be created; they are dropped afterwards.
    #[arg(long)]
    pub database_url: Option<String>,

    /// How long to measure each number of senders, after a second of warming up.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=120))]
    pub seconds: u64,

    /// Numbers of senders, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,256", value_parser = clap::value_parser!(u32).range(1..=2048))]
    pub senders: Vec<u32>,
}

impl Options {
    /// The administrator's address, if it is on this machine.
    pub fn postgres(&self) -> Result<Option<&str>> {
        let Some(text) = &self.database_url else { return Ok(None) };
        let url = Url::parse(text)?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err("--database-url: a postgres:// address".into());
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let here = match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => (host, 0).to_socket_addrs()?.all(|address| address.ip().is_loopback()),
        };
        if here { Ok(Some(text)) } else { Err("--database-url: only a database on this machine is loaded".into()) }
    }
}
