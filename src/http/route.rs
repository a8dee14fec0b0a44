//! One route: a method of a path, with its access, its cost, its handler and its description.
//!
//! The `#[utoipa::path]` attribute of a handler is the only source of its method and its path. `route!` reads them, so
//! the server and the OpenAPI document cannot differ.

use super::access::Access;
use super::middleware::{authenticate, authenticate_in_read};
use super::problem::Problem;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Resource, guard, web};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};

/// The path of the API.
pub const API: &str = "/api/v1";

/// The methods that a route can have.
pub const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE];

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    pub access: Access,
    /// A route with GET also answers HEAD.
    pub method: Method,
    /// The path, below [`API`] or at the root.
    pub path: String,
    /// The cost of a call for its user.
    cost: u32,
    handler: fn() -> actix_web::Route,
    describe: fn() -> OpenApi,
}

/// Returns the routes of a handler, one for each method of its attribute. A call costs 1, unless a cost is given.
macro_rules! route {
    ($access:expr, $module:ident::$handler:ident) => {
        route!($access, $module::$handler, 1)
    };
    ($access:expr, $module:ident::$handler:ident, $cost:expr) => {{
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($module::$handler))]
        struct Handler;
        $crate::http::route::Route::all_of(
            $access,
            $cost,
            || actix_web::web::to($module::$handler),
            <Handler as utoipa::OpenApi>::openapi,
        )
    }};
}
pub(super) use route;

impl Route {
    /// Returns the routes that the document of a handler describes.
    pub fn all_of(
        access: Access,
        cost: u32,
        handler: fn() -> actix_web::Route,
        describe: fn() -> OpenApi,
    ) -> Vec<Self> {
        let mut routes = Vec::new();
        for (path, mut item) in describe().paths.paths {
            for method in METHODS.into_iter().filter(|method| operation(&mut item, method).is_some()) {
                routes.push(Self { access, method, path: path.clone(), cost, handler, describe });
            }
        }
        routes
    }

    /// Returns the document of the handler: its operations and their schemas.
    pub fn describe(&self) -> OpenApi {
        (self.describe)()
    }

    fn build(&self) -> actix_web::Route {
        let (access, cost) = (self.access, self.cost);
        let route = match access {
            Access::Anyone | Access::ByHandler => (self.handler)(),
            Access::User | Access::Admin | Access::Scope(_) => {
                (self.handler)().wrap(from_fn(move |req, next| authenticate(access, cost, req, next)))
            }
            Access::UserInRead => {
                (self.handler)().wrap(from_fn(move |req, next| authenticate_in_read(cost, req, next)))
            }
        };
        if self.method == Method::GET {
            route.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            route.guard(guard::Method(self.method.clone()))
        }
    }
}

/// Returns the operation of a method, if the path has it.
pub fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

/// Returns one resource for each path, in the order of the table. Each resource refuses other methods and names the
/// supported ones.
pub fn resources(routes: &[Route]) -> Vec<Resource> {
    let mut paths: Vec<&str> = Vec::new();
    for route in routes {
        if !paths.contains(&route.path.as_str()) {
            paths.push(&route.path);
        }
    }
    let resource = |path| {
        let routes = || routes.iter().filter(move |route| route.path == path);
        let methods: Vec<_> = routes().map(|route| route.method.clone()).collect();
        routes().fold(refusing_resource(path, &methods), |resource, route| resource.route(route.build()))
    };
    paths.into_iter().map(resource).collect()
}

/// Returns the resource of a page, which has no description and answers GET.
pub fn page(path: &str, handler: fn() -> actix_web::Route) -> Resource {
    refusing_resource(path, &[Method::GET]).route(handler().guard(guard::Any(guard::Get()).or(guard::Head())))
}

fn refusing_resource(path: &str, methods: &[Method]) -> Resource {
    let allow = methods.iter().map(|method| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allow = allow.collect::<Vec<_>>().join(", ");
    web::resource(path).default_service(web::to(move || {
        let allow = allow.clone();
        async move { Err::<HttpResponse, _>(Problem::method_not_allowed(allow)) }
    }))
}
