//! What the operator says: the typed [`Settings`], read and checked once at the start. Sources, from the strongest: the
//! environment, `.env` (or the file named by `GREENROOM_ENV_FILE`), the TOML file named by `GREENROOM_CONFIG`, defaults.
//! `.env.example` explains every variable. What a setting does is decided elsewhere; nothing here opens a connection.

mod reader;
mod sources;
mod values;
pub mod variables;

pub use values::{Network, Secret};

use reader::Reader;
use sources::Sources;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use url::Url;

/// A key that signs tokens has at least so many bytes.
pub const JWT_SECRET_BYTES: usize = 32;

/// A setting that is wrong or unknown, in one line for the operator; no secret is in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    fn new(line: impl Into<String>) -> Self {
        // a path or a value may hold a line break; the error stays one line
        Self(line.into().replace(['\r', '\n'], " "))
    }
}

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and to whom the server answers.
    pub server: Server,
    /// The folder of the SQLite database and of generated secrets.
    pub data_dir: PathBuf,
    /// The database.
    pub database: Database,
    /// What nodes share.
    pub redis: Redis,
    /// Who may come in.
    pub auth: Auth,
    /// The admin that is created at the start when there is no such user.
    pub admin: Option<Admin>,
    /// Limits that a trusted deployment changes.
    pub limits: Limits,
    /// Where uploads are kept.
    pub uploads_url: Option<Url>,
    /// Whether webhooks and push may call private and loopback addresses, plain http among them.
    pub allow_private_addresses: bool,
    /// Names this node to the others and in the log; random when unset.
    pub node_id: String,
    /// What is logged, and how.
    pub log: Log,
    /// Names of variables that were set although this version does nothing with them.
    pub unused: Vec<&'static str>,
}

/// Where and to whom the server answers.
#[derive(Clone, Debug)]
pub struct Server {
    /// The address it listens on.
    pub host: IpAddr,
    /// The port it listens on.
    pub port: u16,
    /// The address at which browsers reach it, when that is another.
    pub public_url: Option<Url>,
    /// Foreign origins that may open sockets and call the API, as browsers send them.
    pub allowed_origins: Vec<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite:…` or `postgres:…`, with its password.
    pub url: Secret,
    /// Writers of sends; always 1 on SQLite.
    pub writers: usize,
    /// Connections to PostgreSQL, at least 8; SQLite does not look at it.
    pub connections: u32,
    /// The PostgreSQL schema of all tables; the database's own default when unset.
    pub schema: Option<String>,
    /// Whether `serve` migrates PostgreSQL; SQLite is always migrated.
    pub auto_migrate: bool,
}

impl Database {
    /// Whether it is SQLite; else it is PostgreSQL.
    pub fn is_sqlite(&self) -> bool {
        self.url.expose().starts_with("sqlite:")
    }

    /// How the connections to PostgreSQL are shared out. The largest part is for what writes, a good part for those who come
    /// back, and the rest for those who look; the probe has one.
    pub fn shares(&self) -> Shares {
        let part = |of: u32| (self.connections / of).max(1);
        let (authentication, ordinary, log, heavy) = (part(10), part(6), part(5), part(8));
        let write = self.connections.saturating_sub(1 + authentication + ordinary + log + heavy).max(1);
        Shares { write, authentication, ordinary, log, heavy }
    }
}

/// Connections to PostgreSQL by what they are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// Writes. Whoever has one may wait for a lock that others hold.
    pub write: u32,
    /// Authentication, which waits for nobody's lock.
    pub authentication: u32,
    /// Ordinary reads.
    pub ordinary: u32,
    /// Pages of the log: sync, repair, catch-up.
    pub log: u32,
    /// Heavy reads: search, statistics.
    pub heavy: u32,
}

impl Shares {
    /// What those for writes are for, beside a batch of each of the `writers` of sends; none where there are too few. Each
    /// kind has as many as it uses at one time, so that none waits for a lock that another waits for.
    pub fn writing(self, writers: usize) -> Option<Writing> {
        match (self.write as usize).checked_sub(writers)? {
            0 | 1 => None,
            2 => Some(Writing { server: 1, users: 1 }),
            rest => Some(Writing { server: 2, users: rest - 2 }),
        }
    }
}

/// Connections to PostgreSQL that write, beside those of the writers of sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Writing {
    /// Marks, and which access tokens were accepted, on one; the relay and maintenance on another, or on the same.
    pub server: usize,
    /// Users' transactions; and sends to a conversation that somebody else has locked.
    pub users: usize,
}

/// What nodes share.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://…` or `rediss://…`; without it a node is alone.
    pub url: Option<Secret>,
    /// Connections of one node.
    pub connections: u32,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub struct Auth {
    /// Signs our own tokens, at least 32 bytes; unset, one is kept in the data folder.
    pub jwt_secret: Option<Secret>,
    /// Still accepted while the first is being replaced.
    pub jwt_secret_secondary: Option<Secret>,
    /// Whether anybody may register.
    pub registration_open: bool,
    /// Keys of the host application, in a file.
    pub jwks_file: Option<PathBuf>,
    /// Keys of the host application, at an address.
    pub jwks_url: Option<Url>,
    /// The secret shared with the host application.
    pub shared_secret: Option<Secret>,
    /// Still accepted while the first is being replaced.
    pub shared_secret_secondary: Option<Secret>,
    /// The `iss` that a host's token must have.
    pub issuer: Option<String>,
    /// The `aud` that a host's token must have.
    pub audience: Option<String>,
    /// The `role` by which a host's token makes an admin.
    pub admin_role: Option<String>,
}

/// The admin that is created at the start.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Their username.
    pub username: String,
    /// Their first password.
    pub password: Secret,
}

/// Limits that a trusted deployment changes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A minute: wrong passwords and registrations of an address, sign-ins of an account, refreshes of a login; 0 turns all
    /// limits on signing in off.
    pub auth_per_minute: u32,
    /// Sends a second and user; 0 is off.
    pub sends_per_second: u32,
    /// API calls a second and user; 0 is off.
    pub api_per_second: u32,
    /// Bytes of one upload.
    pub upload_bytes: u64,
    /// Bytes of all uploads of one user.
    pub upload_quota_bytes: u64,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// A filter in the notation of `tracing`: `info`, `greenroom=debug,info`.
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
    /// Days for which durable events are kept.
    pub retention_days: u32,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl Settings {
    /// Reads the process's environment, `.env` in the working folder, and what they name.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn load() -> Result<Self, SettingsError> {
        let mut pairs = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => pairs.push((name, value)),
                Err(_) if variables::is_ours(&name) => {
                    return Err(SettingsError::new(format!("{name} is not valid UTF-8")));
                }
                Err(_) => {}
            }
        }
        Self::from_pairs(pairs, Some(Path::new(sources::DEFAULT_ENV_FILE)))
    }

    /// Reads an environment given as pairs. `env_file` is read as well, if it is there, unless a pair names another.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
        env_file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        Reader(Sources::read(pairs, env_file)?).settings()
    }

    /// What to tell the operator about variables that were set in vain, in one line.
    pub fn warning(&self) -> Option<String> {
        if self.unused.is_empty() {
            return None;
        }
        let (verb, pronoun) = if self.unused.len() == 1 { ("is", "it") } else { ("are", "them") };
        let mut line = format!("{} {verb} set but this version does not use {pronoun}", self.unused.join(", "));
        if self.redis.url.is_some() {
            line.push_str("; nodes sharing a PostgreSQL database hear of each other through the log within 2 s");
        }
        Some(line)
    }
}
