//! What the cases of the order are told with: frames, batches, subscriptions, and somebody who writes down what comes of
//! them.

use super::history::user;
use greenroom::domain::ids::{MessageId, Rev, SessionId};
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::events::{Effect, Frame};
use greenroom::realtime::order::{Order, Sink, Subscribe};
use std::ops::RangeInclusive;
use std::sync::Arc;
use uuid::Uuid;

/// Writes down what the order decides; one session cannot take anything.
#[derive(Default)]
pub struct Desk {
    pub given: Vec<(usize, String)>,
    /// After which revision, and for which session's replay, or for a hole.
    pub reads: Vec<(i64, Option<SessionId>)>,
    /// Of each read in `reads`, its number.
    pub numbers: Vec<u64>,
    /// The texts of each batch.
    pub texts: Vec<String>,
    pub full: Option<usize>,
}

impl Sink<usize> for Desk {
    fn give(&mut self, to: &usize, event: RoomEvent) -> bool {
        let revs = |batch: &Batch| format!("{}..{}", batch.frames[0].rev, batch.last_rev());
        if let RoomEvent::Frames(batch) = &event {
            self.texts.push(batch.frames.iter().map(|frame| &*frame.text).collect::<Vec<_>>().join(" "));
        }
        let said = match event {
            RoomEvent::Frames(batch) => format!("frames {}", revs(&batch)),
            RoomEvent::Page(batch) => format!("page {}", revs(&batch)),
            RoomEvent::Attached(rev) => format!("attached {rev}"),
            RoomEvent::Reset(rev) => format!("reset {rev}"),
            RoomEvent::Left(_) => "left".to_owned(),
            RoomEvent::Gone => "gone".to_owned(),
            RoomEvent::Ephemeral(_) => "ephemeral".to_owned(),
        };
        self.given.push((*to, said));
        self.full != Some(*to)
    }

    fn read(&mut self, after: Rev, purpose: ReadPurpose) {
        let (session, number) = match purpose {
            ReadPurpose::Replay { session, number, .. } => (Some(session), number),
            ReadPurpose::Gap => (None, 0),
            ReadPurpose::Verify(_) => unreachable!("a room doubts, its order does not"),
        };
        self.reads.push((after.0, session));
        self.numbers.push(number);
    }
}

impl Desk {
    /// What a session was given since it was last asked.
    pub fn given_to(&mut self, index: usize) -> Vec<String> {
        self.given.extract_if(.., |(to, _)| *to == index).map(|(_, said)| said).collect()
    }
}

pub fn frame(rev: i64, effect: Effect) -> Frame {
    let message_id = Some(MessageId(Uuid::from_u128(rev as u128)));
    Frame { rev: Rev(rev), text: "text".into(), effect, message_id, quoted_id: None }
}

pub fn frames(revs: RangeInclusive<i64>) -> Vec<Frame> {
    revs.map(|rev| frame(rev, Effect::None)).collect()
}

pub fn batch(revs: RangeInclusive<i64>) -> Arc<Batch> {
    Batch::new(frames(revs))
}

pub fn left(rev: i64, index: usize) -> Arc<Batch> {
    Batch::new(vec![frame(rev, Effect::Left(user(index)))])
}

pub fn session(index: usize) -> SessionId {
    SessionId(Uuid::from_u128(index as u128 + 1))
}

/// Session and user go by the same number.
pub fn wanted(index: usize, from: i64, checked: i64) -> Subscribe<usize> {
    Subscribe { session: session(index), user: user(index), handle: index, from: Rev(from), checked: Rev(checked) }
}

pub const HOLE: Option<SessionId> = None;

/// Answers the newest read after `after` for a session's replay.
pub fn page(order: &mut Order<usize>, desk: &mut Desk, index: usize, after: i64, frames: Option<Vec<Frame>>) {
    let read = desk.reads.iter().rposition(|read| *read == (after, Some(session(index)))).expect("it was asked for");
    order.page(session(index), desk.numbers[read], frames, desk);
}

/// A room at 10 in which session 0 is live.
pub fn room() -> (Order<usize>, Desk) {
    let (mut order, mut desk) = (Order::default(), Desk::default());
    order.subscribe(wanted(0, 10, 10), &mut desk);
    assert_eq!(desk.given_to(0), ["attached 10"]);
    (order, desk)
}

/// A frame that shows a message.
pub fn says(rev: i64, message: u128) -> Frame {
    Frame { message_id: Some(MessageId(Uuid::from_u128(message))), ..frame(rev, Effect::None) }
}

pub fn deletes(rev: i64, message: u128) -> Frame {
    Frame { message_id: None, ..frame(rev, Effect::Deleted(MessageId(Uuid::from_u128(message)))) }
}
