//! What is written to: a fresh database with users and conversations whose ids are known by their numbers, so that
//! pgbench can name them too.

use crate::Result;
use greenroom::config::Settings;
use greenroom::domain::ids::{ConversationId, LoginId, Rev, Seq, UserId};
use greenroom::domain::limits;
use greenroom::domain::names::Username;
use greenroom::domain::roles::{ConversationKind, Role};
use greenroom::error;
use greenroom::protocol::users::UserRole;
use greenroom::startup::Embedded;
use greenroom::store::accounts::{self, NewUser};
use greenroom::store::conversations::{self, NewConversationRow};
use greenroom::store::participants::{self, NewParticipant, ViewStart};
use greenroom::store::pools::ReadPool;
use greenroom::store::write_queue::WriteOwner;
use greenroom::work::Caller;
use greenroom::work::transact::{Tx, transact_for};
use sea_orm::{ConnectionTrait, Database, DatabaseBackend, Statement};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::runtime::Handle;
use url::Url;
use uuid::Uuid;

/// Conversations written to.
pub const CONVERSATIONS: u64 = 1000;
/// Users, each in some conversations.
pub const USERS: u64 = 300;
/// Members of a conversation.
pub const MEMBERS: u64 = 4;
/// Conversations made in one transaction.
const CHUNK: u64 = 100;

const FIRST_CONVERSATION: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;
const FIRST_USER: u128 = 0x0190_0000_0000_7000_9000_0000_0000_0000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Where the database is.
pub enum Place {
    /// A file in a folder of its own, which goes with this value.
    Sqlite(tempfile::TempDir),
    /// A database of its own.
    Postgres {
        /// Where databases are made.
        admin: String,
        /// The name of this one.
        name: String,
        /// The address of this one.
        url: String,
        /// Where the application keeps its own things.
        folder: tempfile::TempDir,
    },
}

impl Place {
    /// A new folder for SQLite.
    pub fn sqlite() -> Result<Self> {
        Ok(Self::Sqlite(tempfile::TempDir::with_prefix("greenroom-writes-")?))
    }

    /// A new database on PostgreSQL.
    pub fn postgres(admin: &str) -> Result<Self> {
        let name = format!("greenroom_writes_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        execute(admin, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))?;
        let mut url = Url::parse(admin)?;
        url.set_path(&name);
        let folder = tempfile::TempDir::with_prefix("greenroom-writes-")?;
        Ok(Self::Postgres { admin: admin.to_owned(), name, url: url.into(), folder })
    }

    /// Drops the database.
    pub fn remove(self) -> Result<()> {
        match self {
            Self::Sqlite(folder) => Ok(folder.close()?),
            Self::Postgres { admin, name, .. } => execute(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")),
        }
    }

    /// Which database it is.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    fn settings(&self) -> Result<Settings> {
        let (Self::Sqlite(folder) | Self::Postgres { folder, .. }) = self;
        let mut pairs = vec![
            ("GREENROOM_DATA_DIR".to_owned(), folder.path().join("data").display().to_string()),
            ("GREENROOM_LIMIT_SENDS_PER_SECOND".to_owned(), "0".to_owned()),
        ];
        if let Self::Postgres { url, .. } = self {
            pairs.push(("DATABASE_URL".to_owned(), url.clone()));
            pairs.push(("GREENROOM_AUTO_MIGRATE".to_owned(), "true".to_owned()));
        }
        Ok(Settings::from_pairs(pairs, None)?)
    }
}

fn execute(url: &str, statement: &str) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let connection = Database::connect(url).await?;
        connection.execute_unprepared(statement).await?;
        connection.close().await?;
        Ok(())
    })
}

/// An application with everything in place.
pub struct Stage {
    /// The application and its counters.
    pub embedded: Embedded,
}

impl Stage {
    /// Opens it at a place that is empty.
    pub async fn open(place: &Place, runtime: &Handle, batch: usize) -> Result<Self> {
        let embedded = Embedded::start(place.settings()?, runtime, batch, None).await?;
        transact_for(&embedded.app, WriteOwner::Operator, limits::FEW_ROWS, |tx| Box::pin(make_users(tx))).await?;
        for first in (0..CONVERSATIONS).step_by(CHUNK as usize) {
            transact_for(&embedded.app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
                Box::pin(make_conversations(tx, first..first + CHUNK))
            })
            .await?;
        }
        Ok(Self { embedded })
    }

    /// The conversation of a number below [`CONVERSATIONS`].
    pub fn conversation(number: u64) -> ConversationId {
        ConversationId(Uuid::from_u128(FIRST_CONVERSATION + u128::from(number)))
    }

    /// One of its members, by a number below [`MEMBERS`].
    pub fn member(conversation: u64, number: u64) -> Caller {
        let user_id = user((conversation * MEMBERS + number) % USERS);
        Caller { user_id, login_id: LoginId(user_id.0), role: UserRole::User }
    }

    /// The bytes of an event in the log, on the average of the newest.
    pub async fn payload_bytes(&self) -> Result<usize> {
        let db = self.embedded.app.db();
        let length =
            if db.backend() == DatabaseBackend::Postgres { "octet_length(payload)" } else { "length(payload)" };
        let query = format!(
            "SELECT CAST(avg({length}) AS bigint) AS bytes FROM (SELECT payload FROM outbox ORDER BY id DESC LIMIT 1000) t"
        );
        let row = db.read(ReadPool::Ordinary).query_one_raw(Statement::from_string(db.backend(), query)).await?;
        let bytes: i64 = row.ok_or("the log is empty")?.try_get("", "bytes")?;
        Ok(bytes as usize)
    }

    /// Closes the database.
    pub async fn close(self) {
        self.embedded.stop().await;
    }
}

fn user(number: u64) -> UserId {
    UserId(Uuid::from_u128(FIRST_USER + u128::from(number)))
}

async fn make_users(tx: &mut Tx) -> error::Result<()> {
    for number in 0..USERS {
        let username = Username::parse(&format!("user{number}")).map_err(error::Error::internal)?;
        let new = NewUser {
            id: user(number),
            display_name: username.as_str().to_owned(),
            username,
            email: None,
            password_hash: None,
            role: UserRole::User,
        };
        accounts::insert(tx.conn(), &new, tx.now()).await?;
    }
    Ok(())
}

async fn make_conversations(tx: &mut Tx, numbers: std::ops::Range<u64>) -> error::Result<()> {
    for number in numbers {
        let id = Stage::conversation(number);
        let members: Vec<UserId> = (0..MEMBERS).map(|member| Stage::member(number, member).user_id).collect();
        let new = NewConversationRow {
            id,
            kind: ConversationKind::Group,
            name: Some(format!("Group {number}")),
            description: None,
            avatar_url: None,
            direct: None,
            created_by: members[0],
            temp_id: None,
            created_at: tx.now(),
        };
        conversations::insert(tx.conn(), &new).await?;
        let rows: Vec<_> = members.into_iter().map(|user_id| NewParticipant { user_id, role: Role::Member }).collect();
        let start = ViewStart { joined_at: tx.now(), joined_rev: Rev(0), last_read_seq: Seq(0), last_read_count: 0 };
        participants::insert(tx.conn(), id, &rows, start).await?;
    }
    Ok(())
}
