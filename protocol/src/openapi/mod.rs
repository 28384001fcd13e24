//! The OpenAPI 3.1 document of the service, made from the schemas of a tenant.
//!
//! What is the same for every tenant is data: `components.json` has parameters, headers, messages and
//! security schemes, `operations.json` a pattern for each kind of operation, `examples.json` bodies for
//! people to begin with. The code writes the rest: a JSON Schema for each resource type (`schema.rs`), and
//! an operation for each method of each path (`operation.rs`). The paths are an argument, because the
//! router has them.
//!
//! Each resource type has two schemas. That of requests has no attributes that only the service writes,
//! and says which attributes are required; that of answers has none that are never shown, and requires
//! only those that every answer has, whatever `attributes` says. Both are open: a tenant may add an
//! extension at any time.
//!
//! The document has SCIM 2.0 and what is beside it. SCIM 1.1 is left out: its clients are products that
//! do not read such documents.

mod example;
mod names;
mod operation;
mod schema;

pub use operation::{Method, Operation, Route};

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::discovery::Described;
use crate::profile::Rules;
use crate::schema::Registry;
use crate::scopes;
use names::Names;

/// The media type of every message of SCIM 2.0.
const SCIM_JSON: &str = "application/scim+json";
/// The media type of JSON that is not a message of SCIM.
const JSON: &str = "application/json";

const COMPONENTS: &str = include_str!("components.json");

/// A text for the head of the document.
const DESCRIPTION: &str = "Users, groups and other resources of one tenant, by SCIM 2.0 (RFC 7643, RFC 7644, \
     RFC 9865). Every GET may also be a HEAD. A method that a path does not take is answered with 405. \
     SCIM 1.1, which is served below `/scim/v1`, is not described here.";

/// Status, component, description, and headers of their own.
type ErrorRow = (u16, &'static str, &'static str, &'static [&'static str]);

/// The errors that answers can have.
const ERRORS: [ErrorRow; 18] = [
    (
        400,
        "BadRequest",
        "The request cannot be read; `scimType` says why.",
        &[],
    ),
    (
        401,
        "Unauthorized",
        "There is no valid credential.",
        &["WWW-Authenticate"],
    ),
    (
        403,
        "Forbidden",
        "The credential does not permit this.",
        &[],
    ),
    (404, "NotFound", "There is no such resource.", &[]),
    (
        405,
        "MethodNotAllowed",
        "The path does not take this method.",
        &["Allow"],
    ),
    (
        406,
        "NotAcceptable",
        "The Accept header allows no JSON.",
        &[],
    ),
    (
        408,
        "RequestTimeout",
        "The body did not arrive in time.",
        &[],
    ),
    (
        409,
        "Conflict",
        "A unique value is taken, or other requests keep changing the resource.",
        &[],
    ),
    (410, "Gone", "The position leads nowhere any more.", &[]),
    (
        412,
        "PreconditionFailed",
        "The resource has another version.",
        &[],
    ),
    (
        413,
        "PayloadTooLarge",
        "The body is larger than a limit.",
        &[],
    ),
    (
        414,
        "UriTooLong",
        "Path and query are longer than a limit.",
        &[],
    ),
    (415, "UnsupportedMediaType", "The body is not JSON.", &[]),
    (
        429,
        "TooManyRequests",
        "The tenant sends more requests than it may.",
        &["Retry-After"],
    ),
    (
        431,
        "HeadersTooLarge",
        "The headers are larger than a limit.",
        &[],
    ),
    (500, "InternalServerError", "The service is at fault.", &[]),
    (
        501,
        "NotImplemented",
        "The credential does not belong to a user.",
        &[],
    ),
    (
        503,
        "ServiceUnavailable",
        "The service is overloaded; repeat the request later.",
        &["Retry-After"],
    ),
];

/// The groups of operations that are about no single type, in the order in which pages show them.
const TAGS: [&str; 7] = [
    "Me",
    "Bulk",
    "All types",
    "Discovery",
    "Events",
    "OAuth",
    "Service",
];

/// The discovery resources that the document describes, with the names of their components.
const DESCRIBED: [(&str, Described); 4] = [
    ("ServiceProviderConfig", Described::ServiceProviderConfig),
    ("ResourceType", Described::ResourceType),
    ("Schema", Described::Schema),
    ("Scopes", Described::Scopes),
];

/// All that the document of one tenant, or of no tenant, is made from.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The schemas and resource types that it has.
    pub registry: &'a Registry,
    /// The rules of the tenant; `None` in the document for everyone.
    pub rules: Option<&'a Rules>,
    /// The URL that paths follow, without a slash at its end; empty if it is not known.
    pub server_url: &'a str,
    /// The paths, and what each method does there.
    pub routes: &'a [Route<'a>],
}

impl Document<'_> {
    /// The document.
    ///
    /// **Shape**: `{"openapi":"3.1.0","info":{…},"servers":[…],"tags":[…],"paths":{…},"components":{…}}`.
    #[must_use]
    pub fn render(&self) -> Value {
        let mut components = data(COMPONENTS);
        if !self.allows_basic() {
            section(&mut components, "securitySchemes").shift_remove("basic");
        }
        let server_url = match self.server_url {
            "" => ".",
            url => url,
        };
        let oauth = section(section(&mut components, "securitySchemes"), "oauth");
        let scopes = scopes::scopes().map(|scope| (scope.to_owned(), json!("")));
        let scopes: Map<_, _> = scopes.collect();
        let token_url = format!("{}/oauth/token", self.server_url);
        oauth["flows"] = json!({"clientCredentials": {"tokenUrl": token_url, "scopes": scopes}});
        let mut names = Names::new(section(&mut components, "schemas"), self.registry);
        let schemas = section(&mut components, "schemas");
        self.write_schemas(&names, schemas);
        components.insert("responses".to_owned(), Value::Object(errors()));
        let (paths, tags) = self.paths(&mut names);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "SCIM",
                "version": env!("CARGO_PKG_VERSION"),
                "description": DESCRIPTION,
            },
            "servers": [{"url": server_url}],
            "tags": tags,
            "paths": paths,
            "components": components,
        })
    }

    fn allows_basic(&self) -> bool {
        self.rules.is_none_or(|rules| rules.switches.basic)
    }

    fn write_schemas(&self, names: &Names<'_>, schemas: &mut Map<String, Value>) {
        for (name, described) in DESCRIBED {
            let answer = schema::described(described.resource_type());
            schemas.insert(name.to_owned(), answer);
            schemas.insert(
                format!("{name}ListResponse"),
                schema::list_of(&schema::reference(name)),
            );
        }
        for resource_type in self.registry.resource_types() {
            schemas.extend(schema::components(resource_type, names));
        }
        let types = self.registry.resource_types().iter();
        let any: Vec<_> = types
            .map(|resource_type| schema::reference(names.of_type(resource_type)))
            .collect();
        schemas.insert(
            "ListResponse".to_owned(),
            schema::list_of(&json!({"anyOf": any})),
        );
        let member = schema::reference("Member");
        schemas.insert("MemberListResponse".to_owned(), schema::list_of(&member));
    }

    /// The paths, and the tags that group their operations.
    fn paths(&self, names: &mut Names<'_>) -> (Map<String, Value>, Vec<Value>) {
        let writer = operation::Writer::new(self.routes, self.allows_basic(), names);
        let mut paths = Map::new();
        let mut used = HashSet::new();
        for route in self.routes {
            let mut item = Map::new();
            for (method, operation) in &route.operations {
                used.insert(operation.tag());
                let written = writer.write(route, *operation, names);
                item.insert(method.name().to_owned(), written);
            }
            paths.insert(route.path.clone(), Value::Object(item));
        }
        let types = self.registry.resource_types().iter();
        let types = types.map(|resource_type| resource_type.endpoint.as_str());
        // An endpoint of a tenant may have the name of a group of the service. Then it is one group.
        let tags = types.chain(TAGS).filter(|tag| used.remove(tag));
        (paths, tags.map(|tag| json!({"name": tag})).collect())
    }
}

/// The responses that errors have, by the names of their components.
fn errors() -> Map<String, Value> {
    let all = ERRORS.iter().map(|(_, name, description, headers)| {
        let content = json!({SCIM_JSON: {"schema": schema::reference("Error")}});
        let response = operation::response(description, headers, Some(content));
        ((*name).to_owned(), response)
    });
    all.collect()
}

/// What is known of the errors with a status.
fn error_of(status: u16) -> Option<&'static ErrorRow> {
    ERRORS.iter().find(|(known, ..)| *known == status)
}

/// One of the embedded files.
fn data(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).expect("the embedded JSON is checked by this crate's tests")
}

fn section<'m>(map: &'m mut Map<String, Value>, name: &str) -> &'m mut Map<String, Value> {
    let value = map.entry(name).or_insert_with(|| json!({}));
    value
        .as_object_mut()
        .expect("the embedded JSON is checked by this crate's tests")
}

#[cfg(test)]
mod tests;
