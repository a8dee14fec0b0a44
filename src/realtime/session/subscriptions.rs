//! The subscriptions of a session: the commands subscribe, unsubscribe and sync, and conversations that the user joins.
//!
//! They share one lane. A right is read only after the room runs: the room holds back what commits in between, so that
//! no event is lost.

use super::lanes::{JobState, Lane};
use super::running_sync::{PlannedSubscription, RunningSync, add_to_answer};
use super::{LaneJob, Session};
use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{OpenRooms, ToRoom};
use crate::protocol::client::{FrameId, SyncConversations};
use crate::protocol::server::{DeniedConversation, ServerFrame, SyncDone};
use crate::store::participants::Membership;
use crate::usecases::sessions;
use actix::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The subscriptions to added conversations.
type AddedSubscriptions = Vec<(PlannedSubscription, Membership)>;

/// Running rooms, and the result of checking whether the user may subscribe to them.
struct CheckedRooms {
    rooms: HashMap<ConversationId, Recipient<ToRoom>>,
    memberships: Vec<Membership>,
    denied: Vec<DeniedConversation>,
}

/// The decisions about a sync before its first replay.
struct SyncPlan {
    checked_rooms: CheckedRooms,
    user_rev: Rev,
    /// Whether the client must read everything again.
    resets_all: bool,
    /// The conversations that the client must read again.
    reset_conversations: HashSet<ConversationId>,
}

impl Session {
    pub(super) fn subscribe(
        &mut self,
        conversations: Vec<ConversationId>,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        if let Err(error) = check_count("conversation_ids", conversations.len(), limits::IDS_IN_COMMAND) {
            return self.refuse(&error, id.as_ref(), None, ctx);
        }
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let work = session.check_rooms(conversations);
            let then = move |session: &mut Self, outcome: Result<CheckedRooms>, ctx: &mut Context<Self>| {
                match outcome {
                    Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
                    Ok(checked) => session.finish_subscribe(&checked, id.as_ref(), ctx),
                }
                session.leave_lane(Lane::Subscriptions, ctx);
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
    }

    /// Sends the answer before it subscribes: the events must come after the answer, which names the revisions at which
    /// they begin.
    fn finish_subscribe(&mut self, checked: &CheckedRooms, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let memberships = &checked.memberships;
        let revs: BTreeMap<_, _> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        let frame = ServerFrame::Subscribed {
            conversation_ids: revs.keys().copied().collect(),
            revs,
            denied: checked.denied.clone(),
        };
        self.send(&frame, id, ctx);
        for membership in memberships {
            let stream = Stream::Conversation(membership.conversation_id);
            if !self.subscriptions.contains_key(&stream)
                && let Some(room) = checked.rooms.get(&membership.conversation_id)
            {
                self.subscribe_to(stream, room.clone(), membership.last_rev, membership.last_rev, ctx);
            }
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        conversations: Vec<ConversationId>,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            for conversation in &conversations {
                if let Some(subscription) = session.subscriptions.remove(&Stream::Conversation(*conversation)) {
                    subscription.room.do_send(ToRoom::Unsubscribe(session.id)); // detach
                }
            }
            session.send(&ServerFrame::Unsubscribed { conversation_ids: conversations }, id.as_ref(), ctx);
            JobState::Done
        });
        self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
    }

    /// Adds one part of a sync. The last part starts the sync.
    pub(super) fn sync(&mut self, part: SyncConversations, id: Option<FrameId>, ctx: &mut Context<Self>) {
        self.sync_parts.conversations.extend(part.conversations);
        self.sync_parts.user_rev = part.user_rev.or(self.sync_parts.user_rev);
        self.sync_parts.epoch = part.epoch.or(self.sync_parts.epoch.take());
        if let Err(error) =
            check_count("conversations", self.sync_parts.conversations.len(), limits::CONVERSATIONS_IN_SYNC)
        {
            self.sync_parts = SyncConversations::default();
            return self.refuse(&error, id.as_ref(), None, ctx);
        }
        if part.more {
            self.await_first_sync_longer(ctx);
            if id.is_some() {
                self.send(&ServerFrame::Ack {}, id.as_ref(), ctx);
            }
            return;
        }
        let request = std::mem::take(&mut self.sync_parts);
        let command_id = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            session.begin_first_sync(ctx);
            let (check, app) =
                (session.check_rooms(request.conversations.keys().copied().collect()), session.services.app.clone());
            let caller = session.caller();
            let requested = request.conversations.clone();
            let work = async move {
                let caller = caller
                    .ok_or_else(|| Error::unauthorized("This connection is not authenticated; send auth first."))?;
                let checked = check.await?;
                let plan = app.db().run(plan_sync(&app, &caller, checked, &request)).await?;
                Ok((plan, request.user_rev))
            };
            let then = move |session: &mut Self, outcome: Result<(SyncPlan, Option<Rev>)>, ctx: &mut Context<Self>| {
                match outcome {
                    Err(error) => {
                        session.refuse(&error, id.as_ref(), None, ctx);
                        session.await_first_sync_again(ctx);
                        session.leave_lane(Lane::Subscriptions, ctx);
                    }
                    Ok((plan, user_rev)) => session.start_sync(plan, &requested, user_rev, id, ctx),
                }
            };
            session.run_use_case(work, then, ctx);
            JobState::Continues
        });
        self.enter_lane(Lane::Subscriptions, command_id.as_ref(), None, job, ctx);
    }

    /// Sends the resets, and begins to subscribe to the rooms, which replay the missed events. `requested` are the
    /// revisions that the client has of conversations, `user_rev` is that of the user stream.
    fn start_sync(
        &mut self,
        plan: SyncPlan,
        requested: &BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let Some(caller) = self.caller() else { return };
        let mut added = HashMap::new();
        if !std::mem::replace(&mut self.subscribes_to_added, true) {
            added = std::mem::take(&mut self.added_conversations);
            added.retain(|conversation, _| !requested.contains_key(conversation));
        }
        if plan.resets_all {
            self.send(&ServerFrame::SyncReset { conversation_id: None, last_rev: None }, None, ctx);
        }
        let user_stream = Stream::User(caller.user_id);
        let mut answer = SyncDone { user_rev: plan.user_rev, denied: plan.checked_rooms.denied, ..SyncDone::default() };
        let mut planned = Vec::new();
        for membership in plan.checked_rooms.memberships {
            let conversation = membership.conversation_id;
            let Some(room) = plan.checked_rooms.rooms.get(&conversation) else { continue };
            let is_reset = plan.reset_conversations.contains(&conversation);
            let from = if is_reset || plan.resets_all {
                membership.last_rev
            } else {
                requested.get(&conversation).copied().unwrap_or(membership.last_rev)
            };
            add_to_answer(&mut answer, &membership);
            let (stream, room, checked) = (Stream::Conversation(conversation), room.clone(), membership.last_rev);
            let is_reset = is_reset && !plan.resets_all;
            planned.push(PlannedSubscription { stream, room, from, checked, is_reset, is_requested: true });
        }
        if let Some(subscription) = self.subscriptions.get(&user_stream) {
            // A client that names no revision has the events that were sent to it, but not those on their way.
            let sent_to = subscription.sent_to.min(plan.user_rev);
            let from = user_rev.filter(|_| !plan.resets_all).unwrap_or(sent_to);
            let (stream, room, checked) = (user_stream, subscription.room.clone(), plan.user_rev);
            planned.push(PlannedSubscription { stream, room, from, checked, is_reset: false, is_requested: true });
        }
        self.running_sync = Some(RunningSync::new(id, planned, added, answer));
        self.continue_sync(ctx);
    }

    /// Makes as many planned subscriptions of a sync as the client has room for.
    fn make_planned_subscriptions(&mut self, ctx: &mut Context<Self>) {
        while !self.is_closing
            && self.flow.has_room()
            && let Some(planned) = self.running_sync.as_mut().and_then(RunningSync::next)
        {
            let PlannedSubscription { stream, room, from, checked, is_reset, is_requested } = planned;
            let mut skip_to = from;
            if let Stream::Conversation(id) = stream {
                if is_reset {
                    self.send(&ServerFrame::SyncReset { conversation_id: Some(id), last_rev: Some(from) }, None, ctx);
                }
                // If the client knows already that its user has joined again, it must get no events from before that.
                let added_to_sync = self.running_sync.as_ref().and_then(|sync| sync.added.get(&id));
                let joined = added_to_sync.or(self.added_conversations.get(&id));
                skip_to = joined.copied().filter(|joined| *joined > checked).map_or(from, |joined| joined.max(from));
            }
            self.subscribe_to(stream, room, from, checked, ctx);
            if let Some(subscription) = self.subscriptions.get_mut(&stream) {
                subscription.skip_to = skip_to;
                subscription.sync_from = is_requested.then_some(from);
            }
        }
    }

    /// Continues a sync: makes the planned subscriptions that the client has room for, then those to the conversations
    /// that the replay of the user stream added, and sends the answer when every room has ended its replay.
    pub(super) fn continue_sync(&mut self, ctx: &mut Context<Self>) {
        self.make_planned_subscriptions(ctx);
        let Some(sync) = self.running_sync.as_mut().filter(|sync| !sync.is_checking_added) else { return };
        if !sync.added.is_empty() && !sync.awaits_user_stream {
            sync.is_checking_added = true;
            let added = std::mem::take(&mut sync.added);
            let then = move |session: &mut Self, added: AddedSubscriptions, ctx: &mut Context<Self>| {
                let Some(sync) = &mut session.running_sync else { return };
                sync.is_checking_added = false;
                for (planned, membership) in added {
                    sync.add(planned, &membership);
                }
                session.continue_sync(ctx);
            };
            return self.check_added(added, then, ctx);
        }
        let Some(sync) = self.running_sync.take_if(|sync| sync.is_over()) else { return };
        self.send(&ServerFrame::SyncDone(Box::new(sync.answer)), sync.id.as_ref(), ctx);
        self.leave_lane(Lane::Subscriptions, ctx);
    }

    /// Adds a conversation that the user joined at the revision `joined`, from which the session subscribes to it. If a
    /// sync still replays the user stream, it subscribes before its end. Otherwise the subscription waits for the lane,
    /// and no sync waits for it.
    ///
    /// On a node that learns of events through the log, the user stream can be ahead of the conversation stream. An
    /// earlier subscription may then still bring events from before the user left. They would arrive after the
    /// client has learned that the user joined, so the session skips them.
    pub(super) fn add_conversation(&mut self, conversation: ConversationId, joined: Rev, ctx: &mut Context<Self>) {
        if let Some(subscription) = self.subscriptions.get_mut(&Stream::Conversation(conversation))
            && !subscription.includes_join(joined)
        {
            subscription.skip_to = subscription.skip_to.max(joined);
        }
        if let Some(sync) = self.running_sync.as_mut().filter(|sync| sync.awaits_user_stream) {
            sync.added.insert(conversation, joined);
            return;
        }
        if !self.subscribes_to_added {
            if self.added_conversations.len() < limits::IDS_IN_COMMAND {
                self.added_conversations.insert(conversation, joined);
            }
            return;
        }
        let has_job = !self.added_conversations.is_empty();
        self.added_conversations.insert(conversation, joined);
        if has_job {
            return;
        }
        let job: LaneJob = Box::new(|session, ctx| {
            let added = std::mem::take(&mut session.added_conversations);
            let then = |session: &mut Self, added: AddedSubscriptions, ctx: &mut Context<Self>| {
                for (planned, _) in added {
                    session.subscribe_to(planned.stream, planned.room, planned.from, planned.checked, ctx);
                }
                session.leave_lane(Lane::Subscriptions, ctx);
            };
            session.check_added(added, then, ctx);
            JobState::Continues
        });
        if let Some(job) = self.lanes.enter_always(Lane::Subscriptions, job) {
            self.run_lane(Lane::Subscriptions, job, ctx);
        }
    }

    /// Checks the right to read added conversations, and calls `then` with the subscriptions to make.
    fn check_added(
        &self,
        added: HashMap<ConversationId, Rev>,
        then: impl FnOnce(&mut Self, AddedSubscriptions, &mut Context<Self>) + Send + Sync + 'static,
        ctx: &Context<Self>,
    ) {
        let work = self.check_rooms(added.keys().copied().collect());
        let then = move |session: &mut Self, outcome: Result<CheckedRooms>, ctx: &mut Context<Self>| match outcome {
            Ok(checked) => {
                let planned = session.plan_added(checked, &added);
                then(session, planned, ctx);
            }
            // The client reconnects, and gets the added conversations again from its user stream.
            Err(_) => session.close(Close::Restart, ctx),
        };
        self.spawn_work(work, then, ctx);
    }

    fn plan_added(&self, checked: CheckedRooms, added: &HashMap<ConversationId, Rev>) -> AddedSubscriptions {
        let CheckedRooms { mut rooms, memberships, .. } = checked;
        let plan = |membership: Membership| {
            let conversation = membership.conversation_id;
            let stream = Stream::Conversation(conversation);
            let (room, from) = (rooms.remove(&conversation)?, added.get(&conversation).copied()?);
            let is_included =
                self.subscriptions.get(&stream).is_some_and(|subscription| subscription.includes_join(from));
            // If the user has left and joined again in the meantime, a later event adds the conversation again.
            if is_included || from < membership.joined_rev {
                return None;
            }
            let checked = membership.last_rev;
            let planned = PlannedSubscription { stream, room, from, checked, is_reset: false, is_requested: false };
            Some((planned, membership))
        };
        memberships.into_iter().filter_map(plan).collect()
    }

    /// Starts the rooms of conversations, then checks in the database whether the user may subscribe to them.
    fn check_rooms(
        &self,
        conversations: Vec<ConversationId>,
    ) -> impl Future<Output = Result<CheckedRooms>> + Send + 'static {
        let (app, hub, caller) = (self.services.app.clone(), self.services.hub.clone(), self.caller());
        async move {
            let caller =
                caller.ok_or_else(|| Error::unauthorized("This connection is not authenticated; send auth first."))?;
            // Start only rooms of conversations that the user is probably in, because a client can send any ids.
            let likely = app.db().run(sessions::filter_likely_conversations(&app, &caller, &conversations)).await?;
            let streams = likely.iter().map(|id| Stream::Conversation(*id)).collect();
            let rooms = hub.send(OpenRooms(streams)).await.map_err(Error::internal)??;
            let (memberships, denied) =
                app.db().run(sessions::check_subscriptions(&app, &caller, &conversations)).await?;
            Ok(CheckedRooms { rooms: likely.into_iter().zip(rooms).collect(), memberships, denied })
        }
    }
}

/// Decides which conversations the client must read again. A reset is necessary if the client has revisions that the
/// server does not have, if the user was not a participant all the time, or if the log lacks events.
async fn plan_sync(
    app: &crate::app::App,
    caller: &crate::usecases::Caller,
    checked_rooms: CheckedRooms,
    request: &SyncConversations,
) -> Result<SyncPlan> {
    let user_rev = sessions::check_login(app, caller).await?;
    let mut resets_all = request.epoch.as_ref().is_some_and(|epoch| *epoch != app.epoch());
    let mut reset_conversations = HashSet::new();
    let mut behind = Vec::new();
    for membership in &checked_rooms.memberships {
        let id = membership.conversation_id;
        let from = request.conversations.get(&id).copied().unwrap_or(membership.last_rev);
        if from > membership.last_rev || from < membership.joined_rev {
            reset_conversations.insert(id);
        } else if from < membership.last_rev {
            behind.push((Stream::Conversation(id), from));
        }
    }
    match request.user_rev {
        Some(from) if from > user_rev => resets_all = true,
        Some(from) if from < user_rev => behind.push((Stream::User(caller.user_id), from)),
        _ => {}
    }
    if !resets_all {
        for stream in sessions::list_unreachable(app, &behind).await? {
            match stream {
                Stream::Conversation(id) => {
                    reset_conversations.insert(id);
                }
                Stream::User(_) => resets_all = true,
            }
        }
    }
    Ok(SyncPlan { checked_rooms, user_rev, resets_all, reset_conversations })
}

fn check_count(field: &str, count: usize, max: usize) -> Result<()> {
    if count > max {
        return Err(Error::invalid(field, format!("must have at most {max} items")));
    }
    Ok(())
}
