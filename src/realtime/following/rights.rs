//! The inputs from checks of rights: they lead to subscriptions, and to the plan of a sync.

use super::sync::{self, PlannedSubscription, RunningSync};
use super::{AddedConversations, Check, FollowEffect, Following, Rights, SyncRights};
use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::protocol::client::FrameId;
use crate::protocol::server::ServerFrame;
use crate::protocol::subscriptions::{Subscribed, SyncDone, SyncReset};
use crate::store::members::Membership;
use std::collections::{BTreeMap, HashMap};

impl<R: Clone> Following<R> {
    /// Takes the outcome of [`FollowEffect::CheckSubscribe`] and [`FollowEffect::CheckAdded`].
    pub fn handle_rights(&mut self, outcome: Result<Rights<R>>) {
        match (self.check.take(), outcome) {
            (Some(Check::Subscribe(id)), Ok(rights)) => self.subscribe_and_answer(rights, id),
            (Some(Check::Subscribe(id)), Err(error)) => {
                self.effects.push_back(FollowEffect::Refuse(error, id));
                self.effects.push_back(FollowEffect::LeaveLane);
            }
            (Some(Check::Added(added)), Ok(rights)) => self.follow_added(&added, rights),
            // The client reconnects and gets the same additions again, from the replay of its own stream.
            (Some(Check::Added(_)), Err(_)) => self.effects.push_back(FollowEffect::Close(Close::Restart)),
            (Some(Check::Sync { .. }) | None, _) => {}
        }
    }

    /// Answers `subscribe` and subscribes. The answer comes first, because it names the revision after which events
    /// follow.
    fn subscribe_and_answer(&mut self, rights: Rights<R>, id: Option<FrameId>) {
        let Rights { mut rooms, memberships, denied } = rights;
        let revs: BTreeMap<_, _> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        let frame =
            ServerFrame::Subscribed(Subscribed { conversation_ids: revs.keys().copied().collect(), revs, denied });
        self.effects.push_back(FollowEffect::Send(frame, id));
        for Membership { conversation_id, last_rev, joined_rev, .. } in memberships {
            let stream = Stream::Conversation(conversation_id);
            // The client may already have the event that its user was added. It then expects every event after the
            // revision in it. If the user was added again later, a later event has the revision, and the conversation
            // is subscribed to from there.
            let from = match self.added.get(&conversation_id).filter(|_| self.follows_added) {
                Some(added_rev) if *added_rev < joined_rev || *added_rev > last_rev => continue,
                Some(added_rev) => *added_rev,
                None => last_rev,
            };
            if self.streams.get(&stream).is_none_or(|followed| followed.leave_sent)
                && let Some(room) = rooms.remove(&conversation_id)
            {
                self.subscribe_to(stream, room, from, last_rev);
            }
        }
        self.effects.push_back(FollowEffect::LeaveLane);
    }

    /// Subscribes to those of the added conversations that the user is still in. While a sync runs, they belong to it.
    fn follow_added(&mut self, added: &AddedConversations, rights: Rights<R>) {
        let Rights { mut rooms, memberships, .. } = rights;
        let mut planned = Vec::new();
        for membership in memberships {
            let conversation = membership.conversation_id;
            let stream = Stream::Conversation(conversation);
            let (Some(room), Some(from)) = (rooms.remove(&conversation), added.get(&conversation).copied()) else {
                continue;
            };
            let is_covered = self.streams.get(&stream).is_some_and(|followed| followed.covers_addition(from));
            // If the user was added again in the meantime, a later event follows.
            if is_covered || from < membership.joined_rev {
                continue;
            }
            let checked_rev = membership.last_rev;
            let next = PlannedSubscription { stream, room, from, checked_rev, needs_reset: false, is_requested: false };
            planned.push((next, membership));
        }
        if let Some(sync) = &mut self.sync {
            sync.is_checking_added = false;
            for (next, membership) in planned {
                sync.add(next, &membership);
            }
            return self.continue_sync();
        }
        for (PlannedSubscription { stream, room, from, checked_rev, .. }, membership) in planned {
            // If the user was added again in the meantime, the session subscribes after that newer event instead.
            if self.added.get(&membership.conversation_id).is_none_or(|newer| *newer <= checked_rev) {
                self.subscribe_to(stream, room, from, checked_rev);
            }
        }
        self.effects.push_back(FollowEffect::LeaveLane);
    }

    /// Takes the outcome of [`FollowEffect::CheckSync`].
    pub fn handle_sync_rights(&mut self, outcome: Result<SyncRights<R>>) {
        let Some(Check::Sync { id, requested, user_rev }) = self.check.take() else { return };
        match outcome {
            Ok(rights) => self.start_sync(rights, &requested, user_rev, id),
            Err(error) => {
                self.effects.push_back(FollowEffect::Refuse(error, id));
                self.await_first_sync_again();
                self.effects.push_back(FollowEffect::LeaveLane);
            }
        }
    }

    /// Plans the subscriptions of a sync, and sends what the client must read again. `requested` and `user_rev` are the
    /// revisions that the client has.
    fn start_sync(
        &mut self,
        sync: SyncRights<R>,
        requested: &BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
        id: Option<FrameId>,
    ) {
        let SyncRights { rights: Rights { mut rooms, memberships, denied }, user_rev: own_head, reset_all, reset } =
            sync;
        let added = self.take_added(requested, &memberships);
        if reset_all {
            let frame = ServerFrame::SyncReset(SyncReset { conversation_id: None, last_rev: None });
            self.effects.push_back(FollowEffect::Send(frame, None));
        }
        let mut answer = SyncDone { user_rev: own_head, denied, ..SyncDone::default() };
        let mut planned = Vec::new();
        for membership in memberships {
            let conversation = membership.conversation_id;
            let Some(room) = rooms.remove(&conversation) else { continue };
            let (checked_rev, needs_reset) = (membership.last_rev, reset.contains(&conversation));
            let client_rev = requested.get(&conversation).copied().filter(|_| !needs_reset && !reset_all);
            sync::add_to_answer(&mut answer, &membership);
            planned.push(PlannedSubscription {
                stream: Stream::Conversation(conversation),
                room,
                from: client_rev.unwrap_or(checked_rev),
                checked_rev,
                needs_reset: needs_reset && !reset_all,
                is_requested: true,
            });
        }
        if let Some((stream, followed)) = self.own_stream.and_then(|own| Some((own, self.streams.get(&own)?))) {
            // A client that names no revision has the events that were sent to it, but not those that are still on
            // their way from the room.
            let sent_to = followed.sent_to.min(own_head);
            let from = user_rev.filter(|_| !reset_all).unwrap_or(sent_to);
            let (room, checked_rev) = (followed.room.clone(), own_head);
            planned.push(PlannedSubscription {
                stream,
                room,
                from,
                checked_rev,
                needs_reset: false,
                is_requested: true,
            });
        }
        self.sync = Some(RunningSync::new(id, planned, added, answer));
        self.continue_sync();
    }

    /// Follows added conversations from now on. Returns the conversations that were added before, while the session did
    /// not follow them. Those that this sync names are left out, unless their rights are from before the addition.
    fn take_added(
        &mut self,
        requested: &BTreeMap<ConversationId, Rev>,
        memberships: &[Membership],
    ) -> AddedConversations {
        if std::mem::replace(&mut self.follows_added, true) {
            return AddedConversations::new();
        }
        let heads: HashMap<_, _> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        let mut added = std::mem::take(&mut self.added);
        added.retain(|id, rev| !requested.contains_key(id) || heads.get(id).is_none_or(|head| head < rev));
        added
    }

    /// Subscribes to as many streams of a sync as the client has read enough for, then to the conversations that the
    /// replay of the own stream added. Ends the sync when every room has replayed.
    pub(super) fn continue_sync(&mut self) {
        while self.may_replay
            && let Some(next) = self.sync.as_mut().and_then(RunningSync::take_next)
        {
            self.subscribe_to_planned(next);
        }
        let Some(sync) = self.sync.as_mut().filter(|sync| !sync.is_checking_added) else { return };
        if !sync.added.is_empty() && !sync.awaits_own_stream {
            sync.is_checking_added = true;
            let added = std::mem::take(&mut sync.added);
            return self.check_added(added);
        }
        let Some(sync) = self.sync.take_if(|sync| sync.is_over()) else { return };
        self.effects.push_back(FollowEffect::Send(ServerFrame::SyncDone(Box::new(sync.answer)), sync.id));
        self.effects.push_back(FollowEffect::LeaveLane);
    }

    fn subscribe_to_planned(&mut self, next: PlannedSubscription<R>) {
        let PlannedSubscription { stream, room, from, checked_rev, needs_reset, is_requested } = next;
        if let Stream::Conversation(id) = stream {
            // The client may already have the event that its user was added again after the right was checked. It must
            // then get no event before that revision, and the session subscribes after it instead.
            let added = self.sync.as_ref().and_then(|sync| sync.added.get(&id)).or(self.added.get(&id));
            if added.is_some_and(|added_rev| *added_rev > checked_rev)
                && let Some(sync) = &mut self.sync
            {
                sync.note_left(id, false);
                return;
            }
            if needs_reset {
                let frame = ServerFrame::SyncReset(SyncReset { conversation_id: Some(id), last_rev: Some(from) });
                self.effects.push_back(FollowEffect::Send(frame, None));
            }
        }
        self.subscribe_to(stream, room, from, checked_rev);
        if let Some(followed) = self.streams.get_mut(&stream) {
            followed.is_requested = is_requested;
        }
    }
}
