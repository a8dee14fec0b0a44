//! What goes wrong: processes are killed, connections break, the database is locked from outside, the
//! disk under SQLite refuses commits.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database};

use crate::support::database::runs_on_postgres;
use crate::support::disk::limit_files;
use crate::support::{Random, TestServer};

/// Brings one fault about, chosen by the seed, and takes it away again.
pub async fn one(servers: &mut [TestServer], random: &mut Random) {
    let index = random.between(0, servers.len() as u64) as usize;
    let held = Duration::from_millis(random.between(100, 8_000));
    match random.between(0, 4) {
        0 => {
            servers[index].kill_nine();
            servers[index].restart().await;
        }
        1 => lock(&servers[index], held).await,
        2 => tokio::time::sleep(Duration::from_millis(random.between(100, 3_000))).await,
        _ if runs_on_postgres() => {
            servers[index]
                .sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .await;
        }
        _ => {
            limit_files(&servers[index], "4096");
            tokio::time::sleep(held).await;
            limit_files(&servers[index], "unlimited");
        }
    }
}

/// Holds a lock that keeps every send from committing.
async fn lock(server: &TestServer, held: Duration) {
    let mut options = ConnectOptions::new(server.database_url());
    options.max_connections(1).min_connections(1);
    let connection = Database::connect(options).await.expect("the database answers");
    let begin = if runs_on_postgres() {
        "BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"
    } else {
        "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE"
    };
    if connection.execute_unprepared(begin).await.is_ok() {
        tokio::time::sleep(held).await;
        // The server may have ended the connection by then, and the lock with it.
        let _ = connection.execute_unprepared("COMMIT").await;
    }
    let _ = connection.close().await;
}
