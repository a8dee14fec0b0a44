//! Implements `greenroom migrate`, which changes the schema of the database.

use super::{CommandError, output, prepare_command};
use crate::backends::migrations;
use clap::Subcommand;

#[derive(Subcommand)]
pub(super) enum MigrateCommand {
    /// Apply all migrations that are not applied yet.
    #[command(after_long_help = "\
Several nodes may run this command at the same time. One node migrates, and the others wait until it has finished.

Example:
  DATABASE_URL=postgres://greenroom:secret@localhost/greenroom greenroom migrate up")]
    Up,
    /// Revert the last migrations and DELETE ALL DATA IN THEIR TABLES.
    #[command(after_long_help = "\
Stop the server and make a backup first. This command drops the tables that the migrations created.

Example:
  greenroom migrate down --steps 2")]
    Down {
        /// The number of migrations to revert, the newest first.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
    },
    /// List all migrations and whether they are applied, without any change.
    Status,
}

pub(super) fn run(command: &MigrateCommand) -> Result<(), CommandError> {
    let settings = prepare_command()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            MigrateCommand::Up => print_migrations("applied", &migrations::up(&settings).await?),
            MigrateCommand::Down { steps } => print_migrations("reverted", &migrations::down(&settings, *steps).await?),
            MigrateCommand::Status => {
                for migration in migrations::status(&settings).await? {
                    let state = if migration.applied { "applied" } else { "pending" };
                    output::print_line(&format!("{state}  {}", migration.name))?;
                }
                Ok(())
            }
        }
    })
}

fn print_migrations(change: &str, names: &[String]) -> Result<(), CommandError> {
    for name in names {
        output::print_line(&format!("{change}  {name}"))?;
    }
    if names.is_empty() { output::print_line("There is nothing to do.") } else { Ok(()) }
}
