//! A client that keeps the rules of the protocol, and what must hold of everything it gets.

use greenroom::domain::ids::{ConversationId, Rev};
use greenroom::domain::stream::Stream;
use greenroom::protocol::events::Frame;
use greenroom::protocol::server::{ServerFrame, SyncDone};
use std::collections::{BTreeMap, BTreeSet};

pub type Checked<T = ()> = Result<T, String>;

pub fn must(holds: bool, fault: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(fault()) }
}

/// What the event of a stream means to the client. It stands in the text of the test's frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    Message,
    /// The user left the conversation.
    Left,
    /// On the user's own stream: the user was added, with the event of this revision.
    Added(ConversationId, Rev),
    /// On the user's own stream: the user is out.
    Removed(ConversationId),
}

/// A client over many sessions.
#[derive(Default)]
pub struct Client {
    /// The newest revision of each stream up to which nothing is missing.
    pub held: BTreeMap<Stream, Rev>,
    /// Revisions that came before earlier ones.
    ahead: BTreeMap<Stream, BTreeSet<Rev>>,
    /// Events that came in this session.
    received: BTreeSet<(Stream, Rev)>,
    /// Conversations that it knows from the answer to `subscribe`, from a later revision than the one at which its user was
    /// added. Events between the two may come when it is told of that.
    known_from_answer: BTreeSet<Stream>,
    /// Conversations of which this session must get every event.
    pub follows: BTreeSet<ConversationId>,
    /// Whether the session subscribes by itself to conversations that the user is added to.
    follows_added: bool,
    /// Whether live events of the user's own stream may come before those that a sync replays.
    may_be_ahead: bool,
    /// Syncs that were sent and not answered.
    pub syncs: usize,
    /// The same of `subscribe` and `unsubscribe`. An answer may change what the client holds, so it sends no sync before.
    pub unanswered: usize,
}

impl Client {
    /// A session begins.
    pub fn opens(&mut self, own: Stream, user_rev: Rev, heads: &[(ConversationId, Rev)], subscribe_none: bool) {
        self.ahead.clear();
        self.follows.clear();
        self.received.clear();
        self.known_from_answer.clear();
        (self.syncs, self.unanswered) = (0, 0);
        (self.follows_added, self.may_be_ahead) = (!subscribe_none, false);
        self.held.entry(own).or_insert(user_rev);
        if !subscribe_none {
            // it reads everything before these revisions over REST
            self.held.insert(own, user_rev);
            for (conversation, head) in heads {
                self.held.insert(Stream::Conversation(*conversation), *head);
                self.follows.insert(*conversation);
            }
        }
    }

    /// Sends a sync with everything it holds.
    pub fn sends_sync(&mut self) -> BTreeMap<ConversationId, Rev> {
        self.syncs += 1;
        let conversations = self.held.iter().filter_map(|(stream, rev)| match stream {
            Stream::Conversation(id) => Some((*id, *rev)),
            Stream::User(_) => None,
        });
        conversations.collect()
    }

    /// Sends another command than a sync, or nothing for a while: a sync that comes later is not the first one.
    pub fn sends_no_sync_first(&mut self) {
        self.may_be_ahead |= self.syncs == 0 && !self.follows_added;
    }

    /// Gets an event.
    pub fn event(&mut self, stream: Stream, frame: &Frame, meaning: Meaning) -> Checked {
        let Some(held) = self.held.get(&stream).copied() else {
            return Err(format!("{stream:?} {} came and the client does not know the stream", frame.rev));
        };
        if let Stream::Conversation(id) = stream {
            must(self.follows.contains(&id) || self.syncs > 0, || format!("{stream:?} {} is not followed", frame.rev))?;
        }
        must(self.received.insert((stream, frame.rev)), || format!("{stream:?} {} came twice", frame.rev))?;
        if frame.rev <= held && self.known_from_answer.contains(&stream) {
            return Ok(());
        }
        must(frame.rev > held, || format!("{stream:?} {} came again, or late: {held} is held", frame.rev))?;
        if frame.rev == held.next() {
            self.hold(stream, frame.rev);
        } else {
            let may_be_ahead = self.may_be_ahead && matches!(stream, Stream::User(_));
            must(may_be_ahead, || format!("{stream:?} {} came after {held}", frame.rev))?;
            let new = self.ahead.entry(stream).or_default().insert(frame.rev);
            must(new, || format!("{stream:?} {} came twice", frame.rev))?;
        }
        match (stream, meaning) {
            (Stream::Conversation(id), Meaning::Left) => drop(self.follows.remove(&id)),
            (_, Meaning::Added(id, rev)) => {
                if self.follows_added || self.syncs > 0 {
                    self.follows.insert(id);
                }
                let stream = Stream::Conversation(id);
                if self.held.get(&stream).is_none_or(|held| *held < rev) {
                    self.hold(stream, rev);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn hold(&mut self, stream: Stream, rev: Rev) {
        let mut held = rev;
        let ahead = self.ahead.entry(stream).or_default();
        ahead.retain(|rev| *rev > held);
        while ahead.remove(&held.next()) {
            held = held.next();
        }
        self.held.insert(stream, held);
    }

    /// Gets a frame that is no event.
    pub fn frame(&mut self, own: Stream, frame: &ServerFrame) -> Checked {
        match frame {
            ServerFrame::Subscribed { revs, .. } => {
                self.unanswered -= 1;
                for (id, rev) in revs {
                    if self.follows.insert(*id) {
                        self.known_from_answer.insert(Stream::Conversation(*id));
                        self.hold(Stream::Conversation(*id), *rev);
                    }
                }
            }
            ServerFrame::Unsubscribed { conversation_ids } => {
                self.unanswered -= 1;
                for id in conversation_ids {
                    self.follows.remove(id);
                }
            }
            ServerFrame::SyncReset { conversation_id: Some(id), last_rev: Some(rev) } => {
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

    /// `sync.done` comes after the events that it speaks of.
    fn done(&mut self, own: Stream, done: &SyncDone) -> Checked {
        self.syncs -= 1;
        self.follows_added = true;
        for (id, rev) in &done.conversations {
            let held = self.held.get(&Stream::Conversation(*id)).copied();
            must(held >= Some(*rev), || format!("sync.done names {rev} of {id}, {held:?} is held"))?;
        }
        must(self.held[&own] >= done.user_rev, || format!("sync.done names {} of the user", done.user_rev))?;
        // of those that are denied, events from before the user left may still be on their way
        self.follows.extend(done.conversations.keys());
        Ok(())
    }

    /// Everything that was under way has come, after a last sync.
    pub fn settled(
        &self,
        own: Stream,
        head_of: impl Fn(Stream) -> Rev,
        is_in: impl Fn(ConversationId) -> bool,
    ) -> Checked {
        must(self.syncs == 0, || format!("{} syncs have no answer", self.syncs))?;
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
