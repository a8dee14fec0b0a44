//! Wiring and orderly stop. Everything is built in the order in which it is needed: the database, actors that need no
//! database, the application that holds their recipients, the writers and readers, and last the door.
//!
//! Two kinds of threads: what waits for the database runs on a runtime of its own, so that no connection depends on a
//! thread that is busy writing to sockets; sockets and sessions run on the workers of the HTTP server, rooms on arbiters.

use crate::admission::Admission;
use crate::app::{App, Parts};
use crate::backends::{self, BackendError};
use crate::cluster::accepted::AcceptedBook;
use crate::cluster::attempts::AttemptBook;
use crate::cluster::ended::EndedLogins;
use crate::cluster::hashing::HashingQueue;
use crate::cluster::presence::PresenceBook;
use crate::cluster::sign_ins::SignInLimits;
use crate::cluster::typing::TypingBook;
use crate::config::Settings;
use crate::domain::limits;
use crate::domain::tokens::Keys;
use crate::error::Error;
use crate::http::{self, Services, connections::Connections, health::Draining};
use crate::mailboxes::{Committed, Ephemeral, MarkJob, SendJob, ToPresence};
use crate::realtime::hub::Hub;
use crate::realtime::presence::Presence;
use crate::realtime::session::Surroundings;
use crate::realtime::{catch_up, log_reader};
use crate::relay::{self, Relay};
use crate::store::{db::Db, meta, pools::Share};
use crate::supervision::Supervision;
use crate::telemetry;
use crate::usecases::writer::Stats;
use crate::usecases::{marks, operator, presence, writer};
use actix::prelude::*;
use actix_web::dev::ServerHandle;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};

/// Marks that wait for their writer.
const MARKS_QUEUE: usize = 65_536;
/// Sessions are closed over this long when the server stops.
const DRAIN: Duration = Duration::from_secs(3);
/// What has not ended by itself within this after the drain is cut.
const LAST_CALL: Duration = Duration::from_secs(4);

/// Why the server does not run, in one line for the operator.
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

/// Serves until SIGTERM or Ctrl-C, then stops in order.
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

/// An application without actors, for commands: what it commits a running server hears of through the log. It must be
/// called, and used, inside an actix system.
pub async fn offline(settings: Settings) -> Result<App, StartupError> {
    let db = backends::open(&settings).await?;
    let (app, _) = assemble(&Arc::new(settings), &db, &Handle::current(), Outlets::nowhere()).await?;
    Ok(app)
}

/// An application that is used from within this process, by tests and benchmarks: the real database and the real writers,
/// but no door, no sockets and no rooms.
pub struct Embedded {
    /// The application; its use cases do what they do in a server.
    pub app: App,
    /// What its writers of sends have done, all together.
    pub stats: Arc<Stats>,
    /// Notified when the log may hold what was not delivered; a server's catch-up waits for it.
    pub catch_up: Arc<Notify>,
    tending: Tending,
    relay: Option<Relay>,
}

impl Embedded {
    /// Opens the database of `settings` and starts the writers on `runtime`. A batch of sends has at most `batch` of them
    /// (a server's has [`limits::BATCH`]). What is committed goes to `deliver`, or nowhere; frames without a revision go
    /// nowhere. It must be called inside an actix system.
    pub async fn start(
        settings: Settings,
        runtime: &Handle,
        batch: usize,
        deliver: Option<Recipient<Committed>>,
    ) -> Result<Self, StartupError> {
        let settings = Arc::new(settings);
        let opening = settings.clone();
        let db = runtime.spawn(async move { backends::open(&opening).await }).await.map_err(Error::internal)??;
        let nowhere = Outlets::nowhere();
        let outlets = Outlets { deliver: deliver.unwrap_or(nowhere.deliver), ..nowhere };
        let catch_up = outlets.catch_up.clone();
        let (app, queues) = assemble(&settings, &db, runtime, outlets).await?;
        let stats = Arc::new(Stats::default());
        work(&app, queues, batch.max(1), &stats);
        watch(&app);
        let tending = Tending::start(&app);
        Ok(Self { app, stats, catch_up, tending, relay: None })
    }

    /// Starts the relay, which a server always has; without it nothing reads the log but who asks.
    pub fn start_relay(&mut self) {
        self.relay.get_or_insert_with(|| relay::start(&self.app));
    }

    /// Closes the database, after the last answer that matters to the caller.
    pub async fn stop(self) {
        if let Some(relay) = self.relay {
            relay.stop().await;
        }
        self.tending.stop().await;
        self.app.db().close().await;
    }
}

/// What an application hands its commits to.
struct Outlets {
    deliver: Recipient<Committed>,
    ephemeral: Recipient<Ephemeral>,
    catch_up: Arc<Notify>,
    supervision: Supervision,
}

impl Outlets {
    /// Nobody is told.
    fn nowhere() -> Self {
        let nowhere = Nowhere.start();
        let (deliver, ephemeral) = (nowhere.clone().recipient(), nowhere.recipient());
        Self { deliver, ephemeral, catch_up: Arc::default(), supervision: Supervision::default() }
    }
}

/// What waits for the writers, and the ends that fill it.
struct Queues {
    writers: Vec<mpsc::Sender<SendJob>>,
    sends: Vec<mpsc::Receiver<SendJob>>,
    marks: mpsc::Receiver<MarkJob>,
}

/// Puts the application together. What waits for the database runs on `runtime`.
async fn assemble(
    settings: &Arc<Settings>,
    db: &Db,
    runtime: &Handle,
    outlets: Outlets,
) -> Result<(App, Queues), StartupError> {
    let (writers, sends): (Vec<_>, Vec<_>) =
        (0..writers(settings)).map(|_| mpsc::channel(limits::WRITER_QUEUE)).unzip();
    let (marks, marks_queue) = mpsc::channel(MARKS_QUEUE);
    let asked = db.clone();
    let plain_until = runtime.spawn(async move { meta::plain_tokens_until(asked.read(Share::Ordinary)).await });
    let plain_until = plain_until.await.map_err(Error::internal)?.map_err(Error::from)?;
    let app = App::new(Parts {
        keys: keys(settings)?.taking_plain_until(plain_until),
        admission: Admission::new(&settings.limits),
        accepted: AcceptedBook::default(),
        ended_logins: EndedLogins::default(),
        attempts: Arc::new(AttemptBook::new(settings.limits.auth_per_minute)),
        sign_in_limits: SignInLimits::new(settings.limits.auth_per_minute),
        hashing: HashingQueue::new(std::thread::available_parallelism().map_or(1, usize::from)),
        settings: settings.clone(),
        db: db.clone(),
        presence: PresenceBook::default(),
        typing: TypingBook::default(),
        writers: writers.clone(),
        marks,
        deliver: outlets.deliver,
        ephemeral: outlets.ephemeral,
        catch_up: outlets.catch_up,
        supervision: outlets.supervision,
        log_grew: Arc::default(),
        runtime: runtime.clone(),
    });
    Ok((app, Queues { writers, sends, marks: marks_queue }))
}

fn keys(settings: &Settings) -> Result<Keys, StartupError> {
    let secret = backends::secrets::jwt_secret(settings)?;
    let secondary = settings.auth.jwt_secret_secondary.as_ref().map(|secret| secret.expose().as_bytes());
    Ok(Keys::new(secret.expose().as_bytes(), secondary))
}

/// Where an application without actors delivers.
struct Nowhere;

impl Actor for Nowhere {
    type Context = Context<Self>;
}

impl Handler<Committed> for Nowhere {
    type Result = ();

    fn handle(&mut self, _: Committed, _: &mut Self::Context) {}
}

impl Handler<Ephemeral> for Nowhere {
    type Result = ();

    fn handle(&mut self, _: Ephemeral, _: &mut Self::Context) {}
}

async fn run(settings: Arc<Settings>, db: Db, runtime: Handle) -> Result<(), StartupError> {
    let catch_up = Arc::new(Notify::new());
    let (log, log_queue) = mpsc::channel(log_reader::WAITING);
    let (halls, lobby) = (Arbiter::new(), Arbiter::new());
    let (hall, wake) = (halls.handle(), catch_up.clone());
    let supervision = Supervision::default();
    let of_hub = supervision.clone();
    let hub = Hub::start_in_arbiter(&lobby.handle(), move |_| Hub::new(vec![hall], log, wake, &of_hub));

    let (deliver, ephemeral) = (hub.clone().recipient(), hub.clone().recipient());
    let outlets = Outlets { deliver, ephemeral, catch_up: catch_up.clone(), supervision };
    let (app, queues) = assemble(&settings, &db, &runtime, outlets).await?;
    let writers = queues.writers.clone();
    let registry = {
        let app = app.clone();
        Presence::start_in_arbiter(&lobby.handle(), move |_| Presence::new(app))
    };
    work(&app, queues, limits::BATCH, &Arc::default());
    runtime.spawn(log_reader::run(app.clone(), log_queue));
    let outlet = catch_up::Outlet { hear: hub.clone().recipient(), rooms: hub.clone().recipient() };
    runtime.spawn(catch_up::run(app.clone(), outlet, catch_up));
    runtime.spawn(catch_up::follow_history(app.clone(), hub.clone().recipient()));
    watch(&app);
    let tending = Tending::start(&app);
    let relay = relay::start(&app);
    operator::name_lost_emails(&app).await?;
    if let Some(admin) = &settings.admin {
        operator::ensure_admin(&app, &admin.username, admin.password.expose()).await?;
    }

    let draining = Draining::default();
    let around = Surroundings { app: app.clone(), hub: hub.recipient(), presence: registry.clone().recipient() };
    let services = Services { around, draining: draining.clone() };
    let most = backends::descriptors::connections();
    let connections = Connections::new(most);
    actix::spawn(connections.clone().sweep(app.supervision().part("connections")));
    let address = SocketAddr::new(settings.server.host, settings.server.port);
    let (server, address) = http::server::listen(address, services, connections, most, LAST_CALL)
        .map_err(|error| StartupError(format!("cannot listen on {address}: {error}")))?;
    announce(&settings, address);
    let door = server.handle();
    let serving = actix::spawn(server);
    stop_signal().await?;

    tracing::info!("stopping");
    draining.begin();
    drain(&app, &registry, &door, &writers).await;
    let _ = serving.await;
    let last = app.clone();
    runtime.spawn(async move { presence::write_down(&last).await }).await.map_err(Error::internal)?;
    // after the last commit: what it did not read any more, the next start reads
    relay.stop().await;
    tending.stop().await;
    runtime.spawn(async move { db.close().await }).await.map_err(Error::internal)?;
    Ok(())
}

/// SQLite has one writer; PostgreSQL as many as were asked for.
fn writers(settings: &Settings) -> usize {
    if settings.database.is_sqlite() { 1 } else { settings.database.writers.max(1) }
}

/// Starts the writers of sends, which count in `stats`, and that of marks.
fn work(app: &App, queues: Queues, batch: usize, stats: &Arc<Stats>) {
    for queue in queues.sends {
        app.spawn(writer::run(app.clone(), queue, batch, stats.clone()));
    }
    app.spawn(marks::run(app.clone(), queues.marks));
    app.spawn(presence::keep(app.clone()));
}

/// Keeps asking for a database that went away.
fn watch(app: &App) {
    let (db, part) = (app.db().clone(), app.supervision().part("database_watch"));
    app.spawn(async move { while part.run(db.watch()).await.is_err() {} });
}

/// What tends the database beside the application.
struct Tending {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
}

impl Tending {
    fn start(app: &App) -> Self {
        let (stop, mut stopping) = oneshot::channel();
        let (done, stopped) = oneshot::channel();
        let (app, part) = (app.clone(), app.supervision().part("database_tending"));
        app.clone().spawn(async move {
            let begin = async |stop: &mut oneshot::Receiver<()>| {
                let stop = async { drop(stop.await) };
                if let Err(error) = backends::tend(app.settings(), app.db(), app.supervision(), stop).await {
                    tracing::error!(%error, "nobody tends the database any more");
                }
            };
            while part.run(begin(&mut stopping)).await.is_err() && !stopping.is_terminated() {}
            let _ = done.send(());
        });
        Self { stop, stopped }
    }

    /// Stops it and waits until it has: after the last commit.
    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.stopped.await;
    }
}

/// The address is what a person who starts the server waits for.
fn announce(settings: &Settings, address: SocketAddr) {
    tracing::info!(%address, node = settings.node_id, "listening");
    let line = match &settings.server.public_url {
        Some(url) => format!("Greenroom is open at {url} (listening on http://{address})\n"),
        None => format!("Greenroom is open at http://{address}\n"),
    };
    telemetry::answers().line(line.as_bytes());
}

async fn stop_signal() -> Result<(), StartupError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
    }
}

/// Closes sessions one after another, lets what is under way finish, and shuts the door.
async fn drain(app: &App, presence: &Addr<Presence>, door: &ServerHandle, writers: &[mpsc::Sender<SendJob>]) {
    presence.do_send(ToPresence::Drain(DRAIN.as_millis() as u64)); // detach
    let idle =
        || app.presence().sessions() == 0 && writers.iter().all(|queue| queue.capacity() == queue.max_capacity());
    let last_call = tokio::time::Instant::now() + DRAIN + Duration::from_secs(1);
    while !idle() && tokio::time::Instant::now() < last_call {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    door.stop(true).await;
}
