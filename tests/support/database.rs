//! The database of a test server: SQLite in its own folder, or a PostgreSQL database of its own.

use std::sync::Arc;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, Statement};

/// A database that exists as long as this value. On PostgreSQL it is dropped with the value. On SQLite the file is in
/// the data folder of the server, and this value does nothing.
#[derive(Debug)]
pub struct TestDatabase {
    postgres: Option<Postgres>,
}

#[derive(Debug)]
struct Postgres {
    admin_url: String,
    name: String,
}

/// Returns true in a run on PostgreSQL (`GREENROOM_TEST_DATABASE=postgres`).
pub fn runs_on_postgres() -> bool {
    std::env::var("GREENROOM_TEST_DATABASE").is_ok_and(|kind| kind == "postgres")
}

impl TestDatabase {
    /// Creates an empty database of the kind that this run uses.
    pub async fn create() -> Arc<Self> {
        if !runs_on_postgres() {
            return Arc::new(Self { postgres: None });
        }
        let admin_url = std::env::var("GREENROOM_TEST_POSTGRES")
            .expect("GREENROOM_TEST_POSTGRES names a PostgreSQL in which databases may be created");
        let name = format!("greenroom_test_{}", uuid::Uuid::new_v4().simple());
        execute(&admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await;
        Arc::new(Self { postgres: Some(Postgres { admin_url, name }) })
    }

    /// Returns the `DATABASE_URL` for a server, or `None` for the server's default: a file in its data folder.
    pub fn url(&self) -> Option<String> {
        self.postgres.as_ref().map(Postgres::url)
    }
}

impl Postgres {
    /// Returns the administrator's address with the name of this database.
    fn url(&self) -> String {
        let mut url = url::Url::parse(&self.admin_url).expect("GREENROOM_TEST_POSTGRES is a URL");
        url.set_path(&self.name);
        url.into()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let admin_url = self.admin_url.clone();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A destructor cannot await and may run inside a runtime, so the statement gets its own thread and runtime.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(execute(&admin_url, &statement));
        })
        .join();
        assert!(dropped.is_ok() || std::thread::panicking(), "the test database {} could not be dropped", self.name);
    }
}

/// Runs a statement on a new connection.
pub async fn execute(url: &str, statement: &str) {
    let connection = Database::connect(url).await.expect("the database answers");
    connection.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    connection.close().await.expect("the connection closes");
}

/// Locks that a connection of the test condition.
#[derive(Debug)]
pub struct HeldLocks(DatabaseConnection);

/// Begins a transaction on a new connection and condition what `statement` locks. On SQLite the transaction locks the
/// whole file against writing, and the statement is not run.
pub async fn hold(url: &str, statement: &str) -> HeldLocks {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let connection = Database::connect(options).await.expect("the database answers");
    let postgres = connection.get_database_backend() == DatabaseBackend::Postgres;
    let begin = if postgres { format!("BEGIN; {statement}") } else { "BEGIN IMMEDIATE".to_owned() };
    connection.execute_unprepared(&begin).await.unwrap_or_else(|error| panic!("{begin}: {error}"));
    HeldLocks(connection)
}

impl HeldLocks {
    /// Releases the locks with a rollback.
    pub async fn release(self) {
        self.0.execute_unprepared("ROLLBACK").await.expect("the end of a transaction");
        self.0.close().await.expect("the connection closes");
    }
}

/// Returns the name of each rule of the tables of messages that some row breaks.
pub async fn broken_rules(url: &str) -> Vec<&'static str> {
    let connection = Database::connect(url).await.expect("the database answers");
    let broken = super::integrity::broken_rules(&connection).await;
    connection.close().await.expect("the connection closes");
    broken
}

/// Returns the number of conversations whose stored number of members is not the number of their participants.
pub async fn count_wrong_member_counts(url: &str) -> usize {
    let connection = Database::connect(url).await.expect("the database answers");
    let text = "SELECT id FROM conversations c WHERE member_count <> (
                    SELECT count(*) FROM participants p WHERE p.conversation_id = c.id AND p.left_at IS NULL)";
    let statement = Statement::from_string(connection.get_database_backend(), text);
    let count = connection.query_all_raw(statement).await.expect("rows").len();
    connection.close().await.expect("the connection closes");
    count
}

/// Returns the table of each row that contains `text`, also as bytes. A table occurs once for each such row.
pub async fn rows_with(url: &str, text: &str) -> Vec<String> {
    let connection = Database::connect(url).await.expect("the database answers");
    let backend = connection.get_database_backend();
    let postgres = backend == DatabaseBackend::Postgres;
    let tables = if postgres {
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    };
    let list_names = async |statement: String| -> Vec<String> {
        let rows = connection.query_all_raw(Statement::from_string(backend, statement)).await.expect("rows");
        rows.iter().map(|row| row.try_get("", "name").expect("a name")).collect()
    };
    let mut found = Vec::new();
    for table in list_names(tables.to_owned()).await {
        let condition = if postgres {
            format!("x::text LIKE '%{text}%' OR x::text LIKE '%' || encode('{text}', 'hex') || '%'")
        } else {
            let columns = list_names(format!("SELECT name FROM pragma_table_info('{table}')")).await;
            let condition = |column: &String| format!("instr(CAST(\"{column}\" AS TEXT), '{text}') > 0");
            columns.iter().map(condition).collect::<Vec<_>>().join(" OR ")
        };
        found.extend(list_names(format!("SELECT '{table}' AS name FROM \"{table}\" x WHERE {condition}")).await);
    }
    connection.close().await.expect("the connection closes");
    found
}
