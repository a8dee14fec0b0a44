//! The order of a room: events for its live subscribers, and the replays of subscribers that are behind.

use std::hint::black_box;
use std::sync::Arc;

use greenroom::domain::ids::Rev;
use greenroom::mailboxes::{Batch, ReadPurpose, RoomEvent};
use greenroom::protocol::envelope::Envelope;
use greenroom::realtime::order::{Order, RingBudget, Sink, SubscribeRequest};

use crate::Piece;
use crate::input::{envelope, session, user};

/// The live subscribers of the room.
const SUBSCRIBERS: usize = 100;
/// The events that the room has broadcast before a replay.
const EVENTS: usize = 200;
/// The events that a replay from the log reads at a time.
const PAGE_EVENTS: usize = 50;
const RUNS: usize = 500;

/// Takes what the order sends, as the mailboxes of sessions do.
#[derive(Default)]
struct Taken {
    /// The number of the newest read of the log.
    read_number: Option<u64>,
}

impl Sink<usize> for Taken {
    fn send(&mut self, to: &usize, event: RoomEvent) -> bool {
        black_box((to, event));
        true
    }

    fn read_log(&mut self, _after: Rev, purpose: ReadPurpose) {
        if let ReadPurpose::Replay { number, .. } = purpose {
            self.read_number = Some(number);
        }
    }
}

fn order_with_subscribers(sink: &mut Taken) -> Order<usize> {
    let mut order = Order::new(RingBudget::default());
    for number in 0..SUBSCRIBERS {
        order.subscribe(request(number, Rev(0), Rev(0)), sink);
    }
    order
}

fn request(number: usize, from: Rev, checked_rev: Rev) -> SubscribeRequest<usize> {
    SubscribeRequest { session: session(number), user: user(number), handle: number, from, checked_rev }
}

/// One run broadcasts a batch with one event to all subscribers.
pub fn live() -> Piece {
    let mut sink = Taken::default();
    let mut order = order_with_subscribers(&mut sink);
    let batches = (1..=RUNS + 1).map(|number| Batch::new(vec![envelope(number)])).collect();
    Piece::new(batches, move |batch: Arc<Batch>| {
        let rev = batch.last_rev();
        order.deliver(black_box(&batch), &mut sink);
        assert_eq!(order.broadcast_to(), Some(rev), "the batch is broadcast");
    })
}

/// One run subscribes a session that gets 20 events from the ring, and one that first gets a page from the log, and
/// removes both.
pub fn replay() -> Piece {
    let mut sink = Taken::default();
    let mut order = order_with_subscribers(&mut sink);
    order.deliver(&Batch::new((1..=EVENTS).map(envelope).collect()), &mut sink);
    // The page ends where the room is, so that the replay is over afterwards. The ring is empty from here on, except
    // for the newest 20 events.
    order.age_ring();
    order.deliver(&Batch::new((EVENTS + 1..=EVENTS + 20).map(envelope).collect()), &mut sink);
    order.age_ring();
    let head = Rev(EVENTS as i64 + 20);
    let page: Vec<Envelope> = (EVENTS + 21 - PAGE_EVENTS..=EVENTS + 20).map(envelope).collect();
    let after_page = Rev(head.0 - PAGE_EVENTS as i64);
    Piece::new(vec![page; RUNS + 1], move |page| {
        let (near, far) = (SUBSCRIBERS, SUBSCRIBERS + 1);
        order.subscribe(request(near, Rev(head.0 - 20), head), &mut sink);
        assert!(sink.read_number.is_none(), "the ring has the events");
        order.subscribe(request(far, after_page, head), &mut sink);
        let read = sink.read_number.take().expect("the ring lacks the events");
        order.handle_replay_read(session(far), read, Some(black_box(page)), &mut sink);
        order.unsubscribe(session(near));
        order.unsubscribe(session(far));
    })
}
