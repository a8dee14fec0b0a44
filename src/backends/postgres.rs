//! Opens PostgreSQL: its pools, and the session settings that transactions depend on.

use super::{BackendError, BackendResult, postgres_history, reason};
use crate::config::{ConnectionShares, Settings};
use crate::domain::limits;
use crate::store::db::history::History;
use crate::store::db::pools::{LastBreak, Pools};
use crate::store::db::{self, Db, Probe as _, ProbeFuture};
use crate::store::messages::{sends, single_send};
use crate::store::{locks, prepared};
use futures_util::future;
use sea_orm::{DatabaseConnection, SqlxPostgresConnector};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use std::sync::Arc;
use std::time::Duration;

/// How long the start waits for the first answer of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for this long is tested before use, because a firewall may have dropped it.
const IDLE_BEFORE_TEST: Duration = Duration::from_secs(30);
/// The key of the advisory lock that a migrating process holds.
const MIGRATION_LOCK: i64 = 0x6772_6565_6e72_6f6f;

/// The settings of each session, so that it does not depend on the configuration of the server.
///
/// Every wait has a timeout. A check after a lock sees all commits before the lock (read committed). JIT compilation is
/// off: the statements of this server find few rows by index, and compiling them takes much longer than running them.
const SERVING_SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET statement_timeout = '5s'; \
     SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'; SET jit = off";

/// The settings of a serving session on which its plans depend.
///
/// Planning takes longer than most statements, so each is planned once for each connection and not for each call. The
/// tables may have been small at that time. So a plan reads no whole table, and sorts nothing that an index has in
/// order, however cheap both seemed.
pub const POSTGRES_PLAN_SETTINGS: &str =
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_sort = off";

/// Keeps statements that fail out of the log of PostgreSQL, because the text of a message is a part of the statement that
/// writes it. Only a superuser, or a role with this right, can say so.
const UNLOGGED_STATEMENTS: &str = "DO $$ BEGIN SET log_min_error_statement = 'panic'; \
     EXCEPTION WHEN insufficient_privilege THEN NULL; END $$";

/// The settings of a migrating session. The statement timeout is long, because changing a large table takes time. The
/// lock timeout is short, because other transactions wait behind a migration that waits for a lock.
const MIGRATING_SETTINGS: &str = "SET default_transaction_isolation = 'read committed'; SET statement_timeout = '1h'; \
     SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = 0";

/// Opens all connections of all pools.
pub(super) async fn connect(settings: &Settings) -> BackendResult<Db> {
    let options = options(settings)?;
    check(&options).await?;
    let total = settings.database.connections;
    let shares = settings.database.connection_shares();
    let ConnectionShares { write, authentication, ordinary, log, heavy } = shares;
    let writing = shares.write_connections(settings.database.writers).ok_or_else(|| {
        BackendError::new(format_args!(
            "{write} write connections are too few for {} writers",
            settings.database.writers
        ))
    })?;
    let settings_of_all = session_settings(settings, SERVING_SETTINGS);
    let serving = format!("{settings_of_all}; {POSTGRES_PLAN_SETTINGS}");
    // A heavy read takes longer than its planning, and its best plan depends on what is searched for.
    let heavy_serving =
        format!("{settings_of_all}; SET statement_timeout = {}", limits::HEAVY_STATEMENT_TIMEOUT.as_millis());
    let history = Arc::new(History::default());
    let last_break = LastBreak::default();
    let open = async |size, session: &str| {
        let pool = pool(size, &options, session, &last_break, &history);
        match future::try_join_all((0..size).map(|_| pool.acquire())).await {
            Ok(_) => Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool)),
            Err(error) => Err(too_few_connections(total, &error)),
        }
    };
    let prepared_statements =
        locks::PREPARED.into_iter().chain(sends::postgres::PREPARED).chain([single_send::PREPARED]);
    let pools = Pools {
        write: open(write, &format!("{serving}; {UNLOGGED_STATEMENTS}; {}", prepared::prepare(prepared_statements)))
            .await?,
        authentication: open(authentication, &serving).await?,
        ordinary: open(ordinary, &serving).await?,
        log: open(log, &serving).await?,
        heavy: open(heavy, &heavy_serving).await?,
        writing,
        max_heavy_reads: heavy as usize,
        last_break,
    };
    let mut probe = PostgresProbe { options, session: serving, connection: None };
    probe.read().await.map_err(|error| too_few_connections(total, &error))?;
    Ok(Db::new(pools, Box::new(probe), history))
}

fn pool(
    size: u32,
    options: &PgConnectOptions,
    session: &str,
    last_break: &LastBreak,
    history: &Arc<History>,
) -> PgPool {
    let (session, last_break, history) = (session.to_owned(), last_break.clone(), history.clone());
    PgPoolOptions::new()
        .max_connections(size)
        .min_connections(size)
        .acquire_timeout(limits::ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        // A test before every use would cost a round trip each time.
        .test_before_acquire(false)
        .before_acquire(move |connection, metadata| {
            let needs_test = metadata.idle_for >= IDLE_BEFORE_TEST || last_break.is_within(metadata.idle_for);
            Box::pin(async move {
                if needs_test {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            let (session, history) = (session.clone(), history.clone());
            Box::pin(async move {
                connection.execute(AssertSqlSafe(session)).await?;
                postgres_history::check_connection(connection, &history).await
            })
        })
        .connect_lazy_with(options.clone())
}

fn too_few_connections(size: u32, error: &sqlx::Error) -> BackendError {
    BackendError::new(format_args!(
        "PostgreSQL answers, but {size} connections (GREENROOM_DB_CONNECTIONS) cannot be opened: {}",
        reason(error)
    ))
}

/// Inserts and deletes a row in one transaction, to test whether commits succeed. Each connection uses its own key, so
/// that nodes do not wait for each other.
const TEST_WRITE: &str = "BEGIN; INSERT INTO meta (key, value) VALUES ('probe ' || pg_backend_pid(), ''); \
     DELETE FROM meta WHERE key = 'probe ' || pg_backend_pid(); COMMIT";

/// Tests whether the server answers, and whether it accepts writes.
struct PostgresProbe {
    options: PgConnectOptions,
    session: String,
    connection: Option<PgConnection>,
}

impl db::Probe for PostgresProbe {
    fn read(&mut self) -> ProbeFuture<'_> {
        Box::pin(async move {
            // The connection is taken out of `self`. If the calling code cancels this future, the connection is dropped
            // with it.
            if let Some(mut connection) = self.connection.take()
                && connection.ping().await.is_ok()
            {
                self.connection = Some(connection);
                return Ok(());
            }
            // A firewall may have dropped the old connection, or an administrator may have ended it.
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute(AssertSqlSafe(self.session.as_str())).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }

    fn write(&mut self) -> ProbeFuture<'_> {
        Box::pin(async move {
            let mut connection = self.connection.take().ok_or(sqlx::Error::WorkerCrashed)?;
            connection.execute(TEST_WRITE).await?;
            self.connection = Some(connection);
            Ok(())
        })
    }
}

/// Opens the one connection that may migrate. Other processes wait in this function until that connection is closed.
pub(super) async fn connect_to_migrate(settings: &Settings) -> BackendResult<DatabaseConnection> {
    let options = options(settings)?;
    check(&options).await?;
    let failed =
        |error: sqlx::Error| BackendError::new(format_args!("PostgreSQL cannot be migrated: {}", reason(&error)));
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(failed)?;
    lock_and_create_schema(settings, &pool).await.map_err(failed)?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

/// Takes the lock of a migrating process, and creates the schema of the tables if it is missing.
async fn lock_and_create_schema(settings: &Settings, pool: &PgPool) -> sqlx::Result<()> {
    // Wait as long as another node migrates, whatever timeouts the server is configured with.
    pool.execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(pool).await?;
    if let Some(schema) = &settings.database.schema {
        // Check first, because IF NOT EXISTS needs the right to create schemas even if the schema exists.
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .fetch_one(pool)
            .await?;
        if !exists {
            pool.execute(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\""))).await?;
        }
    }
    pool.execute(AssertSqlSafe(session_settings(settings, MIGRATING_SETTINGS))).await.map(drop)
}

/// Opens a connection to read the state of the schema.
pub(super) async fn connect_read_only(settings: &Settings) -> BackendResult<DatabaseConnection> {
    let options = options(settings)?;
    check(&options).await?;
    let session = session_settings(settings, SERVING_SETTINGS);
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(move |connection, _| {
            let session = session.clone();
            Box::pin(async move { connection.execute(AssertSqlSafe(session)).await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

fn options(settings: &Settings) -> BackendResult<PgConnectOptions> {
    let options: PgConnectOptions = settings
        .database
        .url
        .expose()
        .parse()
        .map_err(|error| BackendError::new(format_args!("DATABASE_URL is not valid: {error}")))?;
    Ok(options.application_name("greenroom").disable_statement_logging())
}

fn session_settings(settings: &Settings, text: &str) -> String {
    match &settings.database.schema {
        // The settings allow only lower-case letters, digits and `_` in this name, so it needs no escaping.
        Some(schema) => format!("{text}; SET search_path = \"{schema}\""),
        None => text.to_owned(),
    }
}

/// Connects once without a pool, because only then the reason of a refused connection is known. Checks the encoding
/// too.
async fn check(options: &PgConnectOptions) -> BackendResult<()> {
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
    let encoding = tokio::time::timeout(CONNECT_TIMEOUT, attempt)
        .await
        .map_err(|_| {
            BackendError::new(format_args!("{server} does not answer within {} s", CONNECT_TIMEOUT.as_secs()))
        })?
        .map_err(|error| BackendError::new(format_args!("{server} cannot be reached: {}", reason(&error))))?;
    if encoding != "UTF8" {
        return Err(BackendError::new(format_args!("{server} has the encoding {encoding}; Greenroom needs UTF8")));
    }
    Ok(())
}
