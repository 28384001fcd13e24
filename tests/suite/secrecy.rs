//! Data that must not appear anywhere: passwords in the table, values of clients in the log (RFC 7643
//! §4.1.1, §9.2; RFC 7644 §7.5.2).

use std::cell::RefCell;
use std::io;
use std::sync::Once;
use std::time::Duration;

use axum::body::Body;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::{Passwords, Rules, Switches};
use scim_lambda::protocol::schema::Registry;
use scim_lambda::store::{Meter, Stored};
use serde_json::{Value, json};
use tracing::Level;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::support::{Server, cause};

const USERS: &str = "/scim/v2/Users";
const PASSWORD: &str = "t1meMa$heen";

fn user() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "bjensen@example.com",
        "nickName": "Babs",
        "password": PASSWORD,
    })
}

/// The user as the table holds it after a POST and a PUT that both bring a password.
async fn stored(passwords: Passwords) -> Stored {
    let rules = Rules {
        switches: Switches {
            passwords,
            ..Switches::default()
        },
        ..Rules::default()
    };
    let server = Server::with_rules(&rules).await;
    let id = server.create(USERS, &user()).await;
    let one = format!("{USERS}/{id}");
    let put = server.send("PUT", &one, Some(&user())).await;
    assert_eq!(put.status, 200);
    let tenant = TenantId::parse("acme").unwrap();
    let wait = Duration::from_secs(10);
    let store = server
        .stack
        .store
        .for_tenant(&tenant, cause(), Meter::default(), wait);
    let users = Registry::builtin().resource_type("User").unwrap();
    store.resources().get(users, &id).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_kept_password_is_a_hash() {
    let stored = stored(Passwords::Hash).await;
    assert!(stored.password.unwrap().starts_with("$argon2id$"));
    assert!(!stored.body.contains("password"), "{}", stored.body);
}

#[tokio::test]
async fn a_discarded_password_leaves_no_trace() {
    let stored = stored(Passwords::Discard).await;
    assert_eq!(stored.password, None);
    assert!(!stored.body.contains("password"), "{}", stored.body);
}

thread_local! {
    /// The lines that this thread has logged since it first asked for them. Each test has its own
    /// thread, and the service runs on it.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Writes to the log of the thread that logs.
struct ThreadLog;

impl io::Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| {
            if let Some(log) = log {
                log.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps the lines that this thread logs from now on.
///
/// The whole process has one subscriber, because `tracing` remembers for each log statement of the code
/// whether it is enabled. With a subscriber for each thread, one thread could disable it for the others.
pub(crate) fn keep_log() {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        let kept = dynamic_filter_fn(|metadata, _| {
            *metadata.level() <= Level::DEBUG && LOG.with_borrow(Option::is_some)
        });
        let lines = fmt::layer().json().with_writer(|| ThreadLog);
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(kept));
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    LOG.set(Some(Vec::new()));
}

/// What this thread has logged since [`keep_log`].
pub(crate) fn logged() -> String {
    LOG.with_borrow(|log| String::from_utf8(log.clone().unwrap()).unwrap())
}

/// Tolerances in headers and paths are recorded like those in a body.
#[tokio::test]
async fn the_log_line_of_a_request_names_the_used_tolerances() {
    keep_log();
    let server = Server::start().await;
    let mut number = 0;
    let mut check =
        async |method: &str, path: &str, headers: &[(&str, &str)], body: Value, noted: &str| {
            number += 1;
            let id = format!("tolerances-{number}");
            let mut request = server.request(method, path).header("X-Request-Id", &id);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::from(body.to_string())).unwrap();
            let answer = server.answer(request).await;
            assert!(answer.status < 300, "{path}: {}", answer.text);
            let text = logged();
            let lines = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            let mut of_it = lines.filter(|line| line["span"]["request.client_id"] == id.as_str());
            let closing = of_it
                .find(|line| line["fields"]["duration_ms"].is_number())
                .unwrap();
            let found = closing["span"]["tolerances"].as_str().unwrap_or_default();
            assert_eq!(found, noted, "{method} {path}");
        };
    let ionic = "/v2/acme/scim";
    let named = |name: &str| json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name});
    check("POST", USERS, &[], named("a"), "").await;
    check("GET", "/scim/v2/users", &[], json!({}), "endpointCase").await;
    check("GET", "/scim/v2/schemas", &[], json!({}), "endpointCase").await;
    let text = [("Content-Type", "text/plain; charset=ISO-8859-1")];
    check("POST", USERS, &text, named("b"), "contentCharset,textPlain").await;
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/users", "bulkId": "c", "data": named("c")}],
    });
    check("POST", "/scim/v2/Bulk", &[], bulk, "endpointCase").await;
    let users = format!("{ionic}/Users");
    let body = json!({"schemas": ["urn:scim:schemas:core:1.0"], "externalId": "d"});
    check("POST", &users, &[], body, "derivedUserName").await;
    let enabled = format!("{users}?enabled=true");
    check("GET", &enabled, &[], json!({}), "enabledByDefault").await;
}

/// The closing log line of the request with this name.
fn closing_line(name: &str) -> Value {
    let text = logged();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of_it = lines.filter(|line| line["span"]["request.client_id"] == name);
    of_it
        .find(|line| line["fields"]["duration_ms"].is_number())
        .unwrap()
}

#[tokio::test]
async fn the_log_line_of_a_write_names_the_resource_and_the_credential() {
    keep_log();
    let server = Server::start().await;
    let credential = server.token.split('_').nth(2).unwrap();
    let send = async |name: &str, method: &str, path: &str, body: Value| {
        let request = server.request(method, path).header("X-Request-Id", name);
        let request = request.header("Content-Type", "application/scim+json");
        let body = Body::from(body.to_string());
        let answer = server.answer(request.body(body).unwrap()).await;
        let line = closing_line(name);
        assert_eq!(line["span"]["credential.id"], credential, "{line}");
        assert_eq!(line["fields"]["status"], answer.status, "{line}");
        (answer, line["span"]["resource.id"].clone())
    };
    let bases = [USERS, "/scim/v1/Users", "/v2/acme/scim/Users"];
    for (number, base) in bases.into_iter().enumerate() {
        let name = |verb: &str| format!("{verb}{number}");
        let body = json!({"userName": name("user"), "schemas": ["urn:scim:schemas:core:1.0"]});
        let body = match base {
            USERS => json!({"userName": name("user")}),
            _ => body,
        };
        let (made, id) = send(&name("post"), "POST", base, body.clone()).await;
        assert_eq!((made.status, &made.json["id"]), (201, &id), "{base}");
        let path = format!("{base}/{}", id.as_str().unwrap());
        for (method, body) in [("GET", json!({})), ("PUT", body), ("DELETE", json!({}))] {
            let (_, named) = send(&name(method), method, &path, body).await;
            assert_eq!(named, id, "{method} {path}");
        }
        // A refused write names the resource too.
        let (gone, named) = send(&name("again"), "DELETE", &path, json!({})).await;
        assert_eq!((gone.status, named), (404, id), "{path}");
        // Text that cannot be an id is not logged, because it may be any value of a client.
        let path = format!("{base}/bjensen");
        let (missing, named) = send(&name("other"), "DELETE", &path, json!({})).await;
        assert_eq!((missing.status, named), (404, Value::Null), "{path}");
    }

    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "a"}},
            {"method": "DELETE", "path": "/Users/bjensen"},
        ],
    });
    let (answer, named) = send("bulk", "POST", "/scim/v2/Bulk", bulk).await;
    assert_eq!(named, Value::Null);
    let made = answer.json["Operations"][0]["location"].as_str().unwrap();
    let text = logged();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let operations: Vec<Value> = lines
        .filter(|line| line["fields"]["operation.status"].is_number())
        .collect();
    let [line] = operations.as_slice() else {
        panic!("one operation was carried out: {operations:?}");
    };
    let id = line["fields"]["resource.id"].as_str().unwrap();
    assert!(made.ends_with(id), "{made}: {line}");
    assert_eq!(line["span"]["request.client_id"], "bulk");
    assert_eq!(line["span"]["credential.id"], credential);
    assert!(!text.contains("bjensen"));
}

#[tokio::test]
async fn no_log_line_holds_values_of_a_client() {
    keep_log();
    let server = Server::start().await;
    let id = server.create(USERS, &user()).await;
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "nickName", "value": ["Babs", "B"]}],
    });
    let one = format!("{USERS}/{id}");
    let statuses = [
        server.send("POST", USERS, Some(&user())).await.status,
        server.send("PATCH", &one, Some(&patch)).await.status,
        server
            .send(
                "GET",
                &format!("{USERS}?filter=nickName%20eq%20%22Babs%22"),
                None,
            )
            .await
            .status,
        server
            .send(
                "GET",
                &format!("{USERS}?filter=userName%20xx%20%22bjensen%22"),
                None,
            )
            .await
            .status,
        server
            .send("GET", "/scim/v2/bjensen/Babs", None)
            .await
            .status,
        server
            .send("GET", "/events?after=bjensen&types=Babs", None)
            .await
            .status,
    ];
    assert_eq!(statuses, [409, 400, 200, 400, 404, 400]);
    let text = logged();
    assert!(text.contains("answered 409"), "{text}");
    // The log says how a query is answered, without its values.
    assert!(text.contains(r#""plan":"User: all filter""#), "{text}");
    for sent in [PASSWORD, "bjensen", "Babs", "xx", server.token.as_str()] {
        let line = text.lines().find(|line| line.contains(sent));
        assert_eq!(line, None, "{sent}");
    }
}
