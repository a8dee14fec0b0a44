//! The database of a measurement: a new SQLite file, or a new database on PostgreSQL.

use crate::Result;
use greenroom::config::Settings;
use sea_orm::{ConnectionTrait, Database};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use url::Url;

/// The number in the name of the next database on PostgreSQL.
static NEXT_NUMBER: AtomicU32 = AtomicU32::new(0);

/// A new database, with the folder in which the application keeps its secrets.
pub enum NewDatabase {
    /// A file in the folder, which is removed when this value is dropped.
    Sqlite(TempDir),
    Postgres {
        /// The address at which databases can be created.
        admin_url: String,
        name: String,
        url: String,
        folder: TempDir,
    },
}

impl NewDatabase {
    /// Creates a folder for SQLite.
    pub fn create_sqlite() -> Result<Self> {
        Ok(Self::Sqlite(TempDir::with_prefix("greenroom-writes-")?))
    }

    /// Creates a database on PostgreSQL.
    pub fn create_postgres(admin_url: &str) -> Result<Self> {
        let name = format!("greenroom_writes_{}_{}", std::process::id(), NEXT_NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))?;
        let mut url = Url::parse(admin_url)?;
        url.set_path(&name);
        let folder = TempDir::with_prefix("greenroom-writes-")?;
        Ok(Self::Postgres { admin_url: admin_url.to_owned(), name, url: url.into(), folder })
    }

    /// Removes the database, and the folder.
    pub fn remove(self) -> Result<()> {
        match self {
            Self::Sqlite(folder) => Ok(folder.close()?),
            Self::Postgres { admin_url, name, .. } => {
                execute(&admin_url, &format!("DROP DATABASE {name} WITH (FORCE)"))
            }
        }
    }

    /// Returns the name of the backend.
    pub fn backend_name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// Returns the settings of an application on this database. Its limits on sends are off.
    pub fn settings(&self) -> Result<Settings> {
        let (Self::Sqlite(folder) | Self::Postgres { folder, .. }) = self;
        let mut pairs = vec![
            ("GREENROOM_DATA_DIR".to_owned(), folder.path().join("data").display().to_string()),
            ("GREENROOM_LIMIT_SENDS_PER_SECOND".to_owned(), "0".to_owned()),
        ];
        if let Self::Postgres { url, .. } = self {
            pairs.push(("DATABASE_URL".to_owned(), url.clone()));
            pairs.push(("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()));
        }
        Ok(Settings::from_pairs(pairs, None)?)
    }
}

fn execute(url: &str, statement: &str) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let connection = Database::connect(url).await?;
        connection.execute_unprepared(statement).await?;
        connection.close().await?;
        Ok(())
    })
}
