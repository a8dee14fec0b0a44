//! Who waits for a lock that somebody else holds, as another node may for a while, holds up nobody who needs none.

use crate::harness::{Inside, Post, on_postgres};
use greenroom::domain::ids::ConversationId;
use greenroom::usecases::marks::{self, ReadTarget};
use greenroom::usecases::{logins, messages, reactions, refresh};
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseTransaction, Statement, TransactionTrait};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Locks conversations as another node would.
async fn lock(inside: &Inside, conversations: &[ConversationId]) -> DatabaseTransaction {
    let transaction = inside.connection().await.begin().await.unwrap();
    let ids: Vec<_> = conversations.iter().map(|id| inside.literal(*id)).collect();
    let statement = format!("SELECT 1 FROM conversations WHERE id IN ({}) FOR NO KEY UPDATE", ids.join(", "));
    transaction.execute_unprepared(&statement).await.unwrap();
    transaction
}

/// Waits until so many of the application's connections wait for a lock.
async fn waiting(inside: &Inside, count: usize) {
    let watcher = inside.connection().await;
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
fn reactions_and_sends_that_wait_for_locks_hold_up_nobody_else() {
    on_postgres(&async |inside: &Inside| {
        let [one, talker, friend, ref others @ ..] = inside.users(11).await[..] else { unreachable!() };
        let app = &inside.app;
        let mut locked = Vec::new();
        for _ in 0..5 {
            locked.push(inside.group(&[&[one], others].concat()).await);
        }
        let said = inside.send(Post::new(locked[0], &one, "hello")).await.unwrap().message.id;
        let free = inside.group(&[talker, friend]).await;
        let tokens = logins::issue_tokens(app, talker.user_id, "a test", "127.0.0.1").await.unwrap();
        let renewed = refresh::refresh(app, &tokens.refresh_token, Ipv4Addr::LOCALHOST.into()).await.unwrap();
        let held = lock(inside, &locked).await;

        // each by another user: what one alone may have on its way would leave connections free
        let stuck: Vec<_> = others
            .iter()
            .map(|user| {
                let (app, user, group) = (app.clone(), *user, locked[0]);
                tokio::spawn(async move { reactions::add(&app, &user, group, said, "👍").await.map(drop) })
            })
            .collect();
        let sends: Vec<_> = locked.iter().map(|group| inside.enqueue(Post::new(*group, &one, "stuck"))).collect();
        // all the places of users' transactions are taken by these
        let database = &app.settings().database;
        waiting(inside, database.connection_shares().write_connections(database.writers).unwrap().users).await;

        // the first call after a refresh, which is written down
        let claims = logins::verify_access_token(app, &renewed.access_token).unwrap();
        let caller = logins::authenticate(app, &claims).await.unwrap();
        let mine = inside.send(Post::new(free, &talker, "hello")).await.unwrap().message.id;
        messages::get(app, &caller, mine).await.unwrap();
        marks::update_read_mark(app, &caller, free, ReadTarget::End).await.unwrap();
        assert!(stuck.iter().all(|change| !change.is_finished()), "none had to give up for it");
        held.rollback().await.unwrap();
        for stuck in stuck {
            // it had the lock, or gave up
            let _ = stuck.await.unwrap();
        }
        for sent in sends {
            let _ = sent.await.unwrap();
        }
    });
}
