//! The history checker of `tests/support/history/check.rs` finds the fault in forged histories, one for each promise.
//! Only then may other tests rely on it.

use crate::support::history::{Conversation, Entry, Event, History, Outcome, Row, Send, Session, Violation, check};

const ROOM: &str = "room";
const ALICE: &str = "alice";
const BOB: &str = "bob";

/// Alice sends four messages into a group with Bob, one after the other; both are connected from the start.
fn honest() -> History {
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

/// What Bob's session got.
fn seen_by_bob(history: &mut History) -> &mut Vec<Entry> {
    history.sessions[1].streams.get_mut(ROOM).unwrap()
}

fn rows(history: &mut History) -> &mut Vec<Row> {
    &mut history.conversations.get_mut(ROOM).unwrap().rows
}

/// Appends to every session an event that changes who is in.
fn membership(history: &mut History, rev: i64, kind: &str, user: &str) {
    let event = Event { rev, kind: kind.to_owned(), message: None, sender: None, users: vec![user.to_owned()] };
    for session in &mut history.sessions {
        session.streams.get_mut(ROOM).unwrap().push(Entry::Event(event.clone()));
    }
    history.conversations.get_mut(ROOM).unwrap().last_rev = rev;
}

/// Stores a sixth message and shows it to the sessions named by index.
fn one_more(history: &mut History, rev: i64, sender: &str, sessions: &[usize]) {
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
fn convicts(history: &History, expected: impl Fn(&Violation) -> bool) {
    let found = check(history);
    assert!(found.iter().any(expected), "the forgery was overlooked; found only {found:?}");
}

#[test]
fn an_honest_history_is_accepted() {
    assert_eq!(check(&honest()), []);
}

#[test]
fn a_send_of_unknown_outcome_may_be_stored_or_not() {
    let mut stored = honest();
    stored.sends[2].outcomes.clear();
    assert_eq!(check(&stored), []);

    let mut not_stored = honest();
    let mut lost = not_stored.sends[0].clone();
    lost.temp_id = "temp-lost".to_owned();
    lost.outcomes.clear();
    not_stored.sends.push(lost);
    assert_eq!(check(&not_stored), []);
}

#[test]
fn a_session_may_come_back_where_it_left_off() {
    let mut history = honest();
    let later = seen_by_bob(&mut history).split_off(3);
    history.sessions[1].complete = false;
    let mut second = history.sessions[1].clone();
    second.complete = true;
    second.streams.insert(ROOM.to_owned(), [vec![Entry::Start(3)], later].concat());
    history.sessions.push(second);
    assert_eq!(check(&history), []);
}

#[test]
fn leaving_and_coming_back_is_accepted() {
    let mut history = honest();
    membership(&mut history, 6, "participant.left", BOB);
    one_more(&mut history, 7, ALICE, &[0]);
    let joined = Event {
        rev: 8,
        kind: "participant.joined".to_owned(),
        message: None,
        sender: None,
        users: vec![BOB.to_owned()],
    };
    history.sessions[0].streams.get_mut(ROOM).unwrap().push(Entry::Event(joined));
    seen_by_bob(&mut history).push(Entry::Start(8));
    one_more(&mut history, 9, BOB, &[0, 1]);
    assert_eq!(check(&history), []);
}

#[test]
fn a_lost_acknowledged_message_is_noticed() {
    let mut history = honest();
    let conversation = history.conversations.get_mut(ROOM).unwrap();
    conversation.rows.pop();
    conversation.last_seq = 4;
    convicts(
        &history,
        |violation| matches!(violation, Violation::AcknowledgedButLost { temp_id, .. } if temp_id == "temp-5"),
    );
}

#[test]
fn an_acknowledgement_of_another_message_is_noticed() {
    let mut history = honest();
    rows(&mut history)[1].id = "another".to_owned();
    convicts(
        &history,
        |violation| matches!(violation, Violation::AcknowledgedButLost { temp_id, .. } if temp_id == "temp-3"),
    );
}

#[test]
fn a_doubled_temp_id_is_noticed() {
    let mut history = honest();
    rows(&mut history)[3].temp_id = Some("temp-4".to_owned());
    convicts(&history, |violation| matches!(violation, Violation::StoredTwice { temp_id, .. } if temp_id == "temp-4"));
}

#[test]
fn two_answers_that_differ_are_noticed() {
    let mut history = honest();
    history.sends[0].outcomes.push(Outcome::Stored {
        at: 90,
        message_id: "message-2".to_owned(),
        seq: 3,
        rev: Some(3),
    });
    convicts(
        &history,
        |violation| matches!(violation, Violation::AnswersDiffer { temp_id, .. } if temp_id == "temp-2"),
    );
}

#[test]
fn a_gap_in_seq_is_noticed() {
    let mut history = honest();
    rows(&mut history).remove(1);
    history.sends.remove(1);
    convicts(&history, |violation| matches!(violation, Violation::SeqNotDense { expected: 3, found: 4, .. }));
}

#[test]
fn a_counter_beyond_the_last_message_is_noticed() {
    let mut history = honest();
    history.conversations.get_mut(ROOM).unwrap().last_seq = 6;
    convicts(&history, |violation| matches!(violation, Violation::SeqNotDense { expected: 6, found: 6, .. }));
}

#[test]
fn a_gap_in_rev_is_noticed() {
    let mut history = honest();
    history.conversations.get_mut(ROOM).unwrap().last_rev = 6;
    convicts(&history, |violation| matches!(violation, Violation::RevNotDense { missing: 6, .. }));
}

#[test]
fn a_gap_in_what_a_session_got_is_noticed() {
    let mut history = honest();
    seen_by_bob(&mut history).remove(2);
    convicts(&history, |violation| matches!(violation, Violation::SessionGap { expected: 3, found: 4, .. }));
}

#[test]
fn a_repetition_within_a_session_is_noticed() {
    let mut history = honest();
    let again = seen_by_bob(&mut history)[2].clone();
    seen_by_bob(&mut history).push(again);
    convicts(&history, |violation| matches!(violation, Violation::SessionRepeats { rev: 3, .. }));
}

#[test]
fn events_in_the_wrong_order_are_noticed() {
    let mut history = honest();
    seen_by_bob(&mut history).swap(2, 3);
    convicts(&history, |violation| matches!(violation, Violation::SessionRepeats { rev: 3, .. }));
}

#[test]
fn a_session_that_never_gets_the_end_is_noticed() {
    let mut history = honest();
    seen_by_bob(&mut history).pop();
    convicts(&history, |violation| matches!(violation, Violation::SessionEndsEarly { held: 4, last: 5, .. }));
}

#[test]
fn an_event_without_a_subscription_is_noticed() {
    let mut history = honest();
    seen_by_bob(&mut history).remove(0);
    convicts(&history, |violation| matches!(violation, Violation::NotSubscribed { rev: 2, .. }));
}

#[test]
fn two_sessions_that_saw_different_events_are_noticed() {
    let mut history = honest();
    let Entry::Event(event) = &mut seen_by_bob(&mut history)[4] else { unreachable!("the last entry is an event") };
    event.message = Some(("another".to_owned(), 5));
    convicts(&history, |violation| matches!(violation, Violation::RevisionDiffers { rev: 5, .. }));
}

#[test]
fn an_inverted_order_is_noticed() {
    let mut history = honest();
    // temp-3 was acknowledged before temp-4 was begun, and yet it has the larger number.
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
    convicts(
        &history,
        |violation| matches!(violation, Violation::OrderInverted { earlier, later, .. } if earlier == "temp-3" && later == "temp-4"),
    );
}

#[test]
fn concurrent_sends_may_be_stored_in_any_order() {
    let mut history = honest();
    for send in &mut history.sends {
        send.invoked = 1;
    }
    assert_eq!(check(&history), []);
}

#[test]
fn an_event_that_is_not_the_stored_message_is_noticed() {
    let mut history = honest();
    for session in &mut history.sessions {
        let Entry::Event(event) = &mut session.streams.get_mut(ROOM).unwrap()[3] else { unreachable!("an event") };
        event.message = Some(("another".to_owned(), 4));
    }
    convicts(&history, |violation| matches!(violation, Violation::EventDiffersFromLog { rev: 4, .. }));
}

#[test]
fn an_event_after_removal_is_noticed() {
    let mut history = honest();
    membership(&mut history, 6, "participant.left", BOB);
    one_more(&mut history, 7, ALICE, &[0, 1]);
    convicts(
        &history,
        |violation| matches!(violation, Violation::AfterRemoval { rev: 7, session, .. } if session.starts_with(BOB)),
    );
}

#[test]
fn a_message_by_somebody_who_is_out_is_noticed() {
    let mut history = honest();
    membership(&mut history, 6, "participant.left", BOB);
    one_more(&mut history, 7, BOB, &[0]);
    convicts(
        &history,
        |violation| matches!(violation, Violation::SentAfterRemoval { rev: 7, user, .. } if user == BOB),
    );
}

#[test]
fn a_refused_send_that_shows_up_is_noticed() {
    let mut history = honest();
    history.sends[1].outcomes = vec![Outcome::Failed("blocked".to_owned())];
    convicts(
        &history,
        |violation| matches!(violation, Violation::FailedButStored { temp_id, .. } if temp_id == "temp-3"),
    );
}

#[test]
fn a_message_that_nobody_sent_is_noticed() {
    let mut history = honest();
    history.sends.remove(1);
    convicts(&history, |violation| matches!(violation, Violation::Unsent { seq: 3, .. }));
}
