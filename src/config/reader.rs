//! Reads each setting by its name, with its default, its bounds and the error for a wrong value.

use super::sources::Sources;
use super::variables::{VARIABLES, Variable};
use super::{
    AdminSettings, AuthSettings, DatabaseSettings, LimitSettings, LogFormat, LogOutputSettings, Network, RedisSettings,
    Secret, ServerSettings, Settings, SettingsError, values,
};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

/// The number of writers, if there are enough connections.
const DEFAULT_WRITERS: usize = 4;
const EXPECTED_SWITCH: &str = "true or false";
const EXPECTED_SECRET: &str = "a secret of at least 32 bytes, for example the output of `openssl rand -base64 48`";

/// Reads a text that contains no control characters, so that it is one line.
fn line(text: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

/// Returns a function that reads a number from `min` to `max`.
fn number<T: std::str::FromStr + PartialOrd>(min: T, max: T) -> impl Fn(&str) -> Option<T> {
    move |text| text.parse().ok().filter(|number| *number >= min && *number <= max)
}

/// Converts the texts of the sources to typed settings. An error names the variable, its value and what the value must
/// be.
pub(super) struct SettingsReader(pub(super) Sources);

impl SettingsReader {
    pub(super) fn settings(&self) -> Result<Settings, SettingsError> {
        let data_dir = self.get_or("GREENROOM_DATA_DIR", "data".to_owned(), "the path of a folder", line)?;
        Ok(Settings {
            server: self.server()?,
            database: self.database(&data_dir)?,
            data_dir: data_dir.into(),
            redis: self.redis()?,
            auth: self.auth()?,
            admin: self.admin()?,
            limits: self.limits()?,
            uploads_url: self.get("GREENROOM_UPLOADS_URL", "file:///folder or s3://bucket", values::uploads_url)?,
            allow_private_addresses: self.get_or(
                "GREENROOM_ALLOW_PRIVATE_ADDRESSES",
                false,
                EXPECTED_SWITCH,
                values::switch,
            )?,
            node_id: self
                .get("GREENROOM_NODE_ID", "a name of 1 to 64 letters, digits, and _ . -", values::node_id)?
                .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()),
            log_output: self.log_output()?,
            unused: self.unused()?,
        })
    }

    /// Returns `None` if the variable is not set.
    fn get<T>(
        &self,
        name: &'static str,
        expected: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let variable = Variable::find(name).expect("every variable that is read is in the table");
        let Some(text) = self.0.text(name)? else { return Ok(None) };
        let text = if variable.secret { text.as_str() } else { text.trim() };
        match parse(text) {
            Some(value) => Ok(Some(value)),
            None if variable.secret => Err(SettingsError::new(format!("{name} is not valid. It must be {expected}."))),
            None => Err(SettingsError::new(format!("{name} is {text:?}. It must be {expected}."))),
        }
    }

    fn get_or<T>(
        &self,
        name: &'static str,
        default: T,
        expected: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SettingsError> {
        Ok(self.get(name, expected, parse)?.unwrap_or(default))
    }

    fn server(&self) -> Result<ServerSettings, SettingsError> {
        Ok(ServerSettings {
            host: self.get_or(
                "GREENROOM_HOST",
                Ipv4Addr::LOCALHOST.into(),
                "an IP address; 0.0.0.0 or :: means all addresses of this machine",
                |text| text.parse().ok(),
            )?,
            port: self.get_or("GREENROOM_PORT", 8080, "a port from 1 to 65535", number(1, u16::MAX))?,
            public_url: self.get(
                "GREENROOM_PUBLIC_URL",
                "a URL without a path, such as https://chat.example.org",
                values::public_url,
            )?,
            allowed_origins: self.get_or(
                "GREENROOM_ALLOWED_ORIGINS",
                Vec::new(),
                "a list of origins such as https://example.org, separated by commas",
                |text| values::list(text, values::origin),
            )?,
            trusted_proxies: self.get_or(
                "GREENROOM_TRUSTED_PROXIES",
                Vec::new(),
                "a list of addresses or ranges such as 10.0.0.0/8, separated by commas",
                |text| values::list(text, Network::parse),
            )?,
        })
    }

    fn database(&self, data_dir: &str) -> Result<DatabaseSettings, SettingsError> {
        let expected = "sqlite://path/to/file.db?mode=rwc or postgres://user:password@host/database";
        let url = self
            .get("DATABASE_URL", expected, values::database_url)?
            .unwrap_or_else(|| values::sqlite_url(&format!("{}/greenroom.db", data_dir.trim_end_matches('/'))));
        let mut database = DatabaseSettings {
            url,
            writers: 1,
            connections: self.get_or("GREENROOM_DB_CONNECTIONS", 24, "a number from 8 to 1000", number(8, 1000))?,
            schema: self.get(
                "GREENROOM_DB_SCHEMA",
                "a name of up to 63 of the characters a to z, 0 to 9 and _ that does not begin with a digit",
                values::identifier,
            )?,
            auto_migrate: self.get_or("GREENROOM_AUTO_MIGRATE", false, EXPECTED_SWITCH, values::switch)?,
            event_retention_days: self.get_or(
                "GREENROOM_LOG_RETENTION_DAYS",
                7,
                "a number from 1 to 3650",
                number(1, 3650),
            )?,
        };
        let writers = self.get("GREENROOM_WRITERS", "a number from 1 to 16", number(1, 16))?;
        let shares = database.connection_shares();
        if database.is_sqlite() {
            // A second writer would only wait for the lock of the first one.
            return Ok(database);
        }
        // The transactions of users get at least as many connections as the writers.
        let is_balanced =
            |writers: &usize| shares.write_connections(*writers).is_some_and(|rest| rest.users >= *writers);
        database.writers = writers.unwrap_or((1..=DEFAULT_WRITERS).rev().find(is_balanced).unwrap_or(1));
        if shares.write_connections(database.writers).is_none() {
            return Err(SettingsError::new(format!(
                "GREENROOM_DB_CONNECTIONS is {}, which means {} connections for writes. These must be at least 2 more \
                 than GREENROOM_WRITERS, which is {}. Increase GREENROOM_DB_CONNECTIONS or decrease GREENROOM_WRITERS.",
                database.connections, shares.write, database.writers
            )));
        }
        Ok(database)
    }

    fn redis(&self) -> Result<RedisSettings, SettingsError> {
        Ok(RedisSettings {
            url: self.get("REDIS_URL", "redis://host or rediss://host", values::redis_url)?,
            connections: self.get_or("GREENROOM_REDIS_CONNECTIONS", 8, "a number from 1 to 1000", number(1, 1000))?,
        })
    }

    fn auth(&self) -> Result<AuthSettings, SettingsError> {
        let secret = |name| self.get(name, EXPECTED_SECRET, values::signing_secret);
        let optional_line = |name| self.get(name, "one line of text", line);
        Ok(AuthSettings {
            jwt_secret: secret("GREENROOM_JWT_SECRET")?,
            jwt_secret_secondary: secret("GREENROOM_JWT_SECRET_SECONDARY")?,
            registration_open: self.get_or("GREENROOM_REGISTRATION", true, "open or closed", |text| match text {
                "open" => Some(true),
                "closed" => Some(false),
                _ => None,
            })?,
            jwks_file: optional_line("GREENROOM_AUTH_JWKS_FILE")?.map(PathBuf::from),
            jwks_url: self.get("GREENROOM_AUTH_JWKS_URL", "an http or https URL", values::web_url)?,
            shared_secret: secret("GREENROOM_AUTH_SHARED_SECRET")?,
            shared_secret_secondary: secret("GREENROOM_AUTH_SHARED_SECRET_SECONDARY")?,
            issuer: optional_line("GREENROOM_AUTH_ISSUER")?,
            audience: optional_line("GREENROOM_AUTH_AUDIENCE")?,
            admin_role: optional_line("GREENROOM_AUTH_ADMIN_ROLE")?,
        })
    }

    fn admin(&self) -> Result<Option<AdminSettings>, SettingsError> {
        let username = self.get("GREENROOM_ADMIN_USERNAME", "a username", line)?;
        let password = self.get("GREENROOM_ADMIN_PASSWORD", "a password of 8 to 128 characters", |text| {
            (8..=128).contains(&text.chars().count()).then(|| Secret::new(text))
        })?;
        match (username, password) {
            (Some(username), Some(password)) => Ok(Some(AdminSettings { username, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(SettingsError::new(
                "GREENROOM_ADMIN_USERNAME is set without GREENROOM_ADMIN_PASSWORD. Set both or neither.",
            )),
            (None, Some(_)) => Err(SettingsError::new(
                "GREENROOM_ADMIN_PASSWORD is set without GREENROOM_ADMIN_USERNAME. Set both or neither.",
            )),
        }
    }

    fn limits(&self) -> Result<LimitSettings, SettingsError> {
        let rate =
            |name, default| self.get_or(name, default, "a number from 0 (no limit) to 1000000", number(0, 1_000_000));
        let bytes =
            |name, default| self.get_or(name, default, "a number of bytes, at least 1", number(1, i64::MAX as u64));
        Ok(LimitSettings {
            auth_per_minute: rate("GREENROOM_LIMIT_AUTH_PER_MINUTE", 10)?,
            sends_per_second: rate("GREENROOM_LIMIT_SENDS_PER_SECOND", 20)?,
            api_per_second: rate("GREENROOM_LIMIT_API_PER_SECOND", 100)?,
            upload_bytes: bytes("GREENROOM_LIMIT_UPLOAD_BYTES", 100 << 20)?,
            upload_quota_bytes: bytes("GREENROOM_LIMIT_UPLOAD_QUOTA_BYTES", 2 << 30)?,
        })
    }

    fn log_output(&self) -> Result<LogOutputSettings, SettingsError> {
        Ok(LogOutputSettings {
            filter: self.get_or(
                "GREENROOM_LOG",
                "info,actix_http=off,actix_server=warn,sqlx=warn,sea_orm_migration=warn".to_owned(),
                "a filter such as info or greenroom=debug,info",
                |text| EnvFilter::try_new(text).ok().and(line(text)),
            )?,
            format: self.get_or("GREENROOM_LOG_FORMAT", LogFormat::Text, "text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })?,
        })
    }

    fn unused(&self) -> Result<Vec<&'static str>, SettingsError> {
        let mut names = Vec::new();
        for variable in VARIABLES.iter().filter(|variable| !variable.used) {
            if self.0.text(variable.name)?.is_some() {
                names.push(variable.name);
            }
        }
        Ok(names)
    }
}
