//! Exchanges kept as data: what a client sends, and what it must get.
//!
//! Each file below `tests/exchanges/` is one exchange:
//! ```json
//! {"name": "…",
//!  "given": [{"method": "POST", "path": "/Users", "body": {}, "save": {"ada": "/id"}}],
//!  "request": {"method": "GET", "path": "/Users/{{ada}}", "headers": {}},
//!  "expect": {"status": 200, "headers": {"ETag": "*"}, "body": {}, "absent": ["/password"]},
//!  "then": [{"request": {}, "expect": {}}]}
//! ```
//! `given` must succeed. `save` keeps values of an answer under names, `{{name}}` puts them in;
//! `{{base}}` is the base URL. A `body` that is expected names the members that must be there;
//! arrays must be equal in length and order, and `{"$any": true}` stands for anything. A header of
//! `*` may be anything, and null must be absent.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use serde::Deserialize;
use serde_json::Value;
use support::{Answer, BASE, Server};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    name: String,
    #[serde(default)]
    given: Vec<Request>,
    request: Request,
    expect: Expectation,
    #[serde(default)]
    then: Vec<Step>,
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
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
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

/// What earlier answers of the exchange said.
type Saved = BTreeMap<String, String>;

#[tokio::test]
async fn every_exchange_goes_as_written() {
    let mut files = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exchanges"),
        &mut files,
    );
    files.sort();
    let mut failures = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let exchange: Exchange = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if let Err(reason) = play(&exchange).await {
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

/// Plays one exchange against a service of its own.
async fn play(exchange: &Exchange) -> Result<(), String> {
    let server = Server::start().await;
    let mut saved = Saved::from([("base".to_owned(), BASE.to_owned())]);
    for request in &exchange.given {
        let answer = send(&server, request, &mut saved).await;
        if answer.status >= 300 {
            return Err(format!(
                "given {}: {} {}",
                request.path, answer.status, answer.text
            ));
        }
    }
    let answer = send(&server, &exchange.request, &mut saved).await;
    exchange.expect.check(&answer, &saved)?;
    for (number, step) in exchange.then.iter().enumerate() {
        let answer = send(&server, &step.request, &mut saved).await;
        let checked = step.expect.check(&answer, &saved);
        checked.map_err(|reason| format!("then {}: {reason}", number + 1))?;
    }
    Ok(())
}

async fn send(server: &Server, request: &Request, saved: &mut Saved) -> Answer {
    // Paths are written as people read them.
    let path = filled(&request.path, saved)
        .replace(' ', "%20")
        .replace('"', "%22");
    let mut http = server.request(&request.method, &format!("/scim/v2{path}"));
    for (name, value) in &request.headers {
        http = http.header(name, filled(value, saved));
    }
    let body = request
        .body
        .as_ref()
        .map(|body| filled_in(body, saved).to_string());
    let body = body.map_or_else(Body::empty, Body::from);
    let answer = server.answer(http.body(body).unwrap()).await;
    for (name, pointer) in &request.save {
        let value = answer.json.pointer(pointer).and_then(Value::as_str);
        saved.insert(name.clone(), value.unwrap_or_default().to_owned());
    }
    answer
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

fn compare(expected: &Value, found: &Value, at: &str) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(expected), _) if expected.contains_key("$any") => Ok(()),
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
