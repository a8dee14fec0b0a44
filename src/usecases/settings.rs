//! The caller's own view of a conversation: archive, mute, pin, notify level. Each change is told to the caller's other
//! devices, and to nobody else.

use super::transact::{Tx, transact_for};
use super::{Caller, conversations, rights};
use crate::app::App;
use crate::domain::ids::{ConversationId, Seq};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::conversations::Mute;
use crate::protocol::events::Event;
use crate::protocol::resources::{Conversation, NotifyLevel};
use crate::store::settings::{self, Setting};
use std::time::Duration;

/// A change of the caller's own view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Out of the list until a message comes, or back.
    Archive(bool),
    /// No notifications until then; `None` is for good.
    Mute(Option<Timestamp>),
    /// Notifications again.
    Unmute,
    /// To the top of the list, or not.
    Pin(bool),
    /// What makes a notification.
    Notify(NotifyLevel),
}

/// Checks until when to mute.
pub fn mute(asked: &Mute) -> Result<Change> {
    let now = Timestamp::now();
    match (asked.until, asked.seconds) {
        (None, None) => Ok(Change::Mute(None)),
        (Some(until), None) if until > now => Ok(Change::Mute(Some(until))),
        (Some(_), None) => Err(Error::invalid("until", "must be in the future")),
        (None, Some(seconds)) if (1..=limits::MUTE_SECONDS).contains(&seconds) => {
            Ok(Change::Mute(Some(now.plus(Duration::from_secs(seconds as u64)))))
        }
        (None, Some(_)) => Err(Error::invalid("seconds", format!("must be from 1 to {}", limits::MUTE_SECONDS))),
        (Some(_), Some(_)) => Err(Error::invalid("seconds", "must not stand beside until")),
    }
}

/// Changes the caller's view of a conversation. A change that changes nothing tells nobody.
pub async fn change(app: &App, caller: &Caller, id: ConversationId, change: Change) -> Result<Conversation> {
    let caller = *caller;
    let changed =
        transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(change_in(tx, caller, id, change)))
            .await?;
    Ok(conversations::with_presence(app, changed))
}

async fn change_in(tx: &mut Tx, caller: Caller, id: ConversationId, change: Change) -> Result<Conversation> {
    let user = caller.user_id;
    tx.lock_conversations(&[id]).await?;
    tx.lock_users(&[user]).await?;
    let role = rights::inside(&rights::sender(tx, id, user).await?)?;
    if !role.may(Action::Read) {
        return Err(Error::forbidden("only whoever may read a conversation can archive, mute or pin it"));
    }
    let before = conversations::own_view(tx, user, id).await?;
    let was_archived = settings::archived(tx.conn(), id, user).await?;
    let setting = match change {
        Change::Archive(on) => Setting::Archived(on.then_some(before.last_seq)),
        Change::Mute(until) => Setting::Muted(Some(until.unwrap_or(Timestamp::FAR))),
        Change::Unmute => Setting::Muted(None),
        Change::Pin(on) => Setting::Pinned(on.then_some(tx.now())),
        Change::Notify(level) => Setting::Notify(level),
    };
    settings::set(tx.conn(), id, user, setting).await?;
    if matches!(change, Change::Mute(_)) && !before.my.archived {
        // an archive that a message ended would be back with the mute
        settings::set(tx.conn(), id, user, Setting::Archived(None)).await?;
    }
    let after = conversations::own_view(tx, user, id).await?;
    if after.my != before.my || archived_anew(setting, was_archived) {
        tx.append(Stream::User(user), &Event::ConversationSettings { conversation_id: id, my: after.my.clone() });
    }
    Ok(after)
}

/// A muted conversation stays archived while messages come. Archived again, it holds from there on, which a client that
/// derives it has to hear.
fn archived_anew(setting: Setting, before: Option<Seq>) -> bool {
    matches!(setting, Setting::Archived(Some(seq)) if before != Some(seq))
}
