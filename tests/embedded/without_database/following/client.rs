//! A client that follows the rules of the protocol, and the checks of everything that it gets.

use greenroom::domain::ids::{ConversationId, Rev};
use greenroom::domain::stream::Stream;
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::server::ServerFrame;
use greenroom::protocol::subscriptions::{Subscribed, SyncDone, SyncReset, Unsubscribed};
use std::collections::{BTreeMap, BTreeSet};

pub type Checked<T = ()> = Result<T, String>;

pub fn must(holds: bool, fault: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(fault()) }
}

/// The meaning of an event for the client, which is the text of the test's frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    Message,
    /// The user left the conversation.
    Left,
    /// On the user's own stream: the user was added, with the event of this revision.
    Added(ConversationId, Rev),
    /// On the user's own stream: the user has left.
    Removed(ConversationId),
}

/// A client over many sessions.
#[derive(Default)]
pub struct Client {
    /// The newest revision of each stream up to which nothing is missing.
    pub held: BTreeMap<Stream, Rev>,
    /// Events that came before those of smaller revisions.
    ahead: BTreeMap<Stream, BTreeMap<Rev, Meaning>>,
    /// The head of the user stream when the session began.
    welcome_rev: Rev,
    /// Events that came in this session.
    received: BTreeSet<(Stream, Rev)>,
    /// Conversations that it asked for with `subscribe`, and after which revision the answer said that events come.
    /// Earlier events may come when the client is told that its user was added.
    answered: BTreeMap<Stream, Rev>,
    /// Conversations that the user left in this session and was not added to again, as far as the client knows.
    out: BTreeSet<ConversationId>,
    /// Conversations of which no event may come until the client asks for them, or its user is added to them.
    unsubscribed: BTreeSet<ConversationId>,
    /// Conversations of which this session must get every event.
    pub follows: BTreeSet<ConversationId>,
    /// Whether the session subscribes by itself to conversations that the user is added to.
    follows_added: bool,
    /// Whether live events of the user's own stream may come before those that a sync replays.
    may_be_ahead: bool,
    /// The number of syncs without an answer.
    pub syncs: usize,
    /// The same of `subscribe` and `unsubscribe`. An answer may change what the client holds, so it sends no sync
    /// before.
    pub unanswered: usize,
}

impl Client {
    /// Starts a session.
    pub fn opens(&mut self, own: Stream, user_rev: Rev, heads: &[(ConversationId, Rev)], subscribe_none: bool) {
        self.ahead.clear();
        self.follows.clear();
        self.received.clear();
        self.out.clear();
        self.unsubscribed.clear();
        self.answered.clear();
        (self.syncs, self.unanswered) = (0, 0);
        (self.follows_added, self.may_be_ahead) = (!subscribe_none, false);
        self.welcome_rev = user_rev;
        self.held.entry(own).or_insert(user_rev);
        if !subscribe_none {
            // The client reads everything before these revisions over REST.
            self.held.insert(own, user_rev);
            for (conversation, head) in heads {
                self.held.insert(Stream::Conversation(*conversation), *head);
                self.follows.insert(*conversation);
            }
        }
    }

    /// Sends a sync with everything that the client has.
    /// If the sync names no revision of the user stream, the client reads over REST what happened before this session.
    pub fn sends_sync(&mut self, own: Stream, names_user_rev: bool) -> BTreeMap<ConversationId, Rev> {
        self.syncs += 1;
        if !names_user_rev {
            self.hold(own, self.held[&own].max(self.welcome_rev));
        }
        let conversations = self.held.iter().filter_map(|(stream, rev)| match stream {
            Stream::Conversation(id) => Some((*id, *rev)),
            Stream::User(_) => None,
        });
        conversations.collect()
    }

    /// Records that the client sent a command other than a sync, or nothing for a while: a later sync is not the first
    /// one.
    pub fn sends_no_sync_first(&mut self) {
        self.may_be_ahead |= self.syncs == 0 && !self.follows_added;
    }

    /// Receives an event.
    pub fn event(&mut self, stream: Stream, frame: &Envelope, meaning: Meaning) -> Checked {
        let Some(held) = self.held.get(&stream).copied() else {
            return Err(format!("{stream:?} {} came and the client does not know the stream", frame.rev));
        };
        must(self.received.insert((stream, frame.rev)), || format!("{stream:?} {} came twice", frame.rev))?;
        let mut may_be_ahead = self.may_be_ahead;
        if let Stream::Conversation(id) = stream {
            // When the user's own stream said that the user left, what comes is from before that, or from after the
            // user joined again, which the client will learn.
            may_be_ahead = self.out.contains(&id);
            let ended = self.unsubscribed.contains(&id) && self.syncs == 0;
            must(!ended || may_be_ahead, || format!("{stream:?} {} came after `unsubscribed`", frame.rev))?;
        }
        if frame.rev <= held && (may_be_ahead || self.answered.contains_key(&stream)) {
            return Ok(());
        }
        must(frame.rev > held, || format!("{stream:?} {} came again, or late: {held} is held", frame.rev))?;
        // The subscription that the client had may have ended without a word. Then it reads what lies between over
        // REST.
        let held = self.answered.get(&stream).copied().filter(|from| frame.rev == from.next()).unwrap_or(held);
        must(may_be_ahead || frame.rev == held.next(), || format!("{stream:?} {} came after {held}", frame.rev))?;
        self.ahead.entry(stream).or_default().insert(frame.rev, meaning);
        self.hold(stream, held);
        Ok(())
    }

    /// Records that the client has everything up to `rev`, and applies the events that follow without a gap.
    fn hold(&mut self, stream: Stream, rev: Rev) {
        self.held.insert(stream, rev);
        self.ahead.entry(stream).or_default().retain(|ahead, _| *ahead > rev);
        let next = rev.next();
        if let Some(meaning) = self.ahead.get_mut(&stream).and_then(|ahead| ahead.remove(&next)) {
            self.act_on(stream, meaning);
            self.hold(stream, next);
        }
    }

    fn act_on(&mut self, stream: Stream, meaning: Meaning) {
        match (stream, meaning) {
            (Stream::Conversation(id), Meaning::Left) | (_, Meaning::Removed(id)) => {
                self.follows.remove(&id);
                self.out.insert(id);
            }
            (_, Meaning::Added(id, rev)) => {
                self.out.remove(&id);
                self.unsubscribed.remove(&id);
                if self.follows_added || self.syncs > 0 {
                    self.follows.insert(id);
                }
                let stream = Stream::Conversation(id);
                let held = self.held.get(&stream).map_or(rev, |held| rev.max(*held));
                self.hold(stream, held);
            }
            _ => {}
        }
    }

    /// Receives a frame that is no event.
    pub fn frame(&mut self, own: Stream, frame: &ServerFrame) -> Checked {
        match frame {
            ServerFrame::Subscribed(Subscribed { revs, .. }) => {
                self.unanswered -= 1;
                for (id, rev) in revs {
                    let stream = Stream::Conversation(*id);
                    // An answer from before the leave of the user is not valid any more.
                    let is_void = self.out.contains(id) && self.held.get(&stream).is_some_and(|held| rev < held);
                    if is_void {
                        continue;
                    }
                    self.answered.insert(stream, *rev);
                    if self.follows.insert(*id) {
                        self.out.remove(id);
                        self.unsubscribed.remove(id);
                        self.hold(stream, *rev);
                    }
                }
            }
            ServerFrame::Unsubscribed(Unsubscribed { conversation_ids }) => {
                self.unanswered -= 1;
                for id in conversation_ids {
                    self.follows.remove(id);
                    self.unsubscribed.insert(*id);
                    // If the client learns later that its user was added, it gets everything after that again.
                    self.received.retain(|(stream, _)| *stream != Stream::Conversation(*id));
                    self.answered.insert(Stream::Conversation(*id), Rev(0));
                }
            }
            ServerFrame::SyncReset(SyncReset { conversation_id: Some(id), last_rev: Some(rev) }) => {
                let stream = Stream::Conversation(*id);
                self.ahead.remove(&stream);
                self.held.insert(stream, *rev);
                self.follows.insert(*id);
            }
            ServerFrame::SyncDone(done) => self.done(own, done)?,
            other => return Err(format!("unexpected: {other:?}")),
        }
        Ok(())
    }

    /// Checks that `sync.done` comes after the events up to the heads that it names.
    fn done(&mut self, own: Stream, done: &SyncDone) -> Checked {
        self.syncs -= 1;
        self.follows_added = true;
        self.unsubscribed.retain(|id| !done.conversations.contains_key(id));
        for (id, rev) in done.conversations.iter().filter(|(id, _)| !self.out.contains(id)) {
            let held = self.held.get(&Stream::Conversation(*id)).copied();
            must(held >= Some(*rev), || format!("sync.done names {rev} of {id}, {held:?} is held"))?;
        }
        must(self.held[&own] >= done.user_rev, || format!("sync.done names {} of the user", done.user_rev))?;
        // For denied conversations, events from before the leave may still be on their way.
        self.follows.extend(done.conversations.keys().filter(|id| !self.out.contains(id)));
        Ok(())
    }

    /// Checks at the end of a run that the client has all events of what it follows.
    pub fn rested(
        &self,
        own: Stream,
        head_of: impl Fn(Stream) -> Rev,
        is_in: impl Fn(ConversationId) -> bool,
    ) -> Checked {
        must(self.syncs == 0 && self.unanswered == 0, || "a command has no answer".to_owned())?;
        if self.follows_added || self.may_be_ahead {
            let ahead = self.ahead.get(&own);
            let has = |rev| rev <= self.held[&own] || ahead.is_some_and(|ahead| ahead.contains_key(&rev));
            let missing = (self.welcome_rev.0 + 1..=head_of(own).0).map(Rev).find(|rev| !has(*rev));
            must(missing.is_none(), || format!("{missing:?} of the user stream never came"))?;
        }
        // A session that only subscribes to what it names must look at its user's own stream to see that a subscription
        // ended.
        for id in self.follows.iter().filter(|id| self.follows_added && is_in(**id)) {
            let stream = Stream::Conversation(*id);
            let (newest, head) = (self.held[&stream], head_of(stream));
            must(newest == head, || format!("{stream:?} is followed: {newest} is held, the head is {head}"))?;
        }
        Ok(())
    }

    /// Checks the same after a last sync.
    pub fn settled(
        &self,
        own: Stream,
        head_of: impl Fn(Stream) -> Rev,
        is_in: impl Fn(ConversationId) -> bool,
    ) -> Checked {
        for (stream, held) in &self.held {
            let complete = match stream {
                Stream::User(_) => *stream == own,
                Stream::Conversation(id) => is_in(*id),
            };
            let head = head_of(*stream);
            must(!complete || *held == head, || format!("{stream:?}: {held} is held, the head is {head}"))?;
        }
        Ok(())
    }
}
