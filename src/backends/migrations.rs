//! Migrates the schema of the database to this version, or back.
//!
//! Only one process migrates at a time: a lock on the data folder (SQLite) or an advisory lock (PostgreSQL) ensures
//! this. The migrations themselves are in the crate `migration`.

use super::{BackendError, BackendResult, folder, postgres, sqlite};
use crate::config::Settings;
use migration::{Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::MigrationStatus;
use std::fs::File;

/// A migration, and whether it is applied to this database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MigrationState {
    /// The name, which begins with a date.
    pub name: String,
    pub applied: bool,
}

/// Migrates the schema before the server starts. PostgreSQL is migrated only if the settings allow it; otherwise an old
/// schema is an error. A schema of a newer version is always an error.
pub async fn ensure(settings: &Settings) -> BackendResult<()> {
    let pending = status(settings).await?.iter().filter(|migration| !migration.applied).count();
    if pending == 0 {
        return Ok(());
    }
    if settings.database.is_sqlite() || settings.database.auto_migrate {
        for name in up(settings).await? {
            tracing::info!(migration = name, "migrated the database");
        }
        return Ok(());
    }
    Err(BackendError::new(format_args!(
        "the database is older than this program ({pending} migrations are missing); run: greenroom migrate up"
    )))
}

/// Returns all migrations, oldest first. Changes nothing and creates no database.
pub async fn status(settings: &Settings) -> BackendResult<Vec<MigrationState>> {
    let connection = if settings.database.is_sqlite() {
        match sqlite::connect_read_only(settings).await? {
            Some(connection) => connection,
            None => return Ok(Migrator::migrations().iter().map(|migration| pending(migration.name())).collect()),
        }
    } else {
        postgres::connect_read_only(settings).await?
    };
    let states = read_states(&connection).await;
    let _ = connection.close().await;
    states
}

/// Applies all pending migrations and returns their names.
pub async fn up(settings: &Settings) -> BackendResult<Vec<String>> {
    let session = MigrationSession::open(settings).await?;
    let before = read_states(&session.connection).await?;
    let result = Migrator::up(&session.connection, None).await;
    session.close(result, before, true).await
}

/// Reverts the last `steps` migrations and returns their names, newest first. The content of their tables is lost.
pub async fn down(settings: &Settings, steps: u32) -> BackendResult<Vec<String>> {
    let session = MigrationSession::open(settings).await?;
    let before = read_states(&session.connection).await?;
    let result = Migrator::down(&session.connection, Some(steps)).await;
    session.close(result, before, false).await
}

/// A connection that holds the migration lock.
struct MigrationSession {
    connection: DatabaseConnection,
    _folder_lock: Option<File>,
}

impl MigrationSession {
    async fn open(settings: &Settings) -> BackendResult<Self> {
        if !settings.database.is_sqlite() {
            return Ok(Self { connection: postgres::connect_to_migrate(settings).await?, _folder_lock: None });
        }
        let data_dir = settings.data_dir.clone();
        // The lock can wait for another process, so it does not run on a thread of the async runtime.
        let lock =
            tokio::task::spawn_blocking(move || folder::create(&data_dir).and_then(|()| folder::lock(&data_dir)));
        let folder_lock = lock.await.map_err(BackendError::new)??;
        Ok(Self { connection: sqlite::connect_to_migrate(settings).await?, _folder_lock: Some(folder_lock) })
    }

    /// Ends the session and returns the names of the migrations that changed since `before` to the state `applied`.
    /// Fails if `result` is an error.
    async fn close(
        self,
        result: Result<(), DbErr>,
        before: Vec<MigrationState>,
        applied: bool,
    ) -> BackendResult<Vec<String>> {
        let after = read_states(&self.connection).await;
        let _ = self.connection.close().await;
        result.map_err(|error| failed(&error))?;
        let mut changed: Vec<_> = after?
            .into_iter()
            .zip(before)
            .filter(|(now, earlier)| now.applied == applied && earlier.applied != applied)
            .map(|(now, _)| now.name)
            .collect();
        if !applied {
            changed.reverse();
        }
        Ok(changed)
    }
}

async fn read_states(connection: &DatabaseConnection) -> BackendResult<Vec<MigrationState>> {
    let migrations = Migrator::get_migration_with_status_read_only(connection).await.map_err(|error| failed(&error))?;
    Ok(migrations
        .iter()
        .map(|migration| MigrationState {
            name: migration.name().to_owned(),
            applied: migration.status() == MigrationStatus::Applied,
        })
        .collect())
}

fn pending(name: &str) -> MigrationState {
    MigrationState { name: name.to_owned(), applied: false }
}

fn failed(error: &DbErr) -> BackendError {
    match error {
        // The migrator returns this error if the database has migrations that this program does not know.
        DbErr::Custom(_) => BackendError::new(
            "the database was migrated by a newer version of Greenroom; start that version, or restore a backup",
        ),
        _ => BackendError::new(format_args!("the database cannot be migrated: {error}")),
    }
}
