//! Runs the commands of the program and reports their errors.
//!
//! An error is one line on the error output. The exit status is 0 for success, 1 for a failure, and 2 for a wrong
//! command line or setting. Each command is in a file of its own and calls the use cases, so the rules are the same as
//! for the API.

mod migrate;
mod output;
mod token;
mod user;

use crate::app::App;
use crate::backends::BackendError;
use crate::config::{LogOutputSettings, Settings, SettingsError};
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
  greenroom                          Run the server on http://127.0.0.1:8080 with a SQLite database in ./data.
  GREENROOM_PORT=9000 greenroom      Run the server on another port.
  greenroom user create ada --admin  Create an admin with a generated password, and print the password.
  greenroom migrate status           List the migrations and whether they are applied.

The settings are variables of the environment or lines in a file named .env. The file .env.example explains them.";

/// Run a realtime chat server, which needs no other service than its database.
#[derive(Parser)]
#[command(name = "greenroom", version, color = ColorChoice::Never, after_long_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<CliCommand>,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Run the server until SIGTERM or Ctrl-C (the default command).
    #[command(after_long_help = "\
The server migrates a SQLite database at the start. It migrates PostgreSQL if GREENROOM_AUTO_MIGRATE is true. Otherwise
run `greenroom migrate up` before the start, once for all nodes.

Examples:
  greenroom serve
  GREENROOM_HOST=0.0.0.0 GREENROOM_PUBLIC_URL=https://chat.example.org greenroom serve
  DATABASE_URL=postgres://greenroom:secret@localhost/greenroom greenroom serve")]
    Serve,
    /// Change the schema of the database to this version or to an older one.
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    /// Create and change accounts, even while the server runs.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Issue access tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Print the OpenAPI 3.1 document of the REST API.
    #[command(after_long_help = "\
A running server has the same document at /api/v1/openapi.json and a page to browse it at /docs.

Example:
  greenroom openapi > openapi.json")]
    Openapi,
}

/// The reason why a command did not succeed, as one line.
enum CommandError {
    /// The command line or a setting is wrong.
    Usage(String),
    /// The command was correct but failed.
    Failed(String),
}

impl CommandError {
    fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<BackendError> for CommandError {
    fn from(error: BackendError) -> Self {
        Self::failed(error)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        match error.cause() {
            Some(cause) => Self::Failed(format!("{} ({cause})", error.detail())),
            None => Self::Failed(error.detail().to_owned()),
        }
    }
}

/// Runs the program with its command line, whose first argument is the name of the program. Returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => run_command(arguments.command.unwrap_or(CliCommand::Serve)),
        Err(error) => handle_parse_error(&error),
    };
    let status = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Usage(line)) => output::print_error(&line, 2),
        Err(CommandError::Failed(line)) => output::print_error(&line, 1),
    };
    telemetry::flush();
    status
}

fn run_command(command: CliCommand) -> Result<(), CommandError> {
    match command {
        CliCommand::Serve => serve(),
        CliCommand::Migrate(command) => migrate::run(&command),
        CliCommand::User(command) => user::run(command),
        CliCommand::Token(command) => token::run(command),
        CliCommand::Openapi => {
            output::print_line(&http::routes::document().to_pretty_json().map_err(CommandError::failed)?)
        }
    }
}

fn serve() -> Result<(), CommandError> {
    let settings = Settings::load()?;
    telemetry::init(&settings.log_output);
    if let Some(warning) = settings.unused_warning() {
        tracing::warn!("{warning}");
    }
    startup::serve(settings).map_err(CommandError::failed)
}

/// Reads the settings of a command that ends by itself, and starts its log output. It logs only warnings, and it uses
/// few connections, because a running server may use most of them.
fn prepare_command() -> Result<Settings, CommandError> {
    let mut settings = Settings::load()?;
    telemetry::init(&LogOutputSettings { filter: "warn".to_owned(), ..settings.log_output.clone() });
    settings.database.connections = settings.database.connections.min(8);
    settings.database.writers = 1;
    Ok(settings)
}

/// Runs `work` on the database without a server. A running server learns of its commits through the log.
fn run_offline(work: impl AsyncFnOnce(&App) -> Result<(), CommandError>) -> Result<(), CommandError> {
    let settings = prepare_command()?;
    actix::System::new().block_on(async {
        let app = startup::create_offline_app(settings).await.map_err(CommandError::failed)?;
        let result = work(&app).await;
        app.db().close().await;
        result
    })
}

/// Prints the help or the version if the command line asks for it. Returns every other error of clap in one line.
fn handle_parse_error(error: &clap::Error) -> Result<(), CommandError> {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::print_line(text.trim_end()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let usage = text.lines().find(|line| line.starts_with("Usage:")).unwrap_or("Usage: greenroom [COMMAND]");
            Err(CommandError::Usage(format!("A command is missing. {usage}")))
        }
        _ => Err(CommandError::Usage(shorten_clap_error(&text))),
    }
}

/// Returns the first paragraph of an error text of clap and its tips, without the usage.
fn shorten_clap_error(text: &str) -> String {
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
