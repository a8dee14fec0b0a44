//! The order of the rows of all streams in the log, and nodes that compete for a lease.

use super::harness::{Counts, Node, TestGroup, check_order, cursor, expire_leases, is_failing, write};
use crate::harness::{TestApp, on_each_database, on_postgres};
use crate::support::{Random, eventually};
use greenroom::relay;
use greenroom::relay::reader::RoundResult;
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::cell::Cell;

/// Returns the statement by which a transaction of the test appends a log row to the stream of the group.
fn row(test: &TestApp, group: &TestGroup, rev: i64) -> String {
    let id = test.id_literal(group.id);
    format!(
        "INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         VALUES (0, {id}, {rev}, 'test', '{{}}', 0);
         UPDATE conversations SET last_rev = {rev} WHERE id = {id}"
    )
}

async fn last_rev(test: &TestApp, group: &TestGroup) -> i64 {
    let query = format!("SELECT last_rev FROM conversations WHERE id = {}", test.id_literal(group.id));
    test.rows(&query).await[0].try_get("", "last_rev").unwrap()
}

#[test]
fn a_row_that_is_committed_late_gets_a_later_position() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        node.read().await;
        let start = cursor(test, "sequencer").await;
        let (first, second) = (test.connection().await, test.connection().await);
        let late = first.begin().await.unwrap();
        late.execute_unprepared(&row(test, &slow, last_rev(test, &slow).await + 1)).await.unwrap();
        second.execute_unprepared(&row(test, &quick, last_rev(test, &quick).await + 1)).await.unwrap();
        node.read().await;
        assert_eq!(cursor(test, "sequencer").await, start + 1, "the row with the smaller id is not committed yet");
        assert_eq!(cursor(test, "statistics").await, start + 1);
        late.commit().await.unwrap();
        node.read().await;
        assert_eq!(cursor(test, "statistics").await, start + 2, "the late row is not skipped");
        let newest = test.rows("SELECT id FROM outbox ORDER BY position DESC LIMIT 2").await;
        let ids: Vec<i64> = newest.iter().map(|row| row.try_get("", "id").unwrap()).collect();
        assert!(ids[0] < ids[1], "the late row has the smaller id");
        check_order(test).await;
    });
}

#[test]
fn no_later_row_of_a_stream_gets_its_position_before_a_locked_row() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let mut group = TestGroup::new(test).await;
        node.read().await;
        let mut random = Random::new(1);
        for _ in 0..5 {
            group.send(test, &mut random).await;
        }
        // The deletion of a message for everyone locks log rows in this way.
        let other = test.connection().await;
        let deletion = other.begin().await.unwrap();
        let lock = "UPDATE outbox SET payload = payload WHERE id = (SELECT min(id) FROM outbox WHERE position IS NULL)";
        deletion.execute_unprepared(lock).await.unwrap();
        let assigning = node.assign_positions();
        tokio::pin!(assigning);
        let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        loop {
            tokio::select! {
                () = &mut assigning => panic!("the sequencer did not wait for the locked row"),
                rows = test.rows(waits) => if !rows.is_empty() { break },
            }
        }
        deletion.commit().await.unwrap();
        assigning.await;
        check_order(test).await;
    });
}

#[test]
fn a_sequencer_without_a_row_continues_after_the_greatest_position() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let mut group = TestGroup::new(test).await;
        node.read().await;
        write(test, "DELETE FROM readers WHERE name = 'sequencer'").await;
        group.send(test, &mut Random::new(1)).await;
        node.read().await;
        check_order(test).await;
        Counts::check(test).await;
    });
}

#[test]
fn a_sequencer_that_fails_is_named_until_it_works() {
    on_postgres(&async |test: &TestApp| {
        let mut group = TestGroup::new(test).await;
        let relay = relay::start(&test.app);
        let is_counted = async || Counts::stored(test).await == Counts::recount(test).await;
        group.send(test, &mut Random::new(1)).await;
        eventually("the message is counted", async || is_counted().await).await;
        write(test, "UPDATE readers SET cursor = 0 WHERE name = 'sequencer'").await;
        group.send(test, &mut Random::new(1)).await;
        eventually("the sequencer is named", async || is_failing(test, "sequencer")).await;
        write(test, "UPDATE readers SET cursor = (SELECT max(position) FROM outbox) WHERE name = 'sequencer'").await;
        eventually("the next message is counted", async || is_counted().await).await;
        eventually("the sequencer is not named", async || !is_failing(test, "sequencer")).await;
        relay.stop().await;
    });
}

#[test]
fn concurrent_commits_get_positions_in_the_order_of_their_revisions() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let mut groups = Vec::new();
        for _ in 0..6 {
            groups.push(TestGroup::new(test).await);
        }
        let open = Cell::new(groups.len());
        let committing = groups.into_iter().map(|mut group| {
            let (mut random, open) = (random.fork(), &open);
            async move {
                for _ in 0..30 {
                    group.send_or_change(test, &mut random).await;
                }
                open.set(open.get() - 1);
            }
        });
        let nodes = [Node::new(test, "one"), Node::new(test, "two")];
        let reading = nodes.iter().map(|node| async {
            while open.get() > 0 {
                // Without leases, the nodes take the readers from each other all the time.
                expire_leases(test).await;
                if let Some(sequencer) = &node.sequencer {
                    sequencer.run_round().await.unwrap();
                }
                node.runner.run_round().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        futures_util::future::join(futures_util::future::join_all(committing), futures_util::future::join_all(reading))
            .await;
        expire_leases(test).await;
        nodes[0].read().await;
        check_order(test).await;
        Counts::check(test).await;
    });
}

#[test]
fn a_lease_keeps_other_nodes_out_until_it_expires() {
    on_each_database(&async |test: &TestApp| {
        let (one, two) = (Node::new(test, "one"), Node::new(test, "two"));
        let mut group = TestGroup::new(test).await;
        one.read().await;
        let position_before = cursor(test, "statistics").await;
        // A time in the far future, so that the lease does not expire during the test.
        test.run(&format!("UPDATE readers SET leased_until = {}", i64::MAX / 2)).await;
        group.send(test, &mut Random::new(1)).await;
        two.assign_positions().await;
        let round = two.runner.run_round().await.unwrap();
        assert!(matches!(round, RoundResult::Idle(Some(_))), "the node waits for the lease: {round:?}");
        assert_eq!(cursor(test, "statistics").await, position_before);
        if test.is_postgres() {
            assert_eq!(
                two.sequencer.as_ref().unwrap().run_round().await.unwrap(),
                0,
                "the sequencer waits for its lease too"
            );
        }
        expire_leases(test).await;
        two.read().await;
        assert!(cursor(test, "statistics").await > position_before);
        Counts::check(test).await;
    });
}
