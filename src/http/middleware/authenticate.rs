//! The middleware before all routes that need a token. No handler runs, and no body is read, before the caller is
//! known, charged and allowed to make the call.

use crate::admission::ChargeKind;
use crate::app::App;
use crate::domain::caller::Principal;
use crate::error::{Error, Result};
use crate::http::access::Access;
use crate::http::body::discard_body;
use crate::http::extract::{NO_TOKEN, bearer_token};
use crate::http::problem::Problem;
use crate::store::db::reading::{ReadPermits, with_permits};
use crate::usecases::logins;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
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

fn refuse<B>(req: ServiceRequest, error: Error) -> ServiceResponse<EitherBody<B>> {
    req.error_response(Problem::from(error)).map_into_right_body()
}

/// Adds the user and the credential to the log lines of the request.
fn record(principal: &Principal) {
    let span = tracing::Span::current();
    match principal {
        Principal::User(caller) => {
            span.record("user", tracing::field::display(caller.user_id));
            span.record("via", tracing::field::display(caller.via));
        }
        Principal::Service(token) => {
            span.record("via", tracing::field::display(token));
        }
    }
}

async fn authenticated(cost: u32, req: &HttpRequest) -> Result<(Principal, ReadPermits, OwnedSemaphorePermit)> {
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
    let principal = Principal::User(logins::authenticate(app, &claims).await?);
    Ok((principal, app.database_read_permits(&principal), call_permit))
}
