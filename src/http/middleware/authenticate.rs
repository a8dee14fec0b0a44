//! The middleware before all routes for signed-in users. No handler runs, and no body is read, before the caller is
//! known and charged.

use crate::admission::ChargeKind;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::body::discard_body;
use crate::http::extract::{NO_TOKEN, bearer_token};
use crate::http::problem::Problem;
use crate::store::db::reading::{ReadPermits, with_permits};
use crate::usecases::logins;
use crate::domain::caller::Caller;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
use tokio::sync::OwnedSemaphorePermit;

/// Authenticates the caller, and charges the user `cost` before the first read of the database. It stores the
/// [`Caller`] for the extractor `AuthCaller`. The call has one of the call permits of its user until it is answered.
pub async fn authenticate<B: MessageBody + 'static>(
    cost: u32,
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match caller(cost, req.request()).await {
        Ok((caller, read_permits, _call_permit)) => {
            tracing::Span::current().record("user", tracing::field::display(caller.user_id));
            req.extensions_mut().insert(caller);
            with_permits(Some(read_permits), next.call(req)).await.map(ServiceResponse::map_into_left_body)
        }
        Err(error) => Ok(req.error_response(Problem::from(error)).map_into_right_body()),
    }
}

async fn caller(cost: u32, req: &HttpRequest) -> Result<(Caller, ReadPermits, OwnedSemaphorePermit)> {
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
    Ok((logins::authenticate(app, &claims).await?, app.read_permits(claims.sub), call_permit))
}
