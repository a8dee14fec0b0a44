//! What users do with their own settings of a conversation: archive, mute, pin and notification level. Only the
//! caller's own sessions are notified of a change.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, Seq};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::conversations::Conversation;
use crate::protocol::events::Event;
use crate::protocol::settings::{ConversationSettings, Mute, NotifyLevel};
use crate::store::conversations::views::ConversationRow;
use crate::store::settings::{self, ParticipantSetting};
use crate::work::access;
use crate::work::assemble::conversations::for_viewer;
use crate::work::conversations::get_in_tx;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use std::time::Duration;

/// A change of the caller's settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SettingChange {
    /// True removes the conversation from the list until a message comes.
    Archive(bool),
    /// No notifications until this moment. `None`: until the mute is removed.
    Mute(Option<Timestamp>),
    Unmute,
    /// True moves the conversation to the top of the list.
    Pin(bool),
    /// Which messages make a notification.
    Notify(NotifyLevel),
}

/// Checks a request to mute and returns the change.
pub fn check_mute(request: &Mute) -> Result<SettingChange> {
    let now = Timestamp::now();
    match (request.until, request.seconds) {
        (None, None) => Ok(SettingChange::Mute(None)),
        (Some(until), None) if until > now => Ok(SettingChange::Mute(Some(until))),
        (Some(_), None) => Err(Error::invalid("until", "must be in the future")),
        (None, Some(seconds)) if (1..=limits::MUTE_SECONDS).contains(&seconds) => {
            Ok(SettingChange::Mute(Some(now.plus(Duration::from_secs(seconds as u64)))))
        }
        (None, Some(_)) => Err(Error::invalid("seconds", format!("must be from 1 to {}", limits::MUTE_SECONDS))),
        (Some(_), Some(_)) => Err(Error::invalid("seconds", "must be absent if until is given")),
    }
}

/// Updates the caller's settings of a conversation. If nothing changes, no event is appended.
pub async fn update(app: &App, caller: &Caller, id: ConversationId, change: SettingChange) -> Result<Conversation> {
    let caller = *caller;
    let changed =
        transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(update_in(tx, caller, id, change)))
            .await?;
    Ok(for_viewer(app, changed))
}

async fn update_in(tx: &mut Tx, caller: Caller, id: ConversationId, change: SettingChange) -> Result<ConversationRow> {
    let user = caller.user_id;
    tx.lock_conversations(&[id]).await?;
    tx.lock_users(&[user]).await?;
    let role = access::require_inside(&access::get_rights(tx, id, user).await?)?;
    if !role.may(Action::Read) {
        return Err(Error::forbidden("Only users who can read a conversation can archive, mute or pin it."));
    }
    let before = get_in_tx(tx, user, id).await?;
    let was_archived = settings::archived_seq(tx.conn(), id, user).await?;
    let setting = match change {
        SettingChange::Archive(on) => ParticipantSetting::Archived(on.then_some(before.last_seq)),
        SettingChange::Mute(until) => ParticipantSetting::Muted(Some(until.unwrap_or(Timestamp::FAR_FUTURE))),
        SettingChange::Unmute => ParticipantSetting::Muted(None),
        SettingChange::Pin(on) => ParticipantSetting::Pinned(on.then_some(tx.now())),
        SettingChange::Notify(level) => ParticipantSetting::Notify(level),
    };
    settings::update(tx.conn(), id, user, setting).await?;
    if matches!(change, SettingChange::Mute(_)) && !before.my.archived {
        // A message has ended the archived state, but its `seq` is still stored. Remove it, because it would count
        // again while the conversation is muted.
        settings::update(tx.conn(), id, user, ParticipantSetting::Archived(None)).await?;
    }
    let after = get_in_tx(tx, user, id).await?;
    if after.my != before.my || is_archived_at_new_seq(setting, was_archived) {
        tx.append(
            Stream::User(user),
            &Event::ConversationSettings(ConversationSettings { conversation_id: id, my: after.my.clone() }),
        );
    }
    Ok(after)
}

/// Returns whether the conversation is archived at another `seq` than before. While it is muted it stays archived, but
/// a client that computes this by itself needs the new `seq`.
fn is_archived_at_new_seq(setting: ParticipantSetting, before: Option<Seq>) -> bool {
    matches!(setting, ParticipantSetting::Archived(Some(seq)) if before != Some(seq))
}
