//! Stops a running server: waits for the signal, drains the sessions, and stops all parts in order.

use super::StartupError;
use super::server::RunningServer;
use crate::domain::limits;
use crate::error::Error;
use crate::mailboxes::{ToPresence, send_always};
use crate::work::last_seen;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Waits for SIGTERM or Ctrl-C.
pub async fn wait_for_stop_signal() -> Result<(), StartupError> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => Ok(result?),
    }
}

impl RunningServer {
    /// Stops all parts: first those that accept work, then those that commit it, and the database last.
    pub async fn stop(self, runtime: &Handle) -> Result<(), StartupError> {
        tracing::info!("stopping");
        self.draining.begin();
        self.drain().await;
        self.http.stop(true).await;
        let _ = self.http_task.await;
        let app = self.app.clone();
        runtime.spawn(async move { last_seen::store_last_seen(&app).await }).await.map_err(Error::internal)?;
        // Stop the relay after the last commit. It reads the remaining rows of the log after the next start.
        self.relay.stop().await;
        self.maintenance.stop().await;
        let db = self.app.db().clone();
        runtime.spawn(async move { db.close().await }).await.map_err(Error::internal)?;
        Ok(())
    }

    /// Closes the sessions one after another, and waits until they and the sends have ended, at most
    /// [`limits::DRAIN_TIME`] and one second.
    async fn drain(&self) {
        send_always(&self.presence, ToPresence::Drain(limits::DRAIN_TIME.as_millis() as u64));
        let is_idle = || self.app.presence().session_count() == 0 && self.sends.is_idle();
        let deadline = Instant::now() + limits::DRAIN_TIME + Duration::from_secs(1);
        while !is_idle() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
