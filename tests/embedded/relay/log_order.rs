//! The order of all streams in the log, and nodes that compete for a lease.

use super::harness::{Counts, Node, Talk, check_order, cursor, expire};
use crate::harness::{TestApp, on_each_database, on_postgres};
use crate::support::Random;
use greenroom::relay::reader::RoundResult;
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::cell::Cell;

/// Returns the statement with which a transaction of the test appends a log row.
fn row(test: &TestApp, talk: &Talk, rev: i64) -> String {
    let id = test.id_literal(talk.group);
    format!(
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         VALUES (0, {id}, {rev}, 'test', '{{}}', 0);
         UPDATE conversations SET last_rev = {rev} WHERE id = {id}"
    )
}

async fn last_rev(test: &TestApp, talk: &Talk) -> i64 {
    let query = format!("SELECT last_rev FROM conversations WHERE id = {}", test.id_literal(talk.group));
    test.rows(&query).await[0].try_get("", "last_rev").unwrap()
}

#[test]
fn a_row_that_commits_late_comes_after_those_that_did_not_wait_for_it() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let (slow, quick) = (Talk::new(test).await, Talk::new(test).await);
        node.read().await;
        let start = cursor(test, "sequencer").await;
        let (first, second) = (test.connection().await, test.connection().await);
        let late = first.begin().await.unwrap();
        late.execute_unprepared(&row(test, &slow, last_rev(test, &slow).await + 1)).await.unwrap();
        second.execute_unprepared(&row(test, &quick, last_rev(test, &quick).await + 1)).await.unwrap();
        node.read().await;
        assert_eq!(cursor(test, "sequencer").await, start + 1, "the smaller id is not to be seen yet");
        assert_eq!(cursor(test, "statistics").await, start + 1);
        late.commit().await.unwrap();
        node.read().await;
        assert_eq!(cursor(test, "statistics").await, start + 2, "and is not skipped");
        let places = test.rows("SELECT id FROM outbox ORDER BY position DESC LIMIT 2").await;
        let ids: Vec<i64> = places.iter().map(|row| row.try_get("", "id").unwrap()).collect();
        assert!(ids[0] < ids[1], "the test has drawn its ids out of order");
        check_order(test).await;
    });
}

#[test]
fn a_locked_row_is_waited_for_so_that_no_later_one_of_its_stream_passes_it() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let mut talk = Talk::new(test).await;
        node.read().await;
        let mut random = Random::new(1);
        for _ in 0..5 {
            talk.say(test, &mut random).await;
        }
        // As the deletion of a message for everyone does.
        let other = test.connection().await;
        let rewriting = other.begin().await.unwrap();
        let lock = "UPDATE outbox SET payload = payload WHERE id = (SELECT min(id) FROM outbox WHERE position IS NULL)";
        rewriting.execute_unprepared(lock).await.unwrap();
        let stamping = node.stamp();
        tokio::pin!(stamping);
        let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        loop {
            tokio::select! {
                () = &mut stamping => panic!("it did not wait"),
                rows = test.rows(waits) => if !rows.is_empty() { break },
            }
        }
        rewriting.commit().await.unwrap();
        stamping.await;
        check_order(test).await;
    });
}

#[test]
fn many_who_commit_at_once_are_put_in_order_while_they_do() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let mut talks = Vec::new();
        for _ in 0..6 {
            talks.push(Talk::new(test).await);
        }
        let open = Cell::new(talks.len());
        let committing = talks.into_iter().map(|mut talk| {
            let (mut random, open) = (random.fork(), &open);
            async move {
                for _ in 0..30 {
                    talk.act(test, &mut random).await;
                }
                open.set(open.get() - 1);
            }
        });
        let nodes = [Node::new(test, "one"), Node::new(test, "two")];
        let reading = nodes.iter().map(|node| async {
            while open.get() > 0 {
                // So the nodes take the readers from each other all the time.
                expire(test).await;
                if let Some(sequencer) = &node.sequencer {
                    sequencer.run_round().await.unwrap();
                }
                node.runner.run_round().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        futures_util::future::join(futures_util::future::join_all(committing), futures_util::future::join_all(reading))
            .await;
        expire(test).await;
        nodes[0].read().await;
        check_order(test).await;
        Counts::check(test).await;
    });
}

#[test]
fn a_lease_keeps_others_out_until_it_expires_or_is_given_back() {
    on_each_database(&async |test: &TestApp| {
        let (one, two) = (Node::new(test, "one"), Node::new(test, "two"));
        let mut talk = Talk::new(test).await;
        one.read().await;
        let stood = cursor(test, "statistics").await;
        // A time in the far future: the lease does not end during the test.
        test.run(&format!("UPDATE readers SET leased_until = {}", i64::MAX / 2)).await;
        talk.say(test, &mut Random::new(1)).await;
        two.stamp().await;
        let turn = two.runner.run_round().await.unwrap();
        assert!(matches!(turn, RoundResult::Idle(Some(_))), "it waits for the lease: {turn:?}");
        assert_eq!(cursor(test, "statistics").await, stood);
        if test.is_postgres() {
            assert_eq!(two.sequencer.as_ref().unwrap().run_round().await.unwrap(), 0, "this one too");
        }
        expire(test).await;
        two.read().await;
        assert!(cursor(test, "statistics").await > stood);
        Counts::check(test).await;
    });
}
