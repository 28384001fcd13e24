//! The operations of the document: one for each method of each path.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::names::{Names, plain};
use super::{JSON, SCIM_JSON, example, schema};
use crate::schema::ResourceType;
use crate::scopes::{self, Permission};

const PATTERNS: &str = include_str!("operations.json");

/// The media type of the page that a browser gets.
const HTML: &str = "text/html";
/// Errors that every path can have.
const EVERYWHERE: [u16; 5] = [406, 414, 431, 500, 503];
/// Further errors of a path that needs a credential.
const WITH_CREDENTIAL: [u16; 3] = [401, 403, 429];
/// Further errors of a request with a body.
const WITH_BODY: [u16; 3] = [408, 413, 415];

/// The kinds of operations on a resource that was created.
const ON_CREATED: [&str; 5] = ["get", "replace", "patch", "delete", "members"];

/// One path, and what each method does there.
#[derive(Debug, Clone)]
pub struct Route<'a> {
    /// The path, with `{…}` for values: `/scim/v2/Users/{id}`.
    pub path: String,
    /// Each method that the path takes, except HEAD, with what it does.
    pub operations: Vec<(Method, Operation<'a>)>,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET; every path that takes it also takes HEAD.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// The name that OpenAPI has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// What a request does.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// A query over one type, or over all.
    List(Option<&'a ResourceType>),
    /// The same with the query in the body.
    Search(Option<&'a ResourceType>),
    /// Creates a resource.
    Create(&'a ResourceType),
    /// Reads a resource.
    Get(&'a ResourceType),
    /// Replaces a resource.
    Replace(&'a ResourceType),
    /// Changes a resource.
    Patch(&'a ResourceType),
    /// Deletes a resource.
    Delete(&'a ResourceType),
    /// Lists the members of a group.
    Members(&'a ResourceType),
    /// A bulk request.
    Bulk,
    /// A request about the user of the credential, whose type this is.
    Me(Method, &'a ResourceType),
    /// Reads what the service can do.
    ServiceProviderConfig,
    /// Lists the schemas.
    Schemas,
    /// Reads a schema.
    Schema,
    /// Lists the resource types.
    ResourceTypes,
    /// Reads a resource type.
    ResourceType,
    /// Reads the catalogue of permissions.
    Scopes,
    /// Reads the feed of changes.
    Events,
    /// Gives an OAuth client an access token.
    Token,
    /// Says where OAuth clients get access tokens.
    AuthorizationServer,
    /// Says what the service is.
    Home,
    /// Reads this document.
    OpenApi,
    /// Says whether the service answers.
    Health,
}

impl<'a> Operation<'a> {
    /// The name under which pages group it.
    pub(super) fn tag(self) -> &'a str {
        match self {
            Self::List(None) | Self::Search(None) => "All types",
            Self::Bulk => "Bulk",
            Self::Me(..) => "Me",
            Self::ServiceProviderConfig
            | Self::Schemas
            | Self::Schema
            | Self::ResourceTypes
            | Self::ResourceType
            | Self::Scopes => "Discovery",
            Self::Events => "Events",
            Self::Token | Self::AuthorizationServer => "OAuth",
            Self::Home | Self::OpenApi | Self::Health => "Service",
            _ => self
                .resource_type()
                .map_or("", |found| found.endpoint.as_str()),
        }
    }

    /// Its name in `operations.json`.
    fn pattern(self) -> &'static str {
        match self {
            Self::List(Some(_)) => "list",
            Self::List(None) => "listAll",
            Self::Search(Some(_)) => "search",
            Self::Search(None) => "searchAll",
            Self::Create(_) => "create",
            Self::Get(_) => "get",
            Self::Replace(_) => "replace",
            Self::Patch(_) => "patch",
            Self::Delete(_) => "delete",
            Self::Members(_) => "members",
            Self::Bulk => "bulk",
            Self::Me(Method::Get, _) => "getMe",
            Self::Me(Method::Post, _) => "createMe",
            Self::Me(Method::Put, _) => "replaceMe",
            Self::Me(Method::Patch, _) => "patchMe",
            Self::Me(Method::Delete, _) => "deleteMe",
            Self::ServiceProviderConfig => "serviceProviderConfig",
            Self::Schemas => "schemas",
            Self::Schema => "schema",
            Self::ResourceTypes => "resourceTypes",
            Self::ResourceType => "resourceType",
            Self::Scopes => "scopes",
            Self::Events => "events",
            Self::Token => "token",
            Self::AuthorizationServer => "authorizationServer",
            Self::Home => "home",
            Self::OpenApi => "openapi",
            Self::Health => "health",
        }
    }

    fn key(self) -> Key<'a> {
        let resource_type = self.resource_type().map_or("", |found| found.name.as_str());
        (self.pattern(), resource_type)
    }

    /// The type of the resources that it is about.
    fn resource_type(self) -> Option<&'a ResourceType> {
        match self {
            Self::List(found) | Self::Search(found) => found,
            Self::Create(found)
            | Self::Get(found)
            | Self::Replace(found)
            | Self::Patch(found)
            | Self::Delete(found)
            | Self::Members(found)
            | Self::Me(_, found) => Some(found),
            _ => None,
        }
    }

    /// The permissions that a credential needs. A query over all types needs one for each of them, which
    /// are not listed.
    fn permissions(self) -> Vec<String> {
        let of = |permission| {
            let endpoint = self
                .resource_type()
                .map_or("", |found| found.endpoint.as_str());
            vec![scopes::scope(endpoint, permission)]
        };
        match self {
            Self::List(Some(_)) | Self::Search(Some(_)) => of(Permission::List),
            Self::Create(_) => of(Permission::Create),
            Self::Get(_) | Self::Members(_) => of(Permission::Read),
            Self::Replace(_) | Self::Patch(_) => of(Permission::Update),
            Self::Delete(_) => of(Permission::Delete),
            Self::Me(Method::Get, _) => vec![scopes::READ_ME.to_owned()],
            Self::Me(Method::Put | Method::Patch, _) => vec![scopes::UPDATE_ME.to_owned()],
            Self::Me(Method::Post, _) => Vec::new(),
            Self::Me(Method::Delete, _) => of(Permission::Delete),
            Self::Scopes => vec![scopes::scope("Scopes", Permission::Read)],
            Self::Events => vec![scopes::READ_EVENTS.to_owned()],
            Self::Health => vec![scopes::HEALTH.to_owned()],
            _ => Vec::new(),
        }
    }

    /// The example of its body.
    fn example(self) -> Option<Value> {
        match self {
            Self::Search(_) => Some(example::search()),
            Self::Create(found)
            | Self::Replace(found)
            | Self::Me(Method::Post | Method::Put, found) => Some(example::body(found)),
            Self::Patch(found) | Self::Me(Method::Patch, found) => Some(example::patch(found)),
            Self::Bulk => Some(example::bulk()),
            _ => None,
        }
    }
}

/// One entry of `operations.json`. `{type}` stands for the component of the resource type, `{endpoint}` for
/// its endpoint, and `{types}` for its endpoint in an id.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Pattern {
    operation_id: String,
    summary: String,
    /// Whether it needs a credential.
    #[serde(default)]
    access: Access,
    /// Components that the operation takes.
    #[serde(default)]
    parameters: Vec<String>,
    /// The component of the body.
    body: Option<String>,
    /// The media type of the body, if it is not JSON.
    body_media: Option<String>,
    /// The component of errors, if they are not those of SCIM.
    error_schema: Option<String>,
    /// The media type of answers, if it is not that of SCIM.
    media: Option<String>,
    /// Answers of success by status.
    answers: Map<String, Value>,
    /// Statuses of errors, besides those that every operation of its kind has.
    errors: Vec<u16>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Access {
    /// A credential is needed.
    #[default]
    Required,
    /// With a credential the answer is another.
    Optional,
    /// A credential changes nothing.
    None,
}

/// A text of a pattern, with names in the place of their marks.
fn filled(text: &str, operation: Operation<'_>, names: &Names<'_>) -> String {
    let resource_type = operation.resource_type();
    let component = resource_type.map_or("", |found| names.of_type(found));
    let endpoint = resource_type.map_or("", |found| found.endpoint.as_str());
    text.replace("{type}", component)
        .replace("{types}", &plain(endpoint))
        .replace("{endpoint}", endpoint)
}

/// Writes operations by their patterns.
pub(super) struct Writer<'a> {
    patterns: HashMap<String, Pattern>,
    allows_basic: bool,
    /// The ids of all operations.
    ids: HashMap<Key<'a>, String>,
}

/// A kind of operation, and the name of the type that it is about.
type Key<'a> = (&'static str, &'a str);

impl<'a> Writer<'a> {
    /// Gives every operation of the routes its id.
    pub(super) fn new(routes: &[Route<'a>], allows_basic: bool, names: &mut Names<'_>) -> Self {
        let mut writer = Self {
            patterns: serde_json::from_str(PATTERNS)
                .expect("the embedded JSON is checked by this crate's tests"),
            allows_basic,
            ids: HashMap::new(),
        };
        for (_, operation) in routes.iter().flat_map(|route| &route.operations) {
            let pattern = writer.pattern(*operation);
            let id = names.operation(&filled(&pattern.operation_id, *operation, names));
            writer.ids.insert(operation.key(), id);
        }
        writer
    }

    fn pattern(&self, operation: Operation<'_>) -> &Pattern {
        &self.patterns[operation.pattern()]
    }

    /// The operation object of one method of a path.
    pub(super) fn write(
        &self,
        route: &Route<'_>,
        operation: Operation<'_>,
        names: &Names<'_>,
    ) -> Value {
        let pattern = self.pattern(operation);
        let fill = |text: &str| filled(text, operation, names);
        let mut written = Map::from_iter([
            (
                "operationId".to_owned(),
                json!(self.ids.get(&operation.key())),
            ),
            ("summary".to_owned(), json!(fill(&pattern.summary))),
            ("tags".to_owned(), json!([operation.tag()])),
            ("parameters".to_owned(), parameters(route, pattern)),
            (
                "security".to_owned(),
                self.security(pattern.access, operation),
            ),
        ]);
        let body = pattern.body.as_deref();
        let body = body.map(|name| match &pattern.body_media {
            Some(media) => {
                json!({"required": true, "content": {media: {"schema": schema::reference(name)}}})
            }
            None => body_of(&fill(name), operation.example().as_ref()),
        });
        written.extend(body.map(|body| ("requestBody".to_owned(), body)));
        let mut responses = answers(pattern, &fill);
        if let Some(created) = responses.get_mut("201").and_then(Value::as_object_mut) {
            created.insert("links".to_owned(), self.links(operation));
        }
        responses.extend(errors(pattern));
        written.insert("responses".to_owned(), Value::Object(responses));
        Value::Object(written)
    }

    /// What can be done with a resource that was created.
    fn links(&self, operation: Operation<'_>) -> Value {
        let (_, type_name) = operation.key();
        let ids = ON_CREATED
            .iter()
            .filter_map(|kind| self.ids.get(&(*kind, type_name)));
        let links = ids.map(|id| {
            let link = json!({"operationId": id, "parameters": {"id": "$response.body#/id"}});
            (id.clone(), link)
        });
        Value::Object(links.collect())
    }

    /// The credentials that the operation takes, with the permissions that they need.
    fn security(&self, access: Access, operation: Operation<'_>) -> Value {
        if access == Access::None {
            return json!([]);
        }
        let permissions = operation.permissions();
        let schemes = ["bearer", "oauth", "basic"].into_iter();
        let schemes = schemes.filter(|scheme| *scheme != "basic" || self.allows_basic);
        let needed = schemes.map(|scheme| json!({scheme: permissions}));
        let without = (access == Access::Optional).then(|| json!({}));
        Value::Array(without.into_iter().chain(needed).collect())
    }
}

/// The parameters of the path, and those of the operation.
fn parameters(route: &Route<'_>, pattern: &Pattern) -> Value {
    let of_path = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let of_operation = pattern.parameters.iter().map(String::as_str);
    let all = of_path.chain(of_operation).chain(["requestId"]);
    let all = all.map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
    Value::Array(all.collect())
}

/// A body, which may have either media type of JSON.
fn body_of(component: &str, example: Option<&Value>) -> Value {
    let schema = schema::reference(component);
    let content: Map<_, _> = [SCIM_JSON, JSON]
        .map(|media| {
            (
                media.to_owned(),
                json!({"schema": schema, "example": example}),
            )
        })
        .into_iter()
        .collect();
    json!({"required": true, "content": content})
}

/// The responses of success.
fn answers(pattern: &Pattern, fill: &impl Fn(&str) -> String) -> Map<String, Value> {
    let media = pattern.media.as_deref().unwrap_or(SCIM_JSON);
    let answers = pattern.answers.iter().map(|(status, answer)| {
        let component = answer.get("schema").and_then(Value::as_str).map(fill);
        let mut content =
            component.map(|name| json!({media: {"schema": schema::reference(&name)}}));
        if let (Some(content), Some(Value::Bool(true))) = (&mut content, answer.get("html")) {
            content[HTML] = json!({"schema": {"type": "string"}});
        }
        let headers = answer.get("headers").and_then(Value::as_array);
        let headers: Vec<_> = headers
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let description = match status.as_str() {
            "201" => "Created",
            "204" => "Done; there is no body",
            "304" => "The client has this version",
            _ => "Success",
        };
        (status.clone(), response(description, &headers, content))
    });
    answers.collect()
}

/// References to the responses of the errors that the operation can have.
fn errors(pattern: &Pattern) -> impl Iterator<Item = (String, Value)> + '_ {
    let with_credential = (pattern.access == Access::Required).then_some(WITH_CREDENTIAL);
    let with_body = pattern.body.as_ref().map(|_| WITH_BODY);
    let mut all = pattern.errors.clone();
    all.extend(with_credential.into_iter().flatten());
    all.extend(with_body.into_iter().flatten());
    all.extend(EVERYWHERE);
    all.sort_unstable();
    all.dedup();
    all.into_iter().filter_map(|status| {
        let (_, name, description, headers) = super::error_of(status)?;
        let reference = match &pattern.error_schema {
            None => json!({"$ref": format!("#/components/responses/{name}")}),
            Some(component) => {
                let content = json!({JSON: {"schema": schema::reference(component)}});
                response(description, headers, Some(content))
            }
        };
        Some((status.to_string(), reference))
    })
}

/// A response. Every one has the name of the request.
pub(super) fn response(description: &str, headers: &[&str], content: Option<Value>) -> Value {
    let headers = headers.iter().chain(&["X-Request-Id"]);
    let headers: Map<_, _> = headers
        .map(|name| {
            let reference = json!({"$ref": format!("#/components/headers/{name}")});
            ((*name).to_owned(), reference)
        })
        .collect();
    let mut response = Map::from_iter([
        ("description".to_owned(), json!(description)),
        ("headers".to_owned(), Value::Object(headers)),
    ]);
    response.extend(content.map(|content| ("content".to_owned(), content)));
    Value::Object(response)
}
