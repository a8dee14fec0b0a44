//! How PostgreSQL is opened: its pools, and the session settings on which the rules of a transaction rest.

use super::{BackendError, Result, history, reason};
use crate::config::{Settings, Shares};
use crate::domain::limits;
use crate::store::db::{self, Asking, Db, Probe as _};
use crate::store::history::History;
use crate::store::pools::{Breaks, Pools};
use futures_util::future;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::sync::Arc;
use std::time::Duration;

/// How long the start waits for the first answer.
const CONNECT: Duration = Duration::from_secs(10);
/// How long somebody waits for a free connection, a new one if need be.
const ACQUIRE: Duration = Duration::from_secs(2);
/// A connection unused for so long is tried before it is used again; a firewall may have forgotten it.
const IDLE: Duration = Duration::from_secs(30);
/// The key of the advisory lock under which migrations run.
const MIGRATION_LOCK: i64 = 0x6772_6565_6e72_6f6f;

/// What a session is told when it opens, so that it does not depend on what the server is configured to: every wait has
/// an end, and the checks after a lock see what was committed before it (read committed). No statement is compiled: ours
/// find few rows by index, and where PostgreSQL expects many, compiling takes far longer than running.
const SERVING: &str = "SET default_transaction_isolation = 'read committed'; SET statement_timeout = '5s'; \
     SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'; SET jit = off";

/// The same for a migration: a large table takes its time, but waiting for somebody's lock would hold everybody up.
const MIGRATING: &str = "SET default_transaction_isolation = 'read committed'; SET statement_timeout = '1h'; \
     SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = 0";

/// Opens all connections of all pools.
pub(super) async fn connect(settings: &Settings) -> Result<Db> {
    let options = options(settings)?;
    check(&options).await?;
    let total = settings.database.connections;
    let shares = settings.database.shares();
    let Shares { write, authentication, ordinary, log, heavy } = shares;
    let writing = shares.writing(settings.database.writers).ok_or_else(|| {
        BackendError::new(format_args!(
            "{write} connections that write are too few for {} writers",
            settings.database.writers
        ))
    })?;
    let serving = session(settings, SERVING);
    let impatient = format!("{serving}; SET statement_timeout = {}", limits::HEAVY_STATEMENT.as_millis());
    let known = Arc::new(History::default());
    let breaks = Breaks::default();
    let open = async |size, session: &str| {
        let pool = pool(size, &options, session, &breaks, &known);
        match future::try_join_all((0..size).map(|_| pool.acquire())).await {
            Ok(_) => Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool)),
            Err(error) => Err(not_given(total, &error)),
        }
    };
    let pools = Pools {
        write: open(write, &serving).await?,
        authentication: open(authentication, &serving).await?,
        ordinary: open(ordinary, &serving).await?,
        log: open(log, &serving).await?,
        heavy: open(heavy, &impatient).await?,
        writing,
        heavy_at_once: heavy as usize,
        breaks,
    };
    let mut probe = Probe { options, session: serving, connection: None };
    probe.ask().await.map_err(|error| not_given(total, &error))?;
    Ok(Db::new(pools, Box::new(probe), known))
}

fn pool(size: u32, options: &PgConnectOptions, session: &str, breaks: &Breaks, known: &Arc<History>) -> PgPool {
    let (session, breaks, looking) = (session.to_owned(), breaks.clone(), known.clone());
    PgPoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        // asking before every use costs a round trip each time
        .test_before_acquire(false)
        .before_acquire(move |connection, was| {
            let doubtful = was.idle_for >= IDLE || breaks.within(was.idle_for);
            Box::pin(async move {
                if doubtful {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let (session, known) = (session.clone(), looking.clone());
            Box::pin(async move {
                connection.execute(AssertSqlSafe(session)).await?;
                history::look(connection, &known).await
            })
        })
        .connect_lazy_with(options.clone())
}

fn not_given(size: u32, error: &sqlx::Error) -> BackendError {
    BackendError::new(format_args!(
        "PostgreSQL answers but does not give {size} connections (GREENROOM_DB_CONNECTIONS): {}",
        reason(error)
    ))
}

/// Commits a row that is gone again; each connection has its own, so that nodes do not wait for each other.
const WRITE: &str = "BEGIN; INSERT INTO meta (key, value) VALUES ('probe ' || pg_backend_pid(), ''); \
     DELETE FROM meta WHERE key = 'probe ' || pg_backend_pid(); COMMIT";

/// Asks whether the server answers, and whether it takes writes.
struct Probe {
    options: PgConnectOptions,
    session: String,
    connection: Option<PgConnection>,
}

impl db::Probe for Probe {
    fn ask(&mut self) -> Asking<'_> {
        Box::pin(async move {
            // taken out, so that whoever gives up meanwhile takes the connection along
            if let Some(mut connection) = self.connection.take()
                && connection.ping().await.is_ok()
            {
                self.connection = Some(connection);
                return Ok(());
            }
            // a firewall may have forgotten the old one, or an admin have ended it
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute(AssertSqlSafe(self.session.as_str())).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }

    fn write(&mut self) -> Asking<'_> {
        Box::pin(async move {
            let mut connection = self.connection.take().ok_or(sqlx::Error::WorkerCrashed)?;
            connection.execute(WRITE).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }
}

/// One connection that may migrate. Nobody else who asks for one gets it before this one is closed.
pub(super) async fn connect_to_migrate(settings: &Settings) -> Result<DatabaseConnection> {
    let options = options(settings)?;
    check(&options).await?;
    let failed =
        |error: sqlx::Error| BackendError::new(format_args!("PostgreSQL refuses to migrate: {}", reason(&error)));
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(failed)?;
    prepare_to_migrate(settings, &pool).await.map_err(failed)?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

async fn prepare_to_migrate(settings: &Settings, pool: &PgPool) -> sqlx::Result<()> {
    // waits as long as another node migrates, whatever limits the server has
    pool.execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(pool).await?;
    if let Some(schema) = &settings.database.schema {
        // asked first, because IF NOT EXISTS needs the right to create even where nothing is to be created
        let found: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .fetch_one(pool)
            .await?;
        if !found {
            pool.execute(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).await?;
        }
    }
    pool.execute(AssertSqlSafe(session(settings, MIGRATING))).await.map(drop)
}

/// One connection that only looks at the schema.
pub(super) async fn connect_to_look(settings: &Settings) -> Result<DatabaseConnection> {
    let options = options(settings)?;
    check(&options).await?;
    let session = session(settings, SERVING);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move { connection.execute(AssertSqlSafe(session)).await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

fn options(settings: &Settings) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = settings
        .database
        .url
        .expose()
        .parse()
        .map_err(|error| BackendError::new(format_args!("DATABASE_URL is not usable: {error}")))?;
    Ok(options.application_name("greenroom").disable_statement_logging())
}

fn session(settings: &Settings, text: &str) -> String {
    match &settings.database.schema {
        // only lower-case letters, digits and _ are in it
        Some(schema) => format!("{text}; SET search_path = \"{schema}\""),
        None => text.to_owned(),
    }
}

/// Connects once, outside any pool, for the reason that PostgreSQL gives when it does not let us in.
async fn check(options: &PgConnectOptions) -> Result<()> {
    let server = format!(
        "PostgreSQL at {}:{}, database {:?}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username())
    );
    let attempt = async {
        let mut connection = PgConnection::connect_with(options).await?;
        let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(encoding)
    };
    let encoding = tokio::time::timeout(CONNECT, attempt)
        .await
        .map_err(|_| BackendError::new(format_args!("{server} does not answer within {} s", CONNECT.as_secs())))?
        .map_err(|error| BackendError::new(format_args!("{server} is not reached: {}", reason(&error))))?;
    if encoding != "UTF8" {
        return Err(BackendError::new(format_args!("{server} has the encoding {encoding}; Greenroom needs UTF8")));
    }
    Ok(())
}
