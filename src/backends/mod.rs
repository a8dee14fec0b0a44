//! Opens the database that the settings name: SQLite or PostgreSQL.
//!
//! Only this module chooses between the two. It migrates the schema to this version. It also keeps the files in the
//! data folder. It has no statements about users or messages.

mod checkpointer;
pub mod descriptors;
mod folder;
mod history;
mod history_file;
pub mod migrations;
mod open_file;
mod planner_statistics;
mod postgres;
mod postgres_history;
pub mod secrets;
mod sqlite;

pub use postgres::POSTGRES_PLAN_SETTINGS;

use crate::config::Settings;
use crate::store::db::Db;
use crate::store::db::pools::ReadPool;
use crate::store::log::floor;
use crate::supervision::Supervision;
use checkpointer::Checkpointer;
use futures_util::FutureExt;
use std::fmt;

/// The reason why the database or the data folder cannot be used: one line for the operator, without passwords.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(String);

impl BackendError {
    fn new(line: impl fmt::Display) -> Self {
        Self(line.to_string().replace(['\r', '\n'], " "))
    }
}

/// Returns the message of the database itself if there is one, without what sqlx adds to it.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(cause) => cause.message().to_owned(),
        sqlx::Error::Io(cause) => cause.to_string(),
        _ => error.to_string(),
    }
}

/// The result of a function of this module.
pub type BackendResult<T> = Result<T, BackendError>;

/// Creates the data folder if it does not exist, migrates the schema ([`migrations::ensure`]) and opens the database.
pub async fn open(settings: &Settings) -> BackendResult<Db> {
    folder::create(&settings.data_dir)?;
    migrations::ensure(settings).await?;
    let db = connect(settings).await?;
    match floor::assigns_ids_in_order(db.read(ReadPool::Log)).await {
        Ok(true) => {}
        Ok(false) => {
            return Err(BackendError::new(
                "the sequence of outbox.id must have CACHE 1, because otherwise events are lost between nodes; \
             run: ALTER TABLE outbox ALTER COLUMN id SET CACHE 1",
            ));
        }
        Err(error) => return Err(BackendError::new(format_args!("the log cannot be read: {error}"))),
    }
    if settings.database.is_sqlite() {
        history_file::check_at_start(settings, &db).await?;
    }
    Ok(db)
}

/// Opens the database without a check of its schema. Opens all connections here, so that they belong to the runtime of
/// the caller: a connection belongs to the thread that opened it, and must not wait for a thread that is busy with
/// sockets.
pub async fn connect(settings: &Settings) -> BackendResult<Db> {
    folder::create(&settings.data_dir)?;
    if settings.database.is_sqlite() { sqlite::connect(settings).await } else { postgres::connect(settings).await }
}

/// Runs the maintenance of the database until `stop` completes: follows its history, and on SQLite keeps the
/// write-ahead log short and empties it at the end. So `stop` must complete after the last commit. A failed action is
/// tried again, and `supervision` names it until it succeeds.
pub async fn maintain(
    settings: &Settings,
    db: &Db,
    supervision: &Supervision,
    stop: impl Future<Output = ()>,
) -> BackendResult<()> {
    let (stop, history_file_part) = (stop.shared(), supervision.part("history_file"));
    if !settings.database.is_sqlite() {
        history::follow(settings, db, &history_file_part, stop).await;
        return Ok(());
    }
    let (checkpointer, part) = (Checkpointer::new(settings)?, supervision.part("checkpointer"));
    tokio::join!(checkpointer.run(db, &part, stop.clone()), history::follow(settings, db, &history_file_part, stop));
    Ok(())
}
