//! The migration of e-mail addresses, on a database in which it makes two addresses equal.

use ::entity::meta;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QueryResult, Statement};

use super::sample_rows::id;
use crate::migrations::catalogue::on_each_database;

/// Returns the number of migrations before this one.
fn count_before(name: &str) -> u32 {
    let index = Migrator::migrations().iter().position(|migration| migration.name() == name);
    u32::try_from(index.expect("there is such a migration")).expect("few")
}

#[tokio::test]
async fn addresses_are_compared_in_nfc_and_the_older_account_keeps_its_own() {
    const COMPOSED: &str = "Ren\u{E9}@example.org";
    const DECOMPOSED: &str = "Rene\u{301}@example.org";
    on_each_database(|db| async move {
        let db = &db;
        let before = count_before("m20261130_000015_email_keys");
        Migrator::up(db, Some(before)).await.expect("up to the keys");
        let rows_before = [
            (1, 10, DECOMPOSED.to_owned()),
            (2, 20, COMPOSED.to_owned()),
            (3, 20, COMPOSED.replace("Ren", "Andr")),
            (4, 10, DECOMPOSED.replace("Ren", "Andr")),
            (5, 30, DECOMPOSED.replace("Ren", "Zo")),
            (6, 30, "Plain@example.org".to_owned()),
        ];
        let uuid = |number: u128| match db.get_database_backend() {
            DbBackend::Postgres => format!("'{}'::uuid", id(number)),
            _ => format!("x'{}'", id(number).simple()),
        };
        for (number, created_at, email) in &rows_before {
            let row = format!(
                "INSERT INTO users (id, username, username_key, display_name, search_text, email, email_key, created_at, \
                 updated_at) VALUES ({}, 'u{number}', 'u{number}', 'U', 'u', '{email}', '{}', {created_at}, 1)",
                uuid(*number),
                email.to_lowercase()
            );
            db.execute_unprepared(&row).await.expect("a user");
        }
        let addresses = async || {
            let query = "SELECT username, email, email_key FROM users ORDER BY username";
            let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.expect("users");
            let text = |row: &QueryResult, column| row.try_get::<Option<String>>("", column).expect("a text");
            rows.iter().map(|row| (text(row, "email"), text(row, "email_key"))).collect::<Vec<_>>()
        };
        let addresses_before = addresses().await;
        for _ in 0..2 {
            Migrator::up(db, Some(1)).await.expect("up");
            let kept = |email: &str, key: &str| (Some(email.to_owned()), Some(key.to_owned()));
            let expected = [
                kept(&rows_before[0].2, "ren\u{E9}@example.org"),
                (None, None),
                (None, None),
                kept(&rows_before[3].2, "andr\u{E9}@example.org"),
                kept(&rows_before[4].2, "zo\u{E9}@example.org"),
                kept(&rows_before[5].2, "plain@example.org"),
            ];
            assert_eq!(addresses().await, expected);
            let mut lost = meta::Entity::find().all(db).await.expect("facts");
            lost.retain(|fact| fact.key.starts_with("email_lost/"));
            lost.sort_by(|one, other| one.key.cmp(&other.key));
            let of = |number: u128, email: &str| meta::Model {
                key: format!("email_lost/{}", id(number).simple()),
                value: email.to_owned(),
            };
            assert_eq!(lost, [of(2, &rows_before[1].2), of(3, &rows_before[2].2)]);
            Migrator::down(db, Some(1)).await.expect("down");
            assert_eq!(addresses().await, addresses_before);
        }
    })
    .await;
}
