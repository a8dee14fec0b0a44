//! The binary that `sea-orm-cli migrate … -d migration` starts. The database is named by `DATABASE_URL`; a SQLite
//! file that does not exist yet needs `?mode=rwc` in it.

use sea_orm_migration::cli;

#[tokio::main]
async fn main() {
    cli::run_cli(migration::Migrator).await;
}
