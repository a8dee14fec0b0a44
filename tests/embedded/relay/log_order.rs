//! The order in which readers get the rows of all streams while transactions commit in any order and nodes compete
//! for the lease of a reader.

use super::harness::{
    Counts, Failure, Node, RecordingReader, TestGroup, check_order, check_recorded, cursor, end_pauses, expire_leases,
};
use crate::harness::{TestApp, on_each_database, on_postgres};
use crate::support::{Random, eventually};
use greenroom::domain::floor::XMIN_WAIT;
use greenroom::relay::reader::{Begin, PageLimit, RoundResult};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseTransaction, TransactionTrait};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Returns the statements by which a transaction of the test appends a row to the stream of the group. Like all
/// transactions it locks the stream first.
fn append(test: &TestApp, group: &TestGroup) -> String {
    let id = test.id_literal(group.id);
    format!(
        "UPDATE conversations SET last_rev = last_rev + 1 WHERE id = {id};
         INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
         SELECT 0, id, last_rev, 'test', '{{}}', (extract(epoch FROM now()) * 1000)::bigint
         FROM conversations WHERE id = {id}"
    )
}

/// Begins a transaction that appends a row, and returns it without its commit.
async fn begin_append(test: &TestApp, group: &TestGroup) -> DatabaseTransaction {
    let transaction = test.connection().await.begin().await.unwrap();
    transaction.execute_unprepared(&append(test, group)).await.unwrap();
    transaction
}

/// Appends a row with a transaction that ends.
async fn append_now(test: &TestApp, group: &TestGroup) {
    test.connection().await.execute_unprepared(&append(test, group)).await.unwrap();
}

/// The pause between rounds, so that ten of them take twice as long as a tick waits before it asks for the transactions
/// that have written to the log.
const PAUSE: Duration = Duration::from_millis(XMIN_WAIT.as_millis() as u64 / 5);

/// Begins a transaction without log rows in the database at this address. It has a transaction id.
async fn begin_long_transaction(url: &str) -> DatabaseTransaction {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let transaction = Database::connect(options).await.unwrap().begin().await.unwrap();
    transaction.execute_unprepared("SELECT pg_current_xact_id()").await.unwrap();
    transaction
}

#[test]
fn a_row_that_is_committed_late_is_not_skipped() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::with(test, "node", RecordingReader::new(test).await);
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        node.read().await;
        let start = cursor(test, "recording").await;
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        append_now(test, &quick).await;
        for _ in 0..10 {
            assert_eq!(node.runner.run_round().await.unwrap(), RoundResult::Waiting, "a smaller id may appear");
            tokio::time::sleep(PAUSE).await;
        }
        assert_eq!(cursor(test, "recording").await, start);
        late.commit().await.unwrap();
        node.read().await;
        check_recorded(test).await;
        let newest = test.rows("SELECT stream FROM recorded_rows ORDER BY number DESC LIMIT 3").await;
        let newest: Vec<String> = newest.iter().map(|row| row.try_get("", "stream").unwrap()).collect();
        assert_eq!(newest, [&quick, &quick, &slow].map(|group| group.id.to_string()), "in the order of the ids");
    });
}

#[test]
fn a_row_of_a_transaction_that_is_rolled_back_delays_no_reader() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::with(test, "node", RecordingReader::new(test).await);
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        node.read().await;
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        assert_eq!(node.runner.run_round().await.unwrap(), RoundResult::Waiting);
        late.rollback().await.unwrap();
        node.read().await;
        check_recorded(test).await;
    });
}

#[test]
fn a_reader_that_begins_now_gets_the_rows_of_transactions_that_run() {
    on_postgres(&async |test: &TestApp| {
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        let reader = RecordingReader::with(test, Begin::Now, PageLimit { rows: 1000, bytes: 1 << 20 }).await;
        let node = Node::with(test, "node", reader);
        node.raise_floor().await;
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        assert!(matches!(node.runner.run_round().await.unwrap(), RoundResult::Worked { .. }), "it is registered");
        assert_eq!(node.runner.run_round().await.unwrap(), RoundResult::Waiting);
        late.commit().await.unwrap();
        node.read().await;
        for group in [&slow, &quick] {
            assert_eq!(RecordingReader::revs(test, group.stream()).await.len(), 1, "only the row after its start");
        }
    });
}

#[test]
fn a_reader_begins_now_only_when_the_floor_of_the_log_is_known() {
    on_postgres(&async |test: &TestApp| {
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        let reader = RecordingReader::with(test, Begin::Now, PageLimit { rows: 1000, bytes: 1 << 20 }).await;
        let node = Node::with(test, "node", reader);
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        assert_eq!(node.runner.run_round().await.unwrap(), RoundResult::Waiting, "this node does not know any floor");
        late.commit().await.unwrap();
        node.read().await;
        append_now(test, &quick).await;
        node.read().await;
        assert_eq!(RecordingReader::revs(test, quick.stream()).await.len(), 1);

        // Long after that, the floor that the node knows is too old to begin there.
        test.run("DELETE FROM readers; DELETE FROM recorded_rows").await;
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        let make_old = "UPDATE outbox SET created_at = created_at - 3600000";
        test.run(make_old).await;
        let own_row = format!("{make_old} WHERE id = (SELECT max(id) FROM outbox WHERE stream_id = '{}')", slow.id);
        late.execute_unprepared(&own_row).await.unwrap();
        assert_eq!(node.runner.run_round().await.unwrap(), RoundResult::Waiting);
        late.commit().await.unwrap();
        node.read().await;
        assert_eq!(RecordingReader::revs(test, quick.stream()).await, [0_i64; 0]);
    });
}

/// Checks that a transaction without log rows delays a reader at most once.
async fn check_reads_beside(test: &TestApp, begin: impl AsyncFn() -> DatabaseTransaction) {
    let mut random = Random::new(1);
    let node = Node::with(test, "node", RecordingReader::new(test).await);
    let mut group = TestGroup::new(test).await;
    node.read().await;
    let long = begin().await;
    group.send(test, &mut random).await;
    node.read().await;
    check_recorded(test).await;
    // Older transactions of other tests may run at first.
    eventually("a reader gets a row without a wait", async || {
        group.send(test, &mut random).await;
        let round = node.runner.run_round().await.unwrap();
        node.read().await;
        matches!(round, RoundResult::Worked { .. })
    })
    .await;
    check_recorded(test).await;
    long.rollback().await.unwrap();
}

#[test]
fn a_long_transaction_without_log_rows_delays_a_reader_once() {
    on_postgres(&async |test: &TestApp| {
        check_reads_beside(test, async || begin_long_transaction(&test.url().unwrap()).await).await;
    });
}

#[test]
fn a_long_transaction_in_another_database_delays_a_reader_once() {
    on_postgres(&async |test: &TestApp| {
        let admin_url = std::env::var("GREENROOM_TEST_POSTGRES").unwrap();
        check_reads_beside(test, async || begin_long_transaction(&admin_url).await).await;
    });
}

#[test]
fn a_late_row_is_not_skipped_beside_a_long_transaction_in_another_database() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::with(test, "node", RecordingReader::new(test).await);
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        let long = begin_long_transaction(&std::env::var("GREENROOM_TEST_POSTGRES").unwrap()).await;
        node.read().await;
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        for _ in 0..10 {
            assert_eq!(node.runner.run_round().await.unwrap(), RoundResult::Waiting);
            append_now(test, &quick).await;
            tokio::time::sleep(PAUSE).await;
        }
        late.commit().await.unwrap();
        node.read().await;
        check_recorded(test).await;
        long.rollback().await.unwrap();
    });
}

/// Appends random rows by several transactions that are open at the same time and end in a random order, while two
/// nodes run the reader in turn.
#[test]
fn a_reader_skips_no_row_in_whatever_order_transactions_commit() {
    on_postgres(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let reader = RecordingReader::new(test).await;
        let nodes = [Node::with(test, "one", reader.clone()), Node::with(test, "two", reader)];
        let mut groups = Vec::new();
        let mut connections = Vec::new();
        for _ in 0..5 {
            groups.push(TestGroup::new(test).await);
            connections.push(test.connection().await);
        }
        // The open transaction of each connection, with the groups whose streams it has locked.
        let mut open: Vec<Option<(DatabaseTransaction, Vec<usize>)>> = connections.iter().map(|_| None).collect();
        for _ in 0..400 {
            let at = random.between(0, open.len() as u64) as usize;
            match (open[at].take(), random.between(0, 10)) {
                (transaction, 0..4) => {
                    open[at] = transaction;
                    let node = random.pick(&nodes);
                    if random.one_in(4) {
                        expire_leases(test).await;
                    }
                    node.runner.run_round().await.unwrap();
                }
                (None, _) => open[at] = Some((connections[at].begin().await.unwrap(), Vec::new())),
                (Some((transaction, _)), 4) => transaction.rollback().await.unwrap(),
                (Some((transaction, _)), 5..7) => transaction.commit().await.unwrap(),
                (Some((transaction, mut locked)), _) => {
                    let group = random.between(0, groups.len() as u64) as usize;
                    let is_free = open.iter().flatten().all(|(_, others)| !others.contains(&group));
                    if is_free {
                        transaction.execute_unprepared(&append(test, &groups[group])).await.unwrap();
                        locked.push(group);
                    }
                    open[at] = Some((transaction, locked));
                }
            }
        }
        for (transaction, _) in open.into_iter().flatten() {
            transaction.commit().await.unwrap();
        }
        expire_leases(test).await;
        nodes[0].read().await;
        check_order(test).await;
        check_recorded(test).await;
    });
}

#[test]
fn only_a_node_with_the_lease_and_unread_rows_takes_ticks() {
    on_postgres(&async |test: &TestApp| {
        let ticks = Arc::new(AtomicU32::new(0));
        let count = ticks.clone();
        test.app.db().observe(move |statement, _| {
            count.fetch_add(u32::from(statement.sql.contains("pg_current_xact_id")), Ordering::Relaxed);
        });
        let (one, two) = (Node::new(test, "one"), Node::new(test, "two"));
        let mut group = TestGroup::new(test).await;
        one.read().await;
        let before = ticks.load(Ordering::Relaxed);
        for _ in 0..5 {
            assert!(matches!(one.runner.run_round().await.unwrap(), RoundResult::Idle(None)));
            assert!(matches!(two.runner.run_round().await.unwrap(), RoundResult::Idle(_)));
        }
        // A time in the far future, so that the lease does not expire during the test.
        test.run(&format!("UPDATE readers SET leased_until = {}", i64::MAX / 2)).await;
        group.send(test, &mut Random::new(1)).await;
        assert!(matches!(two.runner.run_round().await.unwrap(), RoundResult::Idle(Some(_))));
        assert_eq!(ticks.load(Ordering::Relaxed), before, "a tick was not needed");
        one.read().await;
        assert!(ticks.load(Ordering::Relaxed) > before);
    });
}

#[test]
fn readers_get_concurrent_commits_in_the_order_of_their_revisions() {
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
        let recording = RecordingReader::new(test).await;
        let nodes = [
            Node::new(test, "one"),
            Node::new(test, "two"),
            Node::with(test, "one", recording.clone()),
            Node::with(test, "two", recording),
        ];
        let reading = nodes.iter().map(|node| async {
            while open.get() > 0 {
                // Without leases, the nodes take the readers from each other all the time.
                expire_leases(test).await;
                node.runner.run_round().await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        futures_util::future::join(futures_util::future::join_all(committing), futures_util::future::join_all(reading))
            .await;
        for node in &nodes {
            expire_leases(test).await;
            node.read().await;
        }
        check_order(test).await;
        check_recorded(test).await;
        Counts::check(test).await;
    });
}

#[test]
fn a_lease_keeps_other_nodes_out_until_it_expires() {
    on_each_database(&async |test: &TestApp| {
        let (one, two) = (Node::new(test, "one"), Node::new(test, "two"));
        let mut group = TestGroup::new(test).await;
        one.read().await;
        let cursor_before = cursor(test, "statistics").await;
        // A time in the far future, so that the lease does not expire during the test.
        test.run(&format!("UPDATE readers SET leased_until = {}", i64::MAX / 2)).await;
        group.send(test, &mut Random::new(1)).await;
        let round = two.runner.run_round().await.unwrap();
        assert!(matches!(round, RoundResult::Idle(Some(_))), "the node waits for the lease: {round:?}");
        assert_eq!(cursor(test, "statistics").await, cursor_before);
        expire_leases(test).await;
        two.read().await;
        assert!(cursor(test, "statistics").await > cursor_before);
        Counts::check(test).await;
    });
}

#[test]
fn a_row_that_fails_below_the_floor_parks_its_stream_and_later_rows_follow_in_order() {
    on_postgres(&async |test: &TestApp| {
        let reader = RecordingReader::new(test).await;
        let node = Node::with(test, "node", reader.clone());
        let (slow, quick) = (TestGroup::new(test).await, TestGroup::new(test).await);
        node.read().await;
        let rev = RecordingReader::revs(test, slow.stream()).await.len() as i64 + 1;
        reader.fail(slow.stream(), rev, Failure::Row);
        let late = begin_append(test, &slow).await;
        append_now(test, &quick).await;
        late.commit().await.unwrap();
        append_now(test, &slow).await;
        node.read().await;
        assert_eq!(RecordingReader::revs(test, slow.stream()).await.len() as i64, rev - 1, "the stream is parked");
        reader.stop_failing();
        end_pauses(test).await;
        node.read().await;
        check_recorded(test).await;
    });
}
