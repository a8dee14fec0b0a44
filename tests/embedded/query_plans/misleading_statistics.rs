//! Plans on SQLite after an `ANALYZE` by an operator while the tables are empty or nearly empty. Such statistics tell
//! the planner that all tables are tiny, so they must change no plan of the server: neither on its open connections,
//! nor on those that it opens later.

use super::large_history::History;
use super::{access_token, make_every_call};
use crate::harness::{TestApp, TestSend, in_folder};
use crate::support::database::runs_on_postgres;
use crate::support::eventually;
use greenroom::domain::names::UserRef;
use greenroom::domain::roles::Role;
use greenroom::store::db::pools::ReadPool;
use greenroom::usecases::members;
use sea_orm::{ConnectionTrait, DatabaseBackend, DatabaseConnection, SqlxSqliteConnector, Statement};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The plan of each statement, by its text.
type Plans = BTreeMap<String, Vec<String>>;

/// The statements that the server has sent, and their plans without statistics.
#[derive(Default)]
struct Expected {
    statements: Vec<Statement>,
    plans: Plans,
}

/// Creates a group with a few messages.
pub async fn young_history(test: &TestApp) -> History {
    let [owner, target, second_admin, guest] = test.users(4).await.try_into().unwrap();
    let room = test.group(&[owner, target]).await;
    let admins = [UserRef::Id(second_admin.user_id)];
    members::add(&test.app, &owner, room, &admins, Role::Admin).await.unwrap();
    test.direct(&owner, &target).await;
    let theirs = test.send(TestSend::new(room, &target, "hello").with_temp_id("one")).await.unwrap().message.id;
    let mine = test.send(TestSend::new(room, &owner, "good morning").with_temp_id("two")).await.unwrap().message.id;
    History { owner, target, second_admin, guest, room, theirs, mine }
}

/// Makes a batch with sends in more than a few conversations.
async fn send_large_batch(test: &TestApp) {
    let mut groups = Vec::new();
    let users = test.users(2).await;
    for _ in 0..12 {
        groups.push(test.group(&users).await);
    }
    let other = connect(&test.file()).await;
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    // The first batch waits for the lock, and all sends that it does not have are in the second one.
    let answers: Vec<_> = groups.iter().map(|group| test.enqueue(TestSend::new(*group, &users[0], "hello"))).collect();
    other.execute_unprepared("ROLLBACK").await.unwrap();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
}

/// Returns each statement that the server sends for all its calls once.
async fn recorded_statements(test: &TestApp) -> Vec<Statement> {
    let recorded: Arc<Mutex<BTreeMap<String, Statement>>> = Arc::default();
    let statements = recorded.clone();
    test.app.db().observe(move |statement, _| {
        statements.lock().unwrap().insert(statement.sql.clone(), statement.clone());
    });
    let history = young_history(test).await;
    send_large_batch(test).await;
    make_every_call(test, &history, &access_token(test, &history).await, 0, &mut async |_: &str| {}).await;
    std::mem::take(&mut *recorded.lock().unwrap()).into_values().collect()
}

/// Opens a further connection to the database, as the server or an operator may do.
async fn connect(file: &Path) -> DatabaseConnection {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).connect_with(options).await.unwrap();
    SqlxSqliteConnector::from_sqlx_sqlite_pool(pool)
}

async fn plans(conn: &impl ConnectionTrait, statements: &[Statement]) -> Plans {
    // A statement that runs reads the schema again if it has changed. EXPLAIN alone does not.
    conn.execute_unprepared("SELECT count(*) FROM meta").await.unwrap();
    let mut plans = Plans::new();
    for statement in statements {
        let explained = Statement { sql: format!("EXPLAIN QUERY PLAN {}", statement.sql), ..statement.clone() };
        let rows = conn.query_all_raw(explained).await.unwrap_or_else(|error| panic!("{}: {error}", statement.sql));
        let details = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
        plans.insert(statement.sql.clone(), details);
    }
    plans
}

fn assert_same_plans(found: &Plans, expected: &Plans, when: &str) {
    let changed: Vec<String> = found
        .iter()
        .filter(|(sql, plan)| expected[*sql] != **plan)
        .map(|(sql, plan)| format!("{:?} instead of {:?}: {sql}", plan, expected[sql]))
        .collect();
    assert!(changed.is_empty(), "{} plans have changed {when}:\n{}", changed.len(), changed.join("\n"));
}

/// Checks the plans on connections that the server has open: the one that writes, and the only one for authentication.
async fn assert_server_has(test: &TestApp, expected: &Expected, when: &str) {
    assert_same_plans(&plans(test.app.db().write().unwrap(), &expected.statements).await, &expected.plans, when);
    let reader = test.app.db().read(ReadPool::Authentication);
    assert_same_plans(&plans(reader, &expected.statements).await, &expected.plans, when);
}

async fn has_statistics(conn: &DatabaseConnection) -> bool {
    let count = "SELECT count(*) AS n FROM sqlite_stat1";
    let row = conn.query_one_raw(Statement::from_string(DatabaseBackend::Sqlite, count)).await.unwrap().unwrap();
    row.try_get::<i64>("", "n").unwrap() > 0
}

/// Runs ANALYZE in a folder in which no server runs.
fn analyze_stopped(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let operator = connect(&folder.join("data/greenroom.db")).await;
        operator.execute_unprepared("ANALYZE").await.unwrap();
        operator.close().await.unwrap();
    });
}

#[test]
fn an_analyze_of_small_tables_changes_no_plan() {
    if runs_on_postgres() {
        return;
    }
    let (young, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = Mutex::new(Expected::default());
    in_folder(young.path(), None, &async |test: &TestApp| {
        let statements = recorded_statements(test).await;
        let plans_without = plans(&connect(&test.file()).await, &statements).await;
        let known = Expected { statements, plans: plans_without };
        let is_large_update = |sql: &str| sql.starts_with("UPDATE") && sql.contains("VALUES");
        let updates: Vec<_> = known.plans.iter().filter(|(sql, _)| is_large_update(sql)).collect();
        assert!(updates.iter().any(|(sql, _)| sql.contains("last_read_count")), "marks of many senders are moved");
        for (sql, plan) in updates {
            let reads_all = |line: &&String| line.starts_with("SCAN") && !line.ends_with("VALUES CLAUSE");
            assert_eq!(plan.iter().find(reads_all), None, "{sql}");
        }
        assert_server_has(test, &known, "before").await;
        let operator = connect(&test.file()).await;
        // The server cannot remove the statistics before the end of the transaction.
        operator.execute_unprepared("BEGIN IMMEDIATE; ANALYZE").await.unwrap();
        assert!(has_statistics(&operator).await);
        assert_ne!(plans(&operator, &known.statements).await, known.plans, "these statistics would change plans");
        operator.execute_unprepared("COMMIT").await.unwrap();
        assert_server_has(test, &known, "while the server runs").await;
        eventually("the statistics are removed", async || !has_statistics(&operator).await).await;
        assert_server_has(test, &known, "after their removal").await;
        let later = connect(&test.file()).await;
        assert_same_plans(&plans(&later, &known.statements).await, &known.plans, "on a new connection");
        *expected.lock().unwrap() = known;
    });
    let expected = expected.into_inner().unwrap();
    analyze_stopped(young.path());
    in_folder(young.path(), None, &async |test: &TestApp| {
        assert_server_has(test, &expected, "after a restart with a few rows").await;
    });
    in_folder(empty.path(), None, &async |_: &TestApp| {});
    analyze_stopped(empty.path());
    in_folder(empty.path(), None, &async |test: &TestApp| {
        assert_server_has(test, &expected, "after a restart with empty tables").await;
    });
}
