//! What follows when the rights of the user were read: subscriptions, and the plan of a sync.

use super::sync::{self, PlannedSubscription, RunningSync};
use super::{Check, FollowEffect, Following, Rights, SyncRights};
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
    /// The answer to [`FollowEffect::CheckSubscribe`] and [`FollowEffect::CheckAdded`].
    pub fn rights_read(&mut self, outcome: Result<Rights<R>>) {
        match (self.check.take(), outcome) {
            (Some(Check::Subscribe(id)), Ok(rights)) => self.subscribed(rights, id),
            (Some(Check::Subscribe(id)), Err(error)) => {
                self.effects.push_back(FollowEffect::Refuse(error, id));
                self.effects.push_back(FollowEffect::LeaveLane);
            }
            (Some(Check::Added(added)), Ok(rights)) => self.added_read(&added, rights),
            // The client reconnects, reads its user's stream again, and gets these conversations from it again.
            (Some(Check::Added(_)), Err(_)) => self.effects.push_back(FollowEffect::Close(Close::Restart)),
            (Some(Check::Sync { .. }) | None, _) => {}
        }
    }

    /// Answers before it subscribes, so that events come after the answer that names where they begin.
    fn subscribed(&mut self, rights: Rights<R>, id: Option<FrameId>) {
        let Rights { mut rooms, memberships, denied } = rights;
        let revs: BTreeMap<_, _> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        let frame =
            ServerFrame::Subscribed(Subscribed { conversation_ids: revs.keys().copied().collect(), revs, denied });
        self.effects.push_back(FollowEffect::Send(frame, id));
        for Membership { conversation_id, last_rev, joined_rev, .. } in memberships {
            let stream = Stream::Conversation(conversation_id);
            // The client may know already that its user was added, which promises everything after that event. If the
            // user left and came back since, a later event says so, and the promise begins there.
            let from = match self.added.get(&conversation_id).filter(|_| self.follows_added) {
                Some(added) if *added < joined_rev || *added > last_rev => continue,
                Some(added) => *added,
                None => last_rev,
            };
            if self.streams.get(&stream).is_none_or(|followed| followed.ended)
                && let Some(room) = rooms.remove(&conversation_id)
            {
                self.attach(stream, room, from, last_rev);
            }
        }
        self.effects.push_back(FollowEffect::LeaveLane);
    }

    /// Subscribes to those conversations that the user is in still. While a sync runs they belong to it.
    fn added_read(&mut self, added: &HashMap<ConversationId, Rev>, rights: Rights<R>) {
        let Rights { mut rooms, memberships, .. } = rights;
        let mut planned = Vec::new();
        for membership in memberships {
            let conversation = membership.conversation_id;
            let stream = Stream::Conversation(conversation);
            let (Some(room), Some(from)) = (rooms.remove(&conversation), added.get(&conversation).copied()) else {
                continue;
            };
            let covered = self.streams.get(&stream).is_some_and(|followed| followed.covers(from));
            // A user who left and came back meanwhile has a later event that says so.
            if covered || from < membership.joined_rev {
                continue;
            }
            let checked = membership.last_rev;
            planned.push((PlannedSubscription { stream, room, from, checked, reset: false, asked: false }, membership));
        }
        if let Some(sync) = &mut self.sync {
            sync.checking_added = false;
            for (next, membership) in planned {
                sync.add(next, &membership);
            }
            return self.go_on();
        }
        for (PlannedSubscription { stream, room, from, checked, .. }, membership) in planned {
            // A user who was added again since has a newer event, which subscribes from there.
            if self.added.get(&membership.conversation_id).is_none_or(|newer| *newer <= checked) {
                self.attach(stream, room, from, checked);
            }
        }
        self.effects.push_back(FollowEffect::LeaveLane);
    }

    /// The answer to [`FollowEffect::CheckSync`].
    pub fn sync_rights_read(&mut self, outcome: Result<SyncRights<R>>) {
        let Some(Check::Sync { id, asked, user_rev }) = self.check.take() else { return };
        match outcome {
            Ok(rights) => self.replay(rights, &asked, user_rev, id),
            Err(error) => {
                self.effects.push_back(FollowEffect::Refuse(error, id));
                self.sync_refused();
                self.effects.push_back(FollowEffect::LeaveLane);
            }
        }
    }

    /// Says what the client must read again, and makes every room replay what the client lacks.
    fn replay(
        &mut self,
        sync: SyncRights<R>,
        asked: &BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
        id: Option<FrameId>,
    ) {
        let SyncRights { rights: Rights { mut rooms, memberships, denied }, user_rev: own_head, reset_all, reset } =
            sync;
        let mut added = HashMap::new();
        if !std::mem::replace(&mut self.follows_added, true) {
            added = std::mem::take(&mut self.added);
            // One that the client named is part of this sync, unless its rights are from before the user was added.
            let heads: HashMap<_, _> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
            let is_covered = |id: &ConversationId, rev: Rev| {
                asked.contains_key(id) && heads.get(id).is_some_and(|head| *head >= rev)
            };
            added.retain(|conversation, rev| !is_covered(conversation, *rev));
        }
        if reset_all {
            let frame = ServerFrame::SyncReset(SyncReset { conversation_id: None, last_rev: None });
            self.effects.push_back(FollowEffect::Send(frame, None));
        }
        let mut done = SyncDone { user_rev: own_head, denied, ..SyncDone::default() };
        let mut planned = Vec::new();
        for membership in memberships {
            let conversation = membership.conversation_id;
            let Some(room) = rooms.remove(&conversation) else { continue };
            let (checked, reset) = (membership.last_rev, reset.contains(&conversation));
            let held = asked.get(&conversation).copied().filter(|_| !reset && !reset_all);
            sync::add_to_answer(&mut done, &membership);
            let (stream, from) = (Stream::Conversation(conversation), held.unwrap_or(checked));
            planned.push(PlannedSubscription { stream, room, from, checked, reset: reset && !reset_all, asked: true });
        }
        if let Some((own, followed)) = self.own.and_then(|own| Some((own, self.streams.get(&own)?))) {
            // A client that names no revision has what was sent, and not what is still on its way from the room.
            let sent = followed.sent.min(own_head);
            let from = user_rev.filter(|_| !reset_all).unwrap_or(sent);
            let room = followed.room.clone();
            planned.push(PlannedSubscription { stream: own, room, from, checked: own_head, reset: false, asked: true });
        }
        self.sync = Some(RunningSync::new(id, planned, added, done));
        self.go_on();
    }

    /// Subscribes to as much of a sync as the client has read enough for, then to the conversations of which the replay
    /// of the user's own stream said that the user was added. Ends the sync when every room has replayed.
    pub(super) fn go_on(&mut self) {
        while self.may_replay
            && let Some(next) = self.sync.as_mut().and_then(RunningSync::next)
        {
            self.attach_next(next);
        }
        let Some(sync) = self.sync.as_mut().filter(|sync| !sync.checking_added) else { return };
        if !sync.added.is_empty() && !sync.own_replays {
            sync.checking_added = true;
            let added = std::mem::take(&mut sync.added);
            return self.check_added(added);
        }
        let Some(sync) = self.sync.take_if(|sync| sync.is_over()) else { return };
        self.effects.push_back(FollowEffect::Send(ServerFrame::SyncDone(Box::new(sync.done)), sync.id));
        self.effects.push_back(FollowEffect::LeaveLane);
    }

    fn attach_next(&mut self, next: PlannedSubscription<R>) {
        let PlannedSubscription { stream, room, from, checked, reset, asked } = next;
        if let Stream::Conversation(id) = stream {
            // The client knows already that its user left and came back since the right was checked. It must get
            // nothing from before that, and the conversation is subscribed to from there.
            let added = self.sync.as_ref().and_then(|sync| sync.added.get(&id)).or(self.added.get(&id));
            if added.is_some_and(|added| *added > checked)
                && let Some(sync) = &mut self.sync
            {
                sync.left(id, false);
                return;
            }
            if reset {
                let frame = ServerFrame::SyncReset(SyncReset { conversation_id: Some(id), last_rev: Some(from) });
                self.effects.push_back(FollowEffect::Send(frame, None));
            }
        }
        self.attach(stream, room, from, checked);
        if let Some(followed) = self.streams.get_mut(&stream) {
            followed.synced = asked;
        }
    }
}
