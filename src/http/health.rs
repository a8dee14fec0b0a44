//! Whether the server is well, for people, load balancers and supervisors. Nothing here needs a token or tells a secret.

use crate::app::App;
use crate::store::db::Standing;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa::ToSchema;

/// Whether the server is on its way out: set by whoever stops it, asked by `/health/ready`. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on no new work comes.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// In one word.
    status: Status,
    /// Whether the database takes writes, as the newest commit showed.
    database: Database,
    /// Whether Redis answers.
    redis: Redis,
    /// The parts of the server that panicked within the last minute and began anew, or cannot do their work now, by name.
    failing: Vec<String>,
    /// Live sessions of this node.
    sessions: usize,
    /// The server's version.
    version: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// All is well.
    Healthy,
    /// It works, but a part of it failed a moment ago.
    Degraded,
    /// The database is away or takes no writes.
    Unhealthy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Database {
    /// It takes writes.
    Ok,
    /// It answers and takes no writes: the newest commit failed, and one is tried every second.
    ReadOnly,
    /// It does not answer.
    Down,
}

/// One node, in process: there is no Redis to be away.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Redis {
    Disabled,
}

/// Whether the server can take work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `draining` or `unhealthy`.
    status: &'static str,
}

/// How the server is
///
/// 503 when the database is away or takes no writes. `degraded` while `failing` names a part of the server.
#[utoipa::path(
    get, path = "/health", tag = "operations",
    responses((status = 200, description = "Well", body = Health), (status = 503, description = "Unhealthy", body = Health))
)]
pub async fn health(app: web::Data<App>) -> HttpResponse {
    let database = database(&app).await;
    let failing = app.supervision().failing();
    let (status, mut answer) = match database {
        Database::Ok if failing.is_empty() => (Status::Healthy, HttpResponse::Ok()),
        Database::Ok => (Status::Degraded, HttpResponse::Ok()),
        Database::ReadOnly | Database::Down => (Status::Unhealthy, away()),
    };
    let sessions = app.presence().sessions();
    let version = env!("CARGO_PKG_VERSION");
    answer.json(Health { status, database, redis: Redis::Disabled, failing, sessions, version })
}

/// Whether the process lives
///
/// Always 200: restart it when this does not answer.
#[utoipa::path(
    get, path = "/health/live", tag = "operations",
    responses((status = 200, description = "Alive", body = Readiness))
)]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Readiness { status: "alive" })
}

/// Whether the server takes work
///
/// 503 while the database is away or takes no writes, and once the server drains: send requests elsewhere.
#[utoipa::path(
    get, path = "/health/ready", tag = "operations",
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness),
    )
)]
pub async fn ready(app: web::Data<App>, draining: web::Data<Draining>) -> HttpResponse {
    if draining.has_begun() {
        return away().json(Readiness { status: "draining" });
    }
    match database(&app).await {
        Database::Ok => HttpResponse::Ok().json(Readiness { status: "ready" }),
        Database::ReadOnly | Database::Down => away().json(Readiness { status: "unhealthy" }),
    }
}

fn away() -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::ServiceUnavailable();
    answer.insert_header((header::RETRY_AFTER, 1));
    answer
}

/// What is known of it. While nothing has failed it is asked on a connection that serves nothing else, so that no user
/// stands before it.
async fn database(app: &App) -> Database {
    let db = app.db().clone();
    match app.runtime().spawn(async move { db.look().await }).await {
        Ok(Standing::Ok) => Database::Ok,
        Ok(Standing::ReadOnly) => Database::ReadOnly,
        Ok(Standing::Down) | Err(_) => Database::Down,
    }
}
