//! What differs between SQLite and PostgreSQL, by name. Sets of rows travel as parameters of a statement whose text
//! never changes, so that it stays prepared: on PostgreSQL one array a column, which `unnest` turns into rows; on SQLite
//! one JSON array of rows, which `json_each` turns into rows.

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement, Value};
use serde_json::Value as Json;
use uuid::Uuid;

/// One column of a set of rows. An absent uuid is nil, an absent text or hash empty, an absent number [`ABSENT`]; the
/// statement turns them into NULL.
pub enum Column {
    /// Ids.
    Uuid(Vec<Uuid>),
    /// Numbers.
    Int(Vec<i64>),
    /// Texts.
    Text(Vec<String>),
    /// Hashes, in hexadecimal so that both databases take them the same way.
    Hex(Vec<String>),
}

/// The number that stands for none.
pub const ABSENT: i64 = -1;

/// Whether the connection speaks PostgreSQL.
pub fn is_postgres(conn: &impl ConnectionTrait) -> bool {
    conn.get_database_backend() == DatabaseBackend::Postgres
}

/// `columns`, all of one length, as the parameters of a set: one array each on PostgreSQL (`$1 … $n`), one JSON text on
/// SQLite (`?1`, each row an array).
pub fn rows(conn: &impl ConnectionTrait, columns: Vec<Column>) -> Vec<Value> {
    if is_postgres(conn) { columns.into_iter().map(array).collect() } else { vec![json(&columns).into()] }
}

fn array(column: Column) -> Value {
    match column {
        Column::Uuid(ids) => Value::Array(ArrayType::Uuid, Some(Box::new(ids.into_iter().map(Value::from).collect()))),
        Column::Int(numbers) => {
            Value::Array(ArrayType::BigInt, Some(Box::new(numbers.into_iter().map(Value::from).collect())))
        }
        Column::Text(texts) | Column::Hex(texts) => {
            Value::Array(ArrayType::String, Some(Box::new(texts.into_iter().map(Value::from).collect())))
        }
    }
}

fn json(columns: &[Column]) -> String {
    let count = columns.first().map_or(0, |column| match column {
        Column::Uuid(ids) => ids.len(),
        Column::Int(numbers) => numbers.len(),
        Column::Text(texts) | Column::Hex(texts) => texts.len(),
    });
    let row = |at: usize| {
        let cells = columns.iter().map(|column| match column {
            Column::Uuid(ids) => Json::from(ids[at].simple().to_string()),
            Column::Int(numbers) => Json::from(numbers[at]),
            Column::Text(texts) | Column::Hex(texts) => Json::from(texts[at].as_str()),
        });
        Json::Array(cells.collect())
    };
    Json::Array((0..count).map(row).collect()).to_string()
}

/// One of two statements, as the connection speaks.
pub fn statement(conn: &impl ConnectionTrait, postgres: &str, sqlite: &str, values: Vec<Value>) -> Statement {
    let text = if is_postgres(conn) { postgres } else { sqlite };
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// A statement both understand, written with `$1 …`; a number may stand in it more than once.
pub fn plain(conn: &impl ConnectionTrait, text: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// All rows of a statement.
pub async fn all(conn: &impl ConnectionTrait, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
    conn.query_all_raw(statement).await
}

/// The first row of a statement.
pub async fn one(conn: &impl ConnectionTrait, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
    conn.query_one_raw(statement).await
}

/// Runs a statement for its effect.
pub async fn run(conn: &impl ConnectionTrait, statement: Statement) -> Result<ExecResult, DbErr> {
    conn.execute_raw(statement).await
}

/// The ids of `ids` as a set: `SELECT id FROM …` in a statement's place `{set}` reads them from the first parameter.
pub const UUID_SET_POSTGRES: &str = "SELECT unnest($1::uuid[])";
/// [`UUID_SET_POSTGRES`] for SQLite.
pub const UUID_SET_SQLITE: &str = "SELECT unhex(value) FROM json_each($1)";

/// A statement over a set of ids, given as its first parameter where the text says `{set}`.
pub fn over_ids(conn: &impl ConnectionTrait, text: &str, ids: &[Uuid], more: Vec<Value>) -> Statement {
    let (set, first) = if is_postgres(conn) {
        (UUID_SET_POSTGRES, array(Column::Uuid(ids.to_vec())))
    } else {
        let texts: Vec<Json> = ids.iter().map(|id| Json::from(id.simple().to_string())).collect();
        (UUID_SET_SQLITE, Json::Array(texts).to_string().into())
    };
    let mut values = vec![first];
    values.extend(more);
    Statement::from_sql_and_values(conn.get_database_backend(), text.replace("{set}", set), values)
}

/// The clause that locks the rows of table `of` on PostgreSQL; a SQLite write transaction has the database to itself.
/// Never `FOR UPDATE`: the foreign keys of other tables would wait for it, and deadlock.
pub fn lock(conn: &impl ConnectionTrait, of: &str) -> String {
    if is_postgres(conn) { format!("FOR NO KEY UPDATE OF {of}") } else { String::new() }
}
