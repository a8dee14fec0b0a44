//! Stores when users were last seen, for all users of a second together.

use super::transact::write_as_server;
use crate::app::App;
use crate::store::db::write_queue::ServerWriter;
use crate::store::sessions;
use crate::telemetry;
use std::time::Duration;

/// Stores every second when users were last seen, for all of them together. This is no event and changes no stream.
/// Never returns.
pub async fn run(app: App) {
    let part = app.supervision().part("last_seen");
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = part.catch_panic_in(store_last_seen(&app)).await;
    }
}

/// Stores the times that are not stored yet.
pub async fn store_last_seen(app: &App) {
    let seen = app.last_seen().take();
    if seen.is_empty() {
        return;
    }
    let written =
        write_as_server(app, ServerWriter::System, async |conn| Ok(sessions::update_last_seen(conn, &seen).await?));
    if let Err(error) = written.await {
        telemetry::log_failure!(warn, error, users = seen.len(), "storing when users were last seen failed");
    }
}
