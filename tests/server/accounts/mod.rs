//! Accounts and logins: registration, profiles, passwords, tokens, and the limits on signing in.

mod logins;
mod sign_in_limits;
mod tokens;
mod users;
