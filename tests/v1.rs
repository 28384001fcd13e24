//! SCIM 1.1 and the Ionic API beside SCIM 2.0: credentials, permissions, and one directory through
//! all views.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use scim_lambda::protocol::profile::{Profile, Rules, Switches};
use scim_lambda::protocol::schema::{
    Attribute, Kind, Mutability, Registry, ResourceType, Returned,
};
use scim_lambda::tenant::{CredentialKind, Issued, NewCredential, Permissions, TenantId};
use serde_json::{Map, Value, json};
use support::{Answer, Server};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

const V1: &str = "/scim/v1";
const IONIC: &str = "/v2/acme/scim";

impl Answer {
    #[track_caller]
    fn check_error_v1(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
        let media_type = "application/json; charset=utf-8";
        assert_eq!(self.header("content-type"), media_type);
        assert_eq!(self.json["Errors"][0]["code"], status.to_string());
        assert!(self.json["Errors"][0]["description"].is_string());
    }
}

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
    };
    let tenant = TenantId::parse(tenant).unwrap();
    let issuer = server.stack.issuer();
    issuer.create_credential(&tenant, new).await.unwrap()
}

async fn get(server: &Server, path: &str, headers: &[(&str, String)]) -> Answer {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    server.answer(request.body(Body::empty()).unwrap()).await
}

fn basic(user_name: &str, password: &str) -> [(&'static str, String); 1] {
    let text = STANDARD.encode(format!("{user_name}:{password}"));
    [("Authorization", format!("Basic {text}"))]
}

/// The headers of a GET that is signed so many seconds off the present.
fn signed(key: &Issued, key_id: &str, path: &str, seconds_off: i64) -> [(&'static str, String); 2] {
    let date = date(seconds_off);
    let authorization = sign(key, key_id, &format!("GET\n\n\n{date}\n{path}"));
    [("Authorization", authorization), ("Date", date)]
}

/// The time so many seconds off the present as a header has it.
fn date(seconds_off: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(now.as_secs()).unwrap() + seconds_off;
    let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    date.format(&Rfc2822).unwrap()
}

fn sign(key: &Issued, key_id: &str, message: &str) -> String {
    let secret = STANDARD.decode(&key.secret).unwrap();
    let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let signature = STANDARD.encode(hmac::sign(&secret, message.as_bytes()));
    format!("IONIC {key_id}:{signature}")
}

#[tokio::test]
async fn basic_and_mac_wait_for_their_switches() {
    let server = Server::start().await;
    let login = issue(&server, "acme", CredentialKind::Basic).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let key_id = key.user_name.clone().unwrap();
    for base in [V1, IONIC] {
        let path = format!("{base}/Users");
        let refused = get(&server, &path, &basic("sync@acme", &login.secret)).await;
        refused.check_error_v1(401);
        let signed_path = path.strip_prefix("/v2").unwrap_or(&path);
        let refused = get(&server, &path, &signed(&key, &key_id, signed_path, 0)).await;
        refused.check_error_v1(401);
    }
}

#[tokio::test]
async fn a_login_is_taken_on_every_base() {
    let server = Server::with_rules(&switched_on()).await;
    let login = issue(&server, "acme", CredentialKind::Basic).await;
    let secret = &login.secret;
    assert_eq!(login.user_name.as_deref(), Some("sync@acme"));
    let check = async |path: &str, user_name: &str, status: u16| {
        let answer = get(&server, path, &basic(user_name, secret)).await;
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
async fn a_signature_is_taken_for_fifteen_minutes_and_for_its_path() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let (named, bare) = (
        key.user_name.as_deref().unwrap(),
        key.credential.id.as_str(),
    );
    let check = async |path: &str, key_id: &str, signed_path: &str, off: i64, status: u16| {
        let answer = get(&server, path, &signed(&key, key_id, signed_path, off)).await;
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
    /// Another second for each request, since each signature is good once.
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
async fn a_signed_body_is_the_one_of_its_content_md5() {
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
    // What was refused for its body did not use the signature up.
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

#[tokio::test]
async fn a_query_and_an_overriding_method_are_signed() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    let created = CREATION.send(&server, &key).await;
    let one = format!("/Users/{}", created.json["id"].as_str().unwrap());
    let list = Signing {
        method: "GET",
        path: "/Users?count=1&startIndex=1",
        body: "",
        md5: None,
        signed_method: "GET",
        signed_path: "/Users?count=1&startIndex=1",
        ..CREATION
    };
    let check = async |request: Signing<'_>, seconds_off: i64, status: u16| {
        let request = Signing {
            seconds_off,
            ..request
        };
        let answer = request.send(&server, &key).await;
        assert_eq!(answer.status, status, "{} {}", seconds_off, answer.text);
    };
    check(list, 0, 200).await;
    let (unsigned, less) = ("/Users", "/Users?count=1");
    check(
        Signing {
            signed_path: unsigned,
            ..list
        },
        1,
        401,
    )
    .await;
    check(
        Signing {
            signed_path: less,
            ..list
        },
        2,
        401,
    )
    .await;
    check(
        Signing {
            path: unsigned,
            ..list
        },
        3,
        401,
    )
    .await;
    let delete = Signing {
        path: &one,
        signed_path: &one,
        overriding: Some("delete"),
        body: "",
        md5: Some(MD5_OF_NOTHING),
        ..CREATION
    };
    check(delete, 4, 401).await;
    check(
        Signing {
            signed_method: "PUT",
            ..delete
        },
        5,
        401,
    )
    .await;
    check(
        Signing {
            signed_method: "DELETE",
            ..delete
        },
        6,
        204,
    )
    .await;
}

#[tokio::test]
async fn a_signature_is_good_once_in_every_process() {
    let server = Server::with_rules(&switched_on()).await;
    let key = issue(&server, "acme", CredentialKind::Mac).await;
    assert_eq!(CREATION.send(&server, &key).await.status, 201);
    CREATION.send(&server, &key).await.check_error_v1(401);
    let path = "/v2/acme/scim/Users";
    let headers = signed(&key, key.credential.id.as_str(), "/acme/scim/Users", 0);
    assert_eq!(get(&server, path, &headers).await.status, 200);
    // Another process shares nothing with this one but the table and the secrets.
    let other = scim_lambda::http::router(server.stack.service().unwrap());
    let mut request = Request::builder().uri(path);
    for (name, value) in &headers {
        request = request.header(*name, value);
    }
    let request = request.body(Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(other, request).await.unwrap();
    assert_eq!(answer.status(), 401);
    // The same base64 with an end that says the same is no other signature.
    let [(_, authorization), date] = headers;
    let unpadded = authorization.trim_end_matches('=').to_owned();
    let again = get(&server, path, &[("Authorization", unpadded), date]).await;
    again.check_error_v1(401);
}

#[tokio::test]
async fn switches_that_were_stored_out_of_range_count_as_the_nearest_in_range() {
    let mut rules = Rules::default();
    rules.switches.max_count = 0;
    rules.switches.default_count = 0;
    rules.switches.inline_member_cap = 0;
    rules.switches.bulk_max_operations = u32::MAX;
    rules.switches.bulk_max_payload_size = u32::MAX;
    let server = Server::with_rules(&rules).await;
    let user = server
        .create("/scim/v2/Users", &json!({"userName": "ada"}))
        .await;
    let group = json!({"displayName": "Guides", "members": [{"value": user}]});
    let group = server.create("/scim/v2/Groups", &group).await;
    let list = server.send("GET", "/scim/v2/Users", None).await.json;
    assert_eq!(list["Resources"].as_array().map(Vec::len), Some(1));
    let group = server
        .send("GET", &format!("/scim/v2/Groups/{group}"), None)
        .await;
    assert_eq!(group.json["members"][0]["value"], user);
    let config = server
        .send("GET", "/scim/v2/ServiceProviderConfig", None)
        .await
        .json;
    assert_eq!(config["bulk"]["maxOperations"], 1_000);
    assert_eq!(config["bulk"]["maxPayloadSize"], 4_194_304);
    assert_eq!(config["filter"]["maxResults"], 1);
    let (acme, provider) = (
        TenantId::parse("acme").unwrap(),
        &server.stack.service().unwrap().provider,
    );
    let refused = provider.set_rules(&acme, &rules).await.unwrap_err();
    assert!(refused.detail().contains("takes 1 to "), "{refused}");
}

#[tokio::test]
async fn the_tenant_in_the_path_has_to_be_the_credentials() {
    let server = Server::start().await;
    server.add_tenant("other", &Rules::default()).await;
    let bearer = [("Authorization", format!("Bearer {}", server.token))];
    let mine = get(&server, "/v2/acme/scim/Users", &bearer).await;
    assert_eq!(mine.status, 200);
    let mut texts = Vec::new();
    for tenant in ["other", "nobody", "No_Tenant", "%20"] {
        let refused = get(&server, &format!("/v2/{tenant}/scim/Users"), &bearer).await;
        refused.check_error_v1(401);
        texts.push(refused.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
}

#[tokio::test]
async fn a_strict_profile_is_for_clients_of_2_0() {
    let rules = Rules {
        profile: Profile::Strict,
        ..Rules::default()
    };
    let server = Server::with_rules(&rules).await;
    let body = json!({"userName": "ada", "emails": ["a@example.com"], "unknown": 1});
    let refused = server.send("POST", "/scim/v2/Users", Some(&body)).await;
    assert_eq!(refused.status, 400);
    let id = server.create("/scim/v1/Users", &body).await;
    let path = format!("/scim/v1/Users/{id}");
    let patch = json!({"emails": [{"value": "a@example.com", "type": "work"}, "b@example.com"]});
    let patched = server.send("PATCH", &path, Some(&patch)).await;
    assert_eq!(patched.json["emails"][1]["value"], "b@example.com");
}

/// Sends a request and checks which permission it lacks, if one.
async fn check_permitted(server: &Server, method: &str, path: &str, body: Value, missing: &str) {
    let body = Some(body).filter(|body| !body.is_null());
    let answer = server.send(method, path, body.as_ref()).await;
    if missing.is_empty() {
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        return;
    }
    assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
    assert!(answer.text.contains(missing), "{path}: {}", answer.text);
    if !path.starts_with("/scim/v2") {
        answer.check_error_v1(403);
    }
}

#[tokio::test]
async fn a_role_decides_on_every_base() {
    let mut server = Server::start().await;
    let role = json!({"name": "Reader", "scopes": ["users:read", "users:create", "access:api"]});
    let role = server.create("/scim/v2/Roles", &role).await;
    let ada = json!({"userName": "ada"});
    let id = server.create("/scim/v2/Users", &ada).await;
    server.token = server.issue("acme", |new| new.role = Some(role)).await;
    for (number, base) in ["/scim/v2", V1, IONIC].into_iter().enumerate() {
        let new = json!({"userName": format!("user{number}")});
        for (method, path, body, missing) in [
            ("GET", format!("Users/{id}"), Value::Null, ""),
            ("POST", "Users".to_owned(), new.clone(), ""),
            ("GET", "Users".to_owned(), Value::Null, "users:list"),
            ("PUT", format!("Users/{id}"), new, "users:update"),
            ("PATCH", format!("Users/{id}"), json!({}), "users:update"),
            ("DELETE", format!("Users/{id}"), Value::Null, "users:delete"),
            ("GET", "Groups".to_owned(), Value::Null, "groups:list"),
            ("GET", "Scopes".to_owned(), Value::Null, "scopes:read"),
        ] {
            let path = format!("{base}/{path}");
            check_permitted(&server, method, &path, body, missing).await;
        }
    }
}

#[tokio::test]
async fn a_credential_has_its_own_permissions_beside_the_roles() {
    let mut server = Server::start().await;
    let role = json!({"name": "Reader", "scopes": ["users:read"]});
    let role = server.create("/scim/v2/Roles", &role).await;
    let both = |new: &mut NewCredential| {
        new.role = Some(role);
        new.permissions = Permissions::of_credential(["users:list"]);
    };
    let both = server.issue("acme", both).await;
    let of_no_role = server.issue("acme", |new| new.role = Some("gone".into()));
    let of_no_role = of_no_role.await;
    for base in ["/scim/v2", V1, IONIC] {
        let users = format!("{base}/Users");
        server.token.clone_from(&both);
        check_permitted(&server, "GET", &users, Value::Null, "").await;
        let one = format!("{users}/nobody");
        assert_eq!(server.send("GET", &one, None).await.status, 404);
        check_permitted(&server, "DELETE", &one, Value::Null, "users:delete").await;
        server.token.clone_from(&of_no_role);
        check_permitted(&server, "GET", &users, Value::Null, "access:api").await;
        let schemas = format!("{base}/Schemas");
        check_permitted(&server, "GET", &schemas, Value::Null, "access:api").await;
    }
}

#[tokio::test]
async fn a_role_out_of_use_permits_nothing() {
    let mut server = Server::start().await;
    let role = json!({"name": "Old", "scopes": ["users:list", "access:api"], "active": false});
    let role = server.create("/scim/v2/Roles", &role).await;
    server.token = server.issue("acme", |new| new.role = Some(role)).await;
    let refused = server.send("GET", "/scim/v2/Users", None).await;
    refused.check_error(403, None);
}

#[tokio::test]
async fn the_services_own_roles_cannot_be_changed() {
    let mut server = Server::start().await;
    let acme = TenantId::parse("acme").unwrap();
    let provider = &server.stack.service().unwrap().provider;
    let made = provider.add_own_roles(&acme).await.unwrap();
    let names: Vec<_> = made.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Administrator", "Provisioner", "Reader"]);
    assert_eq!(provider.add_own_roles(&acme).await.unwrap(), []);
    for base in ["/scim/v2", V1, IONIC] {
        let path = format!("{base}/Roles/{}", made[2].1);
        let role = server.send("GET", &path, None).await.json;
        assert_eq!(role["readOnly"], true);
        assert_eq!(role["id"], made[2].1);
        let found = format!("{base}/Roles?filter=id+eq+%22{}%22", made[2].1);
        let found = server.send("GET", &found, None).await.json;
        assert_eq!(found["totalResults"], 1, "{found}");
        let new = json!({"name": "Mine", "readOnly": false, "scopes": ["users:read"]});
        assert_eq!(server.send("PUT", &path, Some(&new)).await.status, 403);
        assert_eq!(server.send("DELETE", &path, None).await.status, 403);
        assert_eq!(server.send("GET", &path, None).await.json, role);
    }
    let operations = json!([{"op": "replace", "path": "name", "value": "Mine"}]);
    let patch = json!({ "Operations": operations });
    let path = format!("/scim/v2/Roles/{}", made[2].1);
    let refused = server.send("PATCH", &path, Some(&patch)).await;
    refused.check_error(403, None);
    let role = made[2].1.clone();
    server.token = server.issue("acme", |new| new.role = Some(role)).await;
    assert_eq!(server.send("GET", "/scim/v2/Users", None).await.status, 200);
    let user = json!({"userName": "ada"});
    let refused = server.send("POST", "/scim/v2/Users", Some(&user)).await;
    refused.check_error(403, None);
}

// --- one resource through all views ---------------------------------------------------------------

/// A resource with a value for every attribute that a client may write and read.
fn complete(resource_type: &ResourceType) -> Map<String, Value> {
    let mut body = Map::new();
    let mut schemas = vec![resource_type.schema.id.clone()];
    for attribute in &resource_type.schema.attributes {
        if !resource_type.is_detached(attribute) {
            body.extend(sample(attribute));
        }
    }
    body.insert("externalId".to_owned(), json!("external"));
    for extension in &resource_type.extensions {
        let attributes = extension.schema.attributes.iter();
        let container: Map<_, _> = attributes.filter_map(sample).collect();
        schemas.push(extension.schema.id.clone());
        body.insert(extension.schema.id.clone(), Value::Object(container));
    }
    body.insert("schemas".to_owned(), json!(schemas));
    body
}

fn sample(attribute: &Attribute) -> Option<(String, Value)> {
    let is_kept = attribute.returned != Returned::Never;
    if attribute.mutability == Mutability::ReadOnly || !is_kept || attribute.name() == "$ref" {
        return None;
    }
    let value = match attribute.kind {
        Kind::String => match attribute.canonical_values.first() {
            Some(value) => json!(value),
            None => json!(format!("a {}", attribute.name())),
        },
        Kind::Boolean => json!(true),
        Kind::Integer => json!(7),
        Kind::Decimal => json!(1.5),
        Kind::DateTime => json!("2011-05-13T04:42:34Z"),
        Kind::Binary => json!("aGVsbG8="),
        Kind::Reference => json!("https://example.com/one"),
        Kind::Complex => attribute.sub_attributes.iter().filter_map(sample).collect(),
    };
    let value = if attribute.multi_valued {
        json!([value])
    } else {
        value
    };
    Some((attribute.name().to_owned(), value))
}

/// What a resource is apart from where it is.
fn content(mut resource: Value) -> Value {
    let members = resource.as_object_mut().unwrap();
    members.remove("id");
    members.remove("meta");
    drop_references(&mut resource);
    resource
}

fn drop_references(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(drop_references),
        Value::Object(members) => {
            members.remove("$ref");
            members.values_mut().for_each(drop_references);
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_attribute_is_the_same_through_every_view() {
    let mut server = Server::start().await;
    let token = server.token.clone();
    for (dialect, base) in [("v1", V1), ("ionic", "/v2/TENANT/scim")] {
        for resource_type in Registry::builtin().resource_types() {
            server.token.clone_from(&token);
            let other = format!("{dialect}-{}", resource_type.name.to_lowercase());
            server.add_tenant(&other, &Rules::default()).await;
            let endpoint = &resource_type.endpoint;
            let body = Value::Object(complete(resource_type));
            let new = format!("/scim/v2/{endpoint}");
            let id = server.create(&new, &body).await;
            let written = server.send("GET", &format!("{new}/{id}"), None).await.json;
            let written = content(written);
            assert_eq!(written, body, "{endpoint} as 2.0 reads it");

            let path = format!("{}/{endpoint}", base.replace("TENANT", "acme"));
            let read = server.send("GET", &format!("{path}/{id}"), None).await.json;
            let read = content(read);
            let gone = server.send("DELETE", &format!("{new}/{id}"), None).await;
            assert_eq!(gone.status, 204);

            server.token = server.issue(&other, |_| {}).await;
            let path = format!("{}/{endpoint}", base.replace("TENANT", &other));
            let id = if dialect == "ionic" && endpoint == "Devices" {
                // Devices are not made here; a PUT writes every attribute all the same.
                let id = server.create(&new, &json!({"name": "first"})).await;
                let put = server
                    .send("PUT", &format!("{path}/{id}"), Some(&read))
                    .await;
                assert_eq!(put.status, 200, "{}", put.text);
                id
            } else {
                server.create(&path, &read).await
            };
            let again = server.send("GET", &format!("{path}/{id}"), None).await.json;
            assert_eq!(content(again), read, "{endpoint} as {dialect} reads it");
            let found = server.send("GET", &format!("{new}/{id}"), None).await.json;
            assert_eq!(content(found), body, "{endpoint} written by {dialect}");
        }
    }
}

#[tokio::test]
async fn members_are_the_same_through_every_view() {
    let server = Server::start().await;
    let user = server
        .create("/scim/v1/Users", &json!({"userName": "ada"}))
        .await;
    let group = json!({"displayName": "G", "members": [{"value": user}]});
    let id = server.create(&format!("{IONIC}/Groups"), &group).await;
    for (base, kind) in [("/scim/v2", "User"), (V1, "User"), (IONIC, "user")] {
        let group = server
            .send("GET", &format!("{base}/Groups/{id}"), None)
            .await
            .json;
        let expected = json!({"value": user, "type": kind, "display": "ada"});
        let mut member = group["members"][0].clone();
        member.as_object_mut().unwrap().remove("$ref");
        assert_eq!(member, expected, "{base}");
        let user = server
            .send("GET", &format!("{base}/Users/{user}"), None)
            .await
            .json;
        assert_eq!(user["groups"][0]["value"], json!(id), "{base}");
    }
}
