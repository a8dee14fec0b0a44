//! The health of the server, for operators, load balancers and process supervisors. The calls need no token, and their
//! answers contain no secret.

use crate::app::App;
use crate::store::db::DbState;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use utoipa::ToSchema;

/// A flag that is set when the server begins to stop, and that `/health/ready` reads. Clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// Sets the flag, so that load balancers send no new requests.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns true if the server has begun to stop.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The health of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// The health in one word.
    status: HealthStatus,
    /// Whether the database can be written to, as the newest commit showed.
    database: DatabaseHealth,
    /// Whether Redis answers.
    redis: RedisHealth,
    /// The names of the parts of the server that panicked and restarted within the last minute, or that cannot do their
    /// work now.
    failing: Vec<String>,
    /// The number of live sessions on this node.
    sessions: usize,
    /// The version of the server.
    version: &'static str,
}

/// The health in one word. `degraded`: the server works, but `failing` names a part of it. `unhealthy`: the database
/// does not answer or cannot be written to.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    Healthy,
    Degraded,
    Unhealthy,
}

/// The state of the database. `read_only`: it answers, but the newest commit failed, and the server tries one every
/// second. `down`: it does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DatabaseHealth {
    Ok,
    ReadOnly,
    Down,
}

/// The state of Redis. `disabled`: the server runs as one node, without Redis.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RedisHealth {
    Disabled,
}

/// Whether the server accepts requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// `ready`, `draining` or `unhealthy`; for `/health/live` always `alive`.
    status: &'static str,
}

/// Get the health of the server
///
/// The answer is 503 if the database does not answer or cannot be written to. The status is `degraded` while `failing`
/// names a part of the server.
#[utoipa::path(
    get, path = "/health", tag = "operations",
    responses(
        (status = 200, description = "Healthy or degraded", body = Health),
        (status = 503, description = "Unhealthy", body = Health),
    )
)]
pub async fn health(app: web::Data<App>) -> HttpResponse {
    let database = database_health(&app).await;
    let failing = app.supervision().failing();
    let (status, mut answer) = match database {
        DatabaseHealth::Ok if failing.is_empty() => (HealthStatus::Healthy, HttpResponse::Ok()),
        DatabaseHealth::Ok => (HealthStatus::Degraded, HttpResponse::Ok()),
        DatabaseHealth::ReadOnly | DatabaseHealth::Down => (HealthStatus::Unhealthy, service_unavailable()),
    };
    let sessions = app.presence().session_count();
    let version = env!("CARGO_PKG_VERSION");
    answer.json(Health { status, database, redis: RedisHealth::Disabled, failing, sessions, version })
}

/// Check that the process runs
///
/// The answer is always 200. A process supervisor restarts the server if it gets no answer.
#[utoipa::path(
    get, path = "/health/live", tag = "operations",
    responses((status = 200, description = "Alive", body = Readiness))
)]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Readiness { status: "alive" })
}

/// Check that the server accepts requests
///
/// The answer is 503 while the database does not answer or cannot be written to, and as soon as the server begins to
/// stop. A load balancer then sends requests to other nodes.
#[utoipa::path(
    get, path = "/health/ready", tag = "operations",
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready", body = Readiness),
    )
)]
pub async fn ready(app: web::Data<App>, draining: web::Data<Draining>) -> HttpResponse {
    if draining.has_begun() {
        return service_unavailable().json(Readiness { status: "draining" });
    }
    match database_health(&app).await {
        DatabaseHealth::Ok => HttpResponse::Ok().json(Readiness { status: "ready" }),
        DatabaseHealth::ReadOnly | DatabaseHealth::Down => {
            service_unavailable().json(Readiness { status: "unhealthy" })
        }
    }
}

fn service_unavailable() -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::ServiceUnavailable();
    answer.insert_header((header::RETRY_AFTER, 1));
    answer
}

/// Returns the state of the database. While no commit has failed, the check uses a connection of its own, so that it
/// does not wait behind the reads of users.
async fn database_health(app: &App) -> DatabaseHealth {
    let db = app.db().clone();
    match app.runtime().spawn(async move { db.check().await }).await {
        Ok(DbState::Ok) => DatabaseHealth::Ok,
        Ok(DbState::ReadOnly) => DatabaseHealth::ReadOnly,
        Ok(DbState::Down) | Err(_) => DatabaseHealth::Down,
    }
}
