//! The history checker of `tests/support/history/check.rs` finds the violation in each of these forged histories. There
//! is one for each kind of violation, so that other tests can rely on the checker.

use crate::support::history::{Conversation, Entry, Event, History, Outcome, Row, Send, Session, Violation, check};

const ROOM: &str = "room";
const ALICE: &str = "alice";
const BOB: &str = "bob";

/// Returns a valid history: Alice sends four messages to a group with Bob, one after the other. Both are connected from
/// the start.
fn valid_history() -> History {
    let mut history = History::default();
    let mut conversation = Conversation { first_seq: 1, first_rev: 1, last_seq: 5, last_rev: 5, rows: Vec::new() };
    let mut events = vec![Entry::Start(1)];
    for number in 2..=5_i64 {
        let (message_id, temp_id) = (format!("message-{number}"), format!("temp-{number}"));
        let tick = u64::try_from(number).unwrap() * 10;
        history.sends.push(Send {
            conversation: ROOM.to_owned(),
            sender: ALICE.to_owned(),
            temp_id: temp_id.clone(),
            invoked: tick,
            outcomes: vec![Outcome::Stored {
                at: tick + 5,
                message_id: message_id.clone(),
                seq: number,
                rev: Some(number),
            }],
        });
        conversation.rows.push(Row {
            id: message_id.clone(),
            seq: number,
            sender: Some(ALICE.to_owned()),
            temp_id: Some(temp_id),
        });
        events.push(Entry::Event(Event {
            rev: number,
            kind: "message.new".to_owned(),
            message: Some((message_id, number)),
            sender: Some(ALICE.to_owned()),
            users: Vec::new(),
        }));
    }
    history.conversations.insert(ROOM.to_owned(), conversation);
    for user in [ALICE, BOB] {
        history.sessions.push(Session {
            name: format!("{user}'s phone"),
            user: user.to_owned(),
            complete: true,
            streams: [(ROOM.to_owned(), events.clone())].into(),
        });
    }
    history
}

/// Returns the entries of Bob's session.
fn entries_of_bob(history: &mut History) -> &mut Vec<Entry> {
    history.sessions[1].streams.get_mut(ROOM).unwrap()
}

fn rows(history: &mut History) -> &mut Vec<Row> {
    &mut history.conversations.get_mut(ROOM).unwrap().rows
}

/// Appends an event about a participant to each session.
fn append_membership_event(history: &mut History, rev: i64, kind: &str, user: &str) {
    let event = Event { rev, kind: kind.to_owned(), message: None, sender: None, users: vec![user.to_owned()] };
    for session in &mut history.sessions {
        session.streams.get_mut(ROOM).unwrap().push(Entry::Event(event.clone()));
    }
    history.conversations.get_mut(ROOM).unwrap().last_rev = rev;
}

/// Stores one more message, and appends its event to the sessions with these indexes.
fn append_message(history: &mut History, rev: i64, sender: &str, sessions: &[usize]) {
    let conversation = history.conversations.get_mut(ROOM).unwrap();
    conversation.last_seq += 1;
    conversation.last_rev = rev;
    let (seq, id, temp_id) = (conversation.last_seq, format!("message-at-{rev}"), format!("temp-at-{rev}"));
    conversation.rows.push(Row {
        id: id.clone(),
        seq,
        sender: Some(sender.to_owned()),
        temp_id: Some(temp_id.clone()),
    });
    history.sends.push(Send {
        conversation: ROOM.to_owned(),
        sender: sender.to_owned(),
        temp_id,
        invoked: 1_000 + rev.unsigned_abs(),
        outcomes: Vec::new(),
    });
    let event = Event {
        rev,
        kind: "message.new".to_owned(),
        message: Some((id, seq)),
        sender: Some(sender.to_owned()),
        users: Vec::new(),
    };
    for index in sessions {
        history.sessions[*index].streams.get_mut(ROOM).unwrap().push(Entry::Event(event.clone()));
    }
}

#[track_caller]
fn assert_finds(history: &History, expected: impl Fn(&Violation) -> bool) {
    let found = check(history);
    assert!(found.iter().any(expected), "the checker did not find the violation; it found {found:?}");
}

#[test]
fn a_valid_history_is_accepted() {
    assert_eq!(check(&valid_history()), []);
}

#[test]
fn a_send_of_unknown_outcome_may_be_stored_or_not() {
    let mut stored = valid_history();
    stored.sends[2].outcomes.clear();
    assert_eq!(check(&stored), []);

    let mut not_stored = valid_history();
    let mut lost = not_stored.sends[0].clone();
    lost.temp_id = "temp-lost".to_owned();
    lost.outcomes.clear();
    not_stored.sends.push(lost);
    assert_eq!(check(&not_stored), []);
}

#[test]
fn a_second_session_may_continue_after_the_last_revision() {
    let mut history = valid_history();
    let later = entries_of_bob(&mut history).split_off(3);
    history.sessions[1].complete = false;
    let mut second = history.sessions[1].clone();
    second.complete = true;
    second.streams.insert(ROOM.to_owned(), [vec![Entry::Start(3)], later].concat());
    history.sessions.push(second);
    assert_eq!(check(&history), []);
}

#[test]
fn a_user_may_leave_and_join_again() {
    let mut history = valid_history();
    append_membership_event(&mut history, 6, "participant.left", BOB);
    append_message(&mut history, 7, ALICE, &[0]);
    let joined = Event {
        rev: 8,
        kind: "participant.joined".to_owned(),
        message: None,
        sender: None,
        users: vec![BOB.to_owned()],
    };
    history.sessions[0].streams.get_mut(ROOM).unwrap().push(Entry::Event(joined));
    entries_of_bob(&mut history).push(Entry::Start(8));
    append_message(&mut history, 9, BOB, &[0, 1]);
    assert_eq!(check(&history), []);
}

#[test]
fn a_lost_acknowledged_message_is_found() {
    let mut history = valid_history();
    let conversation = history.conversations.get_mut(ROOM).unwrap();
    conversation.rows.pop();
    conversation.last_seq = 4;
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::AcknowledgedButLost { temp_id, .. } if temp_id == "temp-5"),
    );
}

#[test]
fn an_acknowledgement_of_another_message_is_found() {
    let mut history = valid_history();
    rows(&mut history)[1].id = "another".to_owned();
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::AcknowledgedButLost { temp_id, .. } if temp_id == "temp-3"),
    );
}

#[test]
fn a_temp_id_that_is_stored_twice_is_found() {
    let mut history = valid_history();
    rows(&mut history)[3].temp_id = Some("temp-4".to_owned());
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::StoredTwice { temp_id, .. } if temp_id == "temp-4"),
    );
}

#[test]
fn two_different_answers_to_one_send_are_found() {
    let mut history = valid_history();
    history.sends[0].outcomes.push(Outcome::Stored {
        at: 90,
        message_id: "message-2".to_owned(),
        seq: 3,
        rev: Some(3),
    });
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::AnswersDiffer { temp_id, .. } if temp_id == "temp-2"),
    );
}

#[test]
fn a_gap_in_seq_is_found() {
    let mut history = valid_history();
    rows(&mut history).remove(1);
    history.sends.remove(1);
    assert_finds(&history, |violation| matches!(violation, Violation::SeqNotDense { expected: 3, found: 4, .. }));
}

#[test]
fn a_last_seq_without_a_message_is_found() {
    let mut history = valid_history();
    history.conversations.get_mut(ROOM).unwrap().last_seq = 6;
    assert_finds(&history, |violation| matches!(violation, Violation::SeqNotDense { expected: 6, found: 6, .. }));
}

#[test]
fn a_gap_in_rev_is_found() {
    let mut history = valid_history();
    history.conversations.get_mut(ROOM).unwrap().last_rev = 6;
    assert_finds(&history, |violation| matches!(violation, Violation::RevNotDense { missing: 6, .. }));
}

#[test]
fn a_gap_in_the_events_of_a_session_is_found() {
    let mut history = valid_history();
    entries_of_bob(&mut history).remove(2);
    assert_finds(&history, |violation| matches!(violation, Violation::SessionGap { expected: 3, found: 4, .. }));
}

#[test]
fn an_event_that_a_session_gets_twice_is_found() {
    let mut history = valid_history();
    let again = entries_of_bob(&mut history)[2].clone();
    entries_of_bob(&mut history).push(again);
    assert_finds(&history, |violation| matches!(violation, Violation::SessionRepeats { rev: 3, .. }));
}

#[test]
fn events_in_the_wrong_order_are_found() {
    let mut history = valid_history();
    entries_of_bob(&mut history).swap(2, 3);
    assert_finds(&history, |violation| matches!(violation, Violation::SessionRepeats { rev: 3, .. }));
}

#[test]
fn a_session_without_the_last_event_is_found() {
    let mut history = valid_history();
    entries_of_bob(&mut history).pop();
    assert_finds(&history, |violation| matches!(violation, Violation::SessionEndsEarly { received: 4, last: 5, .. }));
}

#[test]
fn an_event_without_a_subscription_is_found() {
    let mut history = valid_history();
    entries_of_bob(&mut history).remove(0);
    assert_finds(&history, |violation| matches!(violation, Violation::NotSubscribed { rev: 2, .. }));
}

#[test]
fn two_sessions_with_different_events_are_found() {
    let mut history = valid_history();
    let Entry::Event(event) = &mut entries_of_bob(&mut history)[4] else { unreachable!("the last entry is an event") };
    event.message = Some(("another".to_owned(), 5));
    assert_finds(&history, |violation| matches!(violation, Violation::RevisionDiffers { rev: 5, .. }));
}

#[test]
fn messages_in_the_wrong_order_are_found() {
    let mut history = valid_history();
    // The message temp-3 is acknowledged before temp-4 is sent, but it has the greater seq.
    for send in &mut history.sends {
        let seq = match send.temp_id.as_str() {
            "temp-3" => 4,
            "temp-4" => 3,
            _ => continue,
        };
        let Outcome::Stored { seq: stored, .. } = &mut send.outcomes[0] else { unreachable!("it was stored") };
        *stored = seq;
    }
    let stored = rows(&mut history);
    stored[1].seq = 4;
    stored[2].seq = 3;
    stored.swap(1, 2);
    assert_finds(&history, |violation| {
        let Violation::OrderInverted { earlier, later, .. } = violation else { return false };
        earlier == "temp-3" && later == "temp-4"
    });
}

#[test]
fn concurrent_sends_may_be_stored_in_any_order() {
    let mut history = valid_history();
    for send in &mut history.sends {
        send.invoked = 1;
    }
    assert_eq!(check(&history), []);
}

#[test]
fn an_event_that_differs_from_the_stored_message_is_found() {
    let mut history = valid_history();
    for session in &mut history.sessions {
        let Entry::Event(event) = &mut session.streams.get_mut(ROOM).unwrap()[3] else { unreachable!("an event") };
        event.message = Some(("another".to_owned(), 4));
    }
    assert_finds(&history, |violation| matches!(violation, Violation::EventDiffersFromLog { rev: 4, .. }));
}

#[test]
fn an_event_after_a_removal_is_found() {
    let mut history = valid_history();
    append_membership_event(&mut history, 6, "participant.left", BOB);
    append_message(&mut history, 7, ALICE, &[0, 1]);
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::AfterRemoval { rev: 7, session, .. } if session.starts_with(BOB)),
    );
}

#[test]
fn a_message_by_a_removed_user_is_found() {
    let mut history = valid_history();
    append_membership_event(&mut history, 6, "participant.left", BOB);
    append_message(&mut history, 7, BOB, &[0]);
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::SentAfterRemoval { rev: 7, user, .. } if user == BOB),
    );
}

#[test]
fn a_refused_send_that_is_stored_is_found() {
    let mut history = valid_history();
    history.sends[1].outcomes = vec![Outcome::Failed("blocked".to_owned())];
    assert_finds(
        &history,
        |violation| matches!(violation, Violation::FailedButStored { temp_id, .. } if temp_id == "temp-3"),
    );
}

#[test]
fn a_message_without_a_send_is_found() {
    let mut history = valid_history();
    history.sends.remove(1);
    assert_finds(&history, |violation| matches!(violation, Violation::Unsent { seq: 3, .. }));
}
