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
    /// After which revision, and for which session's replay, or for a hole.
    reads: Vec<(i64, Option<SessionId>)>,
    /// Of each read in `reads`, its number.
    numbers: Vec<u64>,
    /// The texts of each batch.
    texts: Vec<String>,
    full: Option<usize>,
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

    fn read(&mut self, after: Rev, purpose: ReadFor) {
        let (session, number) = match purpose {
            ReadFor::Replay(session, number) => (Some(session), number),
            ReadFor::Hole => (None, 0),
            ReadFor::Doubt(_) => unreachable!("a room doubts, its order does not"),
        };
        self.reads.push((after.0, session));
        self.numbers.push(number);
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

const HOLE: Option<SessionId> = None;

/// Answers the newest read after `after` for a session's replay.
fn page(order: &mut Order<usize>, desk: &mut Desk, index: usize, after: i64, frames: Option<Vec<Frame>>) {
    let read = desk.reads.iter().rposition(|read| *read == (after, Some(session(index)))).expect("it was asked for");
    order.page(session(index), desk.numbers[read], frames, desk);
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
    assert_eq!(desk.reads, [(3, Some(session(0)))]);
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
    assert_eq!(desk.reads, [(10, HOLE)]);
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
    page(&mut order, &mut desk, 1, 2, Some(frames(5..=9)));
    assert_eq!(desk.given_to(1), ["reset 10", "page 11..12"], "and is not answered again");

    // what is lost beyond the check might be that the user left
    order.subscribe(wanted(4, 9, 9), &mut desk);
    page(&mut order, &mut desk, 4, 9, Some(frames(11..=12)));
    assert_eq!(desk.given_to(4), ["gone"]);
}

#[test]
fn a_page_that_an_earlier_subscription_asked_for_is_not_taken() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 2, 10), &mut desk);
    order.unsubscribe(session(1));
    order.subscribe(wanted(1, 6, 10), &mut desk);
    assert_eq!(desk.reads, [(2, Some(session(1))), (6, Some(session(1)))]);
    page(&mut order, &mut desk, 1, 2, Some(frames(3..=10)));
    page(&mut order, &mut desk, 1, 2, None);
    assert_eq!(desk.given_to(1), [""; 0]);
    page(&mut order, &mut desk, 1, 6, Some(frames(7..=10)));
    assert_eq!(desk.given_to(1), ["page 7..10", "attached 10"]);
}

#[test]
fn the_next_page_is_read_when_asked_for_and_once() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 0, 10), &mut desk);
    order.resume(session(1), &mut desk);
    assert_eq!(desk.reads, [(0, Some(session(1)))]);
    page(&mut order, &mut desk, 1, 0, Some(frames(1..=4)));
    assert_eq!(desk.reads.len(), 1);
    order.resume(session(1), &mut desk);
    order.resume(session(1), &mut desk);
    assert_eq!(desk.reads[1..], [(4, Some(session(1)))]);
}

#[test]
fn subscribing_again_brings_what_is_lacking_and_nothing_twice() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(11..=12), &mut desk);
    order.subscribe(wanted(0, 7, 12), &mut desk);
    order.deliver(&batch(13..=13), &mut desk);
    page(&mut order, &mut desk, 0, 7, Some(frames(8..=13)));
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
    let rows = (11..=20).map(|rev| frame(rev, Effect::Left(user(if rev == 11 { 1 } else { 2 })))).collect();
    page(&mut order, &mut desk, 1, 10, Some(rows));
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
    assert_eq!(desk.reads, [(12, Some(session(3)))]);
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
    page(&mut order, &mut desk, 0, 8, Some(frames(9..=10)));
    assert_eq!(desk.given_to(0), [""; 0], "an answer to the first would be taken for the end of the second");
    assert_eq!(desk.given_to(7), ["page 9..10", "attached 10"]);
}

/// A frame that shows a message.
fn says(rev: i64, message: u128) -> Frame {
    Frame { message_id: Some(MessageId(Uuid::from_u128(message))), ..frame(rev, Effect::None) }
}

fn deletes(rev: i64, message: u128) -> Frame {
    Frame { message_id: None, ..frame(rev, Effect::Deleted(MessageId(Uuid::from_u128(message)))) }
}

#[test]
fn a_room_that_is_behind_the_check_replays_from_the_log() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(11..=12), &mut desk);
    // another node has deleted something at 13, which has not come here
    order.subscribe(wanted(1, 10, 13), &mut desk);
    assert_eq!(desk.given_to(1), [""; 0]);
    assert_eq!(desk.reads, [(10, Some(session(1)))]);
    page(&mut order, &mut desk, 1, 10, Some(frames(11..=13)));
    assert_eq!(desk.given_to(1), ["page 11..13", "attached 13"]);
}

#[test]
fn what_is_held_and_was_deleted_meanwhile_comes_from_the_log() {
    let (mut order, mut desk) = room();
    order.deliver(&Batch::new(vec![says(12, 7)]), &mut desk);
    order.deliver(&Batch::new(vec![deletes(13, 7)]), &mut desk);
    order.deliver(&batch(11..=11), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..11"], "12 shows the message in full");
    order.deliver(&Batch::new(vec![says(12, 7)]), &mut desk);
    assert_eq!(desk.given_to(0), [""; 0], "and does so when it comes again");
    order.fill(&mut desk);
    order.filled(Some(vec![says(12, 7), deletes(13, 7)]), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 12..13"], "the log has it without the text");
}

#[test]
fn what_the_log_says_is_taken_in_place_of_what_is_held() {
    let (mut order, mut desk) = room();
    order.deliver(&Batch::new(vec![says(12, 7)]), &mut desk);
    order.fill(&mut desk);
    let rewritten = Frame { text: "rewritten".into(), ..says(12, 7) };
    order.filled(Some(vec![frame(11, Effect::None), rewritten, deletes(13, 7)]), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..13"]);
    assert_eq!(desk.texts.last().map(String::as_str), Some("text rewritten text"));
}

#[test]
fn what_is_deleted_while_it_is_being_read_is_read_again() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 2, 10), &mut desk);
    order.deliver(&Batch::new(vec![says(12, 7)]), &mut desk);
    order.fill(&mut desk);
    order.deliver(&Batch::new(vec![deletes(13, 5)]), &mut desk);
    order.deliver(&Batch::new(vec![deletes(14, 7)]), &mut desk);
    // both reads began before the deletions
    page(&mut order, &mut desk, 1, 2, Some(frames(3..=10)));
    assert_eq!(desk.given_to(1), [""; 0]);
    order.filled(Some(vec![frame(11, Effect::None), says(12, 7)]), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 11..11"]);
    order.fill(&mut desk);
    assert_eq!(desk.reads, [(2, Some(session(1))), (10, HOLE), (2, Some(session(1))), (11, HOLE)]);
    order.filled(Some(vec![says(12, 7)]), &mut desk);
    assert_eq!(desk.given_to(0), ["frames 12..14"]);
    page(&mut order, &mut desk, 1, 2, Some(frames(3..=14)));
    assert_eq!(desk.given_to(1), ["page 3..14", "attached 14"]);
}

#[test]
fn a_page_read_for_an_earlier_check_is_not_taken_for_a_later_one() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 2, 10), &mut desk);
    order.subscribe(wanted(1, 2, 11), &mut desk);
    let first = desk.numbers[0];
    order.page(session(1), first, Some(frames(3..=10)), &mut desk);
    assert_eq!(desk.given_to(1), [""; 0], "what was deleted at 11 is in it");
    page(&mut order, &mut desk, 1, 2, Some(frames(3..=11)));
    assert_eq!(desk.given_to(1), ["page 3..11", "attached 11"]);
}

#[test]
fn whoever_left_is_told_nothing_of_the_moment_though_the_event_is_yet_to_come() {
    let (mut order, mut desk) = room();
    order.subscribe(wanted(1, 2, 10), &mut desk);
    order.subscribe(wanted(2, 10, 10), &mut desk);
    assert_eq!(order.followers().count(), 3);
    order.deliver(&left(11, 1), &mut desk);
    assert_eq!(order.followers().count(), 2, "its replay goes on, and nothing else");
    order.deliver(&left(13, 2), &mut desk);
    assert_eq!(order.followers().map(|(_, index)| *index).collect::<Vec<_>>(), [0]);
    order.deliver(&batch(12..=12), &mut desk);
    assert_eq!(desk.given_to(2), ["attached 10", "frames 11..11", "frames 12..13", "left"]);
    let rows = (3..=13).map(|rev| frame(rev, if rev == 11 { Effect::Left(user(1)) } else { Effect::None })).collect();
    page(&mut order, &mut desk, 1, 2, Some(rows));
    assert_eq!(desk.given_to(1), ["page 3..11", "left"]);
    // who came back is told again
    order.subscribe(wanted(2, 13, 13), &mut desk);
    assert_eq!(order.followers().count(), 2);
}

#[test]
fn what_is_no_longer_recent_comes_from_the_log() {
    let (mut order, mut desk) = room();
    order.deliver(&batch(11..=12), &mut desk);
    order.age();
    order.subscribe(wanted(1, 10, 12), &mut desk);
    assert_eq!(desk.given_to(1), ["page 11..12", "attached 12"]);
    order.age();
    assert!(!order.has_recent());
    order.subscribe(wanted(2, 10, 12), &mut desk);
    assert_eq!(desk.reads, [(10, Some(session(2)))]);
}
