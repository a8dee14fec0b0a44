//! Accounts: making them, their profiles and passwords. How one signs in and out is in [`super::logins`], how others see
//! a user in [`super::users`].

use super::logins::{Client, answer, existing, open, tell};
use super::passwords::{Attempt, Whose};
use super::read::read;
use super::transact::{Tx, transact_for};
use super::{Caller, passwords};
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::names::{self, Email, Password, Username};
use crate::domain::search;
use crate::domain::stream::Stream;
use crate::error::{Error, FieldError, Result};
use crate::protocol::accounts::{Change, PasswordChange, ProfileChange, Register};
use crate::protocol::events::{Event, RevokeReason};
use crate::protocol::resources::{Me, Tokens, UserRole};
use crate::store::accounts::{NewUser, Profile};
use crate::store::gate::Account;
use crate::store::pools::Share;
use crate::store::users::{Status, UserRow};
use crate::store::{accounts, logins, users};
use sea_orm::{DbErr, SqlErr};
use std::net::IpAddr;

/// The fields found invalid so far, which are told all at once.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn note(&mut self, field: &str, message: &str) {
        self.0.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }

    fn check<T>(&mut self, field: &str, read: Result<T, &'static str>) -> Option<T> {
        read.map_err(|message| self.note(field, message)).ok()
    }

    fn none(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::validation(self.0)) }
    }
}

/// An account to make.
pub struct NewAccount {
    /// Its unique name.
    pub username: String,
    /// Its password.
    pub password: String,
    /// An address to sign in with.
    pub email: Option<String>,
    /// The name it shows; the username when absent.
    pub display_name: Option<String>,
    /// User or admin.
    pub role: UserRole,
}

impl NewAccount {
    /// The account to store, its password hashed.
    pub(super) async fn checked(self, app: &App) -> Result<NewUser> {
        let mut faults = Faults::default();
        let username = faults.check("username", Username::parse(&self.username));
        let password = faults.check("password", Password::parse(&self.password));
        let email = self.email.and_then(|email| faults.check("email", Email::parse(&email)));
        let display_name = self.display_name.and_then(|name| faults.check("display_name", names::name(&name)));
        faults.none()?;
        let username = username.expect("an invalid username is a fault");
        let password = password.expect("an invalid password is a fault");
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

/// Makes an account for whoever asks, and signs it in.
pub async fn register(app: &App, input: Register, client: Client, address: IpAddr) -> Result<Tokens> {
    if !app.settings().auth.registration_open {
        return Err(Error::registration_closed());
    }
    let Register { username, password, email, display_name } = input;
    let new = NewAccount { username, password, email, display_name, role: UserRole::User }.checked(app).await?;
    let owner = app.clone();
    let rows = rows_of_names(new.username.as_str(), &new.display_name);
    let (user, opened) = transact_for(app, Account::at(address), rows, move |tx| {
        let (app, new, client) = (owner.clone(), new.clone(), client.clone());
        Box::pin(async move {
            let user = insert(tx, &new).await?;
            let opened = open(tx, &app, user.id, &client).await?;
            Ok((user, opened))
        })
    })
    .await?;
    app.attempts().signed_in(user.id, address);
    Ok(answer(app, &user, opened))
}

/// About how many rows are touched where a user gets these names: they are found by each of their words.
fn rows_of_names(username: &str, display_name: &str) -> usize {
    limits::FEW_ROWS + search::words(&search::text_of(username, display_name)).len()
}

pub(super) async fn insert(tx: &mut Tx, new: &NewUser) -> Result<UserRow> {
    if accounts::has_username(tx.conn(), &new.username.key()).await? {
        return Err(Error::username_taken());
    }
    if let Some(email) = &new.email
        && accounts::has_email(tx.conn(), &email.key(), None).await?
    {
        return Err(Error::email_taken());
    }
    let user = accounts::insert(tx.conn(), new, tx.now()).await.map_err(taken)?;
    tx.created_user(user.id);
    tx.append(Stream::User(user.id), &Event::UserCreated { user: Box::new(user.to_public()) });
    Ok(user)
}

/// What the unique indexes say when two ask for one name at once: neither saw the other, and one is refused here.
fn taken(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(message)) if message.contains("username_key") => Error::username_taken(),
        Some(SqlErr::UniqueConstraintViolation(message)) if message.contains("email_key") => Error::email_taken(),
        _ => error.into(),
    }
}

pub(super) fn me_of(app: &App, user: &UserRow) -> Me {
    user.to_me(app.presence().status(user.id))
}

/// The caller's own account.
pub async fn me(app: &App, caller: Caller) -> Result<Me> {
    let user =
        read(app, Share::Ordinary, move |conn| Box::pin(async move { Ok(users::by_id(conn, caller.user_id).await?) }))
            .await?;
    let user = user.ok_or_else(|| Error::unauthorized("this account was deleted; sign in with another one"))?;
    Ok(me_of(app, &user))
}

/// A change of a profile, checked.
#[derive(Clone)]
struct CheckedChange {
    display_name: Option<String>,
    avatar_url: Change<String>,
    locale: Change<String>,
    email: Change<Email>,
    share_read_receipts: Option<bool>,
}

impl CheckedChange {
    fn new(input: ProfileChange) -> Result<Self> {
        let mut faults = Faults::default();
        if let Change::Set(_) = input.avatar_upload_id {
            faults.note("avatar_upload_id", "is not an upload of yours");
        }
        let checked = Self {
            display_name: needed(&mut faults, "display_name", input.display_name, |name| names::name(&name)),
            avatar_url: nullable(&mut faults, "avatar_url", input.avatar_url, |url| names::picture_url(&url)),
            locale: nullable(&mut faults, "locale", input.locale, |tag| names::locale(&tag)),
            email: nullable(&mut faults, "email", input.email, |email| Email::parse(&email)),
            share_read_receipts: needed(&mut faults, "share_read_receipts", input.share_read_receipts, Ok),
        };
        faults.none()?;
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

/// A field that null would leave without a value it cannot be without.
fn needed<T, U>(
    faults: &mut Faults,
    field: &str,
    change: Change<T>,
    read: impl FnOnce(T) -> Result<U, &'static str>,
) -> Option<U> {
    match change {
        Change::Keep => None,
        Change::Clear => faults.check(field, Err("must not be null")),
        Change::Set(value) => faults.check(field, read(value)),
    }
}

/// A field that null clears.
fn nullable<T, U>(
    faults: &mut Faults,
    field: &str,
    change: Change<T>,
    read: impl FnOnce(T) -> Result<U, &'static str>,
) -> Change<U> {
    match change {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(value) => faults.check(field, read(value)).map_or(Change::Keep, Change::Set),
    }
}

/// Changes the caller's profile. Sessions are told of what others see.
pub async fn change_profile(app: &App, caller: Caller, input: ProfileChange) -> Result<Me> {
    let change = CheckedChange::new(input)?;
    let rows = rows_of_names("", change.display_name.as_deref().unwrap_or_default());
    let user = transact_for(app, caller.user_id, rows, move |tx| {
        let change = change.clone();
        Box::pin(async move {
            let before = active(tx, caller.user_id).await?;
            let profile = change.applied_to(&before);
            if profile == profile_of(&before) {
                return Ok(before);
            }
            if let Some(email) = &profile.email
                && accounts::has_email(tx.conn(), &email.key(), Some(before.id)).await?
            {
                return Err(Error::email_taken());
            }
            let user = accounts::set_profile(tx.conn(), &before, &profile, tx.now()).await.map_err(taken)?;
            if user.brief() != before.brief() {
                tell_profile(tx, &user);
            }
            Ok(user)
        })
    })
    .await?;
    Ok(me_of(app, &user))
}

pub(super) fn tell_profile(tx: &mut Tx, user: &UserRow) {
    tx.append(Stream::User(user.id), &Event::UserUpdated { user: Box::new(user.to_public()) });
}

/// Locks the acting user, who may have been suspended since the token was checked.
async fn active(tx: &mut Tx, user_id: UserId) -> Result<UserRow> {
    tx.lock_users(&[user_id]).await?;
    let user = existing(tx, user_id).await?;
    if user.status == Status::Suspended { Err(Error::suspended()) } else { Ok(user) }
}

/// Changes the caller's password, and ends all other logins. A wrong one counts as it does when signing in: a stolen access
/// token must not become a way to guess.
pub async fn change_password(app: &App, caller: Caller, input: PasswordChange, address: IpAddr) -> Result<()> {
    let PasswordChange { current_password, new_password } = input;
    let new_password = Password::parse(&new_password).map_err(|message| Error::invalid("new_password", message))?;
    let attempt = Attempt { whose: Whose::Own(caller.user_id), address, password: current_password };
    let old = passwords::attempt(app, attempt).await?.hash;
    let new = passwords::hash(app, new_password).await?;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let (old, new) = (old.clone(), new.clone());
        Box::pin(async move {
            active(tx, caller.user_id).await?;
            // two changes at once: the second knew a password that is no longer the one in use
            let secret = accounts::secret_of(tx.conn(), caller.user_id).await?;
            if secret.is_none_or(|secret| secret.hash != old) {
                return Err(Error::conflict(
                    "the password was changed meanwhile; sign in again, or try with the new one",
                ));
            }
            accounts::set_password(tx.conn(), caller.user_id, &new, tx.now()).await?;
            let reason = RevokeReason::Password;
            let others = Some(caller.login_id);
            for login in logins::revoke_all(tx.conn(), caller.user_id, others, reason, tx.now()).await? {
                tell(tx, caller.user_id, Some(login), reason);
            }
            Ok(())
        })
    })
    .await
}
