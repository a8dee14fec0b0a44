//! The calls that register, and those for the caller's own profile and password.

use super::body::Json;
use super::client_address::ClientAddr;
use super::extract::{AuthCaller, Device};
use super::logins::client;
use super::problem::Problem;
use crate::app::App;
use crate::protocol::accounts::{Me, PasswordChange, ProfileChange, Register};
use crate::protocol::logins::Tokens;
use crate::usecases::accounts;
use actix_web::{HttpResponse, web};

/// Create an account
///
/// The answer is the same as for a sign-in. One address can register 60 accounts in a burst and 10 a minute, with
/// failed registrations included (`rate_limited`). A password has 8 to 128 characters after the preparation of RFC
/// 8265.
#[utoipa::path(
    post, path = "/auth/register", tag = "accounts", request_body = Register,
    responses((status = 201, description = "The tokens of a login to the new account", body = Tokens))
)]
pub async fn register(
    app: web::Data<App>,
    addr: ClientAddr,
    device: Device,
    body: Json<Register>,
) -> Result<HttpResponse, Problem> {
    app.admission().count_sign_in_refusal(app.sign_in_limits().count_registration(addr.0))?;
    let tokens = accounts::register(&app, body.0, client(addr.0, device), addr.0).await?;
    Ok(HttpResponse::Created().json(tokens))
}

/// Get the caller's own user
#[utoipa::path(get, path = "/users/me", tag = "users", responses((status = 200, description = "The user", body = Me)))]
pub async fn me(app: web::Data<App>, caller: AuthCaller) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(accounts::get_own(&app, caller.0).await?))
}

/// Change the caller's profile
///
/// Absent fields keep their value. Null removes `avatar_url`, `locale` and `email`.
#[utoipa::path(
    patch, path = "/users/me", tag = "users", request_body = ProfileChange,
    responses((status = 200, description = "The changed user", body = Me))
)]
pub async fn update_me(
    app: web::Data<App>,
    caller: AuthCaller,
    body: Json<ProfileChange>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(accounts::update_profile(&app, caller.0, body.0).await?))
}

/// Change the caller's password
///
/// The call ends all other logins of the caller. It counts as a sign-in: the limits for sign-ins and for wrong
/// passwords apply (`rate_limited`). The error `conflict` means that another change of the password was faster.
#[utoipa::path(
    put, path = "/users/me/password", tag = "users", request_body = PasswordChange,
    responses((status = 204, description = "The password is changed"))
)]
pub async fn set_password(
    app: web::Data<App>,
    addr: ClientAddr,
    caller: AuthCaller,
    body: Json<PasswordChange>,
) -> Result<HttpResponse, Problem> {
    accounts::update_password(&app, caller.0, body.0, addr.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
