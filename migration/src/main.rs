//! The program that `sea-orm-cli migrate … -d migration` starts. `DATABASE_URL` names the database. A SQLite file that
//! does not exist yet needs `?mode=rwc` in this URL.

use sea_orm_migration::cli;

#[tokio::main]
async fn main() {
    cli::run_cli(migration::Migrator).await;
}
