//! Brings the schema to this version, and back. One process at a time: SQLite by a lock on the data folder, PostgreSQL by
//! an advisory lock. What a migration does is in the crate `migration`.

use super::{BackendError, Result, folder, postgres, sqlite};
use crate::config::Settings;
use migration::{Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, DbErr};
use sea_orm_migration::MigrationStatus;
use std::fs::File;

/// One migration, and whether this database has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Its name, which begins with its date.
    pub name: String,
    /// Whether it has been applied.
    pub applied: bool,
}

/// Before serving: SQLite is migrated, PostgreSQL if the settings say so; an old schema is refused otherwise, a newer
/// one always.
pub async fn ensure(settings: &Settings) -> Result<()> {
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

/// All migrations, oldest first. Changes nothing and makes no database.
pub async fn status(settings: &Settings) -> Result<Vec<Status>> {
    let connection = if settings.database.is_sqlite() {
        match sqlite::connect_to_look(settings).await? {
            Some(connection) => connection,
            None => return Ok(Migrator::migrations().iter().map(|one| pending(one.name())).collect()),
        }
    } else {
        postgres::connect_to_look(settings).await?
    };
    let found = look(&connection).await;
    let _ = connection.close().await;
    found
}

/// Applies what is missing and returns its names.
pub async fn up(settings: &Settings) -> Result<Vec<String>> {
    let session = Session::open(settings).await?;
    let before = look(&session.connection).await?;
    let result = Migrator::up(&session.connection, None).await;
    session.close(result, before, true).await
}

/// Takes back the last `steps` migrations, with all that is in their tables, and returns their names.
pub async fn down(settings: &Settings, steps: u32) -> Result<Vec<String>> {
    let session = Session::open(settings).await?;
    let before = look(&session.connection).await?;
    let result = Migrator::down(&session.connection, Some(steps)).await;
    session.close(result, before, false).await
}

/// The right to migrate.
struct Session {
    connection: DatabaseConnection,
    _folder: Option<File>,
}

impl Session {
    async fn open(settings: &Settings) -> Result<Self> {
        if !settings.database.is_sqlite() {
            return Ok(Self { connection: postgres::connect_to_migrate(settings).await?, _folder: None });
        }
        let data_dir = settings.data_dir.clone();
        // waits for another process, so not on a thread that others need
        let locked =
            tokio::task::spawn_blocking(move || folder::make(&data_dir).and_then(|()| folder::lock(&data_dir)));
        let folder = locked.await.map_err(BackendError::new)??;
        Ok(Self { connection: sqlite::connect_to_migrate(settings).await?, _folder: Some(folder) })
    }

    /// Gives the right back; returns those of which `before` says otherwise than now.
    async fn close(
        self,
        result: std::result::Result<(), DbErr>,
        before: Vec<Status>,
        applied: bool,
    ) -> Result<Vec<String>> {
        let after = look(&self.connection).await;
        let _ = self.connection.close().await;
        result.map_err(|error| failed(&error))?;
        let mut changed: Vec<_> = after?
            .into_iter()
            .zip(before)
            .filter(|(now, was)| now.applied == applied && was.applied != applied)
            .map(|(now, _)| now.name)
            .collect();
        if !applied {
            changed.reverse();
        }
        Ok(changed)
    }
}

async fn look(connection: &DatabaseConnection) -> Result<Vec<Status>> {
    let found = Migrator::get_migration_with_status_read_only(connection).await.map_err(|error| failed(&error))?;
    Ok(found
        .iter()
        .map(|one| Status { name: one.name().to_owned(), applied: one.status() == MigrationStatus::Applied })
        .collect())
}

fn pending(name: &str) -> Status {
    Status { name: name.to_owned(), applied: false }
}

fn failed(error: &DbErr) -> BackendError {
    match error {
        // the migrator's word for migrations in the database that the program does not know
        DbErr::Custom(_) => BackendError::new(
            "the database was migrated by a newer version of Greenroom; start that version, or restore a backup",
        ),
        _ => BackendError::new(format_args!("the database cannot be migrated: {error}")),
    }
}
