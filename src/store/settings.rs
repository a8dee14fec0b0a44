//! The statements of the settings of a participant for one conversation: archived, muted, pinned, and the level of
//! notifications.

use crate::domain::ids::{ConversationId, Seq, UserId};
use crate::domain::time::Timestamp;
use crate::protocol::settings::NotifyLevel;
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr, Value};

/// A new value of one setting. `None` removes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParticipantSetting {
    /// The `seq` of the newest message when the user archived the conversation.
    Archived(Option<Seq>),
    /// The time when the mute ends. [`Timestamp::FAR_FUTURE`] and later times mean never.
    Muted(Option<Timestamp>),
    /// The time when the user pinned the conversation.
    Pinned(Option<Timestamp>),
    /// The messages that make a notification.
    Notify(NotifyLevel),
}

/// Updates one setting of a participant.
pub async fn update(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    user: UserId,
    setting: ParticipantSetting,
) -> Result<(), DbErr> {
    let (column, value): (&str, Value) = match setting {
        ParticipantSetting::Archived(seq) => ("archived_seq", seq.map(|seq| seq.0).into()),
        ParticipantSetting::Muted(until) => ("muted_until", until.map(to_stored_mute).into()),
        ParticipantSetting::Pinned(at) => ("pinned_at", at.map(|at| at.0).into()),
        ParticipantSetting::Notify(level) => ("notify", level.as_str().into()),
    };
    let text = format!("UPDATE participants SET {column} = $3 WHERE conversation_id = $1 AND user_id = $2");
    dialect::run(conn, dialect::plain(conn, &text, vec![conversation.into(), user.into(), value])).await?;
    Ok(())
}

/// Returns the stored end of a mute. "Never" is the greatest number, so that no time is later.
fn to_stored_mute(until: Timestamp) -> i64 {
    if until >= Timestamp::FAR_FUTURE { i64::MAX } else { until.0 }
}

/// Returns the `seq` at which the participant archived the conversation, or `None` if it is not archived.
pub async fn archived_seq(
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
