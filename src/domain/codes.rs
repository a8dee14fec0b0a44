//! Stable codes: of errors, the same over REST and WebSocket, and of closed connections.

/// What went wrong, in a word that never changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// Malformed JSON, a bad id in a path, a bad cursor or limit, a frame that is no frame.
    InvalidRequest,
    /// Well-formed, but a field is missing, unknown, of the wrong type or out of bounds.
    ValidationFailed,
    /// No token, or one that is not good (any more).
    Unauthorized,
    /// The login or the password is wrong; which of them is not said.
    InvalidCredentials,
    /// A refresh token came back after it was spent; its whole login is revoked.
    TokenReused,
    /// The account is suspended.
    Suspended,
    /// Registration is switched off.
    RegistrationClosed,
    /// Not allowed, and no closer code says why.
    Forbidden,
    /// The caller is not in the conversation (any more).
    NotAParticipant,
    /// One of the two has blocked the other.
    Blocked,
    /// The class is archived, so its conversation is read-only.
    ClassArchived,
    /// The conversation of a class is managed through the class.
    ClassConversation,
    /// There is no such thing, or none the caller may know of.
    NotFound,
    /// A user named in the request does not exist.
    UserNotFound,
    /// A direct conversation needs somebody else.
    SelfConversation,
    /// Nobody blocks themself.
    SelfBlock,
    /// Somebody has that username.
    UsernameTaken,
    /// Somebody has that e-mail address.
    EmailTaken,
    /// The same `temp_id` was sent before with another body.
    TempIdReused,
    /// A direct conversation cannot be left.
    CannotLeaveDirect,
    /// The group has as many members as it may.
    GroupFull,
    /// The state of things does not allow it.
    Conflict,
    /// The method is not one this path knows.
    MethodNotAllowed,
    /// The body or frame is larger than the limit.
    PayloadTooLarge,
    /// The body is not of a type this path takes.
    UnsupportedMediaType,
    /// The handshake asks for another version of the protocol than the one that is spoken.
    UpgradeRequired,
    /// Too many of these; `retry_after` says when again.
    RateLimited,
    /// Too much is under way, of this caller's own or on the server; `retry_after` says when again.
    Busy,
    /// A frame of a type this server does not know.
    UnknownType,
    /// The database does not answer; nothing was acknowledged, try again.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ValidationFailed => "validation_failed",
            Self::Unauthorized => "unauthorized",
            Self::InvalidCredentials => "invalid_credentials",
            Self::TokenReused => "token_reused",
            Self::Suspended => "suspended",
            Self::RegistrationClosed => "registration_closed",
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

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::SelfConversation | Self::SelfBlock | Self::UnknownType => 400,
            Self::Unauthorized | Self::InvalidCredentials | Self::TokenReused => 401,
            Self::Suspended
            | Self::RegistrationClosed
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

    /// The title of the problem document: the same for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request cannot be read",
            Self::ValidationFailed => "A field is not valid",
            Self::Unauthorized => "Sign in first",
            Self::InvalidCredentials => "Wrong login or password",
            Self::TokenReused => "This refresh token was spent before",
            Self::Suspended => "The account is suspended",
            Self::RegistrationClosed => "Registration is closed",
            Self::Forbidden => "Not allowed",
            Self::NotAParticipant => "Not a participant of the conversation",
            Self::Blocked => "There is a block between the two users",
            Self::ClassArchived => "The class is archived",
            Self::ClassConversation => "A class manages its own conversation",
            Self::NotFound => "Not found",
            Self::UserNotFound => "There is no such user",
            Self::SelfConversation => "A direct conversation needs somebody else",
            Self::SelfBlock => "Nobody can block themself",
            Self::UsernameTaken => "The username is taken",
            Self::EmailTaken => "The e-mail address is taken",
            Self::TempIdReused => "The temp_id was used with another body",
            Self::CannotLeaveDirect => "A direct conversation cannot be left",
            Self::GroupFull => "The group is full",
            Self::Conflict => "The state of things does not allow it",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::PayloadTooLarge => "Too large",
            Self::UnsupportedMediaType => "The body's type is not one this path takes",
            Self::UpgradeRequired => "Another version of the protocol is needed",
            Self::RateLimited => "Too many requests",
            Self::Busy => "Too much is under way",
            Self::UnknownType => "Unknown frame type",
            Self::Unavailable => "The server cannot answer just now",
            Self::Internal => "A fault of the server",
        }
    }
}

/// Why a WebSocket was closed. A client decides from the number alone: it comes back by itself after 4408, 4410, 4429
/// and 1012, refreshes its token after 4401, and stays away after the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The client closed, or the connection ended.
    Normal,
    /// Text that is not UTF-8 (RFC 6455).
    BadText,
    /// A frame larger than 64 KiB.
    TooLarge,
    /// The server restarts.
    Restart,
    /// Abuse of the protocol.
    Abuse,
    /// Not authenticated, or the token ran out, or the login was revoked.
    Unauthorized,
    /// Kicked or suspended.
    Kicked,
    /// Nothing was heard from the client for 90 s.
    Silent,
    /// The user opened more sessions than allowed; this was the oldest.
    TooMany,
    /// The client reads too slowly.
    TooSlow,
    /// The client floods.
    Flooding,
}

impl Close {
    /// The closing code of the WebSocket.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::BadText => 1007,
            Self::TooLarge => 1009,
            Self::Restart => 1012,
            Self::Abuse => 4400,
            Self::Unauthorized => 4401,
            Self::Kicked => 4403,
            Self::Silent => 4408,
            Self::TooMany => 4409,
            Self::TooSlow => 4410,
            Self::Flooding => 4429,
        }
    }

    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "bye",
            Self::BadText => "text is not UTF-8",
            Self::TooLarge => "frame too large",
            Self::Restart => "server restarts",
            Self::Abuse => "protocol abuse",
            Self::Unauthorized => "not authenticated",
            Self::Kicked => "kicked or suspended",
            Self::Silent => "heartbeat timeout",
            Self::TooMany => "too many sessions",
            Self::TooSlow => "reading too slowly",
            Self::Flooding => "flooding",
        }
    }
}
