//! Credentials other than bearer tokens: HTTP Basic, and signed requests.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ring::hmac;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::{Rules, Switches};
use scim_lambda::tenant::{CredentialKind, Issued, NewCredential, Permissions};
use serde_json::json;

use crate::support::{Answer, Server};

const V1: &str = "/scim/v1";
const IONIC: &str = "/v2/acme/scim";

fn switched_on() -> Rules {
    let switches = Switches {
        basic: true,
        mac: true,
        ..Switches::default()
    };
    Rules {
        switches,
        ..Rules::default()
    }
}

async fn issue(server: &Server, tenant: &str, kind: CredentialKind) -> Issued {
    let new = NewCredential {
        kind,
        label: "sync".to_owned(),
        lifetime_seconds: None,
        permissions: Permissions::All,
        role: None,
        user: None,
        jwks: None,
    };
    let tenant = TenantId::parse(tenant).unwrap();
    let issuer = server.stack.issuer();
    issuer.create_credential(&tenant, new).await.unwrap()
}

fn basic(user_name: &str, password: &str) -> [(&'static str, String); 1] {
    let text = STANDARD.encode(format!("{user_name}:{password}"));
    [("Authorization", format!("Basic {text}"))]
}

/// The headers of a GET that is signed this many seconds from now.
fn signed(key: &Issued, key_id: &str, path: &str, seconds_off: i64) -> [(&'static str, String); 2] {
    let date = date(seconds_off);
    let authorization = sign(key, key_id, &format!("GET\n\n\n{date}\n{path}"));
    [("Authorization", authorization), ("Date", date)]
}

/// The time this many seconds from now, as a header has it.
fn date(seconds_off: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(now.as_secs()).unwrap() + seconds_off;
    let date = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap();
    date.to_rfc2822()
}

fn sign(key: &Issued, key_id: &str, message: &str) -> String {
    let secret = STANDARD.decode(&key.secret).unwrap();
    let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let signature = STANDARD.encode(hmac::sign(&secret, message.as_bytes()));
    format!("IONIC {key_id}:{signature}")
}

#[tokio::test]
async fn basic_and_mac_need_their_switches() {
    let server = Server::start().await;
    let login = issue(&server, "acme", CredentialKind::Basic).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let key_id = key.user_name.clone().unwrap();
    for base in [V1, IONIC] {
        let path = format!("{base}/Users");
        let refused = server.get(&path, &basic("sync@acme", &login.secret)).await;
        refused.check_error_v1(401);
        let signed_path = path.strip_prefix("/v2").unwrap_or(&path);
        let refused = server
            .get(&path, &signed(&key, &key_id, signed_path, 0))
            .await;
        refused.check_error_v1(401);
    }
}

#[tokio::test]
async fn a_basic_credential_works_on_every_base() {
    let server = Server::with_rules(&switched_on()).await;
    let login = issue(&server, "acme", CredentialKind::Basic).await;
    let secret = &login.secret;
    assert_eq!(login.user_name.as_deref(), Some("sync@acme"));
    let check = async |path: &str, user_name: &str, status: u16| {
        let answer = server.get(path, &basic(user_name, secret)).await;
        assert_eq!(answer.status, status, "{path} {user_name}");
    };
    check("/scim/v1/Users", "sync@acme", 200).await;
    check("/scim/v2/Users", "sync@acme", 200).await;
    check("/v2/acme/scim/Users", "sync", 200).await;
    check("/v2/acme/scim/Users", "sync@acme", 200).await;
    check("/v2/acme/scim/Users", "other", 401).await;
    check("/v2/other/scim/Users", "sync", 401).await;
}

#[tokio::test]
async fn with_basic_credentials_a_body_needs_a_json_type() {
    let server = Server::with_rules(&switched_on()).await;
    let login = issue(&server, "acme", CredentialKind::Basic).await;
    let [(_, login)] = basic("sync@acme", &login.secret);
    let bearer = format!("Bearer {}", server.token);
    let check = async |authorization: &str, media_type: Option<&str>, name: &str, status: u16| {
        for base in ["/scim/v2", V1, IONIC] {
            let mut request = Request::builder()
                .method("POST")
                .uri(format!("{base}/Users"))
                .header("Authorization", authorization);
            if let Some(media_type) = media_type {
                request = request.header("Content-Type", media_type);
            }
            let user = json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                "userName": format!("{name}{}", base.replace('/', "-")),
            });
            let request = request.body(Body::from(user.to_string())).unwrap();
            let answer = server.answer(request).await;
            let case = format!("{base} {media_type:?} {}", answer.text);
            assert_eq!(answer.status, status, "{case}");
        }
    };
    check(&login, Some("application/json"), "a", 201).await;
    check(
        &login,
        Some("application/scim+json; charset=latin1"),
        "b",
        201,
    )
    .await;
    check(&login, Some("text/plain"), "c", 415).await;
    check(&login, Some("text/plain;charset=UTF-8"), "c", 415).await;
    check(&login, None, "c", 415).await;
    check(&bearer, Some("text/plain"), "d", 201).await;
    check(&bearer, None, "e", 201).await;
}

#[tokio::test]
async fn a_signature_is_valid_for_fifteen_minutes_and_its_path() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let (named, bare) = (
        key.user_name.as_deref().unwrap(),
        key.credential.id.as_str(),
    );
    let check = async |path: &str, key_id: &str, signed_path: &str, off: i64, status: u16| {
        let answer = server
            .get(path, &signed(&key, key_id, signed_path, off))
            .await;
        assert_eq!(answer.status, status, "{path} {key_id} {off}");
    };
    let users = "/v2/acme/scim/Users";
    check(users, bare, "/acme/scim/Users", 0, 200).await;
    check(users, named, "/acme/scim/Users", -890, 200).await;
    check(users, bare, "/acme/scim/Users", -920, 401).await;
    check(users, bare, "/acme/scim/Users", 920, 401).await;
    check(users, bare, "/acme/scim/Groups", 0, 401).await;
    check("/scim/v1/Users", named, "/scim/v1/Users", 0, 200).await;
    check("/scim/v1/Users", bare, "/scim/v1/Users", 0, 401).await;
}

/// A request below the Ionic base, and the form in which it is signed.
#[derive(Clone, Copy)]
struct Signing<'s> {
    method: &'s str,
    /// With its query.
    path: &'s str,
    body: &'s str,
    /// The value of `Content-MD5`, if it is sent.
    md5: Option<&'s str>,
    /// The value of `X-HTTP-Method-Override`, if it is sent.
    overriding: Option<&'s str>,
    signed_method: &'s str,
    signed_path: &'s str,
    /// Another second for each request, because each signature is valid once.
    seconds_off: i64,
}

impl Signing<'_> {
    async fn send(&self, server: &Server, key: &Issued) -> Answer {
        let date = date(self.seconds_off);
        let md5 = self.md5.unwrap_or_default();
        let (method, path) = (self.signed_method, self.signed_path);
        let message = format!("{method}\n{md5}\napplication/json\n{date}\n/acme/scim{path}");
        let key_id = key.credential.id.as_str();
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("{IONIC}{}", self.path))
            .header("Authorization", sign(key, key_id, &message))
            .header("Content-Type", "application/json")
            .header("Date", date);
        if let Some(md5) = self.md5 {
            request = request.header("Content-MD5", md5);
        }
        if let Some(overriding) = self.overriding {
            request = request.header("X-HTTP-Method-Override", overriding);
        }
        let body = Body::from(self.body.to_owned());
        server.answer(request.body(body).unwrap()).await
    }
}

const ADA: &str = r#"{"userName":"ada"}"#;
const MD5_OF_ADA: &str = "pQp4SwrBaoL8v0quJSn/og==";
const MD5_OF_NOTHING: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

const CREATION: Signing<'static> = Signing {
    method: "POST",
    path: "/Users",
    body: ADA,
    md5: Some(MD5_OF_ADA),
    overriding: None,
    signed_method: "POST",
    signed_path: "/Users",
    seconds_off: 0,
};

#[tokio::test]
async fn a_signed_body_must_have_its_content_md5() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    for (seconds_off, body, md5) in [
        (1, r#"{"userName":"eve"}"#, Some(MD5_OF_ADA)),
        (2, ADA, None),
        (3, ADA, Some(MD5_OF_NOTHING)),
        (4, "", Some(MD5_OF_ADA)),
        (5, ADA, Some("")),
    ] {
        let refused = Signing {
            body,
            md5,
            seconds_off,
            ..CREATION
        };
        refused.send(&server, &key).await.check_error_v1(401);
    }
    assert_eq!(
        server.send("GET", "/scim/v2/Users", None).await.json["totalResults"],
        0
    );
    // The requests that were refused for their body did not use the signature up.
    let good = Signing {
        seconds_off: 1,
        ..CREATION
    };
    assert_eq!(good.send(&server, &key).await.status, 201);
    let long = " ".repeat(5 * 1024 * 1024);
    let too_long = Signing {
        body: &long,
        seconds_off: 6,
        ..CREATION
    };
    too_long.send(&server, &key).await.check_error_v1(413);
}

/// Sends requests, each with a `Date` of its own, and compares their statuses.
async fn check_all(server: &Server, key: &Issued, requests: &[(Signing<'_>, u16)]) {
    for (seconds_off, (request, status)) in (0..).zip(requests) {
        let request = Signing {
            seconds_off,
            ..*request
        };
        let answer = request.send(server, key).await;
        assert_eq!(answer.status, *status, "{seconds_off}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_query_is_signed() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let (bare, whole) = ("/Users", "/Users?count=1&startIndex=1");
    let list = |path, signed_path| Signing {
        method: "GET",
        path,
        body: "",
        md5: None,
        signed_method: "GET",
        signed_path,
        ..CREATION
    };
    let requests = [
        (list(whole, whole), 200),
        (list(bare, bare), 200),
        (list(whole, bare), 401),
        (list(bare, whole), 401),
        (list(whole, "/Users?startIndex=1&count=1"), 401),
        (list(whole, "/Users?count=1"), 401),
        (list("/Users?", bare), 401),
    ];
    check_all(&server, &key, &requests).await;
}

#[tokio::test]
async fn an_overriding_method_is_signed() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let created = CREATION.send(&server, &key).await;
    let one = format!("/Users/{}", created.json["id"].as_str().unwrap());
    let delete = |signed_method| Signing {
        path: &one,
        signed_path: &one,
        overriding: Some("delete"),
        body: "",
        md5: Some(MD5_OF_NOTHING),
        signed_method,
        ..CREATION
    };
    let requests = [
        (delete("POST"), 401),
        (delete("delete"), 401),
        (delete("PUT"), 401),
        (delete("DELETE"), 204),
    ];
    check_all(&server, &key, &requests).await;
}

#[tokio::test]
async fn a_signature_is_valid_once_over_all_processes() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    assert_eq!(CREATION.send(&server, &key).await.status, 201);
    CREATION.send(&server, &key).await.check_error_v1(401);
    let path = "/v2/acme/scim/Users";
    let headers = signed(&key, key.credential.id.as_str(), "/acme/scim/Users", 0);
    let taken = server.get(path, &headers).await;
    assert_eq!(taken.status, 200);
    // It costs one write unit to remember it.
    let timing = taken.header("server-timing");
    assert!(timing.contains("wru=1"), "{timing}");
    // The other process shares only the table and the secrets with this one.
    let other = scim_lambda::http::router(server.stack.service());
    let mut request = Request::builder().uri(path);
    for (name, value) in &headers {
        request = request.header(*name, value);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(other, request).await.unwrap();
    assert_eq!(answer.status(), 401);
    // The same base64 with another ending of the same meaning is the same signature.
    let [(_, authorization), date] = headers;
    let unpadded = authorization.trim_end_matches('=').to_owned();
    let again = server.get(path, &[("Authorization", unpadded), date]).await;
    again.check_error_v1(401);
}
