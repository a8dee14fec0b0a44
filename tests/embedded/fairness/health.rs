//! Whoever asks how the database is waits for no other who asks.

use futures_util::FutureExt;
use greenroom::config::WriteConnections;
use greenroom::store::db::pools::{LastBreak, Pools};
use greenroom::store::db::{Db, DbState, Probe, ProbeFuture};
use sea_orm::Database;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// A database that answers nobody until it is let go, and then says that it is gone.
struct Hanging {
    asked: Arc<AtomicUsize>,
    end: Arc<Semaphore>,
}

impl Probe for Hanging {
    fn read(&mut self) -> ProbeFuture<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            drop(self.end.acquire().await);
            Err(sqlx::Error::WorkerCrashed)
        })
    }

    fn write(&mut self) -> ProbeFuture<'_> {
        Box::pin(async { Err(sqlx::Error::WorkerCrashed) })
    }
}

#[tokio::test]
async fn all_who_ask_while_the_database_hangs_have_one_answer() {
    let pool = Database::connect("sqlite::memory:").await.unwrap();
    let pools = Pools {
        write: pool.clone(),
        authentication: pool.clone(),
        ordinary: pool.clone(),
        log: pool.clone(),
        heavy: pool,
        writing: WriteConnections { server: 1, users: 1 },
        max_heavy_reads: 1,
        last_break: LastBreak::default(),
    };
    let (asked, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let db = Db::new(pools, Box::new(Hanging { asked: asked.clone(), end: end.clone() }), Arc::default());
    let mut looks = std::pin::pin!(futures_util::future::join_all((0..20).map(|_| db.check())));
    assert!((&mut looks).now_or_never().is_none(), "all of them wait");
    end.add_permits(1);
    assert_eq!(looks.await, [DbState::Down; 20]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
