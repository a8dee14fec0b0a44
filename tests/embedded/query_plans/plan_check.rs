//! Checks statements by the plans of the database: no statement may read a whole large table, and the rows that it
//! reads may not grow with the history.
//!
//! On PostgreSQL the query runs again under EXPLAIN ANALYZE with its real parameters: no node of its plan may read a
//! whole table, or more rows than a page needs. On SQLite the plan names the scans, and the steps of the virtual
//! machine are counted while the query runs again.

use crate::harness::TestApp;
use greenroom::backends::POSTGRES_PLAN_SETTINGS;
use sea_orm::sea_query::{ArrayType, Value as Parameter};
use sea_orm::{ConnectionTrait, DatabaseConnection, SqlxSqliteConnector, Statement};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tables that do not grow with the users or the history, so a statement may read all of one.
const SMALL: [&str; 5] = ["bulk_changes", "meta", "readers", "reader_failures", "seaql_migrations"];

/// The tables of the statements that run on connections for heavy reads, which are planned for each call.
const HEAVY: [&str; 3] = ["user_words", "sender_statistics", "conversation_statistics"];

/// The number of rows that one statement may read of a table on PostgreSQL: a page of a hundred with a few reactions
/// each, in a group of a hundred, for a caller in two hundred conversations.
const ROWS: f64 = 3_000.0;
/// The number of steps of the virtual machine for one statement on SQLite. A whole history of 200,000 messages would
/// take millions.
const STEPS: u64 = 300_000;
/// The number of steps between two counts.
const STRIDE: u64 = 100;

/// Checks the plans of one database.
pub enum PlanChecker {
    Postgres(DatabaseConnection),
    Sqlite { conn: DatabaseConnection, steps: Arc<AtomicU64>, tables: BTreeSet<String> },
}

impl PlanChecker {
    /// Opens a connection to the database of `test`.
    pub async fn new(test: &TestApp) -> Self {
        if test.is_postgres() {
            let conn = test.connection().await;
            conn.execute_unprepared(POSTGRES_PLAN_SETTINGS).await.unwrap();
            return Self::Postgres(conn);
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(test.file()).read_only(true);
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).idle_timeout(None).connect_with(options);
        let pool = pool.await.unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let counter = steps.clone();
        let mut connection = pool.acquire().await.unwrap();
        connection.lock_handle().await.unwrap().set_progress_handler(STRIDE as i32, move || {
            counter.fetch_add(STRIDE, Ordering::Relaxed);
            true
        });
        drop(connection);
        let tables = test.rows("SELECT name FROM sqlite_master WHERE type = 'table'").await;
        let tables = tables.iter().map(|row| row.try_get("", "name").unwrap()).collect();
        Self::Sqlite { conn: SqlxSqliteConnector::from_sqlx_sqlite_pool(pool), steps, tables }
    }

    /// Returns one sentence for each fault of a statement.
    pub async fn faults(&self, statement: &Statement) -> Vec<String> {
        if statement.sql.starts_with("SET LOCAL") {
            // Such a statement has no plan.
            return Vec::new();
        }
        let may_read = |table: &str| SMALL.contains(&table);
        let mut faults = match self {
            Self::Postgres(conn) => on_postgres(conn, statement, &may_read).await,
            Self::Sqlite { conn, steps, tables } => on_sqlite(conn, statement, steps, tables, &may_read).await,
        };
        for fault in &mut faults {
            fault.push_str(": ");
            fault.push_str(&statement.sql.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        faults
    }
}

/// Returns one sentence for each table of the history whose rows a plan of PostgreSQL finds by an index and then
/// filters. A plan that is kept from the time when the table was small would read more rows with each message.
pub async fn filtered_tables(conn: &DatabaseConnection, statement: &Statement) -> Vec<String> {
    let mut faults = Vec::new();
    check_nodes(&plan(conn, statement, "EXPLAIN (FORMAT JSON)").await, &mut |node| {
        let (relation, filter) = (text_of(node, "Relation Name"), text_of(node, "Filter"));
        let index = text_of(node, "Index Name");
        // The unique index on the id of a message finds one row at most.
        if ["messages", "outbox"].contains(&relation) && !filter.is_empty() && index != "messages_id" {
            faults.push(format!("reads {relation} by {index} and filters by {filter}: {}", statement.sql));
        }
    });
    faults
}

/// Returns one sentence for each index that a plan of PostgreSQL reads from end to end.
pub async fn whole_indexes(conn: &DatabaseConnection, statement: &Statement) -> Vec<String> {
    let mut faults = Vec::new();
    check_nodes(&plan(conn, statement, "EXPLAIN (FORMAT JSON)").await, &mut |node| {
        let (index, relation) = (text_of(node, "Index Name"), text_of(node, "Relation Name"));
        if !index.is_empty() && text_of(node, "Index Cond").is_empty() {
            faults.push(format!("reads all of {relation} by {index}: {}", statement.sql));
        }
    });
    faults
}

/// Returns true if the statement only reads. Only such statements run again.
fn reads(statement: &Statement) -> bool {
    let sql = statement.sql.trim_start();
    let writes = ["INSERT ", "UPDATE ", "DELETE ", "FOR NO KEY"];
    (sql.starts_with("SELECT") || sql.starts_with("WITH")) && !writes.iter().any(|word| sql.contains(word))
}

fn explained(statement: &Statement, how: &str) -> Statement {
    Statement { sql: format!("{how} {}", statement.sql), ..statement.clone() }
}

/// Returns the type and the literal of a parameter on PostgreSQL.
fn parameter(value: &Parameter) -> (String, String) {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let literal = |text: Option<String>| text.unwrap_or_else(|| "NULL".to_owned());
    match value {
        Parameter::Bool(value) => ("boolean".to_owned(), literal(value.map(|value| value.to_string()))),
        Parameter::SmallInt(value) => ("smallint".to_owned(), literal(value.map(|value| value.to_string()))),
        Parameter::Int(value) => ("integer".to_owned(), literal(value.map(|value| value.to_string()))),
        Parameter::BigInt(value) => ("bigint".to_owned(), literal(value.map(|value| value.to_string()))),
        Parameter::BigUnsigned(value) => ("bigint".to_owned(), literal(value.map(|value| value.to_string()))),
        Parameter::String(value) => ("text".to_owned(), literal(value.as_deref().map(quoted))),
        Parameter::Uuid(value) => ("uuid".to_owned(), literal(value.map(|id| quoted(&id.to_string())))),
        Parameter::Bytes(value) => {
            let push = |mut digits: String, byte: &u8| {
                write!(digits, "{byte:02x}").unwrap();
                digits
            };
            let hex = |bytes: &Vec<u8>| bytes.iter().fold(String::new(), push);
            ("bytea".to_owned(), literal(value.as_ref().map(|bytes| quoted(&format!("\\x{}", hex(bytes))))))
        }
        Parameter::Array(kind, values) => {
            let kind = match kind {
                ArrayType::Uuid => "uuid[]",
                ArrayType::BigInt => "bigint[]",
                ArrayType::String => "text[]",
                other => panic!("no statement of the server has an array of {other:?}"),
            };
            let values: Vec<String> =
                values.iter().flat_map(|values| values.iter()).map(|value| parameter(value).1).collect();
            (kind.to_owned(), format!("ARRAY[{}]::{kind}", values.join(", ")))
        }
        other => panic!("no statement of the server has the parameter {other:?}"),
    }
}

/// Returns the statements that plan a statement as a serving connection does.
fn explained_as_prepared(statement: &Statement, how: &str) -> (String, String) {
    let parameters: Vec<_> = statement.values.iter().flat_map(|values| values.0.iter()).map(parameter).collect();
    let list = |items: Vec<String>| if items.is_empty() { String::new() } else { format!("({})", items.join(", ")) };
    let (types, literals) = parameters.into_iter().unzip();
    (
        format!("PREPARE checked {} AS {}", list(types), statement.sql),
        format!("{how} EXECUTE checked {}", list(literals)),
    )
}

async fn on_postgres(conn: &DatabaseConnection, statement: &Statement, may_read: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    let is_run_again = reads(statement);
    let how = if is_run_again { "EXPLAIN (ANALYZE, FORMAT JSON)" } else { "EXPLAIN (FORMAT JSON)" };
    check_nodes(&plan(conn, statement, how).await, &mut |node| {
        let (kind, relation) = (text_of(node, "Node Type"), text_of(node, "Relation Name"));
        if kind == "Seq Scan" {
            if !may_read(relation) {
                faults.push(format!("reads all of {relation}"));
            }
            return;
        }
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let seen = number("Actual Rows") + number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
        let seen = seen * number("Actual Loops").max(1.0);
        if is_run_again && !relation.is_empty() && seen > ROWS {
            faults.push(format!("{kind} {relation} sees {seen} rows"));
        }
    });
    faults
}

async fn plan(conn: &DatabaseConnection, statement: &Statement, how: &str) -> Value {
    let is_heavy = HEAVY.iter().any(|table| statement.sql.contains(table));
    let explain = if is_heavy {
        explained(statement, how)
    } else {
        let (prepare, explain) = explained_as_prepared(statement, how);
        let prepared = conn.execute_unprepared(&prepare).await;
        prepared.unwrap_or_else(|error| panic!("{}: {error}", statement.sql));
        Statement::from_string(conn.get_database_backend(), explain)
    };
    let row = conn.query_one_raw(explain).await;
    let row = row.unwrap_or_else(|error| panic!("{}: {error}", statement.sql)).expect("a plan");
    if !is_heavy {
        conn.execute_unprepared("DEALLOCATE checked").await.unwrap();
    }
    let plan: Value = row.try_get("", "QUERY PLAN").unwrap();
    plan[0]["Plan"].clone()
}

fn text_of<'n>(node: &'n Value, name: &str) -> &'n str {
    node[name].as_str().unwrap_or_default()
}

/// Calls `check` for a node of the plan and for all nodes below it.
fn check_nodes(node: &Value, check: &mut impl FnMut(&Value)) {
    check(node);
    for below in node["Plans"].as_array().into_iter().flatten() {
        check_nodes(below, check);
    }
}

async fn on_sqlite(
    conn: &DatabaseConnection,
    statement: &Statement,
    steps: &AtomicU64,
    tables: &BTreeSet<String>,
    may_read: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let rows = conn.query_all_raw(explained(statement, "EXPLAIN QUERY PLAN")).await;
    let rows = rows.unwrap_or_else(|error| panic!("{}: {error}", statement.sql));
    let mut faults = Vec::new();
    for row in rows {
        let detail: String = row.try_get("", "detail").unwrap();
        if let Some(name) = detail.strip_prefix("BLOOM FILTER ON ").and_then(|rest| rest.split(' ').next())
            && let Some(table) = table_of(name, &statement.sql, tables)
        {
            faults.push(format!("reads all of {table} into a Bloom filter ({detail})"));
        }
        let Some(name) = detail.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()) else { continue };
        if let Some(table) = table_of(name, &statement.sql, tables)
            && !may_read(table)
        {
            faults.push(format!("reads all of {table} ({detail})"));
        }
    }
    if reads(statement) {
        steps.store(0, Ordering::Relaxed);
        conn.query_all_raw(statement.clone()).await.unwrap_or_else(|error| panic!("{}: {error}", statement.sql));
        let taken = steps.load(Ordering::Relaxed);
        if taken > STEPS {
            faults.push(format!("takes {taken} steps"));
        }
    }
    faults
}

/// Returns the table that a name in a plan means: the table itself, or the one with this alias in the statement. A
/// named part of the statement, or a function that returns rows, is no table.
fn table_of<'t>(name: &str, sql: &str, tables: &'t BTreeSet<String>) -> Option<&'t str> {
    if let Some(table) = tables.get(name) {
        return Some(table);
    }
    let words: Vec<&str> = sql.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).collect();
    let words: Vec<&str> =
        words.into_iter().filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("as")).collect();
    words.windows(2).find_map(|pair| if pair[1] == name { tables.get(pair[0]).map(String::as_str) } else { None })
}
