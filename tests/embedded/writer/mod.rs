//! The writer of sends against a model: for any interleaving, each send gets the outcome that it would get if all came
//! one by one, and the database contains exactly that. The tests for PostgreSQL alone lock conversations from outside.

mod harness;
mod model;

use crate::harness::{TestApp, TestSend, on_each_database, on_postgres};
use crate::support::Random;
use futures_util::future::join;
use greenroom::domain::caller::Caller;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{ClassId, ConversationId, Seq};
use greenroom::domain::roles::Role;
use greenroom::error::Error;
use greenroom::usecases::{conversations, marks, messages};
use harness::{World, collect, create_class, send_all};
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// Rounds on each database.
const ROUNDS: usize = 15;

#[test]
fn every_send_gets_the_outcome_that_it_would_get_alone() {
    on_each_database(&async |test: &TestApp| {
        let mut world = World::new(test, Random::from_environment()).await;
        for _ in 0..ROUNDS {
            world.round().await;
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
            assert!(world.model.seen.contains_key(outcome), "nothing was {outcome}: {:?}", world.model.seen);
        }
        let mentions = &world.model.mentions;
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
fn a_name_stands_for_one_body_in_a_batch_too() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let post = |content: &str| TestSend::new(groups[0], &users[0], content);
        for round in 0..20 {
            let named = |content: &str| post(content).with_temp_id(format!("name {round}"));
            // The others gather in the queue while the writer is busy with the first one.
            let sends = [post("busy"), named("one"), named("other"), named("one")];
            let (answer, answered) = mpsc::unbounded_channel();
            for (index, post) in sends.iter().enumerate() {
                let answer = answer.clone();
                test.enqueue_with(post.clone(), move |outcome| drop(answer.send((index, outcome))));
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
        let post = TestSend::new(groups[0], &users[0], "was it stored?").with_temp_id("name");
        let first = test.send(post.clone()).await.unwrap();
        let again = test.send(post).await.unwrap();
        assert_eq!((again.repeated, again.message.id, again.rev), (false, first.message.id, first.rev));
        test.check_stored_state().await;
    });
}

#[test]
fn whose_account_is_gone_sends_nothing() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let gone = test.id_literal(users[1].user_id);
        test.run(&format!("UPDATE users SET status = 'deleted', deleted_at = 1 WHERE id = {gone}")).await;
        let refused = test.send(TestSend::new(groups[0], &users[1], "still here")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthorized);
    });
}

#[test]
fn a_send_that_the_database_refuses_fails_alone() {
    on_each_database(&async |test: &TestApp| {
        let spoil = if test.is_postgres() {
            // The first one is refused at its statement, the second one only at the commit.
            "ALTER TABLE messages ADD CONSTRAINT refused CHECK (content <> 'spoilt');
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END $$;
             CREATE CONSTRAINT TRIGGER refused_late AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (NEW.content = 'spoilt late') EXECUTE FUNCTION refuse()"
        } else {
            "CREATE TRIGGER refused BEFORE INSERT ON messages WHEN NEW.content IN ('spoilt', 'spoilt late')
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        };
        test.run(spoil).await;
        let (users, groups) = users_and_groups(test, 4).await;
        let mut random = Random::from_environment();
        for _ in 0..5 {
            let sends: Vec<TestSend> = (0..60)
                .map(|_| {
                    let content = match random.between(0, 12) {
                        0 => "spoilt",
                        1 => "spoilt late",
                        _ => "sound",
                    };
                    TestSend::new(*random.pick(&groups), random.pick(&users), content)
                })
                .collect();
            let (answer, answered) = mpsc::unbounded_channel();
            let outcomes = send_all(test, &sends, random.fork(), answer, answered).await;
            for (post, outcome) in sends.iter().zip(outcomes) {
                match outcome {
                    Ok(sent) => assert_eq!((post.content.as_str(), sent.message.id), ("sound", post.id)),
                    Err(error) => {
                        assert!(post.content.starts_with("spoilt"), "{post:?}: {error}");
                        assert_eq!(error.code(), Code::Internal);
                    }
                }
            }
            test.check_stored_state().await;
        }
    });
}

#[test]
fn a_locked_conversation_waits_its_turn_and_the_others_go_on() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 8).await;
        let (locked, free) = groups.split_at(5);
        // A send gives up its wait for a lock after two seconds. On a machine that slow the test tries again.
        for attempt in 1.. {
            assert!(attempt < 10, "the machine is too slow");
            let started = Instant::now();
            let mut held = Vec::new();
            for group in locked {
                held.push((*group, lock(test, &[*group]).await));
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
            for (group, lock) in held {
                // Further sends are behind those that wait.
                waiting.push((group, test.enqueue(TestSend::new(group, &users[2], "late"))));
                lock.rollback().await.unwrap();
            }
            let in_time = started.elapsed() < Duration::from_secs(1);
            let mut last: BTreeMap<ConversationId, i64> = BTreeMap::new();
            let mut sound = true;
            for (group, answer) in waiting {
                match answer.await.unwrap() {
                    Ok(sent) => {
                        let seq = sent.message.seq.0;
                        assert!(last.insert(group, seq).is_none_or(|before| before < seq), "{group}: {seq} too late");
                    }
                    Err(error) if !in_time => sound &= error.code() != Code::Unavailable,
                    Err(error) => panic!("{group}: {error}"),
                }
            }
            test.check_stored_state().await;
            if sound && in_time {
                return;
            }
        }
    });
}

#[test]
fn locks_that_come_and_go_change_no_order() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 6).await;
        let mut random = Random::from_environment();
        let sends: Vec<TestSend> = (0..4000)
            .map(|number| TestSend::new(*random.pick(&groups), random.pick(&users), format!("{number}")))
            .collect();
        // The next send comes as soon as one is answered, also when those behind a lock have just been committed.
        let (answer, answered) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(40));
        let stream = async {
            for (index, post) in sends.iter().enumerate() {
                room.acquire().await.unwrap().forget();
                let (answer, room) = (answer.clone(), room.clone());
                test.enqueue_with(post.clone(), move |outcome| {
                    room.add_permits(1);
                    drop(answer.send((index, outcome)));
                });
            }
        };
        let sending = async { join(stream, collect(&sends, answered, drop)).await.1 };
        let disturb = async {
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
            () = disturb => unreachable!("it goes on until it is dropped"),
        };
        let mut last = BTreeMap::new();
        for (post, outcome) in sends.iter().zip(outcomes) {
            let seq = outcome.unwrap().message.seq;
            assert!(last.insert(post.conversation, seq).is_none_or(|before| before < seq), "{post:?} is at {seq}");
        }
        test.check_stored_state().await;
    });
}

#[test]
fn a_lock_that_is_held_too_long_makes_its_sends_unavailable() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 2).await;
        let held = lock(test, &groups[..1]).await;
        let waiting: Vec<_> =
            (0..5).map(|number| test.enqueue(TestSend::new(groups[0], &users[0], format!("{number}")))).collect();
        test.send(TestSend::new(groups[1], &users[0], "free")).await.unwrap();
        for answer in waiting {
            assert_eq!(answer.await.unwrap().unwrap_err().code(), Code::Unavailable);
        }
        held.rollback().await.unwrap();
        test.send(TestSend::new(groups[0], &users[0], "again")).await.unwrap();
        let stored = test.check_stored_state().await;
        let said: Vec<_> = stored.messages_of(groups[0]).iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said.last(), Some(&"again"));
        assert_eq!(said.len(), 2, "the system's first message and the last: {said:?}");
    });
}

/// Sends and marks that find their queue full are refused, and each has one answer.
#[test]
fn what_finds_its_queue_full_is_answered_once() {
    on_each_database(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        let (answer, mut answers) = mpsc::unbounded_channel();
        let full = Arc::new(AtomicBool::new(false));
        let mut asked = 0;
        for (found, kind) in [("Too many sends", 0), ("Too many marks", 1)] {
            full.store(false, Ordering::Relaxed);
            while !full.load(Ordering::Relaxed) {
                assert!(asked < 500_000, "the queue is never full");
                let (answer, full, number) = (answer.clone(), full.clone(), asked);
                let note = move |error: Option<Error>| {
                    if error.is_some_and(|error| error.detail().starts_with(found)) {
                        full.store(true, Ordering::Relaxed);
                    }
                    answer.send(number).unwrap();
                };
                let (app, user, group) = (&test.app, &users[0], groups[0]);
                if kind == 0 {
                    let send = TestSend::new(group, user, "hello").checked();
                    messages::enqueue(app, send, move |outcome| note(outcome.err()));
                } else {
                    marks::enqueue_delivered(app, user, group, Seq(1), move |outcome| note(outcome.err()));
                }
                asked += 1;
            }
        }
        let mut answered = BTreeSet::new();
        for _ in 0..asked {
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

/// Locks conversations in a transaction beside the application, as another node does.
async fn lock(test: &TestApp, conversations: &[ConversationId]) -> DatabaseTransaction {
    let transaction = test.connection().await.begin().await.unwrap();
    let ids: Vec<_> = conversations.iter().map(|id| test.id_literal(*id)).collect();
    let statement =
        format!("SELECT 1 FROM conversations WHERE id IN ({}) ORDER BY id FOR NO KEY UPDATE", ids.join(", "));
    transaction.execute_unprepared(&statement).await.unwrap();
    transaction
}
