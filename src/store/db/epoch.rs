//! The statements that read the epoch of the database and begin a new one.
//!
//! The epoch of a history is stored in the database, and changed with one compare-and-set, so that all nodes agree on
//! it.

use crate::domain::ids::Rev;
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::store::db::Db;
use crate::store::db::pools::ReadPool;
use crate::store::db::row_digest::{ROW_COLUMNS, RowDigest};
use crate::store::db::write_queue::ServerWriter;
use crate::store::{dialect, log, meta};
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr};
use uuid::Uuid;

/// The PostgreSQL statement for the greatest id that the log ever assigned.
pub const LAST_ID_ON_POSTGRES: &str =
    "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) AS last";
/// The PostgreSQL statement that changes the epoch from `$1` to `$2`, unless another node has changed it already.
///
/// In the same statement it raises the ids of the log above all that were ever used: to the next multiple of 2^32 above
/// the last id, the cursors of the readers and `$3`. If `$4` and `$5` are not empty, they are stored as the server and
/// the tables of the new history.
pub const CHANGE_EPOCH_ON_POSTGRES: &str = "WITH changed AS (
         UPDATE meta SET value = $2 WHERE key = 'epoch' AND value = $1 RETURNING value
     ), noted AS (
         INSERT INTO meta (key, value)
         SELECT k, v FROM changed, (VALUES ('history_server', $4::text), ('history_tables', $5::text)) AS t(k, v)
         WHERE v <> '' ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
     ), moved AS (
         SELECT setval(pg_get_serial_sequence('outbox', 'id')::regclass, ((GREATEST(
             COALESCE(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0), $3::bigint,
             (SELECT COALESCE(max(cursor), 0) FROM readers)) >> 32) + 1) << 32) AS id FROM changed
     )
     SELECT id FROM moved";

/// The state of the history at one moment.
#[derive(Clone, Debug)]
pub struct HistoryState {
    pub epoch: String,
    /// The newest log row. Its digest is empty if the log has no row.
    pub newest: RowDigest,
    /// The stream and the revision of that row. `None` if the log has no row.
    pub newest_stream_rev: Option<(Stream, Rev)>,
}

/// Reads the epoch and the newest log row.
pub async fn read_state(conn: &impl ConnectionTrait) -> Result<HistoryState, DbErr> {
    // Select the row by its id, so that both databases read no other row.
    let text = format!(
        "SELECT m.value AS epoch, {} FROM meta m
         LEFT JOIN outbox o ON o.id = (SELECT max(id) FROM outbox) WHERE m.key = 'epoch'",
        ROW_COLUMNS.split(", ").map(|column| format!("o.{column}")).collect::<Vec<_>>().join(", ")
    );
    let row = dialect::one(conn, dialect::plain(conn, &text, vec![])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the database has no epoch; a migration creates it".into()))?;
    let newest = match row.try_get::<Option<i64>>("", "id")? {
        Some(_) => RowDigest::from_row(&row)?,
        None => RowDigest { id: get_last_id(conn).await?, digest: String::new() },
    };
    let newest_stream_rev = match row.try_get::<Option<i64>>("", "rev")? {
        Some(rev) => {
            Some((Stream::from_columns(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?), Rev(rev)))
        }
        None => None,
    };
    Ok(HistoryState { epoch: row.try_get("", "epoch")?, newest, newest_stream_rev })
}

/// Returns whether an event that was seen in the log row `id` belongs to another history: the head of its stream is now
/// smaller, or its revision is in another row. If only the row is missing, retention has removed it.
pub async fn is_undone(conn: &impl ConnectionTrait, id: i64, stream: Stream, rev: Rev) -> Result<bool, DbErr> {
    let head = log::list_heads(conn, &[stream]).await?.first().map_or(Rev(0), |(_, last)| *last);
    let text = "SELECT id FROM outbox WHERE stream_kind = $1 AND stream_id = $2 AND rev = $3";
    let values = vec![stream.kind_number().into(), stream.id().into(), rev.into()];
    let row = dialect::one(conn, dialect::plain(conn, text, values)).await?;
    let found_id = row.map(|row| row.try_get::<i64>("", "id")).transpose()?;
    Ok(head < rev || found_id.is_some_and(|found_id| found_id != id))
}

/// Returns the digest of a log row. `None` if there is no such row.
pub async fn get_row_digest(conn: &impl ConnectionTrait, id: i64) -> Result<Option<RowDigest>, DbErr> {
    let statement = dialect::plain(conn, &format!("SELECT {ROW_COLUMNS} FROM outbox WHERE id = $1"), vec![id.into()]);
    dialect::one(conn, statement).await?.map(|row| RowDigest::from_row(&row)).transpose()
}

/// Returns the greatest id that the log ever assigned, 0 if it assigned none.
pub async fn get_last_id(conn: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let sqlite = "SELECT COALESCE(max(seq), 0) AS last FROM sqlite_sequence WHERE name = 'outbox'";
    let statement = dialect::statement(conn, LAST_ID_ON_POSTGRES, sqlite, vec![]);
    dialect::one(conn, statement).await?.map_or(Ok(0), |row| row.try_get("", "last"))
}

/// Returns a random name for a new epoch.
pub fn new_epoch() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Begins a new epoch, unless another node has ended the epoch `old` already, and sets the epoch of this process. New
/// log ids are greater than `above` and than all ids that were used before.
pub async fn change_epoch(db: &Db, old: &str, above: i64) -> Result<()> {
    let new = new_epoch();
    if db.backend() == DatabaseBackend::Postgres {
        let (conn, values) = (db.write()?, vec![old.into(), new.into(), above.into(), "".into(), "".into()]);
        dialect::one(conn, dialect::plain(conn, CHANGE_EPOCH_ON_POSTGRES, values)).await?;
    } else {
        let _turn = db.take_server_turn(ServerWriter::System).await;
        let tx = db.begin().await?;
        let text = "UPDATE meta SET value = $2 WHERE key = 'epoch' AND value = $1";
        let changed = dialect::run(&tx, dialect::plain(&tx, text, vec![old.into(), new.into()])).await?;
        if changed.rows_affected() == 1 {
            let base = ((get_last_id(&tx).await?.max(above) >> 32) + 1) << 32;
            dialect::run(&tx, dialect::plain(&tx, "DELETE FROM sqlite_sequence WHERE name = 'outbox'", vec![])).await?;
            let text = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', $1)";
            dialect::run(&tx, dialect::plain(&tx, text, vec![base.into()])).await?;
        }
        tx.commit().await?;
    }
    db.history().set_epoch(&meta::epoch(db.read(ReadPool::Log)).await?);
    Ok(())
}
