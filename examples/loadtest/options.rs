//! The options of the tool. Every number has bounds, so that a mistyped one cannot overload the machine.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::Result;

/// Puts load on a Greenroom server on this machine and measures its speed and cost.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    after_help = "Examples:
  cargo run --release --example loadtest -- dm --rate 2000
      2,000 messages a second between pairs of users, due at even intervals; latency begins at the due time
  cargo run --release --example loadtest -- dm --pairs 100 --window 16
      as many messages as the server can store with 16 of each pair under way at any time
  cargo run --release --example loadtest -- room --users 50 --sockets 20 --window 8
      one group, 1,000 sockets, 8 broadcasts under way
  cargo run --release --example loadtest -- idle --sockets 1000
      the memory of sockets that only answer pings
  cargo run --release --example loadtest -- return
      1,000 users reconnect at the same time from one address after a restart, under the normal limits
  cargo run --release --example loadtest -- history
      pages of 50 messages from random points of a conversation with 100,000 messages
  cargo run --release --example loadtest -- list --rate 500
      the first page of a list of 500 conversations, 500 times a second

Without --url the tool starts its own server, on a new SQLite file in a temporary folder and without limits. It restarts
the server when the users are registered, and stops it at the end. This server is the tool's own executable in server
mode, with the same library as the program `greenroom`; --server names another program. With --database-url the server
uses that database, which should be empty.
The table goes to standard error and the JSON to standard output. The exit code is 2 if a message was lost, doubled, out
of order or refused, or if a request failed."
)]
pub struct Options {
    /// The kind of load.
    #[command(subcommand)]
    pub scenario: Scenario,

    /// Seconds of the measurement.
    #[arg(long, global = true, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub seconds: u64,

    /// Seconds of load before the measurement.
    #[arg(long, global = true, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub warmup: u64,

    /// The address of a server that is running already, on a loopback address and without limits.
    #[arg(long, global = true, value_name = "http://127.0.0.1:PORT")]
    pub url: Option<String>,

    /// The process id of the server at --url, so that the report contains its memory and processor time.
    #[arg(long, global = true, requires = "url")]
    pub pid: Option<u32>,

    /// A program `greenroom` to start instead of the tool's own executable.
    #[arg(long, global = true, conflicts_with = "url")]
    pub server: Option<PathBuf>,

    /// The database of the server that the tool starts, on a loopback address, instead of a new SQLite file.
    #[arg(long, global = true, conflicts_with = "url")]
    pub database_url: Option<String>,

    /// The process id of the database, so that the report contains the processor time of this process and of those that
    /// it started. `scripts/postgres-run` sets it as `DATABASE_PID`. SQLite needs none.
    #[arg(long, global = true)]
    pub database_pid: Option<u32>,

    /// A setting of the server that the tool starts. It can be given several times.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", conflicts_with = "url")]
    pub settings: Vec<String>,
}

/// The kinds of load.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Pairs of users write to each other.
    Dm(DirectOptions),
    /// One user writes to a group, and all members receive each message.
    Room(RoomOptions),
    /// Many sockets are open and only answer pings.
    Idle(IdleOptions),
    /// All users reconnect at the same time after a restart of the server.
    Return(ReconnectOptions),
    /// Clients read pages of 50 messages from random points of a long conversation.
    History(HistoryOptions),
    /// A client reads the first page of a list of many conversations.
    List(ListOptions),
}

impl Scenario {
    /// Returns the greatest number of connections that the scenario has open at a time.
    pub fn socket_count(&self) -> u32 {
        match self {
            Self::Dm(load) => 2 * load.pairs * load.sockets,
            Self::Room(load) => load.users * load.sockets,
            Self::Idle(load) => load.sockets,
            Self::Return(load) => load.users,
            Self::History(load) => load.connections,
            Self::List(load) => load.connections,
        }
    }
}

/// The options of `dm`.
#[derive(Args, Debug)]
pub struct DirectOptions {
    /// Pairs of users. Each pair has one conversation.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=2_500))]
    pub pairs: u32,

    /// Sockets of each user. All of them receive.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub sockets: u32,

    /// Messages a second of all sockets together, due at even intervals (open loop).
    #[arg(long, default_value_t = 1_000, conflicts_with = "window", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: u32,

    /// Messages of each pair under way at any time (closed loop). The first user of the pair sends the next one when one
    /// is acknowledged.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub window: Option<u32>,

    /// Also measure how long the readers of the log take until a message is in the statistics of its conversation. It
    /// reads them ten times a second.
    #[arg(long)]
    pub readers_lag: bool,

    /// Characters of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub size: u32,
}

/// The options of `room`.
#[derive(Args, Debug)]
pub struct RoomOptions {
    /// Members of the group.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub users: u32,

    /// Sockets of each member.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub sockets: u32,

    /// Broadcasts under way at any time. The next one is sent when all sockets have received one.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub window: u32,

    /// Broadcasts a second, due at even intervals, instead of a window.
    #[arg(long, conflicts_with = "window", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub rate: Option<u32>,

    /// Characters of a message.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub size: u32,
}

/// The options of `idle`.
#[derive(Args, Debug)]
pub struct IdleOptions {
    /// Sockets of all users together.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    pub sockets: u32,

    /// Sockets of each user. The server allows 20.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub each: u32,
}

/// The options of `return`.
#[derive(Args, Debug)]
pub struct ReconnectOptions {
    /// Users, who all connect from one address.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub users: u32,

    /// Sign in by password instead of refreshing the tokens.
    #[arg(long)]
    pub sign_in: bool,
}

/// The options of `history`.
#[derive(Args, Debug)]
pub struct HistoryOptions {
    /// Messages in the conversation.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    pub messages: u64,

    /// HTTP connections. Each sends its next request when the last one is answered.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub connections: u32,
}

/// The options of `list`.
#[derive(Args, Debug)]
pub struct ListOptions {
    /// Conversations of the user.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub conversations: u32,

    /// Conversations in a page.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub page: u32,

    /// Requests a second of all connections together, due at even intervals.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,

    /// HTTP connections. Each sends its next request when it is due and the last one is answered.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub connections: u32,
}

/// Returns the address in `url`. Fails if it is not on this machine.
pub fn loopback_address(url: &str) -> Result<SocketAddr> {
    let parsed = url::Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
    let port = parsed.port_or_known_default().ok_or_else(|| format!("{url} has no port"))?;
    Ok(SocketAddr::new(loopback_host(&parsed)?, port))
}

/// Returns the host of `url`. Fails if it is not this machine, because a load on another machine could be an attack.
///
/// The host is read as text, because `url` parses addresses only for the schemes of the web. The error contains only
/// the host, because the URL may contain a password.
pub fn loopback_host(url: &url::Url) -> Result<IpAddr> {
    let host = url.host_str().unwrap_or_default();
    let ip = match host.trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        other => other.parse().ok(),
    };
    ip.filter(IpAddr::is_loopback)
        .ok_or_else(|| format!("{host:?} is not a loopback address, and the tool loads no other machine").into())
}
