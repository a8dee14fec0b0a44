//! The checkpointer of SQLite, which copies commits from the write-ahead log (WAL) into the database file.
//!
//! It checks once a second whether there are new commits, and copies them. The writer does not do this, because a
//! sender whose commit met a checkpoint would have to wait for it. Within one or two seconds after a deletion the
//! checkpointer empties the WAL, so that the deleted text is in neither file.
//!
//! It also removes the statistics that an operator's `ANALYZE` has left ([`planner_statistics`]).
//!
//! It empties the WAL at the start too, because a process that was killed may have left deleted text there. After a
//! failure it tries again a second later, on a new connection. `/health` names it until it succeeds.
//!
//! No other part of this process writes to the database file. So a write by another process can be detected
//! (`OpenFile` in `open_file.rs`), and after such a write nothing is copied.

use super::{BackendResult, planner_statistics, sqlite};
use crate::config::Settings;
use crate::store::db::Db;
use crate::store::db::row_digest::{ROW_COLUMNS, RowDigest};
use crate::store::db::write_queue::ServerWriter;
use crate::supervision::Part;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The time between two checks for new commits.
const INTERVAL: Duration = Duration::from_secs(1);
/// The length of the WAL, in pages of 4 KiB, above which writers wait while the WAL is started anew.
const LONG_WAL_PAGES: i64 = 16 * 1024;
/// How long a checkpoint waits for readers of old pages. If they take longer, the next second tries again.
const READER_WAIT: Duration = Duration::from_millis(50);

/// Keeps the WAL short.
pub(super) struct Checkpointer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    /// The last `data_version` of SQLite, which changes when another connection commits.
    data_version: Option<i64>,
    /// The number of deleted texts when the WAL was last emptied. `None` until it was emptied once.
    deleted_when_emptied: Option<u64>,
}

impl Checkpointer {
    /// Creates the checkpointer. It connects when it runs, and again after its connection failed.
    pub(super) fn new(settings: &Settings) -> BackendResult<Self> {
        let options = sqlite::write_options(settings)?.create_if_missing(false).busy_timeout(READER_WAIT);
        Ok(Self { options, connection: None, data_version: None, deleted_when_emptied: None })
    }

    /// Runs until `stop` completes, and then empties the WAL.
    pub(super) async fn run(mut self, db: &Db, part: &Part, stop: impl Future<Output = ()>) {
        // From now on no other process may write to the file.
        db.history().write_file(async {}).await;
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = interval.tick() => {}
            }
            let result = self.run_round(db).await;
            part.set_working(result.is_ok());
            if let Err(error) = result {
                tracing::warn!(%error, "the write-ahead log of SQLite was not checkpointed; trying again");
            }
        }
        // If another process wrote over the open file, this process does not change that file any more.
        let is_ours = db.history().is_file_current().await || !db.history().is_file_at_path();
        if is_ours && let Err(error) = self.empty(db).await {
            tracing::warn!(%error, "the write-ahead log of SQLite was not emptied; the next start reads it");
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the connection of the checkpointer was not closed properly");
        }
    }

    async fn run_round(&mut self, db: &Db) -> sqlx::Result<()> {
        if !db.history().is_file_current().await {
            return Err(
                std::io::Error::other("the database file was replaced, or another process wrote over it").into()
            );
        }
        // Read this first: texts that are deleted meanwhile are left to the next round.
        let deleted = db.text_deletions();
        if self.deleted_when_emptied != Some(deleted) {
            if self.empty(db).await? {
                self.deleted_when_emptied = Some(deleted);
            }
            // Otherwise a reader still uses old pages, and the next round tries again.
            return Ok(());
        }
        let mut connection = self.take_connection().await?;
        let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await?;
        if self.data_version.replace(version) != Some(version) {
            if !planner_statistics::are_empty(&mut connection).await? {
                tracing::info!("the statistics of an ANALYZE are removed, because plans must not depend on them");
                let _turn = db.take_server_turn(ServerWriter::System).await;
                planner_statistics::remove(&mut connection).await?;
            }
            let (_, pages) = checkpoint(db, &mut connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
            if pages > LONG_WAL_PAGES {
                // Under constant load a passive checkpoint never reaches the end of the WAL, which would grow for ever.
                let _turn = db.take_server_turn(ServerWriter::System).await;
                checkpoint(db, &mut connection, "PRAGMA wal_checkpoint(RESTART)").await?;
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Copies all commits and empties the WAL. Returns false if a reader prevented it.
    async fn empty(&mut self, db: &Db) -> sqlx::Result<bool> {
        let mut connection = self.take_connection().await?;
        let _turn = db.take_server_turn(ServerWriter::System).await;
        let (busy, _) = checkpoint(db, &mut connection, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
        self.connection = Some(connection);
        Ok(!busy)
    }

    /// Takes the connection out of `self`, or opens a new one. The calling code puts it back only after success, so a
    /// connection that failed is not used again.
    async fn take_connection(&mut self) -> sqlx::Result<SqliteConnection> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => SqliteConnection::connect_with(&self.options).await,
        }
    }
}

/// Runs a checkpoint. Returns whether readers or writers prevented a complete one, and the number of pages in the WAL.
async fn checkpoint(db: &Db, connection: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<(bool, i64)> {
    // `newest` is `None` while the database has no tables yet. Then there is no row to compare with later.
    let newest = newest_log_row(connection).await.ok();
    let copying = sqlx::query_as(statement).fetch_one(connection);
    let (busy, pages, copied): (i64, i64, i64) = db.history().write_file(copying).await?;
    if let (0, true, Some(newest)) = (busy, pages == copied, newest) {
        db.history().set_newest_checkpointed_row(newest);
    }
    Ok((busy != 0, pages))
}

/// Returns the newest row of the table `outbox`, or the default if the table is empty.
async fn newest_log_row(connection: &mut SqliteConnection) -> sqlx::Result<RowDigest> {
    let text = format!("SELECT {ROW_COLUMNS} FROM outbox ORDER BY id DESC LIMIT 1");
    let row = sqlx::query(AssertSqlSafe(text)).fetch_optional(connection).await?;
    let newest = row.map_or_else(|| Ok(RowDigest::default()), |row| RowDigest::from_row(&row.into()));
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

    /// A database with the parts that a checkpointer needs.
    struct CheckpointerTest {
        folder: tempfile::TempDir,
        db: Db,
        supervision: Supervision,
        settings: Settings,
    }

    impl CheckpointerTest {
        async fn new() -> Self {
            let folder = tempfile::tempdir().expect("the folder is created");
            let pair = ("GREENROOM_DATA_DIR".to_owned(), folder.path().display().to_string());
            let settings = Settings::from_pairs([pair], None).expect("valid settings");
            let db = sqlite::connect(&settings).await.expect("the database opens");
            db.write()
                .expect("the database accepts writes")
                .execute_unprepared("CREATE TABLE word (text TEXT)")
                .await
                .expect("the writer writes");
            Self { folder, db, supervision: Supervision::default(), settings }
        }

        fn file(&self, ending: &str) -> PathBuf {
            self.folder.path().join(format!("greenroom.db{ending}"))
        }

        fn wal_bytes(&self) -> u64 {
            self.file("-wal").metadata().expect("the WAL exists").len()
        }

        fn start(&self) -> (oneshot::Sender<()>, JoinHandle<()>) {
            let (stop, stopped) = oneshot::channel::<()>();
            let checkpointer = Checkpointer::new(&self.settings).expect("valid settings");
            let (db, part) = (self.db.clone(), self.supervision.part("checkpointer"));
            (stop, tokio::spawn(async move { checkpointer.run(&db, &part, async { drop(stopped.await) }).await }))
        }

        async fn eventually(&self, expectation: &str, is_true: impl Fn(&Self) -> bool) {
            let poll = async {
                while !is_true(self) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            assert!(tokio::time::timeout(Duration::from_secs(30), poll).await.is_ok(), "{expectation}");
        }
    }

    #[tokio::test]
    async fn it_empties_the_log_when_it_begins_and_when_it_stops() {
        let database = CheckpointerTest::new().await;
        assert!(database.wal_bytes() > 0, "the commit is in the WAL");
        let (stop, task) = database.start();
        database.eventually("the WAL is emptied", |database| database.wal_bytes() == 0).await;
        database
            .db
            .write()
            .expect("the database accepts writes")
            .execute_unprepared("INSERT INTO word VALUES ('later')")
            .await
            .expect("the writer writes");
        assert!(database.wal_bytes() > 0);
        stop.send(()).expect("the checkpointer runs");
        task.await.expect("the task ends");
        assert_eq!(database.wal_bytes(), 0);
        database.db.close().await;
    }

    #[tokio::test]
    async fn it_tries_until_it_can_connect_and_is_seen_meanwhile() {
        let database = CheckpointerTest::new().await;
        std::fs::rename(database.file(""), database.file(".away")).expect("the file is moved away");
        let (stop, task) = database.start();
        database
            .eventually("supervision reports the failure", |database| {
                database.supervision.failing() == ["checkpointer"]
            })
            .await;
        assert!(database.wal_bytes() > 0);
        std::fs::rename(database.file(".away"), database.file("")).expect("the file is moved back");
        database.eventually("the checkpointer works again", |database| database.supervision.failing().is_empty()).await;
        database.eventually("the WAL is emptied", |database| database.wal_bytes() == 0).await;
        stop.send(()).expect("the checkpointer runs");
        task.await.expect("the task ends");
        database.db.close().await;
    }
}
