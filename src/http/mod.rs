//! The HTTP side: one router for Lambda, for the local server and for the tests.
//!
//! It owns paths, methods, media types, limits and headers, and turns requests into calls of the
//! provider. It must not know the table, or the meaning of a filter.
//!
//! The way of a request: `observe` opens its log line; `dispatch` asks `route` for the target of the
//! path, `open` for the caller, and `action` for the action; `v2` or `v1` reads the body, calls the
//! provider and renders the answer. What is beside the protocols is answered by `site`.
//!
//! Invariants:
//! - Every answer of the protocols is SCIM JSON or has no body, and so is every error on every path. Only
//!   the events of the feed, and what is beside the protocols, have forms of their own.
//! - No location is built from a header that the client wrote.
//! - Nothing that a client sent reaches the log, except a well-formed `X-Request-Id`.
//!
//! RFC 7644 §3; draft-scim-api-01 for SCIM 1.1.

mod action;
mod admission;
mod answer;
mod api;
mod body;
mod bulk;
mod call;
mod discovery;
mod dispatch;
mod media_type;
mod oauth;
mod observe;
mod open;
mod public_url;
mod rate;
pub mod render;
mod route;
#[cfg(feature = "cli")]
pub mod server;
mod signed;
pub mod site;
mod status;
mod uri;
mod v1;
mod v2;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;

pub use admission::Admission;
pub use public_url::{Gateway, Origin, PublicUrl};
pub use rate::RequestRates;
pub use status::StatusLog;
pub use uri::{RefusedRequest, origin_form};

use crate::pages::Docs;
use crate::protocol::Error;
use crate::provider::Provider;
use crate::tenant::Authenticator;

/// Everything that answering a request needs.
pub struct Service {
    /// Carries requests out.
    pub provider: Arc<Provider>,
    /// Finds out who is calling.
    pub authenticator: Authenticator,
    /// Limits how many requests of one tenant run at the same time.
    pub admission: Admission,
    /// Writes down what has happened in each tenant.
    pub status: StatusLog,
    /// Limits how many requests of one tenant are answered in a time.
    pub rates: RequestRates,
    /// The URL of the service for clients. Without it, the URL of the [`Gateway`] is used.
    pub public_url: Option<PublicUrl>,
    /// Whether answers have a `Server-Timing` header with what they cost.
    pub server_timing: bool,
    /// The interactive documentation, with the document that it shows; `None` if it is switched off.
    pub docs: Option<Docs>,
}

/// The router that answers every request to this service.
pub fn router(service: Arc<Service>) -> Router {
    let observe = middleware::from_fn_with_state(Arc::clone(&service), observe::observe);
    Router::new()
        .fallback(dispatch::dispatch)
        .with_state(service)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(observe)
}

/// The answer to a request whose code panicked. The message of the panic may hold data of the client,
/// so it is not used. The panic hook has logged the place.
fn panicked(_payload: Box<dyn Any + Send + 'static>) -> Response {
    answer::error(&Error::internal("a panic"))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_without_its_message() {
        async fn broken() {
            panic!("on ada@example.com");
        }
        let router = Router::new()
            .route("/", get(broken))
            .layer(CatchPanicLayer::custom(panicked));
        let request = Request::new(Body::empty());
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        let text = to_bytes(response.into_body(), 1000).await.unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(
            text.contains("\"status\":\"500\"") && !text.contains("ada"),
            "{text}"
        );
    }
}
