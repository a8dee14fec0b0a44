//! Plans of a database without statistics. A server keeps the plans of its statements, so those that it makes while the
//! tables are small must be good when they are large.

use super::misleading_statistics::young_history;
use super::plan_check::{PlanChecker, filtered_tables, whole_indexes};
use super::{access_token, make_every_call};
use crate::harness::{TestApp, TestSend, on_each_database, on_postgres};
use crate::support::eventually;
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::{ConversationId, Seq};
use greenroom::store::conversations::views::ConversationFilter;
use greenroom::usecases::messages::{self, MessageRange};
use greenroom::usecases::{conversations, reactions};
use greenroom::work::unchecked_caller::UncheckedCaller;
use sea_orm::{DatabaseConnection, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

#[test]
fn the_statements_of_a_send_find_messages_by_index_alone() {
    on_postgres(&async |test: &TestApp| {
        let users = test.users(2).await;
        let group = test.group(&users).await;
        let recorded: Arc<Mutex<Vec<Statement>>> = Arc::default();
        let statements = recorded.clone();
        test.app.db().observe(move |statement, _| statements.lock().unwrap().push(statement.clone()));
        let first = test.send(TestSend::new(group, &users[0], "hello").with_temp_id("a temp_id")).await.unwrap();
        let answer = TestSend::new(group, &users[1], "an answer");
        test.send(TestSend { reply_to: Some(first.message.id), ..answer }).await.unwrap();
        test.wait_for_transactions().await;
        let recorded = std::mem::take(&mut *recorded.lock().unwrap());
        assert!(recorded.iter().any(|statement| statement.sql.contains("body_hash")), "repeated sends are looked up");
        let is_single =
            |statement: &&Statement| statement.sql.contains("INSERT INTO outbox") && !statement.sql.contains("unnest");
        assert_eq!(recorded.iter().filter(is_single).count(), 2, "each send is written by the statement for one send");
        let mut faults = BTreeSet::new();
        check_growing(test, group, users[0], async |conn| {
            for statement in recorded.iter().filter(|statement| !statement.sql.starts_with("SET LOCAL")) {
                faults.extend(filtered_tables(conn, statement).await);
            }
        })
        .await;
        assert!(faults.is_empty(), "{faults:#?}");
    });
}

/// Every statement of a call or of a task of the server that reads the history finds its rows by an index that fits.
#[test]
fn no_statement_reads_and_filters_the_history() {
    on_postgres(&async |test: &TestApp| {
        let recorded: Arc<Mutex<BTreeMap<String, Statement>>> = Arc::default();
        let statements = recorded.clone();
        test.app.db().observe(move |statement, _| {
            statements.lock().unwrap().insert(statement.sql.clone(), statement.clone());
        });
        let history = young_history(test).await;
        make_every_call(test, &history, &access_token(test, &history).await, 0, &mut async |_: &str| {}).await;
        let is_recorded = |part: &str| recorded.lock().unwrap().keys().any(|text| text.contains(part));
        for part in ["AS target_count", "FROM unnest($1::uuid[]) AS k(id)"] {
            eventually("the marks of senders are compared and the unread messages counted", async || is_recorded(part))
                .await;
        }
        test.wait_for_transactions().await;
        let recorded = std::mem::take(&mut *recorded.lock().unwrap());
        let mut faults = BTreeSet::new();
        let reads =
            |text: &str| ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| text.starts_with(verb));
        check_growing(test, history.room, history.owner, async |conn| {
            for statement in recorded.values().filter(|statement| reads(statement.sql.trim_start())) {
                faults.extend(filtered_tables(conn, statement).await);
            }
        })
        .await;
        // A filter without an equality only leaves out some rows of the range that is read.
        faults.retain(|fault| {
            [" by  and ", "(id = ", "(seq = ", "(rev = ", "filters by ((sender_id = "]
                .iter()
                .any(|part| fault.contains(part))
        });
        assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    });
}

#[test]
fn pages_and_lists_find_their_rows_by_index_alone() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(2).await;
        let (group, reader) = (test.group(&users).await, UncheckedCaller::from(users[0]));
        let first = test.send(TestSend::new(group, &users[0], "hello")).await.unwrap().message.id;
        let answer = TestSend { reply_to: Some(first), ..TestSend::new(group, &users[1], "an answer") };
        test.send(answer).await.unwrap();
        reactions::add(&test.app, &users[1], group, first, "👍").await.unwrap();
        test.direct(&users[0], &users[1]).await;
        test.wait_for_transactions().await;
        let recorded: Arc<Mutex<Vec<Statement>>> = Arc::default();
        let statements = recorded.clone();
        test.app.db().observe(move |statement, _| statements.lock().unwrap().push(statement.clone()));
        for unread in [None, Some(true)] {
            let filter = ConversationFilter { unread, ..ConversationFilter::default() };
            conversations::list(&test.app, &reader, filter, None, 20).await.unwrap();
        }
        for range in [MessageRange::Newest, MessageRange::After(Seq(1)), MessageRange::Around(Seq(2))] {
            messages::list(&test.app, &reader, group, range, 50).await.unwrap();
        }
        let mut statements = std::mem::take(&mut *recorded.lock().unwrap());
        // The other statements are those of the tasks of the server.
        statements.retain(|statement| {
            statement.sql.contains("WITH v AS")
                || statement.sql.contains("WITH head AS")
                || statement.sql.contains("AS c, x.seq AS n1")
        });
        assert_eq!(statements.len(), 2 + 2 * 3);
        // The tables grow after the statistics. PostgreSQL has none yet.
        if !test.is_postgres() {
            test.run("ANALYZE").await;
        }
        add_messages(test, group, users[1], 101..=20_100).await;
        check(test, &statements, "statistics of almost empty tables").await;
        if !test.is_postgres() {
            test.run("DELETE FROM sqlite_stat1").await;
            check(test, &statements, "no statistics").await;
        }
    });
}

/// Adds the messages with these `seq`, with a reaction each, to a conversation.
async fn add_messages(test: &TestApp, conversation: ConversationId, author: Caller, seqs: RangeInclusive<u32>) {
    let (id, hash) = if test.is_postgres() { ("gen_random_uuid()", "'\\x00'") } else { ("randomblob(16)", "x'00'") };
    let (conversation, author) = (test.id_literal(conversation), test.id_literal(author.user_id));
    let (first, last) = seqs.into_inner();
    test.run(&format!(
        "INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, temp_id, body_hash, created_at)
         WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
         SELECT {id}, {conversation}, i, i, i, {author}, 'text', 'message number ' || i, 'temp_id number ' || i, {hash}, i
         FROM n;
         INSERT INTO reactions (message_id, emoji, user_id, conversation_id, created_at, position)
         SELECT id, 'x', {author}, {conversation}, 1, 1 FROM messages
         WHERE conversation_id = {conversation} AND seq BETWEEN {first} AND {last};
         UPDATE conversations SET last_seq = {last}, last_count = {last}, last_rev = {last} WHERE id = {conversation};"
    ))
    .await;
}

/// Calls `check` for a conversation of a few messages, and again while it grows, each time with a new connection. A
/// connection may make its plans at any of these times. There are no statistics of messages, and the indexes get their
/// second level one after another, which makes them seem more expensive than others.
async fn check_growing(
    test: &TestApp,
    conversation: ConversationId,
    author: Caller,
    mut check: impl AsyncFnMut(&DatabaseConnection),
) {
    test.run("ALTER TABLE messages SET (autovacuum_enabled = false)").await;
    let mut last = 100;
    for next in [102, 160, 220, 280, 350, 700, 2000] {
        add_messages(test, conversation, author, last + 1..=next).await;
        last = next;
        let PlanChecker::Postgres(conn) = PlanChecker::new(test).await else { unreachable!("it runs on PostgreSQL") };
        check(&conn).await;
        conn.close().await.unwrap();
    }
}

async fn check(test: &TestApp, statements: &[Statement], case: &str) {
    let (plans, mut faults) = (PlanChecker::new(test).await, Vec::new());
    for statement in statements {
        faults.extend(plans.faults(statement).await);
        if let PlanChecker::Postgres(conn) = &plans {
            faults.extend(whole_indexes(conn, statement).await);
        }
    }
    assert!(faults.is_empty(), "{case}, {} faults:\n{}", faults.len(), faults.join("\n"));
}
