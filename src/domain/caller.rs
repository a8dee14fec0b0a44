//! Who makes a call or a command, and by which credential.
//!
//! A use case takes a [`Caller`] and does not ask for the credential. What depends on the credential is decided where
//! [`Via`] is matched: each of these matches names every variant. No call is authenticated by a token of the host
//! application or a service token so far; only tickets and tests have callers with these credentials.

use super::accounts::UserRole;
use super::ids::{LoginId, ServiceTokenId, UserId};
use super::limits;
use super::time::Timestamp;
use std::fmt;

/// Who makes a call: a user, or a service token that acts for no user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Principal {
    User(Caller),
    /// It can call only the routes for admins and the host application. No call is authenticated as one so far.
    Service(ServiceToken),
}

/// The user who acts. The functions that check a credential create it, and no other code does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caller {
    pub user_id: UserId,
    /// The role on the server.
    pub role: UserRole,
    pub via: Via,
}

/// The credential by which a user acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// An access token or a ticket of a login.
    Login { login_id: LoginId },
    /// A token that the host application signed, which is valid until this time. No call is authenticated by one so
    /// far.
    Host { expires_at: Timestamp },
    /// A service token with the scope `act`, in a call that names the user. No call is authenticated by one so far.
    Service(ServiceToken),
}

impl Via {
    /// Returns when a session must be renewed that a ticket opened at `now`.
    pub fn ticket_session_end(self, now: Timestamp) -> Timestamp {
        match self {
            // The credential can be revoked, and a renewal reads whether it was.
            Self::Login { .. } | Self::Service(_) => now.plus(limits::ACCESS_TOKEN_LIFETIME),
            // Only its own end limits the token of the host application, so a ticket must not extend it.
            Self::Host { expires_at } => expires_at,
        }
    }
}

/// The name of the credential in log lines and in the audit log.
impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { login_id } => write!(f, "login:{login_id}"),
            Self::Host { .. } => f.write_str("host"),
            Self::Service(token) => token.fmt(f),
        }
    }
}

/// A service token of the host application, after it was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServiceToken {
    pub id: ServiceTokenId,
    pub scopes: Scopes,
}

impl fmt::Display for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service:{}", self.id)
    }
}

/// A right of a service token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Act as a user, in the routes for users.
    Act,
    /// Create, change and remove users who are not admins, and the conversations of the host application.
    UsersWrite,
    /// Read the log of all events.
    EventsRead,
    /// Send notifications and events of the host application.
    NotificationsSend,
    /// Everything that an admin may do. It contains all other scopes except [`Self::Act`].
    Admin,
}

impl Scope {
    /// Returns the name of the scope in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::UsersWrite => "users:write",
            Self::EventsRead => "events:read",
            Self::NotificationsSend => "notifications:send",
            Self::Admin => "admin",
        }
    }
}

/// The set of the scopes of a service token.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes(u8);

impl Scopes {
    /// Returns the set of these scopes.
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |set, scope| set | (1 << *scope as u8)))
    }

    /// Returns whether a token with these scopes may do what needs `scope`.
    pub fn allow(self, scope: Scope) -> bool {
        let has = |scope: Scope| self.0 & (1 << scope as u8) != 0;
        match scope {
            Scope::Act => has(Scope::Act),
            Scope::UsersWrite | Scope::EventsRead | Scope::NotificationsSend | Scope::Admin => {
                has(scope) || has(Scope::Admin)
            }
        }
    }
}

/// What a ticket says about its caller. Sessions that it opens act by the credential with which it was created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TicketHolder {
    /// The login names its user.
    Login(LoginId),
    Host {
        user_id: UserId,
        expires_at: Timestamp,
    },
    Service {
        user_id: UserId,
        token_id: ServiceTokenId,
    },
}

impl TicketHolder {
    /// Returns the credential of the sessions that the ticket opens. A session needs no other scope than
    /// [`Scope::Act`], so a ticket of a service token inherits only this one.
    pub fn via(self) -> Via {
        match self {
            Self::Login(login_id) => Via::Login { login_id },
            Self::Host { expires_at, .. } => Via::Host { expires_at },
            Self::Service { token_id, .. } => {
                Via::Service(ServiceToken { id: token_id, scopes: Scopes::of(&[Scope::Act]) })
            }
        }
    }
}

impl From<&Caller> for TicketHolder {
    fn from(caller: &Caller) -> Self {
        let user_id = caller.user_id;
        match caller.via {
            Via::Login { login_id } => Self::Login(login_id),
            Via::Host { expires_at } => Self::Host { user_id, expires_at },
            Via::Service(token) => Self::Service { user_id, token_id: token.id },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPES: [Scope; 5] =
        [Scope::Act, Scope::UsersWrite, Scope::EventsRead, Scope::NotificationsSend, Scope::Admin];

    fn token(scopes: &[Scope]) -> ServiceToken {
        ServiceToken { id: ServiceTokenId::new(), scopes: Scopes::of(scopes) }
    }

    #[test]
    fn a_scope_allows_itself_and_admin_allows_all_but_act() {
        let allowed = |scopes: &[Scope]| SCOPES.into_iter().filter(|scope| Scopes::of(scopes).allow(*scope)).collect();
        let none: Vec<Scope> = allowed(&[]);
        assert!(none.is_empty());
        for scope in [Scope::Act, Scope::UsersWrite, Scope::EventsRead, Scope::NotificationsSend] {
            let own: Vec<Scope> = allowed(&[scope]);
            assert_eq!(own, [scope]);
        }
        let of_admin: Vec<Scope> = allowed(&[Scope::Admin]);
        assert_eq!(of_admin, SCOPES[1..]);
        let both: Vec<Scope> = allowed(&[Scope::Admin, Scope::Act]);
        assert_eq!(both, SCOPES);
    }

    #[test]
    fn a_ticket_inherits_its_credential_and_of_the_scopes_only_act() {
        let (login_id, expires_at) = (LoginId::new(), Timestamp(1_700_000_000_000));
        let service = token(&[Scope::Act, Scope::Admin]);
        let act = Via::Service(ServiceToken { scopes: Scopes::of(&[Scope::Act]), ..service });
        for (via, inherited) in [
            (Via::Login { login_id }, Via::Login { login_id }),
            (Via::Host { expires_at }, Via::Host { expires_at }),
            (Via::Service(service), act),
        ] {
            let caller = Caller { user_id: UserId::new(), role: UserRole::User, via };
            assert_eq!(TicketHolder::from(&caller).via(), inherited);
        }
    }

    #[test]
    fn a_ticket_extends_no_token_of_the_host_application() {
        let now = Timestamp(1_700_000_000_000);
        let (soon, usual) = (Timestamp(now.0 + 5), now.plus(limits::ACCESS_TOKEN_LIFETIME));
        assert_eq!(Via::Host { expires_at: soon }.ticket_session_end(now), soon);
        assert_eq!(Via::Login { login_id: LoginId::new() }.ticket_session_end(now), usual);
        assert_eq!(Via::Service(token(&[Scope::Act])).ticket_session_end(now), usual);
    }

    #[test]
    fn a_log_line_names_the_login_or_the_service_token() {
        let (login_id, service) = (LoginId::new(), token(&[]));
        assert_eq!(Via::Login { login_id }.to_string(), format!("login:{login_id}"));
        assert_eq!(Via::Host { expires_at: Timestamp(0) }.to_string(), "host");
        assert_eq!(Via::Service(service).to_string(), format!("service:{}", service.id));
    }
}
