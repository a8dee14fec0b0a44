//! One application inside the test process: real use cases, writers and database, without a server and without sockets.
//! It records every delivery. Tests of what a client can rely on are in `tests/server`.

mod recorder;
pub mod stored_state;
mod test_send;

use crate::support::database::runs_on_postgres;
use crate::support::integrity;
use crate::support::report_skipped;
use actix::prelude::*;
use greenroom::app::App;
use greenroom::cluster::catch_up::CatchUpSchedule;
use greenroom::config::Settings;
use greenroom::domain::accounts::UserRole;
use greenroom::domain::caller::{Caller, Via};
use greenroom::domain::ids::{ConversationId, LoginId, UserId};
use greenroom::domain::limits;
use greenroom::domain::names::{UserRef, Username};
use greenroom::domain::stream::Stream;
use greenroom::error::Result;
use greenroom::http::HttpServices;
use greenroom::http::health::Draining;
use greenroom::mailboxes::SentMessage;
use greenroom::realtime::hub::Hub;
use greenroom::realtime::presence::Presence;
use greenroom::realtime::session::SessionServices;
use greenroom::startup::Embedded;
use greenroom::store::accounts::{self, NewUser};
use greenroom::store::db::DbState;
use greenroom::store::db::pools::ReadPool;
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::usecases::conversations;
use greenroom::usecases::groups::{self, NewGroup};
use greenroom::usecases::members;
use greenroom::work::transact::transact_for;
pub use recorder::Delivered;
use recorder::{Recorded, Recorder};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, QueryResult, Statement};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use stored_state::StoredState;
pub use test_send::TestSend;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, oneshot};

/// The time after which a test stops waiting for a condition. It is far above what any condition needs.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes the names of users and databases unique within one run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether this run has printed that PostgreSQL is left out.
static IS_POSTGRES_LEFT_OUT: Once = Once::new();

/// Runs `test` on SQLite, and on PostgreSQL if `GREENROOM_TEST_POSTGRES` names a server. A run on PostgreSQL leaves out
/// SQLite.
pub fn on_each_database(test: &impl AsyncFn(&TestApp)) {
    on_sqlite(test);
    on_postgres(test);
}

/// Runs `test` on a new SQLite file, except in a run on PostgreSQL.
pub fn on_sqlite(test: &impl AsyncFn(&TestApp)) {
    if runs_on_postgres() {
        return;
    }
    in_folder(tempfile::tempdir().unwrap().path(), None, test);
}

/// Runs `test` on the database in this folder or at this address, which may exist already.
pub fn in_folder(folder: &Path, url: Option<&str>, test: &impl AsyncFn(&TestApp)) {
    let runtime = runtime();
    System::new().block_on(async {
        let app = TestApp::open(folder, url, url.map(str::to_owned), runtime.handle()).await;
        test(&app).await;
        app.close().await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Runs `test` on a new PostgreSQL database, which is dropped afterwards. Without a server it prints once that
/// PostgreSQL is left out.
pub fn on_postgres(test: &impl AsyncFn(&TestApp)) {
    on_postgres_through(|url| url, test);
}

/// Runs `test` like [`on_postgres`], with an application that connects to the address that `change_url` returns.
pub fn on_postgres_through(change_url: impl FnOnce(String) -> String, test: &impl AsyncFn(&TestApp)) {
    let Ok(admin_url) = std::env::var("GREENROOM_TEST_POSTGRES") else {
        IS_POSTGRES_LEFT_OUT.call_once(|| report_skipped("PostgreSQL (GREENROOM_TEST_POSTGRES is not set)"));
        return;
    };
    let name = format!("greenroom_embedded_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    runtime.block_on(execute(&admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")));
    let mut url = url::Url::parse(&admin_url).unwrap();
    url.set_path(&name);
    let (direct_url, app_url) = (url.to_string(), change_url(url.to_string()));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        System::new().block_on(async {
            let app = TestApp::open(folder.path(), Some(&app_url), Some(direct_url), runtime.handle()).await;
            test(&app).await;
            app.close().await;
        });
    }));
    runtime.block_on(execute(&admin_url, &format!("DROP DATABASE {name} WITH (FORCE)")));
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure);
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn execute(url: &str, statement: &str) {
    let admin = connect(url).await;
    admin.execute_unprepared(statement).await.unwrap();
    admin.close().await.unwrap();
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

/// One application, with the record of what it delivered.
pub struct TestApp {
    pub app: App,
    embedded: Embedded,
    recorded: Recorded,
    runtime: Handle,
    /// The number of tasks that run as long as the application.
    resident_tasks: usize,
    /// The address of the database; `None` on SQLite.
    direct_url: Option<String>,
    folder: PathBuf,
}

impl TestApp {
    async fn open(folder: &Path, url: Option<&str>, direct_url: Option<String>, runtime: &Handle) -> Self {
        let mut pairs = vec![
            ("GREENROOM_DATA_DIR".to_owned(), folder.join("data").display().to_string()),
            ("GREENROOM_LIMIT_SENDS_PER_SECOND".to_owned(), "0".to_owned()),
        ];
        if let Some(url) = url {
            pairs.push(("DATABASE_URL".to_owned(), url.to_owned()));
            pairs.push(("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()));
            // Two writers, and enough other connections for transactions of several users at the same time.
            pairs.push(("GREENROOM_DB_CONNECTIONS".to_owned(), "16".to_owned()));
        }
        let settings = Settings::from_pairs(pairs, None).unwrap();
        let recorded = Recorded::default();
        let hub = Recorder(recorded.clone()).start();
        let deliver = Some((hub.clone().recipient(), hub.recipient()));
        let embedded = Embedded::start(settings, runtime, limits::BATCH_SIZE, deliver).await.unwrap();
        let mut test = Self {
            app: embedded.app.clone(),
            embedded,
            recorded,
            runtime: runtime.clone(),
            resident_tasks: 0,
            direct_url,
            folder: folder.to_owned(),
        };
        test.resident_tasks = test.count_resident_tasks().await;
        test
    }

    async fn close(self) {
        self.embedded.stop().await;
    }

    /// Returns what the routes need. Committed events still go to the recorder, and not to the hub that this function
    /// starts.
    pub fn http_services(&self) -> HttpServices {
        let (rooms, (log, _)) = (Arbiter::new().handle(), mpsc::channel(1));
        let hub = Hub::new(vec![rooms], log, CatchUpSchedule::default(), self.app.supervision()).start().recipient();
        let presence = Presence::new(self.app.clone()).start().recipient();
        HttpServices {
            sessions: SessionServices { app: self.app.clone(), hub, presence },
            draining: Draining::default(),
        }
    }

    /// Returns true if the database is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.app.db().backend() == DatabaseBackend::Postgres
    }

    /// Returns the path of the SQLite file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("data/greenroom.db")
    }

    /// Returns the address of the database; `None` on SQLite.
    pub fn url(&self) -> Option<String> {
        self.direct_url.clone()
    }

    /// Opens a further connection to PostgreSQL, which the application does not use.
    pub async fn connection(&self) -> DatabaseConnection {
        connect(self.direct_url.as_deref().expect("PostgreSQL")).await
    }

    /// Executes statements on a connection of the application. No other transaction may be writing.
    pub async fn run(&self, statements: &str) {
        self.app.db().write().unwrap().execute_unprepared(statements).await.unwrap();
    }

    /// Returns the rows of a query.
    pub async fn rows(&self, query: &str) -> Vec<QueryResult> {
        let db = self.app.db();
        db.read(ReadPool::Ordinary).query_all_raw(Statement::from_string(db.backend(), query)).await.unwrap()
    }

    /// Returns the SQL literal of an id.
    pub fn id_literal(&self, id: impl Into<uuid::Uuid>) -> String {
        let id = id.into().simple();
        if self.is_postgres() { format!("'{id}'::uuid") } else { format!("x'{id}'") }
    }

    /// Creates a user without a password.
    pub async fn user(&self) -> Caller {
        let user_id = UserId::new();
        let username = Username::parse(&format!("user{}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap();
        let new = NewUser {
            id: user_id,
            display_name: username.as_str().to_owned(),
            username,
            email: None,
            password_hash: None,
            role: UserRole::User,
        };
        transact_for(&self.app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
            let new = new.clone();
            Box::pin(async move {
                accounts::insert(tx.conn(), &new, tx.now()).await?;
                tx.add_user(new.id);
                Ok(())
            })
        })
        .await
        .unwrap();
        caller_of(user_id)
    }

    /// Creates `count` users.
    pub async fn users(&self, count: usize) -> Vec<Caller> {
        let mut users = Vec::with_capacity(count);
        for _ in 0..count {
            users.push(self.user().await);
        }
        users
    }

    /// Creates a group of these users. The first one is the owner.
    pub async fn group(&self, users: &[Caller]) -> ConversationId {
        let new = new_group(&users[1..]);
        groups::create(&self.app, &users[0], new).await.unwrap().conversation.id
    }

    /// Creates the direct conversation of two users, or finds it.
    pub async fn direct(&self, one: &Caller, other: &Caller) -> ConversationId {
        conversations::get_or_create_direct(&self.app, one, &[UserRef::Id(other.user_id)])
            .await
            .unwrap()
            .conversation
            .id
    }

    /// Adds a member to a group.
    pub async fn add(&self, by: &Caller, group: ConversationId, user: &Caller) -> Result<()> {
        let users = vec![UserRef::Id(user.user_id)];
        members::add(&self.app, by, group, &users, greenroom::domain::roles::Role::Member).await.map(drop)
    }

    /// Puts a send into the queue of its writer, which calls `answer` with the outcome.
    pub fn enqueue_with(&self, send: TestSend, answer: impl FnOnce(Result<SentMessage>) + Send + Sync + 'static) {
        self.app.enqueue_send(send.job(answer));
    }

    /// Puts a send into the queue of its writer and returns a receiver of the outcome.
    pub fn enqueue(&self, send: TestSend) -> oneshot::Receiver<Result<SentMessage>> {
        let (answer, answered) = oneshot::channel();
        self.enqueue_with(send, |outcome| drop(answer.send(outcome)));
        answered
    }

    /// Puts a send into the queue of its writer and waits for the outcome.
    pub async fn send(&self, send: TestSend) -> Result<SentMessage> {
        self.enqueue(send).await.unwrap()
    }

    /// Waits until every transaction that began has ended, also if its caller has gone. Sends and marks in the queues
    /// of the writers are not included.
    pub async fn wait_for_transactions(&self) {
        let started = Instant::now();
        while self.runtime.metrics().num_alive_tasks() > self.resident_tasks {
            assert!(started.elapsed() < DEADLINE, "a transaction does not end");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the application reports that the database accepts writes.
    pub async fn wait_until_writable(&self) {
        let started = Instant::now();
        while self.app.db().state() != DbState::Ok {
            assert!(started.elapsed() < DEADLINE, "the database accepts no writes");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns the schedule of the catch-up, which a failed delivery wakes.
    pub fn catch_up_schedule(&self) -> &CatchUpSchedule {
        &self.embedded.catch_up_schedule
    }

    /// Waits until the catch-up is woken.
    pub async fn wait_for_catch_up(&self) {
        tokio::time::timeout(DEADLINE, self.embedded.catch_up_schedule.woken()).await.unwrap();
    }

    /// Waits until the tasks of the start have ended, and returns the number of those that continue.
    async fn count_resident_tasks(&self) -> usize {
        let mut last = self.runtime.metrics().num_alive_tasks();
        let mut same = 0;
        while same < 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = self.runtime.metrics().num_alive_tasks();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    /// Returns the texts of the ephemeral frames that were sent.
    pub fn notified(&self) -> Vec<String> {
        self.recorded.frames.lock().unwrap().clone()
    }

    /// Returns the revisions of a stream in the order in which its events were delivered.
    pub fn delivered_revs(&self, stream: Stream) -> Vec<i64> {
        let events = self.recorded.events.lock().unwrap();
        events.iter().filter(|event| event.stream == stream).map(|event| event.rev).collect()
    }

    /// Reads the whole database, and checks that it is consistent and that every event was delivered once.
    pub async fn check_stored_state(&self) -> StoredState {
        let stored = self.stored_state().await;
        let started = Instant::now();
        loop {
            // The sender gets its answer before the delivery, so wait for the last one.
            let faults = stored.delivery_faults(&self.recorded.events.lock().unwrap());
            if faults.is_empty() {
                return stored;
            }
            assert!(started.elapsed() < DEADLINE, "\n{}\n", faults.join("\n"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Reads the whole database and checks that it is consistent. A delivery may be missing.
    pub async fn stored_state(&self) -> StoredState {
        self.wait_for_transactions().await;
        let stored = StoredState::read(self).await;
        let faults = stored.faults();
        assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
        let connection = self.app.db().read(ReadPool::Ordinary);
        assert_eq!(integrity::broken_rules(connection).await, [""; 0]);
        stored
    }
}

/// Returns a caller who is this user, with a login of its own.
pub fn caller_of(user_id: UserId) -> Caller {
    Caller { user_id, role: UserRole::User, via: Via::Login { login_id: LoginId::new() } }
}

/// Returns the request for a group with these members and its owner.
pub fn new_group(others: &[Caller]) -> NewGroup {
    let members = others.iter().map(|caller| UserRef::Id(caller.user_id)).collect();
    NewGroup { name: "Friends".to_owned(), description: None, avatar_url: None, members, temp_id: None }
}
