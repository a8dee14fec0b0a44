//! The writer of sends against a model: in any interleaving, each send gets the outcome that it would get if the
//! sends came one by one, and the database contains exactly these messages. The tests that run only on PostgreSQL lock
//! conversations in other transactions.

mod faults;
mod harness;
mod model;

use crate::harness::{TestApp, TestSend, on_each_database, on_postgres};
use crate::support::Random;
use futures_util::future::join;
use greenroom::domain::caller::Caller;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{ClassId, ConversationId, MessageId, Seq};
use greenroom::domain::roles::Role;
use greenroom::error::Error;
use greenroom::usecases::{conversations, marks, messages};
use harness::{Simulation, collect, create_class, send_all};
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// The number of rounds on each database.
const ROUNDS: usize = 15;

#[test]
fn every_send_gets_the_outcome_that_it_would_get_alone() {
    on_each_database(&async |test: &TestApp| {
        let mut simulation = Simulation::new(test, Random::from_environment()).await;
        for _ in 0..ROUNDS {
            simulation.round().await;
        }
        let outcomes = [
            "stored",
            "repeated",
            "not_found",
            "temp_id_reused",
            "suspended",
            "not_a_participant",
            "class_archived",
            "blocked",
            "forbidden",
            "validation_failed",
        ];
        for outcome in outcomes {
            assert!(
                simulation.model.outcome_counts.contains_key(outcome),
                "no send was {outcome}: {:?}",
                simulation.model.outcome_counts
            );
        }
        let mentions = &simulation.model.mentions;
        assert!(mentions.values().any(|(users, _)| users.len() == 1), "no user was mentioned: {mentions:?}");
        assert!(mentions.values().any(|(_, all)| *all), "no message mentions all: {mentions:?}");
    });
}

/// A mention of all is one flag, however many participants there are.
#[test]
fn all_of_a_large_class_are_mentioned_by_one_flag() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(1_010).await;
        let class = ConversationId::new();
        let mut roles: BTreeMap<_, _> = users.iter().map(|user| (user.user_id, Role::Member)).collect();
        roles.insert(users[0].user_id, Role::Admin);
        create_class(test, (class, ClassId::new()), &roles).await;
        let query = format!("SELECT username FROM users WHERE id = {}", test.id_literal(users[7].user_id));
        let username: String = test.rows(&query).await[0].try_get("", "username").unwrap();
        let content = format!("@all, first of them @{username}");
        let sent = test.send(TestSend::new(class, &users[0], &content).with_temp_id("once")).await.unwrap();
        assert_eq!((&sent.message.mentions, sent.message.mentions_all), (&vec![users[7].user_id], true));
        assert_eq!(test.rows("SELECT 1 FROM mentions").await.len(), 1);
        for user in [&users[0], &users[7], users.last().unwrap()] {
            let seen = messages::get(&test.app, user, sent.message.id).await.unwrap();
            assert_eq!((&seen.mentions, seen.mentions_all), (&sent.message.mentions, true));
            let unread = conversations::get_unread_count(&test.app, user).await.unwrap();
            assert_eq!(unread.mentions, i64::from(user != &users[0]));
        }
        let again = test.send(TestSend::new(class, &users[0], &content).with_temp_id("once")).await.unwrap();
        assert_eq!((again.repeated, again.message.mentions_all), (true, true));
    });
}

#[test]
fn a_temp_id_stands_for_one_body_also_in_one_batch() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let send = |content: &str| TestSend::new(groups[0], &users[0], content);
        for round in 0..20 {
            let named = |content: &str| send(content).with_temp_id(format!("name {round}"));
            // The other sends wait in the queue while the writer is busy with the first one.
            let sends = [send("busy"), named("one"), named("other"), named("one")];
            let (answer, answered) = mpsc::unbounded_channel();
            for (index, send) in sends.iter().enumerate() {
                let answer = answer.clone();
                test.enqueue_with(send.clone(), move |outcome| drop(answer.send((index, outcome))));
            }
            let outcomes = collect(&sends, answered, |_| {}).await;
            let [_, Ok(one), Err(other), Ok(again)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
            assert_eq!(other.code(), Code::TempIdReused);
            assert_eq!((again.repeated, again.message.id, again.rev), (true, one.message.id, one.rev));
        }
        test.check_stored_state().await;
    });
}

#[test]
fn a_send_whose_outcome_was_not_known_is_found_by_its_id() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let send = TestSend::new(groups[0], &users[0], "was it stored?").with_temp_id("name");
        let first = test.send(send.clone()).await.unwrap();
        let again = test.send(send).await.unwrap();
        assert_eq!((again.repeated, again.message.id, again.rev), (false, first.message.id, first.rev));
        test.check_stored_state().await;
    });
}

#[test]
fn a_user_with_a_deleted_account_sends_nothing() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let deleted = test.id_literal(users[1].user_id);
        test.run(&format!("UPDATE users SET status = 'deleted', deleted_at = 1 WHERE id = {deleted}")).await;
        let refused = test.send(TestSend::new(groups[0], &users[1], "still here")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthorized);
    });
}

#[test]
fn a_send_that_the_database_refuses_fails_alone() {
    on_each_database(&async |test: &TestApp| {
        let refuse_wrong_content = if test.is_postgres() {
            // The first one is refused at its statement, the second one only at the commit.
            "ALTER TABLE messages ADD CONSTRAINT refused CHECK (content <> 'wrong');
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END $$;
             CREATE CONSTRAINT TRIGGER refused_late AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (NEW.content = 'wrong late') EXECUTE FUNCTION refuse()"
        } else {
            "CREATE TRIGGER refused BEFORE INSERT ON messages WHEN NEW.content IN ('wrong', 'wrong late')
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        };
        test.run(refuse_wrong_content).await;
        let (users, groups) = users_and_groups(test, 4).await;
        let mut random = Random::from_environment();
        for _ in 0..5 {
            let sends: Vec<TestSend> = (0..60)
                .map(|_| {
                    let content = match random.between(0, 12) {
                        0 => "wrong",
                        1 => "wrong late",
                        _ => "correct",
                    };
                    TestSend::new(*random.pick(&groups), random.pick(&users), content)
                })
                .collect();
            let (answer, answered) = mpsc::unbounded_channel();
            let outcomes = send_all(test, &sends, random.fork(), answer, answered).await;
            for (send, outcome) in sends.iter().zip(outcomes) {
                match outcome {
                    Ok(sent) => assert_eq!((send.content.as_str(), sent.message.id), ("correct", send.id)),
                    Err(error) => {
                        assert!(send.content.starts_with("wrong"), "{send:?}: {error}");
                        assert_eq!(error.code(), Code::Internal);
                    }
                }
            }
            test.check_stored_state().await;
        }
    });
}

#[test]
fn sends_wait_for_a_locked_conversation_while_other_sends_continue() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 8).await;
        let (locked, free) = groups.split_at(5);
        // A send gives up its wait for a lock after two seconds. On a machine that slow the test tries again.
        for attempt in 1.. {
            assert!(attempt < 10, "the machine is too slow");
            let started = Instant::now();
            let mut locks = Vec::new();
            for group in locked {
                locks.push((*group, lock(test, &[*group]).await));
            }
            let mut waiting = Vec::new();
            for round in 0..6 {
                for group in locked {
                    waiting.push((*group, test.enqueue(TestSend::new(*group, &users[0], format!("{round}")))));
                }
                for group in free {
                    test.send(TestSend::new(*group, &users[1], "free")).await.unwrap();
                }
            }
            for (group, answer) in &mut waiting {
                assert!(answer.try_recv().is_err(), "{group} is locked");
            }
            for (group, lock) in locks {
                // Further sends to the conversation come after the waiting ones.
                waiting.push((group, test.enqueue(TestSend::new(group, &users[2], "late"))));
                lock.rollback().await.unwrap();
            }
            let in_time = started.elapsed() < Duration::from_secs(1);
            let mut last: BTreeMap<ConversationId, i64> = BTreeMap::new();
            let mut is_valid_run = true;
            for (group, answer) in waiting {
                match answer.await.unwrap() {
                    Ok(sent) => {
                        let seq = sent.message.seq.0;
                        assert!(last.insert(group, seq).is_none_or(|before| before < seq), "{group}: {seq} too late");
                    }
                    Err(error) if !in_time => is_valid_run &= error.code() != Code::Unavailable,
                    Err(error) => panic!("{group}: {error}"),
                }
            }
            test.check_stored_state().await;
            if is_valid_run && in_time {
                return;
            }
        }
    });
}

#[test]
fn locks_of_other_transactions_change_no_order() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 6).await;
        let mut random = Random::from_environment();
        let sends: Vec<TestSend> = (0..4000)
            .map(|number| TestSend::new(*random.pick(&groups), random.pick(&users), format!("{number}")))
            .collect();
        // The next send comes as soon as one is answered, also just after the sends that waited for a lock.
        let (answer, answered) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(40));
        let stream = async {
            for (index, send) in sends.iter().enumerate() {
                permits.acquire().await.unwrap().forget();
                let (answer, permits) = (answer.clone(), permits.clone());
                test.enqueue_with(send.clone(), move |outcome| {
                    permits.add_permits(1);
                    drop(answer.send((index, outcome)));
                });
            }
        };
        let sending = async { join(stream, collect(&sends, answered, drop)).await.1 };
        let lock_repeatedly = async {
            loop {
                let first = random.between(0, 4) as usize;
                let lock = lock(test, &groups[first..first + 2]).await;
                tokio::time::sleep(Duration::from_micros(random.between(0, 12_000))).await;
                lock.rollback().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let outcomes = tokio::select! {
            outcomes = sending => outcomes,
            () = lock_repeatedly => unreachable!("the locks are taken until this future is dropped"),
        };
        let mut last = BTreeMap::new();
        for (send, outcome) in sends.iter().zip(outcomes) {
            let seq = outcome.unwrap().message.seq;
            assert!(last.insert(send.conversation, seq).is_none_or(|before| before < seq), "{send:?} is at {seq}");
        }
        test.check_stored_state().await;
    });
}

#[test]
fn a_lock_that_is_held_too_long_makes_its_sends_unavailable() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 2).await;
        let locks = lock(test, &groups[..1]).await;
        let waiting: Vec<_> =
            (0..5).map(|number| test.enqueue(TestSend::new(groups[0], &users[0], format!("{number}")))).collect();
        test.send(TestSend::new(groups[1], &users[0], "free")).await.unwrap();
        for answer in waiting {
            assert_eq!(answer.await.unwrap().unwrap_err().code(), Code::Unavailable);
        }
        locks.rollback().await.unwrap();
        test.send(TestSend::new(groups[0], &users[0], "again")).await.unwrap();
        let stored = test.check_stored_state().await;
        let contents: Vec<_> = stored.messages_of(groups[0]).iter().map(|message| message.content.as_str()).collect();
        assert_eq!(contents.last(), Some(&"again"));
        assert_eq!(contents.len(), 2, "the system's first message and the last: {contents:?}");
    });
}

#[test]
fn a_send_or_mark_that_finds_its_queue_full_is_answered_once() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let (answer, mut answers) = mpsc::unbounded_channel();
        let full = Arc::new(AtomicBool::new(false));
        let mut count = 0;
        for (detail, kind) in [("Too many sends", 0), ("Too many marks", 1)] {
            full.store(false, Ordering::Relaxed);
            while !full.load(Ordering::Relaxed) {
                assert!(count < 500_000, "the queue is never full");
                let (answer, full, number) = (answer.clone(), full.clone(), count);
                let answer_once = move |error: Option<Error>| {
                    if error.is_some_and(|error| error.detail().starts_with(detail)) {
                        full.store(true, Ordering::Relaxed);
                    }
                    answer.send(number).unwrap();
                };
                let (app, user, group) = (&test.app, &users[0], groups[0]);
                if kind == 0 {
                    let send = TestSend::new(group, user, "hello").checked();
                    messages::enqueue(app, send, move |outcome| answer_once(outcome.err()));
                } else {
                    marks::enqueue_delivered(app, user, group, Seq(1), move |outcome| answer_once(outcome.err()));
                }
                count += 1;
            }
        }
        let mut answered = BTreeSet::new();
        for _ in 0..count {
            assert!(answered.insert(answers.recv().await.unwrap()), "a second answer");
        }
        drop(answer);
        assert!(answers.recv().await.is_none());
        test.check_stored_state().await;
    });
}

/// Creates four users, who are all in `count` groups.
async fn users_and_groups(test: &TestApp, groups: usize) -> (Vec<Caller>, Vec<ConversationId>) {
    let users = test.users(4).await;
    let mut ids = Vec::new();
    for _ in 0..groups {
        ids.push(test.group(&users).await);
    }
    (users, ids)
}

/// Locks conversations in a transaction outside of the application, as another node does.
async fn lock(test: &TestApp, conversations: &[ConversationId]) -> DatabaseTransaction {
    let transaction = test.connection().await.begin().await.unwrap();
    let ids: Vec<_> = conversations.iter().map(|id| test.id_literal(*id)).collect();
    let statement =
        format!("SELECT 1 FROM conversations WHERE id IN ({}) ORDER BY id FOR NO KEY UPDATE", ids.join(", "));
    transaction.execute_unprepared(&statement).await.unwrap();
    transaction
}

/// On PostgreSQL the texts of a lone send are parts of statements, in an encoded form. A long one is a parameter.
#[test]
fn the_texts_of_a_lone_send_are_stored_as_they_were_sent() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let mut quoted = None;
        let long = "ü".repeat(3_000);
        for text in ["'); DROP TABLE messages; --", "\\x41 {\"a\",NULL} $1 ${}", "ไทย Việt 🦀", &long] {
            let temp_id: String = text.chars().take(20).collect();
            let original = TestSend::new(groups[0], &users[0], text).with_temp_id(&temp_id);
            let sent = test.send(TestSend { reply_to: quoted, ..original.clone() }).await.unwrap();
            let seen = messages::get(&test.app, &users[0], sent.message.id).await.unwrap();
            assert_eq!((seen.content.as_str(), seen.temp_id.as_deref()), (text, Some(temp_id.as_str())));
            assert_eq!(seen.reply_to.map(|quote| quote.id), quoted);
            let again = test.send(TestSend { reply_to: quoted, id: MessageId::new(), ..original }).await.unwrap();
            assert_eq!((again.repeated, again.message.id), (true, sent.message.id));
            quoted = Some(sent.message.id);
        }
        test.check_stored_state().await;
    });
}
