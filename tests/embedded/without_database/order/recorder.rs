//! The helpers of the cases: frames, batches and requests, and a sink that records what the order sends and reads.

use super::history::{empty_event, user};
use greenroom::domain::ids::{MessageId, Rev, SessionId};
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::events::EventEffect;
use greenroom::realtime::order::{Order, Sink, SubscribeRequest};
use std::ops::RangeInclusive;
use std::sync::Arc;
use uuid::Uuid;

/// Records the decisions of an order.
#[derive(Default)]
pub struct Recorder {
    /// The events that were sent, each with the index of its session.
    pub sent: Vec<(usize, String)>,
    /// The reads, each with the revision after which it reads, and with the session whose replay it serves; [`GAP`] if
    /// it serves no replay.
    pub reads: Vec<(i64, Option<SessionId>)>,
    /// The number of each read in `reads`.
    pub read_numbers: Vec<u64>,
    /// The texts of the frames of each broadcast batch.
    pub texts: Vec<String>,
    /// The index of a session that cannot take more events.
    pub full: Option<usize>,
}

impl Sink<usize> for Recorder {
    fn send(&mut self, to: &usize, event: RoomEvent) -> bool {
        let revs = |batch: &Batch| format!("{}..{}", batch.envelopes[0].rev, batch.last_rev());
        if let RoomEvent::Events(batch) = &event {
            self.texts.push(batch.envelopes.iter().map(|frame| &*frame.text).collect::<Vec<_>>().join(" "));
        }
        let description = match event {
            RoomEvent::Events(batch) => format!("frames {}", revs(&batch)),
            RoomEvent::Page(batch) => format!("page {}", revs(&batch)),
            RoomEvent::Live(rev) => format!("attached {rev}"),
            RoomEvent::Reset(rev) => format!("reset {rev}"),
            RoomEvent::Left(_) => "left".to_owned(),
            RoomEvent::Gone => "gone".to_owned(),
            RoomEvent::Ephemeral(_) => "ephemeral".to_owned(),
        };
        self.sent.push((*to, description));
        self.full != Some(*to)
    }

    fn read_log(&mut self, after: Rev, purpose: ReadPurpose) {
        let (session, number) = match purpose {
            ReadPurpose::Replay { session, number, .. } => (Some(session), number),
            ReadPurpose::Gap => (GAP, 0),
            ReadPurpose::Verify(_) => unreachable!("only a room verifies the history, not its order"),
        };
        self.reads.push((after.0, session));
        self.read_numbers.push(number);
    }
}

impl Recorder {
    /// Returns the events that were sent to a session since the last call.
    pub fn take_sent(&mut self, index: usize) -> Vec<String> {
        self.sent.extract_if(.., |(to, _)| *to == index).map(|(_, description)| description).collect()
    }
}

/// Returns an event that shows the message whose id is the revision.
pub fn frame(rev: i64, effect: EventEffect) -> Envelope {
    let message_id = Some(MessageId(Uuid::from_u128(rev as u128)));
    Envelope { text: "text".into(), effect, message_id, ..empty_event(Rev(rev)) }
}

pub fn frames(revs: RangeInclusive<i64>) -> Vec<Envelope> {
    revs.map(|rev| frame(rev, EventEffect::None)).collect()
}

pub fn batch(revs: RangeInclusive<i64>) -> Arc<Batch> {
    Batch::new(frames(revs))
}

/// Returns a batch with the event that the user of a session left.
pub fn leave_batch(rev: i64, index: usize) -> Arc<Batch> {
    Batch::new(vec![frame(rev, EventEffect::Left(user(index)))])
}

pub fn session(index: usize) -> SessionId {
    SessionId(Uuid::from_u128(index as u128 + 1))
}

/// Returns the subscription of a session. Session and user have the same index.
pub fn request(index: usize, from: i64, checked_rev: i64) -> SubscribeRequest<usize> {
    SubscribeRequest {
        session: session(index),
        user: user(index),
        handle: index,
        from: Rev(from),
        checked_rev: Rev(checked_rev),
    }
}

pub const GAP: Option<SessionId> = None;

/// Answers the newest read after the revision `after` for the replay of a session.
pub fn answer_read(
    order: &mut Order<usize>,
    recorder: &mut Recorder,
    index: usize,
    after: i64,
    frames: Option<Vec<Envelope>>,
) {
    let read = recorder.reads.iter().rposition(|read| *read == (after, Some(session(index)))).expect("the read exists");
    order.handle_replay_read(session(index), recorder.read_numbers[read], frames, recorder);
}

/// Returns an order with the head 10 in which session 0 is live.
pub fn order_at_10() -> (Order<usize>, Recorder) {
    let (mut order, mut recorder) = (Order::default(), Recorder::default());
    order.subscribe(request(0, 10, 10), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["attached 10"]);
    (order, recorder)
}

/// Returns an event that shows a message.
pub fn message(rev: i64, id: u128) -> Envelope {
    Envelope { message_id: Some(MessageId(Uuid::from_u128(id))), ..frame(rev, EventEffect::None) }
}

/// Returns the event that a message was deleted.
pub fn deletion(rev: i64, id: u128) -> Envelope {
    Envelope { message_id: None, ..frame(rev, EventEffect::Deleted(MessageId(Uuid::from_u128(id)))) }
}
