//! Accounts: making them, their profiles and passwords. How one signs in and out is in [`super::logins`], how others see
//! a user in [`super::users`].

use super::logins::{Client, answer, existing, open, tell};
use super::read::read;
use super::transact::{Tx, transact};
use super::{Caller, passwords};
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::names::{self, Email, Password, UserRef, Username};
use crate::domain::stream::Stream;
use crate::error::{Error, FieldError, Result};
use crate::protocol::accounts::{Change, PasswordChange, ProfileChange, Register};
use crate::protocol::events::{Event, RevokeReason};
use crate::protocol::resources::{Me, Tokens, UserRole};
use crate::store::accounts::{NewUser, Profile};
use crate::store::users::{Status, UserRow};
use crate::store::{accounts, logins, users};
use sea_orm::{DbErr, SqlErr};

/// The fields found invalid so far: all of them are told at once.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn note(&mut self, field: &str, message: &str) {
        self.0.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    }

    fn check<T>(&mut self, field: &str, read: Result<T, &'static str>) -> Option<T> {
        read.map_err(|message| self.note(field, message)).ok()
    }

    fn into_error(self) -> Error {
        Error::validation(self.0)
    }

    fn none(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_error()) }
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
    async fn checked(self) -> Result<NewUser> {
        let mut faults = Faults::default();
        let username = faults.check("username", Username::parse(&self.username));
        let password = faults.check("password", Password::parse(&self.password));
        let email = self.email.and_then(|email| faults.check("email", Email::parse(&email)));
        let display_name = self.display_name.unwrap_or(self.username);
        let display_name = faults.check("display_name", names::name(&display_name));
        faults.none_or(username, password, display_name)?.store(email, self.role).await
    }
}
