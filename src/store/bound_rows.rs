//! Sets of rows for SQLite, as values that are bound to the parameters of a statement.
//!
//! A statement over rows repeats a part of its text for each row. So that few texts exist and stay prepared, the number
//! of repetitions is a power of two, and the rows beyond the given ones are NULL. This costs SQLite a third less than
//! one parameter with all rows as JSON, for one row and for hundreds (docs/performance.md).

use crate::store::dialect::Column;
use sea_orm::{DatabaseBackend, Statement, Value};

/// The greatest number of parameters of one statement. A statement with more keeps more memory than it saves time.
const MAX_PARAMETERS: usize = 1024;

/// How a statement is made from a number of rows. In the part for a row, `$1 …` are its columns and then the scalars;
/// each may occur more than once, but a column of texts only once.
#[derive(Clone, Copy)]
pub enum RowsTemplate {
    /// The part for a row is `row`. All parts together replace `{rows}` in `text`, and are rows of a table there whose
    /// columns are named `column1 …`. The first one is NULL in a row that was not given, so the statement ignores rows
    /// in which it is NULL.
    Table { text: &'static str, row: &'static str },
    /// Like [`Self::Table`], but for up to [`FEW_ROWS`] rows, `one` is run for each. It finds its row by a key, and does
    /// nothing if that is NULL. A join with so few rows costs more.
    Update { one: &'static str, text: &'static str, row: &'static str },
}

/// A number of rows that is small enough for statements of one row.
pub const FEW_ROWS: usize = 4;

/// A statement that runs one or more times, each time with the next values.
#[derive(Debug)]
pub struct RepeatedStatement {
    sql: String,
    times: usize,
    values: Vec<Value>,
}

impl RepeatedStatement {
    /// Returns the statement with the values of its first run.
    pub fn first(&self) -> Statement {
        let values = self.values[..self.values.len().min(self.values_of_one())].to_vec();
        Statement::from_sql_and_values(DatabaseBackend::Sqlite, &self.sql, values)
    }

    fn values_of_one(&self) -> usize {
        self.values.len().div_ceil(self.times)
    }
}

/// Returns the statements that run in this order, as one text with all values.
pub fn join_repeated(statements: Vec<RepeatedStatement>) -> Statement {
    let bytes = statements.iter().map(|statement| (statement.sql.len() + 2) * statement.times).sum();
    let (mut text, mut values) = (String::with_capacity(bytes), Vec::new());
    for mut statement in statements {
        for _ in 0..statement.times {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&statement.sql);
        }
        if values.is_empty() {
            values = statement.values;
        } else {
            values.append(&mut statement.values);
        }
    }
    while values.last().is_some_and(is_null) {
        // SQLite takes parameters without a value for NULL.
        values.pop();
    }
    Statement::from_sql_and_values(DatabaseBackend::Sqlite, text, values)
}

/// The value of each NULL in a set of rows.
const NULL: Value = Value::BigInt(None);

fn is_null(value: &Value) -> bool {
    *value == NULL
}

/// Returns the statements for these rows, in their order. Each is for at least `least_rows` and at most as many rows as
/// one text may have.
pub fn bind(
    template: RowsTemplate,
    mut columns: Vec<Column>,
    scalars: &[Value],
    least_rows: usize,
) -> Vec<RepeatedStatement> {
    let rows = columns.first().map_or(0, Column::row_count);
    let (text, part) = match template {
        RowsTemplate::Update { one, .. } if rows <= FEW_ROWS => (None, one),
        RowsTemplate::Table { text, row } | RowsTemplate::Update { text, row, .. } => (Some(text), row),
    };
    let (part, order) = positional(part);
    // The next lower power of two.
    let max = 1 << (MAX_PARAMETERS / order.len().max(1)).max(1).ilog2();
    let mut statements = Vec::with_capacity(rows.div_ceil(max));
    for start in (0..rows).step_by(max) {
        let count = max.min(rows - start);
        let times = count.max(least_rows).next_power_of_two();
        let mut values = Vec::with_capacity(times * order.len());
        for row in start..start + count {
            values.extend(order.iter().map(|&index| match columns.get_mut(index) {
                Some(column) => cell(column, row),
                None => scalars[index - columns.len()].clone(),
            }));
        }
        values.resize(times * order.len(), NULL);
        statements.push(match text {
            Some(text) => {
                let parts = vec![part.as_str(); times].join(", ");
                RepeatedStatement { sql: text.replace("{rows}", &parts), times: 1, values }
            }
            None => RepeatedStatement { sql: part.clone(), times, values },
        });
    }
    statements
}

/// Returns the text with `?` instead of its numbered parameters, and the index of each from 0, in their order. SQLite
/// binds parameters without a number faster, and they may be repeated.
fn positional(part: &str) -> (String, Vec<usize>) {
    let mut pieces = part.split('$');
    let (mut text, mut order) = (pieces.next().unwrap_or_default().to_owned(), Vec::new());
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let number: usize = piece[..digits].parse().expect("the number of a parameter follows $");
        order.push(number - 1);
        text.push('?');
        text.push_str(&piece[digits..]);
    }
    (text, order)
}

/// Takes a cell out of a column. An absent id or hash is NULL.
fn cell(column: &mut Column, row: usize) -> Value {
    match column {
        Column::Uuid(ids) if ids[row].is_nil() => NULL,
        Column::Uuid(ids) => ids[row].into(),
        Column::Int(numbers) => numbers[row].into(),
        Column::Text(texts) => std::mem::take(&mut texts[row]).into(),
        Column::Hex(hashes) if hashes[row].is_empty() => NULL,
        Column::Hex(hashes) => bytes(&hashes[row]).into(),
    }
}

/// Returns the bytes of a hash in hexadecimal.
fn bytes(hash: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hash consists of hexadecimal digits") as u8;
    hash.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const TABLE: RowsTemplate = RowsTemplate::Table {
        text: "INSERT INTO a SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL",
        row: "($1, NULLIF($2, ''), $3)",
    };

    fn columns(rows: usize) -> Vec<Column> {
        vec![Column::Int((1..=rows as i64).collect()), Column::Text((1..=rows).map(|row| row.to_string()).collect())]
    }

    #[test]
    fn rows_that_are_missing_to_a_power_of_two_are_null() {
        let statements = bind(TABLE, columns(3), &[7.into()], 1);
        let joined = join_repeated(statements);
        assert_eq!(
            joined.sql,
            "INSERT INTO a SELECT * FROM (VALUES (?, NULLIF(?, ''), ?), (?, NULLIF(?, ''), ?), (?, NULLIF(?, ''), ?), \
             (?, NULLIF(?, ''), ?)) WHERE column1 IS NOT NULL"
        );
        let values: Vec<Value> = vec![
            1_i64.into(),
            "1".into(),
            7.into(),
            2_i64.into(),
            "2".into(),
            7.into(),
            3_i64.into(),
            "3".into(),
            7.into(),
        ];
        assert_eq!(joined.values.expect("values").0, values, "values are left out at the end");
    }

    #[test]
    fn many_rows_need_several_statements_of_the_same_text() {
        let statements = bind(TABLE, columns(600), &[7.into()], 1);
        assert_eq!(statements.iter().map(|one| one.values.len()).collect::<Vec<_>>(), [256 * 3, 256 * 3, 128 * 3]);
        assert_eq!(statements[0].sql, statements[1].sql);
        assert_eq!(statements[2].values[87 * 3], 600_i64.into());
        assert!(is_null(&statements[2].values[88 * 3]));
    }

    #[test]
    fn a_repeated_statement_may_use_a_value_twice() {
        let template = RowsTemplate::Update {
            one: "UPDATE a SET b = $2 WHERE id = $1 AND b < $2",
            text: "UPDATE a SET b = t.column2 FROM (VALUES {rows}) AS t WHERE id = t.column1 AND b < t.column2",
            row: "($1, $2)",
        };
        let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        let update = bind(template, vec![Column::Uuid(ids.clone()), Column::Int(vec![4, 5, 6])], &[], 1);
        let first = update[0].first();
        assert_eq!(first.sql, "UPDATE a SET b = ? WHERE id = ? AND b < ?");
        assert_eq!(first.values.expect("values").0, vec![4_i64.into(), ids[0].into(), 4_i64.into()]);
        let many = bind(template, vec![Column::Uuid(vec![ids[0]; 5]), Column::Int(vec![4; 5])], &[], 1);
        assert!(many[0].sql.contains("t.column1"), "{}", many[0].sql);
        assert_eq!((many.len(), many[0].values.len()), (1, 8 * 2));
        let statements = update.into_iter().chain(bind(TABLE, columns(1), &[7.into()], 1)).collect();
        let joined = join_repeated(statements);
        assert_eq!(joined.sql.matches("UPDATE a").count(), 4, "{}", joined.sql);
        assert_eq!(joined.sql.matches("INSERT INTO").count(), 1);
        let values = joined.values.expect("values").0;
        assert_eq!(values.len(), 4 * 3 + 3);
        assert!(values[9..12].iter().all(is_null), "the values of the next statement do not move");
    }

    #[test]
    fn absent_cells_are_null_and_hashes_are_bytes() {
        assert!(is_null(&cell(&mut Column::Uuid(vec![Uuid::nil()]), 0)));
        assert!(is_null(&cell(&mut Column::Hex(vec![String::new()]), 0)));
        assert_eq!(cell(&mut Column::Hex(vec!["00ff1a".to_owned()]), 0), vec![0_u8, 255, 26].into());
    }
}
