//! The application that is measured, on a new database with users and conversations. Their ids follow from their
//! numbers, so that pgbench can use them too.

use crate::Result;
use crate::database::NewDatabase;
use greenroom::domain::accounts::UserRole;
use greenroom::domain::caller::{Caller, Via};
use greenroom::domain::ids::{ConversationId, LoginId, Rev, Seq, UserId};
use greenroom::domain::limits;
use greenroom::domain::names::Username;
use greenroom::domain::roles::{ConversationKind, Role};
use greenroom::error;
use greenroom::startup::Embedded;
use greenroom::store::accounts::{self, NewUser};
use greenroom::store::conversations::NewConversationRow;
use greenroom::store::db::pools::ReadPool;
use greenroom::store::db::write_queue::WriteOwner;
use greenroom::store::members::{NewParticipant, ViewStart};
use greenroom::work::conversations;
use greenroom::work::transact::transact_for;
use greenroom::work::tx::Tx;
use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};
use tokio::runtime::Handle;
use uuid::Uuid;

/// The number of conversations that messages are sent into.
pub const CONVERSATIONS: u64 = 1000;
/// The number of users. Each is a member of several conversations.
pub const USERS: u64 = 300;
/// The number of members of each conversation.
pub const MEMBERS: u64 = 4;
/// The number of conversations that one transaction creates.
const CONVERSATIONS_PER_TRANSACTION: u64 = 100;

const FIRST_CONVERSATION: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;
const FIRST_USER: u128 = 0x0190_0000_0000_7000_9000_0000_0000_0000;

/// A running application whose database has the users and conversations.
pub struct Application {
    pub embedded: Embedded,
}

impl Application {
    /// Starts an application on a new database and creates the users and conversations. `runtime` runs the work of the
    /// database. A commit of the writer contains `batch_size` sends at most.
    pub async fn start(database: &NewDatabase, runtime: &Handle, batch_size: usize) -> Result<Self> {
        let embedded = Embedded::start(database.settings()?, runtime, batch_size, None).await?;
        transact_for(&embedded.app, WriteOwner::Operator, limits::FEW_ROWS, |tx| Box::pin(create_users(tx))).await?;
        for first in (0..CONVERSATIONS).step_by(CONVERSATIONS_PER_TRANSACTION as usize) {
            transact_for(&embedded.app, WriteOwner::Operator, limits::FEW_ROWS, move |tx| {
                Box::pin(create_conversations(tx, first..first + CONVERSATIONS_PER_TRANSACTION))
            })
            .await?;
        }
        Ok(Self { embedded })
    }

    /// Returns the id of a conversation by its number, which is less than [`CONVERSATIONS`].
    pub fn conversation_id(number: u64) -> ConversationId {
        ConversationId(Uuid::from_u128(FIRST_CONVERSATION + u128::from(number)))
    }

    /// Returns a member of a conversation by a number, which is less than [`MEMBERS`].
    pub fn member(conversation: u64, number: u64) -> Caller {
        let user_id = user_id((conversation * MEMBERS + number) % USERS);
        Caller { user_id, role: UserRole::User, via: Via::Login { login_id: LoginId(user_id.0) } }
    }

    /// Returns the mean size of the newest 1,000 events in the log, in bytes.
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

    /// Stops the application and closes its database.
    pub async fn stop(self) {
        self.embedded.stop().await;
    }
}

fn user_id(number: u64) -> UserId {
    UserId(Uuid::from_u128(FIRST_USER + u128::from(number)))
}

async fn create_users(tx: &mut Tx) -> error::Result<()> {
    for number in 0..USERS {
        let username = Username::parse(&format!("user{number}")).map_err(error::Error::internal)?;
        let new = NewUser {
            id: user_id(number),
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

async fn create_conversations(tx: &mut Tx, numbers: std::ops::Range<u64>) -> error::Result<()> {
    for number in numbers {
        let id = Application::conversation_id(number);
        let members: Vec<UserId> = (0..MEMBERS).map(|member| Application::member(number, member).user_id).collect();
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
        conversations::insert_conversation(tx, new).await?;
        let rows: Vec<_> = members.into_iter().map(|user_id| NewParticipant { user_id, role: Role::Member }).collect();
        let start = ViewStart { joined_at: tx.now(), joined_rev: Rev(0), last_read_seq: Seq(0), last_read_count: 0 };
        conversations::insert_participants(tx, id, &rows, start).await?;
    }
    Ok(())
}
