//! What is beside the protocols: the first page, the interactive documentation, the OpenAPI document, and
//! whether the service is well.

use std::fs;
use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, Request};
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use scim_lambda::http;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::Rules;
use scim_lambda::tenant::Permissions;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{ORIGIN, Server};

struct Raw {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The number of calls to the table that the answer took.
    fn calls(&self) -> &str {
        let timing = self.header("server-timing");
        let (_, rest) = timing.split_once("calls=").unwrap();
        rest.split(' ').next().unwrap()
    }
}

async fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> Raw {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Raw {
        status: parts.status.as_u16(),
        headers: parts.headers,
        bytes: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

async fn get(server: &Server, path: &str, headers: &[(&str, &str)]) -> Raw {
    send(server, "GET", path, headers).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

const BROWSER: (&str, &str) = (
    "accept",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
);

#[tokio::test]
async fn the_first_page_says_where_everything_is() {
    let server = Server::start().await;
    let answer = get(&server, "/", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.calls(), "0");
    assert_eq!(
        answer.json(),
        json!({"name": "scim-lambda", "version": env!("CARGO_PKG_VERSION"),
               "scim2": format!("{ORIGIN}/scim/v2"), "scim1": format!("{ORIGIN}/scim/v1"),
               "events": format!("{ORIGIN}/events"), "docs": format!("{ORIGIN}/docs"),
               "openapi": format!("{ORIGIN}/openapi.json")})
    );
    let page = get(&server, "/", &[BROWSER]).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("vary"), "accept");
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'; style-src 'sha256-")
    );
    assert!(page.text().contains(&format!("{ORIGIN}/scim/v2")));
    let refused = get(&server, "/", &[("accept", "application/xml")]).await;
    assert_eq!(refused.status, 406);
}

#[tokio::test]
async fn every_path_takes_get_and_head_only() {
    let server = Server::start().await;
    for path in ["/", "/docs", "/docs/init.js", "/openapi.json", "/healthz"] {
        let got = get(&server, path, &[]).await;
        let head = send(&server, "HEAD", path, &[]).await;
        assert_eq!((got.status, head.status), (200, 200), "{path}");
        assert_eq!(
            head.header("content-length"),
            got.bytes.len().to_string(),
            "{path}"
        );
        assert!(head.bytes.is_empty(), "{path}");
        assert_eq!(head.header("etag"), got.header("etag"), "{path}");
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let refused = send(&server, method, path, &[]).await;
            assert_eq!(refused.status, 405, "{method} {path}");
            assert_eq!(refused.header("allow"), "GET, HEAD", "{method} {path}");
            assert_eq!(refused.header("content-type"), "application/scim+json");
        }
    }
}

#[tokio::test]
async fn the_documentation_is_files_that_browsers_keep_and_ask_for() {
    let server = Server::start().await;
    let page = get(&server, "/docs", &[BROWSER]).await;
    assert_eq!(page.status, 200);
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                  connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    assert_eq!(page.header("content-security-policy"), policy);
    let by_name = get(&server, "/docs/index.html", &[BROWSER]).await;
    assert_eq!(by_name.status, 404);
    for (name, media_type) in [
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("init.js", "text/javascript; charset=utf-8"),
        ("favicon.svg", "image/svg+xml"),
    ] {
        assert!(page.text().contains(&format!("\"docs/{name}\"")), "{name}");
        let path = format!("/docs/{name}");
        let plain = get(&server, &path, &[]).await;
        assert_eq!(plain.header("content-type"), media_type);
        assert_eq!(plain.header("cache-control"), "public, no-cache");
        assert_eq!(plain.header("content-security-policy"), policy);
        assert_eq!(plain.calls(), "0");
        let packed = get(&server, &path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert_eq!(packed.header("vary"), "accept-encoding");
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed.bytes[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain.bytes, "{name}");
        let tag = plain.header("etag");
        let known = get(&server, &path, &[("if-none-match", tag)]).await;
        assert_eq!((known.status, known.bytes.len()), (304, 0), "{name}");
        assert_eq!(known.header("etag"), tag);
    }
    let elsewhere = get(&server, "/docs/", &[]).await;
    assert_eq!(
        (elsewhere.status, elsewhere.header("location")),
        (308, "../docs")
    );
    for path in [
        "/docs/LICENSE",
        "/docs/..%2Finit.js",
        "/docs/swagger-ui.css.gz",
        "/docs/a/b",
    ] {
        assert_eq!(get(&server, path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_document_for_everyone_needs_no_credential_and_no_call() {
    let server = Server::start().await;
    let first = get(&server, "/openapi.json", &[]).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("cache-control"), "public, max-age=300");
    assert_eq!(first.header("vary"), "authorization, accept-encoding");
    assert_eq!(first.calls(), "0");
    let document = first.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], json!([{"url": ORIGIN}]));
    assert!(document["paths"].get("/scim/v2/Users/{id}").is_some());
    let known = get(
        &server,
        "/openapi.json",
        &[("if-none-match", first.header("etag"))],
    )
    .await;
    assert_eq!(known.status, 304);
    let packed = get(&server, "/openapi.json", &[("accept-encoding", "gzip")]).await;
    assert!(packed.bytes.len() < 20_000, "{}", packed.bytes.len());
    assert_eq!(packed.header("etag"), first.header("etag"));
}

/// Gives the tenant of the server a resource type of its own.
async fn add_test_types(server: &Server) {
    let kept = |file: &str| -> Vec<Value> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance");
        let text = fs::read_to_string(format!("{folder}/{file}")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let provider = &server.stack.service().provider;
    let tenant = TenantId::parse("acme").unwrap();
    for schema in kept("test-resource-schemas.json") {
        provider.add_schema(&tenant, &schema).await.unwrap();
    }
    for resource_type in kept("test-resource-types.json") {
        provider
            .replace_resource_type(&tenant, &resource_type, &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn with_a_token_the_document_is_that_of_the_tenant() {
    let mut server = Server::start().await;
    add_test_types(&server).await;
    server.add_tenant("globex", &Rules::default()).await;
    let other = server.issue("globex", |_| {}).await;
    // The service has read the tenant before it had these types.
    server.router = http::router(server.stack.service());
    let of = |token: &str| bearer(token);
    let own = get(
        &server,
        "/openapi.json",
        &[("authorization", &of(&server.token))],
    )
    .await;
    assert_eq!(own.status, 200);
    assert_eq!(own.header("cache-control"), "private, no-cache");
    let document = own.json();
    assert!(
        document["paths"]
            .get("/scim/v2/TestResources/{id}")
            .is_some()
    );
    assert!(
        document["components"]["securitySchemes"]
            .get("basic")
            .is_none()
    );
    assert_eq!(document["servers"], json!([{"url": ORIGIN}]));
    let known = [
        ("authorization", of(&server.token)),
        ("if-none-match", own.header("etag").to_owned()),
    ];
    let known: Vec<_> = known
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    assert_eq!(get(&server, "/openapi.json", &known).await.status, 304);
    let others = get(&server, "/openapi.json", &[("authorization", &of(&other))]).await;
    assert!(
        others.json()["paths"]
            .get("/scim/v2/TestResources/{id}")
            .is_none()
    );
    let nobody = get(
        &server,
        "/openapi.json",
        &[("authorization", "Bearer nothing")],
    )
    .await;
    assert_eq!(nobody.status, 401);
    let everyone = get(&server, "/openapi.json", &[]).await;
    assert!(
        everyone.json()["paths"]
            .get("/scim/v2/TestResources/{id}")
            .is_none()
    );
}

#[tokio::test]
async fn what_is_switched_off_is_answered_like_a_path_that_leads_nowhere() {
    let server = Server::without_docs().await;
    let token = bearer(&server.token);
    for headers in [&[][..], &[("authorization", token.as_str())], &[BROWSER]] {
        let unknown = get(&server, "/nowhere", headers).await;
        assert_eq!(unknown.status, 404);
        for path in ["/docs", "/docs/", "/docs/init.js", "/openapi.json"] {
            let answer = get(&server, path, headers).await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.bytes, unknown.bytes, "{path}");
            let names = |raw: &Raw| raw.headers.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&answer), names(&unknown), "{path}");
        }
    }
    let unknown = send(&server, "POST", "/nowhere", &[]).await;
    let answer = send(&server, "POST", "/docs", &[]).await;
    assert_eq!(
        (answer.status, answer.bytes),
        (unknown.status, unknown.bytes)
    );
    let home = get(&server, "/", &[]).await.json();
    assert_eq!((home.get("docs"), home.get("openapi")), (None, None));
    assert_eq!(get(&server, "/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn health_is_answered_without_a_call_and_deeply_for_who_may_ask() {
    let server = Server::start().await;
    let well = get(&server, "/healthz", &[]).await;
    assert_eq!((well.status, well.text()), (200, r#"{"status":"ok"}"#));
    assert_eq!(well.header("cache-control"), "no-store");
    assert_eq!(well.calls(), "0");
    let shallow = get(
        &server,
        "/healthz?deep=0",
        &[("authorization", "Bearer nothing")],
    )
    .await;
    assert_eq!(shallow.status, 200);
    assert_eq!(get(&server, "/healthz?deep=yes", &[]).await.status, 400);
    assert_eq!(get(&server, "/healthz?deep=1", &[]).await.status, 401);
    let limited = |scope: &'static str| {
        server.issue("acme", move |new| {
            new.permissions = Permissions::of_credential([scope])
        })
    };
    let (reader, monitor) = (limited("users:read").await, limited("stack:health").await);
    let deep = async |token: &str| {
        let token = bearer(token);
        get(&server, "/healthz?deep=1", &[("authorization", &token)]).await
    };
    let refused = deep(&reader).await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("stack:health"),
        "{}",
        refused.text()
    );
    let well = deep(&monitor).await;
    assert_eq!(
        well.text(),
        r#"{"status":"ok","table":"ok","secrets":"ok"}"#
    );
    // The credential is still known, but its secret cannot be read any more.
    fs::remove_file(server.data.secrets_file()).unwrap();
    let failing = deep(&monitor).await;
    assert_eq!(failing.status, 503);
    assert_eq!(failing.header("retry-after"), "2");
    assert!(
        failing.text().contains("does not reach its secrets"),
        "{}",
        failing.text()
    );
}
