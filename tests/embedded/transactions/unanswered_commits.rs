//! A commit whose answer was lost, and a conversation that somebody else locks before it can be looked up: the outcome
//! stays unknown through every skip and is found in the end (issue 7, 4.5).

use super::cut_connection::{Plan, Wire};
use crate::harness::{Inside, Post, through};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use std::time::Duration;

/// Makes every insert into the log wait until the test lets it go.
const HELD: &str = "CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         PERFORM pg_advisory_xact_lock(7);
         RETURN NULL;
     END $$;
     CREATE TRIGGER held AFTER INSERT ON outbox EXECUTE FUNCTION held()";

async fn waiting(watcher: &DatabaseConnection, kind: &str) {
    let query = format!("SELECT 1 AS one FROM pg_locks WHERE NOT granted AND locktype = '{kind}'");
    for _ in 0..5000 {
        let statement = Statement::from_string(watcher.get_database_backend(), query.clone());
        if watcher.query_one_raw(statement).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody waits for a lock of the kind {kind}");
}

#[test]
fn an_unanswered_commit_is_looked_up_however_often_its_send_is_skipped() {
    let wire = Wire::new();
    through(|url| wire.to(&url), &async |inside: &Inside| {
        let [owner, member] = inside.users(2).await.try_into().unwrap();
        let group = inside.group(&[owner, member]).await;
        let [watcher, holder, other] =
            [inside.connection().await, inside.connection().await, inside.connection().await];
        inside.run(HELD).await;

        let held = holder.begin().await.unwrap();
        held.execute_unprepared("SELECT pg_advisory_xact_lock(7)").await.unwrap();
        wire.plan(Plan::AfterCommit);
        let post = Post::new(group, &member, "stored unheard");
        let id = post.id;
        let mut answer = inside.enqueue(post);
        // the send has locked the conversation and waits; somebody else waits for that lock and gets it with the commit
        waiting(&watcher, "advisory").await;
        let locked = other.begin().await.unwrap();
        let lock = format!("SELECT id FROM conversations WHERE id = {} FOR NO KEY UPDATE", inside.literal(group));
        let (got, ()) = tokio::join!(locked.execute_unprepared(&lock), async {
            waiting(&watcher, "transactionid").await;
            held.rollback().await.unwrap();
        });
        got.unwrap();
        assert!(wire.is_cut(), "the answer to the commit was lost");
        inside.back().await;
        // it has been skipped twice by then, and sent to a task of its own, which waits for the lock
        tokio::select! {
            _ = &mut answer => panic!("it is answered before it is looked up"),
            () = waiting(&watcher, "transactionid") => {}
        }
        locked.rollback().await.unwrap();
        let sent = answer.await.unwrap().unwrap();
        assert_eq!((sent.message.id, sent.repeated), (id, false));
        inside.run("DROP TRIGGER held ON outbox").await;
        let ledger = inside.ledger().await;
        assert_eq!(ledger.said(group).iter().filter(|message| message.content == "stored unheard").count(), 1);
    });
}
