//! The checkpointer of SQLite: copies what was committed from the write-ahead log into the database, every second in which
//! something was. The writer does not do it itself, because the sender whose commit met a checkpoint would wait for it.
//! Within a second or two of a deletion the log is emptied, so that the deleted text is in neither file.
//!
//! It begins with that, too, as nobody knows what a process that was killed had deleted before. Whatever fails, it tries
//! again a second later, on a new connection; `/health` names it until it succeeds.
//!
//! Nobody else in this process writes to the file of the database. So it can be told when somebody else did
//! ([`super::history::OpenFile`]); then nothing is copied.

use super::{Result, sqlite};
use crate::config::Settings;
use crate::store::db::Db;
use crate::store::gate::Class;
use crate::store::history::{ROW, Witness};
use crate::supervision::Part;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// Pages in the write-ahead log (4 KiB each) beyond which writers are held up for a moment, so that it starts anew.
const LONG_LOG: i64 = 16 * 1024;
/// How long that moment may wait for readers of old pages; if they are still there, the next second is as good.
const HOLD: Duration = Duration::from_millis(50);

/// What tends the write-ahead log.
pub(super) struct Checkpointer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    /// The number by which SQLite tells that another connection committed.
    seen: Option<i64>,
    /// How many texts had been deleted when the log was last emptied.
    emptied: Option<u64>,
}

impl Checkpointer {
    /// It connects when it begins, and whenever its connection has failed.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let options = sqlite::writing(settings)?.create_if_missing(false).busy_timeout(HOLD);
        Ok(Self { options, connection: None, seen: None, emptied: None })
    }

    /// Runs until `stop`, and empties the log then.
    pub(super) async fn run(mut self, db: &Db, part: &Part, stop: impl Future<Output = ()>) {
        // from here on nobody else is to write to the file
        db.history().written(async {}).await;
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            let done = self.tick(db).await;
            part.works(done.is_ok());
            if let Err(error) = done {
                tracing::warn!(%error, "SQLite's write-ahead log was not checkpointed; trying again");
            }
        }
        // what somebody else wrote in its place is left as it is
        let is_ours = db.history().is_in_place().await || !db.history().is_at_its_name();
        if is_ours && let Err(error) = self.empty(db).await {
            tracing::warn!(%error, "SQLite's write-ahead log was not emptied; the next start reads it");
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the connection of the checkpointer was not closed in order");
        }
    }

    async fn tick(&mut self, db: &Db) -> sqlx::Result<()> {
        if !db.history().is_in_place().await {
            return Err(
                std::io::Error::other("the file is not the one that was opened, or others wrote over it").into()
            );
        }
        // read before: what is deleted meanwhile is for the next time
        let deleted = db.texts_deleted();
        if self.emptied != Some(deleted) {
            if self.empty(db).await? {
                self.emptied = Some(deleted);
            }
            // else somebody still reads what stood before, and the next second is as good
            return Ok(());
        }
        let mut connection = self.connection().await?;
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await?;
        if self.seen.replace(version) != Some(version) {
            let (_, pages) = copy(db, &mut connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
            if pages > LONG_LOG {
                // under steady load a passive checkpoint never reaches the end of the log, and the log would grow for ever
                let _turn = db.turn(Class::System).await;
                copy(db, &mut connection, "PRAGMA wal_checkpoint(RESTART)").await?;
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Copies everything and empties the log; false when a reader was in the way.
    async fn empty(&mut self, db: &Db) -> sqlx::Result<bool> {
        let mut connection = self.connection().await?;
        let _turn = db.turn(Class::System).await;
        let (busy, _) = copy(db, &mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
        self.connection = Some(connection);
        Ok(!busy)
    }

    /// The connection, taken out: one that has failed is not used again.
    async fn connection(&mut self) -> sqlx::Result<SqliteConnection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => SqliteConnection::connect_with(&self.options).await,
        }
    }
}

/// Runs a checkpoint; returns whether readers or writers were in its way, so that it did a part, and the pages in the log.
async fn copy(db: &Db, connection: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<(bool, i64)> {
    // a database that is still without its tables has nothing to look for later
    let newest = newest(connection).await.ok();
    let copying = sqlx::query_as(statement).fetch_one(connection);
    let (busy, pages, copied): (i64, i64, i64) = db.history().written(copying).await?;
    if let (0, true, Some(newest)) = (busy, pages == copied, newest) {
        db.history().holds(newest);
    }
    Ok((busy != 0, pages))
}

/// The newest row of the log of events; the default where there is none.
async fn newest(connection: &mut SqliteConnection) -> sqlx::Result<Witness> {
    let text = format!("SELECT {ROW} FROM outbox ORDER BY id DESC LIMIT 1");
    let row = sqlx::query(AssertSqlSafe(text)).fetch_optional(connection).await?;
    let newest = row.map_or_else(|| Ok(Witness::default()), |row| Witness::of(&row.into()));
    newest.map_err(|error| sqlx::Error::Protocol(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::Supervision;
    use sea_orm::ConnectionTrait;
    use std::path::PathBuf;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    /// A checkpointer at work.
    struct Office {
        folder: tempfile::TempDir,
        db: Db,
        supervision: Supervision,
        settings: Settings,
    }

    impl Office {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let pair = ("GREENROOM_DATA_DIR".to_owned(), folder.path().display().to_string());
            let settings = Settings::from_pairs([pair], None).expect("valid settings");
            let db = sqlite::connect(&settings).await.expect("it opens");
            db.write()
                .expect("it takes writes")
                .execute_unprepared("CREATE TABLE word (text TEXT)")
                .await
                .expect("the writer writes");
            Self { folder, db, supervision: Supervision::default(), settings }
        }

        fn file(&self, ending: &str) -> PathBuf {
            self.folder.path().join(format!("greenroom.db{ending}"))
        }

        fn log_bytes(&self) -> u64 {
            self.file("-wal").metadata().expect("the log").len()
        }

        fn start(&self) -> (oneshot::Sender<()>, JoinHandle<()>) {
            let (stop, stopped) = oneshot::channel::<()>();
            let checkpointer = Checkpointer::new(&self.settings).expect("valid settings");
            let (db, part) = (self.db.clone(), self.supervision.part("checkpointer"));
            (stop, tokio::spawn(async move { checkpointer.run(&db, &part, async { drop(stopped.await) }).await }))
        }

        async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
            let held = async {
                while !holds(self) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            assert!(tokio::time::timeout(Duration::from_secs(30), held).await.is_ok(), "{what}");
        }
    }

    #[tokio::test]
    async fn it_empties_the_log_when_it_begins_and_when_it_stops() {
        let office = Office::new().await;
        assert!(office.log_bytes() > 0, "what was committed is in the log");
        let (stop, task) = office.start();
        office.eventually("the log is emptied", |office| office.log_bytes() == 0).await;
        office
            .db
            .write()
            .expect("it takes writes")
            .execute_unprepared("INSERT INTO word VALUES ('later')")
            .await
            .expect("the writer writes");
        assert!(office.log_bytes() > 0);
        stop.send(()).expect("it runs");
        task.await.expect("it ends");
        assert_eq!(office.log_bytes(), 0);
        office.db.close().await;
    }

    #[tokio::test]
    async fn it_tries_until_it_can_connect_and_is_seen_meanwhile() {
        let office = Office::new().await;
        std::fs::rename(office.file(""), office.file(".away")).expect("the file is taken away");
        let (stop, task) = office.start();
        office.eventually("its failure is seen", |office| office.supervision.failing() == ["checkpointer"]).await;
        assert!(office.log_bytes() > 0);
        std::fs::rename(office.file(".away"), office.file("")).expect("the file is put back");
        office.eventually("it works", |office| office.supervision.failing().is_empty()).await;
        office.eventually("the log is emptied", |office| office.log_bytes() == 0).await;
        stop.send(()).expect("it runs");
        task.await.expect("it ends");
        office.db.close().await;
    }
}
