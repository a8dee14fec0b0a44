//! A participant's own view of a conversation: archived, muted, pinned, and what makes a notification.

use super::dialect;
use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::resources::NotifyLevel;
use sea_orm::{ConnectionTrait, DbErr, Value};

/// What is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Archived at this place, or not.
    Archived(Option<Seq>),
    /// Muted until then, or not; [`Timestamp::FAR`] and beyond is for good.
    Muted(Option<Timestamp>),
    /// Pinned then, or not.
    Pinned(Option<Timestamp>),
    /// What makes a notification.
    Notify(NotifyLevel),
}

/// Writes a setting of a participant.
pub async fn set(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
    setting: Setting,
) -> Result<(), DbErr> {
    let (column, value): (&str, Value) = match setting {
        Setting::Archived(seq) => ("archived_seq", seq.map(|seq| seq.0).into()),
        Setting::Muted(until) => ("muted_until", until.map(for_good).into()),
        Setting::Pinned(at) => ("pinned_at", at.map(|at| at.0).into()),
        Setting::Notify(level) => ("notify", level.as_str().into()),
    };
    let text = format!("UPDATE participants SET {column} = $3 WHERE conversation_id = $1 AND user_id = $2");
    dialect::run(conn, dialect::plain(conn, &text, vec![conversation.into(), user.into(), value])).await?;
    Ok(())
}

/// "For good" is the greatest number, so that no moment is later.
fn for_good(until: Timestamp) -> i64 {
    if until >= Timestamp::FAR { i64::MAX } else { until.0 }
}

/// Where the conversation was archived, by a participant who archived it.
pub async fn archived(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<Seq>, DbErr> {
    let text = "SELECT archived_seq FROM participants WHERE conversation_id = $1 AND user_id = $2";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![conversation.into(), user.into()])).await?;
    match row {
        Some(row) => Ok(row.try_get::<Option<i64>>("", "archived_seq")?.map(Seq)),
        None => Ok(None),
    }
}
