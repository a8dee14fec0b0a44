//! Reads and checks the settings of the operator once at the start.
//!
//! The sources, from the strongest to the weakest, are the environment, `.env` (or the file named by
//! `GREENROOM_ENV_FILE`), the TOML file named by `GREENROOM_CONFIG`, and the defaults. `.env.example` explains every
//! variable. This module opens no connection. The modules that use a setting implement its effect.

mod connections;
mod reader;
mod sources;
mod values;
pub mod variables;

pub use connections::{ConnectionShares, WriteConnections};
pub use values::{Network, Secret};

use reader::SettingsReader;
use sources::Sources;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use url::Url;

/// The least length of a secret that signs tokens.
pub const JWT_SECRET_BYTES: usize = 32;

/// A wrong or unknown setting, as one line for the operator. It never contains a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    fn new(line: impl Into<String>) -> Self {
        // A path or a value may contain a line break, but the error must stay one line.
        Self(line.into().replace(['\r', '\n'], " "))
    }
}

/// All settings of the server, with defaults for those that the operator did not set.
#[derive(Clone, Debug)]
pub struct Settings {
    pub server: ServerSettings,
    /// The folder of the SQLite database and of generated secrets.
    pub data_dir: PathBuf,
    pub database: DatabaseSettings,
    /// Accepted, but not used by this version.
    pub redis: RedisSettings,
    pub auth: AuthSettings,
    /// The admin that the server creates at the start if the username does not exist.
    pub admin: Option<AdminSettings>,
    pub limits: LimitSettings,
    /// Accepted, but not used by this version: the folder or bucket for uploads.
    pub uploads_url: Option<Url>,
    /// Accepted, but not used by this version: whether webhooks and push may call private and loopback addresses,
    /// also over plain http.
    pub allow_private_addresses: bool,
    /// The name of this node for the other nodes and in the log; random by default.
    pub node_id: String,
    pub log_output: LogOutputSettings,
    /// The variables that are set although this version does not use them.
    pub unused: Vec<&'static str>,
}

/// The address of the server and the origins and proxies that it accepts.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub host: IpAddr,
    pub port: u16,
    /// The address of the server for browsers, if it differs from `host` and `port`.
    pub public_url: Option<Url>,
    /// Other origins that may open sockets and call the API, in the form that browsers send.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` header is used.
    pub trusted_proxies: Vec<Network>,
}

/// The database and the connections to it.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite:…` or `postgres:…`, with the password.
    pub url: Secret,
    /// The number of writers of sends; always 1 on SQLite.
    pub writers: usize,
    /// Connections to PostgreSQL, at least 8. SQLite ignores this setting.
    pub connections: u32,
    /// The PostgreSQL schema of all tables. `None` means the default schema of the database.
    pub schema: Option<String>,
    /// Whether `serve` migrates PostgreSQL. SQLite is always migrated.
    pub auto_migrate: bool,
    /// The number of days for which the log keeps events. The name of its variable is like that of the log output.
    pub event_retention_days: u32,
}

impl DatabaseSettings {
    /// Returns whether the database is SQLite. Otherwise it is PostgreSQL.
    pub fn is_sqlite(&self) -> bool {
        self.url.expose().starts_with("sqlite:")
    }
}

/// Accepted, but not used by this version: the Redis server of a cluster.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Accepted, but not used by this version: `redis://…` or `rediss://…`.
    pub url: Option<Secret>,
    /// Accepted, but not used by this version: the number of connections of one node.
    pub connections: u32,
}

/// The secrets that sign tokens, and the rules for accounts.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// The secret that signs tokens, at least 32 bytes. `None` means a generated secret in the data folder.
    pub jwt_secret: Option<Secret>,
    /// The previous secret, which is still accepted.
    pub jwt_secret_secondary: Option<Secret>,
    pub registration_open: bool,
    /// Accepted, but not used by this version: a file with the public keys of the host application.
    pub jwks_file: Option<PathBuf>,
    /// Accepted, but not used by this version: the URL of the public keys of the host application.
    pub jwks_url: Option<Url>,
    /// Accepted, but not used by this version: the secret that the server shares with the host application.
    pub shared_secret: Option<Secret>,
    /// Accepted, but not used by this version: the previous shared secret.
    pub shared_secret_secondary: Option<Secret>,
    /// Accepted, but not used by this version: the required `iss` of a token of the host application.
    pub issuer: Option<String>,
    /// Accepted, but not used by this version: the required `aud` of a token of the host application.
    pub audience: Option<String>,
    /// Accepted, but not used by this version: the `role` in a token of the host application that means an
    /// admin.
    pub admin_role: Option<String>,
}

/// The admin that the server creates at the start.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    pub username: String,
    /// The password of the new account. An existing account keeps its own.
    pub password: Secret,
}

/// The limits that an operator can change.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// For each minute: wrong passwords and registrations of an address, sign-ins of an account, refreshes of a login.
    /// 0 means no limits on signing in.
    pub auth_per_minute: u32,
    /// Sends of one user; 0 means no limit.
    pub sends_per_second: u32,
    /// API calls of one user; 0 means no limit.
    pub api_per_second: u32,
    /// Accepted, but not used by this version: the size of one upload.
    pub upload_bytes: u64,
    /// Accepted, but not used by this version: the size of all uploads of one user.
    pub upload_quota_bytes: u64,
}

/// The content and the format of the log output, which is for operators.
#[derive(Clone, Debug)]
pub struct LogOutputSettings {
    /// A filter in the notation of `tracing`: `info`, `greenroom=debug,info`.
    pub filter: String,
    pub format: LogFormat,
}

/// The format of the log output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text,
    /// One JSON object in each line.
    Json,
}

impl Settings {
    /// Reads the environment of the process, `.env` in the working folder, and the files that they name.
    #[allow(clippy::disallowed_methods, reason = "the one function that reads the environment")]
    pub fn load() -> Result<Self, SettingsError> {
        let mut pairs = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => pairs.push((name, value)),
                Err(_) if variables::is_for_greenroom(&name) => {
                    return Err(SettingsError::new(format!("{name} is not valid UTF-8. Set it to a value in UTF-8.")));
                }
                Err(_) => {}
            }
        }
        Self::from_pairs(pairs, Some(Path::new(sources::DEFAULT_ENV_FILE)))
    }

    /// Reads the settings from the given variables and from `env_file`, if it exists. A variable may name another env
    /// file.
    pub fn from_pairs(
        pairs: impl IntoIterator<Item = (String, String)>,
        env_file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        SettingsReader(Sources::read(pairs, env_file)?).settings()
    }

    /// Returns a warning, in one line, about variables that this version does not use. Returns `None` if there are
    /// none.
    pub fn unused_warning(&self) -> Option<String> {
        if self.unused.is_empty() {
            return None;
        }
        let (verb, pronoun) = if self.unused.len() == 1 { ("is", "it") } else { ("are", "them") };
        let mut line = format!("{} {verb} set, but this version does not use {pronoun}.", self.unused.join(", "));
        if self.redis.url.is_some() {
            line.push_str(
                " Nodes that share a PostgreSQL database receive the events of other nodes through its log within 2 s.",
            );
        }
        Some(line)
    }
}
