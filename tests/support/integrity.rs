//! Checks the rules that the tables of messages keep without constraints on PostgreSQL. SQLite refuses rows that break
//! them; there the same check must find nothing.

use migration::HOT_CONSTRAINTS;
use sea_orm::{ConnectionTrait, Statement};

/// Returns the name of each rule that some row breaks.
pub async fn broken_rules(connection: &impl ConnectionTrait) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for (table, constraints) in HOT_CONSTRAINTS {
        for (name, rule) in constraints {
            let text = query_of_broken_rows(table, rule);
            let statement = Statement::from_string(connection.get_database_backend(), text);
            if !connection.query_all_raw(statement).await.expect("the rows that break a rule").is_empty() {
                broken.push(*name);
            }
        }
    }
    broken
}

/// Returns a query of the rows of `table` that break `rule`, which is a check or a foreign key.
fn query_of_broken_rows(table: &str, rule: &str) -> String {
    if let Some(condition) = rule.strip_prefix("CHECK ") {
        return format!("SELECT 1 AS found FROM {table} WHERE NOT ({condition}) LIMIT 1");
    }
    let foreign_key = rule.strip_prefix("FOREIGN KEY (").expect("a check or a foreign key");
    let (columns, rest) = foreign_key.split_once(") REFERENCES ").expect("the columns");
    let (target, rest) = rest.split_once(" (").expect("the table");
    let (keys, _) = rest.split_once(')').expect("the key");
    let columns: Vec<&str> = columns.split(", ").collect();
    let has_all = columns.iter().map(|column| format!("r.{column} IS NOT NULL")).collect::<Vec<_>>().join(" AND ");
    let matches = columns.iter().zip(keys.split(", ")).map(|(column, key)| format!("t.{key} = r.{column}"));
    let matches = matches.collect::<Vec<_>>().join(" AND ");
    format!(
        "SELECT 1 AS found FROM {table} r
         WHERE {has_all} AND NOT EXISTS (SELECT 1 FROM {target} t WHERE {matches}) LIMIT 1"
    )
}
