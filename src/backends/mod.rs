//! The one place that picks SQLite or PostgreSQL: opens the database as the settings say and brings its schema to this
//! version. Also what is kept in the data folder beside the database. No statement about a user or a message is here.

mod checkpointer;
pub mod descriptors;
mod folder;
mod history;
pub mod migrations;
mod postgres;
pub mod secrets;
mod sqlite;

use crate::config::Settings;
use crate::store::db::Db;
use crate::store::log;
use crate::store::pools::Share;
use crate::supervision::Supervision;
use checkpointer::Checkpointer;
use futures_util::FutureExt;
use std::fmt;

/// Why the database or the data folder cannot be used, in one line for the operator; no password is in it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(String);

impl BackendError {
    fn new(line: impl fmt::Display) -> Self {
        Self(line.to_string().replace(['\r', '\n'], " "))
    }
}

/// What went wrong in the database's own words.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(cause) => cause.message().to_owned(),
        sqlx::Error::Io(cause) => cause.to_string(),
        _ => error.to_string(),
    }
}

/// A result of this module.
pub type Result<T> = std::result::Result<T, BackendError>;

/// Makes the data folder if need be, brings the schema to this version (or refuses, see [`migrations::ensure`]) and
/// opens the database.
pub async fn open(settings: &Settings) -> Result<Db> {
    folder::make(&settings.data_dir)?;
    migrations::ensure(settings).await?;
    let db = connect(settings).await?;
    match log::draws_ids_one_by_one(db.read(Share::Log)).await {
        Ok(true) => {}
        Ok(false) => {
            return Err(BackendError::new(
                "the sequence of outbox.id must have CACHE 1, or events are lost between nodes; \
             run: ALTER TABLE outbox ALTER COLUMN id SET CACHE 1",
            ));
        }
        Err(error) => return Err(BackendError::new(format_args!("the log cannot be read: {error}"))),
    }
    if settings.database.is_sqlite() {
        history::begin(settings, &db).await?;
    }
    Ok(db)
}

/// Opens the database, whatever its schema. All connections are opened here, so that they live on the runtime of the
/// caller: a connection belongs to the thread that opened it, and must not wait for one that is busy with sockets.
pub async fn connect(settings: &Settings) -> Result<Db> {
    folder::make(&settings.data_dir)?;
    if settings.database.is_sqlite() { sqlite::connect(settings).await } else { postgres::connect(settings).await }
}

/// Follows the history of the database until `stop`, keeps SQLite's write-ahead log short, and empties it then: stop it
/// after the last commit. What cannot be done is tried again for as long as that, and `supervision` names it meanwhile.
pub async fn tend(
    settings: &Settings,
    db: &Db,
    supervision: &Supervision,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (stop, file) = (stop.shared(), supervision.part("history_file"));
    if !settings.database.is_sqlite() {
        history::keep(settings, db, &file, stop).await;
        return Ok(());
    }
    let (checkpointer, part) = (Checkpointer::new(settings)?, supervision.part("checkpointer"));
    tokio::join!(checkpointer.run(db, &part, stop.clone()), history::keep(settings, db, &file, stop));
    Ok(())
}
