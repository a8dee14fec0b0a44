//! What a person starts: the commands, their help, and how a command ends. An error is one line on the error output; the
//! status is 0 for success, 1 for failure, 2 for a wrong command line or setting. What a command does is in its file and
//! in the use cases; nothing is decided here that the API could decide.

mod migrate;
mod output;
mod token;
mod user;

use crate::app::App;
use crate::backends::BackendError;
use crate::config::{Log, Settings, SettingsError};
use crate::error::Error;
use crate::{http, startup, telemetry};
use clap::error::ErrorKind;
use clap::{ColorChoice, Parser, Subcommand};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  greenroom                          serve on http://127.0.0.1:8080, with a SQLite database in ./data
  GREENROOM_PORT=9000 greenroom      the same on another port
  greenroom user create ada --admin  make an admin; the password is made and printed
  greenroom migrate status           tell which migrations the database has

Settings are variables of the environment, or lines in a file named .env; .env.example explains each.";

/// A realtime chat server: one program, a database of its own, no other service.
#[derive(Parser)]
#[command(name = "greenroom", version, color = ColorChoice::Never, after_long_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C; what happens without any command
    #[command(after_long_help = "\
A SQLite database is migrated at the start. PostgreSQL is too with GREENROOM_AUTO_MIGRATE=true; else run
`greenroom migrate up` first, once for all nodes.

Examples:
  greenroom serve
  GREENROOM_HOST=0.0.0.0 GREENROOM_PUBLIC_URL=https://chat.example.org greenroom serve
  DATABASE_URL=postgres://greenroom:secret@localhost/greenroom greenroom serve")]
    Serve,
    /// Bring the database's schema to this version, or back
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Make and change accounts, with or without a running server
    #[command(subcommand)]
    User(user::Command),
    /// Issue tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Print the OpenAPI 3.1 document of the REST API
    #[command(after_long_help = "\
The same document is served at /api/v1/openapi.json, and can be browsed at /docs.

Example:
  greenroom openapi > openapi.json")]
    Openapi,
}

/// Why a command did not succeed, in one line.
enum Failure {
    /// The command line or a setting is wrong.
    Usage(String),
    /// What was asked for could not be done.
    Failed(String),
}

impl Failure {
    fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.cause() {
            Some(cause) => Self::Failed(format!("{} ({cause})", error.detail())),
            None => Self::Failed(error.detail().to_owned()),
        }
    }
}

/// Runs the program with the arguments of its command line, its own name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ended = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => perform(arguments.command.unwrap_or(Command::Serve)),
        Err(error) => explain(&error),
    };
    let status = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(line)) => output::complain(&line, 2),
        Err(Failure::Failed(line)) => output::complain(&line, 1),
    };
    telemetry::flush();
    status
}

fn perform(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve => serve(),
        Command::Migrate(command) => migrate::run(&command),
        Command::User(command) => user::run(command),
        Command::Token(command) => token::run(command),
        Command::Openapi => output::line(&http::openapi::document().to_pretty_json().map_err(Failure::failed)?),
    }
}

fn serve() -> Result<(), Failure> {
    let settings = Settings::load()?;
    telemetry::init(&settings.log);
    if let Some(warning) = settings.warning() {
        tracing::warn!("{warning}");
    }
    startup::serve(settings).map_err(Failure::failed)
}

/// The settings for a command that ends by itself: it keeps quiet, and takes few connections from a running server.
fn settings() -> Result<Settings, Failure> {
    let mut settings = Settings::load()?;
    telemetry::init(&Log { filter: "warn".to_owned(), ..settings.log.clone() });
    settings.database.connections = settings.database.connections.min(8);
    settings.database.writers = 1;
    Ok(settings)
}

/// Runs `work` on the database without serving. A running server hears of what it did through the log.
fn offline(work: impl AsyncFnOnce(&App) -> Result<(), Failure>) -> Result<(), Failure> {
    let settings = settings()?;
    actix::System::new().block_on(async {
        let app = startup::offline(settings).await.map_err(Failure::failed)?;
        let ended = work(&app).await;
        app.db().close().await;
        ended
    })
}

/// Help and version are answers; everything else is told in one line.
fn explain(error: &clap::Error) -> Result<(), Failure> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::line(text.trim_end()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let usage = text.lines().find(|line| line.starts_with("Usage:")).unwrap_or("Usage: greenroom [COMMAND]");
            Err(Failure::Usage(format!("a command is missing. {usage}")))
        }
        _ => Err(Failure::Usage(in_one_line(&text))),
    }
}

/// The first paragraph of clap's explanation and its tips, without the usage.
fn in_one_line(text: &str) -> String {
    let mut paragraphs = text.split("\n\n").map(|paragraph| {
        let lines: Vec<_> = paragraph.lines().map(str::trim).collect();
        lines.join(" ")
    });
    let first = paragraphs.next().unwrap_or_default();
    let mut line = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    for tip in paragraphs.filter_map(|paragraph| paragraph.strip_prefix("tip: ").map(str::to_owned)) {
        line.push_str("; ");
        line.push_str(&tip);
    }
    line
}
