//! OAuth clients: how they get access tokens, and what they can do with them.

pub(crate) mod keys;

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use scim_lambda::http::{self, RefusedRequest};
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::Error;
use scim_lambda::tenant::{CredentialKind, Issued, Jwks, NewCredential, Permissions};
use serde_json::{Value, json};

use crate::support::{Answer, ORIGIN, Server, bearer};
use keys::{Key, now};

const TOKEN: &str = "/oauth/token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const UNKNOWN: &str = "The client is not known, or its secret or assertion is not valid";

/// A client with a secret.
pub(crate) async fn client(server: &Server, change: impl FnOnce(&mut NewCredential)) -> Issued {
    let mut new = NewCredential {
        kind: CredentialKind::OAuth,
        label: "entra".to_owned(),
        ..bearer()
    };
    change(&mut new);
    let acme = TenantId::parse("acme").unwrap();
    let issued = server.stack.issuer().create_credential(&acme, new).await;
    server.next_millisecond().await;
    issued.unwrap()
}

/// A client that signs assertions with one of these keys.
pub(crate) async fn signing_client(server: &Server, keys: &[Value]) -> Issued {
    let jwks = Jwks::of(&json!({"keys": keys})).unwrap();
    let change = |new: &mut NewCredential| {
        new.kind = CredentialKind::OAuthJwt;
        new.jwks = Some(jwks);
    };
    client(server, change).await
}

pub(crate) fn id(client: &Issued) -> &str {
    client.user_name.as_deref().unwrap()
}

/// A token request with these parameters.
async fn ask(server: &Server, parameters: &[(&str, &str)]) -> Answer {
    ask_with(server, parameters, None).await
}

async fn ask_with(
    server: &Server,
    parameters: &[(&str, &str)],
    authorization: Option<String>,
) -> Answer {
    let encode = |text: &str| {
        let all = percent_encoding::NON_ALPHANUMERIC;
        percent_encoding::utf8_percent_encode(text, all).to_string()
    };
    let pairs = parameters.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", encode(value)));
    let form: Vec<String> = pairs.collect();
    ask_raw(server, &form.join("&"), authorization).await
}

async fn ask_raw(server: &Server, form: &str, authorization: Option<String>) -> Answer {
    let mut request = Request::builder()
        .method("POST")
        .uri(TOKEN)
        .header("Content-Type", "application/x-www-form-urlencoded");
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    let request = request.body(Body::from(form.to_owned())).unwrap();
    server.answer(request).await
}

/// The access token of a client with a secret.
async fn access(server: &Server, client: &Issued, scope: &str) -> String {
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_id", id(client)),
        ("client_secret", &client.secret),
        ("scope", scope),
    ];
    let answer = ask(server, &parameters).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["access_token"].as_str().unwrap().to_owned()
}

async fn get(server: &Server, path: &str, token: &str) -> Answer {
    let authorization = [("Authorization", format!("Bearer {token}"))];
    server.get(path, &authorization).await
}

#[track_caller]
fn check_error(answer: &Answer, status: u16, code: &str, detail: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.json["error"], code, "{}", answer.text);
    let description = answer.json["error_description"].as_str().unwrap();
    assert!(description.contains(detail), "{description} for {detail}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let challenge = answer.header("www-authenticate");
    assert_eq!(
        challenge == "Basic realm=\"scim\"",
        status == 401,
        "{challenge}"
    );
}

/// The claims of an assertion that holds.
pub(crate) fn claims(client: &Issued, jti: &str) -> Value {
    json!({
        "iss": id(client), "sub": id(client), "aud": format!("{ORIGIN}{TOKEN}"),
        "exp": now() + 300, "iat": now(), "jti": jti,
    })
}

fn header(key: &Key, kid: &str) -> Value {
    json!({"alg": key.algorithm(), "typ": "JWT", "kid": kid})
}

async fn assert_with(server: &Server, assertion: &str) -> Answer {
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    ask(server, &parameters).await
}

#[tokio::test]
async fn a_client_with_a_secret_gets_a_token_and_provisions() {
    let mut server = Server::start().await;
    let client = client(&server, |_| {}).await;
    let grant = [("grant_type", "client_credentials")];
    let in_header = |id: &str, secret: &str| {
        let pair = STANDARD.encode(format!("{id}:{secret}"));
        Some(format!("Basic {pair}"))
    };
    let encoded = |text: &str| text.replace('.', "%2E").replace('_', "%5f");
    let posted = [
        grant[0],
        ("client_id", id(&client)),
        ("client_secret", client.secret.as_str()),
    ];
    let plain = in_header(id(&client), &client.secret);
    let strict = in_header(&encoded(id(&client)), &encoded(&client.secret));
    let answers = [
        ask(&server, &posted).await,
        ask_with(&server, &grant, plain.clone()).await,
        ask_with(&server, &grant, strict).await,
        ask_with(&server, &[grant[0], posted[1]], plain.clone()).await,
        ask_with(&server, &posted, plain).await,
    ];
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json["token_type"], "Bearer");
        assert_eq!(answer.json["expires_in"], 3600);
        assert_eq!(answer.json.get("scope"), None);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("pragma"), "no-cache");
        assert_eq!(answer.header("content-type"), "application/json");
    }
    let token = answers[0].json["access_token"].as_str().unwrap();
    assert!(token.starts_with("scimat_"), "{token}");
    server.token = token.to_owned();
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada",
    });
    let created = server.create("/scim/v2/Users", &user).await;
    let shown = server
        .send("GET", &format!("/scim/v2/Users/{created}"), None)
        .await;
    assert_eq!(shown.status, 200);
    // The secret itself opens nothing.
    assert_eq!(
        get(&server, "/scim/v2/Users", &client.secret).await.status,
        401
    );
}

#[tokio::test]
async fn a_scope_narrows_what_the_token_can_do_and_never_widens_it() {
    let server = Server::start().await;
    let all = client(&server, |_| {}).await;
    let reader = client(&server, |new| {
        new.permissions = Permissions::of_credential(["users:read", "users:list"]);
    })
    .await;
    let narrow = access(&server, &all, "users:list groups:list  users:list").await;
    assert_eq!(get(&server, "/scim/v2/Users", &narrow).await.status, 200);
    let refused = get(&server, "/scim/v2/Users/1", &narrow).await;
    refused.check_error(403, None);
    assert!(refused.text.contains("users:read"), "{}", refused.text);
    let own = access(&server, &reader, "").await;
    assert_eq!(get(&server, "/scim/v2/Users", &own).await.status, 200);
    get(&server, "/scim/v2/Groups", &own)
        .await
        .check_error(403, None);
    let check = async |scope: &str, detail: &str| {
        let parameters = [
            ("grant_type", "client_credentials"),
            ("client_id", id(&reader)),
            ("client_secret", &reader.secret),
            ("scope", scope),
        ];
        check_error(
            &ask(&server, &parameters).await,
            400,
            "invalid_scope",
            detail,
        );
    };
    check("users:raed", "users:raed").await;
    check("users:list groups:list", "groups:list").await;
    check(".default", ".default").await;
}

fn basic(pair: &str) -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn a_token_request_says_what_it_wants_and_names_one_client() {
    let server = Server::start().await;
    let client = client(&server, |_| {}).await;
    let own = [
        ("client_id", id(&client)),
        ("client_secret", client.secret.as_str()),
    ];
    let header = basic(&format!("{}:{}", id(&client), client.secret));
    let check = async |parameters: &[(&str, &str)], is_in_header: bool, code, detail: &str| {
        let authorization = header.clone().filter(|_| is_in_header);
        let answer = ask_with(&server, parameters, authorization).await;
        check_error(&answer, 400, code, detail);
    };
    let (invalid, password) = ("invalid_request", ("grant_type", "password"));
    check(&own, false, invalid, "grant_type is missing").await;
    let unsupported = "unsupported_grant_type";
    check(
        &[password, own[0], own[1]],
        false,
        unsupported,
        "client_credentials",
    )
    .await;
    let assertion = ("client_assertion", "a.b.c");
    check(&[GRANT, assertion], true, invalid, "more than one way").await;
    let both = [GRANT, own[0], own[1], assertion];
    check(&both, false, invalid, "more than one way").await;
    check(&[GRANT, own[1]], false, invalid, "client_id is missing").await;
    for other in [("client_id", "another"), ("client_secret", "another")] {
        let detail = format!("{} is not that of the Authorization header", other.0);
        check(&[GRANT, other], true, invalid, &detail).await;
    }
    let typed = ("client_assertion_type", "x");
    check(
        &[GRANT, ("client_assertion", "a.b.c"), typed],
        false,
        invalid,
        JWT_BEARER,
    )
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_prove_who_it_is_gets_no_token() {
    let server = Server::start().await;
    let client = client(&server, |_| {}).await;
    let (id, secret) = (id(&client), client.secret.as_str());
    let (own_id, own_secret) = (("client_id", id), ("client_secret", secret));
    let other = server.issue("acme", |_| {}).await;
    let in_body = async |parameters: &[(&str, &str)], detail: &str| {
        let answer = ask(&server, parameters).await;
        check_error(&answer, 400, "invalid_client", detail);
    };
    in_body(&[GRANT], "client_assertion").await;
    in_body(&[GRANT, own_id], "client_assertion").await;
    in_body(&[GRANT, own_id, ("client_secret", &other)], UNKNOWN).await;
    let invented = ("client_id", "5f0c.acme.0123456789abcdef");
    in_body(&[GRANT, invented, own_secret], UNKNOWN).await;
    let in_header = async |authorization: Option<String>, detail: &str| {
        let answer = ask_with(&server, &[GRANT], authorization).await;
        check_error(&answer, 401, "invalid_client", detail);
    };
    in_header(basic(&format!("{id}:hunter2")), UNKNOWN).await;
    for header in ["Basic ???", "Basic", "Bearer x", "Basic YQ=="] {
        in_header(Some(header.to_owned()), "`Basic`").await;
    }
}

#[tokio::test]
async fn a_token_request_is_a_short_form_with_each_parameter_once() {
    let server = Server::start().await;
    let client = client(&server, |_| {}).await;
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        id(&client),
        client.secret
    );
    assert_eq!(ask_raw(&server, &form, None).await.status, 200);
    // Without a value a parameter counts as left out, and what is not known is ignored.
    let form_and_more = format!("{form}&scope=&resource=x&&");
    assert_eq!(ask_raw(&server, &form_and_more, None).await.status, 200);
    let check = async |form: &str, status: u16, detail: &str| {
        let answer = ask_raw(&server, form, None).await;
        check_error(&answer, status, "invalid_request", detail);
    };
    check(
        &format!("{form}&grant_type=client_credentials"),
        400,
        "grant_type",
    )
    .await;
    check(&format!("{form}&x=1&x=2"), 400, "x comes more than once").await;
    check(&format!("{form}&x=%ff"), 400, "UTF-8").await;
    check(&format!("{form}&x={}", "a".repeat(16_400)), 413, "16384").await;
    let send = async |method: &str, media_type: &str| {
        let request = Request::builder()
            .method(method)
            .uri(TOKEN)
            .header("Content-Type", media_type)
            .body(Body::from(form.clone()))
            .unwrap();
        server.answer(request).await
    };
    let labelled = "application/x-www-form-urlencoded; charset=UTF-8";
    assert_eq!(send("POST", labelled).await.status, 200);
    for media_type in ["application/json", "", "text/plain"] {
        let answer = send("POST", media_type).await;
        check_error(
            &answer,
            400,
            "invalid_request",
            "application/x-www-form-urlencoded",
        );
    }
    for method in ["GET", "PUT", "OPTIONS"] {
        let answer = send(method, labelled).await;
        check_error(&answer, 405, "invalid_request", "POST");
        assert_eq!(answer.header("allow"), "POST");
    }
}

#[tokio::test]
async fn an_assertion_of_each_algorithm_gets_a_token_once() {
    let mut server = Server::start().await;
    let keys = [Key::rsa(), Key::p256(), Key::ed25519()];
    let jwks: Vec<Value> = keys.iter().map(|key| key.jwk(key.algorithm())).collect();
    let client = signing_client(&server, &jwks).await;
    assert_eq!(client.secret, "");
    for (number, key) in keys.iter().enumerate() {
        let claims = claims(&client, &format!("jti {number}"));
        let assertion = key.sign(&header(key, key.algorithm()), &claims);
        let answer = assert_with(&server, &assertion).await;
        assert_eq!(answer.status, 200, "{} {}", key.algorithm(), answer.text);
        let token = answer.json["access_token"].as_str().unwrap();
        assert_eq!(get(&server, "/scim/v2/Users", token).await.status, 200);
        let again = assert_with(&server, &assertion).await;
        check_error(&again, 400, "invalid_client", "used before");
        // A process that has not seen the assertion finds its use in the table.
        server.router = http::router(server.stack.service());
        let again = assert_with(&server, &assertion).await;
        check_error(&again, 400, "invalid_client", "used before");
    }
}

/// The claims of an assertion that holds, but for one of them. Null leaves that one out.
fn claims_with(client: &Issued, name: &str, value: Value) -> Value {
    let mut changed = claims(client, "unused");
    let members = changed.as_object_mut().unwrap();
    match value {
        Value::Null => members.remove(name),
        value => members.insert(name.to_owned(), value),
    };
    changed
}

#[tokio::test]
async fn an_assertion_with_a_wrong_signature_is_refused_without_a_reason() {
    let server = Server::start().await;
    let (rsa, p256) = (Key::rsa(), Key::p256());
    let client = signing_client(&server, &[rsa.jwk("r"), p256.jwk("e")]).await;
    let right = || header(&p256, "e");
    let with = |name: &str, value: Value| claims_with(&client, name, value);
    let named = |alg: &str, kid: Value| json!({"alg": alg, "kid": kid});
    let whole = claims(&client, "unused");
    let check = async |assertion: String, detail: &str| {
        let answer = assert_with(&server, &assertion).await;
        check_error(&answer, 400, "invalid_client", detail);
    };
    check(p256.sign(&named("none", json!("e")), &whole), UNKNOWN).await;
    check(p256.sign(&named("HS256", json!("e")), &whole), UNKNOWN).await;
    check(p256.sign(&named("RS256", json!("e")), &whole), UNKNOWN).await;
    check(rsa.sign(&named("RS512", json!("r")), &whole), UNKNOWN).await;
    check(rsa.sign(&named("PS256", json!("r")), &whole), UNKNOWN).await;
    check(
        p256.sign(&named("ES256", json!("../../etc/passwd")), &whole),
        UNKNOWN,
    )
    .await;
    check(p256.sign(&named("ES256", json!("r")), &whole), UNKNOWN).await;
    check(p256.sign(&named("ES256", json!(7)), &whole), UNKNOWN).await;
    check(Key::p256().sign(&right(), &whole), UNKNOWN).await;
    let critical = json!({"alg": "ES256", "kid": "e", "crit": ["b64"], "b64": false});
    check(p256.sign(&critical, &whole), UNKNOWN).await;
    let embedded = json!({"alg": "ES256", "jwk": Key::p256().jwk("e")});
    check(Key::p256().sign(&embedded, &whole), UNKNOWN).await;
    check(by_public_key(&p256, &client), UNKNOWN).await;
    check(p256.sign(&json!(["ES256", "e", null]), &whole), UNKNOWN).await;
    check(p256.sign(&right(), &with("sub", json!("someone"))), UNKNOWN).await;
    check(p256.sign(&right(), &with("sub", Value::Null)), UNKNOWN).await;
    let long = with("note", json!("x".repeat(9_000)));
    check(p256.sign(&right(), &long), UNKNOWN).await;
    for text in ["", "a.b", "a.b.c", "....", &"x".repeat(8_000)] {
        let answer = assert_with(&server, text).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let signed = p256.sign(&right(), &whole);
    let (message, signature) = signed.rsplit_once('.').unwrap();
    check(format!("{message}."), UNKNOWN).await;
    let cut = &signature[..signature.len() - 4];
    check(format!("{message}.{cut}"), UNKNOWN).await;
}

#[tokio::test]
async fn a_signed_assertion_that_does_not_hold_is_refused_with_the_reason() {
    let server = Server::start().await;
    let key = Key::p256();
    let client = signing_client(&server, &[key.jwk("e")]).await;
    let with = |name: &str, value: Value| claims_with(&client, name, value);
    let check = async |assertion: String, detail: &str| {
        let answer = assert_with(&server, &assertion).await;
        check_error(&answer, 400, "invalid_client", detail);
    };
    let refused = |claims: Value| key.sign(&header(&key, "e"), &claims);
    check(refused(with("iss", json!("someone"))), "claim iss").await;
    check(refused(with("iss", Value::Null)), "claim iss").await;
    for iss in [
        json!([id(&client)]),
        json!([[id(&client)]]),
        json!({"0": id(&client)}),
    ] {
        check(refused(with("iss", iss)), "does not have its type").await;
    }
    check(
        refused(with("aud", json!("https://other.example/oauth/token"))),
        ORIGIN,
    )
    .await;
    check(refused(with("aud", Value::Null)), "claim aud").await;
    check(refused(with("aud", json!([]))), "claim aud").await;
    check(refused(with("jti", Value::Null)), "jti").await;
    check(refused(with("jti", json!("x".repeat(300)))), "jti").await;
    // None of them has used the name up.
    let whole = claims(&client, "unused");
    let answer = assert_with(&server, &refused(whole)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_signed_assertion_whose_times_do_not_hold_is_refused_with_the_reason() {
    let server = Server::start().await;
    let key = Key::p256();
    let client = signing_client(&server, &[key.jwk("e")]).await;
    let with = |name: &str, value: Value| claims_with(&client, name, value);
    let check = async |assertion: String, detail: &str| {
        let answer = assert_with(&server, &assertion).await;
        check_error(&answer, 400, "invalid_client", detail);
    };
    let refused = |claims: Value| key.sign(&header(&key, "e"), &claims);
    check(
        refused(with("exp", Value::Null)),
        "has no claim exp, the time at which it expires",
    )
    .await;
    check(refused(with("exp", json!("soon"))), "seconds since 1970").await;
    check(
        refused(with("exp", json!(now() - 300))),
        "the clock of this service says 20",
    )
    .await;
    check(
        refused(with("exp", json!(now() + 3_800))),
        "more than an hour from now",
    )
    .await;
    check(
        refused(with("iat", json!(now() + 300))),
        "issued in the future",
    )
    .await;
    check(
        refused(with("iat", json!(now() - 4_000))),
        "more than an hour ago",
    )
    .await;
    check(refused(with("nbf", json!(now() + 300))), "valid only from").await;
    check(
        refused(with("exp", json!(1e300))),
        "more than an hour from now",
    )
    .await;
    check(refused(with("exp", json!(-1))), "expired at 1970").await;
    check(refused(with("exp", json!(1.5))), "expired at 1970").await;
}

#[tokio::test]
async fn a_key_of_small_order_gets_no_token_even_if_it_is_stored() {
    let server = Server::start().await;
    let weak = |first: u8| {
        let mut point = [0; 32];
        point[0] = first;
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(point)})
    };
    let signature = [&[1][..], &[0; 63]].concat();
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for first in [0, 1] {
        let keys = json!([weak(first)]);
        assert!(Jwks::of(&json!({"keys": keys})).is_err());
        // Reading what is stored checks nothing.
        let stored: Jwks = serde_json::from_value(keys).unwrap();
        let client = client(&server, |new| {
            new.kind = CredentialKind::OAuthJwt;
            new.jwks = Some(stored);
        })
        .await;
        for attempt in 0..16 {
            let claims = claims(&client, &format!("jti {attempt}"));
            let message = format!("{}.{}", part(&json!({"alg": "EdDSA"})), part(&claims));
            let answer = assert_with(&server, &format!("{message}.{signature}")).await;
            check_error(&answer, 400, "invalid_client", UNKNOWN);
        }
    }
}

/// An assertion with an HMAC whose key is the public key.
fn by_public_key(key: &Key, client: &Issued) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "HS256", "kid": "e"});
    let message = format!("{}.{}", part(&header), part(&claims(client, "unused")));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.jwk("e").to_string().as_bytes());
    let tag = hmac::sign(&secret, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test]
async fn clocks_may_be_a_minute_apart_and_the_audience_may_be_the_issuer() {
    let server = Server::start().await;
    let key = Key::ed25519();
    let client = signing_client(&server, &[key.jwk("k")]).await;
    let accepted = async |name: &str, value: Value| {
        let mut claims = claims(&client, &format!("{name} {value}"));
        claims[name] = value;
        let answer = assert_with(&server, &key.sign(&header(&key, "k"), &claims)).await;
        assert_eq!(answer.status, 200, "{name} {}", answer.text);
    };
    accepted("exp", json!(now() - 50)).await;
    accepted("exp", json!(now() + 3_600)).await;
    accepted("iat", json!(now() + 50)).await;
    accepted("nbf", json!(now() + 50)).await;
    accepted("iat", Value::Null).await;
    accepted("aud", json!(ORIGIN)).await;
    // The newer name of the same algorithm.
    let newer = json!({"alg": "Ed25519", "kid": "k"});
    let answer = assert_with(&server, &key.sign(&newer, &claims(&client, "newer"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    accepted("aud", json!(["https://other.example", ORIGIN])).await;
    let named = [
        ("grant_type", "client_credentials"),
        ("client_id", "another"),
        ("client_assertion_type", JWT_BEARER),
        (
            "client_assertion",
            &key.sign(&header(&key, "k"), &claims(&client, "named")),
        ),
    ];
    check_error(&ask(&server, &named).await, 400, "invalid_client", UNKNOWN);
}

#[tokio::test]
async fn a_client_of_a_suspended_or_ended_tenant_gets_no_token_and_learns_why() {
    let mut server = Server::start().await;
    let known = client(&server, |_| {}).await;
    let key = Key::p256();
    let signing = signing_client(&server, &[key.jwk("k")]).await;
    let (own_id, own_secret) = (("client_id", id(&known)), ("client_secret", &*known.secret));
    let parameters = [GRANT, own_id, own_secret];
    let token = access(&server, &known, "").await;
    let assertion = key.sign(&header(&key, "k"), &claims(&signing, "once"));
    for (state, detail) in [
        (
            r#"{"state":"suspended","since":1}"#,
            "has suspended provisioning",
        ),
        (
            r#"{"state":"deleting","since":1,"purgeAt":2}"#,
            "has ended provisioning",
        ),
    ] {
        let item = json!({
            "pk": {"S": "T#acme"}, "sk": {"S": "state"}, "kind": {"S": "T"}, "body": {"S": state},
        });
        server.put_items(&json!([item]).to_string()).await;
        let with_header = basic(&format!("{}:{}", id(&known), known.secret));
        for answer in [
            ask(&server, &parameters).await,
            ask_with(&server, &[GRANT], with_header).await,
            assert_with(&server, &assertion).await,
        ] {
            check_error(&answer, 400, "unauthorized_client", detail);
            assert_eq!(answer.header("retry-after"), "");
        }
        // A stranger learns nothing of the tenant.
        let other = server.issue("acme", |_| {}).await;
        let answer = ask(&server, &[GRANT, own_id, ("client_secret", &other)]).await;
        check_error(&answer, 400, "invalid_client", UNKNOWN);
        let answer = get(&server, "/scim/v2/Users", &token).await;
        answer.check_error(403, None);
    }
    let resume = server.table().delete_item();
    let resume = resume.table_name(server.stack.store.table());
    let resume = resume.key("pk", AttributeValue::S("T#acme".to_owned()));
    let resume = resume.key("sk", AttributeValue::S("state".to_owned()));
    resume.send().await.unwrap();
    server.put_items("[]").await;
    // Those that were refused have not used the assertion up.
    assert_eq!(assert_with(&server, &assertion).await.status, 200);
    assert_eq!(get(&server, "/scim/v2/Users", &token).await.status, 200);
}

#[tokio::test]
async fn a_token_request_that_the_gateway_passed_on_broken_is_refused() {
    let server = Server::start().await;
    let client = client(&server, |_| {}).await;
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        id(&client),
        client.secret
    );
    let request =
        || Request::post(TOKEN).header("Content-Type", "application/x-www-form-urlencoded");
    let mut broken = request().body(Body::from(form.clone())).unwrap();
    let cause = Error::invalid_syntax("The body of the event is not base64");
    broken
        .extensions_mut()
        .insert(RefusedRequest(Arc::new(cause)));
    check_error(
        &server.answer(broken).await,
        400,
        "invalid_request",
        "not base64",
    );
    let twice = request().header("Content-Type", "application/json");
    let twice = twice.body(Body::from(form)).unwrap();
    let detail = "The body is not application/x-www-form-urlencoded";
    check_error(&server.answer(twice).await, 400, "invalid_request", detail);
}

#[tokio::test]
async fn a_token_ends_with_its_client() {
    let mut server = Server::start().await;
    let client = client(&server, |_| {}).await;
    let token = access(&server, &client, "").await;
    assert_eq!(get(&server, "/scim/v2/Users", &token).await.status, 200);
    let acme = TenantId::parse("acme").unwrap();
    let issuer = server.stack.issuer();
    issuer.revoke(&acme, &client.credential.id).await.unwrap();
    // A process that has not cached the secret, as every process after a minute.
    server.router = http::router(server.stack.service());
    let refused = get(&server, "/scim/v2/Users", &token).await;
    refused.check_error(401, None);
    let detail = "The client of the access token was revoked";
    assert_eq!(refused.json["detail"], detail);
    let parameters = [
        ("grant_type", "client_credentials"),
        ("client_id", id(&client)),
        ("client_secret", client.secret.as_str()),
    ];
    let answer = ask(&server, &parameters).await;
    check_error(&answer, 400, "invalid_client", "The client was revoked");
}

#[tokio::test]
async fn a_token_never_outlives_its_client_and_an_expired_client_says_so() {
    let server = Server::start().await;
    let short = client(&server, |new| new.lifetime_seconds = Some(120)).await;
    let parameters = |client: &Issued| {
        [
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", id(client).to_owned()),
            ("client_secret", client.secret.clone()),
        ]
    };
    let ask = async |client: &Issued| {
        let parameters = parameters(client);
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ask(&server, &parameters).await
    };
    let seconds = ask(&short).await.json["expires_in"].as_u64().unwrap();
    assert!((100..=120).contains(&seconds), "{seconds}");
    let over = client(&server, |new| new.lifetime_seconds = Some(0)).await;
    check_error(
        &ask(&over).await,
        400,
        "invalid_client",
        "The client expired on 20",
    );
}

#[tokio::test]
async fn what_is_not_genuine_costs_no_call_and_reads_no_secret() {
    let server = Server::start().await;
    let secret = format!("scim_acme_1_{}_{}", "0".repeat(64), "0".repeat(16));
    let assertion = Key::p256().sign(
        &json!({"alg": "ES256"}),
        &json!({"sub": "5f0c.acme.0123456789abcdef", "exp": now() + 300}),
    );
    let attempts = [
        ask(
            &server,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "5f0c.acme.0123456789abcdef"),
                ("client_secret", &secret),
            ],
        )
        .await,
        assert_with(&server, &assertion).await,
        get(
            &server,
            "/scim/v2/Users",
            "scimat_WyJhY21lIiwiMSIsOTk5OTk5OTk5OSxudWxsXQ",
        )
        .await,
    ];
    for answer in &attempts {
        assert!([400, 401].contains(&answer.status), "{}", answer.text);
        let timing = answer.header("server-timing");
        assert!(timing.contains("calls=0 "), "{timing}");
    }
}

#[tokio::test]
async fn the_metadata_leads_to_the_token_endpoint() {
    let path = "/.well-known/oauth-authorization-server";
    let check = async |server: &Server, path: &str, issuer: &str| {
        let answer = server.get(path, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.json["issuer"], issuer);
        assert_eq!(answer.json["token_endpoint"], format!("{issuer}{TOKEN}"));
        assert_eq!(
            answer.json["grant_types_supported"],
            json!(["client_credentials"])
        );
        for (name, value) in answer.json.as_object().unwrap() {
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            assert!(!is_empty, "{name} must not be empty");
        }
    };
    let mut server = Server::start().await;
    check(&server, path, ORIGIN).await;
    check(&server, &format!("{path}/"), ORIGIN).await;
    let elsewhere = server.get(&format!("{path}/else"), &[]).await;
    check_error(
        &elsewhere,
        404,
        "invalid_request",
        "no authorization server",
    );
    let head = Request::builder().method("HEAD").uri(path);
    let head = server.answer(head.body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    let post = Request::builder().method("POST").uri(path);
    let post = server.answer(post.body(Body::empty()).unwrap()).await;
    check_error(&post, 405, "invalid_request", "GET, HEAD");
    server = Server::at(Some("https://example.com/identity")).await;
    let issuer = "https://example.com/identity";
    check(&server, &format!("/identity{path}"), issuer).await;
    check(&server, &format!("{path}/identity"), issuer).await;
    server = Server::at(None).await;
    assert_eq!(server.get(path, &[]).await.status, 404);
}

#[tokio::test]
async fn discovery_announces_oauth_to_a_tenant_that_has_a_client() {
    let server = Server::start().await;
    let schemes = async |path: &str, token: &str| {
        let answer = get(&server, path, token).await;
        let schemes = answer.json["authenticationSchemes"]
            .as_array()
            .unwrap()
            .clone();
        let types = schemes
            .iter()
            .map(|scheme| scheme["type"].as_str().unwrap().to_owned());
        types.collect::<Vec<_>>()
    };
    let (v2, v1) = (
        "/scim/v2/ServiceProviderConfig",
        "/scim/v1/ServiceProviderConfigs",
    );
    assert_eq!(schemes(v2, &server.token).await, ["oauthbearertoken"]);
    let client = client(&server, |_| {}).await;
    let token = access(&server, &client, "").await;
    assert_eq!(schemes(v2, &token).await, ["oauthbearertoken", "oauth2"]);
    assert_eq!(schemes(v1, &token).await, ["oauthbearertoken", "oauth2"]);
}

#[tokio::test]
async fn a_path_that_names_the_tenant_is_the_base_of_every_location() {
    let server = Server::start().await;
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada",
    });
    let created = server
        .send("POST", "/t/acme/scim/v2/Users", Some(&user))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    let base = format!("{ORIGIN}/t/acme/scim/v2");
    let id = created.json["id"].as_str().unwrap();
    let location = format!("{base}/Users/{id}");
    assert_eq!(created.header("location"), location);
    assert_eq!(created.json["meta"]["location"], location);
    let config = server
        .send("GET", "/t/acme/scim/v2/ServiceProviderConfig", None)
        .await;
    let expected = format!("{base}/ServiceProviderConfig");
    assert_eq!(config.json["meta"]["location"], expected);
    let older = server
        .send("GET", &format!("/t/acme/scim/v1/Users/{id}"), None)
        .await;
    let expected = format!("{ORIGIN}/t/acme/scim/v1/Users/{id}");
    assert_eq!(older.json["meta"]["location"], expected);
    // A cursor leads on at either address.
    let user = json!({"schemas": user["schemas"], "userName": "grace"});
    server.create("/scim/v2/Users", &user).await;
    let page = server
        .send("GET", "/t/acme/scim/v2/Users?cursor&count=1", None)
        .await;
    let cursor = page.json["nextCursor"].as_str().unwrap();
    let next = format!("/scim/v2/Users?cursor={cursor}&count=1");
    assert_eq!(server.send("GET", &next, None).await.status, 200);
}

#[tokio::test]
async fn a_path_that_names_another_tenant_is_refused_like_an_unknown_credential() {
    let server = Server::start().await;
    let unknown = get(&server, "/scim/v2/Users", "nonsense").await.text;
    let client = client(&server, |_| {}).await;
    let access = access(&server, &client, "").await;
    for token in [&server.token, &access] {
        assert_eq!(
            get(&server, "/t/acme/scim/v2/Users", token).await.status,
            200
        );
        for tenant in ["other", "No_Tenant", "acme-2"] {
            let answer = get(&server, &format!("/t/{tenant}/scim/v2/Users"), token).await;
            answer.check_error(401, None);
            assert_eq!(answer.text, unknown, "{tenant}");
            let timing = answer.header("server-timing");
            assert!(timing.contains("calls=0 "), "{timing}");
            let older = get(&server, &format!("/t/{tenant}/scim/v1/Users"), token).await;
            older.check_error_v1(401);
        }
    }
}
