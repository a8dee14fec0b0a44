//! The running server: its parts start in the order in which they need each other.

use super::StartupError;
use super::maintenance::DatabaseMaintenance;
use super::wiring::{create_app, start_database_tasks};
use crate::app::App;
use crate::backends;
use crate::cluster::bus::Bus;
use crate::cluster::catch_up::CatchUpSchedule;
use crate::config::Settings;
use crate::domain::limits;
use crate::http::{self, HttpServices, connections::Connections, health::Draining};
use crate::mailboxes::{SendSender, ToPresence};
use crate::realtime::hub::Hub;
use crate::realtime::presence::Presence;
use crate::realtime::session::SessionServices;
use crate::realtime::{catch_up, log_reader};
use crate::relay::{self, Relay};
use crate::store::db::Db;
use crate::supervision::Supervision;
use crate::telemetry;
use crate::usecases::operator;
use actix::prelude::*;
use actix_web::dev::{Server, ServerHandle};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A server that answers requests. [`RunningServer::stop`] stops its parts in order.
pub struct RunningServer {
    pub(super) app: App,
    /// The queue of sends. The server stops when it is empty.
    pub(super) sends: SendSender,
    pub(super) presence: Recipient<ToPresence>,
    pub(super) relay: Relay,
    pub(super) maintenance: DatabaseMaintenance,
    pub(super) draining: Draining,
    pub(super) http: ServerHandle,
    pub(super) http_task: JoinHandle<std::io::Result<()>>,
}

impl RunningServer {
    /// Starts all parts: the hub, the application with its recipients, the writers and readers, and the HTTP server.
    /// Must be called inside an actix system.
    pub async fn start(settings: Arc<Settings>, db: &Db, runtime: &Handle) -> Result<Self, StartupError> {
        let catch_up_schedule = CatchUpSchedule::default();
        let (log_reads, log_queue) = mpsc::channel(limits::WAITING_LOG_READS);
        let (room_arbiter, hub_arbiter) = (Arbiter::new(), Arbiter::new());
        let (room_handle, hub_schedule) = (room_arbiter.handle(), catch_up_schedule.clone());
        let supervision = Supervision::default();
        let hub_supervision = supervision.clone();
        let hub = Hub::start_in_arbiter(&hub_arbiter.handle(), move |_| {
            Hub::new(vec![room_handle], log_reads, hub_schedule, &hub_supervision)
        });

        let bus = Bus::new(hub.clone().recipient(), hub.clone().recipient(), catch_up_schedule.clone());
        let (app, queues) = create_app(&settings, db, runtime, bus, supervision).await?;
        let sends = queues.sends.clone();
        let presence = {
            let app = app.clone();
            Presence::start_in_arbiter(&hub_arbiter.handle(), move |_| Presence::new(app)).recipient()
        };
        let maintenance = start_database_tasks(&app, queues, limits::BATCH_SIZE, &Arc::default());
        runtime.spawn(log_reader::run(app.clone(), log_queue));
        let outlet = catch_up::CatchUpHub { heads: hub.clone().recipient(), open_streams: hub.clone().recipient() };
        runtime.spawn(catch_up::run(app.clone(), outlet, catch_up_schedule));
        runtime.spawn(catch_up::end_rooms_on_new_epoch(app.clone(), hub.clone().recipient()));
        let relay = relay::start(&app);
        operator::log_lost_emails(&app).await?;
        if let Some(admin) = &settings.admin {
            operator::ensure_admin(&app, &admin.username, admin.password.expose()).await?;
        }

        let draining = Draining::default();
        let sessions = SessionServices { app: app.clone(), hub: hub.recipient(), presence: presence.clone() };
        let server = listen(&settings, HttpServices { sessions, draining: draining.clone() })?;
        let http = server.handle();
        let http_task = actix::spawn(server);
        Ok(Self { app, sends, presence, relay, maintenance, draining, http, http_task })
    }
}

/// Opens the port and prints its address. The server answers when it is polled.
fn listen(settings: &Settings, services: HttpServices) -> Result<Server, StartupError> {
    let max_connections = backends::descriptors::max_connections();
    let connections = Connections::new(max_connections);
    actix::spawn(connections.clone().close_idle(services.sessions.app.supervision().part("connections")));
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let (server, address) = http::server::listen(address, services, connections, max_connections).map_err(|error| {
        StartupError::new(format_args!(
            "The server cannot listen on {address}: {error}. Change GREENROOM_HOST or GREENROOM_PORT, or stop the \
             program that uses this port."
        ))
    })?;
    print_address(settings, address);
    Ok(server)
}

/// Logs the address, and prints it for the operator who has started the server.
fn print_address(settings: &Settings, address: SocketAddr) {
    tracing::info!(%address, node = settings.node_id, "listening");
    let line = match &settings.server.public_url {
        Some(url) => format!("Greenroom is open at {url} (listening on http://{address})\n"),
        None => format!("Greenroom is open at http://{address}\n"),
    };
    telemetry::standard_output().write_line(line.as_bytes());
}
