//! The log: one ordered sequence of events a stream, and all SQL about it. Rows are appended by `transact` alone, and
//! rewritten only where they show a message that is deleted.

use super::dialect::{self, Column};
use super::transaction::Transaction;
use crate::domain::floor::Look;
use crate::domain::ids::{MessageId, Rev, UserId};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::protocol::events::{Effect, Event, Frame};
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashSet;
use uuid::Uuid;

/// An event about to be appended.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where.
    pub stream: Stream,
    /// What delivery gets once it is committed; its text is what the log keeps.
    pub frame: Frame,
    /// Its type.
    pub event_type: &'static str,
    /// When.
    pub created_at: Timestamp,
}

/// Appends `rows` in their order. Their streams are locked and their revisions follow without a gap.
///
/// This transaction has locked or written a row before: on PostgreSQL it then has its transaction id before it draws an
/// id of the log, on which the log's [floor](crate::domain::floor) rests. An INSERT alone would draw the id first.
pub async fn append(conn: &impl ConnectionTrait, rows: &[Row]) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let optional = |id: Option<MessageId>| id.map_or(Uuid::nil(), |id| id.0);
    let columns = vec![
        Column::Int(rows.iter().map(|row| i64::from(row.stream.kind())).collect()),
        Column::Uuid(rows.iter().map(|row| row.stream.id()).collect()),
        Column::Int(rows.iter().map(|row| row.frame.rev.0).collect()),
        Column::Text(rows.iter().map(|row| row.event_type.to_owned()).collect()),
        Column::Uuid(rows.iter().map(|row| optional(row.frame.message_id)).collect()),
        Column::Uuid(rows.iter().map(|row| optional(row.frame.quoted_id)).collect()),
        Column::Text(rows.iter().map(|row| row.frame.text.to_string()).collect()),
        Column::Int(rows.iter().map(|row| row.created_at.0).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
         SELECT k::smallint, s, r, e, NULLIF(m, '00000000-0000-0000-0000-000000000000'),
                NULLIF(q, '00000000-0000-0000-0000-000000000000'), p, c
         FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::bigint[])
              WITH ORDINALITY AS t(k, s, r, e, m, q, p, c, n) ORDER BY n",
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
         SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3,
                NULLIF(unhex(value ->> 4), zeroblob(16)), NULLIF(unhex(value ->> 5), zeroblob(16)),
                value ->> 6, value ->> 7
         FROM jsonb_each($1) ORDER BY key",
        dialect::rows(conn, columns),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Appends one event to the streams of many users, each at its revision: the text of each is its head
/// ([`Event::head`](crate::protocol::events::Event::head)) and then `tail`, which is the same for all and travels once. What
/// holds for [`append`] holds here.
pub async fn append_same(
    conn: &impl ConnectionTrait,
    revs: &[(UserId, Rev)],
    event_type: &str,
    tail: &str,
    created_at: Timestamp,
) -> Result<(), DbErr> {
    if revs.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(revs.iter().map(|(user, _)| user.0).collect()),
        Column::Int(revs.iter().map(|(_, rev)| rev.0).collect()),
        Column::Text(revs.iter().map(|(user, rev)| Event::head(Stream::User(*user), *rev)).collect()),
    ];
    let mut values = dialect::rows(conn, columns);
    values.extend([event_type.into(), tail.into(), created_at.into()]);
    let statement = dialect::statement(
        conn,
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         SELECT 1::smallint, s, r, $4::text, h || $5::text, $6::bigint
         FROM unnest($1::uuid[], $2::bigint[], $3::text[]) WITH ORDINALITY AS t(s, r, h, n) ORDER BY n",
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         SELECT 1, unhex(value ->> 0), value ->> 1, $2, (value ->> 2) || $3, $4 FROM jsonb_each($1) ORDER BY key",
        values,
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// The events of `stream` after `after`, oldest first, at most `limit`.
pub async fn since(conn: &impl ConnectionTrait, stream: Stream, after: Rev, limit: u64) -> Result<Vec<Frame>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT rev, event_type, message_id, quoted_id, payload FROM outbox
         WHERE stream_kind = $1 AND stream_id = $2 AND rev > $3 ORDER BY rev LIMIT $4",
        vec![stream.kind().into(), stream.id().into(), after.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let event_type: String = row.try_get("", "event_type")?;
            let text: String = row.try_get("", "payload")?;
            Ok(Frame {
                rev: Rev(row.try_get("", "rev")?),
                effect: Effect::from_stored(&event_type, &text),
                text: text.into(),
                message_id: row.try_get::<Option<Uuid>>("", "message_id")?.map(MessageId),
                quoted_id: row.try_get::<Option<Uuid>>("", "quoted_id")?.map(MessageId),
            })
        })
        .collect()
}

/// A row that shows a message, as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its id.
    pub id: i64,
    /// Where.
    pub stream: Stream,
    /// Its type.
    pub event_type: String,
    /// What clients get.
    pub text: String,
}

/// How a row shows a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shows {
    /// Itself.
    Itself,
    /// Quoted by another.
    Quoted,
}

/// The ids above `after` of rows that show a message in this way, ascending, at most `limit`.
pub async fn showing(
    conn: &impl ConnectionTrait,
    message: MessageId,
    shows: Shows,
    after: i64,
    limit: usize,
) -> Result<Vec<i64>, DbErr> {
    let column = match shows {
        Shows::Itself => "message_id",
        Shows::Quoted => "quoted_id",
    };
    let statement = dialect::statement(
        conn,
        // not `=`: with it the order would be that of the primary key, which PostgreSQL would walk for the few it may stop after
        &format!(
            "SELECT id FROM outbox WHERE ({column}, id) > ($1, $2) AND {column} <= $1 ORDER BY {column}, id LIMIT $3"
        ),
        &format!("SELECT id FROM outbox WHERE {column} = $1 AND id > $2 ORDER BY id LIMIT $3"),
        vec![message.into(), after.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| row.try_get("", "id")).collect()
}

/// The rows of `ids` that are still there, locked in the order of their ids, which is the order of all who lock any.
pub async fn locked(conn: &impl ConnectionTrait, ids: &[i64]) -> Result<Vec<Kept>, DbErr> {
    let text = "SELECT id, stream_kind, stream_id, event_type, payload FROM outbox WHERE id";
    let statement = dialect::statement(
        conn,
        &format!("{text} = ANY ($1::bigint[]) ORDER BY id {}", dialect::lock(conn, "outbox")),
        &format!("{text} IN (SELECT value ->> 0 FROM jsonb_each($1)) ORDER BY id"),
        dialect::rows(conn, vec![Column::Int(ids.to_vec())]),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            Ok(Kept {
                id: row.try_get("", "id")?,
                stream: Stream::from_parts(row.try_get::<i16>("", "stream_kind")?, row.try_get("", "stream_id")?),
                event_type: row.try_get("", "event_type")?,
                text: row.try_get("", "payload")?,
            })
        })
        .collect()
}

/// Gives rows that this transaction has [`locked`] another text, without words that were deleted for everyone. The only
/// change a row of the log ever sees beside its `position`.
pub async fn rewrite(conn: &Transaction, rows: Vec<(i64, String)>) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    conn.deletes_text();
    let (ids, texts) = rows.into_iter().unzip();
    let statement = dialect::statement(
        conn,
        "UPDATE outbox o SET payload = t.p FROM unnest($1::bigint[], $2::text[]) AS t(i, p) WHERE o.id = t.i",
        "UPDATE outbox SET payload = t.value ->> 1 FROM jsonb_each($1) AS t WHERE outbox.id = t.value ->> 0",
        dialect::rows(conn, vec![Column::Int(ids), Column::Text(texts)]),
    );
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Of `wanted` (a stream and the revision a reader stands at), those whose next revision the log no longer holds.
pub async fn out_of_reach(conn: &impl ConnectionTrait, wanted: &[(Stream, Rev)]) -> Result<Vec<Stream>, DbErr> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let columns = vec![
        Column::Int(wanted.iter().map(|(stream, _)| i64::from(stream.kind())).collect()),
        Column::Uuid(wanted.iter().map(|(stream, _)| stream.id()).collect()),
        Column::Int(wanted.iter().map(|(_, rev)| rev.0 + 1).collect()),
    ];
    let statement = dialect::statement(
        conn,
        "SELECT t.k, t.s FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]) AS t(k, s, r)
         WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.stream_kind = t.k AND o.stream_id = t.s AND o.rev = t.r)",
        "SELECT CAST(t.value ->> 0 AS INTEGER) AS k, unhex(t.value ->> 1) AS s FROM jsonb_each($1) AS t
         WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.stream_kind = t.value ->> 0
                           AND o.stream_id = unhex(t.value ->> 1) AND o.rev = t.value ->> 2)",
        dialect::rows(conn, columns),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok(Stream::from_parts(row.try_get::<i64>("", "k")? as i16, row.try_get("", "s")?))).collect()
}

/// What a tail of the log saw.
pub struct Tail {
    /// The newest revision of each stream that grew.
    pub grown: Vec<(Stream, Rev)>,
    /// What the floor learns from it.
    pub look: Look,
}

/// Which streams grew in rows with an id above `floor`.
pub async fn tail(conn: &impl ConnectionTrait, floor: i64) -> Result<Tail, DbErr> {
    let statement = dialect::statement(
        conn,
        // one row at least, so that the snapshot is told also when nothing grew
        "WITH grown AS (SELECT stream_kind, stream_id, max(rev) AS rev, max(id) AS id FROM outbox WHERE id > $1
                        GROUP BY stream_kind, stream_id)
         SELECT seen.xmin, grown.* FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin) AS seen
         LEFT JOIN grown ON TRUE",
        "SELECT stream_kind, stream_id, max(rev) AS rev, max(id) AS id FROM outbox WHERE id > $1
         GROUP BY stream_kind, stream_id",
        vec![floor.into()],
    );
    let rows = dialect::all(conn, statement).await?;
    let mut tail = Tail { grown: Vec::with_capacity(rows.len()), look: Look { xmin: None, newest: 0 } };
    for row in &rows {
        if dialect::is_postgres(conn) {
            tail.look.xmin = Some(row.try_get("", "xmin")?);
        }
        let Some(id) = row.try_get::<Option<i64>>("", "id")? else { continue };
        let stream = Stream::from_parts(row.try_get::<i16>("", "stream_kind")?, row.try_get("", "stream_id")?);
        tail.grown.push((stream, Rev(row.try_get("", "rev")?)));
        tail.look.newest = tail.look.newest.max(id);
    }
    Ok(tail)
}

/// A tick of the log's [floor](crate::domain::floor): the greatest id that can be seen, 0 in a log that has none, and the
/// transaction id that the statement is given after its snapshot; on SQLite there is none. On PostgreSQL each call uses up
/// a transaction id, so nobody calls it who has nothing to wait for.
pub async fn tick(conn: &impl ConnectionTrait) -> Result<(i64, Option<i64>), DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT (SELECT max(id) FROM outbox) AS newest, pg_current_xact_id()::text::bigint AS xid",
        "SELECT max(id) AS newest, NULL AS xid FROM outbox",
        vec![],
    );
    let Some(row) = dialect::one(conn, statement).await? else { return Ok((0, None)) };
    let xid = if dialect::is_postgres(conn) { Some(row.try_get("", "xid")?) } else { None };
    Ok((row.try_get::<Option<i64>>("", "newest")?.unwrap_or(0), xid))
}

/// Whether the log's ids are drawn one by one, in the order of time, on which its [floor](crate::domain::floor) rests. On
/// PostgreSQL a sequence with a larger `CACHE` hands each connection a range of its own.
pub async fn draws_ids_one_by_one(conn: &impl ConnectionTrait) -> Result<bool, DbErr> {
    if !dialect::is_postgres(conn) {
        return Ok(true);
    }
    let text = "SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('outbox', 'id')::regclass";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![])).await?;
    row.map_or(Ok(false), |row| Ok(row.try_get::<i64>("", "seqcache")? == 1))
}

/// The transactions on PostgreSQL that have written to the log and have not ended, by name. A COMMIT that waits for a
/// standby has not ended.
pub async fn writers(conn: &impl ConnectionTrait) -> Result<HashSet<String>, DbErr> {
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

/// How far each of `streams` reaches now; those that are gone are left out.
pub async fn heads(conn: &impl ConnectionTrait, streams: &[Stream]) -> Result<Vec<(Stream, Rev)>, DbErr> {
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.id()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let text = "SELECT 0 AS kind, id, last_rev FROM conversations WHERE id IN ({set})
                UNION ALL SELECT 1 AS kind, id, last_rev FROM users WHERE id IN ({set})";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![])).await?;
    rows.iter()
        .map(|row| {
            let stream = Stream::from_parts(row.try_get::<i32>("", "kind")? as i16, row.try_get("", "id")?);
            Ok((stream, Rev(row.try_get("", "last_rev")?)))
        })
        .collect()
}
