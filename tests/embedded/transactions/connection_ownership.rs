//! A transaction owns its connection: it begins on no connection that is in another transaction, no statement follows
//! one that failed, and other connections can read what is acknowledged.

use super::changes::{CHANGES, Change, Fixture};
use super::failing_statements;
use crate::harness::{TestApp, TestSend, on_each_database, on_postgres, on_sqlite};
use greenroom::domain::codes::Code;
use greenroom::protocol::messages::Audience;
use greenroom::store::db::DbState;
use greenroom::usecases::deletions;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::time::Duration;

/// More than the number of connections of a pool.
const MANY: usize = 24;

#[test]
fn no_transaction_begins_on_a_connection_that_is_in_another() {
    on_each_database(&async |test: &TestApp| {
        for change in CHANGES {
            let fixture = Fixture::new(test).await;
            test.wait_for_transactions().await;
            let pool = test.app.db().write().unwrap();
            // Every connection returns to the pool with a transaction that the driver does not know.
            let mut statements = Vec::new();
            for _ in 0..MANY {
                statements.push(async { pool.execute_unprepared("BEGIN; SELECT count(*) FROM users").await });
            }
            let begun = futures_util::future::join_all(statements).await;
            assert!(begun.iter().any(Result::is_ok), "a transaction was left open");
            // Each attempt gets such a connection and closes it, or gets a good one and succeeds.
            let mut done = false;
            for _ in 0..MANY {
                done = fixture.run(test, change).await.is_ok();
                if done {
                    break;
                }
                test.wait_until_writable().await;
            }
            assert!(done, "{change:?} never gets a good connection");
            let others = if test.is_postgres() { Some(test.connection().await) } else { None };
            let query = "SELECT count(*) AS number FROM outbox";
            let seen = match &others {
                Some(other) => {
                    let statement = Statement::from_string(other.get_database_backend(), query);
                    other.query_one_raw(statement).await.unwrap().unwrap().try_get::<i64>("", "number").unwrap()
                }
                None => test.rows(query).await[0].try_get::<i64>("", "number").unwrap(),
            };
            assert!(seen > 0);
            for _ in 0..MANY {
                // Close the other connections with an open transaction in the same way.
                let _ = pool.execute_unprepared("ROLLBACK").await;
            }
            assert_eq!(
                fixture.count(&test.stored_state().await, change),
                1,
                "{change:?} was acknowledged once and is stored"
            );
        }
    });
}

#[test]
fn no_statement_follows_one_that_failed() {
    on_each_database(&async |test: &TestApp| {
        let db = test.app.db();
        let stored = "SELECT value FROM meta WHERE key LIKE 'left over%'";
        for is_error_ignored in [false, true] {
            let tx = db.begin().await.unwrap();
            tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over', '')").await.unwrap();
            tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over', '')").await.unwrap_err();
            if is_error_ignored {
                tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over 2', '')").await.unwrap_err();
            }
            // PostgreSQL would answer this COMMIT with a rollback and without an error.
            tx.commit().await.unwrap_err();
            assert!(test.rows(stored).await.is_empty());
        }
        assert_eq!(db.state(), DbState::Ok, "a failed statement is no failure of the database");
        // A dropped transaction stores no row, and its connection is closed.
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared("INSERT INTO meta (key, value) VALUES ('left over', '')").await.unwrap();
        drop(tx);
        let tx = db.begin().await.unwrap();
        tx.commit().await.unwrap();
        assert!(test.rows(stored).await.is_empty());
    });
}

/// If the commit of a deletion fails, its outcome is unknown, so the text must be removed from the write-ahead log in
/// any case.
#[test]
fn a_deletion_is_counted_however_its_transaction_ends() {
    on_sqlite(&async |test: &TestApp| {
        failing_statements::install(test).await;
        let users = test.users(1).await;
        let group = test.group(&users).await;
        let message = test.send(TestSend::new(group, &users[0], "to be deleted")).await.unwrap().message.id;
        let count_deletions = || test.app.db().text_deletions();
        let delete = || deletions::delete(&test.app, &users[0], group, message, Audience::Everyone);
        let before = count_deletions();
        failing_statements::fail_at_commit(test).await;
        delete().await.unwrap_err();
        assert_eq!(count_deletions(), before + 1, "the commit failed");
        failing_statements::stop_failing(test).await;
        test.wait_until_writable().await;
        delete().await.unwrap();
        assert_eq!(count_deletions(), before + 2, "the deletion succeeded");
        delete().await.unwrap();
        assert_eq!(count_deletions(), before + 2, "the text was deleted before");
    });
}

/// Maintenance runs in no transaction. It would wait for the lock of the database each time and delay other writes.
#[test]
fn single_statements_are_refused_while_the_database_is_read_only() {
    on_sqlite(&async |test: &TestApp| {
        let (fixture, db) = (Fixture::new(test).await, test.app.db());
        test.run("PRAGMA busy_timeout = 0").await;
        let other = Database::connect(format!("sqlite://{}", test.file().display())).await.unwrap();
        let mut lock = other.get_sqlite_connection_pool().acquire().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *lock).await.unwrap();
        fixture.run(test, Change::Send).await.unwrap_err();
        assert_eq!(db.state(), DbState::ReadOnly);
        assert_eq!(db.write().unwrap_err().code(), Code::Unavailable);
        sqlx::query("ROLLBACK").execute(&mut *lock).await.unwrap();
        test.wait_until_writable().await;
        db.write().unwrap();
    });
}

/// A standby is read-only, and so is a database that an operator made read-only.
#[test]
fn a_database_that_was_read_only_accepts_writes_again() {
    on_postgres(&async |test: &TestApp| {
        let admin = test.connection().await;
        let fixture = Fixture::new(test).await;
        make_read_only(&admin, "on").await;
        for attempt in 0.. {
            fixture.run(test, Change::Send).await.unwrap_err();
            if test.app.db().state() == DbState::ReadOnly {
                break;
            }
            assert!(attempt < 5000, "the application never reports that the database is read-only");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        make_read_only(&admin, "off").await;
        // Each closed connection of the pool makes one attempt fail.
        let mut sent = false;
        for _ in 0..MANY {
            test.wait_until_writable().await;
            sent = fixture.run(test, Change::Send).await.is_ok();
            if sent {
                break;
            }
        }
        assert!(sent, "the database accepts writes again");
        // Read without the application, because its other connections were closed too.
        let stored = "SELECT count(*) AS number FROM messages WHERE content = 'the change'";
        let stored = Statement::from_string(admin.get_database_backend(), stored);
        let stored = admin.query_one_raw(stored).await.unwrap().unwrap();
        assert_eq!(stored.try_get::<i64>("", "number").unwrap(), 1);
    });
}

async fn make_read_only(admin: &DatabaseConnection, on: &str) {
    let name = Statement::from_string(admin.get_database_backend(), "SELECT current_database()::text AS name");
    let name: String = admin.query_one_raw(name).await.unwrap().unwrap().try_get("", "name").unwrap();
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}");
    // The setting applies to new connections.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid()";
    for statement in ["SET default_transaction_read_only = off", &set, end] {
        admin.execute_unprepared(statement).await.unwrap();
    }
}
