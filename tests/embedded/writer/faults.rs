//! A batch that hangs, and one that a fault of the database refuses: neither concerns other sends.

use super::users_and_groups;
use crate::harness::{TestApp, TestSend, on_postgres};
use crate::support::eventually;
use greenroom::store::db::DbState;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement, TransactionTrait};

/// Only the locks of conversations are skipped. A batch can also wait for another lock, or for a connection that is lost.
#[test]
fn a_batch_that_hangs_delays_no_other_conversation() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 3).await;
        let (holder, watcher) = (test.connection().await, test.connection().await);
        let lock = holder.begin().await.unwrap();
        let group = test.id_literal(groups[0]);
        let marks = format!("SELECT 1 FROM participants WHERE conversation_id = {group} FOR UPDATE");
        lock.execute_unprepared(&marks).await.unwrap();
        let mut hanging = test.enqueue(TestSend::new(groups[0], &users[0], "hangs"));
        let waiters = "SELECT 1 FROM pg_locks WHERE NOT granted";
        eventually("the send waits for the lock of its mark", async || {
            watcher.query_one_raw(Statement::from_string(DatabaseBackend::Postgres, waiters)).await.unwrap().is_some()
        })
        .await;
        for group in &groups[1..] {
            test.send(TestSend::new(*group, &users[0], "free")).await.unwrap();
        }
        assert!(hanging.try_recv().is_err(), "the others are stored while the first one still waits");
        lock.rollback().await.unwrap();
        hanging.await.unwrap().unwrap();
        test.check_stored_state().await;
    });
}

#[test]
fn a_fault_of_the_statement_of_a_lone_send_concerns_this_send_only() {
    on_postgres(&async |test: &TestApp| {
        let (users, groups) = users_and_groups(test, 1).await;
        test.run(
            "CREATE FUNCTION fail_for_test() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF NEW.content = 'damaged' THEN
                     RAISE EXCEPTION 'invalid page' USING ERRCODE = 'XX001';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER fail_for_test BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION fail_for_test()",
        )
        .await;
        test.send(TestSend::new(groups[0], &users[0], "damaged")).await.unwrap_err();
        assert_eq!(test.app.db().state(), DbState::Ok, "the database still takes writes");
        test.send(TestSend::new(groups[0], &users[0], "intact")).await.unwrap();
        test.run("DROP TRIGGER fail_for_test ON messages").await;
        test.check_stored_state().await;
    });
}
