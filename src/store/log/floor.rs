//! The statements that raise the [floor](crate::domain::floor) of the log.

use crate::domain::floor::{LogSnapshot, TickCondition};
use crate::domain::time::Timestamp;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashSet;

/// What one statement about the end of the log found.
#[derive(Clone, Debug)]
pub struct FloorRead {
    /// The values with which the floor is updated. `newest` is the greatest visible id of the log, 0 if it has no rows.
    pub snapshot: LogSnapshot,
    /// The transaction id of the tick that the statement took, if its condition was met.
    pub tick_xid: Option<i64>,
}

/// Reads the end of the log, and takes a tick if the condition is met; each tick uses up a transaction id. One
/// statement does both, so that the floor can follow a growing log with one statement for each tick.
pub async fn read_floor(conn: &impl ConnectionTrait, condition: TickCondition) -> Result<FloorRead, DbErr> {
    let is_postgres = dialect::is_postgres(conn);
    let statement = if is_postgres {
        // The snapshot of the statement is older than the transaction id that the statement takes. OFFSET keeps
        // PostgreSQL from computing the subquery once for each use of its columns.
        dialect::plain(
            conn,
            "SELECT newest, xmin,
                    CASE WHEN newest > $1 AND xmin >= $2 THEN pg_current_xact_id()::text::bigint END AS tick_xid
             FROM (SELECT COALESCE((SELECT max(id) FROM outbox), 0) AS newest,
                          pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin OFFSET 0) AS log_end",
            vec![condition.above_id.into(), condition.min_xmin.into()],
        )
    } else {
        dialect::plain(conn, "SELECT COALESCE(max(id), 0) AS newest FROM outbox", vec![])
    };
    let row = dialect::one(conn, statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("an aggregate".to_owned()))?;
    let newest = row.try_get("", "newest")?;
    let (xmin, tick_xid) =
        if is_postgres { (Some(row.try_get("", "xmin")?), row.try_get("", "tick_xid")?) } else { (None, None) };
    Ok(FloorRead { snapshot: LogSnapshot { xmin, newest }, tick_xid })
}

/// Returns the greatest visible id of the log, 0 if the log has no rows. The statement reads one entry of an index, so
/// that it can run often.
pub async fn get_newest_id(conn: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let text = "SELECT COALESCE(max(id), 0) AS newest FROM outbox";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![])).await?;
    row.map_or(Ok(0), |row| row.try_get("", "newest"))
}

/// Returns when the first row after the id `floor` was appended. `None` if there is no such row.
pub async fn get_oldest_time_above(conn: &impl ConnectionTrait, floor: i64) -> Result<Option<Timestamp>, DbErr> {
    let text = "SELECT created_at FROM outbox WHERE id > $1 ORDER BY id LIMIT 1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![floor.into()])).await?;
    row.map(|row| Ok(Timestamp(row.try_get("", "created_at")?))).transpose()
}

/// Returns whether the database assigns log ids one by one in the order of time, as the [floor](crate::domain::floor)
/// requires. On PostgreSQL a sequence with a `CACHE` above 1 assigns a range of ids to each connection instead.
pub async fn assigns_ids_in_order(conn: &impl ConnectionTrait) -> Result<bool, DbErr> {
    if !dialect::is_postgres(conn) {
        return Ok(true);
    }
    let text = "SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('outbox', 'id')::regclass";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![])).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get::<i64>("", "seqcache")? == 1))
}

/// Returns the names of the PostgreSQL transactions that have written to the log and have not ended. A COMMIT that
/// waits for a standby has not ended.
pub async fn list_open_transactions(conn: &impl ConnectionTrait) -> Result<HashSet<String>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT virtualtransaction AS name FROM pg_locks
         WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = 'outbox'::regclass
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        vec![],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}
