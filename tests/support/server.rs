//! A server under test: a folder, a port, a database, and a process that a test can kill and restart.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Instant;

use tempfile::TempDir;

use super::process::{Process, free_port, program};
use super::{DEADLINE, TestDatabase, TestUser};

/// The address of a server, which stays the same when it restarts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Target {
    /// `http://127.0.0.1:port`, without a slash at the end.
    pub origin: String,
    pub address: SocketAddr,
    /// An HTTP client with its own connection pool.
    pub http: reqwest::Client,
}

/// The settings of a server. Rate limits are off unless a test sets them.
#[derive(Debug, Default)]
pub struct ServerBuilder {
    environment: Vec<(String, String)>,
    database: Option<Arc<TestDatabase>>,
    launcher: Option<String>,
}

/// A server of one test. Dropping it ends the process and removes the folder.
#[derive(Debug)]
pub struct TestServer {
    target: Target,
    // The process is before the database and the folder, because fields are dropped in order and it must end first.
    process: Option<Process>,
    database: Arc<TestDatabase>,
    environment: Vec<(String, String)>,
    launcher: Option<String>,
    folder: TempDir,
}

impl ServerBuilder {
    /// Sets one variable of the server's environment.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Starts the server through a shell script that ends with `exec "$@"`.
    pub fn with_launcher(mut self, launcher: &str) -> Self {
        self.launcher = Some(launcher.to_owned());
        self
    }

    /// Uses a database that other servers share.
    pub fn on(mut self, database: &Arc<TestDatabase>) -> Self {
        self.database = Some(Arc::clone(database));
        self
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(self) -> TestServer {
        let database = match self.database {
            Some(database) => database,
            None => TestDatabase::create().await,
        };
        let folder = TempDir::with_prefix("greenroom-test-").expect("a temporary folder");
        let port = free_port();
        let mut environment: Vec<(String, String)> = [
            ("GREENROOM_HOST", "127.0.0.1".to_owned()),
            ("GREENROOM_PORT", port.to_string()),
            ("GREENROOM_DATA_DIR", folder.path().join("data").display().to_string()),
            ("GREENROOM_LIMIT_AUTH_PER_MINUTE", "0".to_owned()),
            ("GREENROOM_LIMIT_SENDS_PER_SECOND", "0".to_owned()),
            ("GREENROOM_LIMIT_API_PER_SECOND", "0".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(url) = database.url() {
            environment.push(("DATABASE_URL".to_owned(), url));
            environment.push(("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()));
        }
        environment.extend(self.environment);

        let target = Target::new(port);
        let mut server = TestServer { target, process: None, database, environment, launcher: self.launcher, folder };
        server.restart().await;
        server
    }
}

impl TestServer {
    /// Starts a server with the default settings on an empty database.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts a server on a database that another one uses.
    pub async fn start_on(database: &Arc<TestDatabase>) -> Self {
        Self::builder().on(database).start().await
    }

    /// Returns a builder for a server with other settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the database, to start another server on it.
    pub fn database(&self) -> &Arc<TestDatabase> {
        &self.database
    }

    /// Registers a user. The name is the username, so it must be new in this database.
    pub async fn user(&self, name: &str) -> TestUser {
        TestUser::register(&self.target, name).await
    }

    /// Returns the running process.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }

    /// Kills the server with SIGKILL, so that it cannot write its data or close its sockets.
    pub fn kill(&mut self) {
        self.process.take().expect("the server runs").kill();
    }

    /// Starts the server again on the same port, database and folder, and waits until it is ready.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "the server still runs");
        self.process =
            Some(Process::serve(self.folder.path(), &self.environment, &self.log_path(), self.launcher.as_deref()));
        let started = Instant::now();
        while !self.target.is_ready().await {
            let ended = self.process.as_mut().and_then(Process::exit_status);
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            assert!(started.elapsed() < DEADLINE * 3, "the server is not ready after {:?}", started.elapsed());
            tokio::time::sleep(super::POLL).await;
        }
    }

    /// Stops the server with SIGTERM. Its exit status must be 0.
    pub async fn stop(mut self) {
        self.stop_for_restart().await;
    }

    /// Stops the server like [`Self::stop`], and keeps its data so that it can start again.
    pub async fn stop_for_restart(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.terminate();
        let started = Instant::now();
        loop {
            if let Some(status) = process.exit_status() {
                assert_eq!(status.code(), Some(0), "an orderly stop ends with 0");
                return;
            }
            assert!(started.elapsed() < DEADLINE, "the server does not stop after SIGTERM");
            tokio::time::sleep(super::POLL).await;
        }
    }

    /// Runs another command of the program with the same settings, for example `token issue alice`.
    pub fn run(&self, arguments: &[&str]) -> Output {
        program(self.folder.path(), &self.environment).args(arguments).output().expect("the program runs")
    }

    /// Runs a statement on a new connection to the database, for changes that no call makes.
    pub async fn sql(&self, statement: &str) {
        super::database::execute(&self.database_url(), statement).await;
    }

    /// Holds locks in the database until they are released: on PostgreSQL the locks that `statement` takes, on SQLite
    /// the lock of the whole file.
    pub async fn hold(&self, statement: &str) -> super::database::HeldLocks {
        super::database::hold(&self.database_url(), statement).await
    }

    /// Returns the name of each rule of the tables of messages that some row breaks.
    pub async fn broken_rules(&self) -> Vec<&'static str> {
        super::database::broken_rules(&self.database_url()).await
    }

    /// Returns the number of conversations whose stored number of members is wrong.
    pub async fn count_wrong_member_counts(&self) -> usize {
        super::database::count_wrong_member_counts(&self.database_url()).await
    }

    /// Returns the table of each row that contains `text`.
    pub async fn rows_with(&self, text: &str) -> Vec<String> {
        super::database::rows_with(&self.database_url(), text).await
    }

    /// Returns the address of the database, for a connection of the test.
    pub fn database_url(&self) -> String {
        let file = || format!("sqlite://{}", self.folder.path().join("data/greenroom.db").display());
        self.database.url().unwrap_or_else(file)
    }

    /// Returns the output of the server, since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Returns the working folder of the server, which contains the data folder `data`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Target {
    /// Returns the target for a server on this port of the loopback address.
    pub fn new(port: u16) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().expect("a client");
        Self { origin: format!("http://127.0.0.1:{port}"), address: ([127, 0, 0, 1], port).into(), http }
    }

    /// Returns true if `/health/ready` answers 200.
    pub async fn is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/health/ready", self.origin)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }
}
