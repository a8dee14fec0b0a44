//! What the operator does to accounts, from the command line or the settings.

use super::accounts::{NewAccount, append_profile, insert_user};
use super::logins::append_revoked;
use crate::app::App;
use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::domain::names::{Password, UserRef, Username};
use crate::error::{Error, Result};
use crate::protocol::accounts::Me;
use crate::protocol::logins::RevokeReason;
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::WriteOwner;
use crate::store::users::UserRow;
use crate::store::{accounts, logins, meta, users};
use crate::work::assemble::users::to_me;
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::{access, passwords};

/// Creates an account, even if registration is closed.
pub async fn create(app: &App, new: NewAccount) -> Result<Me> {
    let new = new.into_new_user(app).await?;
    let user = transact_for(app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
        let new = new.clone();
        Box::pin(async move { insert_user(tx, &new).await })
    })
    .await?;
    Ok(to_me(app, &user))
}

/// Updates the password of a user and ends all logins of that user.
pub async fn update_password(app: &App, user: &UserRef, password: &str) -> Result<()> {
    let password = Password::parse(password).map_err(|message| Error::invalid("password", message))?;
    let id = find(app, user.clone()).await?.id;
    let hash = passwords::hash(app, password).await?;
    transact_for(app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            tx.lock_users(&[id]).await?;
            access::get_locked_user(tx, id).await?;
            accounts::update_password(tx.conn(), id, &hash, tx.now()).await?;
            let reason = RevokeReason::Password;
            if !logins::revoke_all(tx.conn(), id, None, reason, tx.now()).await?.is_empty() {
                append_revoked(tx, id, None, reason);
            }
            Ok(())
        })
    })
    .await
}

/// Updates the role of a user on the server. It is effective from the user's next call.
pub async fn update_role(app: &App, user: &UserRef, role: UserRole) -> Result<Me> {
    let id = find(app, user.clone()).await?.id;
    let user = transact_for(app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
        Box::pin(async move {
            tx.lock_users(&[id]).await?;
            let before = access::get_locked_user(tx, id).await?;
            if before.role == role {
                return Ok(before);
            }
            let user = accounts::update_role(tx.conn(), id, role, tx.now()).await?;
            append_profile(tx, &user);
            Ok(user)
        })
    })
    .await?;
    Ok(to_me(app, &user))
}

/// Returns an account. Fails with `user_not_found` even if it was deleted.
pub async fn get(app: &App, user: &UserRef) -> Result<Me> {
    Ok(to_me(app, &find(app, user.clone()).await?))
}

async fn find(app: &App, user: UserRef) -> Result<UserRow> {
    let found =
        read(app, ReadPool::Ordinary, move |conn| Box::pin(async move { Ok(users::by_ref(conn, &user).await?) }))
            .await?;
    found.filter(|user| user.status != AccountStatus::Deleted).ok_or_else(Error::user_not_found)
}

/// Lists all accounts that are not deleted, by username.
pub async fn list(app: &App) -> Result<Vec<Me>> {
    let rows = read(app, ReadPool::Ordinary, |conn| Box::pin(async move { Ok(users::all(conn).await?) })).await?;
    Ok(rows.iter().map(|user| to_me(app, user)).collect())
}

/// Creates the admin of the settings, unless it exists. The password of an existing admin stays as it is. If a user
/// without the role has this username, this function fails: any client could have registered that account.
pub async fn ensure_admin(app: &App, username: &str, password: &str) -> Result<()> {
    let wanted = Username::parse(username).map_err(|message| Error::invalid("username", message))?;
    let key = UserRef::Username(wanted.key());
    let new = || NewAccount {
        username: username.to_owned(),
        password: password.to_owned(),
        email: None,
        display_name: None,
        role: UserRole::Admin,
    };
    let found = match find(app, key.clone()).await {
        Err(error) if error.code() == Code::UserNotFound => match create(app, new()).await {
            // Another node has just created the account.
            Err(error) if error.code() == Code::UsernameTaken => find(app, key).await?,
            created => return created.map(|_| ()),
        },
        found => found?,
    };
    match found.role {
        UserRole::Admin => Ok(()),
        UserRole::User => Err(Error::conflict(
            "The username of the admin belongs to another user; choose another one, or make that user an admin.",
        )),
    }
}

/// Logs the accounts that lost their e-mail address when addresses began to be compared in NFC. It does so at every
/// start until they have another one. Only the operator can explain to these users why they cannot sign in with the
/// address.
pub async fn log_lost_emails(app: &App) -> Result<()> {
    let lost =
        read(app, ReadPool::Ordinary, |conn| Box::pin(async move { Ok(meta::lost_emails(conn).await?) })).await?;
    for (username, email) in lost {
        tracing::warn!(username, email, "this account lost its e-mail address: an older account has the same one");
    }
    Ok(())
}
