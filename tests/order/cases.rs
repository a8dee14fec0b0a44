//! Notable cases of the order, each small enough to be read: what a random world meets rarely, or finds no fault with
//! because it heals by itself.

use super::desk::{Desk, HOLE, batch, deletes, frame, frames, left, page, room, says, session, wanted};
use super::history::user;
use greenroom::domain::ids::MessageId;
use greenroom::mailboxes::Batch;
use greenroom::protocol::events::{Effect, Frame};
use greenroom::realtime::order::{Order, Subscribe};
use uuid::Uuid;

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
