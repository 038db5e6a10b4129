//! The router: which address is whose.

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::Response,
    routing::{get, post},
};
use tenantry::{Identify, Isolation, JwtKeys, TenantLayer, Tenantry};

use crate::{
    accounts::Accounts,
    error::AppError,
    failure::Failure,
    health,
    routes::{dashboard, items, me, orders, overview, products, users},
    signup,
};

/// What handlers outside of a tenant need.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) tenancy: Tenantry,
    pub(crate) isolation: Option<Isolation>,
}

/// How requests say whose they are.
pub(crate) struct Door {
    pub(crate) base_domain: String,
    pub(crate) keys: JwtKeys,
    pub(crate) accounts: Accounts,
}

impl Door {
    /// By host, header, path or bearer token; those that name a tenant have to agree.
    fn identify(&self) -> Identify {
        Identify::new().host(&host_template(&self.base_domain)).header("x-tenant-name").path().jwt(self.keys.clone())
    }

    /// Besides, by who signed in, and nobody comes in without that.
    fn identify_person(&self) -> Identify {
        let accounts = self.accounts.clone();
        self.identify().user(move |request| {
            let accounts = accounts.clone();
            async move { accounts.organisation(&request).await }
        })
    }
}

/// How a tenant's host is written.
fn host_template(base_domain: &str) -> String {
    format!("{{tenant}}.{base_domain}")
}

/// A layer whose template cannot be read would refuse every request: better not to start.
pub(crate) fn check_base_domain(name: &str) -> Result<(), Failure> {
    let failed =
        |e| Failure::new("`--base-domain` cannot be used").caused_by(e).help("write `--base-domain myapp.com`");
    Identify::new().host(&host_template(name)).check().map_err(failed)
}

pub(crate) fn router(shop: Shop, door: &Door) -> Router {
    let tenants = both_ways(tenant_routes(), shop.tenancy.layer(door.identify()));
    let people = both_ways(person_routes(), shop.tenancy.layer(door.identify_person()));
    Router::new()
        .merge(tenants)
        .merge(people.layer(middleware::map_response(offer_basic)))
        .route("/signup", post(signup::sign_up))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(async || AppError::new(StatusCode::NOT_FOUND, "no_such_address", "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            AppError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this address does not take this method",
            )
        })
        .layer(middleware::map_response(not_stored))
        .with_state(shop)
}

fn tenant_routes() -> Router<Shop> {
    Router::new()
        .route("/", get(overview::show))
        .route("/users", get(users::list).post(users::create))
        .route("/products", get(products::list).post(products::create))
        .route("/items", get(items::list).post(items::create))
        .route("/orders", get(orders::list).post(orders::create))
        .route("/dashboard", get(dashboard::show))
}

fn person_routes() -> Router<Shop> {
    Router::new().route("/me/priced-orders", get(me::priced_orders))
}

/// The same addresses with and without the tenant in front. The layer is on routes only: what is no address of ours is
/// 404 whoever asks.
fn both_ways(routes: Router<Shop>, layer: TenantLayer) -> Router<Shop> {
    Router::new().nest("/{tenant}", routes.clone()).merge(routes).route_layer(layer)
}

/// `/users` means another tenant for another header: a cache in between must not hand it on.
async fn not_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// People may sign in with a password where the engine alone knows bearer tokens.
async fn offer_basic(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"shop\", charset=\"UTF-8\"");
        response.headers_mut().append(header::WWW_AUTHENTICATE, basic);
    }
    response
}
