//! Notable cases of the order, each small enough to be read: what a random world meets rarely, or finds no fault with
//! because it heals by itself.

use super::history::user;
use greenroom::domain::ids::{MessageId, Rev, SessionId};
use greenroom::messages::{Batch, ReadFor, RoomEvent};
use greenroom::protocol::events::{Effect, Frame};
use greenroom::realtime::order::{Order, Sink, Subscribe};
use std::ops::RangeInclusive;
use std::sync::Arc;
use uuid::Uuid;

/// Writes down what the order decides; one session cannot take anything.
#[derive(Default)]
struct Desk {
    given: Vec<(usize, String)>,
    reads: Vec<(i64, ReadFor)>,
    full: Option<usize>,
}

impl Sink<usize> for Desk {
    fn give(&mut self, to: &usize, event: RoomEvent) -> bool {
        let revs = |batch: &Batch| format!("{}..{}", batch.frames[0].rev, batch.last_rev());
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

    fn read(&mut self, after: Rev, purpose: ReadFor) {
        self.reads.push((after.0, purpose));
    }
}

impl Desk {
    /// What a session was given since it was last asked.
    fn given_to(&mut self, index: usize) -> Vec<String> {
        self.given.extract_if(.., |(to, _)| *to == index).map(|(_, said)| said).collect()
    }
}

fn frame(rev: i64, effect: Effect) -> Frame {
    let message_id = Some(MessageId(Uuid::from_u128(rev as u128)));
    Frame { rev: Rev(rev), text: "text".into(), effect, message_id, quoted_id: None }
}

fn frames(revs: RangeInclusive<i64>) -> Vec<Frame> {
    revs.map(|rev| frame(rev, Effect::None)).collect()
}

fn batch(revs: RangeInclusive<i64>) -> Arc<Batch> {
    Batch::new(frames(revs))
}

fn left(rev: i64, index: usize) -> Arc<Batch> {
    Batch::new(vec![frame(rev, Effect::Left(user(index)))])
}

fn session(index: usize) -> SessionId {
    SessionId(Uuid::from_u128(index as u128 + 1))
}

/// Session and user go by the same number.
fn wanted(index: usize, from: i64, checked: i64) -> Subscribe<usize> {
    Subscribe { session: session(index), user: user(index), handle: index, from: Rev(from), checked: Rev(checked) }
}

fn replay(index: usize, after: i64) -> ReadFor {
    ReadFor::Replay(session(index), Rev(after))
}

/// A room at 10 in which session 0 is live.
fn room() -> (Order<usize>, Desk) {
    let (mut order, mut desk) = (Order::default(), Desk::default());
    order.subscribe(wanted(0, 10, 10), &mut desk);
    assert_eq!(desk.given_to(0), ["attached 10"]);
    (order, desk)
}

#[test]
fn the_missing_event_lets_out_what_was_held() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(13..=13), &mut desk);
    order.deliver(&batch(12..=12), &mut desk);
    assert!(order.has_hole() && desk.given.is_empty());
    order.deliver(&batch(11..=11), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..13"]);
    assert!(!order.has_hole() && desk.reads.is_empty());
}

#[test]
fn a_check_tells_how_far_the_stream_reaches_and_what_a_client_says_does_not() {
    let (mut order, mut desk) = (Order::default(), Desk::default());
    order.subscribe(wanted(0, 3, 10), &mut desk);
    assert_eq!(desk.reads, [(3, replay(0, 3))]);
    order.deliver(&batch(11..=11), &mut desk);
    assert!(!order.has_hole(), "the room began at 10");
    order.subscribe(wanted(1, 12, 12), &mut desk);
    assert_eq!(desk.given_to(1), ["attached 12"]);
    assert!(order.has_hole(), "12 exists and has not come");
}

#[test]
fn a_read_of_a_hole_that_the_head_has_passed_proves_nothing() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(12..=12), &mut desk);
    order.fill(&mut desk);
    assert_eq!(desk.reads, [(10, ReadFor::Hole)]);
    order.fill(&mut desk);
    assert_eq!(desk.reads.len(), 1, "one read at a time");
    order.deliver(&batch(11..=11), &mut desk);
    order.deliver(&batch(14..=14), &mut desk);
    order.filled(Some(frames(11..=12)), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..12"]);
    order.fill(&mut desk);
    order.filled(None, &mut desk);
    assert!(order.has_hole(), "a read that failed is tried again");
    order.fill(&mut desk);
    order.filled(Some(frames(13..=14)), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 13..14"]);
}

#[test]
fn those_who_miss_what_is_lost_come_back_with_their_rights_checked() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 14, 14), &mut desk);
    order.subscribe(wanted(2, 2, 10), &mut desk);
    order.fill(&mut desk);
    order.filled(Some(frames(13..=14)), &mut desk);
    assert_eq!(desk.given_to(0), ["gone"]);
    assert_eq!(desk.given_to(1), ["attached 14"], "it has what is lost");
    assert_eq!(desk.given_to(2), [""; 0], "it reads the log itself");
    assert!(!order.has_hole());
    order.deliver(&batch(13..=15), &mut desk);
    assert_eq!(desk.given_to(1), ["frames 15..15"]);
}

#[test]
fn a_replay_that_the_log_does_not_bridge_begins_anew_from_the_check() {
    let (mut order, mut desk) = room();
    order.deliver(&left(11, 2), &mut desk);
    order.deliver(&left(12, 7), &mut desk);
    order.subscribe(wanted(1, 2, 10), &mut desk);
    order.page(session(1), Rev(2), Some(frames(5..=9)), &mut desk);
    assert_eq!(desk.given_to(1), ["reset 10", "page 11..12"], "and is not answered again");

    // what is lost beyond the check might be that the user left
    order.subscribe(wanted(4, 9, 9), &mut desk);
    order.page(session(4), Rev(9), Some(frames(11..=12)), &mut desk);
    assert_eq!(desk.given_to(4), ["gone"]);
}

#[test]
fn a_page_that_an_earlier_subscription_asked_for_is_not_taken() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 2, 10), &mut desk);
    order.unsubscribe(session(1));
    order.subscribe(wanted(1, 6, 10), &mut desk);
    assert_eq!(desk.reads, [(2, replay(1, 2)), (6, replay(1, 6))]);
    order.page(session(1), Rev(2), Some(frames(3..=10)), &mut desk);
    order.page(session(1), Rev(2), None, &mut desk);
    assert_eq!(desk.given_to(1), [""; 0]);
    order.page(session(1), Rev(6), Some(frames(7..=10)), &mut desk);
    assert_eq!(desk.given_to(1), ["page 7..10", "attached 10"]);
}

#[test]
fn the_next_page_is_read_when_asked_for_and_once() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 0, 10), &mut desk);
    order.resume(session(1), &mut desk);
    assert_eq!(desk.reads, [(0, replay(1, 0))]);
    order.page(session(1), Rev(0), Some(frames(1..=4)), &mut desk);
    assert_eq!(desk.reads.len(), 1);
    order.resume(session(1), &mut desk);
    order.resume(session(1), &mut desk);
    assert_eq!(desk.reads[1..], [(4, replay(1, 4))]);
}

#[test]
fn subscribing_again_brings_what_is_lacking_and_nothing_twice() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(11..=12), &mut desk);
    order.subscribe(wanted(0, 7, 12), &mut desk);
    order.deliver(&batch(13..=13), &mut desk);
    order.page(session(0), Rev(7), Some(frames(8..=13)), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..12", "page 8..10"]);
    order.resume(session(0), &mut desk);
    assert_eq!(desk.given_to(0), ["page 13..13", "attached 13"]);
    order.subscribe(wanted(0, 9, 13), &mut desk);
    assert_eq!(desk.given_to(0), ["attached 13"], "it has all of that");
}

#[test]
fn who_left_and_came_back_between_two_checks_gets_nothing_from_in_between() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(0, 14, 14), &mut desk);
    order.deliver(&left(11, 0), &mut desk);
    order.deliver(&batch(12..=15), &mut desk);
    assert_eq!(desk.given_to(0), ["attached 14", "frames 15..15"]);
    order.deliver(&left(16, 0), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 16..16", "left"]);
    assert!(order.is_empty());
}

#[test]
fn a_check_from_before_a_leave_is_refused_and_if_that_is_forgotten_the_replay_ends_there() {
    let (mut order, mut desk) = room();
    order.deliver(&left(11, 1), &mut desk);
    order.subscribe(wanted(1, 10, 10), &mut desk);
    assert_eq!(desk.given_to(1), ["left"]);
    for rev in 12..=1100 {
        order.deliver(&left(rev, 2), &mut desk);
    }
    order.subscribe(wanted(1, 10, 10), &mut desk);
    assert_eq!(desk.given_to(1), [""; 0]);
    let page = (11..=20).map(|rev| frame(rev, Effect::Left(user(if rev == 11 { 1 } else { 2 })))).collect();
    order.page(session(1), Rev(10), Some(page), &mut desk);
    assert_eq!(desk.given_to(1), ["page 11..11", "left"]);
    assert_eq!(order.followers().count(), 1);
}

#[test]
fn what_is_held_is_bounded_and_the_nearest_is_kept() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(12..=2000), &mut desk);
    order.fill(&mut desk);
    order.filled(Some(frames(11..=11)), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..1034"]);
    assert!(order.has_hole(), "the rest is in the log");
}

#[test]
fn who_is_a_little_behind_needs_no_log_unless_something_was_deleted_since() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(11..=14), &mut desk);
    order.subscribe(wanted(1, 11, 12), &mut desk);
    assert_eq!(desk.given_to(1), ["page 12..14", "attached 14"]);
    let deleted = Effect::Deleted(MessageId(Uuid::from_u128(13)));
    order.deliver(&Batch::new(vec![frame(15, deleted)]), &mut desk);
    order.subscribe(wanted(2, 13, 14), &mut desk);
    assert_eq!(desk.given_to(2), ["page 14..15", "attached 15"]);
    assert!(desk.reads.is_empty());
    order.subscribe(wanted(3, 12, 14), &mut desk);
    assert_eq!(desk.reads, [(12, replay(3, 12))]);
}

#[test]
fn who_cannot_take_something_is_forgotten() {
    let (mut order, mut desk) = room();
    desk.full = Some(0);
    order.deliver(&batch(11..=11), &mut desk);
    order.deliver(&batch(12..=12), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..11"]);
    assert!(order.is_empty());
}

#[test]
fn the_newest_subscription_is_answered_by_its_own_handle() {
    let (mut order, mut desk) = room();
    // the same session, which tells its subscriptions apart by their handles
    let again = Subscribe { handle: 7, ..wanted(0, 8, 10) };
    order.subscribe(again, &mut desk);
    order.page(session(0), Rev(8), Some(frames(9..=10)), &mut desk);
    assert_eq!(desk.given_to(0), [""; 0], "an answer to the first would be taken for the end of the second");
    assert_eq!(desk.given_to(7), ["page 9..10", "attached 10"]);
}
