//! Waiting for a connection is `busy` for whoever waits, and says nothing about the database.

use crate::inside::{Inside, Post, on_each_database};
use greenroom::domain::codes::Code;
use greenroom::store::db::Standing;
use greenroom::usecases::users;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use std::time::Duration;

/// Takes connections of a pool until it has none left.
async fn all_of(pool: &DatabaseConnection) -> Vec<DatabaseTransaction> {
    let mut taken = Vec::new();
    while let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_millis(300), pool.begin()).await {
        taken.push(connection);
    }
    taken
}

#[test]
fn waiting_for_a_connection_is_busy_for_that_caller_alone() {
    on_each_database(&async |inside: &Inside| {
        let [alice, bob] = &inside.users(2).await[..] else { unreachable!() };
        let group = inside.group(&[*alice, *bob]).await;
        let db = inside.app.db();
        let taken = all_of(db.read()).await;
        assert!(!taken.is_empty());
        let refused = users::search(&inside.app, *alice, "user", None, 20).await.unwrap_err();
        assert_eq!(refused.code(), Code::Busy, "{refused}");
        assert!(refused.retry_after_ms().is_some());
        assert_eq!(db.standing(), Standing::Ok, "a busy pool is not a database that is away");
        assert_eq!(db.look().await, Standing::Ok, "the probe has a connection of its own");
        drop(taken);
        inside.send(Post::new(group, bob, "hello")).await.unwrap();
        users::search(&inside.app, *alice, "user", None, 20).await.unwrap();
    });
}
