//! `greenroom user`: accounts, made and changed by whoever runs the server.

use super::{Failure, offline, output};
use crate::app::App;
use crate::domain::names::UserRef;
use crate::domain::sealed;
use crate::protocol::resources::{Me, UserRole};
use crate::usecases::accounts::NewAccount;
use crate::usecases::operator;
use clap::{Args, Subcommand, ValueEnum};
use std::io::{self, BufRead, Read};

/// No password is longer, so nothing more is read for one.
const LONGEST_LINE: u64 = 4096;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Make an account, also where registration is closed
    #[command(after_long_help = "\
Without a password one is made and printed, so that it can be handed over.

Examples:
  greenroom user create ada --admin
  greenroom user create bob --email bob@example.org --display-name 'Bob B.' --password-stdin < password.txt")]
    Create {
        /// 3 to 32 letters, digits, and _ . -
        username: String,
        #[command(flatten)]
        password: Password,
        /// An e-mail address, to sign in with instead of the username
        #[arg(long, value_name = "E")]
        email: Option<String>,
        /// The name that others see; the username when not given
        #[arg(long, value_name = "D")]
        display_name: Option<String>,
        /// Make it an admin
        #[arg(long)]
        admin: bool,
    },
    /// List all accounts: username, role, status, e-mail address, when it was made, id
    List,
    /// Make somebody an admin, or an admin a user again
    #[command(after_long_help = "\
Example:
  greenroom user set-role ada admin")]
    SetRole {
        /// Whom: a username, an id, or ext: and the host application's id
        #[arg(value_parser = user_ref)]
        username: UserRef,
        /// The new role
        role: RoleName,
    },
    /// Replace somebody's password and sign them out everywhere
    #[command(after_long_help = "\
Without a password one is made and printed, so that it can be handed over.

Examples:
  greenroom user set-password ada
  greenroom user set-password ada --password-stdin < password.txt")]
    SetPassword {
        /// Whose: a username, an id, or ext: and the host application's id
        #[arg(value_parser = user_ref)]
        username: UserRef,
        #[command(flatten)]
        password: Password,
    },
}

/// Where a password comes from.
#[derive(Args)]
#[group(multiple = false)]
pub(super) struct Password {
    /// Read the password from the first line of the input
    #[arg(long)]
    password_stdin: bool,
    /// The password, 8 to 128 characters; others on this machine can see it while the command runs
    #[arg(long, value_name = "P")]
    password: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    User,
    Admin,
}

/// Reads whom a command is about.
pub(super) fn user_ref(text: &str) -> Result<UserRef, &'static str> {
    UserRef::parse(text).ok_or("that cannot name anybody")
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { username, password, email, display_name, admin } => {
            let (password, made) = password.obtain()?;
            let role = if admin { UserRole::Admin } else { UserRole::User };
            let new = NewAccount { username, password, email, display_name, role };
            offline(async |app| {
                let me = operator::create(app, new).await?;
                let brief = &me.user.brief;
                output::line(&format!("created {} {} {}", me.user.role.as_str(), brief.username, brief.id))?;
                show(made)
            })
        }
        Command::List => offline(list),
        Command::SetRole { username, role } => {
            let role = match role {
                RoleName::User => UserRole::User,
                RoleName::Admin => UserRole::Admin,
            };
            offline(async |app| {
                let me = operator::set_role_of(app, &username, role).await?;
                output::line(&format!("{} is {} now", me.user.brief.username, me.user.role.as_str()))
            })
        }
        Command::SetPassword { username, password } => {
            let (password, made) = password.obtain()?;
            offline(async |app| {
                operator::set_password_of(app, &username, &password).await?;
                output::line("the password is replaced; all logins have ended")?;
                show(made)
            })
        }
    }
}

impl Password {
    /// The password, and the same once more if it has to be shown because it was made here.
    fn obtain(self) -> Result<(String, Option<String>), Failure> {
        if let Some(given) = self.password {
            return Ok((given, None));
        }
        if !self.password_stdin {
            let made = sealed::word();
            return Ok((made.clone(), Some(made)));
        }
        let mut line = String::new();
        io::stdin()
            .lock()
            .take(LONGEST_LINE)
            .read_line(&mut line)
            .map_err(|error| Failure::Failed(format!("the password cannot be read: {error}")))?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err(Failure::Usage("--password-stdin found no password on the input".to_owned()));
        }
        Ok((line.to_owned(), None))
    }
}

fn show(made: Option<String>) -> Result<(), Failure> {
    made.map_or(Ok(()), |password| output::line(&format!("password: {password}")))
}

async fn list(app: &App) -> Result<(), Failure> {
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
        output::line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(me: Me) -> [String; 6] {
    [
        me.user.brief.username,
        me.user.role.as_str().to_owned(),
        me.status,
        me.email.unwrap_or_else(|| "-".to_owned()),
        me.user.created_at.to_string(),
        me.user.brief.id.to_string(),
    ]
}
