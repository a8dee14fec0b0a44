//! The session: its commands, its lane, the messages of rooms, and the effects that it applies.

use super::client::Checked;
use super::harness::{Check, Job, OWN, Simulation, ToRoom, USER, conversations_of};
use greenroom::domain::ids::Rev;
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::RoomEvent;
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::subscriptions::SyncConversations;
use greenroom::realtime::following::{FollowEffect, Following};
use greenroom::store::members::Membership;
use std::collections::{BTreeMap, VecDeque};

impl Simulation {
    pub fn reconnect(&mut self, subscribe_none: bool) {
        for room in self.rooms.values_mut() {
            room.inbox.push_back((self.session, ToRoom::Unsubscribe));
        }
        self.session += 1;
        self.following = Following::new(subscribe_none);
        (self.subscribe_none, self.open) = (subscribe_none, false);
        (self.is_lane_busy, self.client_reads, self.waits_for_sync) = (false, true, false);
        self.mailbox.clear();
        self.lane.clear();
        // The rooms run before the rights are read.
        for stream in self.log.keys() {
            self.rooms.entry(*stream).or_default();
        }
        self.checks = VecDeque::from([Check::Open]);
    }

    pub fn begin_session(&mut self, user_rev: Rev, memberships: &[Membership]) {
        self.open = true;
        let heads: Vec<_> = memberships.iter().map(|of| (of.conversation_id, of.last_rev)).collect();
        self.client.start_session(OWN, user_rev, &heads, self.subscribe_none);
        let rooms = heads.iter().filter(|_| !self.subscribe_none);
        let rooms = rooms.map(|(id, head)| (*id, Stream::Conversation(*id), *head)).collect();
        self.following.begin_session(USER, OWN, user_rev, rooms);
    }

    pub fn command(&mut self, job: Job) {
        if self.open {
            self.client.skip_first_sync();
            self.client.unanswered += 1;
            self.following.skip_first_sync();
            self.enter_lane(job);
        }
    }

    /// Subscribes to those of the conversations that the client does not follow, as far as it knows.
    pub fn subscribe(&mut self, bits: usize) {
        let missing = conversations_of(bits).into_iter().filter(|id| !self.client.follows.contains(id)).collect();
        self.command(Job::Subscribe(missing));
    }

    pub fn send_sync(&mut self, in_parts: bool, names_user_rev: bool) {
        if !self.open || self.client.unanswered > 0 || self.client.syncs > 0 {
            return;
        }
        let mut conversations = self.client.start_sync(OWN, names_user_rev);
        let user_rev = names_user_rev.then_some(self.client.known_revs[&OWN]);
        if in_parts && let Some((id, rev)) = conversations.pop_first() {
            let part =
                SyncConversations { conversations: BTreeMap::from([(id, rev)]), more: true, ..Default::default() };
            assert!(self.following.add_sync_part(part).expect("a small sync").is_none());
        }
        let part = SyncConversations { conversations, user_rev, ..SyncConversations::default() };
        let whole = self.following.add_sync_part(part).expect("a small sync").expect("the last part");
        self.enter_lane(Job::Sync(whole));
    }

    pub fn time_out_sync(&mut self) {
        if self.waits_for_sync {
            self.client.skip_first_sync();
            self.following.skip_first_sync();
        }
    }

    pub fn client_reads(&mut self) {
        self.client_reads = true;
        self.following.set_may_replay(true);
        self.following.continue_replays();
    }

    pub fn session_message(&mut self) {
        let Some((stream, number, event)) = self.mailbox.pop_front() else { return };
        match event {
            RoomEvent::Events(batch) => self.following.handle_events(stream, number, &batch),
            RoomEvent::Page(batch) => {
                self.following.handle_events(stream, number, &batch);
                self.following.handle_page_sent(stream);
            }
            RoomEvent::Live(rev) => self.following.handle_live(stream, number, rev),
            RoomEvent::Reset(rev) => self.following.handle_reset(stream, number, rev),
            RoomEvent::Left(checked_rev) => self.following.handle_left(stream, checked_rev),
            RoomEvent::Gone => self.reconnect(true),
            RoomEvent::Ephemeral(_) => {}
        }
    }

    pub fn enter_lane(&mut self, job: Job) {
        self.lane.push_back(job);
        self.run_lane();
    }

    pub fn run_lane(&mut self) {
        while !self.is_lane_busy
            && let Some(job) = self.lane.pop_front()
        {
            self.is_lane_busy = true;
            match job {
                Job::Subscribe(ids) => self.following.begin_subscribe(ids, None),
                Job::Sync(sync) => self.following.begin_sync(sync, None),
                Job::Added => self.following.begin_added(),
                Job::Unsubscribe(ids) => {
                    self.following.unsubscribe(ids, None);
                    self.is_lane_busy = false;
                }
            }
        }
    }

    pub fn apply_effects(&mut self) -> Checked {
        while let Some(effect) = self.following.next_effect() {
            self.following.set_may_replay(self.client_reads);
            match effect {
                FollowEffect::Send(frame, _) => self.client.receive_frame(OWN, &frame)?,
                FollowEffect::SendEvents(batch) => {
                    for frame in &batch.envelopes {
                        let stream = self.stream_of(frame);
                        let (_, meaning) = self.log[&stream][frame.rev.0 as usize - 1];
                        self.client.receive_event(stream, frame, meaning)?;
                    }
                }
                FollowEffect::CheckSubscribe(of) | FollowEffect::CheckAdded(of) => {
                    self.checks.push_back(Check::Rights(of));
                }
                FollowEffect::CheckSync(sync) => self.checks.push_back(Check::Sync(sync)),
                FollowEffect::Subscribe { room, number, from, checked_rev, .. } => {
                    self.send_to_room(room, ToRoom::Subscribe { number, from, checked_rev });
                }
                FollowEffect::Unsubscribe { room } => self.send_to_room(room, ToRoom::Unsubscribe),
                FollowEffect::Continue { room } => self.send_to_room(room, ToRoom::Continue),
                FollowEffect::StartSyncTimer => self.waits_for_sync = true,
                FollowEffect::StopSyncTimer => self.waits_for_sync = false,
                FollowEffect::QueueAdded => self.enter_lane(Job::Added),
                FollowEffect::LeaveLane => {
                    self.is_lane_busy = false;
                    self.run_lane();
                }
                FollowEffect::Refuse(error, _) => return Err(format!("refused: {error:?}")),
                FollowEffect::Close(close) => return Err(format!("closed: {close:?}")),
            }
        }
        self.following.set_may_replay(self.client_reads);
        Ok(())
    }

    pub fn send_to_room(&mut self, room: Stream, message: ToRoom) {
        self.rooms.entry(room).or_default().inbox.push_back((self.session, message));
    }

    pub fn stream_of(&self, frame: &Envelope) -> Stream {
        *self.log.keys().find(|stream| stream.id().to_string() == *frame.text).expect("the text names the stream")
    }
}
