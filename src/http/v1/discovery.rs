//! `/ServiceProviderConfigs`, `/Schemas` and `/Scopes` (SCIM 1.1 core §9, §10).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use crate::http::answer;
use crate::http::call::Call;
use crate::http::discovery::{check_scopes_permission, discovery};
use crate::http::route::{DiscoveryEndpoint, no_such_endpoint};
use crate::protocol::Result;
use crate::protocol::message::ListResponse;
use crate::protocol::v1::{self, Dialect, DiscoveryV1};

/// Describes the service to a client of SCIM 1.1.
///
/// # Errors
/// `NotFound` for a schema that the tenant lacks, `Forbidden` without the permission to read scopes.
pub(super) fn describe(
    call: &Call<'_>,
    dialect: Dialect,
    endpoint: &DiscoveryEndpoint,
) -> Result<Response> {
    let discovery = DiscoveryV1 {
        discovery: discovery(call),
        dialect,
    };
    match endpoint {
        DiscoveryEndpoint::ServiceProviderConfig => Ok(one(&discovery.service_provider_config())),
        DiscoveryEndpoint::Schemas => {
            let schemas = discovery.schemas();
            let texts: Vec<_> = schemas.iter().map(Value::to_string).collect();
            let list = ListResponse::complete(texts.len());
            Ok(answer::message(list.render_v1(&texts)))
        }
        DiscoveryEndpoint::Schema(id) => Ok(one(&discovery.schema(id)?)),
        DiscoveryEndpoint::Scopes => {
            check_scopes_permission(call)?;
            Ok(answer::message(v1::scopes().to_string()))
        }
        DiscoveryEndpoint::ResourceTypes | DiscoveryEndpoint::ResourceType(_) => {
            Err(no_such_endpoint())
        }
    }
}

fn one(resource: &Value) -> Response {
    let location = resource.pointer("/meta/location").and_then(Value::as_str);
    let location = location.unwrap_or_default();
    answer::resource(StatusCode::OK, resource.to_string(), location, None)
}
