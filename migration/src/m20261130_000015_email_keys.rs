//! Computes the keys of e-mail addresses again, in NFC and lower case. Older keys were only in lower case.
//!
//! If two accounts have the same address by the new keys, the older account keeps it. The other account loses its
//! address, which is stored in `meta`, so that the server reports it at its start.

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait,
};
use sea_orm_migration::sea_orm::{QueryResult, Statement, Value};
use unicode_normalization::UnicodeNormalization;

use crate::sql;

/// The migration that runs the functions below.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for user in list_users_with_other_keys(manager).await?.into_iter().filter(|user| key(&user.email) != user.key) {
            assign_key(manager, &user).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for user in
            list_users_with_other_keys(manager).await?.into_iter().filter(|user| user.email.to_lowercase() != user.key)
        {
            set(manager, &user.id, Some((&user.email, &user.email.to_lowercase()))).await?;
        }
        restore_addresses(manager).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// Returns the key by which addresses are compared.
fn key(email: &str) -> String {
    email.nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// A user with an e-mail address.
struct User {
    /// In hexadecimal, which both databases can read.
    id: String,
    email: String,
    key: String,
    created_at: i64,
}

fn user(row: &QueryResult) -> Result<User, DbErr> {
    Ok(User {
        id: row.try_get("", "hex_id")?,
        email: row.try_get("", "email")?,
        key: row.try_get("", "email_key")?,
        created_at: row.try_get("", "created_at")?,
    })
}

/// Returns a statement in the dialect of the database. `{hex}` is replaced with the id in hexadecimal, and `{id}` with
/// the id that `$1` contains in hexadecimal.
fn statement(manager: &SchemaManager<'_>, text: &str, values: Vec<Value>) -> Statement {
    let (hex, id) = if sql::is_postgres(manager) {
        ("replace(id::text, '-', '')", "$1::uuid")
    } else {
        ("lower(hex(id))", "unhex($1)")
    };
    let text = text.replace("{hex}", hex).replace("{id}", id);
    Statement::from_sql_and_values(manager.get_database_backend(), text, values)
}

/// Returns the users whose address is not plain ASCII, oldest first. Other keys do not change.
async fn list_users_with_other_keys(manager: &SchemaManager<'_>) -> Result<Vec<User>, DbErr> {
    let query = "SELECT {hex} AS hex_id, email, email_key, created_at FROM users \
                 WHERE email IS NOT NULL AND length(email) <> octet_length(email) ORDER BY created_at, id";
    let rows = manager.get_connection().query_all_raw(statement(manager, query, vec![])).await?;
    rows.iter().map(user).collect()
}

/// Stores the new key of a user. If another user has this key already, the older of the two users keeps it.
async fn assign_key(manager: &SchemaManager<'_>, one: &User) -> Result<(), DbErr> {
    let conn = manager.get_connection();
    let new_key = key(&one.email);
    let query = "SELECT {hex} AS hex_id, email, email_key, created_at FROM users WHERE email_key = $1";
    let holder = conn.query_one_raw(statement(manager, query, vec![new_key.as_str().into()])).await?;
    match holder.as_ref().map(user).transpose()? {
        Some(holder) if (holder.created_at, &holder.id) < (one.created_at, &one.id) => {
            remove_address(manager, one).await
        }
        Some(holder) => {
            remove_address(manager, &holder).await?;
            set(manager, &one.id, Some((&one.email, &new_key))).await
        }
        None => set(manager, &one.id, Some((&one.email, &new_key))).await,
    }
}

/// Removes the address of a user and stores it in `meta`.
async fn remove_address(manager: &SchemaManager<'_>, user: &User) -> Result<(), DbErr> {
    set(manager, &user.id, None).await?;
    let insert = "INSERT INTO meta (key, value) VALUES ($1, $2)";
    let values = vec![format!("email_lost/{}", user.id).into(), user.email.as_str().into()];
    manager.get_connection().execute_raw(statement(manager, insert, values)).await.map(|_| ())
}

async fn set(manager: &SchemaManager<'_>, id: &str, email: Option<(&str, &str)>) -> Result<(), DbErr> {
    let (email, key) = email.unzip();
    let change = "UPDATE users SET email = $2, email_key = $3 WHERE id = {id}";
    let values = vec![id.into(), email.map(str::to_owned).into(), key.map(str::to_owned).into()];
    manager.get_connection().execute_raw(statement(manager, change, values)).await.map(|_| ())
}

/// Restores removed addresses, if the user has no other address and no other user has the old key.
async fn restore_addresses(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let conn = manager.get_connection();
    let removed = statement(manager, "SELECT key, value FROM meta WHERE key LIKE 'email_lost/%'", vec![]);
    for row in conn.query_all_raw(removed).await? {
        let (key, email): (String, String) = (row.try_get("", "key")?, row.try_get("", "value")?);
        let id = key.trim_start_matches("email_lost/");
        let change = "UPDATE users SET email = $2, email_key = $3 WHERE id = {id} AND email IS NULL \
                      AND status <> 'deleted' AND NOT EXISTS (SELECT 1 FROM users other WHERE other.email_key = $3)";
        let values = vec![id.into(), email.as_str().into(), email.to_lowercase().into()];
        conn.execute_raw(statement(manager, change, values)).await?;
    }
    conn.execute_raw(statement(manager, "DELETE FROM meta WHERE key LIKE 'email_lost/%'", vec![])).await.map(|_| ())
}
