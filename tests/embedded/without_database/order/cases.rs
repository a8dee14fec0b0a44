//! Single cases of the order. A random run rarely contains such a case, or does not find its failure because a later
//! step repairs it.

use super::history::user;
use super::recorder::{
    GAP, Recorder, answer_read, batch, deletion, frame, frames, leave_batch, message, order_at_10, request, session,
};
use greenroom::domain::ids::MessageId;
use greenroom::mailboxes::Batch;
use greenroom::protocol::envelope::Envelope;
use greenroom::protocol::events::EventEffect;
use greenroom::realtime::order::{Order, SubscribeRequest};
use uuid::Uuid;

#[test]
fn the_missing_event_releases_the_pending_events() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(13..=13), &mut recorder);
    order.deliver(&batch(12..=12), &mut recorder);
    assert!(order.has_gap() && recorder.sent.is_empty());
    order.deliver(&batch(11..=11), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..13"]);
    assert!(!order.has_gap() && recorder.reads.is_empty());
}

#[test]
fn the_checked_revision_proves_that_events_exist_and_the_revision_of_a_client_does_not() {
    let (mut order, mut recorder) = (Order::default(), Recorder::default());
    order.subscribe(request(0, 3, 10), &mut recorder);
    assert_eq!(recorder.reads, [(3, Some(session(0)))]);
    order.deliver(&batch(11..=11), &mut recorder);
    assert!(!order.has_gap(), "the head of the room began at 10");
    order.subscribe(request(1, 12, 12), &mut recorder);
    assert_eq!(recorder.take_sent(1), ["attached 12"]);
    assert!(order.has_gap(), "12 exists and has not arrived");
}

#[test]
fn a_read_of_a_gap_that_the_head_has_passed_proves_nothing() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(12..=12), &mut recorder);
    order.read_gap(&mut recorder);
    assert_eq!(recorder.reads, [(10, GAP)]);
    order.read_gap(&mut recorder);
    assert_eq!(recorder.reads.len(), 1, "one read of the gap at a time");
    order.deliver(&batch(11..=11), &mut recorder);
    order.deliver(&batch(14..=14), &mut recorder);
    order.handle_gap_read(Some(frames(11..=12)), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..12"]);
    order.read_gap(&mut recorder);
    order.handle_gap_read(None, &mut recorder);
    assert!(order.has_gap(), "a failed read does not close the gap");
    order.read_gap(&mut recorder);
    order.handle_gap_read(Some(frames(13..=14)), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 13..14"]);
}

#[test]
fn subscribers_that_miss_lost_events_must_reconnect() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(1, 14, 14), &mut recorder);
    order.subscribe(request(2, 2, 10), &mut recorder);
    order.read_gap(&mut recorder);
    order.handle_gap_read(Some(frames(13..=14)), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["gone"]);
    assert_eq!(recorder.take_sent(1), ["attached 14"], "this session has the lost events");
    assert_eq!(recorder.take_sent(2), [""; 0], "the replay of this session reads the log itself");
    assert!(!order.has_gap());
    order.deliver(&batch(13..=15), &mut recorder);
    assert_eq!(recorder.take_sent(1), ["frames 15..15"]);
}

#[test]
fn a_replay_whose_events_the_log_lacks_is_reset_to_the_checked_revision() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&leave_batch(11, 2), &mut recorder);
    order.deliver(&leave_batch(12, 7), &mut recorder);
    order.subscribe(request(1, 2, 10), &mut recorder);
    answer_read(&mut order, &mut recorder, 1, 2, Some(frames(5..=9)));
    assert_eq!(recorder.take_sent(1), ["reset 10", "page 11..12"], "the session gets no second answer");

    // One of the events that are missing after the check may be the leave of the user.
    order.subscribe(request(4, 9, 9), &mut recorder);
    answer_read(&mut order, &mut recorder, 4, 9, Some(frames(11..=12)));
    assert_eq!(recorder.take_sent(4), ["gone"]);
}

#[test]
fn a_page_for_an_earlier_subscription_is_ignored() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(1, 2, 10), &mut recorder);
    order.unsubscribe(session(1));
    order.subscribe(request(1, 6, 10), &mut recorder);
    assert_eq!(recorder.reads, [(2, Some(session(1))), (6, Some(session(1)))]);
    answer_read(&mut order, &mut recorder, 1, 2, Some(frames(3..=10)));
    answer_read(&mut order, &mut recorder, 1, 2, None);
    assert_eq!(recorder.take_sent(1), [""; 0]);
    answer_read(&mut order, &mut recorder, 1, 6, Some(frames(7..=10)));
    assert_eq!(recorder.take_sent(1), ["page 7..10", "attached 10"]);
}

#[test]
fn the_next_page_is_read_once_when_the_client_requests_it() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(1, 0, 10), &mut recorder);
    order.resume(session(1), &mut recorder);
    assert_eq!(recorder.reads, [(0, Some(session(1)))]);
    answer_read(&mut order, &mut recorder, 1, 0, Some(frames(1..=4)));
    assert_eq!(recorder.reads.len(), 1);
    order.resume(session(1), &mut recorder);
    order.resume(session(1), &mut recorder);
    assert_eq!(recorder.reads[1..], [(4, Some(session(1)))]);
}

#[test]
fn a_repeated_subscription_sends_the_missing_events_and_none_twice() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(11..=12), &mut recorder);
    order.subscribe(request(0, 7, 12), &mut recorder);
    order.deliver(&batch(13..=13), &mut recorder);
    answer_read(&mut order, &mut recorder, 0, 7, Some(frames(8..=13)));
    assert_eq!(recorder.take_sent(0), ["frames 11..12", "page 8..10"]);
    order.resume(session(0), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["page 13..13", "attached 13"]);
    order.subscribe(request(0, 9, 13), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["attached 13"], "the session has all these events");
}

#[test]
fn a_user_who_left_and_joined_between_two_checks_gets_no_event_of_the_absence() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(0, 14, 14), &mut recorder);
    order.deliver(&leave_batch(11, 0), &mut recorder);
    order.deliver(&batch(12..=15), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["attached 14", "frames 15..15"]);
    order.deliver(&leave_batch(16, 0), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 16..16", "left"]);
    assert!(order.is_empty());
}

#[test]
fn a_check_from_before_a_leave_is_refused_and_a_replay_ends_at_a_forgotten_leave() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&leave_batch(11, 1), &mut recorder);
    order.subscribe(request(1, 10, 10), &mut recorder);
    assert_eq!(recorder.take_sent(1), ["left"]);
    for rev in 12..=1100 {
        order.deliver(&leave_batch(rev, 2), &mut recorder);
    }
    order.subscribe(request(1, 10, 10), &mut recorder);
    assert_eq!(recorder.take_sent(1), [""; 0]);
    let rows = (11..=20).map(|rev| frame(rev, EventEffect::Left(user(if rev == 11 { 1 } else { 2 })))).collect();
    answer_read(&mut order, &mut recorder, 1, 10, Some(rows));
    assert_eq!(recorder.take_sent(1), ["page 11..11", "left"]);
    assert_eq!(order.ephemeral_receivers().count(), 1);
}

#[test]
fn pending_events_are_bounded_and_the_oldest_are_kept() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(12..=2000), &mut recorder);
    order.read_gap(&mut recorder);
    order.handle_gap_read(Some(frames(11..=11)), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..1034"]);
    assert!(order.has_gap(), "the other events are in the log");
}

#[test]
fn the_ring_serves_a_replay_unless_a_message_was_deleted_since() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(11..=14), &mut recorder);
    order.subscribe(request(1, 11, 12), &mut recorder);
    assert_eq!(recorder.take_sent(1), ["page 12..14", "attached 14"]);
    let deleted = EventEffect::Deleted(MessageId(Uuid::from_u128(13)));
    order.deliver(&Batch::new(vec![frame(15, deleted)]), &mut recorder);
    order.subscribe(request(2, 13, 14), &mut recorder);
    assert_eq!(recorder.take_sent(2), ["page 14..15", "attached 15"]);
    assert!(recorder.reads.is_empty());
    order.subscribe(request(3, 12, 14), &mut recorder);
    assert_eq!(recorder.reads, [(12, Some(session(3)))]);
}

#[test]
fn a_subscriber_that_cannot_take_an_event_is_removed() {
    let (mut order, mut recorder) = order_at_10();
    recorder.full = Some(0);
    order.deliver(&batch(11..=11), &mut recorder);
    order.deliver(&batch(12..=12), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..11"]);
    assert!(order.is_empty());
}

#[test]
fn the_newest_subscription_is_answered_through_its_own_handle() {
    let (mut order, mut recorder) = order_at_10();
    // The same session, which distinguishes its subscriptions by their handles.
    let again = SubscribeRequest { handle: 7, ..request(0, 8, 10) };
    order.subscribe(again, &mut recorder);
    answer_read(&mut order, &mut recorder, 0, 8, Some(frames(9..=10)));
    assert_eq!(recorder.take_sent(0), [""; 0], "the session would confuse the answers to its two subscriptions");
    assert_eq!(recorder.take_sent(7), ["page 9..10", "attached 10"]);
}

#[test]
fn a_room_that_is_behind_the_check_replays_from_the_log() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(11..=12), &mut recorder);
    // Another node has deleted a message at 13, and the event has not arrived here.
    order.subscribe(request(1, 10, 13), &mut recorder);
    assert_eq!(recorder.take_sent(1), [""; 0]);
    assert_eq!(recorder.reads, [(10, Some(session(1)))]);
    answer_read(&mut order, &mut recorder, 1, 10, Some(frames(11..=13)));
    assert_eq!(recorder.take_sent(1), ["page 11..13", "attached 13"]);
}

#[test]
fn a_pending_event_of_a_deleted_message_comes_from_the_log() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&Batch::new(vec![message(12, 7)]), &mut recorder);
    order.deliver(&Batch::new(vec![deletion(13, 7)]), &mut recorder);
    order.deliver(&batch(11..=11), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..11"], "12 shows the message in full");
    order.deliver(&Batch::new(vec![message(12, 7)]), &mut recorder);
    assert_eq!(recorder.take_sent(0), [""; 0], "the event shows the message when it arrives again");
    order.read_gap(&mut recorder);
    order.handle_gap_read(Some(vec![message(12, 7), deletion(13, 7)]), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 12..13"], "the log has the event without the text");
}

#[test]
fn an_event_from_the_log_replaces_a_pending_one() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&Batch::new(vec![message(12, 7)]), &mut recorder);
    order.read_gap(&mut recorder);
    let rewritten = Envelope { text: "rewritten".into(), ..message(12, 7) };
    order.handle_gap_read(Some(vec![frame(11, EventEffect::None), rewritten, deletion(13, 7)]), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..13"]);
    assert_eq!(recorder.texts.last().map(String::as_str), Some("text rewritten text"));
}

#[test]
fn events_of_a_message_deleted_during_a_read_are_read_again() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(1, 2, 10), &mut recorder);
    order.deliver(&Batch::new(vec![message(12, 7)]), &mut recorder);
    order.read_gap(&mut recorder);
    order.deliver(&Batch::new(vec![deletion(13, 5)]), &mut recorder);
    order.deliver(&Batch::new(vec![deletion(14, 7)]), &mut recorder);
    // Both reads began before the deletions.
    answer_read(&mut order, &mut recorder, 1, 2, Some(frames(3..=10)));
    assert_eq!(recorder.take_sent(1), [""; 0]);
    order.handle_gap_read(Some(vec![frame(11, EventEffect::None), message(12, 7)]), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 11..11"]);
    order.read_gap(&mut recorder);
    assert_eq!(recorder.reads, [(2, Some(session(1))), (10, GAP), (2, Some(session(1))), (11, GAP)]);
    order.handle_gap_read(Some(vec![message(12, 7)]), &mut recorder);
    assert_eq!(recorder.take_sent(0), ["frames 12..14"]);
    answer_read(&mut order, &mut recorder, 1, 2, Some(frames(3..=14)));
    assert_eq!(recorder.take_sent(1), ["page 3..14", "attached 14"]);
}

#[test]
fn a_page_for_an_earlier_check_is_ignored_after_a_later_one() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(1, 2, 10), &mut recorder);
    order.subscribe(request(1, 2, 11), &mut recorder);
    let first = recorder.read_numbers[0];
    order.handle_replay_read(session(1), first, Some(frames(3..=10)), &mut recorder);
    assert_eq!(recorder.take_sent(1), [""; 0], "the page contains a message that was deleted at 11");
    answer_read(&mut order, &mut recorder, 1, 2, Some(frames(3..=11)));
    assert_eq!(recorder.take_sent(1), ["page 3..11", "attached 11"]);
}

#[test]
fn a_user_who_left_gets_no_ephemeral_frames_although_the_leave_is_not_sent_yet() {
    let (mut order, mut recorder) = order_at_10();
    order.subscribe(request(1, 2, 10), &mut recorder);
    order.subscribe(request(2, 10, 10), &mut recorder);
    assert_eq!(order.ephemeral_receivers().count(), 3);
    order.deliver(&leave_batch(11, 1), &mut recorder);
    assert_eq!(order.ephemeral_receivers().count(), 2, "the replay of session 1 continues without ephemeral frames");
    order.deliver(&leave_batch(13, 2), &mut recorder);
    assert_eq!(order.ephemeral_receivers().map(|(_, index)| *index).collect::<Vec<_>>(), [0]);
    order.deliver(&batch(12..=12), &mut recorder);
    assert_eq!(recorder.take_sent(2), ["attached 10", "frames 11..11", "frames 12..13", "left"]);
    let rows = (3..=13)
        .map(|rev| frame(rev, if rev == 11 { EventEffect::Left(user(1)) } else { EventEffect::None }))
        .collect();
    answer_read(&mut order, &mut recorder, 1, 2, Some(rows));
    assert_eq!(recorder.take_sent(1), ["page 3..11", "left"]);
    // A user who has joined again gets ephemeral frames again.
    order.subscribe(request(2, 13, 13), &mut recorder);
    assert_eq!(order.ephemeral_receivers().count(), 2);
}

#[test]
fn events_that_are_no_longer_in_the_ring_come_from_the_log() {
    let (mut order, mut recorder) = order_at_10();
    order.deliver(&batch(11..=12), &mut recorder);
    order.age_ring();
    order.subscribe(request(1, 10, 12), &mut recorder);
    assert_eq!(recorder.take_sent(1), ["page 11..12", "attached 12"]);
    order.age_ring();
    assert!(!order.has_recent_events());
    order.subscribe(request(2, 10, 12), &mut recorder);
    assert_eq!(recorder.reads, [(10, Some(session(2)))]);
}
