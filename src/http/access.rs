//! The access of a route: which callers may call it.

use crate::domain::caller::{Principal, Scope};
use crate::error::Result;
use crate::work::access;

/// The callers of a route. The use case checks the rights in a conversation. No call is authenticated by a service
/// token so far, so only users pass these checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Anyone,
    /// Callers with a valid access token.
    User,
    /// The same callers. The use case reads their state in the statement that it reads its answer with.
    UserInRead,
    /// Admins, and service tokens with the scope `admin`.
    Admin,
    /// Admins, and service tokens with this scope or the scope `admin`.
    Scope(Scope),
    /// The handler checks the access itself.
    ByHandler,
}

impl Access {
    /// Fails unless the authenticated caller may call the route.
    pub fn check(self, principal: &Principal) -> Result<()> {
        match self {
            Self::Anyone | Self::ByHandler => Ok(()),
            Self::User | Self::UserInRead => access::require_caller(principal).map(drop),
            Self::Admin => access::require_scope(principal, Scope::Admin),
            Self::Scope(scope) => access::require_scope(principal, scope),
        }
    }

    /// Returns what a caller needs besides a token, as the OpenAPI document names it. `None` if no token is needed, or
    /// if the handler decides.
    pub fn roles(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Anyone | Self::ByHandler => None,
            Self::User | Self::UserInRead => Some(Vec::new()),
            Self::Admin => Some(vec![Scope::Admin.as_str()]),
            Self::Scope(scope) => Some(vec![scope.as_str()]),
        }
    }
}
