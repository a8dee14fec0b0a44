//! Every setting by name: its default, its bounds, and the words in which a wrong one is refused.

use super::sources::Sources;
use super::variables::{VARIABLES, Variable};
use super::{
    Admin, Auth, Database, Limits, Log, LogFormat, Network, Redis, Secret, Server, Settings, SettingsError, values,
};
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

const SWITCH: &str = "true or false";
const SIGNING_KEY: &str = "at least 32 bytes; `openssl rand -base64 48` makes some";

/// Reads a text of one line.
fn text(text: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

/// Reads a number from `least` to `most`.
fn number<T: std::str::FromStr + PartialOrd>(least: T, most: T) -> impl Fn(&str) -> Option<T> {
    move |text| text.parse().ok().filter(|number| *number >= least && *number <= most)
}

/// Turns texts into types; the error names the variable, what was given and what is expected.
pub(super) struct Reader(pub(super) Sources);

impl Reader {
    pub(super) fn settings(&self) -> Result<Settings, SettingsError> {
        let data_dir = self.or("GREENROOM_DATA_DIR", "data".to_owned(), "a folder", text)?;
        Ok(Settings {
            server: self.server()?,
            database: self.database(&data_dir)?,
            data_dir: data_dir.into(),
            redis: self.redis()?,
            auth: self.auth()?,
            admin: self.admin()?,
            limits: self.limits()?,
            uploads_url: self.optional(
                "GREENROOM_UPLOADS_URL",
                "file:///folder or s3://bucket",
                values::uploads_url,
            )?,
            allow_private_addresses: self.or("GREENROOM_ALLOW_PRIVATE_ADDRESSES", false, SWITCH, values::switch)?,
            node_id: self
                .optional("GREENROOM_NODE_ID", "1 to 64 letters, digits, and _ . -", values::node_id)?
                .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()),
            log: self.log()?,
            unused: self.unused()?,
        })
    }

    fn optional<T>(
        &self,
        name: &'static str,
        expected: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let variable = Variable::find(name).expect("every variable that is read is in the table");
        let Some(given) = self.0.text(name)? else { return Ok(None) };
        let given = if variable.secret { given.as_str() } else { given.trim() };
        match parse(given) {
            Some(value) => Ok(Some(value)),
            None if variable.secret => Err(SettingsError::new(format!("{name} is not usable; expected {expected}"))),
            None => Err(SettingsError::new(format!("{name} is {given:?}; expected {expected}"))),
        }
    }

    fn or<T>(
        &self,
        name: &'static str,
        default: T,
        expected: impl fmt::Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SettingsError> {
        Ok(self.optional(name, expected, parse)?.unwrap_or(default))
    }

    fn server(&self) -> Result<Server, SettingsError> {
        Ok(Server {
            host: self.or(
                "GREENROOM_HOST",
                Ipv4Addr::LOCALHOST.into(),
                "an IP address; 0.0.0.0 or :: means all of this machine",
                |text| text.parse().ok(),
            )?,
            port: self.or("GREENROOM_PORT", 8080, "a port from 1 to 65535", number(1, u16::MAX))?,
            public_url: self.optional(
                "GREENROOM_PUBLIC_URL",
                "an address without a path, such as https://chat.example.org",
                values::public_url,
            )?,
            allowed_origins: self.or(
                "GREENROOM_ALLOWED_ORIGINS",
                Vec::new(),
                "origins such as https://example.org, separated by commas",
                |text| values::list(text, values::origin),
            )?,
            trusted_proxies: self.or(
                "GREENROOM_TRUSTED_PROXIES",
                Vec::new(),
                "addresses or ranges such as 10.0.0.0/8, separated by commas",
                |text| values::list(text, Network::parse),
            )?,
        })
    }

    fn database(&self, data_dir: &str) -> Result<Database, SettingsError> {
        let expected = "sqlite://path/to/file.db?mode=rwc or postgres://user:password@host/database";
        let url = self
            .optional("DATABASE_URL", expected, values::database_url)?
            .unwrap_or_else(|| values::sqlite_url(&format!("{}/greenroom.db", data_dir.trim_end_matches('/'))));
        let mut database = Database {
            url,
            writers: 1,
            connections: self.or("GREENROOM_DB_CONNECTIONS", 20, "a number from 8 to 1000", number(8, 1000))?,
            schema: self.optional(
                "GREENROOM_DB_SCHEMA",
                "up to 63 of a to z, digits and _, no digit first",
                values::identifier,
            )?,
            auto_migrate: self.or("GREENROOM_AUTO_MIGRATE", false, SWITCH, values::switch)?,
        };
        let writers = self.optional("GREENROOM_WRITERS", "a number from 1 to 16", number(1, 16))?;
        let shares = database.shares();
        let fits = |writers| shares.writing(writers).is_some();
        if database.is_sqlite() {
            // a second writer would only wait for the first one's lock
            return Ok(database);
        }
        database.writers = writers.unwrap_or(if fits(2) { 2 } else { 1 });
        if !fits(database.writers) {
            return Err(SettingsError::new(format!(
                "GREENROOM_DB_CONNECTIONS is {}, of which {} are for writes; expected at least 2 more of these than \
                 GREENROOM_WRITERS, which is {}",
                database.connections, shares.write, database.writers
            )));
        }
        Ok(database)
    }

    fn redis(&self) -> Result<Redis, SettingsError> {
        Ok(Redis {
            url: self.optional("REDIS_URL", "redis://host or rediss://host", values::redis_url)?,
            connections: self.or("GREENROOM_REDIS_CONNECTIONS", 8, "a number from 1 to 1000", number(1, 1000))?,
        })
    }

    fn auth(&self) -> Result<Auth, SettingsError> {
        let key = |name| self.optional(name, SIGNING_KEY, values::signing_key);
        let word = |name| self.optional(name, "a text of one line", text);
        Ok(Auth {
            jwt_secret: key("GREENROOM_JWT_SECRET")?,
            jwt_secret_secondary: key("GREENROOM_JWT_SECRET_SECONDARY")?,
            registration_open: self.or("GREENROOM_REGISTRATION", true, "open or closed", |text| match text {
                "open" => Some(true),
                "closed" => Some(false),
                _ => None,
            })?,
            jwks_file: word("GREENROOM_AUTH_JWKS_FILE")?.map(PathBuf::from),
            jwks_url: self.optional("GREENROOM_AUTH_JWKS_URL", "an http or https address", values::web_url)?,
            shared_secret: key("GREENROOM_AUTH_SHARED_SECRET")?,
            shared_secret_secondary: key("GREENROOM_AUTH_SHARED_SECRET_SECONDARY")?,
            issuer: word("GREENROOM_AUTH_ISSUER")?,
            audience: word("GREENROOM_AUTH_AUDIENCE")?,
            admin_role: word("GREENROOM_AUTH_ADMIN_ROLE")?,
        })
    }

    fn admin(&self) -> Result<Option<Admin>, SettingsError> {
        let username = self.optional("GREENROOM_ADMIN_USERNAME", "a username", text)?;
        let password = self.optional("GREENROOM_ADMIN_PASSWORD", "8 to 128 characters", |text| {
            (8..=128).contains(&text.chars().count()).then(|| Secret::new(text))
        })?;
        match (username, password) {
            (Some(username), Some(password)) => Ok(Some(Admin { username, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(SettingsError::new("GREENROOM_ADMIN_USERNAME needs GREENROOM_ADMIN_PASSWORD")),
            (None, Some(_)) => Err(SettingsError::new("GREENROOM_ADMIN_PASSWORD needs GREENROOM_ADMIN_USERNAME")),
        }
    }

    fn limits(&self) -> Result<Limits, SettingsError> {
        let rate = |name, default| self.or(name, default, "a number from 0 (off) to 1000000", number(0, 1_000_000));
        let bytes = |name, default| self.or(name, default, "a number of bytes, at least 1", number(1, i64::MAX as u64));
        Ok(Limits {
            auth_per_minute: rate("GREENROOM_LIMIT_AUTH_PER_MINUTE", 10)?,
            sends_per_second: rate("GREENROOM_LIMIT_SENDS_PER_SECOND", 20)?,
            api_per_second: rate("GREENROOM_LIMIT_API_PER_SECOND", 100)?,
            upload_bytes: bytes("GREENROOM_LIMIT_UPLOAD_BYTES", 100 << 20)?,
            upload_quota_bytes: bytes("GREENROOM_LIMIT_UPLOAD_QUOTA_BYTES", 2 << 30)?,
        })
    }

    fn log(&self) -> Result<Log, SettingsError> {
        Ok(Log {
            filter: self.or(
                "GREENROOM_LOG",
                "info,actix_http=off,actix_server=warn,sqlx=warn,sea_orm_migration=warn".to_owned(),
                "a filter such as info or greenroom=debug,info",
                |given| EnvFilter::try_new(given).ok().and(text(given)),
            )?,
            format: self.or("GREENROOM_LOG_FORMAT", LogFormat::Text, "text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })?,
            retention_days: self.or("GREENROOM_LOG_RETENTION_DAYS", 7, "a number from 1 to 3650", number(1, 3650))?,
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
