//! One connection of a pool, to either database, and how statements run on it.
//!
//! `AssertSqlSafe` is right here: every statement comes from the store, which passes all values of clients as
//! parameters.

use futures_util::{Stream, TryStreamExt as _};
use sea_orm::sea_query::Values;
use sea_orm::{
    ConnAcquireErr, DatabaseBackend, DatabaseConnection, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
};
use sea_query_sqlx::SqlxValues;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Either, Executor, Postgres, Sqlite};

/// A connection that was taken from its pool.
pub(super) enum TakenConnection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl TakenConnection {
    /// Takes a connection from the pool. Fails like a statement on the pool if there is none in time.
    pub(super) async fn take(pool: &DatabaseConnection) -> Result<Self, DbErr> {
        let taken = match pool.get_database_backend() {
            DatabaseBackend::Sqlite => pool.get_sqlite_connection_pool().acquire().await.map(Self::Sqlite),
            _ => pool.get_postgres_connection_pool().acquire().await.map(Self::Postgres),
        };
        taken.map_err(acquire_error)
    }

    pub(super) async fn execute_text(&mut self, sql: &str) -> sqlx::Result<ExecResult> {
        match self {
            Self::Sqlite(conn) => conn.execute(AssertSqlSafe(sql)).await.map(ExecResult::from),
            Self::Postgres(conn) => conn.execute(AssertSqlSafe(sql)).await.map(ExecResult::from),
        }
    }

    /// Runs the statements of a text, which are separated by semicolons. If one fails, the next ones do not run. The
    /// first result is the number of those that succeeded.
    pub(super) async fn execute_texts(&mut self, sql: &str) -> (usize, sqlx::Result<()>) {
        let mut succeeded = 0;
        let result = match self {
            Self::Sqlite(conn) => count_results(conn.execute_many(AssertSqlSafe(sql)), &mut succeeded).await,
            Self::Postgres(conn) => count_results(conn.execute_many(AssertSqlSafe(sql)), &mut succeeded).await,
        };
        (succeeded, result)
    }

    /// Runs the statements of a text, which are separated by semicolons, on PostgreSQL. Returns the rows of each.
    pub(super) async fn query_texts(&mut self, sql: &str) -> sqlx::Result<Vec<Vec<QueryResult>>> {
        let Self::Postgres(conn) = self else {
            return Err(sqlx::Error::Configuration("prepared statements are for PostgreSQL alone".into()));
        };
        let mut answers = conn.fetch_many(AssertSqlSafe(sql));
        let (mut results, mut rows) = (Vec::new(), Vec::new());
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Left(_) => results.push(std::mem::take(&mut rows)),
                Either::Right(row) => rows.push(row.into()),
            }
        }
        Ok(results)
    }

    pub(super) async fn execute(&mut self, statement: Statement) -> sqlx::Result<ExecResult> {
        let (sql, values) = parts(statement);
        match self {
            Self::Sqlite(conn) => sqlx::query_with(sql, values).execute(&mut **conn).await.map(ExecResult::from),
            Self::Postgres(conn) => sqlx::query_with(sql, values).execute(&mut **conn).await.map(ExecResult::from),
        }
    }

    pub(super) async fn query_one(&mut self, statement: Statement) -> sqlx::Result<Option<QueryResult>> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(conn) => sqlx::query_with(sql, values).fetch_optional(&mut **conn).await?.map(Into::into),
            Self::Postgres(conn) => sqlx::query_with(sql, values).fetch_optional(&mut **conn).await?.map(Into::into),
        })
    }

    pub(super) async fn query_all(&mut self, statement: Statement) -> sqlx::Result<Vec<QueryResult>> {
        let (sql, values) = parts(statement);
        Ok(match self {
            Self::Sqlite(conn) => {
                sqlx::query_with(sql, values).fetch_all(&mut **conn).await?.into_iter().map(Into::into).collect()
            }
            Self::Postgres(conn) => {
                sqlx::query_with(sql, values).fetch_all(&mut **conn).await?.into_iter().map(Into::into).collect()
            }
        })
    }

    pub(super) fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(conn) => conn.close_on_drop(),
            Self::Postgres(conn) => conn.close_on_drop(),
        }
    }
}

async fn count_results<T>(
    mut results: impl Stream<Item = sqlx::Result<T>> + Unpin,
    succeeded: &mut usize,
) -> sqlx::Result<()> {
    while results.try_next().await?.is_some() {
        *succeeded += 1;
    }
    Ok(())
}

fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    (AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or_else(|| Values(Vec::new()))))
}

/// Returns the error of a statement as the ORM returns it.
pub(super) fn statement_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// Returns the same error as the pools of the ORM return if they have no connection.
fn acquire_error(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}
