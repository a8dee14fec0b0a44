//! What whoever runs the server does to accounts.

use super::accounts::{NewAccount, insert, me_of, tell_profile};
use super::logins::{existing, tell};
use super::passwords;
use super::read::read;
use super::transact::transact_for;
use crate::app::App;
use crate::domain::codes::Code;
use crate::domain::limits;
use crate::domain::names::{Password, UserRef, Username};
use crate::error::{Error, Result};
use crate::protocol::events::RevokeReason;
use crate::protocol::resources::{Me, UserRole};
use crate::store::gate::Account;
use crate::store::pools::Share;
use crate::store::users::{Status, UserRow};
use crate::store::{accounts, logins, meta, users};

/// Makes an account also where registration is closed.
pub async fn create(app: &App, new: NewAccount) -> Result<Me> {
    let new = new.checked(app).await?;
    let user = transact_for(app, Account::Operator, limits::FEW_ROWS, move |tx| {
        let new = new.clone();
        Box::pin(async move { insert(tx, &new).await })
    })
    .await?;
    Ok(me_of(app, &user))
}

/// Sets somebody's password, and ends all logins of that user.
pub async fn set_password_of(app: &App, user: &UserRef, password: &str) -> Result<()> {
    let password = Password::parse(password).map_err(|message| Error::invalid("password", message))?;
    let id = find(app, user.clone()).await?.id;
    let hash = passwords::hash(app, password).await?;
    transact_for(app, Account::Operator, limits::FEW_ROWS, move |tx| {
        let hash = hash.clone();
        Box::pin(async move {
            tx.lock_users(&[id]).await?;
            existing(tx, id).await?;
            accounts::set_password(tx.conn(), id, &hash, tx.now()).await?;
            let reason = RevokeReason::Password;
            if !logins::revoke_all(tx.conn(), id, None, reason, tx.now()).await?.is_empty() {
                tell(tx, id, None, reason);
            }
            Ok(())
        })
    })
    .await
}

/// Sets somebody's part in the server, for whoever runs it. It counts from the next call on.
pub async fn set_role_of(app: &App, user: &UserRef, role: UserRole) -> Result<Me> {
    let id = find(app, user.clone()).await?.id;
    let user = transact_for(app, Account::Operator, limits::FEW_ROWS, move |tx| {
        Box::pin(async move {
            tx.lock_users(&[id]).await?;
            let before = existing(tx, id).await?;
            if before.role == role {
                return Ok(before);
            }
            let user = accounts::set_role(tx.conn(), id, role, tx.now()).await?;
            tell_profile(tx, &user);
            Ok(user)
        })
    })
    .await?;
    Ok(me_of(app, &user))
}

/// The account that `user` names; `user_not_found` also when it is deleted.
pub async fn by_ref(app: &App, user: &UserRef) -> Result<Me> {
    Ok(me_of(app, &find(app, user.clone()).await?))
}

async fn find(app: &App, user: UserRef) -> Result<UserRow> {
    let found =
        read(app, Share::Ordinary, move |conn| Box::pin(async move { Ok(users::by_ref(conn, &user).await?) })).await?;
    found.filter(|user| user.status != Status::Deleted).ok_or_else(Error::user_not_found)
}

/// Every account that is not deleted, by username.
pub async fn list(app: &App) -> Result<Vec<Me>> {
    let rows = read(app, Share::Ordinary, |conn| Box::pin(async move { Ok(users::all(conn).await?) })).await?;
    Ok(rows.iter().map(|user| me_of(app, user)).collect())
}

/// Makes the admin that the settings name, unless there is one. Its password is not touched then; and an account of that
/// name that is no admin is never made one, since anybody could have registered it.
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
            // another node was a moment faster
            Err(error) if error.code() == Code::UsernameTaken => find(app, key).await?,
            created => return created.map(|_| ()),
        },
        found => found?,
    };
    match found.role {
        UserRole::Admin => Ok(()),
        UserRole::User => Err(Error::conflict("the username of the admin is taken by a user who is not one")),
    }
}

/// Names accounts that lost their e-mail address when addresses began to be compared in NFC, at every start until they have
/// another: nobody else can tell their owners why they cannot sign in with it.
pub async fn name_lost_emails(app: &App) -> Result<()> {
    let lost = read(app, Share::Ordinary, |conn| Box::pin(async move { Ok(meta::lost_emails(conn).await?) })).await?;
    for (username, email) in lost {
        tracing::warn!(username, email, "this account lost its e-mail address: an older account has the same one");
    }
    Ok(())
}
