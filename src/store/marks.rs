//! The statements behind read and delivered marks. They take their rows with SKIP LOCKED, so they wait for nobody; the
//! writer of sends may wait for them, and for nothing else.

use super::dialect::{self, ABSENT, Column};
use super::hidden;
use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::limits;
use crate::domain::time::Timestamp;
use crate::protocol::resources::ReadMark;
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashSet;

/// Marks wanted of one participant.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Where.
    pub conversation_id: ConversationId,
    /// Whose.
    pub user_id: UserId,
    /// Read up to here.
    pub read: Option<Seq>,
    /// Delivered up to here.
    pub delivered: Option<Seq>,
}

/// A participant's marks, before and after.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Where.
    pub conversation_id: ConversationId,
    /// Whose.
    pub user_id: UserId,
    /// The read mark now.
    pub last_read_seq: Seq,
    /// The delivered mark now.
    pub delivered_seq: Seq,
    /// Whether the user lets others see reads.
    pub shares_receipts: bool,
    /// Whether the conversation is small enough for others to be told.
    pub tells_others: bool,
    old_read: Seq,
    old_delivered: Seq,
    old_count: i64,
    new_count: i64,
    last_count: i64,
    /// How many of the messages after the mark, as it was and as it is, are hidden.
    old_hidden: i64,
    new_hidden: i64,
}

impl Moved {
    /// The answer to `message.read`.
    pub fn read_mark(&self) -> ReadMark {
        ReadMark {
            last_read_seq: self.last_read_seq,
            unread_count: (self.last_count - self.new_count - self.new_hidden).max(0),
            marked: (self.new_count - self.old_count - (self.old_hidden - self.new_hidden)).max(0),
        }
    }

    /// The same, where a send had moved the read mark from `earlier` before.
    #[must_use]
    pub fn since(self, earlier: Option<Seq>) -> Self {
        Self { old_read: earlier.map_or(self.old_read, |earlier| earlier.min(self.old_read)), ..self }
    }

    /// Whether the read mark moved.
    pub fn read_moved(&self) -> bool {
        self.last_read_seq > self.old_read
    }

    /// Whether the delivered mark moved.
    pub fn delivered_moved(&self) -> bool {
        self.delivered_seq > self.old_delivered
    }
}

fn columns(wanted: &[Wanted]) -> Vec<Column> {
    let number = |seq: Option<Seq>| seq.map_or(ABSENT, |seq| seq.0);
    vec![
        Column::Uuid(wanted.iter().map(|mark| mark.conversation_id.0).collect()),
        Column::Uuid(wanted.iter().map(|mark| mark.user_id.0).collect()),
        Column::Int(wanted.iter().map(|mark| number(mark.read)).collect()),
        Column::Int(wanted.iter().map(|mark| number(mark.delivered)).collect()),
    ]
}

/// Moves what can be moved and returns the participants whose row was free; a mark beyond the end is the end, and none
/// moves back.
pub async fn advance(conn: &impl ConnectionTrait, wanted: &[Wanted], now: Timestamp) -> Result<Vec<Moved>, DbErr> {
    let moved = aimed(conn, wanted, "FOR NO KEY UPDATE OF p SKIP LOCKED").await?;
    let changed: Vec<&Moved> = moved.iter().filter(|mark| mark.read_moved() || mark.delivered_moved()).collect();
    if changed.is_empty() {
        return Ok(moved);
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
    Ok(moved)
}

/// Where the marks of these participants stand; nothing is moved or locked.
pub async fn standing(
    conn: &impl ConnectionTrait,
    participants: impl IntoIterator<Item = (ConversationId, UserId)>,
) -> Result<Vec<Moved>, DbErr> {
    let of = |(conversation_id, user_id)| Wanted { conversation_id, user_id, read: None, delivered: None };
    let wanted: Vec<Wanted> = participants.into_iter().map(of).collect();
    aimed(conn, &wanted, "").await
}

/// Works out where marks go, of the rows that `lock` gets.
async fn aimed(conn: &impl ConnectionTrait, wanted: &[Wanted], lock: &str) -> Result<Vec<Moved>, DbErr> {
    // the running count at the mark: that of the message there, or of the newest one
    const TARGETS: &str = "p.conversation_id, p.user_id, p.last_read_seq, p.last_read_count, p.delivered_seq, c.last_seq, c.last_count,
            u.share_read_receipts,
            (SELECT count(*) FROM (SELECT 1 FROM participants x WHERE x.conversation_id = c.id AND x.left_at IS NULL LIMIT 101) z) AS members";
    let old_hidden = hidden::counted_after("p.last_read_seq");
    let postgres = format!(
        "SELECT {TARGETS}, t.r, t.d, {old_hidden} AS old_hidden, {} AS new_hidden,
                (SELECT m.count FROM messages m WHERE m.conversation_id = c.id AND m.seq = LEAST(t.r, c.last_seq)) AS target_count
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(c, u, r, d)
         JOIN participants p ON p.conversation_id = t.c AND p.user_id = t.u AND p.left_at IS NULL
         JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         JOIN users u ON u.id = p.user_id
         ORDER BY p.conversation_id, p.user_id {lock}",
        hidden::counted_after("GREATEST(p.last_read_seq, LEAST(t.r, c.last_seq))")
    );
    let sqlite = format!(
        "SELECT {TARGETS}, CAST(t.value ->> 2 AS INTEGER) AS r, CAST(t.value ->> 3 AS INTEGER) AS d,
                {old_hidden} AS old_hidden, {} AS new_hidden,
                (SELECT m.count FROM messages m
                 WHERE m.conversation_id = c.id AND m.seq = min(t.value ->> 2, c.last_seq)) AS target_count
         FROM jsonb_each($1) AS t
         CROSS JOIN participants p ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = unhex(t.value ->> 1)
                                  AND p.left_at IS NULL
         CROSS JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         CROSS JOIN users u ON u.id = p.user_id",
        hidden::counted_after("max(p.last_read_seq, min(t.value ->> 2, c.last_seq))")
    );
    let statement = dialect::statement(conn, &postgres, &sqlite, dialect::rows(conn, columns(wanted)));
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| {
            let number = |name: &str| row.try_get::<i64>("", name);
            let (last_seq, old_read, old_count) =
                (number("last_seq")?, number("last_read_seq")?, number("last_read_count")?);
            let (old_delivered, members) = (number("delivered_seq")?, number("members")?);
            let target = number("r")?.min(last_seq);
            let target_count: Option<i64> = row.try_get("", "target_count")?;
            let reads = target > old_read;
            let small = members <= limits::STATUS_MEMBERS;
            let delivered = if small { number("d")?.min(last_seq).max(old_delivered) } else { old_delivered };
            Ok(Moved {
                conversation_id: ConversationId(row.try_get("", "conversation_id")?),
                user_id: UserId(row.try_get("", "user_id")?),
                last_read_seq: Seq(if reads { target } else { old_read }),
                delivered_seq: Seq(delivered),
                shares_receipts: row.try_get("", "share_read_receipts")?,
                tells_others: small,
                old_read: Seq(old_read),
                old_delivered: Seq(old_delivered),
                old_count,
                new_count: if reads { target_count.unwrap_or(old_count) } else { old_count },
                last_count: number("last_count")?,
                old_hidden: number("old_hidden")?,
                new_hidden: number("new_hidden")?,
            })
        })
        .collect()
}

/// Which of these participants exist, locked or not.
pub async fn inside(
    conn: &impl ConnectionTrait,
    wanted: &[Wanted],
) -> Result<HashSet<(ConversationId, UserId)>, DbErr> {
    let statement = dialect::statement(
        conn,
        "SELECT p.conversation_id, p.user_id
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS t(c, u, r, d)
         JOIN participants p ON p.conversation_id = t.c AND p.user_id = t.u AND p.left_at IS NULL
         JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL",
        "SELECT p.conversation_id, p.user_id FROM jsonb_each($1) AS t
         CROSS JOIN participants p ON p.conversation_id = unhex(t.value ->> 0) AND p.user_id = unhex(t.value ->> 1)
                                  AND p.left_at IS NULL
         CROSS JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL",
        dialect::rows(conn, columns(wanted)),
    );
    let rows = dialect::all(conn, statement).await?;
    rows.iter()
        .map(|row| Ok((ConversationId(row.try_get("", "conversation_id")?), UserId(row.try_get("", "user_id")?))))
        .collect()
}
