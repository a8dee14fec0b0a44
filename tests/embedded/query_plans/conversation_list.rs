//! The conversation list of a user in two thousand groups: the expensive parts are read only for the conversations
//! of the page.

use super::plan_check::PlanChecker;
use crate::harness::{TestApp, on_each_database};
use greenroom::domain::caller::Caller;
use greenroom::domain::limits;
use greenroom::domain::roles::ConversationKind;
use greenroom::domain::time::Timestamp;
use greenroom::store::conversations::views::{self, ConversationFilter};
use greenroom::store::db::pools::ReadPool;
use sea_orm::Statement;
use std::sync::{Arc, Mutex};

/// The number of groups of the user.
const GROUPS: usize = 2000;
/// The number of groups without the user.
const OTHERS: usize = 20_000;
/// The number of members of each group of the user.
const MEMBERS: usize = 25;
/// The number of messages in each group.
const MESSAGES: usize = 10;

/// Adds all members to every group, each with messages of which the second half is unread.
async fn fill(test: &TestApp, owner: Caller) {
    let id = if test.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    // The ids grow with time, as real ids do, so a query in their order finds a newer conversation with each row.
    let growing = if test.is_postgres() { "lpad(to_hex(i), 32, '0')::uuid" } else { "unhex(printf('%032x', i))" };
    let owner = test.id_literal(owner.user_id);
    // On SQLite the server removes all statistics.
    let analyze = if test.is_postgres() { "ANALYZE;" } else { "" };
    let numbers = |count| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) ");
    test
        .run(&format!(
            "INSERT INTO conversations (id, kind, name, created_by, created_at, updated_at)
             {} SELECT {growing}, 'group', 'Group ' || i, {owner}, i, i FROM n;
             INSERT INTO conversations (id, kind, name, created_at, updated_at)
             {} SELECT {id}, 'group', 'Group of others ' || i, i, i FROM n;
             INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev, last_read_seq, last_read_count)
             SELECT c.id, u.id, 'member', 1, 0, {read}, {read} FROM conversations c CROSS JOIN users u WHERE c.created_by IS NOT NULL;
             INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, created_at)
             {} SELECT {id}, c.id, i, i, i, {owner}, 'text', 'hello', i FROM n CROSS JOIN conversations c
             WHERE c.created_by IS NOT NULL;
             INSERT INTO hidden_messages (user_id, message_id, conversation_id, seq, counts, created_at)
             SELECT {owner}, id, conversation_id, seq, true, 1 FROM messages WHERE seq = {MESSAGES};
             UPDATE conversations SET last_seq = {MESSAGES}, last_count = {MESSAGES}, last_rev = {MESSAGES},
                member_count = {MEMBERS}, last_message_at = 1000000 + created_at WHERE created_by IS NOT NULL;
             {analyze}",
            numbers(GROUPS),
            numbers(OTHERS),
            numbers(MESSAGES),
            read = MESSAGES / 2,
        ))
        .await;
}

#[test]
fn a_page_of_a_list_of_two_thousand_conversations_reads_only_its_own_rows() {
    on_each_database(&async |test: &TestApp| {
        let users = test.users(MEMBERS).await;
        fill(test, users[0]).await;
        let plans = PlanChecker::new(test).await;
        let statements = Arc::new(Mutex::new(Vec::new()));
        let recorded = statements.clone();
        test.app.db().observe(move |statement, _| recorded.lock().unwrap().push(statement.clone()));
        let (conn, now) = (test.app.db().read(ReadPool::Ordinary), Timestamp::now());
        let page = async |filter, after| {
            let user = users[0].user_id;
            views::list(conn, user, None, filter, after, limits::PAGE_MAX + 1, now).await.unwrap().rows
        };
        let mut after = None;
        let mut seen = Vec::new();
        for number in 0..GROUPS / 100 {
            let mut views = page(ConversationFilter::default(), after).await;
            views.truncate(100);
            after = views.last().map(|view| view.sort_key);
            assert_eq!(views.len(), 100, "page {number}");
            seen.extend(views);
        }
        assert!(page(ConversationFilter::default(), after).await.is_empty());
        assert!(
            seen.is_sorted_by(|one, next| one.sort_key.activity > next.sort_key.activity),
            "the newest conversation is first, and each occurs once"
        );
        for conversation in &seen {
            assert_eq!((conversation.unread_count, conversation.member_count), (4, MEMBERS as i64));
            assert_eq!(
                conversation.last_message.as_ref().unwrap().seq.0,
                MESSAGES as i64 - 1,
                "the last message is hidden"
            );
        }
        let filter = |unread| ConversationFilter {
            unread: Some(unread),
            kind: Some(ConversationKind::Group),
            ..ConversationFilter::default()
        };
        assert_eq!(page(filter(true), None).await.len(), 101);
        assert!(page(filter(false), None).await.is_empty());
        assert!(page(ConversationFilter { archived: true, ..ConversationFilter::default() }, None).await.is_empty());
        let mut statements = std::mem::take(&mut *statements.lock().unwrap());
        // The other statements are those of the tasks of the server.
        statements.retain(|statement: &Statement| statement.sql.contains("member_count"));
        assert_eq!(statements.len(), GROUPS / 100 + 4);
        let mut wrong = Vec::new();
        for statement in statements {
            let faults = plans.faults(&statement).await.into_iter();
            // These tables are empty or so small here that PostgreSQL correctly reads the whole table, in the order of an
            // index. The expensive parts are in other tables.
            let is_small_table = |fault: &String| {
                ["conversations", "users", "classes", "blocks"].iter().any(|table| {
                    fault.starts_with(&format!("reads all of {table}"))
                        || fault.starts_with(&format!("Index Scan {table} sees"))
                })
            };
            wrong.extend(faults.filter(|fault| !is_small_table(fault)));
        }
        assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    });
}
