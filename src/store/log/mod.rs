//! The statements of the log, which has one ordered sequence of events for each stream.
//!
//! Only `transact` appends rows. A row is rewritten only if it shows a message that is deleted.

pub mod floor;
pub mod pages;
pub mod parked;
pub mod readers;
pub mod retention;

use crate::domain::floor::LogSnapshot;
use crate::domain::ids::{MessageId, Rev, UserId};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::protocol::envelope::Envelope;
use crate::protocol::event_type::{EventType, StoredEventType};
use crate::protocol::events::Event;
use crate::store::bound_rows::RowsTemplate;
use crate::store::db::transaction::Transaction;
use crate::store::dialect::{self, Column};
use crate::store::table_write::TableWrite;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::HashMap;
use uuid::Uuid;

/// Returns the write that appends `events` in their order; `None` if there are none. The calling function has locked
/// their streams, and their revisions continue without a gap.
///
/// The transaction must have locked or written a row before. On PostgreSQL it then has its transaction id before it
/// draws a log id, as the [floor](crate::domain::floor) requires. An INSERT alone would draw the log id first.
pub fn append(events: &[Envelope], created_at: Timestamp) -> Option<TableWrite> {
    if events.is_empty() {
        return None;
    }
    let optional = |id: Option<MessageId>| id.map_or(Uuid::nil(), |id| id.0);
    let columns = vec![
        Column::Int(events.iter().map(|event| i64::from(event.stream.kind_number())).collect()),
        Column::Uuid(events.iter().map(|event| event.stream.id()).collect()),
        Column::Int(events.iter().map(|event| event.rev.0).collect()),
        Column::Text(events.iter().map(|event| event.event_type.as_str().to_owned()).collect()),
        Column::Uuid(events.iter().map(|event| optional(event.message_id)).collect()),
        Column::Uuid(events.iter().map(|event| optional(event.quoted_id)).collect()),
        Column::Text(events.iter().map(|event| event.text.to_string()).collect()),
    ];
    Some(TableWrite {
        postgres:
            "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
         SELECT k::smallint, s, r, e, NULLIF(m, '00000000-0000-0000-0000-000000000000'),
                NULLIF(q, '00000000-0000-0000-0000-000000000000'), p, $8::bigint
         FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::uuid[], $7::text[])
              WITH ORDINALITY AS t(k, s, r, e, m, q, p, n) ORDER BY n",
        sqlite: RowsTemplate::Table {
            text: "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload, created_at)
                   SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
            row: "($1, $2, $3, $4, $5, $6, $7, $8)",
        },
        columns,
        scalars: vec![created_at.into()],
    })
}

/// Appends one event to the streams of many users, each at its own revision. The text of each row is its
/// [`Event::frame_start`] and then `tail`, which is the same for all and is sent to the database once. The conditions
/// of [`append`] apply here too.
pub async fn append_to_users(
    conn: &impl ConnectionTrait,
    revs: &[(UserId, Rev)],
    event_type: EventType,
    tail: &str,
    created_at: Timestamp,
) -> Result<(), DbErr> {
    if revs.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Column::Uuid(revs.iter().map(|(user, _)| user.0).collect()),
        Column::Int(revs.iter().map(|(_, rev)| rev.0).collect()),
        Column::Text(revs.iter().map(|(user, rev)| Event::frame_start(Stream::User(*user), *rev)).collect()),
    ];
    let mut values = dialect::rows(conn, columns);
    values.extend([event_type.as_str().into(), tail.into(), created_at.into()]);
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

/// Lists at most `limit` events of a stream after the revision `after`, oldest first.
pub async fn list_after(
    conn: &impl ConnectionTrait,
    stream: Stream,
    after: Rev,
    limit: u64,
) -> Result<Vec<Envelope>, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT rev, event_type, message_id, quoted_id, payload FROM outbox
         WHERE stream_kind = $1 AND stream_id = $2 AND rev > $3 ORDER BY rev LIMIT $4",
        vec![stream.kind_number().into(), stream.id().into(), after.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| envelope(row, stream)).collect()
}

/// Lists the events of many streams, each of which is named once: of each at most `limit` events after its revision,
/// oldest first.
pub async fn list_after_each(
    conn: &impl ConnectionTrait,
    after: &[(Stream, Rev)],
    limit: u64,
) -> Result<HashMap<Stream, Vec<Envelope>>, DbErr> {
    let columns = vec![
        Column::Int(after.iter().map(|(stream, _)| i64::from(stream.kind_number())).collect()),
        Column::Uuid(after.iter().map(|(stream, _)| stream.id()).collect()),
        Column::Int(after.iter().map(|(_, rev)| rev.0).collect()),
    ];
    let mut values = dialect::rows(conn, columns);
    values.push((limit as i64).into());
    let statement = dialect::statement(
        conn,
        // The LIMIT of each stream makes PostgreSQL read the index once for each, however large it expects the sets to
        // be.
        "SELECT o.* FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]) AS t(k, s, r)
         CROSS JOIN LATERAL (
             SELECT stream_kind, stream_id, rev, event_type, message_id, quoted_id, payload FROM outbox
             WHERE stream_kind = t.k AND stream_id = t.s AND rev > t.r ORDER BY rev LIMIT $4
         ) AS o",
        // The revisions of a stream have no gap, so a range of them has at most as many events.
        "SELECT o.stream_kind, o.stream_id, o.rev, o.event_type, o.message_id, o.quoted_id, o.payload
         FROM jsonb_each($1) AS t CROSS JOIN outbox o
         WHERE o.stream_kind = t.value ->> 0 AND o.stream_id = unhex(t.value ->> 1)
           AND o.rev > t.value ->> 2 AND o.rev <= (t.value ->> 2) + $2",
        values,
    );
    let mut events: HashMap<Stream, Vec<Envelope>> = HashMap::new();
    for row in dialect::all(conn, statement).await? {
        let stream = Stream::from_columns(row.try_get("", "stream_kind")?, row.try_get("", "stream_id")?);
        events.entry(stream).or_default().push(envelope(&row, stream)?);
    }
    for events in events.values_mut() {
        events.sort_unstable_by_key(|event| event.rev);
    }
    Ok(events)
}

fn envelope(row: &QueryResult, stream: Stream) -> Result<Envelope, DbErr> {
    Ok(Envelope::from_stored(
        (stream, Rev(row.try_get("", "rev")?)),
        event_type(row)?,
        row.try_get::<Option<Uuid>>("", "message_id")?.map(MessageId),
        row.try_get::<Option<Uuid>>("", "quoted_id")?.map(MessageId),
        row.try_get("", "payload")?,
    ))
}

/// Reads the type of an event from its row.
pub(super) fn event_type(row: &QueryResult) -> Result<StoredEventType, DbErr> {
    Ok(row.try_get::<String>("", "event_type")?.into())
}

/// A log row that shows a message, as the database stores it.
#[derive(Clone, Debug)]
pub struct MessageLogRow {
    pub id: i64,
    pub stream: Stream,
    pub event_type: StoredEventType,
    /// The text of the frame.
    pub text: String,
}

/// How a log row shows a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShownAs {
    /// The event is about the message.
    Message,
    /// The event contains a quote of the message.
    Quote,
}

/// Lists at most `limit` ids of log rows that show a message in this way, ascending. All are greater than `after`.
pub async fn list_ids_showing(
    conn: &impl ConnectionTrait,
    message: MessageId,
    shown_as: ShownAs,
    after: i64,
    limit: usize,
) -> Result<Vec<i64>, DbErr> {
    let column = match shown_as {
        ShownAs::Message => "message_id",
        ShownAs::Quote => "quoted_id",
    };
    let statement = dialect::statement(
        conn,
        // Do not write `{column} = $1` here: PostgreSQL would then sort by `id` alone and scan the primary key instead
        // of the index on `({column}, id)`.
        &format!(
            "SELECT id FROM outbox WHERE ({column}, id) > ($1, $2) AND {column} <= $1 ORDER BY {column}, id LIMIT $3"
        ),
        &format!("SELECT id FROM outbox WHERE {column} = $1 AND id > $2 ORDER BY id LIMIT $3"),
        vec![message.into(), after.into(), (limit as i64).into()],
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| row.try_get("", "id")).collect()
}

/// Locks those of these log rows that still exist, and returns them. Every transaction locks log rows in the order of
/// their ids, so that two of them do not deadlock.
pub async fn lock_rows(conn: &impl ConnectionTrait, ids: &[i64]) -> Result<Vec<MessageLogRow>, DbErr> {
    let text = "SELECT id, stream_kind, stream_id, event_type, payload FROM outbox WHERE id";
    let statement = dialect::statement(
        conn,
        &format!("{text} = ANY ($1::bigint[]) ORDER BY id {}", dialect::lock_clause(conn, "outbox")),
        &format!("{text} IN (SELECT value ->> 0 FROM jsonb_each($1)) ORDER BY id"),
        dialect::rows(conn, vec![Column::Int(ids.to_vec())]),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            Ok(MessageLogRow {
                id: row.try_get("", "id")?,
                stream: Stream::from_columns(row.try_get::<i16>("", "stream_kind")?, row.try_get("", "stream_id")?),
                event_type: event_type(row)?,
                text: row.try_get("", "payload")?,
            })
        })
        .collect()
}

/// Replaces the texts of rows that this transaction has locked with [`lock_rows`], because a message in them is deleted
/// for everyone. A log row never changes in another way.
pub async fn rewrite_rows(conn: &Transaction, rows: Vec<(i64, String)>) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    conn.mark_text_deleted();
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

/// Returns those streams of which the log no longer has the next event after the given revision.
pub async fn list_truncated(conn: &impl ConnectionTrait, revs: &[(Stream, Rev)]) -> Result<Vec<Stream>, DbErr> {
    if revs.is_empty() {
        return Ok(Vec::new());
    }
    let columns = vec![
        Column::Int(revs.iter().map(|(stream, _)| i64::from(stream.kind_number())).collect()),
        Column::Uuid(revs.iter().map(|(stream, _)| stream.id()).collect()),
        Column::Int(revs.iter().map(|(_, rev)| rev.0 + 1).collect()),
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
    rows.iter()
        .map(|row| Ok(Stream::from_columns(row.try_get::<i64>("", "k")? as i16, row.try_get("", "s")?)))
        .collect()
}

/// What one read of the newest rows of the log found.
pub struct LogTail {
    /// The newest revision of each stream that has rows in the read part.
    pub heads: Vec<(Stream, Rev)>,
    /// The values with which the floor is updated.
    pub snapshot: LogSnapshot,
}

/// Reads the log rows with an id above `floor`, and returns the newest revision of each stream in them.
pub async fn read_tail(conn: &impl ConnectionTrait, floor: i64) -> Result<LogTail, DbErr> {
    let statement = dialect::statement(
        conn,
        // The result has at least one row, so that it contains `xmin` even if there are no new log rows.
        "WITH grown AS (SELECT stream_kind, stream_id, max(rev) AS rev, max(id) AS id FROM outbox WHERE id > $1
                        GROUP BY stream_kind, stream_id)
         SELECT seen.xmin, grown.* FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin) AS seen
         LEFT JOIN grown ON TRUE",
        // The signs keep SQLite from reading a whole index in the order of the groups.
        "SELECT stream_kind, stream_id, max(rev) AS rev, max(id) AS id FROM outbox WHERE id > $1
         GROUP BY +stream_kind, +stream_id",
        vec![floor.into()],
    );
    let rows = dialect::all(conn, statement).await?;
    let mut tail = LogTail { heads: Vec::with_capacity(rows.len()), snapshot: LogSnapshot { xmin: None, newest: 0 } };
    for row in &rows {
        if dialect::is_postgres(conn) {
            tail.snapshot.xmin = Some(row.try_get("", "xmin")?);
        }
        let Some(id) = row.try_get::<Option<i64>>("", "id")? else { continue };
        let stream = Stream::from_columns(row.try_get::<i16>("", "stream_kind")?, row.try_get("", "stream_id")?);
        tail.heads.push((stream, Rev(row.try_get("", "rev")?)));
        tail.snapshot.newest = tail.snapshot.newest.max(id);
    }
    Ok(tail)
}

/// Returns the head of each of these streams. Streams that do not exist are left out.
pub async fn list_heads(conn: &impl ConnectionTrait, streams: &[Stream]) -> Result<Vec<(Stream, Rev)>, DbErr> {
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.id()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let text = "SELECT 0 AS kind, id, last_rev FROM conversations WHERE id IN ({set})
                UNION ALL SELECT 1 AS kind, id, last_rev FROM users WHERE id IN ({set})";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![])).await?;
    rows.iter()
        .map(|row| {
            let stream = Stream::from_columns(row.try_get::<i32>("", "kind")? as i16, row.try_get("", "id")?);
            Ok((stream, Rev(row.try_get("", "last_rev")?)))
        })
        .collect()
}
