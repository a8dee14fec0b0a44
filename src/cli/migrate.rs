//! `greenroom migrate`: the database's schema, up and down.

use super::{Failure, output, settings};
use crate::backends::migrations;
use clap::Subcommand;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Apply the migrations that the database does not have yet
    #[command(after_long_help = "\
Several nodes may run this at once: one migrates, the others wait and find nothing left to do.

Example:
  DATABASE_URL=postgres://greenroom:secret@localhost/greenroom greenroom migrate up")]
    Up,
    /// Take back the last migrations, WITH ALL THAT IS IN THEIR TABLES
    #[command(after_long_help = "\
Stop the server and make a backup first: tables that the migrations made are dropped.

Example:
  greenroom migrate down --steps 2")]
    Down {
        /// How many to take back, the newest first
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// List all migrations, and whether the database has each; changes nothing
    Status,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    let settings = settings()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Up => told("applied", &migrations::up(&settings).await?),
            Command::Down { steps } => told("taken back", &migrations::down(&settings, *steps).await?),
            Command::Status => {
                for migration in migrations::status(&settings).await? {
                    let state = if migration.applied { "applied" } else { "pending" };
                    output::line(&format!("{state}  {}", migration.name))?;
                }
                Ok(())
            }
        }
    })
}

fn told(what: &str, names: &[String]) -> Result<(), Failure> {
    for name in names {
        output::line(&format!("{what}  {name}"))?;
    }
    if names.is_empty() { output::line("nothing to do") } else { Ok(()) }
}
