//! Implements `greenroom token`, which issues access tokens for the operator.

use super::{CommandError, output, run_offline, user};
use crate::domain::names::UserRef;
use crate::usecases::{logins, operator};
use clap::Subcommand;

/// The device name of the login in the user's list of logins.
const DEVICE: &str = "greenroom token issue";

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Print an access token for a user, valid for 15 minutes.
    #[command(after_long_help = "\
The token belongs to a new login. The user sees this login in the list of logins and can end it.

Example:
  curl -H \"Authorization: Bearer $(greenroom token issue ada)\" http://127.0.0.1:8080/api/v1/users/me")]
    Issue {
        /// The user: a username, an id, or ext: followed by the id in the host application.
        #[arg(value_parser = user::user_ref)]
        username: UserRef,
    },
}

pub(super) fn run(command: TokenCommand) -> Result<(), CommandError> {
    let TokenCommand::Issue { username } = command;
    run_offline(async |app| {
        let me = operator::get(app, &username).await?;
        let tokens = logins::issue_tokens(app, me.user.brief.id, DEVICE, "").await?;
        output::print_line(&tokens.access_token)
    })
}
