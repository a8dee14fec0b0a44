//! The bodies and resources of logins: signing in, tokens, tickets, and the end of a login or session.
//!
//! No type with a secret implements `Debug`.

use super::accounts::Me;
use crate::domain::caller::Via;
use crate::domain::ids::{LoginId, SessionId};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The credentials of a user who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The username or the e-mail address.
    pub login: String,
    /// The password of the account.
    pub password: String,
}

/// A request for a new access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token. It cannot be used again, apart from a short grace period.
    pub refresh_token: String,
}

/// The tokens of a login: the answer to a registration, a sign-in and a refresh.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// The user who signed in.
    pub user: Me,
    /// The token for the header `Authorization` and for the WebSocket.
    pub access_token: String,
    /// The token for one refresh.
    pub refresh_token: String,
    /// The type of the access token. It is always `Bearer`.
    pub token_type: &'static str,
    /// The time for which the access token is valid, in seconds.
    pub expires_in: u64,
}

/// One of the caller's logins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// The id of the login. It is `sid` in access tokens and `login_id` in the event `session.revoked`.
    pub id: LoginId,
    /// The name of the client, from the header `User-Agent` of the sign-in.
    pub device: String,
    /// The IP address from which the user signed in.
    pub ip: String,
    /// The time of the sign-in.
    pub created_at: Timestamp,
    /// The time of the last refresh.
    pub last_used_at: Timestamp,
    /// Whether this call belongs to the login.
    pub current: bool,
}

/// A single-use ticket for `/ws?ticket=`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// The secret text of the ticket.
    pub ticket: String,
    /// The time for which the ticket is valid, in seconds.
    pub expires_in: u64,
}

/// The logins or sessions that ended. If both ids are null, all logins and sessions of the user ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// The login, as in `/auth/sessions`.
    pub login_id: Option<LoginId>,
    /// The live session, as in `auth.success`.
    pub session_id: Option<SessionId>,
    pub reason: RevokeReason,
}

impl Revoked {
    /// Returns whether a session ends whose user acts by `via`.
    pub fn ends_session(&self, session: SessionId, via: Via) -> bool {
        let ends_all = self.login_id.is_none() && self.session_id.is_none();
        let ends_login = match via {
            Via::Login { login_id } => self.login_id == Some(login_id),
            // These sessions have no login. They end one by one, or all together when the account is suspended.
            Via::Host { .. } | Via::Service(_) => false,
        };
        ends_all || ends_login || self.session_id == Some(session)
    }
}

/// Why a login or session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeReason {
    /// The user signed out, or ended the login.
    Logout,
    /// The password was changed.
    Password,
    /// A refresh token was used again.
    TokenReused,
    /// An admin ended it.
    #[serde(rename = "kicked")]
    EndedByAdmin,
    /// The account was suspended.
    Suspended,
    /// The account was deleted.
    Deleted,
}

impl RevokeReason {
    /// Returns the reason as it is stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Password => "password",
            Self::TokenReused => "token_reused",
            Self::EndedByAdmin => "kicked",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::{Scopes, ServiceToken};
    use crate::domain::ids::ServiceTokenId;

    #[test]
    fn a_revocation_ends_the_sessions_of_its_login_or_the_session_that_it_names_or_all() {
        let (login_id, session) = (LoginId::new(), SessionId::new());
        let login = Via::Login { login_id };
        let host = Via::Host { expires_at: Timestamp::FAR_FUTURE };
        let service = Via::Service(ServiceToken { id: ServiceTokenId::new(), scopes: Scopes::default() });
        let ended = |login_id, session_id| {
            let revoked = Revoked { login_id, session_id, reason: RevokeReason::EndedByAdmin };
            [login, host, service].map(|via| revoked.ends_session(session, via))
        };
        assert_eq!(ended(None, None), [true, true, true]);
        assert_eq!(ended(Some(login_id), None), [true, false, false]);
        assert_eq!(ended(Some(LoginId::new()), None), [false, false, false]);
        assert_eq!(ended(None, Some(session)), [true, true, true]);
        assert_eq!(ended(None, Some(SessionId::new())), [false, false, false]);
    }
}
