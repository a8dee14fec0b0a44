//! `greenroom token`: tokens, issued by whoever runs the server.

use super::{Failure, offline, output, user};
use crate::domain::names::UserRef;
use crate::usecases::{logins, operator};
use clap::Subcommand;

/// What the login is called in the user's list of sessions.
const DEVICE: &str = "greenroom token issue";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print an access token for somebody, good for 15 minutes
    #[command(after_long_help = "\
It belongs to a login of its own, which its user sees among their sessions and can end.

Example:
  curl -H \"Authorization: Bearer $(greenroom token issue ada)\" http://127.0.0.1:8080/api/v1/users/me")]
    Issue {
        /// For whom: a username, an id, or ext: and the host application's id
        #[arg(value_parser = user::user_ref)]
        username: UserRef,
    },
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    let Command::Issue { username } = command;
    offline(async |app| {
        let me = operator::by_ref(app, &username).await?;
        let tokens = logins::issue(app, me.user.brief.id, DEVICE, "").await?;
        output::line(&tokens.access_token)
    })
}
