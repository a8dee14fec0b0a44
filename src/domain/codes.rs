//! Stable codes: the codes of errors, which are the same over REST and the WebSocket, and the codes of closed sockets.

/// The stable code of an error. Clients decide by it, so its name never changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// The request cannot be read: malformed JSON, a bad id, cursor or limit, or a frame that is not an object.
    InvalidRequest,
    /// The request can be read, but a field is missing, unknown, of the wrong type or out of bounds.
    ValidationFailed,
    /// The token is missing or not valid (any more).
    Unauthorized,
    /// The login or the password is wrong. The error does not say which one.
    InvalidCredentials,
    /// A refresh token was used again after its successor. The server has ended the login.
    TokenReused,
    Suspended,
    RegistrationClosed,
    /// The host application manages the logins and the password of the user.
    HostAccount,
    /// The action is not allowed, and no more specific code says why.
    Forbidden,
    /// The caller is not in the conversation (any more).
    NotAParticipant,
    /// One of the two users has blocked the other.
    Blocked,
    /// The class is archived, so its conversation is read-only.
    ClassArchived,
    /// Only the class can make this change in its conversation.
    ClassConversation,
    /// The thing does not exist, or the caller must not know of it.
    NotFound,
    /// A user who is named in the request does not exist.
    UserNotFound,
    /// A direct conversation needs exactly one other user.
    SelfConversation,
    SelfBlock,
    UsernameTaken,
    EmailTaken,
    /// The same `temp_id` was sent before with another body.
    TempIdReused,
    CannotLeaveDirect,
    GroupFull,
    /// The present state does not allow the action.
    Conflict,
    MethodNotAllowed,
    /// The body or frame is larger than the limit.
    PayloadTooLarge,
    UnsupportedMediaType,
    /// The handshake asks for a version of the WebSocket protocol that the server does not support.
    UpgradeRequired,
    /// The caller is over a limit. `retry_after_ms` says when to try again.
    RateLimited,
    /// The caller or the server has too much work in progress. `retry_after_ms` says when to try again.
    Busy,
    /// The server does not know the type of the frame.
    UnknownType,
    /// The server cannot do the work at the moment, and has acknowledged nothing.
    Unavailable,
    /// The server has a fault.
    Internal,
}

impl Code {
    /// Returns the code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ValidationFailed => "validation_failed",
            Self::Unauthorized => "unauthorized",
            Self::InvalidCredentials => "invalid_credentials",
            Self::TokenReused => "token_reused",
            Self::Suspended => "suspended",
            Self::RegistrationClosed => "registration_closed",
            Self::HostAccount => "host_account",
            Self::Forbidden => "forbidden",
            Self::NotAParticipant => "not_a_participant",
            Self::Blocked => "blocked",
            Self::ClassArchived => "class_archived",
            Self::ClassConversation => "class_conversation",
            Self::NotFound => "not_found",
            Self::UserNotFound => "user_not_found",
            Self::SelfConversation => "self_conversation",
            Self::SelfBlock => "self_block",
            Self::UsernameTaken => "username_taken",
            Self::EmailTaken => "email_taken",
            Self::TempIdReused => "temp_id_reused",
            Self::CannotLeaveDirect => "cannot_leave_direct",
            Self::GroupFull => "group_full",
            Self::Conflict => "conflict",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UpgradeRequired => "upgrade_required",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::UnknownType => "unknown_type",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Returns the HTTP status of the code.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::SelfConversation | Self::SelfBlock | Self::UnknownType => 400,
            Self::Unauthorized | Self::InvalidCredentials | Self::TokenReused => 401,
            Self::Suspended
            | Self::RegistrationClosed
            | Self::HostAccount
            | Self::Forbidden
            | Self::NotAParticipant
            | Self::Blocked
            | Self::ClassArchived => 403,
            Self::NotFound | Self::UserNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::UsernameTaken
            | Self::EmailTaken
            | Self::TempIdReused
            | Self::CannotLeaveDirect
            | Self::ClassConversation
            | Self::GroupFull
            | Self::Conflict => 409,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::ValidationFailed => 422,
            Self::UpgradeRequired => 426,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable | Self::Busy => 503,
        }
    }

    /// Returns the title of the problem document. It is the same for every occurrence of the code.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request cannot be read",
            Self::ValidationFailed => "A field is not valid",
            Self::Unauthorized => "Not signed in",
            Self::InvalidCredentials => "Wrong login or password",
            Self::TokenReused => "The refresh token was already used",
            Self::Suspended => "The account is suspended",
            Self::RegistrationClosed => "Registration is closed",
            Self::HostAccount => "The host application manages the account",
            Self::Forbidden => "Not allowed",
            Self::NotAParticipant => "Not a participant of the conversation",
            Self::Blocked => "A block forbids it",
            Self::ClassArchived => "The class is archived",
            Self::ClassConversation => "The class manages the conversation",
            Self::NotFound => "Not found",
            Self::UserNotFound => "User not found",
            Self::SelfConversation => "A direct conversation needs another user",
            Self::SelfBlock => "Users cannot block themselves",
            Self::UsernameTaken => "The username is taken",
            Self::EmailTaken => "The e-mail address is taken",
            Self::TempIdReused => "The temp_id was already used",
            Self::CannotLeaveDirect => "A direct conversation cannot be left",
            Self::GroupFull => "The group is full",
            Self::Conflict => "The present state does not allow it",
            Self::MethodNotAllowed => "The method is not allowed",
            Self::PayloadTooLarge => "Too large",
            Self::UnsupportedMediaType => "The type of the body is not supported",
            Self::UpgradeRequired => "The version of the protocol is not supported",
            Self::RateLimited => "Too many requests",
            Self::Busy => "Too much work in progress",
            Self::UnknownType => "Unknown frame type",
            Self::Unavailable => "The server is not available",
            Self::Internal => "A fault in the server",
        }
    }
}

/// The reason why a WebSocket was closed.
///
/// A client decides by the number alone. It reconnects after 4408, 4410, 4429 and 1012, refreshes its token after 4401,
/// and does not reconnect after the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The client closed the socket, or the connection ended.
    Normal,
    /// A text frame is not UTF-8 (RFC 6455).
    BadText,
    /// A frame is larger than 64 KiB.
    TooLarge,
    /// The server restarts, or a part of it failed.
    Restart,
    /// The client broke the protocol.
    Abuse,
    /// The client is not authenticated, its token expired, or its login was revoked.
    Unauthorized,
    /// An admin ended the session, or the account is suspended.
    EndedByAdmin,
    /// The client sent nothing for 90 seconds.
    Silent,
    /// The user opened more sessions than allowed, and this was the oldest one.
    TooMany,
    /// The client reads too slowly.
    TooSlow,
    /// The client sent too much although it was refused.
    Flooding,
}

impl Close {
    /// Returns the closing code of the WebSocket.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::BadText => 1007,
            Self::TooLarge => 1009,
            Self::Restart => 1012,
            Self::Abuse => 4400,
            Self::Unauthorized => 4401,
            Self::EndedByAdmin => 4403,
            Self::Silent => 4408,
            Self::TooMany => 4409,
            Self::TooSlow => 4410,
            Self::Flooding => 4429,
        }
    }

    /// Returns the reason as the close frame carries it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::BadText => "text is not UTF-8",
            Self::TooLarge => "frame too large",
            Self::Restart => "server restarts",
            Self::Abuse => "protocol abuse",
            Self::Unauthorized => "not authenticated",
            Self::EndedByAdmin => "kicked or suspended",
            Self::Silent => "heartbeat timeout",
            Self::TooMany => "too many sessions",
            Self::TooSlow => "reading too slowly",
            Self::Flooding => "flooding",
        }
    }
}
