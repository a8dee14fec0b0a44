//! The calls that sign in, refresh and sign out, and those for the caller's own logins.

use super::body::{Json, NoBody};
use super::client_address::ClientAddr;
use super::cursor::{self, Collection, PageParams};
use super::extract::{AuthCaller, Device, PathId, StrictQuery};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::LoginId;
use crate::protocol::logins::{Login, Refresh, SignIn, Ticket, Tokens};
use crate::protocol::page::Page;
use crate::usecases::logins::ClientInfo;
use crate::usecases::{logins, refresh as renewal};
use actix_web::{HttpResponse, web};
use std::net::IpAddr;

/// Returns what is stored about the client of a new login.
pub(super) fn client(addr: IpAddr, device: Device) -> ClientInfo {
    ClientInfo { device: device.0, ip: addr.to_string() }
}

/// Sign in
///
/// There are limits (`rate_limited`): 5 wrong passwords a minute for one account from one address, 10 wrong passwords a
/// minute from one address, and 10 sign-ins a minute for one account. The error `busy` means that too many passwords
/// wait to be checked.
#[utoipa::path(
    post, path = "/auth/login", tag = "accounts", request_body = SignIn,
    responses((status = 200, description = "The tokens of the new login", body = Tokens))
)]
pub async fn login(
    app: web::Data<App>,
    addr: ClientAddr,
    device: Device,
    body: Json<SignIn>,
) -> Result<HttpResponse, Problem> {
    let tokens = logins::sign_in(&app, body.0, client(addr.0, device), addr.0).await?;
    Ok(HttpResponse::Ok().json(tokens))
}

/// Renew an access token
///
/// A refresh token is used once, and its successor replaces it. For ten seconds, repeating a used token returns the
/// same successor. After that it still does, until the client uses an access token issued with that successor or a
/// newer one. From then on, the repetition ends the login (`token_reused`). A login can refresh 10 times a minute
/// (`rate_limited`).
#[utoipa::path(
    post, path = "/auth/refresh", tag = "accounts", request_body = Refresh,
    responses((status = 200, description = "The new tokens of the login", body = Tokens))
)]
pub async fn refresh(app: web::Data<App>, addr: ClientAddr, body: Json<Refresh>) -> Result<HttpResponse, Problem> {
    let tokens = renewal::refresh(&app, &body.0.refresh_token, addr.0).await?;
    Ok(HttpResponse::Ok().json(tokens))
}

/// Sign out
///
/// The call ends the login of the caller, with its tokens and sockets.
#[utoipa::path(
    post, path = "/auth/logout", tag = "accounts",
    responses((status = 204, description = "The login has ended"))
)]
pub async fn logout(app: web::Data<App>, caller: AuthCaller, _: NoBody) -> Result<HttpResponse, Problem> {
    logins::sign_out(&app, caller.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the caller's logins
#[utoipa::path(
    get, path = "/auth/sessions", tag = "accounts", params(PageParams),
    responses((status = 200, description = "The logins that can still be used, the newest first", body = Page<Login>))
)]
pub async fn sessions(
    app: web::Data<App>,
    caller: AuthCaller,
    query: StrictQuery<PageParams>,
) -> Result<HttpResponse, Problem> {
    let (limit, before) = (query.0.limit()?, query.0.after(Collection::Logins)?);
    let (items, next) = logins::list(&app, caller.0, before, limit).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|sort_key| cursor::encode(Collection::Logins, sort_key)) }))
}

/// End one of the caller's logins
#[utoipa::path(
    delete, path = "/auth/sessions/{id}", tag = "accounts",
    params(("id" = LoginId, Path, description = "The login")),
    responses((status = 204, description = "The login has ended, now or before"))
)]
pub async fn revoke_session(
    app: web::Data<App>,
    caller: AuthCaller,
    id: PathId<LoginId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    logins::revoke(&app, caller.0, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Create a ticket for a socket
///
/// The ticket opens one WebSocket with `?ticket=`, within 30 seconds.
#[utoipa::path(
    post, path = "/ws/ticket", tag = "accounts",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
pub async fn ticket(app: web::Data<App>, caller: AuthCaller, _: NoBody) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(logins::create_ticket(&app, caller.0).await?))
}
