//! A transaction owns its connection: it begins on none that is in another, nothing follows a statement that failed, and
//! what is acknowledged another connection reads.

use super::changes::{DEEDS, Deed, Stage};
use super::failing_statements;
use crate::harness::{Inside, Post, on_each_database, on_postgres, on_sqlite};
use greenroom::domain::codes::Code;
use greenroom::protocol::messages::Audience;
use greenroom::store::db::DbState;
use greenroom::usecases::deletions;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::time::Duration;

/// More than a pool has connections.
const MANY: usize = 24;

#[test]
fn no_transaction_begins_on_a_connection_that_is_in_another() {
    on_each_database(&async |inside: &Inside| {
        for deed in DEEDS {
            let stage = Stage::new(inside).await;
            inside.settled().await;
            let pool = inside.app.db().write().unwrap();
            // every connection goes back to the pool with a transaction that the driver knows nothing of
            let mut held = Vec::new();
            for _ in 0..MANY {
                held.push(async { pool.execute_unprepared("BEGIN; SELECT count(*) FROM users").await });
            }
            let begun = futures_util::future::join_all(held).await;
            assert!(begun.iter().any(Result::is_ok), "a transaction was left open");
            // each attempt meets such a connection and throws it away, or a good one and succeeds
            let mut done = false;
            for _ in 0..MANY {
                done = stage.act(inside, deed).await.is_ok();
                if done {
                    break;
                }
                inside.back().await;
            }
            assert!(done, "{deed:?} finds a good connection in the end");
            let others = if inside.is_postgres() { Some(inside.connection().await) } else { None };
            let query = "SELECT count(*) AS number FROM outbox";
            let seen = match &others {
                Some(other) => {
                    let statement = Statement::from_string(other.get_database_backend(), query);
                    other.query_one_raw(statement).await.unwrap().unwrap().try_get::<i64>("", "number").unwrap()
                }
                None => inside.rows(query).await[0].try_get::<i64>("", "number").unwrap(),
            };
            assert!(seen > 0);
            for _ in 0..MANY {
                // what the test left open is thrown away in the same manner
                let _ = pool.execute_unprepared("ROLLBACK").await;
            }
            assert_eq!(stage.times(&inside.ledger().await, deed), 1, "{deed:?} was acknowledged once and is stored");
        }
    });
}

#[test]
fn nothing_follows_a_statement_that_failed() {
    on_each_database(&async |inside: &Inside| {
        let db = inside.app.db();
        let stored = "SELECT value FROM meta WHERE key LIKE 'left over%'";
        for swallowed in [false, true] {
            let tx = db.begin().await.unwrap();
            tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over', '')").await.unwrap();
            tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over', '')").await.unwrap_err();
            if swallowed {
                tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over 2', '')").await.unwrap_err();
            }
            // PostgreSQL would answer this COMMIT with a rollback and no error
            tx.commit().await.unwrap_err();
            assert!(inside.rows(stored).await.is_empty());
        }
        assert_eq!(db.state(), DbState::Ok, "the data of one statement says nothing of the database");
        // dropped without a word, it leaves nothing and its connection with it
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over', '')").await.unwrap();
        drop(tx);
        let tx = db.begin().await.unwrap();
        tx.commit().await.unwrap();
        assert!(inside.rows(stored).await.is_empty());
    });
}

/// Nobody may know what became of a deletion whose commit failed: the text must leave the write-ahead log in any case.
#[test]
fn a_deletion_counts_as_one_however_its_transaction_ends() {
    on_sqlite(&async |inside: &Inside| {
        failing_statements::install(inside).await;
        let users = inside.users(1).await;
        let group = inside.group(&users).await;
        let doomed = inside.send(Post::new(group, &users[0], "doomed")).await.unwrap().message.id;
        let counted = || inside.app.db().text_deletions();
        let delete = || deletions::delete(&inside.app, &users[0], group, doomed, Audience::Everyone);
        let before = counted();
        failing_statements::at_commit(inside).await;
        delete().await.unwrap_err();
        assert_eq!(counted(), before + 1, "the commit failed");
        failing_statements::off(inside).await;
        inside.back().await;
        delete().await.unwrap();
        assert_eq!(counted(), before + 2, "it succeeded");
        delete().await.unwrap();
        assert_eq!(counted(), before + 2, "there was nothing left to delete");
    });
}

/// Maintenance runs in no transaction; it would wait for the database's lock each time, and hold up the turn of others.
#[test]
fn while_nothing_can_be_written_single_statements_are_refused_too() {
    on_sqlite(&async |inside: &Inside| {
        let (stage, db) = (Stage::new(inside).await, inside.app.db());
        inside.run("PRAGMA busy_timeout = 0").await;
        let other = Database::connect(format!("sqlite://{}", inside.file().display())).await.unwrap();
        let mut held = other.get_sqlite_connection_pool().acquire().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *held).await.unwrap();
        stage.act(inside, Deed::Send).await.unwrap_err();
        assert_eq!(db.state(), DbState::ReadOnly);
        assert_eq!(db.write().unwrap_err().code(), Code::Unavailable);
        sqlx::query("ROLLBACK").execute(&mut *held).await.unwrap();
        inside.back().await;
        db.write().unwrap();
    });
}

/// A standby, or a database that an operator made so.
#[test]
fn a_database_that_became_read_only_takes_no_writes_and_comes_back() {
    on_postgres(&async |inside: &Inside| {
        let admin = inside.connection().await;
        let stage = Stage::new(inside).await;
        make_read_only(&admin, "on").await;
        for attempt in 0.. {
            stage.act(inside, Deed::Send).await.unwrap_err();
            if inside.app.db().state() == DbState::ReadOnly {
                break;
            }
            assert!(attempt < 5000, "it never said so");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        make_read_only(&admin, "off").await;
        // each connection of the pool that was ended costs whoever meets it an attempt
        let mut sent = false;
        for _ in 0..MANY {
            inside.back().await;
            sent = stage.act(inside, Deed::Send).await.is_ok();
            if sent {
                break;
            }
        }
        assert!(sent, "it takes writes again");
        // beside the application, whose other connections were ended too
        let stored = "SELECT count(*) AS number FROM messages WHERE content = 'deed'";
        let stored = Statement::from_string(admin.get_database_backend(), stored);
        let stored = admin.query_one_raw(stored).await.unwrap().unwrap();
        assert_eq!(stored.try_get::<i64>("", "number").unwrap(), 1);
    });
}

async fn make_read_only(admin: &DatabaseConnection, on: &str) {
    let name = Statement::from_string(admin.get_database_backend(), "SELECT current_database()::text AS name");
    let name: String = admin.query_one_raw(name).await.unwrap().unwrap().try_get("", "name").unwrap();
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}");
    // the setting is one of new connections
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    for statement in ["SET default_transaction_read_only = off", &set, end] {
        admin.execute_unprepared(statement).await.unwrap();
    }
}
