//! A client that follows the rules of the protocol, and the checks of everything that it gets.

use greenroom::domain::ids::{ConversationId, Rev};
use greenroom::domain::stream::Stream;
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::server::ServerFrame;
use greenroom::protocol::subscriptions::{Subscribed, SyncDone, SyncReset, Unsubscribed};
use std::collections::{BTreeMap, BTreeSet};

pub type Checked<T = ()> = Result<T, String>;

pub fn ensure(holds: bool, fault: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(fault()) }
}

/// The meaning of an event for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    Message,
    /// The user left the conversation.
    Left,
    /// On the user stream: the user was added by the event with this revision.
    Added(ConversationId, Rev),
    /// On the user stream: the user has left.
    Removed(ConversationId),
}

/// A client over many sessions.
#[derive(Default)]
pub struct Client {
    /// The newest revision of each stream up to which nothing is missing.
    pub known_revs: BTreeMap<Stream, Rev>,
    /// Events that came before those of smaller revisions.
    ahead: BTreeMap<Stream, BTreeMap<Rev, Meaning>>,
    /// The head of the user stream when the session began.
    start_rev: Rev,
    /// Events that came in this session.
    received: BTreeSet<(Stream, Rev)>,
    /// The conversations that the client subscribed to with a command, each with the revision in the answer, after
    /// which events come. Earlier events may come when the client learns that its user was added.
    answered: BTreeMap<Stream, Rev>,
    /// Conversations that the user has left in this session, without an event that the user was added again.
    left: BTreeSet<ConversationId>,
    /// Conversations of which no event may come until the client subscribes to them, or its user is added to them.
    unsubscribed: BTreeSet<ConversationId>,
    /// Conversations of which this session must get every event.
    pub follows: BTreeSet<ConversationId>,
    /// Whether the session subscribes by itself to conversations that the user is added to.
    follows_added: bool,
    /// Whether live events of the user stream may come before the events that a sync replays.
    may_be_ahead: bool,
    /// The number of syncs without an answer.
    pub syncs: usize,
    /// The number of `subscribe` and `unsubscribe` commands without an answer. An answer may change the revisions of
    /// the client, so it sends no sync before the answer.
    pub unanswered: usize,
}

impl Client {
    /// Starts a session.
    pub fn start_session(&mut self, own: Stream, user_rev: Rev, heads: &[(ConversationId, Rev)], subscribe_none: bool) {
        self.ahead.clear();
        self.follows.clear();
        self.received.clear();
        self.left.clear();
        self.unsubscribed.clear();
        self.answered.clear();
        (self.syncs, self.unanswered) = (0, 0);
        (self.follows_added, self.may_be_ahead) = (!subscribe_none, false);
        self.start_rev = user_rev;
        self.known_revs.entry(own).or_insert(user_rev);
        if !subscribe_none {
            // The client reads everything before these revisions over REST.
            self.known_revs.insert(own, user_rev);
            for (conversation, head) in heads {
                self.known_revs.insert(Stream::Conversation(*conversation), *head);
                self.follows.insert(*conversation);
            }
        }
    }

    /// Starts a sync with all revisions of the client, and returns them. If the sync names no revision of the user
    /// stream, the client reads the changes before this session over REST.
    pub fn start_sync(&mut self, own: Stream, names_user_rev: bool) -> BTreeMap<ConversationId, Rev> {
        self.syncs += 1;
        if !names_user_rev {
            self.advance(own, self.known_revs[&own].max(self.start_rev));
        }
        let conversations = self.known_revs.iter().filter_map(|(stream, rev)| match stream {
            Stream::Conversation(id) => Some((*id, *rev)),
            Stream::User(_) => None,
        });
        conversations.collect()
    }

    /// Records that the client sent another command before its first sync, or no command in time. A later sync is then
    /// not a first sync.
    pub fn skip_first_sync(&mut self) {
        self.may_be_ahead |= self.syncs == 0 && !self.follows_added;
    }

    /// Receives an event.
    pub fn receive_event(&mut self, stream: Stream, frame: &Envelope, meaning: Meaning) -> Checked {
        let Some(known) = self.known_revs.get(&stream).copied() else {
            return Err(format!("{stream:?} {} came and the client does not know the stream", frame.rev));
        };
        ensure(self.received.insert((stream, frame.rev)), || format!("{stream:?} {} came twice", frame.rev))?;
        let mut may_be_ahead = self.may_be_ahead;
        if let Stream::Conversation(id) = stream {
            // After the client has learned of a leave, events may be from before the leave, or from after the user
            // joined again, which the client will learn.
            may_be_ahead = self.left.contains(&id);
            let ended = self.unsubscribed.contains(&id) && self.syncs == 0;
            ensure(!ended || may_be_ahead, || format!("{stream:?} {} came after `unsubscribed`", frame.rev))?;
        }
        if frame.rev <= known && (may_be_ahead || self.answered.contains_key(&stream)) {
            return Ok(());
        }
        ensure(frame.rev > known, || format!("{stream:?} {} came again, or late: {known} is known", frame.rev))?;
        // The former subscription may have ended without a message. Then the client reads the events in between over
        // REST.
        let known = self.answered.get(&stream).copied().filter(|from| frame.rev == from.next()).unwrap_or(known);
        ensure(may_be_ahead || frame.rev == known.next(), || format!("{stream:?} {} came after {known}", frame.rev))?;
        self.ahead.entry(stream).or_default().insert(frame.rev, meaning);
        self.advance(stream, known);
        Ok(())
    }

    /// Records that the client has everything up to `rev`, and applies the events that follow without a gap.
    fn advance(&mut self, stream: Stream, rev: Rev) {
        self.known_revs.insert(stream, rev);
        self.ahead.entry(stream).or_default().retain(|ahead, _| *ahead > rev);
        let next = rev.next();
        if let Some(meaning) = self.ahead.get_mut(&stream).and_then(|ahead| ahead.remove(&next)) {
            self.apply(stream, meaning);
            self.advance(stream, next);
        }
    }

    fn apply(&mut self, stream: Stream, meaning: Meaning) {
        match (stream, meaning) {
            (Stream::Conversation(id), Meaning::Left) | (_, Meaning::Removed(id)) => {
                self.follows.remove(&id);
                self.left.insert(id);
            }
            (_, Meaning::Added(id, rev)) => {
                self.left.remove(&id);
                self.unsubscribed.remove(&id);
                if self.follows_added || self.syncs > 0 {
                    self.follows.insert(id);
                }
                let stream = Stream::Conversation(id);
                let known = self.known_revs.get(&stream).map_or(rev, |known| rev.max(*known));
                self.advance(stream, known);
            }
            _ => {}
        }
    }

    /// Receives a frame that is no event.
    pub fn receive_frame(&mut self, own: Stream, frame: &ServerFrame) -> Checked {
        match frame {
            ServerFrame::Subscribed(Subscribed { revs, .. }) => {
                self.unanswered -= 1;
                for (id, rev) in revs {
                    let stream = Stream::Conversation(*id);
                    // An answer from before the leave of the user is not valid any more.
                    let is_outdated =
                        self.left.contains(id) && self.known_revs.get(&stream).is_some_and(|known| rev < known);
                    if is_outdated {
                        continue;
                    }
                    self.answered.insert(stream, *rev);
                    if self.follows.insert(*id) {
                        self.left.remove(id);
                        self.unsubscribed.remove(id);
                        self.advance(stream, *rev);
                    }
                }
            }
            ServerFrame::Unsubscribed(Unsubscribed { conversation_ids }) => {
                self.unanswered -= 1;
                for id in conversation_ids {
                    self.follows.remove(id);
                    self.unsubscribed.insert(*id);
                    // If the client learns later that its user was added, it gets all events after that again.
                    self.received.retain(|(stream, _)| *stream != Stream::Conversation(*id));
                    self.answered.insert(Stream::Conversation(*id), Rev(0));
                }
            }
            ServerFrame::SyncReset(SyncReset { conversation_id: Some(id), last_rev: Some(rev) }) => {
                let stream = Stream::Conversation(*id);
                self.ahead.remove(&stream);
                self.known_revs.insert(stream, *rev);
                self.follows.insert(*id);
            }
            ServerFrame::SyncDone(done) => self.receive_sync_done(own, done)?,
            other => return Err(format!("unexpected: {other:?}")),
        }
        Ok(())
    }

    /// Checks that `sync.done` comes after the events up to the heads that it names.
    fn receive_sync_done(&mut self, own: Stream, done: &SyncDone) -> Checked {
        self.syncs -= 1;
        self.follows_added = true;
        self.unsubscribed.retain(|id| !done.conversations.contains_key(id));
        for (id, rev) in done.conversations.iter().filter(|(id, _)| !self.left.contains(id)) {
            let known = self.known_revs.get(&Stream::Conversation(*id)).copied();
            ensure(known >= Some(*rev), || format!("sync.done names {rev} of {id}, {known:?} is known"))?;
        }
        ensure(self.known_revs[&own] >= done.user_rev, || format!("sync.done names {} of the user", done.user_rev))?;
        // For denied conversations, events from before the leave may still be on their way.
        self.follows.extend(done.conversations.keys().filter(|id| !self.left.contains(id)));
        Ok(())
    }

    /// Checks at the end of a run that the client has all events of the streams that it follows.
    pub fn check_idle(
        &self,
        own: Stream,
        head_of: impl Fn(Stream) -> Rev,
        is_in: impl Fn(ConversationId) -> bool,
    ) -> Checked {
        ensure(self.syncs == 0 && self.unanswered == 0, || "a command has no answer".to_owned())?;
        if self.follows_added || self.may_be_ahead {
            let ahead = self.ahead.get(&own);
            let has = |rev| rev <= self.known_revs[&own] || ahead.is_some_and(|ahead| ahead.contains_key(&rev));
            let missing = (self.start_rev.0 + 1..=head_of(own).0).map(Rev).find(|rev| !has(*rev));
            ensure(missing.is_none(), || format!("{missing:?} of the user stream did not come"))?;
        }
        // A session that subscribes only by commands learns from its user stream that a subscription has ended.
        for id in self.follows.iter().filter(|id| self.follows_added && is_in(**id)) {
            let stream = Stream::Conversation(*id);
            let (newest, head) = (self.known_revs[&stream], head_of(stream));
            ensure(newest == head, || format!("{stream:?} is followed: {newest} is known, the head is {head}"))?;
        }
        Ok(())
    }

    /// Checks after a last sync that the client has all events of its streams.
    pub fn check_complete(
        &self,
        own: Stream,
        head_of: impl Fn(Stream) -> Rev,
        is_in: impl Fn(ConversationId) -> bool,
    ) -> Checked {
        for (stream, known) in &self.known_revs {
            let complete = match stream {
                Stream::User(_) => *stream == own,
                Stream::Conversation(id) => is_in(*id),
            };
            let head = head_of(*stream);
            ensure(!complete || *known == head, || format!("{stream:?}: {known} is known, the head is {head}"))?;
        }
        Ok(())
    }
}
