//! Signing up, in and out, and one's own logins.

use super::body::{Json, NoBody};
use super::cursor::{self, Collection, Paging};
use super::extract::{Auth, ClientAddr, Device, PathId, Query};
use super::problem::Problem;
use crate::app::App;
use crate::domain::ids::LoginId;
use crate::protocol::accounts::{Refresh, Register, SignIn};
use crate::protocol::resources::{Login, Page, Ticket, Tokens};
use crate::usecases::logins::Client;
use crate::usecases::{accounts, logins, refresh as renewal};
use actix_web::{HttpResponse, web};
use std::net::IpAddr;

fn client(addr: IpAddr, device: Device) -> Client {
    Client { device: device.0, ip: addr.to_string() }
}

/// Make an account
///
/// Answers as signing in does. An address registers 60 accounts at once and 10 a minute, whatever comes of it
/// (`rate_limited`). A password has 8 to 128 characters as RFC 8265 prepares it.
#[utoipa::path(
    post, path = "/auth/register", tag = "accounts", request_body = Register,
    responses((status = 201, description = "The account, signed in", body = Tokens))
)]
pub async fn register(
    app: web::Data<App>,
    addr: ClientAddr,
    device: Device,
    body: Json<Register>,
) -> Result<HttpResponse, Problem> {
    app.admission().sign_in(app.sign_in_limits().register(addr.0))?;
    let tokens = accounts::register(&app, body.0, client(addr.0, device), addr.0).await?;
    Ok(HttpResponse::Created().json(tokens))
}

/// Sign in
///
/// Wrong passwords are limited, 5 a minute for one account from one address and 10 a minute for one address, and so are
/// sign-ins, 10 a minute an account (`rate_limited`). `busy`: too many passwords wait to be checked; try again.
#[utoipa::path(
    post, path = "/auth/login", tag = "accounts", request_body = SignIn,
    responses((status = 200, description = "Signed in", body = Tokens))
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
/// Spends the refresh token. The spent one again gets the same successor for ten seconds, and later as long as nobody has
/// used an access token that came with that successor or a later one; else it ends its login (`token_reused`). A login
/// refreshes 10 times a minute (`rate_limited`).
#[utoipa::path(
    post, path = "/auth/refresh", tag = "accounts", request_body = Refresh,
    responses((status = 200, description = "New tokens", body = Tokens))
)]
pub async fn refresh(app: web::Data<App>, addr: ClientAddr, body: Json<Refresh>) -> Result<HttpResponse, Problem> {
    let tokens = renewal::refresh(&app, &body.0.refresh_token, addr.0).await?;
    Ok(HttpResponse::Ok().json(tokens))
}

/// Sign out
///
/// Ends this login: its tokens and its sockets.
#[utoipa::path(
    post, path = "/auth/logout", tag = "accounts",
    responses((status = 204, description = "Signed out"))
)]
pub async fn logout(app: web::Data<App>, caller: Auth, _: NoBody) -> Result<HttpResponse, Problem> {
    logins::sign_out(&app, caller.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List one's logins
#[utoipa::path(
    get, path = "/auth/sessions", tag = "accounts", params(Paging),
    responses((status = 200, description = "Logins that can still be used, the newest first", body = Page<Login>))
)]
pub async fn sessions(app: web::Data<App>, caller: Auth, query: Query<Paging>) -> Result<HttpResponse, Problem> {
    let (limit, before) = (query.0.limit()?, query.0.after(Collection::Logins)?);
    let (items, next) = logins::list(&app, caller.0, before, limit).await?;
    Ok(HttpResponse::Ok()
        .json(Page { items, next_cursor: next.as_ref().map(|place| cursor::encode(Collection::Logins, place)) }))
}

/// End one of one's logins
#[utoipa::path(
    delete, path = "/auth/sessions/{id}", tag = "accounts",
    params(("id" = LoginId, Path, description = "The login")),
    responses((status = 204, description = "It has ended, now or before"))
)]
pub async fn revoke_session(
    app: web::Data<App>,
    caller: Auth,
    id: PathId<LoginId>,
    _: NoBody,
) -> Result<HttpResponse, Problem> {
    logins::revoke(&app, caller.0, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Get a ticket for a socket
///
/// It opens one socket or event stream, by `?ticket=`.
#[utoipa::path(
    post, path = "/ws/ticket", tag = "accounts",
    responses((status = 200, description = "The ticket", body = Ticket))
)]
pub async fn ticket(app: web::Data<App>, caller: Auth, _: NoBody) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(logins::ticket(&app, caller.0).await?))
}
