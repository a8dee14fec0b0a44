//! What a session follows: subscribe, unsubscribe, sync, and conversations gained. All of it shares one lane. A right is
//! read only after the room runs, so that what commits in between is held back for it and not lost.

use super::lanes::{Lane, Turn};
use super::syncing::{self, Next, Syncing};
use super::{LaneJob, Session};
use crate::domain::codes::Close;
use crate::domain::ids::{ConversationId, Rev};
use crate::domain::limits;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::mailboxes::{OpenRooms, ToRoom};
use crate::protocol::client::{FrameId, Sync};
use crate::protocol::server::{Denied, ServerFrame, SyncDone};
use crate::store::participants::Membership;
use crate::usecases::sessions;
use actix::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was gained and may be followed.
type Gained = Vec<(Next, Membership)>;

/// Rooms that run, and who may follow them.
struct Admitted {
    rooms: HashMap<ConversationId, Recipient<ToRoom>>,
    memberships: Vec<Membership>,
    denied: Vec<Denied>,
}

/// What a sync found out before anything is replayed.
struct Prepared {
    admitted: Admitted,
    user_rev: Rev,
    /// Whether everything is to be read anew.
    all_anew: bool,
    /// The conversations to be read anew.
    anew: HashSet<ConversationId>,
}

impl Session {
    pub(super) fn subscribe(&mut self, wanted: Vec<ConversationId>, id: Option<FrameId>, ctx: &mut Context<Self>) {
        if let Err(error) = few_enough("conversation_ids", wanted.len(), limits::IDS_IN_COMMAND) {
            return self.refuse(&error, id.as_ref(), None, ctx);
        }
        let refused = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            let work = session.admit(wanted);
            let then = move |session: &mut Self, outcome: Result<Admitted>, ctx: &mut Context<Self>| {
                match outcome {
                    Err(error) => session.refuse(&error, id.as_ref(), None, ctx),
                    Ok(admitted) => session.subscribed(&admitted, id.as_ref(), ctx),
                }
                session.leave(Lane::Subscriptions, ctx);
            };
            session.run(work, then, ctx);
            Turn::Goes
        });
        self.enter(Lane::Subscriptions, refused.as_ref(), None, job, ctx);
    }

    /// Answers first, then follows: events come after the answer that names where they begin.
    fn subscribed(&mut self, admitted: &Admitted, id: Option<&FrameId>, ctx: &mut Context<Self>) {
        let revs: BTreeMap<_, _> = admitted.memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        let frame = ServerFrame::Subscribed {
            conversation_ids: revs.keys().copied().collect(),
            revs,
            denied: admitted.denied.clone(),
        };
        self.send(&frame, id, ctx);
        for membership in &admitted.memberships {
            let stream = Stream::Conversation(membership.conversation_id);
            if !self.rooms.contains_key(&stream)
                && let Some(room) = admitted.rooms.get(&membership.conversation_id)
            {
                self.follow(stream, room.clone(), membership.last_rev, membership.last_rev, ctx);
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, wanted: Vec<ConversationId>, id: Option<FrameId>, ctx: &mut Context<Self>) {
        let refused = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            for conversation in &wanted {
                if let Some(followed) = session.rooms.remove(&Stream::Conversation(*conversation)) {
                    followed.room.do_send(ToRoom::Unsubscribe(session.id)); // detach
                }
            }
            session.send(&ServerFrame::Unsubscribed { conversation_ids: wanted }, id.as_ref(), ctx);
            Turn::Over
        });
        self.enter(Lane::Subscriptions, refused.as_ref(), None, job, ctx);
    }

    /// One part of a sync; the last one begins it.
    pub(super) fn sync(&mut self, part: Sync, id: Option<FrameId>, ctx: &mut Context<Self>) {
        self.sync_parts.conversations.extend(part.conversations);
        self.sync_parts.user_rev = part.user_rev.or(self.sync_parts.user_rev);
        self.sync_parts.epoch = part.epoch.or(self.sync_parts.epoch.take());
        if let Err(error) =
            few_enough("conversations", self.sync_parts.conversations.len(), limits::CONVERSATIONS_IN_SYNC)
        {
            self.sync_parts = Sync::default();
            return self.refuse(&error, id.as_ref(), None, ctx);
        }
        if part.more {
            self.sync_goes_on(ctx);
            if id.is_some() {
                self.send(&ServerFrame::Ack {}, id.as_ref(), ctx);
            }
            return;
        }
        let wanted = std::mem::take(&mut self.sync_parts);
        let refused = id.clone();
        let job: LaneJob = Box::new(move |session, ctx| {
            session.sync_begins(ctx);
            let (admit, app) =
                (session.admit(wanted.conversations.keys().copied().collect()), session.around.app.clone());
            let caller = session.caller();
            let asked = wanted.conversations.clone();
            let work = async move {
                let caller = caller
                    .ok_or_else(|| Error::unauthorized("nobody has signed in on this connection; send auth first"))?;
                let admitted = admit.await?;
                let prepared = app.db().guard(prepare(&app, &caller, admitted, &wanted)).await?;
                Ok((prepared, wanted.user_rev))
            };
            let then = move |session: &mut Self, outcome: Result<(Prepared, Option<Rev>)>, ctx: &mut Context<Self>| {
                match outcome {
                    Err(error) => {
                        session.refuse(&error, id.as_ref(), None, ctx);
                        session.sync_refused(ctx);
                        session.leave(Lane::Subscriptions, ctx);
                    }
                    Ok((prepared, user_rev)) => session.replay(prepared, &asked, user_rev, id, ctx),
                }
            };
            session.run(work, then, ctx);
            Turn::Goes
        });
        self.enter(Lane::Subscriptions, refused.as_ref(), None, job, ctx);
    }

    /// Says what must be read anew, and lets every room replay what was missed.
    fn replay(
        &mut self,
        prepared: Prepared,
        asked: &BTreeMap<ConversationId, Rev>,
        user_rev: Option<Rev>,
        id: Option<FrameId>,
        ctx: &mut Context<Self>,
    ) {
        let Some(caller) = self.caller() else { return };
        let mut gained = HashMap::new();
        if !std::mem::replace(&mut self.follows_gained, true) {
            gained = std::mem::take(&mut self.gained);
            gained.retain(|conversation, _| !asked.contains_key(conversation));
        }
        if prepared.all_anew {
            self.send(&ServerFrame::SyncReset { conversation_id: None, last_rev: None }, None, ctx);
        }
        let own = Stream::User(caller.user_id);
        let mut done =
            SyncDone { user_rev: prepared.user_rev, denied: prepared.admitted.denied, ..SyncDone::default() };
        let mut follow = Vec::new();
        for membership in prepared.admitted.memberships {
            let conversation = membership.conversation_id;
            let Some(room) = prepared.admitted.rooms.get(&conversation) else { continue };
            let anew = prepared.anew.contains(&conversation);
            let from = if anew || prepared.all_anew {
                membership.last_rev
            } else {
                asked.get(&conversation).copied().unwrap_or(membership.last_rev)
            };
            syncing::names(&mut done, &membership);
            let (stream, checked) = (Stream::Conversation(conversation), membership.last_rev);
            let reset = anew && !prepared.all_anew;
            follow.push(Next { stream, room: room.clone(), from, checked, reset, asked: true });
        }
        if let Some(followed) = self.rooms.get(&own) {
            // who names no revision has what came here, and not what is still on its way
            let came = followed.reached.min(prepared.user_rev);
            let from = user_rev.filter(|_| !prepared.all_anew).unwrap_or(came);
            let (room, checked) = (followed.room.clone(), prepared.user_rev);
            follow.push(Next { stream: own, room, from, checked, reset: false, asked: true });
        }
        self.syncing = Some(Syncing::new(id, follow, gained, done));
        self.synced(ctx);
    }

    /// Follows as much of a sync as the client has room for.
    fn follow_next(&mut self, ctx: &mut Context<Self>) {
        while !self.closing
            && self.flow.has_room()
            && let Some(next) = self.syncing.as_mut().and_then(Syncing::next)
        {
            let Next { stream, room, from, checked, reset, asked } = next;
            let mut after = from;
            if let Stream::Conversation(id) = stream {
                if reset {
                    self.send(&ServerFrame::SyncReset { conversation_id: Some(id), last_rev: Some(from) }, None, ctx);
                }
                // the client has been told already that its user came in again: nothing comes from before that
                let told = self.syncing.as_ref().and_then(|syncing| syncing.gained.get(&id)).or(self.gained.get(&id));
                after = told.copied().filter(|told| *told > checked).map_or(from, |told| told.max(from));
            }
            self.follow(stream, room, from, checked, ctx);
            if let Some(followed) = self.rooms.get_mut(&stream) {
                followed.after = after;
                followed.synced = asked.then_some(from);
            }
        }
    }

    /// Goes on with a sync: follows what there is room for, then what the replay of the user's own stream said was gained,
    /// and ends when every room has replayed.
    pub(super) fn synced(&mut self, ctx: &mut Context<Self>) {
        self.follow_next(ctx);
        let Some(syncing) = self.syncing.as_mut().filter(|syncing| !syncing.admitting) else { return };
        if !syncing.gained.is_empty() && !syncing.own {
            syncing.admitting = true;
            let gained = std::mem::take(&mut syncing.gained);
            let then = move |session: &mut Self, gained: Gained, ctx: &mut Context<Self>| {
                let Some(syncing) = &mut session.syncing else { return };
                syncing.admitting = false;
                for (next, membership) in gained {
                    syncing.gains(next, &membership);
                }
                session.synced(ctx);
            };
            return self.admit_gained(gained, then, ctx);
        }
        let Some(syncing) = self.syncing.take_if(|syncing| syncing.is_over()) else { return };
        self.send(&ServerFrame::SyncDone(Box::new(syncing.done)), syncing.id.as_ref(), ctx);
        self.leave(Lane::Subscriptions, ctx);
    }

    /// A conversation was gained: follow it from the revision at which the user came in. A sync that replays the user's
    /// own stream does so before its end; one that was told of after that replay waits for the lane, and not the sync
    /// for it.
    ///
    /// On a node that hears of events through the log, the user's stream can run ahead of the conversation's: what an
    /// earlier subscription still brings, from before the user left, comes too late to be handed out in order.
    pub(super) fn gain(&mut self, conversation: ConversationId, from: Rev, ctx: &mut Context<Self>) {
        if let Some(followed) = self.rooms.get_mut(&Stream::Conversation(conversation))
            && !followed.stands(from)
        {
            followed.after = followed.after.max(from);
        }
        if let Some(syncing) = self.syncing.as_mut().filter(|syncing| syncing.own) {
            syncing.gained.insert(conversation, from);
            return;
        }
        if !self.follows_gained {
            if self.gained.len() < limits::IDS_IN_COMMAND {
                self.gained.insert(conversation, from);
            }
            return;
        }
        let queued = !self.gained.is_empty();
        self.gained.insert(conversation, from);
        if queued {
            return;
        }
        let job: LaneJob = Box::new(|session, ctx| {
            let gained = std::mem::take(&mut session.gained);
            let then = |session: &mut Self, gained: Gained, ctx: &mut Context<Self>| {
                for (next, _) in gained {
                    session.follow(next.stream, next.room, next.from, next.checked, ctx);
                }
                session.leave(Lane::Subscriptions, ctx);
            };
            session.admit_gained(gained, then, ctx);
            Turn::Goes
        });
        if let Some(job) = self.lanes.enter_always(Lane::Subscriptions, job) {
            self.work(Lane::Subscriptions, job, ctx);
        }
    }

    /// Finds those of the conversations gained that the user is in still and that are to be followed; `then` does it.
    fn admit_gained(
        &self,
        gained: HashMap<ConversationId, Rev>,
        then: impl FnOnce(&mut Self, Gained, &mut Context<Self>) + Send + std::marker::Sync + 'static,
        ctx: &Context<Self>,
    ) {
        let work = self.admit(gained.keys().copied().collect());
        let then = move |session: &mut Self, outcome: Result<Admitted>, ctx: &mut Context<Self>| match outcome {
            Ok(admitted) => {
                let followed = session.gained(admitted, &gained);
                then(session, followed, ctx);
            }
            // it comes back, reads its stream again and tries again
            Err(_) => session.close(Close::Restart, ctx),
        };
        self.run_aside(work, then, ctx);
    }

    fn gained(&self, admitted: Admitted, gained: &HashMap<ConversationId, Rev>) -> Gained {
        let Admitted { mut rooms, memberships, .. } = admitted;
        let next = |membership: Membership| {
            let conversation = membership.conversation_id;
            let stream = Stream::Conversation(conversation);
            let (room, from) = (rooms.remove(&conversation)?, gained.get(&conversation).copied()?);
            let stands = self.rooms.get(&stream).is_some_and(|followed| followed.stands(from));
            // who left and came back meanwhile has a later event that says so
            if stands || from < membership.joined_rev {
                return None;
            }
            let checked = membership.last_rev;
            Some((Next { stream, room, from, checked, reset: false, asked: false }, membership))
        };
        memberships.into_iter().filter_map(next).collect()
    }

    /// Starts the rooms, then reads the right to follow them.
    fn admit(&self, wanted: Vec<ConversationId>) -> impl Future<Output = Result<Admitted>> + Send + 'static {
        let (app, hub, caller) = (self.around.app.clone(), self.around.hub.clone(), self.caller());
        async move {
            let caller = caller
                .ok_or_else(|| Error::unauthorized("nobody has signed in on this connection; send auth first"))?;
            // only rooms that will probably be followed are started, whatever ids a client makes up
            let likely = app.db().guard(sessions::likely_among(&app, &caller, &wanted)).await?;
            let streams = likely.iter().map(|id| Stream::Conversation(*id)).collect();
            let rooms = hub.send(OpenRooms(streams)).await.map_err(Error::internal)??;
            let (memberships, denied) = app.db().guard(sessions::admit(&app, &caller, &wanted)).await?;
            Ok(Admitted { rooms: likely.into_iter().zip(rooms).collect(), memberships, denied })
        }
    }
}

/// Decides which of the conversations asked for must be read anew.
async fn prepare(
    app: &crate::app::App,
    caller: &crate::usecases::Caller,
    admitted: Admitted,
    wanted: &Sync,
) -> Result<Prepared> {
    let user_rev = sessions::standing(app, caller).await?;
    let mut all_anew = wanted.epoch.as_ref().is_some_and(|epoch| *epoch != app.epoch());
    let mut anew = HashSet::new();
    let mut behind = Vec::new();
    for membership in &admitted.memberships {
        let id = membership.conversation_id;
        let from = wanted.conversations.get(&id).copied().unwrap_or(membership.last_rev);
        if from > membership.last_rev || from < membership.joined_rev {
            anew.insert(id);
        } else if from < membership.last_rev {
            behind.push((Stream::Conversation(id), from));
        }
    }
    match wanted.user_rev {
        Some(from) if from > user_rev => all_anew = true,
        Some(from) if from < user_rev => behind.push((Stream::User(caller.user_id), from)),
        _ => {}
    }
    if !all_anew {
        for stream in sessions::out_of_reach(app, &behind).await? {
            match stream {
                Stream::Conversation(id) => {
                    anew.insert(id);
                }
                Stream::User(_) => all_anew = true,
            }
        }
    }
    Ok(Prepared { admitted, user_rev, all_anew, anew })
}

fn few_enough(field: &str, count: usize, most: usize) -> Result<()> {
    if count > most {
        return Err(Error::invalid(field, format!("must have at most {most} items")));
    }
    Ok(())
}
