//! What the writer decides about a batch of sends, and the rows and events that it collects.

use std::collections::HashMap;
use std::hint::black_box;

use greenroom::backends;
use greenroom::config::Settings;
use greenroom::domain::accounts::{AccountStatus, UserRole};
use greenroom::domain::caller::{Caller, Via};
use greenroom::domain::ids::{LoginId, Rev, Seq};
use greenroom::domain::roles::{ConversationKind, Role};
use greenroom::mailboxes::SendJob;
use greenroom::protocol::messages::NewMessage;
use greenroom::protocol::sends::CheckedSend;
use greenroom::store::locks::LockedConversation;
use greenroom::store::messages::sends::ParticipantRights;
use greenroom::work::writer_batch::GivenBatch;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Piece;
use crate::input::{TEXT, brief, conversation, message_id, user};

const CONVERSATIONS: usize = 16;
/// The sends of a batch. Each conversation gets the same number.
const SENDS: usize = 64;
const RUNS: usize = 30;

/// A batch, with what it lives on. The connection of its transaction must be dropped inside the runtime.
struct OpenBatch {
    batch: Option<GivenBatch>,
    runtime: Runtime,
    _folder: TempDir,
}

impl Drop for OpenBatch {
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        self.batch = None;
    }
}

/// One run decides on a batch of 64 sends in 16 direct conversations.
pub fn decide() -> Piece {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the runtime starts");
    let folder = TempDir::with_prefix("greenroom-pieces-").expect("a folder");
    let batch = Some(runtime.block_on(open_batch(&folder)));
    let mut open = OpenBatch { batch, runtime, _folder: folder };
    let batches = (0..=RUNS).map(|run| (0..SENDS).map(|number| job(run * SENDS + number)).collect()).collect();
    Piece::new(batches, move |jobs: Vec<SendJob>| {
        let batch = open.batch.as_mut().expect("it is dropped at the end");
        let outcomes = batch.decide(black_box(&jobs));
        assert!(outcomes.iter().all(Result::is_ok), "every send is accepted");
        black_box(outcomes);
    })
}

/// Begins a transaction on an empty database. The batch runs no statement in it.
async fn open_batch(folder: &TempDir) -> GivenBatch {
    let data = folder.path().join("data").display().to_string();
    let settings = Settings::from_pairs([("GREENROOM_DATA_DIR".to_owned(), data)], None).expect("the settings");
    let db = backends::connect(&settings).await.expect("the database");
    let transaction = db.begin().await.expect("a transaction");
    let conversations = (0..CONVERSATIONS).map(|number| (conversation(number), head(number))).collect();
    let senders: HashMap<_, _> =
        (0..CONVERSATIONS).map(|number| ((conversation(number), user(number)), rights(number))).collect();
    GivenBatch::new(transaction, conversations, senders)
}

fn head(number: usize) -> LockedConversation {
    LockedConversation {
        kind: ConversationKind::Direct,
        class_id: None,
        direct: Some((user(number), user(CONVERSATIONS + number))),
        deleted: false,
        last_seq: Seq(1000),
        last_count: 1000,
        last_rev: Rev(1000),
        member_count: 2,
        last_message_at: None,
        all_mentioned_at: None,
    }
}

fn rights(number: usize) -> ParticipantRights {
    ParticipantRights {
        brief: brief(number),
        role: Some(Role::Member),
        last_read_seq: Some(Seq(1000)),
        status: AccountStatus::Active,
        class_archived: false,
        blocked: false,
    }
}

fn job(number: usize) -> SendJob {
    let (conversation_id, user_id) = (conversation(number % CONVERSATIONS), user(number % CONVERSATIONS));
    let caller = Caller { user_id, role: UserRole::User, via: Via::Login { login_id: LoginId(user_id.0) } };
    let new = NewMessage {
        content: Some(TEXT.to_owned()),
        temp_id: Some(format!("t{}", 1000 + number)),
        ..NewMessage::default()
    };
    let send = CheckedSend::parse(&caller, conversation_id, new).expect("the send is valid");
    SendJob {
        message_id: message_id(number),
        send,
        times_postponed: 0,
        unknown_until: None,
        permit: None,
        answer: Box::new(|_| ()),
    }
}
