//! What differs between SQLite and PostgreSQL, by name. Sets of rows travel as parameters of a statement whose text
//! never changes, so that it stays prepared: on PostgreSQL one array a column, which `unnest` turns into rows; on SQLite
//! one JSON array of rows, which `jsonb_each` turns into rows that are not parsed again for every cell.

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement, Value};
use serde::{Serialize, Serializer};
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
    let rows: Vec<Row> = (0..count).map(|at| Row { columns, at }).collect();
    written(&rows)
}

fn written(cells: &impl Serialize) -> String {
    serde_json::to_string(cells).expect("cells have no keys and no value that JSON lacks")
}

/// One row of a set as a JSON array.
struct Row<'a> {
    columns: &'a [Column],
    at: usize,
}

/// One cell of a row.
struct Cell<'a>(&'a Column, usize);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.columns.iter().map(|column| Cell(column, self.at)))
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(column, at) = *self;
        match column {
            Column::Uuid(ids) => serializer.collect_str(&ids[at].simple()),
            Column::Int(numbers) => serializer.serialize_i64(numbers[at]),
            Column::Text(texts) | Column::Hex(texts) => serializer.serialize_str(&texts[at]),
        }
    }
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

/// A statement over a set of ids, given as its first parameter where the text says `IN ({set})`. On PostgreSQL it is an
/// array rather than a sub-select, because no plan for it, however small the tables were when it was made, reads a whole
/// table.
pub fn over_ids(conn: &impl ConnectionTrait, text: &str, ids: &[Uuid], more: Vec<Value>) -> Statement {
    let (set, first) = if is_postgres(conn) {
        ("= ANY ($1::uuid[])", array(Column::Uuid(ids.to_vec())))
    } else {
        let column = Column::Uuid(ids.to_vec());
        let cells: Vec<Cell> = (0..ids.len()).map(|at| Cell(&column, at)).collect();
        ("IN (SELECT unhex(value) FROM json_each($1))", written(&cells).into())
    };
    let mut values = vec![first];
    values.extend(more);
    Statement::from_sql_and_values(conn.get_database_backend(), text.replace("IN ({set})", set), values)
}

/// Has the statements of this transaction planned once a connection rather than once a call, for a transaction whose
/// statements all take sets and find their rows by index: PostgreSQL would spend more time on planning them anew, for the
/// size of each set, than on running them.
pub async fn keep_plans(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    if is_postgres(conn) {
        conn.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await?;
    }
    Ok(())
}

/// The clause that locks the rows of table `of` on PostgreSQL; a SQLite write transaction has the database to itself.
/// Never `FOR UPDATE`: the foreign keys of other tables would wait for it, and deadlock.
pub fn lock(conn: &impl ConnectionTrait, of: &str) -> String {
    if is_postgres(conn) { format!("FOR NO KEY UPDATE OF {of}") } else { String::new() }
}
