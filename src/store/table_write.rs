//! What a transaction writes to its tables at its end, as one statement on PostgreSQL and as a few for each table on
//! SQLite.
//!
//! On PostgreSQL each statement costs a round trip, which takes longer than a small statement itself. So the statements
//! become the parts of one WITH clause. All parts see the rows as they were before the statement, and their order is
//! undefined, so no part may depend on another one. A set of parts always makes the same text, which stays prepared.
//!
//! On SQLite the rows are bound values ([`bound_rows`]). Each call of its thread takes longer than a statement for one
//! row, so the statements of a transaction that writes a few rows are one call.

use crate::store::bound_rows::{self, FEW_ROWS, RowsTemplate};
use crate::store::db::transaction::Transaction;
use crate::store::dialect::{self, Column};
use sea_orm::{DbErr, Value};

/// The rows that a transaction writes to one table.
pub struct TableWrite {
    /// The statement for PostgreSQL: each column is one array parameter, and the scalars follow them.
    pub postgres: &'static str,
    /// The statement for SQLite.
    pub sqlite: RowsTemplate,
    /// The columns of the rows, all of the same length.
    pub columns: Vec<Column>,
    /// The values that are the same for all rows.
    pub scalars: Vec<Value>,
}

impl TableWrite {
    fn row_count(&self) -> usize {
        self.columns.first().map_or(0, Column::row_count)
    }

    /// Runs this write alone.
    pub async fn run(self, conn: &Transaction) -> Result<(), DbErr> {
        write_all(conn, vec![self]).await
    }
}

/// Runs `writes`, on SQLite in their order. Does nothing if there are none.
pub async fn write_all(conn: &Transaction, mut writes: Vec<TableWrite>) -> Result<(), DbErr> {
    if !dialect::is_postgres(conn) {
        return write_bound(conn, writes).await;
    }
    if writes.len() > 1 {
        let rows: usize = writes.iter().map(TableWrite::row_count).sum();
        let text = combined_text(&writes);
        let mut values = Vec::new();
        for write in writes {
            values.extend(dialect::rows(conn, write.columns));
            values.extend(write.scalars);
        }
        return conn.write_rows(dialect::plain(conn, &text, values), rows as u64).await;
    }
    for write in writes.drain(..) {
        let mut values = dialect::rows(conn, write.columns);
        values.extend(write.scalars);
        dialect::run(conn, dialect::plain(conn, write.postgres, values)).await?;
    }
    Ok(())
}

/// Runs `writes` on SQLite. All statements for a few rows are one text; with more rows there would be too many texts.
async fn write_bound(conn: &Transaction, writes: Vec<TableWrite>) -> Result<(), DbErr> {
    let most_rows = writes.iter().map(TableWrite::row_count).max().unwrap_or_default();
    let is_one_call = most_rows <= FEW_ROWS;
    let least_rows = if is_one_call { most_rows } else { 1 };
    let bound =
        writes.into_iter().flat_map(|write| bound_rows::bind(write.sqlite, write.columns, &write.scalars, least_rows));
    if is_one_call {
        let statements: Vec<_> = bound.collect();
        return if statements.is_empty() { Ok(()) } else { conn.run_all(statements).await };
    }
    for statement in bound {
        conn.run_all(vec![statement]).await?;
    }
    Ok(())
}

/// Returns a statement whose WITH clause contains all writes but the last one.
fn combined_text(writes: &[TableWrite]) -> String {
    let mut text = String::with_capacity(writes.iter().map(|write| write.postgres.len() + 16).sum());
    let mut first = 0;
    for (index, write) in writes.iter().enumerate() {
        let is_last = index + 1 == writes.len();
        match index {
            _ if is_last => text.push(' '),
            0 => text.push_str("WITH w0 AS ("),
            _ => text.extend([", w", &index.to_string(), " AS ("]),
        }
        push_renumbered(&mut text, write.postgres, first);
        if !is_last {
            text.push(')');
        }
        first += write.columns.len() + write.scalars.len();
    }
    text
}

/// Appends `statement`, with `first` added to the number of each parameter.
fn push_renumbered(text: &mut String, statement: &str, first: usize) {
    let mut pieces = statement.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let number: usize = piece[..digits].parse().unwrap_or_default();
        text.extend(["$", &(number + first).to_string(), &piece[digits..]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_parts_are_numbered_through() {
        let write = |postgres, columns, scalars: Vec<Value>| TableWrite {
            postgres,
            sqlite: RowsTemplate::Table { text: "", row: "" },
            columns: (0..columns).map(|_| Column::Int(vec![1])).collect(),
            scalars,
        };
        let writes = [
            write("INSERT INTO a SELECT x, $2 FROM unnest($1::bigint[])", 1, vec![7.into()]),
            write("UPDATE b SET c = t.c FROM unnest($1::bigint[], $2::bigint[]) t", 2, vec![]),
            write("DELETE FROM d WHERE e = ANY ($1)", 1, vec![]),
        ];
        assert_eq!(
            combined_text(&writes),
            "WITH w0 AS (INSERT INTO a SELECT x, $2 FROM unnest($1::bigint[])), \
             w1 AS (UPDATE b SET c = t.c FROM unnest($3::bigint[], $4::bigint[]) t) \
             DELETE FROM d WHERE e = ANY ($5)"
        );
    }
}
