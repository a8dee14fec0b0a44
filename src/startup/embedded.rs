//! An application without a server, for programs that call the use cases themselves: the commands of the CLI, tests and
//! benchmarks.

use super::StartupError;
use super::maintenance::DatabaseMaintenance;
use super::wiring::{bus_without_rooms, create_app, start_database_tasks};
use crate::app::App;
use crate::backends;
use crate::cluster::catch_up::CatchUpSchedule;
use crate::config::Settings;
use crate::error::Error;
use crate::mailboxes::{Committed, Ephemeral};
use crate::relay::{self, Relay};
use crate::supervision::Supervision;
use crate::work::writer_stats::WriterStats;
use actix::prelude::Recipient;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Creates an application without actors, for the commands of the CLI. A running server learns of its commits through
/// the log. The caller must create and use the application inside an actix system.
pub async fn create_offline_app(settings: Settings) -> Result<App, StartupError> {
    let db = backends::open(&settings).await?;
    let (bus, supervision) = (bus_without_rooms(None), Supervision::default());
    let (app, _) = create_app(&Arc::new(settings), &db, &Handle::current(), bus, supervision).await?;
    Ok(app)
}

/// An application for tests and benchmarks in the same process. It has the database and the writers of a server, but no
/// HTTP server, no sockets and no rooms.
pub struct Embedded {
    pub app: App,
    /// The counts of all writers of sends together.
    pub stats: Arc<WriterStats>,
    /// Woken when the log may contain events that were not delivered. In a server the catch-up waits for it.
    pub catch_up_schedule: CatchUpSchedule,
    maintenance: DatabaseMaintenance,
    relay: Option<Relay>,
}

impl Embedded {
    /// Opens the database of `settings` and starts the writers on `runtime`. A batch has at most `batch_size` sends; in
    /// a server it has [`limits::BATCH_SIZE`](crate::domain::limits::BATCH_SIZE). `deliver` gets the committed events
    /// and the ephemeral frames. If it is `None`, they are discarded. The caller must be inside an actix system.
    pub async fn start(
        settings: Settings,
        runtime: &Handle,
        batch_size: usize,
        deliver: Option<(Recipient<Committed>, Recipient<Ephemeral>)>,
    ) -> Result<Self, StartupError> {
        let settings = Arc::new(settings);
        let db_settings = settings.clone();
        let db = runtime.spawn(async move { backends::open(&db_settings).await }).await.map_err(Error::internal)??;
        let bus = bus_without_rooms(deliver);
        let catch_up_schedule = bus.catch_up_schedule().clone();
        let (app, queues) = create_app(&settings, &db, runtime, bus, Supervision::default()).await?;
        let stats = Arc::new(WriterStats::default());
        let maintenance = start_database_tasks(&app, queues, batch_size.max(1), &stats);
        Ok(Self { app, stats, catch_up_schedule, maintenance, relay: None })
    }

    /// Starts the relay, as in a server. Without it, no reader follows the log.
    pub fn start_relay(&mut self) {
        self.relay.get_or_insert_with(|| relay::start(&self.app));
    }

    /// Closes the database. The caller must have received all answers that it needs.
    pub async fn stop(self) {
        if let Some(relay) = self.relay {
            relay.stop().await;
        }
        self.maintenance.stop().await;
        self.app.db().close().await;
    }
}
