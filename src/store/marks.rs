//! The statements of read and delivered marks. Those of the marks writer lock rows with SKIP LOCKED, so they never wait
//! for another transaction. The writer of sends, which moves the marks of senders, may wait for them, and for no
//! others.

use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::marks::ReadMark;
use crate::store::bound_rows::RowsTemplate;
use crate::store::dialect::{self, ABSENT, Column};
use crate::store::messages::hidden;
use crate::store::table_write::TableWrite;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashSet;

/// The new marks of one participant. `None` leaves a mark unchanged.
#[derive(Clone, Copy, Debug)]
pub struct MarkUpdate {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub read: Option<Seq>,
    pub delivered: Option<Seq>,
}

/// The marks of a participant after an update, with what is needed to compare them with the marks before.
#[derive(Clone, Copy, Debug)]
pub struct UpdatedMarks {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub last_read_seq: Seq,
    pub delivered_seq: Seq,
    /// Whether the user lets other users see the read mark.
    pub shares_receipts: bool,
    /// Whether the conversation has at most [`limits::STATUS_MEMBERS`] members. In larger ones nobody is notified of
    /// marks.
    pub notifies_others: bool,
    old_read: Seq,
    old_delivered: Seq,
    /// Running counts of messages, without system messages: at the old read mark, at the new one, and at the last
    /// message.
    old_count: i64,
    new_count: i64,
    last_count: i64,
    /// The numbers of hidden messages after the old and after the new read mark. Only messages that count as unread.
    old_hidden: i64,
    new_hidden: i64,
}

impl UpdatedMarks {
    /// Returns the answer to `message.read`.
    pub fn read_mark(&self) -> ReadMark {
        ReadMark {
            last_read_seq: self.last_read_seq,
            unread_count: (self.last_count - self.new_count - self.new_hidden).max(0),
            newly_read_count: (self.new_count - self.old_count - (self.old_hidden - self.new_hidden)).max(0),
        }
    }

    /// Returns the same marks, compared with the read mark `earlier`, from which a send moved it. `None` changes
    /// nothing.
    #[must_use]
    pub fn with_earlier_read(self, earlier: Option<Seq>) -> Self {
        Self { old_read: earlier.map_or(self.old_read, |earlier| earlier.min(self.old_read)), ..self }
    }

    /// Returns true if the read mark changed.
    pub fn read_moved(&self) -> bool {
        self.last_read_seq > self.old_read
    }

    /// Returns true if one of the marks changed.
    pub fn has_moved(&self) -> bool {
        self.read_moved() || self.delivered_moved()
    }

    /// Returns the number of messages up to the read mark, without system messages.
    pub fn last_read_count(&self) -> i64 {
        self.new_count
    }

    /// Returns true if the delivered mark changed.
    pub fn delivered_moved(&self) -> bool {
        self.delivered_seq > self.old_delivered
    }
}

fn columns(updates: &[MarkUpdate]) -> Vec<Column> {
    let number = |seq: Option<Seq>| seq.map_or(ABSENT, |seq| seq.0);
    vec![
        Column::Uuid(updates.iter().map(|mark| mark.conversation_id.0).collect()),
        Column::Uuid(updates.iter().map(|mark| mark.user_id.0).collect()),
        Column::Int(updates.iter().map(|mark| number(mark.read)).collect()),
        Column::Int(updates.iter().map(|mark| number(mark.delivered)).collect()),
    ]
}

/// Updates marks and returns the participants whose row was not locked by another transaction. A mark beyond the last
/// message means the last message. Marks never move back.
pub async fn update(
    conn: &impl ConnectionTrait,
    updates: &[MarkUpdate],
    now: Timestamp,
) -> Result<Vec<UpdatedMarks>, DbErr> {
    let marks = compute(conn, updates, "FOR NO KEY UPDATE SKIP LOCKED").await?;
    let changed: Vec<&UpdatedMarks> = marks.iter().filter(|mark| mark.has_moved()).collect();
    if changed.is_empty() {
        return Ok(marks);
    }
    let mut values = dialect::rows(
        conn,
        vec![
            Column::Uuid(changed.iter().map(|mark| mark.conversation_id.0).collect()),
            Column::Uuid(changed.iter().map(|mark| mark.user_id.0).collect()),
            Column::Int(changed.iter().map(|mark| mark.last_read_seq.0).collect()),
            Column::Int(changed.iter().map(|mark| mark.new_count).collect()),
            Column::Int(changed.iter().map(|mark| mark.delivered_seq.0).collect()),
        ],
    );
    values.push(now.into());
    let statement = dialect::statement(
        conn,
        "UPDATE participants p SET last_read_seq = t.r, last_read_count = t.n, delivered_seq = t.d,
                read_at = CASE WHEN t.r > p.last_read_seq THEN $6 ELSE p.read_at END,
                delivered_at = CASE WHEN t.d > p.delivered_seq THEN $6 ELSE p.delivered_at END
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) AS t(c, u, r, n, d)
         WHERE p.conversation_id = t.c AND p.user_id = t.u",
        "UPDATE participants SET last_read_seq = t.value ->> 2, last_read_count = t.value ->> 3,
                delivered_seq = t.value ->> 4,
                read_at = CASE WHEN t.value ->> 2 > last_read_seq THEN $2 ELSE read_at END,
                delivered_at = CASE WHEN t.value ->> 4 > delivered_seq THEN $2 ELSE delivered_at END
         FROM jsonb_each($1) AS t
         WHERE conversation_id = unhex(t.value ->> 0) AND user_id = unhex(t.value ->> 1)",
        values,
    );
    dialect::run(conn, statement).await?;
    Ok(marks)
}

/// Returns the present marks of these participants. It updates and locks nothing.
pub async fn list_current(
    conn: &impl ConnectionTrait,
    participants: impl IntoIterator<Item = (ConversationId, UserId)>,
) -> Result<Vec<UpdatedMarks>, DbErr> {
    let unchanged = |(conversation_id, user_id)| MarkUpdate { conversation_id, user_id, read: None, delivered: None };
    let updates: Vec<MarkUpdate> = participants.into_iter().map(unchanged).collect();
    compute(conn, &updates, "").await
}

/// Reads the rows of participants with the clause `lock` and returns the marks as they will be after the update.
async fn compute(conn: &impl ConnectionTrait, updates: &[MarkUpdate], lock: &str) -> Result<Vec<UpdatedMarks>, DbErr> {
    const COLUMNS: &str =
        "p.conversation_id, p.user_id, p.last_read_seq, p.last_read_count, p.delivered_seq, c.last_seq, c.last_count,
            c.member_count, u.share_read_receipts";
    let old_hidden = hidden::unread_count_query("p.last_read_seq");
    // LIMIT keeps PostgreSQL from joining whole tables with a plan that it made when they were small, and the order by
    // `seq`, which is no equality, from finding the message by another index.
    let postgres = format!(
        "SELECT {COLUMNS}, t.r, t.d, {old_hidden} AS old_hidden, {} AS new_hidden,
                (SELECT m.count FROM messages m
                 WHERE m.conversation_id = t.c AND m.seq >= LEAST(t.r, c.last_seq) AND m.seq <= LEAST(t.r, c.last_seq)
                 ORDER BY m.seq LIMIT 1) AS target_count
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(c, u, r, d)
         CROSS JOIN LATERAL (
             SELECT * FROM participants WHERE conversation_id = t.c AND user_id = t.u AND left_at IS NULL LIMIT 1 {lock}
         ) p
         CROSS JOIN LATERAL (SELECT * FROM conversations WHERE id = t.c AND deleted_at IS NULL LIMIT 1) c
         CROSS JOIN LATERAL (SELECT share_read_receipts FROM users WHERE id = t.u LIMIT 1) u",
        hidden::unread_count_query("GREATEST(p.last_read_seq, LEAST(t.r, c.last_seq))")
    );
    let sqlite = format!(
        "SELECT {COLUMNS}, CAST(t.value ->> 2 AS INTEGER) AS r, CAST(t.value ->> 3 AS INTEGER) AS d,
                {old_hidden} AS old_hidden, {} AS new_hidden,
                (SELECT m.count FROM messages m
                 WHERE m.conversation_id = c.id AND m.seq = min(t.value ->> 2, c.last_seq)) AS target_count
         FROM jsonb_each($1) AS t
         CROSS JOIN participants p ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = unhex(t.value ->> 1)
                                  AND p.left_at IS NULL
         CROSS JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         CROSS JOIN users u ON u.id = p.user_id",
        hidden::unread_count_query("max(p.last_read_seq, min(t.value ->> 2, c.last_seq))")
    );
    let statement = dialect::statement(conn, &postgres, &sqlite, dialect::rows(conn, columns(updates)));
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let number = |name: &str| row.try_get::<i64>("", name);
            let (last_seq, old_read, old_count) =
                (number("last_seq")?, number("last_read_seq")?, number("last_read_count")?);
            let (old_delivered, members) = (number("delivered_seq")?, number("member_count")?);
            let new_read = number("r")?.min(last_seq);
            // This is the running count at the message with the new mark.
            let target_count: Option<i64> = row.try_get("", "target_count")?;
            let moves = new_read > old_read;
            let notifies_others = members <= limits::STATUS_MEMBERS;
            let delivered = if notifies_others { number("d")?.min(last_seq).max(old_delivered) } else { old_delivered };
            Ok(UpdatedMarks {
                conversation_id: ConversationId(row.try_get("", "conversation_id")?),
                user_id: UserId(row.try_get("", "user_id")?),
                last_read_seq: Seq(if moves { new_read } else { old_read }),
                delivered_seq: Seq(delivered),
                shares_receipts: row.try_get("", "share_read_receipts")?,
                notifies_others,
                old_read: Seq(old_read),
                old_delivered: Seq(old_delivered),
                old_count,
                new_count: if moves { target_count.unwrap_or(old_count) } else { old_count },
                last_count: number("last_count")?,
                old_hidden: number("old_hidden")?,
                new_hidden: number("new_hidden")?,
            })
        })
        .collect()
}

/// Returns those of these participants that exist, also those whose row is locked.
pub async fn list_existing(
    conn: &impl ConnectionTrait,
    updates: &[MarkUpdate],
) -> Result<HashSet<(ConversationId, UserId)>, DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT p.conversation_id, p.user_id
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(c, u, r, d)
         CROSS JOIN LATERAL (
             SELECT * FROM participants WHERE conversation_id = t.c AND user_id = t.u AND left_at IS NULL LIMIT 1
         ) p
         CROSS JOIN LATERAL (SELECT 1 FROM conversations WHERE id = t.c AND deleted_at IS NULL LIMIT 1) c",
        "SELECT p.conversation_id, p.user_id FROM jsonb_each($1) AS t
         CROSS JOIN participants p ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = unhex(t.value ->> 1)
                                  AND p.left_at IS NULL
         CROSS JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL",
        dialect::rows(conn, columns(updates)),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| Ok((ConversationId(row.try_get("", "conversation_id")?), UserId(row.try_get("", "user_id")?))))
        .collect()
}

/// The read mark of a user who has just sent a message.
#[derive(Clone, Copy, Debug)]
pub struct SenderMark {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    /// The `seq` of the message.
    pub last_read_seq: Seq,
    /// The number of messages up to it, without system messages.
    pub last_read_count: i64,
}

/// Returns the write that moves the read mark of each sender to the message that the sender just sent; `None` if there
/// are none. Rows are locked in any order. No deadlock follows: another transaction that waits for marks of participants
/// has locked their conversation, and the marks writer waits for no lock.
pub fn update_sender_marks(marks: &[SenderMark], now: Timestamp) -> Option<TableWrite> {
    if marks.is_empty() {
        return None;
    }
    let columns = vec![
        Column::Uuid(marks.iter().map(|mark| mark.conversation_id.0).collect()),
        Column::Uuid(marks.iter().map(|mark| mark.user_id.0).collect()),
        Column::Int(marks.iter().map(|mark| mark.last_read_seq.0).collect()),
        Column::Int(marks.iter().map(|mark| mark.last_read_count).collect()),
    ];
    Some(TableWrite {
        postgres: "UPDATE participants p SET last_read_seq = t.s, last_read_count = t.n, read_at = $5
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(c, u, s, n)
             WHERE p.conversation_id = t.c AND p.user_id = t.u AND p.last_read_seq < t.s",
        sqlite: RowsTemplate::Update {
            one: "UPDATE participants SET last_read_seq = $3, last_read_count = $4, read_at = $5
                  WHERE conversation_id = $1 AND user_id = $2 AND last_read_seq < $3",
            text: "UPDATE participants SET last_read_seq = t.column3, last_read_count = t.column4, read_at = t.column5
                   FROM (VALUES {rows}) AS t
                   WHERE conversation_id = t.column1 AND user_id = t.column2 AND last_read_seq < t.column3",
            row: "($1, $2, $3, $4, $5)",
        },
        columns,
        scalars: vec![now.into()],
    })
}
