//! The statements of bulk changes: changes that are too large for one transaction and are done in steps.

use crate::domain::ids::BulkChangeId;
use crate::domain::time::Timestamp;
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr};

/// A bulk change whose next step is due.
#[derive(Clone, Debug)]
pub struct DueBulkChange {
    pub id: BulkChangeId,
    pub kind: String,
    /// JSON.
    pub argument: String,
    /// Where the next step begins; `None` before the first step.
    pub cursor: Option<String>,
    /// The number of failed attempts at the next step.
    pub attempts: i64,
}

/// Adds a bulk change, whose first step is due immediately.
pub async fn insert(
    conn: &impl ConnectionTrait,
    id: BulkChangeId,
    kind: &str,
    argument: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    let text = "INSERT INTO bulk_changes (id, kind, argument, next_at, created_at) VALUES ($1, $2, $3, $4, $4)";
    let values = vec![id.into(), kind.into(), argument.into(), now.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// Returns the bulk change of one of these kinds that is due for the longest time at `now`, without locking it.
pub async fn next_due(
    conn: &impl ConnectionTrait,
    kinds: &[String],
    now: Timestamp,
) -> Result<Option<DueBulkChange>, DbErr> {
    let mut values = dialect::rows(conn, vec![Column::Text(kinds.to_vec())]);
    values.push(now.into());
    let columns = "SELECT id, kind, argument, cursor, attempts FROM bulk_changes
                   WHERE status = 'running' AND next_at <= $2";
    let statement = dialect::statement(
        conn,
        &format!("{columns} AND kind = ANY ($1::text[]) ORDER BY next_at, id LIMIT 1"),
        &format!("{columns} AND kind IN (SELECT value ->> 0 FROM jsonb_each($1)) ORDER BY next_at, id LIMIT 1"),
        values,
    );
    let row = dialect::one(conn, statement).await?;
    row.map(|row| {
        Ok(DueBulkChange {
            id: BulkChangeId(row.try_get("", "id")?),
            kind: row.try_get("", "kind")?,
            argument: row.try_get("", "argument")?,
            cursor: row.try_get("", "cursor")?,
            attempts: row.try_get("", "attempts")?,
        })
    })
    .transpose()
}

/// Locks a bulk change until the transaction ends. Returns false if another transaction has locked it, or has done or
/// tried a step since it was read.
pub async fn lock(conn: &impl ConnectionTrait, due: &DueBulkChange) -> Result<bool, DbErr> {
    let text = "SELECT 1 AS found FROM bulk_changes WHERE id = $1 AND status = 'running' AND attempts = $2
                AND cursor IS NOT DISTINCT FROM $3";
    let statement = dialect::statement(
        conn,
        &format!("{text} {} SKIP LOCKED", dialect::lock_clause(conn, "bulk_changes")),
        text,
        vec![due.id.into(), due.attempts.into(), due.cursor.clone().into()],
    );
    Ok(dialect::one(conn, statement).await?.is_some())
}

/// Stores where the next step of a locked bulk change begins. It is due at `now`, behind the other bulk changes that
/// are due already.
pub async fn advance(conn: &impl ConnectionTrait, id: BulkChangeId, cursor: &str, now: Timestamp) -> Result<(), DbErr> {
    let text = "UPDATE bulk_changes SET cursor = $2, attempts = 0, next_at = $3, last_error = NULL WHERE id = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![id.into(), cursor.into(), now.into()])).await?;
    Ok(())
}

/// Removes a locked bulk change, because its last step is done.
pub async fn remove(conn: &impl ConnectionTrait, id: BulkChangeId) -> Result<(), DbErr> {
    let text = "DELETE FROM bulk_changes WHERE id = $1";
    dialect::run(conn, dialect::plain(conn, text, vec![id.into()])).await?;
    Ok(())
}

/// Stores a failure of the next step of a locked bulk change, with the number of failed attempts so far. If `given_up` is
/// true, the status becomes `failed`, and the step is not tried again until the operator sets the status to `running`.
pub async fn record_failure(
    conn: &impl ConnectionTrait,
    id: BulkChangeId,
    attempts: i64,
    next_at: Timestamp,
    error: &str,
    given_up: bool,
) -> Result<(), DbErr> {
    let status = if given_up { "failed" } else { "running" };
    let text = "UPDATE bulk_changes SET attempts = $2, next_at = $3, last_error = $4, status = $5 WHERE id = $1";
    let values = vec![id.into(), attempts.into(), next_at.into(), error.into(), status.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// The state of the unfinished bulk changes of one kind.
#[derive(Clone, Debug)]
pub struct KindState {
    pub kind: String,
    /// Whether the last attempt at a step of one of them failed.
    pub has_failed: bool,
    /// The time since which the next step of one of them is due, or when it is due. `None` if all were given up.
    pub due_since: Option<Timestamp>,
}

/// Lists the kinds of the unfinished bulk changes.
pub async fn list_kinds(conn: &impl ConnectionTrait) -> Result<Vec<KindState>, DbErr> {
    let text =
        "SELECT kind, count(last_error) AS failures, min(CASE WHEN status = 'running' THEN next_at END) AS due_since
                FROM bulk_changes GROUP BY kind";
    let rows = dialect::all(conn, dialect::plain(conn, text, vec![])).await?;
    rows.iter()
        .map(|row| {
            Ok(KindState {
                kind: row.try_get("", "kind")?,
                has_failed: row.try_get::<i64>("", "failures")? > 0,
                due_since: row.try_get::<Option<i64>>("", "due_since")?.map(Timestamp),
            })
        })
        .collect()
}
