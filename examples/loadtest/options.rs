//! What can be asked of the tool, and how far it goes. Every number is bounded, so that a slip of the finger cannot
//! take the machine down.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::Result;

/// Puts load on a Greenroom server on this machine and measures what comes of it.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    after_help = "Examples:
  cargo run --release --example loadtest -- dm --rate 2000
      2,000 messages a second between pairs of users, due at even intervals; latency runs from the due time
  cargo run --release --example loadtest -- dm --closed 512
      as many as the server can store with 512 on their way at any time
  cargo run --release --example loadtest -- room --users 50 --sockets 20 --window 8
      one group, 1,000 sockets, 8 broadcasts on their way
  cargo run --release --example loadtest -- idle --sockets 1000
      what a socket costs that does nothing
  cargo run --release --example loadtest -- return
      1,000 users behind one address come back at once after a restart, under the limits of the contract

Without --url the tool starts a server of its own on a fresh SQLite file in a temporary folder, with all limits off,
starts it afresh once the users are registered, and stops it afterwards. That server is this tool's own executable in
server mode, the same library that the program `greenroom` runs; --server names a program to start instead. With
--database-url the server uses the database named, which should be empty.
The table goes to standard error and the JSON to standard output. The exit code is 2 when a message was lost, doubled,
out of order or refused."
)]
pub struct Options {
    /// What kind of load.
    #[command(subcommand)]
    pub scenario: Scenario,

    /// How long to measure.
    #[arg(long, global = true, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub seconds: u64,

    /// How long to load the server before measuring.
    #[arg(long, global = true, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warmup: u64,

    /// A server that runs already, at a loopback address; it must have its limits off.
    #[arg(long, global = true, value_name = "http://127.0.0.1:PORT")]
    pub url: Option<String>,

    /// The process id of the server at --url, to tell its memory and processor time.
    #[arg(long, global = true, requires = "url")]
    pub pid: Option<u32>,

    /// A program `greenroom` to start; else this tool starts its own executable in server mode.
    #[arg(long, global = true, conflicts_with = "url")]
    pub server: Option<PathBuf>,

    /// The database of the server to start, at a loopback address; else a fresh SQLite file.
    #[arg(long, global = true, conflicts_with = "url")]
    pub database_url: Option<String>,

    /// A setting of the server to start; may be given again.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", conflicts_with = "url")]
    pub settings: Vec<String>,
}

/// The kinds of load.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Pairs of users write to each other.
    Dm(Direct),
    /// One user writes to a group in which everybody listens.
    Room(Room),
    /// Many sockets that do nothing.
    Idle(Idle),
    /// Everybody comes back at once after a restart of the server.
    Return(Return),
}

/// Options of `dm`.
#[derive(Args, Debug)]
pub struct Direct {
    /// Users; every two of them share a conversation.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub users: u32,

    /// Sockets of each user; all of them send and receive.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub sockets: u32,

    /// Messages a second, over all users, due at even intervals (open loop).
    #[arg(long, default_value_t = 1_000, conflicts_with = "closed", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,

    /// Instead: this many messages on their way at any time, the next one when one is acknowledged (closed loop).
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub closed: Option<u32>,

    /// Characters of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub size: u32,
}

/// Options of `room`.
#[derive(Args, Debug)]
pub struct Room {
    /// Members of the group.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub users: u32,

    /// Sockets of each member.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub sockets: u32,

    /// Broadcasts on their way at any time; the next one goes out when one has reached everybody.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub window: u32,

    /// Characters of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub size: u32,
}

/// Options of `idle`.
#[derive(Args, Debug)]
pub struct Idle {
    /// Sockets in all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub sockets: u32,

    /// Sockets of each user, at most as many as the server allows.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub each: u32,
}

/// Options of `return`.
#[derive(Args, Debug)]
pub struct Return {
    /// Users, all behind one address.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub users: u32,

    /// They sign in with their passwords instead of refreshing their tokens.
    #[arg(long)]
    pub sign_in: bool,
}

/// The address in `url`, if it is on this machine.
pub fn loopback(url: &str) -> Result<SocketAddr> {
    let parsed = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
    let port = parsed.port_or_known_default().ok_or_else(|| format!("{url} has no port"))?;
    Ok(SocketAddr::new(loopback_host(&parsed)?, port))
}

/// The host of `url`, if it is this machine. The tool loads no other: it would be an attack. (The host is read as text,
/// because only the schemes of the web have their addresses recognised; and an error names it alone, because what stands
/// before it may be a password.)
pub fn loopback_host(url: &url::Url) -> Result<IpAddr> {
    let host = url.host_str().unwrap_or_default();
    let ip = match host.trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        other => other.parse().ok(),
    };
    ip.filter(IpAddr::is_loopback).ok_or_else(|| format!("only a loopback address is loaded, not {host:?}").into())
}
