//! `/ServiceProviderConfig`, `/Schemas` and `/ResourceTypes` (RFC 7644 §4), and `/Scopes`.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::http::answer;
use crate::http::call::Call;
use crate::http::discovery::{check_scopes_permission, discovery};
use crate::http::route::DiscoveryEndpoint;
use crate::protocol::Result;
use crate::protocol::discovery::{Described, filter_refused};
use crate::protocol::message::{ListResponse, Selection};
use crate::protocol::projection::Projection;

/// Describes the service to the caller, as its tenant has it.
///
/// # Errors
/// `Forbidden` for a filter, `InvalidValue` for a selection that contradicts itself, `NotFound` for
/// a schema or resource type that the tenant lacks.
pub(super) fn describe(call: &Call<'_>, endpoint: &DiscoveryEndpoint) -> Result<Response> {
    if call.parameters.get("filter").is_some() {
        return Err(filter_refused());
    }
    let selection = Selection::from_parameters(&call.parameters)?;
    let discovery = discovery(call);
    let shown = |resource: Value| shown(call, described(endpoint), &selection, resource);
    Ok(match endpoint {
        DiscoveryEndpoint::ServiceProviderConfig => one(discovery.service_provider_config(), shown),
        DiscoveryEndpoint::Schemas => all(discovery.schemas(), shown),
        DiscoveryEndpoint::Schema(urn) => one(discovery.schema(urn)?, shown),
        DiscoveryEndpoint::ResourceTypes => all(discovery.resource_types(), shown),
        DiscoveryEndpoint::ResourceType(name) => one(discovery.resource_type(name)?, shown),
        DiscoveryEndpoint::Scopes => {
            check_scopes_permission(call)?;
            one(discovery.scopes(), shown)
        }
    })
}

fn described(endpoint: &DiscoveryEndpoint) -> Described {
    match endpoint {
        DiscoveryEndpoint::ServiceProviderConfig => Described::ServiceProviderConfig,
        DiscoveryEndpoint::Schemas | DiscoveryEndpoint::Schema(_) => Described::Schema,
        DiscoveryEndpoint::ResourceTypes | DiscoveryEndpoint::ResourceType(_) => {
            Described::ResourceType
        }
        DiscoveryEndpoint::Scopes => Described::Scopes,
    }
}

/// The selected part of a resource. A request that selects nothing gets all of it, including
/// attributes that no registered schema defines.
fn shown(call: &Call<'_>, described: Described, selection: &Selection, resource: Value) -> String {
    let resource = match resource {
        Value::Object(members) if *selection != Selection::default() => {
            let mut reading = call.scope.reading();
            let projection = Projection::new(selection, described.resource_type(), &mut reading);
            call.scope.note(&reading);
            Value::Object(projection.apply(members))
        }
        whole => whole,
    };
    resource.to_string()
}

fn one(resource: Value, shown: impl Fn(Value) -> String) -> Response {
    let location = resource.pointer("/meta/location").and_then(Value::as_str);
    let location = location.unwrap_or_default().to_owned();
    answer::resource(StatusCode::OK, shown(resource), &location, None)
}

fn all(resources: Vec<Value>, shown: impl Fn(Value) -> String) -> Response {
    let texts: Vec<String> = resources.into_iter().map(shown).collect();
    answer::message(ListResponse::complete(texts.len()).render(&texts))
}
