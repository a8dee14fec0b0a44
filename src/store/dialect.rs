//! The differences between SQLite and PostgreSQL, each as a function.
//!
//! A set of rows is passed in parameters of a statement whose text never changes, so that the statement stays prepared.
//! On PostgreSQL each column is one array, and `unnest` turns the arrays into rows. On SQLite the set is one JSON array
//! of rows, and `jsonb_each` turns it into rows that SQLite does not parse again for every cell. The statements that run
//! for every message bind the cells of their rows there instead ([`super::bound_rows`]).

use sea_orm::sea_query::ArrayType;
use sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, ExecResult, QueryResult, Statement, Value};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// One column of a set of rows. An absent value is the nil UUID, an empty text or hash, or the number [`ABSENT`]; the
/// statement turns these into NULL.
pub enum Column {
    Uuid(Vec<Uuid>),
    Int(Vec<i64>),
    Text(Vec<String>),
    /// Hashes in hexadecimal, a form that both databases accept.
    Hex(Vec<String>),
}

impl Column {
    /// Returns the number of rows.
    pub fn row_count(&self) -> usize {
        match self {
            Self::Uuid(ids) => ids.len(),
            Self::Int(numbers) => numbers.len(),
            Self::Text(texts) | Self::Hex(texts) => texts.len(),
        }
    }
}

/// The number that means NULL in a [`Column::Int`].
pub const ABSENT: i64 = -1;

/// Returns whether the connection leads to PostgreSQL; otherwise it leads to SQLite.
pub fn is_postgres(conn: &impl ConnectionTrait) -> bool {
    conn.get_database_backend() == DatabaseBackend::Postgres
}

/// Returns the parameters for a set of rows. On PostgreSQL each column is an array (`$1 … $n`). On SQLite all are one
/// JSON text (`?1`), in which each row is an array. The columns must have the same length.
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
    let count = columns.first().map_or(0, Column::row_count);
    let rows: Vec<JsonRow> = (0..count).map(|index| JsonRow { columns, index }).collect();
    to_json(&rows)
}

fn to_json(cells: &impl Serialize) -> String {
    serde_json::to_string(cells).expect("cells have no keys and no value that JSON lacks")
}

/// One row of a set as a JSON array.
struct JsonRow<'a> {
    columns: &'a [Column],
    index: usize,
}

/// One cell of a row: its column and the index of the row.
struct JsonCell<'a>(&'a Column, usize);

impl Serialize for JsonRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.columns.iter().map(|column| JsonCell(column, self.index)))
    }
}

impl Serialize for JsonCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(column, index) = *self;
        match column {
            Column::Uuid(ids) => serializer.collect_str(&ids[index].simple()),
            Column::Int(numbers) => serializer.serialize_i64(numbers[index]),
            Column::Text(texts) | Column::Hex(texts) => serializer.serialize_str(&texts[index]),
        }
    }
}

/// Returns the statement with the text for the database of the connection.
pub fn statement(conn: &impl ConnectionTrait, postgres: &str, sqlite: &str, values: Vec<Value>) -> Statement {
    let text = if is_postgres(conn) { postgres } else { sqlite };
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// Returns a statement that both databases understand. Its parameters are `$1 …`, and each may occur more than once.
pub fn plain(conn: &impl ConnectionTrait, text: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// Runs a statement and returns all its rows.
pub async fn all(conn: &impl ConnectionTrait, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
    conn.query_all_raw(statement).await
}

/// Runs a statement and returns its first row, `None` if it has no rows.
pub async fn one(conn: &impl ConnectionTrait, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
    conn.query_one_raw(statement).await
}

/// Runs a statement that returns no rows.
pub async fn run(conn: &impl ConnectionTrait, statement: Statement) -> Result<ExecResult, DbErr> {
    conn.execute_raw(statement).await
}

/// Returns a statement over a set of ids. The set is the first parameter, and replaces `IN ({set})` in the text. On
/// PostgreSQL it is compared as an array instead of a subquery: no plan for an array reads a whole table, not even a
/// plan that was made while the tables were small.
pub fn over_ids(conn: &impl ConnectionTrait, text: &str, ids: &[Uuid], more: Vec<Value>) -> Statement {
    let (text, first) = if is_postgres(conn) {
        (with_set(text), array(Column::Uuid(ids.to_vec())))
    } else {
        let column = Column::Uuid(ids.to_vec());
        let cells: Vec<JsonCell> = (0..ids.len()).map(|index| JsonCell(&column, index)).collect();
        (text.replace(SET, "IN (SELECT unhex(value) FROM json_each($1))"), to_json(&cells).into())
    };
    let mut values = vec![first];
    values.extend(more);
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// The greatest number of ids that are bound one by one on SQLite. For more, JSON costs the same.
const FEW_IDS: usize = 64;

/// Returns a statement like [`over_ids`] without further parameters. On SQLite a small set is bound, each id to a
/// parameter of its own. The rest up to a power of two is NULL, so that there are few texts.
pub fn over_few_ids(conn: &impl ConnectionTrait, text: &str, ids: &[Uuid]) -> Statement {
    if is_postgres(conn) || ids.len() > FEW_IDS {
        return over_ids(conn, text, ids, vec![]);
    }
    let parameters = vec!["?"; ids.len().next_power_of_two()].join(",");
    let text = text.replacen(SET, &format!("IN ({parameters})"), 1);
    Statement::from_sql_and_values(conn.get_database_backend(), text, ids.iter().map(|id| Value::from(*id)))
}

const SET: &str = "IN ({set})";

/// Returns the text of a statement over a set of ids for PostgreSQL.
pub fn with_set(text: &str) -> String {
    text.replace(SET, "= ANY ($1::uuid[])")
}

/// Returns a table of a FROM clause whose rows are found by the key `id`. For SQLite the name of the index says so: if
/// ANALYZE ran while the table had a few rows, it would read the whole table. For PostgreSQL a setting of its
/// connections.
pub fn by_key(is_postgres: bool, table: &str, alias: &str) -> String {
    if is_postgres {
        format!("{table} {alias}")
    } else {
        format!("{table} {alias} INDEXED BY sqlite_autoindex_{table}_1")
    }
}

/// Returns the clause that locks the rows of a table on PostgreSQL. It is empty on SQLite, where only one transaction
/// writes at a time. The clause is not `FOR UPDATE`, because foreign keys of other tables would wait for that lock, and
/// deadlock.
pub fn lock_clause(conn: &impl ConnectionTrait, table: &str) -> String {
    if is_postgres(conn) { format!("FOR NO KEY UPDATE OF {table}") } else { String::new() }
}
