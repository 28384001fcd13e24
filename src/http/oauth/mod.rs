//! The OAuth 2.0 authorization server: clients get their access tokens here (RFC 6749 §4.4), and find out
//! where (RFC 8414).
//!
//! Its messages are those of OAuth and not of SCIM. It knows clients by the same credentials as SCIM does.

mod client;
mod error;
mod form;
mod token;

use axum::body::Body;
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json;

use super::public_url::Mount;
use super::route::OAuthEndpoint;
use super::status::Observed;
use super::{Gateway, Service, answer, observe};
use crate::protocol::Error;
use crate::protocol::scopes::scopes;

pub(super) use error::refusal;

use error::OAuthError;

/// Where the token endpoint is below the URL of the service.
const TOKEN_PATH: &str = "/oauth/token";

/// Answers one request to the authorization server.
pub(super) async fn answer_to(
    service: &Service,
    endpoint: &OAuthEndpoint,
    parts: Parts,
    body: Body,
    observed: &Observed,
) -> Response {
    let gateway = parts.extensions.get::<Gateway>().cloned();
    let mount = Mount {
        configured: service.public_url.as_ref(),
        gateway: gateway.as_ref(),
    };
    match (endpoint, &parts.method) {
        (OAuthEndpoint::Metadata { issuer_path }, &Method::GET | &Method::HEAD) => {
            observe::note_route("GET", "", endpoint.template());
            metadata(mount, issuer_path).unwrap_or_else(|error| error.into_response())
        }
        (OAuthEndpoint::Token, &Method::POST) => {
            observe::note_route("POST", "", endpoint.template());
            let by_header = parts.headers.contains_key(AUTHORIZATION);
            let answered = token::token(service, mount, parts, body, observed).await;
            answered.unwrap_or_else(|error| error.for_client(by_header).into_response())
        }
        (OAuthEndpoint::Metadata { .. }, _) => not_allowed(endpoint, "GET, HEAD"),
        (OAuthEndpoint::Token, _) => not_allowed(endpoint, "POST"),
    }
}

/// The document by which clients find the token endpoint.
///
/// # Errors
/// Not found, if the client has asked for another issuer, or if no public URL is known.
fn metadata(mount: Mount<'_>, issuer_path: &str) -> Result<Response, OAuthError> {
    let is_ours = issuer_path.is_empty() || issuer_path == mount.prefix();
    let issuer = mount.service_url().filter(|_| is_ours);
    let issuer = issuer.ok_or_else(|| {
        OAuthError::from(Error::not_found(
            "There is no authorization server of this name",
        ))
    })?;
    let document = json!({
        "token_endpoint": format!("{issuer}{TOKEN_PATH}"),
        "issuer": issuer,
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "Ed25519"],
        "scopes_supported": scopes().collect::<Vec<_>>(),
        // The RFC demands the member and forbids an empty one. There is no authorization endpoint, which would
        // answer with any of them.
        "response_types_supported": ["none"],
    });
    Ok(answer::plain_json(document.to_string()))
}

fn not_allowed(endpoint: &OAuthEndpoint, allow: &str) -> Response {
    observe::note_route("OTHER", "", endpoint.template());
    let error = Error::method_not_allowed(format!("This path takes {allow} and no other method"));
    answer::allowing(refusal(&error), allow)
}
