//! All callers that ask for the state of the database at the same time get the result of one probe.

use futures_util::FutureExt;
use greenroom::config::WriteConnections;
use greenroom::store::db::pools::{LastBreak, Pools};
use greenroom::store::db::{Db, DbState, Probe, ProbeFuture};
use sea_orm::Database;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// A probe that hangs until the test releases it, and then reports that the database is down.
struct HangingProbe {
    probes: Arc<AtomicUsize>,
    release: Arc<Semaphore>,
}

impl Probe for HangingProbe {
    fn read(&mut self) -> ProbeFuture<'_> {
        self.probes.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            drop(self.release.acquire().await);
            Err(sqlx::Error::WorkerCrashed)
        })
    }

    fn write(&mut self) -> ProbeFuture<'_> {
        Box::pin(async { Err(sqlx::Error::WorkerCrashed) })
    }
}

#[tokio::test]
async fn all_callers_get_the_result_of_one_probe_while_the_database_hangs() {
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
    let (probes, release) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let db =
        Db::new(pools, Box::new(HangingProbe { probes: probes.clone(), release: release.clone() }), Arc::default());
    let mut checks = std::pin::pin!(futures_util::future::join_all((0..20).map(|_| db.check())));
    assert!((&mut checks).now_or_never().is_none(), "all callers wait");
    release.add_permits(1);
    assert_eq!(checks.await, [DbState::Down; 20]);
    assert_eq!(probes.load(Ordering::SeqCst), 1);
}
