//! Empty databases for a test, and their schema as their catalogues describe it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::database::runs_on_postgres;
use crate::support::report_skipped;
use sea_orm::{
    ActiveModelTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    IntoActiveModel, ModelTrait, QueryResult, Statement,
};

/// Makes the names of databases unique within one run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether this run has printed that PostgreSQL is left out.
static IS_POSTGRES_LEFT_OUT: Once = Once::new();

/// Runs `test` on a new SQLite file, and on a new PostgreSQL database if `GREENROOM_TEST_POSTGRES` names a server. A
/// run on PostgreSQL leaves out SQLite.
pub async fn on_each_database<F: Future<Output = ()> + Send + 'static>(test: fn(DatabaseConnection) -> F) {
    if !runs_on_postgres() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("schema.db");
        test(connect(format!("sqlite://{}?mode=rwc", file.display())).await).await;
    }

    let Ok(admin_url) = std::env::var("GREENROOM_TEST_POSTGRES") else {
        IS_POSTGRES_LEFT_OUT
            .call_once(|| report_skipped("the schema on PostgreSQL (GREENROOM_TEST_POSTGRES is not set)"));
        return;
    };
    let name = format!("greenroom_migration_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = connect(admin_url.clone()).await;
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a new database");
    let mut url = url::Url::parse(&admin_url).expect("GREENROOM_TEST_POSTGRES is a URL");
    url.set_path(&name);
    let postgres = connect(url.to_string()).await;
    let outcome = tokio::spawn(test(postgres)).await;
    admin.execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("the database dropped");
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

async fn connect(url: String) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).sqlx_logging(false);
    Database::connect(options).await.expect("a connection")
}

async fn rows(db: &DatabaseConnection, on_postgres: &str, on_sqlite: &str) -> Vec<QueryResult> {
    let backend = db.get_database_backend();
    let sql = if backend == DbBackend::Postgres { on_postgres } else { on_sqlite };
    db.query_all_raw(Statement::from_string(backend, sql)).await.expect("a catalogue query")
}

/// The schema as the catalogue of the database describes it.
#[derive(Debug, Default, PartialEq)]
pub struct Catalogue {
    /// The columns of each table.
    pub tables: BTreeMap<String, BTreeSet<String>>,
    /// The tables and columns that refer to another table.
    pub foreign_keys: BTreeSet<(String, Vec<String>)>,
    /// The table, the columns and the predicate of each index.
    pub indexes: BTreeMap<String, (String, Vec<String>, String)>,
}

impl Catalogue {
    pub async fn read(db: &DatabaseConnection) -> Self {
        let mut catalogue = Self::default();
        let get = |row: &QueryResult, name: &str| row.try_get::<String>("", name).expect("a text column");
        for row in rows(
            db,
            "SELECT table_name::text AS t, column_name::text AS c FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name <> 'seaql_migrations'",
            "SELECT t.name AS t, c.name AS c FROM sqlite_schema t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT IN ('seaql_migrations', 'sqlite_sequence')",
        )
        .await
        {
            catalogue.tables.entry(get(&row, "t")).or_default().insert(get(&row, "c"));
        }
        for row in rows(
            db,
            "SELECT f.conrelid::regclass::text AS t, string_agg(a.attname, ' ' ORDER BY k.number) AS c \
             FROM pg_constraint f, unnest(f.conkey) WITH ORDINALITY k (attnum, number), pg_attribute a \
             WHERE f.contype = 'f' AND a.attrelid = f.conrelid AND a.attnum = k.attnum GROUP BY f.oid, f.conrelid",
            "SELECT t, group_concat(c, ' ') AS c FROM ( \
                 SELECT t.name AS t, f.id AS number, f.\"from\" AS c \
                 FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' \
                 ORDER BY t.name, f.id, f.seq) GROUP BY t, number",
        )
        .await
        {
            let columns = get(&row, "c").split(' ').map(str::to_owned).collect();
            catalogue.foreign_keys.insert((get(&row, "t"), columns));
        }
        for row in rows(
            db,
            "SELECT i.indexrelid::regclass::text AS i, i.indrelid::regclass::text AS t, a.attname::text AS c, \
             coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS p FROM pg_index i, \
             unnest(i.indkey) WITH ORDINALITY k (attnum, number), pg_class r, pg_attribute a \
             WHERE r.oid = i.indrelid AND r.relnamespace = current_schema()::regnamespace \
             AND r.relname <> 'seaql_migrations' AND a.attrelid = r.oid AND a.attnum = k.attnum ORDER BY i, k.number",
            "SELECT i.name AS i, t.name AS t, c.name AS c, \
             coalesce(CASE i.partial WHEN 1 THEN substr(s.sql, instr(s.sql, 'WHERE ') + 6) END, '') AS p \
             FROM sqlite_schema t, pragma_index_list(t.name) i, pragma_index_xinfo(i.name) c \
             LEFT JOIN sqlite_schema s ON s.name = i.name \
             WHERE t.type = 'table' AND t.name <> 'seaql_migrations' AND c.key = 1 AND c.cid >= 0 \
             ORDER BY i.name, c.seqno",
        )
        .await
        {
            let empty = (get(&row, "t"), Vec::new(), get(&row, "p"));
            catalogue.indexes.entry(get(&row, "i")).or_insert(empty).1.push(get(&row, "c"));
        }
        catalogue
    }
}

/// Inserts the row with all its columns.
pub async fn insert<M>(db: &impl ConnectionTrait, row: M) -> Result<(), DbErr>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    let row = row.into_active_model().reset_all();
    M::Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}
