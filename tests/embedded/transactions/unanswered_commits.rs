//! A commit whose answer is lost, while another transaction locks the conversation before the commit is looked up: the
//! outcome stays unknown while the send is skipped, and is found later.

use super::cut_connection::{CutPlan, CuttingProxy};
use crate::harness::{TestApp, TestSend, on_postgres_through};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use std::time::Duration;

/// Makes every insert into the log wait until the test releases a lock.
const WAITING_INSERTS: &str = "CREATE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         PERFORM pg_advisory_xact_lock(7);
         RETURN NULL;
     END $$;
     CREATE TRIGGER wait_for_test AFTER INSERT ON outbox EXECUTE FUNCTION wait_for_test()";

async fn wait_for_waiter(watcher: &DatabaseConnection, kind: &str) {
    let query = format!("SELECT 1 AS one FROM pg_locks WHERE NOT granted AND locktype = '{kind}'");
    for _ in 0..5000 {
        let statement = Statement::from_string(watcher.get_database_backend(), query.clone());
        if watcher.query_one_raw(statement).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no transaction waits for a lock of the kind {kind}");
}

#[test]
fn an_unanswered_commit_is_looked_up_however_often_its_send_is_skipped() {
    let proxy = CuttingProxy::new();
    on_postgres_through(|url| proxy.to(&url), &async |test: &TestApp| {
        let [owner, member] = test.users(2).await.try_into().unwrap();
        let group = test.group(&[owner, member]).await;
        let [watcher, holder, other] = [test.connection().await, test.connection().await, test.connection().await];
        test.run(WAITING_INSERTS).await;

        let test_lock = holder.begin().await.unwrap();
        test_lock.execute_unprepared("SELECT pg_advisory_xact_lock(7)").await.unwrap();
        let notice = proxy.delay_notice().await;
        proxy.plan(CutPlan::AfterCommit);
        let send = TestSend::new(group, &member, "without an answer");
        let id = send.id;
        let mut answer = test.enqueue(send);
        // The send has locked the conversation and waits. Another transaction waits for that lock and gets it with the
        // commit, before the writer knows that it has to look the send up.
        wait_for_waiter(&watcher, "advisory").await;
        let conversation_lock = other.begin().await.unwrap();
        let lock = format!("SELECT id FROM conversations WHERE id = {} FOR NO KEY UPDATE", test.id_literal(group));
        let (lock_result, ()) = tokio::join!(conversation_lock.execute_unprepared(&lock), async {
            wait_for_waiter(&watcher, "transactionid").await;
            test_lock.rollback().await.unwrap();
        });
        lock_result.unwrap();
        drop(notice);
        assert!(proxy.is_cut(), "the answer to the commit was lost");
        test.wait_until_writable().await;
        // The send was skipped twice and then passed to a task of its own, which waits for the lock.
        tokio::select! {
            _ = &mut answer => panic!("the send is answered before its commit is looked up"),
            () = wait_for_waiter(&watcher, "transactionid") => {}
        }
        conversation_lock.rollback().await.unwrap();
        let result = answer.await.unwrap().unwrap();
        assert_eq!((result.message.id, result.repeated), (id, false));
        test.run("DROP TRIGGER wait_for_test ON outbox").await;
        let stored = test.stored_state().await;
        assert_eq!(
            stored.messages_of(group).iter().filter(|message| message.content == "without an answer").count(),
            1
        );
    });
}
