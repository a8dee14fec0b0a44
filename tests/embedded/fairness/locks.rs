//! A transaction that waits for a lock of another node delays no transaction that does not need the lock.

use crate::harness::{TestApp, TestSend, on_postgres};
use greenroom::domain::ids::ConversationId;
use greenroom::usecases::marks::{self, ReadTarget};
use greenroom::usecases::{logins, messages, reactions, refresh};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, Statement, TransactionTrait};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Locks conversations in a transaction outside of the application, as another node does.
async fn lock(test: &TestApp, conversations: &[ConversationId]) -> DatabaseTransaction {
    let transaction = test.connection().await.begin().await.unwrap();
    let ids: Vec<_> = conversations.iter().map(|id| test.id_literal(*id)).collect();
    let statement = format!("SELECT 1 FROM conversations WHERE id IN ({}) FOR NO KEY UPDATE", ids.join(", "));
    transaction.execute_unprepared(&statement).await.unwrap();
    transaction
}

/// Waits until `count` connections of the application wait for a lock.
async fn wait_for_waiting_connections(test: &TestApp, count: usize) {
    let watcher = test.connection().await;
    let started = Instant::now();
    loop {
        let query = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let rows = watcher.query_all_raw(Statement::from_string(DatabaseBackend::Postgres, query)).await.unwrap();
        if rows.len() >= count {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{} of {count} wait for a lock", rows.len());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn reactions_and_sends_that_wait_for_locks_delay_no_other_user() {
    on_postgres(&async |test: &TestApp| {
        let [one, talker, friend, ref others @ ..] = test.users(11).await[..] else { unreachable!() };
        let app = &test.app;
        let mut locked = Vec::new();
        for _ in 0..5 {
            locked.push(test.group(&[&[one], others].concat()).await);
        }
        let message = test.send(TestSend::new(locked[0], &one, "hello")).await.unwrap().message.id;
        let free = test.group(&[talker, friend]).await;
        let tokens = logins::issue_tokens(app, talker.user_id, "a test", "127.0.0.1").await.unwrap();
        let renewed = refresh::refresh(app, &tokens.refresh_token, Ipv4Addr::LOCALHOST.into()).await.unwrap();
        let lock_of_another_node = lock(test, &locked).await;

        // Each reaction is by another user, because the limit of one user would leave connections free.
        let waiting_reactions: Vec<_> = others
            .iter()
            .map(|user| {
                let (app, user, group) = (app.clone(), *user, locked[0]);
                tokio::spawn(async move { reactions::add(&app, &user, group, message, "👍").await.map(drop) })
            })
            .collect();
        let sends: Vec<_> = locked.iter().map(|group| test.enqueue(TestSend::new(*group, &one, "waits"))).collect();
        // The reactions take all permits for transactions of users.
        let database = &app.settings().database;
        wait_for_waiting_connections(
            test,
            database.connection_shares().write_connections(database.writers).unwrap().users,
        )
        .await;

        // The first call after a refresh, which writes a row.
        let claims = logins::verify_access_token(app, &renewed.access_token).unwrap();
        let caller = logins::authenticate(app, &claims).await.unwrap();
        let mine = test.send(TestSend::new(free, &talker, "hello")).await.unwrap().message.id;
        messages::get(app, &caller, mine).await.unwrap();
        marks::update_read_mark(app, &caller, free, ReadTarget::End).await.unwrap();
        assert!(waiting_reactions.iter().all(|change| !change.is_finished()), "no reaction had to end before");
        lock_of_another_node.rollback().await.unwrap();
        for reaction in waiting_reactions {
            // The reaction got the lock, or its wait timed out.
            let _ = reaction.await.unwrap();
        }
        for sent in sends {
            let _ = sent.await.unwrap();
        }
    });
}
