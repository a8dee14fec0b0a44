//! Creates the index for the search of users, filled from the existing names.

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait,
};
use sea_orm_migration::sea_orm::{QueryResult, Statement, Value};
use std::collections::BTreeSet;

use crate::sql;

/// The migration that runs the statements below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if sql::is_postgres(manager) {
            sql::run(manager, LOCK_WRITERS).await?;
        }
        sql::run(manager, UP).await?;
        fill(manager).await?;
        sql::run(manager, SORT).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Prevents registrations and changes of names while the table is filled. SQLite does not need this, because no other
/// process writes during a migration.
const LOCK_WRITERS: &str = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE";

const UP: &str = r"
-- word: the rest of a word from one of its characters on, at most 32 characters, for a word in the search_text of an
-- active user
-- inside: 0 if it begins at the start of the word, 1 if it begins inside the word
-- no foreign key: users are never deleted, and an index by user would double the size of the table
CREATE TABLE user_words (
    inside {small} NOT NULL,
    word {bytewise} NOT NULL,
    user_id {uuid} NOT NULL,
    PRIMARY KEY (inside, word, user_id)
){clustered};

-- the two lower-case forms of sigma are the same letter
UPDATE users SET search_text = replace(search_text, 'ς', 'σ') WHERE search_text LIKE '%ς%';

CREATE TABLE user_words_unsorted (
    inside {small} NOT NULL,
    word {bytewise} NOT NULL,
    user_id {uuid} NOT NULL
){table};
";

/// Copies the rows in the order of the key. In the order of users each row would be written to another page.
const SORT: &str = r"
INSERT INTO user_words (inside, word, user_id)
SELECT inside, word, user_id FROM user_words_unsorted ORDER BY inside, word, user_id;
DROP TABLE user_words_unsorted;
";

const DOWN: &str = "DROP TABLE user_words";

/// The number of users that one query reads.
const PAGE: usize = 1000;
/// The number of rows that one statement inserts. Each row has three parameters, and SQLite searches all parameters of
/// the statement for each of them, so a larger number is slower.
const ROWS: usize = 250;

async fn fill(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let postgres = sql::is_postgres(manager);
    let page = if postgres {
        "SELECT replace(id::text, '-', '') AS hex_id, search_text FROM users
         WHERE id > $1::uuid AND status = 'active' ORDER BY id LIMIT $2"
    } else {
        "SELECT lower(hex(id)) AS hex_id, search_text FROM users
         WHERE id > unhex($1) AND status = 'active' ORDER BY id LIMIT $2"
    };
    let connection = manager.get_connection();
    let statement =
        |text: &str, values: Vec<Value>| Statement::from_sql_and_values(manager.get_database_backend(), text, values);
    let mut last = "0".repeat(32);
    let mut rows: Vec<Value> = Vec::new();
    loop {
        let values = vec![last.clone().into(), (PAGE as i64).into()];
        let users: Vec<QueryResult> = connection.query_all_raw(statement(page, values)).await?;
        for user in &users {
            last = user.try_get("", "hex_id")?;
            let text: String = user.try_get("", "search_text")?;
            for (inside, word) in words(&text) {
                rows.extend([i16::from(inside).into(), word.into(), last.clone().into()]);
            }
        }
        let end = users.len() < PAGE;
        while rows.len() >= 3 * ROWS || end && !rows.is_empty() {
            let batch: Vec<Value> = rows.drain(..rows.len().min(3 * ROWS)).collect();
            let insert = insert(batch.len() / 3, postgres);
            connection.execute_raw(statement(&insert, batch)).await?;
        }
        if end {
            return Ok(());
        }
    }
}

/// Returns a statement that inserts this number of rows.
fn insert(rows: usize, postgres: bool) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let [inside, word, user] = [1, 2, 3].map(|column| 3 * row + column);
            if postgres {
                format!("(${inside}, ${word}, ${user}::uuid)")
            } else {
                format!("(${inside}, ${word}, unhex(${user}))")
            }
        })
        .collect();
    format!("INSERT INTO user_words_unsorted (inside, word, user_id) VALUES {}", rows.join(", "))
}

/// Returns the rows of a user as the server made them when this migration was written. The migration has its own copy
/// of this code, because it must never change what it does.
fn words(text: &str) -> BTreeSet<(bool, String)> {
    let mut words = BTreeSet::new();
    for chunk in text.split_whitespace() {
        let letters: Vec<char> = chunk.chars().collect();
        for at in 0..letters.len() {
            let inside = !begins_word(&letters, at);
            if words.len() < 512 && (!inside || letters.len() - at >= 3) {
                words.insert((inside, letters[at..].iter().take(32).collect()));
            }
        }
    }
    words
}

fn begins_word(letters: &[char], at: usize) -> bool {
    let separates = |letter: char| !letter.is_alphanumeric() || is_written_without_spaces(letter);
    at == 0 || separates(letters[at - 1]) || separates(letters[at])
}

fn is_written_without_spaces(letter: char) -> bool {
    matches!(letter,
        '\u{E00}'..='\u{FFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{1950}'..='\u{19FF}'
        | '\u{1A20}'..='\u{1AAF}'
        | '\u{1B00}'..='\u{1B7F}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{312F}'
        | '\u{31A0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{A980}'..='\u{A9DF}'
        | '\u{AA80}'..='\u{AADF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}
