//! The rights of a session to follow conversations: it starts their rooms, then reads the rights from the database.

use super::Session;
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{OpenRooms, ToRoom};
use crate::protocol::subscriptions::SyncConversations;
use crate::realtime::following::{Rights, SyncRights};
use crate::store::members::Membership;
use crate::usecases::sessions;
use actix::prelude::*;
use std::collections::HashSet;

impl Session {
    /// Starts the rooms of conversations, then checks in the database whether the user may subscribe to them.
    pub(super) fn check_rights(
        &self,
        conversations: Vec<ConversationId>,
    ) -> impl Future<Output = Result<Rights<Recipient<ToRoom>>>> + Send + 'static {
        let (app, hub, caller) = (self.services.app.clone(), self.services.hub.clone(), self.caller());
        async move {
            let caller = caller.ok_or_else(not_authenticated)?;
            // Start only rooms of conversations that the user is probably in, because a client can send any ids.
            let likely = sessions::filter_likely_conversations(&app, &caller, &conversations).await?;
            let streams = likely.iter().map(|id| Stream::Conversation(*id)).collect();
            let rooms = open_rooms(&hub, streams).await?;
            let (memberships, denied) = sessions::check_subscriptions(&app, &caller, &conversations).await?;
            Ok(Rights { rooms: likely.into_iter().zip(rooms).collect(), memberships, denied })
        }
    }

    /// Like [`Self::check_rights`] for the conversations of a sync, and decides which of them the client must read
    /// again.
    pub(super) fn check_sync_rights(
        &self,
        request: SyncConversations,
    ) -> impl Future<Output = Result<SyncRights<Recipient<ToRoom>>>> + Send + 'static {
        let check = self.check_rights(request.conversations.keys().copied().collect());
        let (app, caller) = (self.services.app.clone(), self.caller());
        async move {
            let caller = caller.ok_or_else(not_authenticated)?;
            find_resets(&app, &caller, check.await?, &request).await
        }
    }
}

fn not_authenticated() -> Error {
    Error::unauthorized("This connection is not authenticated; send auth first.")
}

/// Starts rooms and returns them in the order of the streams. A hub that does not answer must not hold the permits of
/// the user for ever.
pub(super) async fn open_rooms(hub: &Recipient<OpenRooms>, streams: Vec<Stream>) -> Result<Vec<Recipient<ToRoom>>> {
    let answer = tokio::time::timeout(limits::TRANSACTION_TIMEOUT, hub.send(OpenRooms(streams))).await;
    answer.map_err(Error::overloaded)?.map_err(Error::internal)?
}

/// Decides which conversations the client must read again. A reset is necessary if the client has revisions that the
/// server does not have, if the user was not a participant all the time, or if the log lacks events.
async fn find_resets(
    app: &App,
    caller: &Caller,
    rights: Rights<Recipient<ToRoom>>,
    request: &SyncConversations,
) -> Result<SyncRights<Recipient<ToRoom>>> {
    let user_rev = sessions::read_user_rev_of_valid_caller(app, caller).await?;
    let mut reset_all = request.epoch.as_ref().is_some_and(|epoch| *epoch != app.epoch());
    let (mut reset, mut behind) = compare_revisions(&rights.memberships, request);
    match request.user_rev {
        Some(from) if from > user_rev => reset_all = true,
        Some(from) if from < user_rev => behind.push((Stream::User(caller.user_id), from)),
        _ => {}
    }
    if !reset_all {
        for stream in sessions::list_truncated(app, &behind).await? {
            match stream {
                Stream::Conversation(id) => drop(reset.insert(id)),
                Stream::User(_) => reset_all = true,
            }
        }
    }
    Ok(SyncRights { rights, user_rev, reset_all, reset })
}

/// Returns the conversations that the client must read again because of its revision, and the streams that can be
/// replayed after its revision if the log still has the events.
fn compare_revisions(
    memberships: &[Membership],
    request: &SyncConversations,
) -> (HashSet<ConversationId>, Vec<(Stream, Rev)>) {
    let (mut reset, mut behind) = (HashSet::new(), Vec::new());
    for membership in memberships {
        let id = membership.conversation_id;
        let from = request.conversations.get(&id).copied().unwrap_or(membership.last_rev);
        if from > membership.last_rev || from < membership.joined_rev {
            reset.insert(id);
        } else if from < membership.last_rev {
            behind.push((Stream::Conversation(id), from));
        }
    }
    (reset, behind)
}
