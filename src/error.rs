//! The one error type. A use case says what happened in the words of its situation; REST and WebSocket turn it into
//! their forms. What the client may see is in it; what only the operator may see is its source, which is logged where the
//! error is answered and shown to nobody.

use crate::domain::codes::Code;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// A result of the house.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One field that is not valid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field, as a path from the body's or payload's root.
    pub field: String,
    /// What is wrong with it, for its author.
    pub message: String,
}

/// What went wrong.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after_ms: Option<u64>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The situations, by name.
impl Error {
    fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { code, detail: detail.into(), fields: Vec::new(), retry_after_ms: None, source: None }))
    }

    fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The request cannot be read: malformed JSON, a bad id in a path, a bad cursor.
    pub fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// One field is not valid.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// These fields are not valid; there is at least one.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let detail = fields.iter().map(|field| format!("{} {}", field.field, field.message)).collect::<Vec<_>>();
        let mut error = Self::new(Code::ValidationFailed, detail.join("; "));
        error.0.fields = fields;
        error
    }

    /// No token, or one that is not good.
    pub fn unauthorized(detail: &'static str) -> Self {
        Self::new(Code::Unauthorized, detail)
    }

    /// Login or password is wrong; the same for an unknown user.
    pub fn invalid_credentials() -> Self {
        Self::new(Code::InvalidCredentials, "the login or the password is wrong")
    }

    /// A spent refresh token came back.
    pub fn token_reused() -> Self {
        Self::new(
            Code::TokenReused,
            "this refresh token was spent before and its successor is in use, so two may hold this login and it has \
             ended; sign in again, and refresh in one place at a time",
        )
    }

    /// The caller is suspended.
    pub fn suspended() -> Self {
        Self::new(Code::Suspended, "this account is suspended; only whoever runs this server can change that")
    }

    /// Nobody can register here.
    pub fn registration_closed() -> Self {
        Self::new(Code::RegistrationClosed, "nobody can register here; whoever runs this server makes accounts")
    }

    /// Not allowed, for the given reason.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// The caller is not in the conversation.
    pub fn not_a_participant() -> Self {
        Self::new(Code::NotAParticipant, "you are not a participant of this conversation")
    }

    /// A block stands between two users.
    pub fn blocked() -> Self {
        Self::new(Code::Blocked, "one of the two of you has blocked the other")
    }

    /// The class is archived.
    pub fn class_archived() -> Self {
        Self::new(Code::ClassArchived, "the class is archived, so its conversation can only be read")
    }

    /// The class manages its conversation.
    pub fn class_conversation() -> Self {
        Self::new(Code::ClassConversation, "a class manages its conversation; change the class instead")
    }

    /// There is no such thing.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// A user named in the request does not exist.
    pub fn user_not_found() -> Self {
        Self::new(Code::UserNotFound, "there is no such user")
    }

    /// A conversation with oneself.
    pub fn self_conversation() -> Self {
        Self::new(Code::SelfConversation, "a direct conversation needs exactly one other user")
    }

    /// A block of oneself.
    pub fn self_block() -> Self {
        Self::new(Code::SelfBlock, "you cannot block yourself")
    }

    /// The username is somebody else's.
    pub fn username_taken() -> Self {
        Self::new(Code::UsernameTaken, "this username is taken; choose another one")
    }

    /// The e-mail address is somebody else's.
    pub fn email_taken() -> Self {
        Self::new(Code::EmailTaken, "this e-mail address is taken; choose another one")
    }

    /// The `temp_id` belongs to another message, or to another group.
    pub fn temp_id_reused() -> Self {
        Self::new(Code::TempIdReused, "this temp_id was used before, with another body; take a new one for what is new")
    }

    /// A direct conversation cannot be left.
    pub fn cannot_leave_direct() -> Self {
        Self::new(Code::CannotLeaveDirect, "a direct conversation cannot be left; archive it instead")
    }

    /// The group is full.
    pub fn group_full() -> Self {
        Self::new(Code::GroupFull, "a group has at most 1000 members")
    }

    /// The state of things does not allow it.
    pub fn conflict(detail: &'static str) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// The path does not know the method.
    pub fn method_not_allowed() -> Self {
        Self::new(Code::MethodNotAllowed, "this path does not know that method; the header Allow names those it knows")
    }

    /// The handshake asks for another version of the protocol.
    pub fn upgrade_required(version: &str) -> Self {
        Self::new(
            Code::UpgradeRequired,
            format!("only version {version} of the WebSocket protocol is spoken here; ask for it"),
        )
    }

    /// The body or frame is too large.
    pub fn payload_too_large(limit: usize) -> Self {
        Self::new(Code::PayloadTooLarge, format!("at most {limit} bytes are taken here; send less"))
    }

    /// The body is not JSON by its own account.
    pub fn unsupported_media_type() -> Self {
        Self::new(Code::UnsupportedMediaType, "the body must be JSON; send it with Content-Type: application/json")
    }

    /// Too many; again in so many milliseconds.
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        let mut error = Self::new(
            Code::RateLimited,
            "too many of these; wait for as long as Retry-After or retry_after_ms says, then try again",
        );
        error.0.retry_after_ms = Some(retry_after_ms.max(1));
        error
    }

    /// A frame of an unknown type.
    pub fn unknown_type(name: &str) -> Self {
        let shown: String = name.chars().take(64).collect();
        Self::new(Code::UnknownType, format!("unknown frame type {shown:?}"))
    }

    /// Too much of this caller's own work is under way; nothing was begun.
    pub fn busy(detail: &'static str) -> Self {
        let mut error = Self::new(Code::Busy, detail);
        error.0.retry_after_ms = Some(100);
        error
    }

    /// Too much is under way on this server for one more; nothing was begun.
    pub fn overloaded(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::busy("the server has much to do just now; try again").caused_by(source);
        error.0.retry_after_ms = Some(1000);
        error
    }

    /// The server cannot answer just now; nothing was acknowledged.
    pub fn unavailable(detail: &'static str) -> Self {
        let mut error = Self::new(Code::Unavailable, detail);
        error.0.retry_after_ms = Some(1000);
        error
    }

    /// The database is away, or too slow to wait for.
    pub fn database_away(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::unavailable("the database does not answer; try again").caused_by(source)
    }

    /// The database answers and takes no writes.
    pub fn unwritable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::unavailable("nothing can be stored just now; try again").caused_by(source)
    }

    /// A fault of ours; the source says which.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "something went wrong in the server, and is in its log; whoever runs it can find out what",
        )
        .caused_by(source)
    }
}

/// What the edges read.
impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// A sentence for the client.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whether it passes by itself: somebody has too much to do, or the database is away or too slow. There may be as many
    /// of these as there are requests, so they are counted; a database that is away is told of once, by whoever watches it.
    pub fn is_passing(&self) -> bool {
        matches!(self.0.code, Code::Busy | Code::Unavailable)
    }

    /// The fields that are not valid; empty for other codes than `validation_failed`.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// When to try again, for `rate_limited`, `busy` and `unavailable`.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    /// What only the operator may see.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.detail)?;
        match &self.0.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
