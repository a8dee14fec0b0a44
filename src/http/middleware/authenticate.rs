//! The middleware before all routes that need a token. No handler runs, and no body is read, before the caller is
//! known, charged and allowed to make the call.

use crate::admission::ChargeKind;
use crate::app::App;
use crate::domain::caller::{Principal, Via};
use crate::domain::ids::UserId;
use crate::domain::tokens::Claims;
use crate::error::{Error, Result};
use crate::http::access::Access;
use crate::http::body::discard_body;
use crate::http::extract::{NO_TOKEN, bearer_token};
use crate::http::problem::Problem;
use crate::store::db::reading::{ReadPermits, with_permits};
use crate::usecases::logins;
use crate::work::unchecked_caller::UncheckedCaller;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Authenticates the caller, charges the user `cost` before the first read of the database, and checks `access`. It
/// stores the [`Principal`] for the extractor `AuthCaller`. The call has one of the call permits of its user until it
/// is answered.
pub async fn authenticate<B: MessageBody + 'static>(
    access: Access,
    cost: u32,
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let (principal, read_permits, _call_permit) = match authenticated(cost, req.request()).await {
        Ok(authenticated) => authenticated,
        Err(error) => return Ok(refuse(req, error)),
    };
    record(&principal);
    req.extensions_mut().insert(principal);
    if let Err(error) = access.check(&principal) {
        return Ok(refuse(req, error));
    }
    with_permits(Some(read_permits), next.call(req)).await.map(ServiceResponse::map_into_left_body)
}

/// Does the same as [`authenticate`] for a route whose use case reads the state of the caller itself. It stores the
/// [`UncheckedCaller`] for the extractor `CallerInRead`.
///
/// No answer passes without a decision: if the handler failed before its read, or forgot to decide, the state is
/// read afterwards, and a caller who may not act gets the same refusal as from every other route.
pub async fn authenticate_in_read<B: MessageBody + 'static>(
    cost: u32,
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let Admitted { app, claims, _call_permit } = match admit(cost, req.request()) {
        Ok(admitted) => admitted,
        Err(error) => return Ok(refuse(req, error)),
    };
    let caller = Arc::new(UncheckedCaller::new(&app, &claims));
    record_user(claims.sub, Via::Login { login_id: claims.sid });
    req.extensions_mut().insert(caller.clone());
    let permits = app.database_read_permits(claims.sub);
    let answer = with_permits(Some(permits), next.call(req)).await?;
    if !caller.is_decided()
        && let Err(error) = logins::check_state(&app, &caller).await
    {
        return Ok(answer.error_response(Problem::from(error)).map_into_right_body());
    }
    if let Some(caller) = caller.accepted() {
        answer.request().extensions_mut().insert(Principal::User(caller));
    }
    Ok(answer.map_into_left_body())
}

fn refuse<B>(req: ServiceRequest, error: Error) -> ServiceResponse<EitherBody<B>> {
    req.error_response(Problem::from(error)).map_into_right_body()
}

/// Adds the user and the credential to the log lines of the request.
fn record(principal: &Principal) {
    match principal {
        Principal::User(caller) => record_user(caller.user_id, caller.via),
        Principal::Service(token) => {
            tracing::Span::current().record("via", tracing::field::display(token));
        }
    }
}

fn record_user(user: UserId, via: Via) {
    let span = tracing::Span::current();
    span.record("user", tracing::field::display(user));
    span.record("via", tracing::field::display(via));
}

/// A call with a valid token, which is charged.
struct Admitted {
    app: web::Data<App>,
    claims: Claims,
    _call_permit: OwnedSemaphorePermit,
}

/// Checks the token, charges its user, and takes a call permit. It reads no database.
fn admit(cost: u32, req: &HttpRequest) -> Result<Admitted> {
    let Some(token) = bearer_token(req) else {
        discard_body(req);
        return Err(Error::unauthorized(NO_TOKEN));
    };
    let app = req
        .app_data::<web::Data<App>>()
        .ok_or_else(|| Error::internal("the application is missing, so nobody can be authenticated"))?;
    let claims = logins::verify_access_token(app, token)?;
    app.admission().charge(ChargeKind::Call, claims.sub, cost)?;
    let call_permit = app.admission().acquire_call_permit(claims.sub)?;
    Ok(Admitted { app: app.clone(), claims, _call_permit: call_permit })
}

async fn authenticated(cost: u32, req: &HttpRequest) -> Result<(Principal, ReadPermits, OwnedSemaphorePermit)> {
    let Admitted { app, claims, _call_permit: call_permit } = admit(cost, req)?;
    let principal = Principal::User(logins::authenticate(&app, &claims).await?);
    Ok((principal, app.database_read_permits(&principal), call_permit))
}
