//! The history checker: a pure function that finds every promise that a finished history breaks.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Conversation, Entry, Event, History, Outcome, Row, Send, Session, Tick};

/// A broken promise, with the values that locate it in the history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Violation {
    /// An acknowledged message is not stored, or its id or `seq` is another.
    AcknowledgedButLost { conversation: String, temp_id: String },
    /// Two answers to one send differ.
    AnswersDiffer { conversation: String, temp_id: String },
    /// A `temp_id` of one sender is stored more than once.
    StoredTwice { conversation: String, temp_id: String },
    /// A send with a final error is stored.
    FailedButStored { conversation: String, temp_id: String },
    /// A message is stored that no client sent.
    Unsent { conversation: String, seq: i64 },
    /// The values of `seq` have a gap.
    SeqNotDense { conversation: String, expected: i64, found: i64 },
    /// The revisions have a gap: no session got this one.
    RevNotDense { conversation: String, missing: i64 },
    /// Sessions got different events with one revision.
    RevisionDiffers { conversation: String, rev: i64 },
    /// The order of the events is not the order of the messages, or an event does not belong to the stored message.
    EventDiffersFromLog { conversation: String, rev: i64 },
    /// A message was acknowledged before another was sent, and has the greater `seq`.
    OrderInverted { conversation: String, earlier: String, later: String },
    /// A session missed a revision.
    SessionGap { session: String, stream: String, expected: i64, found: i64 },
    /// A session got a revision again, or an older one.
    SessionRepeats { session: String, stream: String, rev: i64 },
    /// A session that was complete ended before the last revision.
    SessionEndsEarly { session: String, stream: String, received: i64, last: i64 },
    /// A session got events of a stream that it was not subscribed to.
    NotSubscribed { session: String, stream: String, rev: i64 },
    /// A session got an event after the revision that removed its user.
    AfterRemoval { session: String, stream: String, rev: i64 },
    /// A message has a revision after the one that removed its sender.
    SentAfterRemoval { conversation: String, user: String, rev: i64 },
}

/// Returns all broken promises of a history; empty means that every promise was kept.
pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let events = events_by_revision(history, &mut found);
    for (id, conversation) in &history.conversations {
        let sends: Vec<&Send> = history.sends.iter().filter(|send| send.conversation == *id).collect();
        let by_temp_id = conversation.rows.iter().filter_map(|row| Some((row.key()?, row))).collect();
        let log = Log { id, conversation, by_temp_id, sends: &sends, events: events.get(id.as_str()) };
        log.check_rows(&mut found);
        log.check_sends(&mut found);
        log.check_order(&mut found);
        log.check_events(&mut found);
        let absences = log.absences();
        log.check_senders(&absences, &mut found);
        for session in &history.sessions {
            check_absence(session, id, &absences, &mut found);
        }
    }
    for session in &history.sessions {
        check_session(session, history, &mut found);
    }
    found
}

type Events<'a> = BTreeMap<i64, &'a Event>;

/// One conversation with everything that was recorded about it.
struct Log<'a> {
    id: &'a str,
    conversation: &'a Conversation,
    /// The messages by sender and `temp_id`.
    by_temp_id: HashMap<(&'a str, &'a str), &'a Row>,
    sends: &'a [&'a Send],
    events: Option<&'a Events<'a>>,
}

/// A time in which a user was no participant: the revisions of the leave and of the next join.
struct Absence<'a> {
    user: &'a str,
    left: i64,
    joined: i64,
}

/// Returns the events of all sessions by stream and revision. A user stream belongs to one user, so it is checked only
/// for each session.
fn events_by_revision<'a>(history: &'a History, found: &mut Vec<Violation>) -> BTreeMap<&'a str, Events<'a>> {
    let mut streams: BTreeMap<&str, Events> = BTreeMap::new();
    for session in &history.sessions {
        for (stream, entries) in session.streams.iter().filter(|(stream, _)| *stream != "user") {
            let events = streams.entry(stream).or_default();
            for event in entries.iter().filter_map(Entry::event) {
                let first = *events.entry(event.rev).or_insert(event);
                if first != event {
                    found.push(Violation::RevisionDiffers { conversation: stream.clone(), rev: event.rev });
                }
            }
        }
    }
    streams
}

impl Log<'_> {
    /// Checks that the values of `seq` have no gap, that a `temp_id` is stored once, and that a client sent every row.
    fn check_rows(&self, found: &mut Vec<Violation>) {
        let mut expected = self.conversation.first_seq;
        let sent: HashSet<(&str, &str)> = self.sends.iter().map(|send| send.key()).collect();
        let mut stored: HashMap<(&str, &str), usize> = HashMap::new();
        for row in &self.conversation.rows {
            expected += 1;
            if row.seq != expected {
                found.push(Violation::SeqNotDense { conversation: self.id.to_owned(), expected, found: row.seq });
                expected = row.seq;
            }
            if let Some(key) = row.key() {
                *stored.entry(key).or_default() += 1;
                if !sent.contains(&key) {
                    found.push(Violation::Unsent { conversation: self.id.to_owned(), seq: row.seq });
                }
            }
        }
        if expected != self.conversation.last_seq {
            let (expected, last) = (expected + 1, self.conversation.last_seq);
            found.push(Violation::SeqNotDense { conversation: self.id.to_owned(), expected, found: last });
        }
        for ((_, temp_id), _) in stored.into_iter().filter(|(_, times)| *times > 1) {
            let temp_id = temp_id.to_owned();
            found.push(Violation::StoredTwice { conversation: self.id.to_owned(), temp_id });
        }
    }

    /// Checks that acknowledged messages are stored with the acknowledged id and `seq`, and that refused messages are
    /// not stored.
    fn check_sends(&self, found: &mut Vec<Violation>) {
        for send in self.sends {
            let row = self.row_of(send);
            let (conversation, temp_id) = (self.id.to_owned(), send.temp_id.clone());
            let failed = send.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_)));
            let answers: Vec<_> = send.outcomes.iter().filter_map(Outcome::stored).collect();
            let first = answers.first().copied();
            if answers.iter().any(|answer| Some((answer.0, answer.1)) != first.map(|first| (first.0, first.1)))
                || (failed && first.is_some())
            {
                found.push(Violation::AnswersDiffer { conversation, temp_id });
            } else if failed && row.is_some() {
                found.push(Violation::FailedButStored { conversation, temp_id });
            } else if let Some((message_id, seq, _)) = first
                && !row.is_some_and(|row| row.id == message_id && row.seq == seq)
            {
                found.push(Violation::AcknowledgedButLost { conversation, temp_id });
            }
        }
    }

    /// Checks that a message that was acknowledged before another one was sent has the smaller `seq`.
    fn check_order(&self, found: &mut Vec<Violation>) {
        // Go through the sends in the order of their beginning, with the greatest `seq` that was acknowledged before.
        let mut acknowledged: Vec<(Tick, i64, &Send)> = self
            .sends
            .iter()
            .filter_map(|send| {
                let row = self.row_of(send)?;
                Some((send.first_acknowledged()?, row.seq, *send))
            })
            .collect();
        acknowledged.sort_by_key(|(at, ..)| *at);
        let mut sent: Vec<(&Send, i64)> =
            self.sends.iter().filter_map(|send| Some((*send, self.row_of(send)?.seq))).collect();
        sent.sort_by_key(|(send, _)| send.invoked);

        let mut before = acknowledged.into_iter().peekable();
        let mut largest: Option<(i64, &Send)> = None;
        for (send, seq) in sent {
            while let Some((_, earlier_seq, earlier)) = before.next_if(|(at, ..)| *at < send.invoked) {
                if largest.is_none_or(|(most, _)| earlier_seq > most) {
                    largest = Some((earlier_seq, earlier));
                }
            }
            if let Some((_, earlier)) = largest.filter(|(most, _)| *most >= seq) {
                found.push(Violation::OrderInverted {
                    conversation: self.id.to_owned(),
                    earlier: earlier.temp_id.clone(),
                    later: send.temp_id.clone(),
                });
            }
        }
    }

    /// Checks that the revisions have no gap, and that every stored message has one event, in the order of `seq`, with
    /// the revision in its acknowledgement.
    fn check_events(&self, found: &mut Vec<Violation>) {
        let none = Events::new();
        let events = self.events.unwrap_or(&none);
        for missing in
            (self.conversation.first_rev + 1..=self.conversation.last_rev).filter(|rev| !events.contains_key(rev))
        {
            found.push(Violation::RevNotDense { conversation: self.id.to_owned(), missing });
        }
        let new_messages =
            events.values().filter(|event| event.kind == "message.new" && event.rev > self.conversation.first_rev);
        let mut rows = self.conversation.rows.iter();
        for event in new_messages {
            let row = rows.next();
            if row.map(|row| (row.id.as_str(), row.seq)) != event.message.as_ref().map(|(id, seq)| (id.as_str(), *seq))
            {
                found.push(Violation::EventDiffersFromLog { conversation: self.id.to_owned(), rev: event.rev });
                break;
            }
        }
        for send in self.sends {
            for (message_id, _, rev) in send.outcomes.iter().filter_map(Outcome::stored) {
                let Some(rev) = rev else { continue };
                let message = events.get(&rev).and_then(|event| event.message.as_ref());
                if message.is_some_and(|(id, _)| id != message_id) {
                    found.push(Violation::EventDiffersFromLog { conversation: self.id.to_owned(), rev });
                }
            }
        }
    }

    /// Returns the times in which users were no participants.
    fn absences(&self) -> Vec<Absence<'_>> {
        let mut absences: Vec<Absence> = Vec::new();
        for event in self.events.into_iter().flat_map(BTreeMap::values) {
            for user in &event.users {
                match event.kind.as_str() {
                    "participant.left" => absences.push(Absence { user, left: event.rev, joined: i64::MAX }),
                    "participant.joined" => {
                        let open =
                            absences.iter_mut().rfind(|absence| absence.user == user && absence.joined == i64::MAX);
                        if let Some(absence) = open {
                            absence.joined = event.rev;
                        }
                    }
                    _ => (),
                }
            }
        }
        absences
    }

    /// Checks that no message was stored while its sender was no participant.
    fn check_senders(&self, absences: &[Absence], found: &mut Vec<Violation>) {
        for event in self.events.into_iter().flat_map(BTreeMap::values) {
            let Some(sender) = event.sender.as_deref().filter(|_| event.kind == "message.new") else { continue };
            if absences.iter().any(|absence| absence.covers(sender, event.rev)) {
                let (conversation, user) = (self.id.to_owned(), sender.to_owned());
                found.push(Violation::SentAfterRemoval { conversation, user, rev: event.rev });
            }
        }
    }

    fn row_of(&self, send: &Send) -> Option<&Row> {
        self.by_temp_id.get(&send.key()).copied()
    }
}

impl Absence<'_> {
    /// Returns true if `user` was no participant at `rev`. The user gets the event of the next join.
    fn covers(&self, user: &str, rev: i64) -> bool {
        self.user == user && self.left < rev && rev < self.joined
    }
}

impl Entry {
    fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(event) => Some(event),
            Self::Start(_) => None,
        }
    }
}

impl Outcome {
    fn stored(&self) -> Option<(&str, i64, Option<i64>)> {
        match self {
            Self::Stored { message_id, seq, rev, .. } => Some((message_id, *seq, *rev)),
            Self::Failed(_) => None,
        }
    }
}

impl Row {
    fn key(&self) -> Option<(&str, &str)> {
        self.sender.as_deref().zip(self.temp_id.as_deref())
    }
}

impl Send {
    fn key(&self) -> (&str, &str) {
        (&self.sender, &self.temp_id)
    }

    fn first_acknowledged(&self) -> Option<Tick> {
        self.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Stored { at, .. } => Some(*at),
            Outcome::Failed(_) => None,
        })
    }
}

/// Checks that a session got no event of a conversation while its user was no participant.
fn check_absence(session: &Session, conversation: &str, absences: &[Absence], found: &mut Vec<Violation>) {
    let entries = session.streams.get(conversation).into_iter().flatten();
    for event in entries.filter_map(Entry::event) {
        if absences.iter().any(|absence| absence.covers(&session.user, event.rev)) {
            let (session, stream) = (session.name.clone(), conversation.to_owned());
            found.push(Violation::AfterRemoval { session, stream, rev: event.rev });
        }
    }
}

/// Checks that the events of each stream begin after the revision of the subscription and have no gap.
fn check_session(session: &Session, history: &History, found: &mut Vec<Violation>) {
    for (stream, entries) in &session.streams {
        let names = || (session.name.clone(), stream.clone());
        let mut received: Option<i64> = None;
        for entry in entries {
            let event = match entry {
                Entry::Start(rev) => {
                    received = Some(*rev);
                    continue;
                }
                Entry::Event(event) => event,
            };
            let (session, stream) = names();
            match received {
                None => found.push(Violation::NotSubscribed { session, stream, rev: event.rev }),
                Some(received) if event.rev <= received => {
                    found.push(Violation::SessionRepeats { session, stream, rev: event.rev });
                }
                Some(received) if event.rev > received + 1 => {
                    let (expected, rev) = (received + 1, event.rev);
                    found.push(Violation::SessionGap { session, stream, expected, found: rev });
                }
                Some(_) => (),
            }
            received = received.max(Some(event.rev));
        }
        let last = history.conversations.get(stream).map(|conversation| conversation.last_rev);
        if let (true, Some(received), Some(last)) = (session.complete, received, last)
            && received < last
        {
            let (session, stream) = names();
            found.push(Violation::SessionEndsEarly { session, stream, received, last });
        }
    }
}
