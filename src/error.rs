//! The one error type of the server, from which REST and the WebSocket make their own forms.
//!
//! The code, the detail and the fields are for the client. The source is for the operator only: the server logs it when
//! it answers, and never sends it to a client.

use crate::domain::codes::Code;
use crate::domain::limits;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;

/// A result with the error of this server, unless another one is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One field that is not valid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field, as a path from the root of the body or payload. `.` is the whole body.
    pub field: String,
    /// What is wrong with the field. The text continues the name of the field, such as "must not be empty".
    pub message: String,
}

/// An error with a stable code and a text for the client, and with its cause for the operator.
pub struct Error(Box<ErrorContent>);

struct ErrorContent {
    code: Code,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after_ms: Option<u64>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// One function for each kind of error.
impl Error {
    fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ErrorContent {
            code,
            detail: detail.into(),
            fields: Vec::new(),
            retry_after_ms: None,
            source: None,
        }))
    }

    fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the error for a request that cannot be read: malformed JSON, a bad id in a path, or a bad cursor.
    pub fn invalid_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// Returns the error for one field that is not valid. `message` continues the name of the field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Returns the error for several fields that are not valid. `fields` must not be empty.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let detail = fields.iter().map(|field| format!("{} {}", field.field, field.message)).collect::<Vec<_>>();
        let mut error = Self::new(Code::ValidationFailed, detail.join("; "));
        error.0.fields = fields;
        error
    }

    /// Returns the error for a missing token, or for a token that is not valid.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unauthorized, detail)
    }

    /// Returns the error for a wrong login or password. It is the same for an unknown user, so that nobody can find out
    /// which accounts exist.
    pub fn invalid_credentials() -> Self {
        Self::new(Code::InvalidCredentials, "The login or the password is wrong.")
    }

    /// Returns the error for a refresh token that was already used.
    pub fn token_reused() -> Self {
        Self::new(
            Code::TokenReused,
            "This refresh token was already used, and its successor is in use too. Two clients may share this login, \
             so the server has ended it. Sign in again, and refresh from one client at a time.",
        )
    }

    /// Returns the error for a caller whose account is suspended.
    pub fn suspended() -> Self {
        Self::new(Code::Suspended, "This account is suspended. Only the operator of this server can change that.")
    }

    /// Returns the error for a registration where only the operator creates accounts.
    pub fn registration_closed() -> Self {
        Self::new(Code::RegistrationClosed, "Registration is closed. Ask the operator of this server for an account.")
    }

    /// Returns the error for a call about the logins or the password of a user of the host application.
    pub fn host_account() -> Self {
        Self::new(Code::HostAccount, "The host application manages the logins and the password of this account.")
    }

    /// Returns the error for an action that the caller must not do. `detail` says who may do it.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    /// Returns the error for a caller who is not in the conversation.
    pub fn not_a_participant() -> Self {
        Self::new(Code::NotAParticipant, "You are not a participant of this conversation.")
    }

    /// Returns the error for an action that a block between two users forbids.
    pub fn blocked() -> Self {
        Self::new(Code::Blocked, "One of the two users has blocked the other.")
    }

    /// Returns the error for a change in the conversation of an archived class.
    pub fn class_archived() -> Self {
        Self::new(Code::ClassArchived, "The class is archived, so its conversation is read-only.")
    }

    /// Returns the error for a change that only the class of the conversation can make.
    pub fn class_conversation() -> Self {
        Self::new(Code::ClassConversation, "The class manages this conversation. Change the class instead.")
    }

    /// Returns the error for something that does not exist, or that the caller must not know of. `what` is its noun.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// Returns the error for a user who is named in the request and does not exist.
    pub fn user_not_found() -> Self {
        Self::new(Code::UserNotFound, "There is no such user.")
    }

    /// Returns the error for a direct conversation of a user with themself.
    pub fn self_conversation() -> Self {
        Self::new(Code::SelfConversation, "A direct conversation needs exactly one other user.")
    }

    /// Returns the error for users who try to block themselves.
    pub fn self_block() -> Self {
        Self::new(Code::SelfBlock, "You cannot block yourself.")
    }

    /// Returns the error for a username that another user has.
    pub fn username_taken() -> Self {
        Self::new(Code::UsernameTaken, "This username is taken. Choose another one.")
    }

    /// Returns the error for an e-mail address that another user has.
    pub fn email_taken() -> Self {
        Self::new(Code::EmailTaken, "This e-mail address is taken. Choose another one.")
    }

    /// Returns the error for a `temp_id` that belongs to another message or to another group.
    pub fn temp_id_reused() -> Self {
        Self::new(Code::TempIdReused, "This temp_id was already used with another body. Use a new temp_id.")
    }

    /// Returns the error for an attempt to leave a direct conversation.
    pub fn cannot_leave_direct() -> Self {
        Self::new(Code::CannotLeaveDirect, "A direct conversation cannot be left. Archive it instead.")
    }

    /// Returns the error for a group that would get too many members.
    pub fn group_full() -> Self {
        Self::new(Code::GroupFull, format!("A group has at most {} members.", limits::GROUP_MEMBERS))
    }

    /// Returns the error for an action that the present state does not allow.
    pub fn conflict(detail: &'static str) -> Self {
        Self::new(Code::Conflict, detail)
    }

    /// Returns the error for a method that the path does not support.
    pub fn method_not_allowed() -> Self {
        Self::new(
            Code::MethodNotAllowed,
            "This path does not support the method. The header Allow names the supported methods.",
        )
    }

    /// Returns the error for a handshake that asks for another version of the WebSocket protocol than `version`.
    pub fn upgrade_required(version: &str) -> Self {
        Self::new(
            Code::UpgradeRequired,
            format!("This server supports only version {version} of the WebSocket protocol. Ask for that version."),
        )
    }

    /// Returns the error for a body or frame of more than `limit` bytes.
    pub fn payload_too_large(limit: usize) -> Self {
        Self::new(Code::PayloadTooLarge, format!("The limit is {limit} bytes. Send less."))
    }

    /// Returns the error for a body whose headers say that it is not plain JSON.
    pub fn unsupported_media_type() -> Self {
        Self::new(Code::UnsupportedMediaType, "The body must be JSON. Send it with Content-Type: application/json.")
    }

    /// Returns the error for a caller who is over a limit. The caller may try again after `retry_after_ms`, at least 1.
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        let mut error = Self::new(
            Code::RateLimited,
            "Too many requests. Wait as long as Retry-After or retry_after_ms says, then try again.",
        );
        error.0.retry_after_ms = Some(retry_after_ms.max(1));
        error
    }

    /// Returns the error for a frame of an unknown type. The text shows at most 64 characters of `name`.
    pub fn unknown_type(name: &str) -> Self {
        let shown: String = name.chars().take(64).collect();
        Self::new(Code::UnknownType, format!("This server does not know the frame type {shown:?}."))
    }

    /// Returns the error for a caller who has too much work in progress. The server has not begun the new work.
    pub fn busy(detail: &'static str) -> Self {
        let mut error = Self::new(Code::Busy, detail);
        error.0.retry_after_ms = Some(100);
        error
    }

    /// Returns the error for work that this server has no capacity for. The server has not begun it.
    pub fn overloaded(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::busy("The server is overloaded; try again.").caused_by(source);
        error.0.retry_after_ms = Some(1000);
        error
    }

    /// Returns the error for work that the server cannot do at the moment. The server has acknowledged nothing.
    pub fn unavailable(detail: &'static str) -> Self {
        let mut error = Self::new(Code::Unavailable, detail);
        error.0.retry_after_ms = Some(1000);
        error
    }

    /// Returns the error for a database that does not answer, or not in time.
    pub fn database_unreachable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::unavailable("The database does not answer; try again.").caused_by(source)
    }

    /// Returns the error for a database, or a folder of the server, that cannot be written to.
    pub fn not_writable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::unavailable("The server cannot store data at the moment; try again.").caused_by(source)
    }

    /// Returns the error for a fault of the server. The source says which one.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "The request failed because of a fault in the server. The operator finds the cause in the log.",
        )
        .caused_by(source)
    }
}

/// The parts of an error, from which answers and log lines are made.
impl Error {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the text for the client: one sentence or more, or the fields that are not valid.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns true if the same request can succeed later: the caller or the server has too much work, or the database
    /// does not answer in time.
    ///
    /// There may be as many of these errors as there are requests, so they are counted and not logged one by one. The
    /// part of the server that watches the database logs once that it does not answer.
    pub fn is_temporary(&self) -> bool {
        matches!(self.0.code, Code::Busy | Code::Unavailable)
    }

    /// Returns the fields that are not valid: empty for other codes than `validation_failed`.
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Returns the time to wait before the next attempt: `None` for other codes than `rate_limited`, `busy` and
    /// `unavailable`.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    /// Returns the cause, which only the operator may see.
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
