//! Starts all parts of the server in order, and stops them in order.
//!
//! The order of the start is: the database, the actors that need no database, the application with their recipients,
//! the writers and readers, and the HTTP server.
//!
//! Tasks that wait for the database run on a separate runtime, so that no connection depends on a thread that is busy
//! writing to sockets. Sockets and sessions run on the workers of the HTTP server. Rooms run on arbiters.

use crate::admission::Admission;
use crate::app::{App, AppParts};
use crate::backends::{self, BackendError};
use crate::cluster::accepted::AcceptedGenerations;
use crate::cluster::attempts::PasswordAttempts;
use crate::cluster::ended::EndedLogins;
use crate::cluster::hashing::HashingQueue;
use crate::cluster::presence::PresenceTable;
use crate::cluster::sign_ins::SignInLimits;
use crate::cluster::typing::TypingTable;
use crate::config::Settings;
use crate::domain::limits;
use crate::domain::tokens::Keys;
use crate::error::Error;
use crate::http::{self, HttpServices, connections::Connections, health::Draining};
use crate::mailboxes::{Committed, Ephemeral, MarkJob, SendJob, ToPresence};
use crate::realtime::hub::Hub;
use crate::realtime::presence::Presence;
use crate::realtime::session::SessionServices;
use crate::realtime::{catch_up, log_reader};
use crate::relay::{self, Relay};
use crate::store::{db::Db, meta, pools::ReadPool};
use crate::supervision::Supervision;
use crate::telemetry;
use crate::usecases::writer::WriterStats;
use crate::usecases::{marks, operator, presence, writer};
use actix::prelude::*;
use actix_web::dev::ServerHandle;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};

/// The capacity of the queue of the marks writer.
const MARKS_QUEUE: usize = 65_536;
/// The time over which the sessions are closed when the server stops.
const DRAIN_TIME: Duration = Duration::from_secs(3);
/// The time after the drain within which requests may end. Then their connections are closed.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(4);

/// The reason why the server does not run, as one line for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartupError(String);

impl From<BackendError> for StartupError {
    fn from(error: BackendError) -> Self {
        Self(error.to_string())
    }
}

impl From<Error> for StartupError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for StartupError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs the server until SIGTERM or Ctrl-C, and then stops all parts in order.
pub fn serve(settings: Settings) -> Result<(), StartupError> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
        .thread_name("database")
        .enable_all()
        .build()?;
    let handle = threads.handle().clone();
    let db = threads.block_on(backends::open(&settings))?;
    let ended = System::new().block_on(run(Arc::new(settings), db, handle));
    threads.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Creates an application without actors, for the commands of the CLI. A running server learns of its commits through
/// the log. The caller must create and use the application inside an actix system.
pub async fn create_offline_app(settings: Settings) -> Result<App, StartupError> {
    let db = backends::open(&settings).await?;
    let (app, _) = create_app(&Arc::new(settings), &db, &Handle::current(), DeliveryTargets::discarding()).await?;
    Ok(app)
}

/// An application for tests and benchmarks in the same process. It has the database and the writers of a server, but no
/// HTTP server, no sockets and no rooms.
pub struct Embedded {
    pub app: App,
    /// The counts of all writers of sends together.
    pub stats: Arc<WriterStats>,
    /// Notified when the log may contain events that were not delivered. In a server the catch-up waits for it.
    pub catch_up: Arc<Notify>,
    maintenance: DatabaseMaintenance,
    relay: Option<Relay>,
}

impl Embedded {
    /// Opens the database of `settings` and starts the writers on `runtime`. A batch has at most `batch_size` sends; in a
    /// server it has [`limits::BATCH_SIZE`]. `deliver` gets the committed events. Without it they are discarded, like
    /// all ephemeral frames. The caller must be inside an actix system.
    pub async fn start(
        settings: Settings,
        runtime: &Handle,
        batch_size: usize,
        deliver: Option<Recipient<Committed>>,
    ) -> Result<Self, StartupError> {
        let settings = Arc::new(settings);
        let db_settings = settings.clone();
        let db = runtime.spawn(async move { backends::open(&db_settings).await }).await.map_err(Error::internal)??;
        let discarding = DeliveryTargets::discarding();
        let targets = DeliveryTargets { deliver: deliver.unwrap_or(discarding.deliver), ..discarding };
        let catch_up = targets.catch_up.clone();
        let (app, queues) = create_app(&settings, &db, runtime, targets).await?;
        let stats = Arc::new(WriterStats::default());
        start_writers(&app, queues, batch_size.max(1), &stats);
        start_database_watch(&app);
        let maintenance = DatabaseMaintenance::start(&app);
        Ok(Self { app, stats, catch_up, maintenance, relay: None })
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

/// The recipients of the events and frames of an application.
struct DeliveryTargets {
    deliver: Recipient<Committed>,
    ephemeral: Recipient<Ephemeral>,
    catch_up: Arc<Notify>,
    supervision: Supervision,
}

impl DeliveryTargets {
    /// Returns recipients that discard everything.
    fn discarding() -> Self {
        let discard = DiscardActor.start();
        let (deliver, ephemeral) = (discard.clone().recipient(), discard.recipient());
        Self { deliver, ephemeral, catch_up: Arc::default(), supervision: Supervision::default() }
    }
}

/// The queues of the writers.
struct WriterQueues {
    writers: Vec<mpsc::Sender<SendJob>>,
    sends: Vec<mpsc::Receiver<SendJob>>,
    marks: mpsc::Receiver<MarkJob>,
}

/// Creates the application and the queues of its writers. Tasks that wait for the database run on `runtime`.
async fn create_app(
    settings: &Arc<Settings>,
    db: &Db,
    runtime: &Handle,
    targets: DeliveryTargets,
) -> Result<(App, WriterQueues), StartupError> {
    let (writers, sends): (Vec<_>, Vec<_>) =
        (0..writer_count(settings)).map(|_| mpsc::channel(limits::WRITER_QUEUE)).unzip();
    let (marks, marks_queue) = mpsc::channel(MARKS_QUEUE);
    let meta_db = db.clone();
    let plain_until = runtime.spawn(async move { meta::plain_tokens_until(meta_db.read(ReadPool::Ordinary)).await });
    let plain_until = plain_until.await.map_err(Error::internal)?.map_err(Error::from)?;
    let app = App::new(AppParts {
        keys: keys(settings)?.accept_plain_until(plain_until),
        admission: Admission::new(&settings.limits),
        accepted: AcceptedGenerations::default(),
        ended_logins: EndedLogins::default(),
        attempts: Arc::new(PasswordAttempts::new(settings.limits.auth_per_minute)),
        sign_in_limits: SignInLimits::new(settings.limits.auth_per_minute),
        hashing: HashingQueue::new(std::thread::available_parallelism().map_or(1, usize::from)),
        settings: settings.clone(),
        db: db.clone(),
        presence: PresenceTable::default(),
        typing: TypingTable::default(),
        writers: writers.clone(),
        marks,
        deliver: targets.deliver,
        ephemeral: targets.ephemeral,
        catch_up: targets.catch_up,
        supervision: targets.supervision,
        log_grew: Arc::default(),
        runtime: runtime.clone(),
    });
    Ok((app, WriterQueues { writers, sends, marks: marks_queue }))
}

fn keys(settings: &Settings) -> Result<Keys, StartupError> {
    let secret = backends::secrets::jwt_secret(settings)?;
    let secondary = settings.auth.jwt_secret_secondary.as_ref().map(|secret| secret.expose().as_bytes());
    Ok(Keys::new(secret.expose().as_bytes(), secondary))
}

/// Discards the events and frames of an application that has no rooms.
struct DiscardActor;

impl Actor for DiscardActor {
    type Context = Context<Self>;
}

impl Handler<Committed> for DiscardActor {
    type Result = ();

    fn handle(&mut self, _: Committed, _: &mut Self::Context) {}
}

impl Handler<Ephemeral> for DiscardActor {
    type Result = ();

    fn handle(&mut self, _: Ephemeral, _: &mut Self::Context) {}
}

async fn run(settings: Arc<Settings>, db: Db, runtime: Handle) -> Result<(), StartupError> {
    let catch_up = Arc::new(Notify::new());
    let (log_reads, log_queue) = mpsc::channel(log_reader::WAITING_READS);
    let (room_arbiter, hub_arbiter) = (Arbiter::new(), Arbiter::new());
    let (room_handle, hub_catch_up) = (room_arbiter.handle(), catch_up.clone());
    let supervision = Supervision::default();
    let hub_supervision = supervision.clone();
    let hub = Hub::start_in_arbiter(&hub_arbiter.handle(), move |_| {
        Hub::new(vec![room_handle], log_reads, hub_catch_up, &hub_supervision)
    });

    let (deliver, ephemeral) = (hub.clone().recipient(), hub.clone().recipient());
    let targets = DeliveryTargets { deliver, ephemeral, catch_up: catch_up.clone(), supervision };
    let (app, queues) = create_app(&settings, &db, &runtime, targets).await?;
    let writers = queues.writers.clone();
    let presence = {
        let app = app.clone();
        Presence::start_in_arbiter(&hub_arbiter.handle(), move |_| Presence::new(app))
    };
    start_writers(&app, queues, limits::BATCH_SIZE, &Arc::default());
    runtime.spawn(log_reader::run(app.clone(), log_queue));
    let outlet = catch_up::CatchUpHub { heads: hub.clone().recipient(), open_streams: hub.clone().recipient() };
    runtime.spawn(catch_up::run(app.clone(), outlet, catch_up));
    runtime.spawn(catch_up::end_rooms_on_new_epoch(app.clone(), hub.clone().recipient()));
    start_database_watch(&app);
    let maintenance = DatabaseMaintenance::start(&app);
    let relay = relay::start(&app);
    operator::log_lost_emails(&app).await?;
    if let Some(admin) = &settings.admin {
        operator::ensure_admin(&app, &admin.username, admin.password.expose()).await?;
    }

    let draining = Draining::default();
    let sessions = SessionServices { app: app.clone(), hub: hub.recipient(), presence: presence.clone().recipient() };
    let services = HttpServices { sessions, draining: draining.clone() };
    let max_connections = backends::descriptors::max_connections();
    let connections = Connections::new(max_connections);
    actix::spawn(connections.clone().close_idle(app.supervision().part("connections")));
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let (server, address) = http::server::listen(address, services, connections, max_connections, SHUTDOWN_TIMEOUT)
        .map_err(|error| {
            StartupError(format!(
                "The server cannot listen on {address}: {error}. Change GREENROOM_HOST or GREENROOM_PORT, or stop the \
                 program that uses this port."
            ))
        })?;
    print_address(&settings, address);
    let server_handle = server.handle();
    let server_task = actix::spawn(server);
    wait_for_stop_signal().await?;

    tracing::info!("stopping");
    draining.begin();
    drain(&app, &presence, &server_handle, &writers).await;
    let _ = server_task.await;
    let presence_app = app.clone();
    runtime.spawn(async move { presence::store_last_seen(&presence_app).await }).await.map_err(Error::internal)?;
    // Stop the relay after the last commit. It reads the remaining rows of the log after the next start.
    relay.stop().await;
    maintenance.stop().await;
    runtime.spawn(async move { db.close().await }).await.map_err(Error::internal)?;
    Ok(())
}

/// Returns the number of writers of sends: 1 for SQLite, otherwise the number of the settings.
fn writer_count(settings: &Settings) -> usize {
    if settings.database.is_sqlite() { 1 } else { settings.database.writers.max(1) }
}

/// Starts the writers of sends, which count in `stats`, the marks writer, and the task that stores when users were last
/// seen.
fn start_writers(app: &App, queues: WriterQueues, batch_size: usize, stats: &Arc<WriterStats>) {
    for queue in queues.sends {
        app.spawn(writer::run(app.clone(), queue, batch_size, stats.clone()));
    }
    app.spawn(marks::run(app.clone(), queues.marks));
    app.spawn(presence::run(app.clone()));
}

/// Starts the task that probes an unreachable database until it answers again.
fn start_database_watch(app: &App) {
    let (db, part) = (app.db().clone(), app.supervision().part("database_watch"));
    app.spawn(async move { while part.run(db.watch()).await.is_err() {} });
}

/// The task of a backend that maintains the database, such as the checkpoints of SQLite.
struct DatabaseMaintenance {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl DatabaseMaintenance {
    fn start(app: &App) -> Self {
        let (stop, mut stop_receiver) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let (app, part) = (app.clone(), app.supervision().part("database_tending"));
        app.clone().spawn(async move {
            let maintain = async |stop: &mut oneshot::Receiver<()>| {
                let stop = async { drop(stop.await) };
                if let Err(error) = backends::maintain(app.settings(), app.db(), app.supervision(), stop).await {
                    tracing::error!(%error, "the maintenance of the database ended; restart the server");
                }
            };
            while part.run(maintain(&mut stop_receiver)).await.is_err() && !stop_receiver.is_terminated() {}
            let _ = done.send(());
        });
        Self { stop, stopped }
    }

    /// Stops the task and waits for its end. Call this after the last commit.
    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.stopped.await;
    }
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

async fn wait_for_stop_signal() -> Result<(), StartupError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => Ok(result?),
    }
}

/// Closes the sessions one after another, waits until they and the queued sends have ended, and stops the HTTP server.
async fn drain(app: &App, presence: &Addr<Presence>, server: &ServerHandle, writers: &[mpsc::Sender<SendJob>]) {
    presence.do_send(ToPresence::Drain(DRAIN_TIME.as_millis() as u64)); // detach
    let idle =
        || app.presence().session_count() == 0 && writers.iter().all(|queue| queue.capacity() == queue.max_capacity());
    let deadline = tokio::time::Instant::now() + DRAIN_TIME + Duration::from_secs(1);
    while !idle() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop(true).await;
}
