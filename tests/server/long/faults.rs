//! The faults of a long run: a process is killed, connections break, another client locks the database, or the disk
//! under SQLite refuses commits.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database};

use crate::support::database::runs_on_postgres;
use crate::support::disk::limit_files;
use crate::support::{Random, TestServer};

/// Causes one fault, which the seed chooses, and ends it. Some rounds have no fault and only pass time.
pub async fn cause_one(servers: &mut [TestServer], random: &mut Random) {
    let index = random.between(0, servers.len() as u64) as usize;
    let duration = Duration::from_millis(random.between(100, 8_000));
    match random.between(0, 4) {
        0 => {
            servers[index].kill();
            servers[index].restart().await;
        }
        1 => lock(&servers[index], duration).await,
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
            tokio::time::sleep(duration).await;
            limit_files(&servers[index], "unlimited");
        }
    }
}

/// Holds a lock during which no send can commit.
async fn lock(server: &TestServer, duration: Duration) {
    let mut options = ConnectOptions::new(server.database_url());
    options.max_connections(1).min_connections(1);
    let connection = Database::connect(options).await.expect("the database answers");
    let begin = if runs_on_postgres() {
        "BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"
    } else {
        "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE"
    };
    if connection.execute_unprepared(begin).await.is_ok() {
        tokio::time::sleep(duration).await;
        // The server may have ended the connection in the meantime, and the lock with it.
        let _ = connection.execute_unprepared("COMMIT").await;
    }
    let _ = connection.close().await;
}
