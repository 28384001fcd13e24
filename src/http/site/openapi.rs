//! The description of the service in OpenAPI 3.1: which paths there are, and the document for everyone and
//! for one tenant.
//!
//! The paths are those that [`Route`] reads, and the operations of a path those that [`Actions`] finds there, so
//! a path that is served is described.

use axum::response::Response;
use serde_json::Value;
use std::io;

use super::content::{self, Encoding};
use crate::http::action::{Action, Actions, Verb};
use crate::http::api::{Api, V2_PATH};
use crate::http::call::Call;
use crate::http::media_type::JSON;
use crate::http::route::{DiscoveryEndpoint, OAuthEndpoint, Route, Site, no_such_endpoint};
use crate::pages::File;
use crate::protocol::openapi::{Document, Method, Operation, Route as Described};
use crate::protocol::profile::Rules;
use crate::protocol::schema::Registry;
use crate::protocol::{Error, Result};
use crate::provider::Over;

/// The size of a document of many types, by which it is decided where it is written.
const DOCUMENT_BYTES: usize = 1024 * 1024;

/// The OpenAPI document of these types, for a service at `server_url`. `rules` are those of the tenant, if it is
/// the document of one.
#[must_use]
pub fn document(registry: &Registry, rules: Option<&Rules>, server_url: &str) -> Value {
    let endpoints = registry.resource_types().iter();
    let endpoints = endpoints.map(|resource_type| resource_type.endpoint.as_str());
    let served: Vec<_> = Route::all_of_v2(endpoints).collect();
    let routes = served.iter().filter_map(|(path, route)| {
        let target = route.target.as_ref().ok()?;
        let find = |endpoint: &str| {
            let found = registry.at_endpoint(endpoint).map(AsRef::as_ref);
            found.ok_or_else(no_such_endpoint)
        };
        // A path whose type is not registered is none of the tenant's.
        let actions = Actions::at(target, &Api::V2, find).ok()?;
        let operations: Vec<_> = actions
            .all()
            .filter_map(|action| operation(action, registry))
            .collect();
        (!operations.is_empty()).then(|| Described {
            path: path.clone(),
            operations,
        })
    });
    let routes: Vec<_> = routes.chain(oauth()).collect();
    Document {
        registry,
        rules,
        server_url,
        routes: &routes,
    }
    .render()
}

/// The paths of the authorization server.
fn oauth<'a>() -> [Described<'a>; 2] {
    let metadata = OAuthEndpoint::Metadata {
        issuer_path: String::new(),
    };
    [
        (OAuthEndpoint::Token, Method::Post, Operation::Token),
        (metadata, Method::Get, Operation::AuthorizationServer),
    ]
    .map(|(endpoint, method, operation)| Described {
        path: endpoint.template().to_owned(),
        operations: vec![(method, operation)],
    })
}

/// The document for everyone, which has the types that every tenant begins with.
pub(super) fn for_everyone(server_url: &str) -> Value {
    document(Registry::builtin(), None, server_url)
}

/// The document of the caller's tenant.
///
/// # Errors
/// `Forbidden` without access; `Unavailable` when there is no time left to write it.
pub(super) async fn for_tenant(call: &Call<'_>, encoding: Encoding) -> Result<Response> {
    let scope = &call.scope;
    scope.caller.permissions.check_access()?;
    let tenant = &scope.tenant;
    let server_url = scope.base_url.strip_suffix(V2_PATH).unwrap_or_default();
    let write = || file(&document(&tenant.registry, Some(&tenant.rules), server_url));
    let file = scope.compute.run(DOCUMENT_BYTES, write).await?;
    content::response(&call.headers, encoding, &file.map_err(Error::internal)?)
}

/// A document as a file.
///
/// # Errors
/// As [`File::compress`].
pub(super) fn file(document: &Value) -> io::Result<File> {
    File::compress(JSON, document.to_string().into())
}

/// What the document says about an action; `None` for pages that are for people.
fn operation<'a>(action: Action<'a>, registry: &'a Registry) -> Option<(Method, Operation<'a>)> {
    let method = method(action.verb());
    let over = |over: Over<'a>| match over {
        Over::Type(resource_type) => Some(resource_type),
        Over::All => None,
    };
    let operation = match action {
        Action::Describe(endpoint) => match endpoint {
            DiscoveryEndpoint::ServiceProviderConfig => Operation::ServiceProviderConfig,
            DiscoveryEndpoint::Schemas => Operation::Schemas,
            DiscoveryEndpoint::Schema(_) => Operation::Schema,
            DiscoveryEndpoint::ResourceTypes => Operation::ResourceTypes,
            DiscoveryEndpoint::ResourceType(_) => Operation::ResourceType,
            DiscoveryEndpoint::Scopes => Operation::Scopes,
        },
        Action::Bulk => Operation::Bulk,
        Action::Me(_) => Operation::Me(method, registry.resource_type("User")?),
        Action::List(listed) => Operation::List(over(listed)),
        Action::Search(listed) => Operation::Search(over(listed)),
        Action::Create(resource_type) => Operation::Create(resource_type),
        Action::Get(resource_type, _) => Operation::Get(resource_type),
        Action::Replace(resource_type, _) => Operation::Replace(resource_type),
        Action::Patch(resource_type, _) => Operation::Patch(resource_type),
        Action::Delete(resource_type, _) => Operation::Delete(resource_type),
        Action::Events => Operation::Events,
        // Only groups have members.
        Action::Members(resource_type, _) if resource_type.changes_by_body() => return None,
        Action::Members(resource_type, _) => Operation::Members(resource_type),
        Action::Site(Site::Home) => Operation::Home,
        Action::Site(Site::OpenApi) => Operation::OpenApi,
        Action::Site(Site::Health) => Operation::Health,
        Action::Site(Site::Docs | Site::DocsFile(_)) => return None,
    };
    Some((method, operation))
}

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get => Method::Get,
        Verb::Post => Method::Post,
        Verb::Put => Method::Put,
        Verb::Patch => Method::Patch,
        Verb::Delete => Method::Delete,
    }
}

#[cfg(test)]
mod tests;
