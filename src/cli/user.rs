//! Implements `greenroom user`, with which the operator creates and changes accounts.

use super::{CommandError, output, run_offline};
use crate::app::App;
use crate::domain::accounts::UserRole;
use crate::domain::names::UserRef;
use crate::domain::sealed;
use crate::protocol::accounts::Me;
use crate::usecases::accounts::NewAccount;
use crate::usecases::operator;
use clap::{Args, Subcommand, ValueEnum};
use std::io::{self, BufRead, Read};

/// The most bytes that are read for a password. No valid password is longer.
const MAX_LINE_BYTES: u64 = 4096;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Create an account, even if registration is closed.
    #[command(after_long_help = "\
Without a password the command generates one and prints it.

Examples:
  greenroom user create ada --admin
  greenroom user create bob --email bob@example.org --display-name 'Bob B.' --password-stdin < password.txt")]
    Create {
        /// The username: 3 to 32 letters, digits, and _ . -
        username: String,
        #[command(flatten)]
        password: PasswordArguments,
        /// The e-mail address, with which the user can sign in instead of the username.
        #[arg(long, value_name = "E")]
        email: Option<String>,
        /// The name that other users see (default: the username).
        #[arg(long, value_name = "D")]
        display_name: Option<String>,
        /// Give the account the role admin.
        #[arg(long)]
        admin: bool,
    },
    /// List all accounts with username, role, status, e-mail address, time of creation and id.
    List,
    /// Change the role of a user on the server.
    #[command(after_long_help = "\
Example:
  greenroom user set-role ada admin")]
    SetRole {
        /// The user: a username, an id, or ext: followed by the id in the host application.
        #[arg(value_parser = user_ref)]
        username: UserRef,
        /// What the user may do on the server.
        role: RoleName,
    },
    /// Replace the password of a user and end all logins of the user.
    #[command(after_long_help = "\
Without a password the command generates one and prints it.

Examples:
  greenroom user set-password ada
  greenroom user set-password ada --password-stdin < password.txt")]
    SetPassword {
        /// The user: a username, an id, or ext: followed by the id in the host application.
        #[arg(value_parser = user_ref)]
        username: UserRef,
        #[command(flatten)]
        password: PasswordArguments,
    },
}

/// The options for a password. Without any of them, the command generates a password.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct PasswordArguments {
    /// Read the password from the first line of the standard input.
    #[arg(long)]
    password_stdin: bool,
    /// The password of 8 to 128 characters, which other users of this machine can see while the command runs.
    #[arg(long, value_name = "P")]
    password: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    User,
    Admin,
}

/// Parses the reference to a user on the command line.
pub(super) fn user_ref(text: &str) -> Result<UserRef, &'static str> {
    UserRef::parse(text).ok_or("it must be a username, an id, or ext: followed by an id")
}

pub(super) fn run(command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Create { username, password, email, display_name, admin } => {
            let (password, generated) = password.read()?;
            let role = if admin { UserRole::Admin } else { UserRole::User };
            let new = NewAccount { username, password, email, display_name, role };
            run_offline(async |app| {
                let me = operator::create(app, new).await?;
                let brief = &me.user.brief;
                output::print_line(&format!("created {} {} {}", me.user.role.as_str(), brief.username, brief.id))?;
                print_password(generated)
            })
        }
        UserCommand::List => run_offline(list),
        UserCommand::SetRole { username, role } => {
            let role = match role {
                RoleName::User => UserRole::User,
                RoleName::Admin => UserRole::Admin,
            };
            run_offline(async |app| {
                let me = operator::update_role(app, &username, role).await?;
                output::print_line(&format!("{} now has the role {}.", me.user.brief.username, me.user.role.as_str()))
            })
        }
        UserCommand::SetPassword { username, password } => {
            let (password, generated) = password.read()?;
            run_offline(async |app| {
                operator::update_password(app, &username, &password).await?;
                output::print_line("The password is replaced, and all logins of the user have ended.")?;
                print_password(generated)
            })
        }
    }
}

impl PasswordArguments {
    /// Returns the password, and a second time if this function has generated it, so that the command must print it.
    fn read(self) -> Result<(String, Option<String>), CommandError> {
        if let Some(password) = self.password {
            return Ok((password, None));
        }
        if !self.password_stdin {
            let generated = sealed::random_secret();
            return Ok((generated.clone(), Some(generated)));
        }
        let mut line = String::new();
        io::stdin()
            .lock()
            .take(MAX_LINE_BYTES)
            .read_line(&mut line)
            .map_err(|error| CommandError::Failed(format!("The password cannot be read from the input: {error}.")))?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err(CommandError::Usage(
                "The first line of the standard input is empty. Write the password into it, or omit --password-stdin."
                    .to_owned(),
            ));
        }
        Ok((line.to_owned(), None))
    }
}

fn print_password(generated: Option<String>) -> Result<(), CommandError> {
    generated.map_or(Ok(()), |password| output::print_line(&format!("password: {password}")))
}

async fn list(app: &App) -> Result<(), CommandError> {
    let rows: Vec<_> = operator::list(app).await?.into_iter().map(row).collect();
    let heading = ["USERNAME", "ROLE", "STATUS", "E-MAIL", "CREATED", "ID"].map(str::to_owned);
    let mut widths = heading.each_ref().map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in std::iter::once(heading).chain(rows) {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        output::print_line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(me: Me) -> [String; 6] {
    [
        me.user.brief.username,
        me.user.role.as_str().to_owned(),
        me.status.as_str().to_owned(),
        me.email.unwrap_or_else(|| "-".to_owned()),
        me.user.created_at.to_string(),
        me.user.brief.id.to_string(),
    ]
}
