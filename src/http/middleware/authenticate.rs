//! The door before every route that belongs to signed-in users: no handler runs, and no body is read, without a caller who
//! has paid for the call.

use crate::admission::Kind;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::body::leave_unread;
use crate::http::extract::{NO_TOKEN, bearer};
use crate::http::problem::Problem;
use crate::store::reading::{Places, on_behalf};
use crate::usecases::{Caller, logins};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
use tokio::sync::OwnedSemaphorePermit;

/// Finds out who calls, charges the user `cost` before the database is asked, and leaves the [`Caller`] for the `Auth`
/// extractor. The call keeps its place among those of its user until it is answered.
pub async fn authenticate<B: MessageBody + 'static>(
    cost: u32,
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match caller(cost, req.request()).await {
        Ok((caller, places, _place)) => {
            tracing::Span::current().record("user", tracing::field::display(caller.user_id));
            req.extensions_mut().insert(caller);
            on_behalf(Some(places), next.call(req)).await.map(ServiceResponse::map_into_left_body)
        }
        Err(error) => Ok(req.error_response(Problem::from(error)).map_into_right_body()),
    }
}

async fn caller(cost: u32, req: &HttpRequest) -> Result<(Caller, Places, OwnedSemaphorePermit)> {
    let Some(token) = bearer(req) else {
        leave_unread(req);
        return Err(Error::unauthorized(NO_TOKEN));
    };
    let app = req.app_data::<web::Data<App>>().ok_or_else(|| Error::internal("no application to sign in to"))?;
    let claims = logins::claims(app, token)?;
    app.admission().charge(Kind::Call, claims.sub, cost)?;
    let place = app.admission().call(claims.sub)?;
    Ok((logins::authenticate(app, &claims).await?, app.places_of(claims.sub), place))
}
