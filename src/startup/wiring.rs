//! Creates the application from its fields, and starts the tasks that work for it on the runtime of the database.

use super::StartupError;
use super::maintenance::DatabaseMaintenance;
use crate::admission::Admission;
use crate::app::{App, AppFields, DatabaseFields, DeliveryFields, LiveStateFields, SignInFields};
use crate::backends;
use crate::cluster::accepted::AcceptedGenerations;
use crate::cluster::attempts::PasswordLimits;
use crate::cluster::bus::Bus;
use crate::cluster::catch_up::CatchUpSchedule;
use crate::cluster::ended::EndedLogins;
use crate::cluster::hashing::HashingQueue;
use crate::cluster::last_seen::LastSeenTimes;
use crate::cluster::presence::PresenceTable;
use crate::cluster::sign_ins::SignInLimits;
use crate::cluster::typing::TypingTable;
use crate::config::Settings;
use crate::domain::limits;
use crate::domain::tokens::Keys;
use crate::error::Error;
use crate::mailboxes::{Committed, Ephemeral, MarkJob, SendJob, SendSender};
use crate::store::db::Db;
use crate::store::db::pools::ReadPool;
use crate::store::meta;
use crate::supervision::Supervision;
use crate::work::writer::{self, WriterLimits};
use crate::work::writer_stats::WriterStats;
use crate::work::{last_seen, marks_writer};
use actix::prelude::*;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// The queues of sends and marks, until the writers take their receivers.
pub struct WriterQueues {
    /// The sender of the queue of sends, which the application fills.
    pub sends: SendSender,
    send_receiver: mpsc::UnboundedReceiver<SendJob>,
    mark_receiver: mpsc::Receiver<MarkJob>,
}

/// Creates the application and the queues of its writers. It delivers over `bus`. Tasks that wait for the database run
/// on `runtime`.
pub async fn create_app(
    settings: &Arc<Settings>,
    db: &Db,
    runtime: &Handle,
    bus: Bus,
    supervision: Supervision,
) -> Result<(App, WriterQueues), StartupError> {
    let (sends, send_receiver) = SendSender::new(limits::WRITER_QUEUE);
    let (marks, mark_receiver) = mpsc::channel(limits::MARKS_QUEUE);
    let meta_db = db.clone();
    let plain_until = runtime.spawn(async move { meta::plain_tokens_until(meta_db.read(ReadPool::Ordinary)).await });
    let plain_until = plain_until.await.map_err(Error::internal)?.map_err(Error::from)?;
    let app = App::new(AppFields {
        settings: settings.clone(),
        admission: Admission::new(&settings.limits),
        supervision,
        data: DatabaseFields { db: db.clone(), runtime: runtime.clone() },
        delivery: DeliveryFields { sends: sends.clone(), marks, bus, log_grew: Arc::default() },
        sign_in: SignInFields {
            keys: keys(settings)?.accept_plain_until(plain_until),
            accepted: AcceptedGenerations::default(),
            ended_logins: EndedLogins::default(),
            password_limits: Arc::new(PasswordLimits::new(settings.limits.auth_per_minute)),
            limits: SignInLimits::new(settings.limits.auth_per_minute),
            hashing: HashingQueue::new(std::thread::available_parallelism().map_or(1, usize::from)),
        },
        live_state: LiveStateFields {
            presence: PresenceTable::default(),
            last_seen: LastSeenTimes::default(),
            typing: TypingTable::default(),
        },
    });
    Ok((app, WriterQueues { sends, send_receiver, mark_receiver }))
}

fn keys(settings: &Settings) -> Result<Keys, StartupError> {
    let secret = backends::secrets::jwt_secret(settings)?;
    let secondary = settings.auth.jwt_secret_secondary.as_ref().map(|secret| secret.expose().as_bytes());
    Ok(Keys::new(secret.expose().as_bytes(), secondary))
}

/// Starts the tasks without which the application cannot commit: the writer of sends, which counts in `stats` and
/// commits at most `batch_size` sends together, the marks writer, the task that stores when users were last seen, the
/// task that probes an unreachable database until it answers again, and the maintenance of the database.
pub fn start_database_tasks(
    app: &App,
    queues: WriterQueues,
    batch_size: usize,
    stats: &Arc<WriterStats>,
) -> DatabaseMaintenance {
    let limits = WriterLimits { batches: app.settings().database.writers, sends: batch_size };
    app.spawn(writer::run(app.clone(), queues.send_receiver, limits, stats.clone()));
    app.spawn(marks_writer::run(app.clone(), queues.mark_receiver));
    app.spawn(last_seen::run(app.clone()));
    let (db, part) = (app.db().clone(), app.supervision().part("database_watch"));
    app.spawn(async move { while part.catch_panic_and_pause(db.watch()).await.is_err() {} });
    DatabaseMaintenance::start(app)
}

/// Returns a bus that delivers events and ephemeral frames to `deliver`, or to nobody if it is `None`.
pub fn bus_without_rooms(deliver: Option<(Recipient<Committed>, Recipient<Ephemeral>)>) -> Bus {
    let (events, frames) = deliver.unwrap_or_else(|| {
        let discard = DiscardActor.start();
        (discard.clone().recipient(), discard.recipient())
    });
    Bus::new(events, frames, CatchUpSchedule::default())
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
