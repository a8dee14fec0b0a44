//! The writer of sends against a model: for any interleaving, each send gets the outcome that it would get if all came one
//! by one, and the database contains exactly that. The tests for PostgreSQL alone lock conversations from outside.

mod harness;
mod model;

use crate::harness::{Inside, Post, on_each_database, on_postgres};
use crate::support::Random;
use futures_util::future::join;
use greenroom::domain::caller::Caller;
use greenroom::domain::codes::Code;
use greenroom::domain::ids::{ClassId, ConversationId, Seq};
use greenroom::domain::roles::Role;
use greenroom::error::Error;
use greenroom::usecases::{conversations, marks, messages};
use harness::{World, collect, make_class, send_all};
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
    on_each_database(&async |inside: &Inside| {
        let mut world = World::new(inside, Random::from_environment()).await;
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
        assert!(mentions.values().any(|(users, _)| users.len() == 1), "nobody was mentioned: {mentions:?}");
        assert!(mentions.values().any(|(_, all)| *all), "nowhere was everybody mentioned: {mentions:?}");
    });
}

/// However many they are, it is one flag.
#[test]
fn all_of_a_large_class_are_mentioned_by_one_flag() {
    on_each_database(&async |inside: &Inside| {
        let users = inside.users(1_010).await;
        let class = ConversationId::new();
        let mut roles: BTreeMap<_, _> = users.iter().map(|user| (user.user_id, Role::Member)).collect();
        roles.insert(users[0].user_id, Role::Admin);
        make_class(inside, (class, ClassId::new()), &roles).await;
        let query = format!("SELECT username FROM users WHERE id = {}", inside.literal(users[7].user_id));
        let username: String = inside.rows(&query).await[0].try_get("", "username").unwrap();
        let content = format!("@all, first of them @{username}");
        let sent = inside.send(Post::new(class, &users[0], &content).named("once")).await.unwrap();
        assert_eq!((&sent.message.mentions, sent.message.mentions_all), (&vec![users[7].user_id], true));
        assert_eq!(inside.rows("SELECT 1 FROM mentions").await.len(), 1);
        for user in [&users[0], &users[7], users.last().unwrap()] {
            let seen = messages::get(&inside.app, user, sent.message.id).await.unwrap();
            assert_eq!((&seen.mentions, seen.mentions_all), (&sent.message.mentions, true));
            let unread = conversations::get_unread_count(&inside.app, user).await.unwrap();
            assert_eq!(unread.mentions, i64::from(user != &users[0]));
        }
        let again = inside.send(Post::new(class, &users[0], &content).named("once")).await.unwrap();
        assert_eq!((again.repeated, again.message.mentions_all), (true, true));
    });
}

#[test]
fn a_name_stands_for_one_body_in_a_batch_too() {
    on_each_database(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 1).await;
        let post = |content: &str| Post::new(groups[0], &users[0], content);
        for round in 0..20 {
            let named = |content: &str| post(content).named(format!("name {round}"));
            // while the writer is busy with the first the others gather
            let posts = [post("busy"), named("one"), named("other"), named("one")];
            let (answer, answered) = mpsc::unbounded_channel();
            for (index, post) in posts.iter().enumerate() {
                let answer = answer.clone();
                inside.enqueue_with(post.clone(), move |outcome| drop(answer.send((index, outcome))));
            }
            let outcomes = collect(&posts, answered, |_| {}).await;
            let [_, Ok(one), Err(other), Ok(again)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
            assert_eq!(other.code(), Code::TempIdReused);
            assert_eq!((again.repeated, again.message.id, again.rev), (true, one.message.id, one.rev));
        }
        inside.audit().await;
    });
}

#[test]
fn a_send_whose_outcome_was_not_known_is_found_by_its_id() {
    on_each_database(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 1).await;
        let post = Post::new(groups[0], &users[0], "was it stored?").named("name");
        let first = inside.send(post.clone()).await.unwrap();
        let again = inside.send(post).await.unwrap();
        assert_eq!((again.repeated, again.message.id, again.rev), (false, first.message.id, first.rev));
        inside.audit().await;
    });
}

#[test]
fn whose_account_is_gone_sends_nothing() {
    on_each_database(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 1).await;
        let gone = inside.literal(users[1].user_id);
        inside.run(&format!("UPDATE users SET status = 'deleted', deleted_at = 1 WHERE id = {gone}")).await;
        let refused = inside.send(Post::new(groups[0], &users[1], "still here")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthorized);
    });
}

#[test]
fn a_send_that_the_database_refuses_fails_alone() {
    on_each_database(&async |inside: &Inside| {
        let spoil = if inside.is_postgres() {
            // the first is refused where it stands, the second only at the commit
            "ALTER TABLE messages ADD CONSTRAINT refused CHECK (content <> 'spoilt');
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END $$;
             CREATE CONSTRAINT TRIGGER refused_late AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (NEW.content = 'spoilt late') EXECUTE FUNCTION refuse()"
        } else {
            "CREATE TRIGGER refused BEFORE INSERT ON messages WHEN NEW.content IN ('spoilt', 'spoilt late')
             BEGIN SELECT RAISE(ABORT, 'refused'); END"
        };
        inside.run(spoil).await;
        let (users, groups) = somebody(inside, 4).await;
        let mut random = Random::from_environment();
        for _ in 0..5 {
            let posts: Vec<Post> = (0..60)
                .map(|_| {
                    let content = match random.between(0, 12) {
                        0 => "spoilt",
                        1 => "spoilt late",
                        _ => "sound",
                    };
                    Post::new(*random.pick(&groups), random.pick(&users), content)
                })
                .collect();
            let (answer, answered) = mpsc::unbounded_channel();
            let outcomes = send_all(inside, &posts, random.fork(), answer, answered).await;
            for (post, outcome) in posts.iter().zip(outcomes) {
                match outcome {
                    Ok(sent) => assert_eq!((post.content.as_str(), sent.message.id), ("sound", post.id)),
                    Err(error) => {
                        assert!(post.content.starts_with("spoilt"), "{post:?}: {error}");
                        assert_eq!(error.code(), Code::Internal);
                    }
                }
            }
            inside.audit().await;
        }
    });
}

#[test]
fn a_locked_conversation_waits_its_turn_and_the_others_go_on() {
    on_postgres(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 8).await;
        let (locked, free) = groups.split_at(5);
        // whoever waits for a lock gives up after two seconds; a machine that slow proves nothing and tries again
        for attempt in 1.. {
            assert!(attempt < 10, "the machine is too slow");
            let started = Instant::now();
            let mut held = Vec::new();
            for group in locked {
                held.push((*group, lock(inside, &[*group]).await));
            }
            let mut waiting = Vec::new();
            for round in 0..6 {
                for group in locked {
                    waiting.push((*group, inside.enqueue(Post::new(*group, &users[0], format!("{round}")))));
                }
                for group in free {
                    inside.send(Post::new(*group, &users[1], "free")).await.unwrap();
                }
            }
            for (group, answer) in &mut waiting {
                assert!(answer.try_recv().is_err(), "{group} is locked");
            }
            for (group, lock) in held {
                // what comes now stands behind what waits
                waiting.push((group, inside.enqueue(Post::new(group, &users[2], "late"))));
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
            inside.audit().await;
            if sound && in_time {
                return;
            }
        }
    });
}

#[test]
fn locks_that_come_and_go_change_no_order() {
    on_postgres(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 6).await;
        let mut random = Random::from_environment();
        let posts: Vec<Post> = (0..4000)
            .map(|number| Post::new(*random.pick(&groups), random.pick(&users), format!("{number}")))
            .collect();
        // the next one comes as soon as one is answered: also when those behind a lock have just gone through
        let (answer, answered) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(40));
        let stream = async {
            for (index, post) in posts.iter().enumerate() {
                room.acquire().await.unwrap().forget();
                let (answer, room) = (answer.clone(), room.clone());
                inside.enqueue_with(post.clone(), move |outcome| {
                    room.add_permits(1);
                    drop(answer.send((index, outcome)));
                });
            }
        };
        let sends = async { join(stream, collect(&posts, answered, drop)).await.1 };
        let disturb = async {
            loop {
                let first = random.between(0, 4) as usize;
                let lock = lock(inside, &groups[first..first + 2]).await;
                tokio::time::sleep(Duration::from_micros(random.between(0, 12_000))).await;
                lock.rollback().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let outcomes = tokio::select! {
            outcomes = sends => outcomes,
            () = disturb => unreachable!("it goes on until it is dropped"),
        };
        let mut last = BTreeMap::new();
        for (post, outcome) in posts.iter().zip(outcomes) {
            let seq = outcome.unwrap().message.seq;
            assert!(last.insert(post.conversation, seq).is_none_or(|before| before < seq), "{post:?} is at {seq}");
        }
        inside.audit().await;
    });
}

#[test]
fn a_lock_that_is_held_too_long_makes_its_sends_unavailable() {
    on_postgres(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 2).await;
        let held = lock(inside, &groups[..1]).await;
        let waiting: Vec<_> =
            (0..5).map(|number| inside.enqueue(Post::new(groups[0], &users[0], format!("{number}")))).collect();
        inside.send(Post::new(groups[1], &users[0], "free")).await.unwrap();
        for answer in waiting {
            assert_eq!(answer.await.unwrap().unwrap_err().code(), Code::Unavailable);
        }
        held.rollback().await.unwrap();
        inside.send(Post::new(groups[0], &users[0], "again")).await.unwrap();
        let ledger = inside.audit().await;
        let said: Vec<_> = ledger.said(groups[0]).iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said.last(), Some(&"again"));
        assert_eq!(said.len(), 2, "the system's first message and the last: {said:?}");
    });
}

/// Sends and marks that find their queue full are told so, and nobody is told twice.
#[test]
fn what_finds_its_queue_full_is_answered_once() {
    on_each_database(&async |inside: &Inside| {
        let (users, groups) = somebody(inside, 1).await;
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
                let (app, user, group) = (&inside.app, &users[0], groups[0]);
                if kind == 0 {
                    let send = Post::new(group, user, "hello").checked();
                    messages::enqueue(app, send, move |outcome| note(outcome.err()));
                } else {
                    marks::enqueue_delivered(app, user, group, Seq(1), move |outcome| note(outcome.err()));
                }
                asked += 1;
            }
        }
        let mut answered = BTreeSet::new();
        for _ in 0..asked {
            assert!(answered.insert(answers.recv().await.unwrap()), "somebody was answered twice");
        }
        drop(answer);
        assert!(answers.recv().await.is_none());
        inside.audit().await;
    });
}

/// Four users, all of them in so many groups.
async fn somebody(inside: &Inside, groups: usize) -> (Vec<Caller>, Vec<ConversationId>) {
    let users = inside.users(4).await;
    let mut ids = Vec::new();
    for _ in 0..groups {
        ids.push(inside.group(&users).await);
    }
    (users, ids)
}

/// Locks conversations as another node would.
async fn lock(inside: &Inside, conversations: &[ConversationId]) -> DatabaseTransaction {
    let transaction = inside.connection().await.begin().await.unwrap();
    let ids: Vec<_> = conversations.iter().map(|id| inside.literal(*id)).collect();
    let statement =
        format!("SELECT 1 FROM conversations WHERE id IN ({}) ORDER BY id FOR NO KEY UPDATE", ids.join(", "));
    transaction.execute_unprepared(&statement).await.unwrap();
    transaction
}
