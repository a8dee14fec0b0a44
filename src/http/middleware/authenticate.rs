//! The door before every route that belongs to signed-in users: no handler runs, and no body is read, without a caller.

use crate::app::App;
use crate::error::{Error, Result};
use crate::http::extract::bearer;
use crate::http::problem::Problem;
use crate::usecases::{Caller, logins};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};

/// Finds out who calls, counts the call, and leaves the [`Caller`] for the `Auth` extractor.
pub async fn authenticate<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match caller(req.request()).await {
        Ok(caller) => {
            tracing::Span::current().record("user", tracing::field::display(caller.user_id));
            req.extensions_mut().insert(caller);
            next.call(req).await.map(ServiceResponse::map_into_left_body)
        }
        Err(error) => Ok(req.error_response(Problem::from(error)).map_into_right_body()),
    }
}

async fn caller(req: &HttpRequest) -> Result<Caller> {
    let token = bearer(req).ok_or_else(|| Error::unauthorized("send a bearer token"))?;
    let app = req.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no application to sign in to"))?;
    let (caller, _) = logins::authenticate(app, token).await?;
    app.limiter().check_api(caller.user_id)?;
    Ok(caller)
}
