//! Exchanges kept as data: the requests of a client, and the answers it must get.
//!
//! Each file below `tests/exchanges/` is one exchange:
//! ```json
//! {"name": "…",
//!  "source": "…",
//!  "rules": {"profile": "strict", "switches": {"maxCount": 2}},
//!  "schemas": ["conformance/test-resource-schemas.json"],
//!  "resourceTypes": [{"id": "Thing", "name": "Thing", "endpoint": "/Things", "schema": "urn:…"}],
//!  "tokens": {"reader": {"tenant": "other", "user": "{{ada}}", "permissions": ["users:read"]},
//!             "keeper": {"role": "{{role}}"}},
//!  "clients": ["entra"],
//!  "given": [{"method": "POST", "path": "/Users", "body": {}, "save": {"ada": "/id"}}],
//!  "request": {"as": "reader", "method": "GET", "path": "/Users/{{ada}}", "headers": {}},
//!  "expect": {"status": 200, "headers": {"ETag": "*"}, "body": {}, "absent": ["/password"]},
//!  "then": [{"request": {}, "expect": {}}]}
//! ```
//! `source` says what shows that clients do so, and what is not known. Exchanges with `clients` have one.
//! Each exchange has a tenant of its own with these `rules`. In addition to the built-in ones, it has
//! these `schemas` and `resourceTypes`, each an object or the name of a file below `tests/`. A request
//! carries a token that may do everything. With `as` it carries the one of `tokens` with that name,
//! which is created at its first use; `"as": "anonymous"` sends no token. Each of `clients` is an OAuth
//! client with a secret: `{{entra.id}}`, `{{entra.secret}}`, and both for Basic in `{{entra.basic}}`. Instead of a `body`, a
//! request may have a `text` that is not JSON. Paths are those of SCIM 2.0. A path of another base is
//! written in full: `/scim/v1/Users`, `/v2/{{tenant}}/scim/Users`, or a whole URL.
//!
//! The requests of `given` must succeed. `save` stores values of an answer under names, and `{{name}}`
//! inserts them; `{{base}}`, `{{v1}}` and `{{ionic}}` are the base URLs. An expected `body` lists
//! members that the answer must have; it may have others. Arrays must be equal in length and order.
//! `{"$any": true}` matches any value, `{"$not": x}` any other value, `{"$holds": "x"}` a text that
//! contains `x`, and `{"$contains": [x]}` an array that contains these elements. A header of `*` may
//! have any value, and a header of null must be absent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::Rules;
use scim_lambda::tenant::{CredentialKind, NewCredential, Permissions};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::support::{Answer, BASE, ORIGIN, Server, bearer};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exchange {
    name: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    rules: Rules,
    #[serde(default)]
    schemas: Vec<Value>,
    #[serde(default)]
    resource_types: Vec<Value>,
    #[serde(default)]
    tokens: BTreeMap<String, TokenOf>,
    #[serde(default)]
    clients: Vec<String>,
    #[serde(default)]
    given: Vec<Request>,
    request: Request,
    expect: Expectation,
    #[serde(default)]
    then: Vec<Step>,
}

/// The tenant of a token, and what it may do: everything, unless permissions, role or user are given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenOf {
    tenant: Option<String>,
    user: Option<String>,
    role: Option<String>,
    permissions: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    request: Request,
    expect: Expectation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(rename = "as")]
    caller: Option<String>,
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    text: Option<String>,
    #[serde(default)]
    save: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    body: Option<Value>,
    #[serde(default)]
    absent: Vec<String>,
}

/// Values of earlier answers of the exchange.
type Saved = BTreeMap<String, String>;

#[tokio::test]
async fn every_exchange_gets_its_answers() {
    let mut files = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges"),
        &mut files,
    );
    files.sort();
    let server = Server::start().await;
    let mut failures = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let text = fs::read_to_string(file).unwrap();
        let exchange: Exchange = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let is_sourced = exchange.clients.is_empty() || exchange.source.contains("https://");
        assert!(is_sourced, "{} has no source", file.display());
        if let Err(reason) = Play::start(&server, number, &exchange).await.run().await {
            failures.push(format!("{} ({}): {reason}", exchange.name, file.display()));
        }
    }
    assert!(!files.is_empty());
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        files.len(),
        failures.join("\n")
    );
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
}

/// One exchange being played by a tenant of its own.
struct Play<'e> {
    exchange: &'e Exchange,
    server: &'e Server,
    tenant: String,
    saved: Saved,
    /// The tokens by the names that `as` uses.
    tokens: BTreeMap<String, String>,
}

/// The caller of a request without `as`.
const UNRESTRICTED: &str = "unrestricted";

/// The objects that are given directly or in the named files. A file has one object or an array.
fn in_files(values: &[Value]) -> Vec<Value> {
    let objects = |value: &Value| match value {
        Value::String(name) => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests")
                .join(name);
            match serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() {
                Value::Array(objects) => objects,
                object => vec![object],
            }
        }
        object => vec![object.clone()],
    };
    values.iter().flat_map(objects).collect()
}

impl<'e> Play<'e> {
    async fn start(server: &'e Server, number: usize, exchange: &'e Exchange) -> Self {
        let tenant = format!("tenant-{number}");
        server.add_tenant(&tenant, &exchange.rules).await;
        let token = server.issue(&tenant, |_| {}).await;
        Self {
            exchange,
            server,
            saved: Saved::from([
                ("base".to_owned(), BASE.to_owned()),
                ("v1".to_owned(), format!("{ORIGIN}/scim/v1")),
                ("ionic".to_owned(), format!("{ORIGIN}/v2/{tenant}/scim")),
                ("tenant".to_owned(), tenant.clone()),
            ]),
            tokens: BTreeMap::from([(UNRESTRICTED.to_owned(), token)]),
            tenant,
        }
    }

    async fn run(mut self) -> Result<(), String> {
        let exchange = self.exchange;
        self.register().await?;
        for client in &exchange.clients {
            self.add_client(client).await;
        }
        for request in &exchange.given {
            let Answer { status, text, .. } = self.send(request).await;
            if status >= 300 {
                return Err(format!("given {}: {status} {text}", request.path));
            }
        }
        let answer = self.send(&exchange.request).await;
        exchange.expect.check(&answer, &self.saved)?;
        for (number, step) in exchange.then.iter().enumerate() {
            let answer = self.send(&step.request).await;
            let checked = step.expect.check(&answer, &self.saved);
            let Request { method, path, .. } = &step.request;
            checked.map_err(|reason| format!("then {}, {method} {path}: {reason}", number + 1))?;
        }
        Ok(())
    }

    /// Registers the schemas and resource types of the exchange for its tenant.
    async fn register(&self) -> Result<(), String> {
        let tenant = TenantId::parse(&self.tenant).unwrap();
        let service = self.server.stack.service();
        for schema in in_files(&self.exchange.schemas) {
            let added = service.provider.add_schema(&tenant, &schema).await;
            added.map_err(|error| error.to_string())?;
        }
        for resource_type in in_files(&self.exchange.resource_types) {
            let added = service.provider.add_resource_type(&tenant, &resource_type);
            added.await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Creates an OAuth client with a secret, and saves what it is given.
    async fn add_client(&mut self, name: &str) {
        let new = NewCredential {
            kind: CredentialKind::OAuth,
            ..bearer()
        };
        let tenant = TenantId::parse(&self.tenant).unwrap();
        let issuer = self.server.stack.issuer();
        let issued = issuer.create_credential(&tenant, new).await.unwrap();
        self.server.next_millisecond().await;
        let (id, secret) = (issued.user_name.unwrap(), issued.secret);
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        for (part, value) in [("id", id), ("secret", secret), ("basic", basic)] {
            self.saved.insert(format!("{name}.{part}"), value);
        }
    }

    async fn send(&mut self, request: &Request) -> Answer {
        // Paths are written as people read them.
        let path = filled(&request.path, &self.saved)
            .replace(' ', "%20")
            .replace('"', "%22");
        let mut http = http::Request::builder()
            .method(request.method.as_str())
            .uri(whole(&path));
        if let Some(token) = self.token(request.caller.as_deref()).await {
            http = http.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in &request.headers {
            http = http.header(name, filled(value, &self.saved));
        }
        let json = request.body.as_ref();
        let json = json.map(|body| filled_in(body, &self.saved).to_string());
        let text = request.text.as_ref();
        let text = text.map(|text| filled(text, &self.saved));
        let body = json.or(text).unwrap_or_default();
        let answer = self.server.answer(http.body(Body::from(body)).unwrap());
        let answer = answer.await;
        for (name, pointer) in &request.save {
            let value = answer.json.pointer(pointer).and_then(Value::as_str);
            let value = value.unwrap_or_default().to_owned();
            self.saved.insert(name.clone(), value);
        }
        answer
    }

    /// The token of a caller, created at its first use.
    async fn token(&mut self, caller: Option<&str>) -> Option<String> {
        let name = match caller.unwrap_or(UNRESTRICTED) {
            "anonymous" => return None,
            name => name,
        };
        if !self.tokens.contains_key(name) {
            let token = self.issue(&self.exchange.tokens[name]).await;
            self.tokens.insert(name.to_owned(), token);
        }
        self.tokens.get(name).cloned()
    }

    async fn issue(&self, of: &TokenOf) -> String {
        let tenant = match &of.tenant {
            None => self.tenant.clone(),
            Some(other) => {
                let tenant = format!("{}-{other}", self.tenant);
                self.server.add_tenant(&tenant, &self.exchange.rules).await;
                tenant
            }
        };
        let named = |id: &String| filled(id, &self.saved);
        let (user, role) = (of.user.as_ref().map(named), of.role.as_ref().map(named));
        let change = |new: &mut NewCredential| {
            (new.user, new.role) = (user, role);
            if let Some(only) = &of.permissions {
                new.permissions = Permissions::Only(only.clone());
            }
        };
        self.server.issue(&tenant, change).await
    }
}

impl Expectation {
    fn check(&self, answer: &Answer, saved: &Saved) -> Result<(), String> {
        if answer.status != self.status {
            return Err(format!(
                "status {}, not {}: {}",
                answer.status, self.status, answer.text
            ));
        }
        for (name, expected) in &self.headers {
            let found = answer
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap());
            let fits = match expected.as_deref() {
                Some("*") => found.is_some(),
                Some(expected) => found == Some(filled(expected, saved).as_str()),
                None => found.is_none(),
            };
            if !fits {
                return Err(format!("header {name} is {found:?}, not {expected:?}"));
            }
        }
        if let Some(body) = &self.body {
            compare(&filled_in(body, saved), &answer.json, "")?;
        }
        match self
            .absent
            .iter()
            .find(|pointer| answer.json.pointer(pointer).is_some())
        {
            Some(pointer) => Err(format!("{pointer} is there: {}", answer.text)),
            None => Ok(()),
        }
    }
}

/// The URL of a path, which may be below another base or a whole URL.
fn whole(path: &str) -> String {
    match path.strip_prefix(ORIGIN) {
        Some(path) => path.to_owned(),
        None if ["/scim/", "/v2/"].iter().any(|base| path.starts_with(base)) => path.to_owned(),
        None => format!("/scim/v2{path}"),
    }
}

fn compare(expected: &Value, found: &Value, at: &str) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(expected), _) if expected.keys().any(|key| is_special(key)) => {
            compare_specially(expected, found, at)
        }
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().try_for_each(|(name, expected)| {
                let at = format!("{at}/{name}");
                let found = found.get(name).ok_or_else(|| format!("{at} is missing"))?;
                compare(expected, found, &at)
            })
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let mut pairs = expected.iter().zip(found).enumerate();
            pairs.try_for_each(|(index, (expected, found))| {
                compare(expected, found, &format!("{at}/{index}"))
            })
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("{at} is {found}, not {expected}")),
    }
}

fn is_special(key: &str) -> bool {
    ["$any", "$not", "$holds", "$contains"].contains(&key)
}

fn compare_specially(expected: &Map<String, Value>, found: &Value, at: &str) -> Result<(), String> {
    for (key, wanted) in expected {
        let fits = match (key.as_str(), wanted, found) {
            ("$not", unwanted, found) => compare(unwanted, found, at).is_err(),
            ("$holds", Value::String(part), Value::String(text)) => text.contains(part.as_str()),
            ("$contains", Value::Array(wanted), Value::Array(found)) => wanted.iter().all(|one| {
                let is_it = |found| compare(one, found, at).is_ok();
                found.iter().any(is_it)
            }),
            (key, ..) => key == "$any",
        };
        if !fits {
            return Err(format!("{at} is {found}, not {key} {wanted}"));
        }
    }
    Ok(())
}

fn filled(text: &str, saved: &Saved) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

fn filled_in(value: &Value, saved: &Saved) -> Value {
    match value {
        Value::String(text) => filled(text, saved).into(),
        Value::Array(values) => values.iter().map(|value| filled_in(value, saved)).collect(),
        Value::Object(members) => {
            let pairs = members.iter();
            pairs
                .map(|(name, value)| (filled(name, saved), filled_in(value, saved)))
                .collect()
        }
        _ => value.clone(),
    }
}
