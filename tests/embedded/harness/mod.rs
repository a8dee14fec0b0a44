//! One application inside the test process: real use cases, writers and database, without a server and without sockets. It
//! records every delivery. Tests of what a client can rely on are in `tests/server`.

mod recorder;
pub mod stored_state;
mod test_send;

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
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use stored_state::Ledger;
pub use test_send::Post;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, oneshot};

/// Far above what any single condition needs.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes the names of users and databases differ within one run.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Whether this run has said what it leaves out.
static SAID: Once = Once::new();

/// Runs `test` on a fresh SQLite file and, where `GREENROOM_TEST_POSTGRES` names a server, on a fresh database there.
pub fn on_each_database(test: &impl AsyncFn(&Inside)) {
    on_sqlite(test);
    on_postgres(test);
}

/// Runs `test` on a fresh SQLite file.
pub fn on_sqlite(test: &impl AsyncFn(&Inside)) {
    let runtime = runtime();
    System::new().block_on(async {
        let inside = Inside::open(None, None, runtime.handle()).await;
        test(&inside).await;
        inside.close().await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Runs `test` on a fresh PostgreSQL database, which is dropped afterwards, or says once that it was left out.
pub fn on_postgres(test: &impl AsyncFn(&Inside)) {
    through(|url| url, test);
}

/// [`on_postgres`] where the application reaches the database at the address that `way` makes of the real one.
pub fn through(way: impl FnOnce(String) -> String, test: &impl AsyncFn(&Inside)) {
    let Ok(admin_url) = std::env::var("GREENROOM_TEST_POSTGRES") else {
        // not with `eprintln!`, which the test harness swallows
        SAID.call_once(|| {
            let _ = writeln!(std::io::stderr(), "left out: PostgreSQL (GREENROOM_TEST_POSTGRES is not set)");
        });
        return;
    };
    let name = format!("greenroom_inside_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let runtime = runtime();
    runtime.block_on(execute(&admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")));
    let mut url = url::Url::parse(&admin_url).unwrap();
    url.set_path(&name);
    let (direct, used) = (url.to_string(), way(url.to_string()));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        System::new().block_on(async {
            let inside = Inside::open(Some(&used), Some(direct), runtime.handle()).await;
            test(&inside).await;
            inside.close().await;
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

/// One application and what it delivered.
pub struct Inside {
    /// The application.
    pub app: App,
    embedded: Embedded,
    recorded: Recorded,
    runtime: Handle,
    /// Tasks that run for as long as the application does.
    resident: usize,
    /// The database's own address, whatever way the application takes to it.
    direct: Option<String>,
    folder: tempfile::TempDir,
}

impl Inside {
    async fn open(url: Option<&str>, direct: Option<String>, runtime: &Handle) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut pairs = vec![
            ("GREENROOM_DATA_DIR".to_owned(), folder.path().join("data").display().to_string()),
            ("GREENROOM_LIMIT_SENDS_PER_SECOND".to_owned(), "0".to_owned()),
        ];
        if let Some(url) = url {
            pairs.push(("DATABASE_URL".to_owned(), url.to_owned()));
            pairs.push(("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()));
            // two writers, and so many for the rest that transactions of several users meet
            pairs.push(("GREENROOM_DB_CONNECTIONS".to_owned(), "16".to_owned()));
        }
        let settings = Settings::from_pairs(pairs, None).unwrap();
        let recorded = Recorded::default();
        let recorder = Recorder(recorded.clone()).start();
        let deliver = Some((recorder.clone().recipient(), recorder.recipient()));
        let embedded = Embedded::start(settings, runtime, limits::BATCH_SIZE, deliver).await.unwrap();
        let mut inside = Self {
            app: embedded.app.clone(),
            embedded,
            recorded,
            runtime: runtime.clone(),
            resident: 0,
            direct,
            folder,
        };
        inside.resident = inside.quiet().await;
        inside
    }

    async fn close(self) {
        self.embedded.stop().await;
    }

    /// What its door needs, for a server without sockets; whatever is committed is still delivered to the recorder.
    pub fn services(&self) -> HttpServices {
        let (rooms, (log, _)) = (Arbiter::new().handle(), mpsc::channel(1));
        let hub = Hub::new(vec![rooms], log, CatchUpSchedule::default(), self.app.supervision()).start().recipient();
        let presence = Presence::new(self.app.clone()).start().recipient();
        HttpServices {
            sessions: SessionServices { app: self.app.clone(), hub, presence },
            draining: Draining::default(),
        }
    }

    /// Whether the database is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        self.app.db().backend() == DatabaseBackend::Postgres
    }

    /// The file of SQLite.
    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("data/greenroom.db")
    }

    /// A connection of one's own to PostgreSQL, beside those of the application.
    pub async fn connection(&self) -> DatabaseConnection {
        connect(self.direct.as_deref().expect("PostgreSQL")).await
    }

    /// Runs statements of the test itself. Nothing else may be writing.
    pub async fn run(&self, statements: &str) {
        self.app.db().write().unwrap().execute_unprepared(statements).await.unwrap();
    }

    /// The rows of a query of the test itself.
    pub async fn rows(&self, query: &str) -> Vec<QueryResult> {
        let db = self.app.db();
        db.read(ReadPool::Ordinary).query_all_raw(Statement::from_string(db.backend(), query)).await.unwrap()
    }

    /// A literal for an id in a statement.
    pub fn literal(&self, id: impl Into<uuid::Uuid>) -> String {
        let id = id.into().simple();
        if self.is_postgres() { format!("'{id}'::uuid") } else { format!("x'{id}'") }
    }

    /// A user, without a password.
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
        Caller { user_id, role: UserRole::User, via: Via::Login { login_id: LoginId::new() } }
    }

    /// So many users.
    pub async fn users(&self, count: usize) -> Vec<Caller> {
        let mut users = Vec::with_capacity(count);
        for _ in 0..count {
            users.push(self.user().await);
        }
        users
    }

    /// A group of these; the first owns it.
    pub async fn group(&self, everybody: &[Caller]) -> ConversationId {
        let new = new_group(&everybody[1..]);
        groups::create(&self.app, &everybody[0], new).await.unwrap().conversation.id
    }

    /// The direct conversation of two.
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

    /// Puts a send in its writer's queue now; `answer` is called when it is decided.
    pub fn enqueue_with(&self, post: Post, answer: impl FnOnce(Result<SentMessage>) + Send + Sync + 'static) {
        self.app.enqueue_send(post.job(answer));
    }

    /// [`Self::enqueue_with`] for an outcome that is awaited.
    pub fn enqueue(&self, post: Post) -> oneshot::Receiver<Result<SentMessage>> {
        let (answer, answered) = oneshot::channel();
        self.enqueue_with(post, |outcome| drop(answer.send(outcome)));
        answered
    }

    /// Sends and waits for the outcome.
    pub async fn send(&self, post: Post) -> Result<SentMessage> {
        self.enqueue(post).await.unwrap()
    }

    /// Waits until every transaction that was begun has ended, also those that nobody waits for; sends and marks that are
    /// still in a queue are not among them.
    pub async fn settled(&self) {
        let started = Instant::now();
        while self.runtime.metrics().num_alive_tasks() > self.resident {
            assert!(started.elapsed() < DEADLINE, "a transaction does not end");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the application finds that the database takes writes again.
    pub async fn back(&self) {
        let started = Instant::now();
        while self.app.db().state() != DbState::Ok {
            assert!(started.elapsed() < DEADLINE, "the database does not come back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Woken when the log is to be looked through for what was not delivered.
    pub fn catch_up(&self) -> &CatchUpSchedule {
        &self.embedded.catch_up
    }

    /// Waits until the log is to be looked through for what was not delivered.
    pub async fn catch_up_woken(&self) {
        tokio::time::timeout(DEADLINE, self.embedded.catch_up.woken()).await.unwrap();
    }

    /// Waits until the tasks of the start have ended, and returns how many stay.
    async fn quiet(&self) -> usize {
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

    /// Reads the whole database and checks that it agrees with itself and with what was delivered.
    pub async fn audit(&self) -> Ledger {
        let ledger = self.ledger().await;
        let started = Instant::now();
        loop {
            // senders are answered before the others are told, so the last delivery may be on its way
            let faults = ledger.undelivered(&self.recorded.events.lock().unwrap());
            if faults.is_empty() {
                return ledger;
            }
            assert!(started.elapsed() < DEADLINE, "\n{}\n", faults.join("\n"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// [`Self::audit`] where a delivery may be missing.
    pub async fn ledger(&self) -> Ledger {
        self.settled().await;
        let ledger = Ledger::read(self).await;
        let faults = ledger.faults();
        assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
        ledger
    }
}

/// A group about to be made, of these besides its owner.
pub fn new_group(others: &[Caller]) -> NewGroup {
    let members = others.iter().map(|caller| UserRef::Id(caller.user_id)).collect();
    NewGroup { name: "Friends".to_owned(), description: None, avatar_url: None, members, temp_id: None }
}
