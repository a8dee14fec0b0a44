//! What users do with accounts: registration, profiles and passwords. Signing in and out is in [`super::logins`]. What
//! other users see is in [`super::users`].

use super::logins::{ClientInfo, append_revoked, create_login, to_tokens};
use crate::app::App;
use crate::domain::accounts::UserRole;
use crate::domain::caller::Caller;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::names::{self, Email, Password, Username};
use crate::domain::search;
use crate::domain::stream::Stream;
use crate::error::{Error, FieldError, Result};
use crate::protocol::accounts::{Me, PasswordChange, ProfileChange, Register};
use crate::protocol::change::Change;
use crate::protocol::events::Event;
use crate::protocol::logins::{RevokeReason, Tokens};
use crate::protocol::users::UserEvent;
use crate::store::accounts::{NewUser, Profile};
use crate::store::db::pools::ReadPool;
use crate::store::db::write_queue::WriteOwner;
use crate::store::users::UserRow;
use crate::store::{accounts, logins, users};
use crate::work::assemble::users::{to_me, to_public};
use crate::work::passwords::{PasswordAttempt, PasswordOwner};
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::{access, passwords};
use sea_orm::{DbErr, SqlErr};
use std::borrow::Cow;
use std::net::IpAddr;

/// The invalid fields of one request. They are collected, so that one error names all of them.
#[derive(Default)]
struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn add(&mut self, field: &str, message: &str) {
        self.0.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }

    fn check<T>(&mut self, field: &str, read: Result<T, Cow<'static, str>>) -> Option<T> {
        read.map_err(|message| self.add(field, &message)).ok()
    }

    fn into_result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::validation(self.0)) }
    }
}

/// The input for a new account.
pub struct NewAccount {
    pub username: String,
    pub password: String,
    /// The user can sign in with it instead of the username.
    pub email: Option<String>,
    /// `None` means the username.
    pub display_name: Option<String>,
    pub role: UserRole,
}

impl NewAccount {
    /// Checks all fields, hashes the password and returns the account to store.
    pub(super) async fn into_new_user(self, app: &App) -> Result<NewUser> {
        let mut errors = FieldErrors::default();
        let username = errors.check("username", Username::parse(&self.username));
        let password = errors.check("password", Password::parse(&self.password));
        let email = self.email.and_then(|email| errors.check("email", Email::parse(&email)));
        let display_name = self.display_name.and_then(|name| errors.check("display_name", names::parse_name(&name)));
        errors.into_result()?;
        let username = username.expect("an invalid username is an error");
        let password = password.expect("an invalid password is an error");
        Ok(NewUser {
            id: UserId::new(),
            display_name: display_name.unwrap_or_else(|| username.as_str().to_owned()),
            username,
            email,
            password_hash: Some(passwords::hash(app, password).await?),
            role: self.role,
        })
    }
}

/// Creates an account for a new user and signs the user in. Fails if registration is closed.
pub async fn register(app: &App, input: Register, client: ClientInfo, address: IpAddr) -> Result<Tokens> {
    if !app.settings().auth.registration_open {
        return Err(Error::registration_closed());
    }
    let Register { username, password, email, display_name } = input;
    let new = NewAccount { username, password, email, display_name, role: UserRole::User }.into_new_user(app).await?;
    let owned_app = app.clone();
    let rows = count_name_rows(new.username.as_str(), &new.display_name);
    let (user, login_tokens) = transact_for(app, WriteOwner::from_address(address), rows, move |tx| {
        let (app, new, client) = (owned_app.clone(), new.clone(), client.clone());
        Box::pin(async move {
            let user = insert_user(tx, &new).await?;
            let login_tokens = create_login(tx, &app, user.id, &client).await?;
            let user_id = user.id;
            tx.after_commit(move |app| app.password_limits().note_sign_in(user_id, address));
            Ok((user, login_tokens))
        })
    })
    .await?;
    Ok(to_tokens(app, &user, login_tokens))
}

/// Returns about how many rows change when a user gets these names: the search index has rows for each word.
fn count_name_rows(username: &str, display_name: &str) -> usize {
    limits::FEW_ROWS + search::indexed_words(&search::searchable_text(username, display_name)).len()
}

pub(super) async fn insert_user(tx: &mut Tx, new: &NewUser) -> Result<UserRow> {
    if accounts::is_username_taken(tx.conn(), &new.username.key()).await? {
        return Err(Error::username_taken());
    }
    if let Some(email) = &new.email
        && accounts::is_email_taken(tx.conn(), &email.key(), None).await?
    {
        return Err(Error::email_taken());
    }
    let user = accounts::insert(tx.conn(), new, tx.now()).await.map_err(to_taken_error)?;
    tx.add_user(user.id);
    tx.append(Stream::User(user.id), &Event::UserCreated(UserEvent { user: Box::new(to_public(&user)) }));
    Ok(user)
}

/// Converts the violation of a unique index into `username_taken` or `email_taken`. Two concurrent transactions do not
/// see each other's names, so one of them fails here.
fn to_taken_error(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(message)) if message.contains("username_key") => Error::username_taken(),
        Some(SqlErr::UniqueConstraintViolation(message)) if message.contains("email_key") => Error::email_taken(),
        _ => error.into(),
    }
}

/// Returns the caller's own account with its private fields.
pub async fn get_own(app: &App, caller: Caller) -> Result<Me> {
    let user = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Ok(users::by_id(conn, caller.user_id).await?) })
    })
    .await?;
    let user = user.ok_or_else(|| Error::unauthorized("This account was deleted; sign in with another one."))?;
    Ok(to_me(app, &user))
}

/// A valid change of a profile.
#[derive(Clone)]
struct CheckedProfileChange {
    display_name: Option<String>,
    avatar_url: Change<String>,
    locale: Change<String>,
    email: Change<Email>,
    share_read_receipts: Option<bool>,
}

impl CheckedProfileChange {
    fn new(input: ProfileChange) -> Result<Self> {
        let mut errors = FieldErrors::default();
        if let Change::Set(_) = input.avatar_upload_id {
            errors.add("avatar_upload_id", "must be the id of an upload of yours");
        }
        let checked = Self {
            display_name: read_required(&mut errors, "display_name", input.display_name, |name| {
                names::parse_name(&name)
            }),
            avatar_url: read_nullable(&mut errors, "avatar_url", input.avatar_url, |url| names::parse_avatar_url(&url)),
            locale: read_nullable(&mut errors, "locale", input.locale, |tag| names::parse_locale(&tag)),
            email: read_nullable(&mut errors, "email", input.email, |email| Email::parse(&email)),
            share_read_receipts: read_required(&mut errors, "share_read_receipts", input.share_read_receipts, Ok),
        };
        errors.into_result()?;
        Ok(checked)
    }

    fn applied_to(self, user: &UserRow) -> Profile {
        let current = profile_of(user);
        Profile {
            display_name: self.display_name.unwrap_or(current.display_name),
            avatar_url: self.avatar_url.applied_to(current.avatar_url),
            locale: self.locale.applied_to(current.locale),
            email: self.email.applied_to(current.email),
            share_read_receipts: self.share_read_receipts.unwrap_or(current.share_read_receipts),
        }
    }
}

fn profile_of(user: &UserRow) -> Profile {
    Profile {
        display_name: user.display_name.clone(),
        avatar_url: user.avatar_url.clone(),
        locale: user.locale.clone(),
        email: user.email.as_deref().and_then(|email| Email::parse(email).ok()),
        share_read_receipts: user.share_read_receipts,
    }
}

/// Reads a change of a field that must have a value: null is an error.
fn read_required<T, U>(
    errors: &mut FieldErrors,
    field: &str,
    change: Change<T>,
    read: impl FnOnce(T) -> Result<U, Cow<'static, str>>,
) -> Option<U> {
    match change {
        Change::Keep => None,
        Change::Clear => errors.check(field, Err("must not be null".into())),
        Change::Set(value) => errors.check(field, read(value)),
    }
}

/// Reads a change of a field that null clears.
fn read_nullable<T, U>(
    errors: &mut FieldErrors,
    field: &str,
    change: Change<T>,
    read: impl FnOnce(T) -> Result<U, Cow<'static, str>>,
) -> Change<U> {
    match change {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(value) => errors.check(field, read(value)).map_or(Change::Keep, Change::Set),
    }
}

/// Updates the caller's profile. If a field changes that other users see, it appends `user.updated`.
pub async fn update_profile(app: &App, caller: Caller, input: ProfileChange) -> Result<Me> {
    let change = CheckedProfileChange::new(input)?;
    let rows = count_name_rows("", change.display_name.as_deref().unwrap_or_default());
    let user = transact_for(app, caller.user_id, rows, move |tx| {
        let change = change.clone();
        Box::pin(async move {
            let before = lock_active_user(tx, caller.user_id).await?;
            let profile = change.applied_to(&before);
            if profile == profile_of(&before) {
                return Ok(before);
            }
            if let Some(email) = &profile.email
                && accounts::is_email_taken(tx.conn(), &email.key(), Some(before.id)).await?
            {
                return Err(Error::email_taken());
            }
            let user =
                accounts::update_profile(tx.conn(), &before, &profile, tx.now()).await.map_err(to_taken_error)?;
            if user.brief() != before.brief() {
                append_profile(tx, &user);
            }
            Ok(user)
        })
    })
    .await?;
    Ok(to_me(app, &user))
}

pub(super) fn append_profile(tx: &mut Tx, user: &UserRow) {
    tx.append(Stream::User(user.id), &Event::UserUpdated(UserEvent { user: Box::new(to_public(user)) }));
}

/// Locks the caller, who may have been suspended since the token was checked, and returns the account.
async fn lock_active_user(tx: &mut Tx, user_id: UserId) -> Result<UserRow> {
    tx.lock_users(&[user_id]).await?;
    access::get_active_user(tx, user_id).await
}

/// Updates the caller's password and ends all other logins. A wrong password counts as in a sign-in, so that a stolen
/// access token cannot be used to guess the password.
pub async fn update_password(app: &App, caller: Caller, input: PasswordChange, address: IpAddr) -> Result<()> {
    let own_login = access::require_own_logins(&caller)?;
    let PasswordChange { current_password, new_password } = input;
    let new_password = Password::parse(&new_password).map_err(|message| Error::invalid("new_password", message))?;
    let attempt = PasswordAttempt { owner: PasswordOwner::User(caller.user_id), address, password: current_password };
    let old = passwords::verify(app, attempt).await?.stored_hash;
    let new = passwords::hash(app, new_password).await?;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let (old, new) = (old.clone(), new.clone());
        Box::pin(async move {
            lock_active_user(tx, caller.user_id).await?;
            // Another change of the password may have committed meanwhile. Then the password that was checked is not
            // valid any more.
            let secret = accounts::get_password(tx.conn(), caller.user_id).await?;
            if secret.is_none_or(|secret| secret.hash != old) {
                return Err(Error::conflict(
                    "The password was changed meanwhile; sign in again, or use the new password.",
                ));
            }
            accounts::update_password(tx.conn(), caller.user_id, &new, tx.now()).await?;
            let reason = RevokeReason::Password;
            for login in logins::revoke_all(tx.conn(), caller.user_id, own_login, reason, tx.now()).await? {
                append_revoked(tx, caller.user_id, Some(login), reason);
            }
            Ok(())
        })
    })
    .await
}
