//! The answers of the router that do not depend on the resources: paths, methods, media types, limits,
//! credentials and headers.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;
use scim_lambda::http;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::Rules;
use scim_lambda::store::{ConfigItem, Meter};
use scim_lambda::tenant::{NewCredential, Permissions};
use serde_json::json;

use crate::support::{self, BASE, Server};

const USERS: &str = "/scim/v2/Users";

fn user(name: &str) -> serde_json::Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
    })
}

#[tokio::test]
async fn unknown_paths_are_scim_errors() {
    let server = Server::start().await;
    let long = format!("{USERS}/{}", "a".repeat(5000));
    let paths = [
        "/favicon.ico",
        "/scim/v2/Nope",
        "/scim/v2/Nope/1",
        "/scim/v2/Users/a/b",
        "/scim/v2/Users/a%2Fb",
        "/scim/v2/Users/%FF%FE",
        "/scim/v2/Users/never-created",
        "/scim/v2/Schemas/urn:nothing",
        "/scim/v2/ResourceTypes/Nothing",
        &long,
    ];
    for path in paths {
        server.send("GET", path, None).await.check_error(404, None);
    }
    server
        .send("GET", "/scim/v9/Users", None)
        .await
        .check_error(400, Some("invalidVers"));
    server
        .send("POST", "/scim/v2/Bulk", Some(&json!({})))
        .await
        .check_error(400, Some("invalidSyntax"));
}

#[tokio::test]
async fn wrong_methods_get_the_allowed_ones() {
    let server = Server::start().await;
    let check = async |method: &str, path: &str, allow: &str| {
        let answer = server.send(method, path, None).await;
        answer.check_error(405, None);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    };
    check("DELETE", USERS, "GET, HEAD, POST").await;
    check("BREW", USERS, "GET, HEAD, POST").await;
    check("OPTIONS", USERS, "GET, HEAD, POST").await;
    check("POST", "/scim/v2/Users/1", "GET, HEAD, PUT, PATCH, DELETE").await;
    check("PUT", "/scim/v2/Schemas", "GET, HEAD").await;
    check("GET", "/scim/v2/.search", "POST").await;
    check("POST", "/scim/v2", "GET, HEAD").await;
    check("POST", "/events", "GET, HEAD").await;
    check("OPTIONS", "/events", "GET, HEAD").await;
}

#[tokio::test]
async fn a_slash_at_the_end_and_a_missing_version_change_nothing() {
    let server = Server::start().await;
    let id = server.create(USERS, &user("ada")).await;
    for path in [format!("{USERS}/{id}/"), format!("/scim/Users/{id}")] {
        let answer = server.send("GET", &path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("location"), format!("{BASE}/Users/{id}"));
    }
}

#[tokio::test]
async fn callers_without_a_valid_credential_all_get_the_same_answer() {
    let server = Server::start().await;
    let expired = server
        .issue("acme", |new| new.lifetime_seconds = Some(0))
        .await;
    let mut last = server.token.clone();
    last.replace_range(
        last.len() - 1..,
        if last.ends_with('0') { "1" } else { "0" },
    );
    let check = async |authorization: Option<String>| {
        let mut request = Request::builder().uri(USERS);
        if let Some(value) = &authorization {
            request = request.header("Authorization", value);
        }
        let answer = server.answer(request.body(Body::empty()).unwrap()).await;
        answer.check_error(401, None);
        // Whether a token is presented, and nothing about the token (RFC 6750 §3.1).
        let has_token = authorization.is_some_and(|value| value.trim_end().starts_with("Bearer "));
        let challenge = match has_token {
            true => "Bearer realm=\"scim\", error=\"invalid_token\"",
            false => "Bearer realm=\"scim\"",
        };
        assert_eq!(answer.header("www-authenticate"), challenge);
        answer.text
    };
    let missing = check(None).await;
    for value in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer nonsense".to_owned(),
        "Negotiate abc".to_owned(),
        format!("Bearer {last}"),
        format!("Bearer {}", server.token.replace("acme", "nobody")),
    ] {
        assert_eq!(check(Some(value.clone())).await, missing, "{value}");
    }
    let ended = check(Some(format!("Bearer {expired}"))).await;
    assert!(ended.contains("The token expired on 20"), "{ended}");
    let twice = server
        .request("GET", USERS)
        .header("Authorization", "Bearer x");
    let twice = server.answer(twice.body(Body::empty()).unwrap()).await;
    assert_eq!(twice.text, missing);
}

#[tokio::test]
async fn every_view_says_of_a_presented_token_that_it_is_invalid_and_of_no_other_credential() {
    let server = Server::start().await;
    let basic = "Basic YWRhOnNlY3JldA==".to_owned();
    for path in [
        USERS,
        "/scim/v1/Users",
        "/v2/acme/scim/Users",
        "/t/acme/scim/v2/Users",
        "/t/No_Tenant/scim/v1/Users",
        "/events",
        "/openapi.json",
        "/healthz?deep=1",
    ] {
        for (authorization, error) in [
            (Some("Bearer x".to_owned()), ", error=\"invalid_token\""),
            (Some("bearer  x y".to_owned()), ", error=\"invalid_token\""),
            (Some(basic.clone()), ""),
            (Some("x".to_owned()), ""),
            (None, ""),
        ] {
            // Everyone may read the description without a credential.
            if authorization.is_none() && path == "/openapi.json" {
                continue;
            }
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("Authorization", value.clone()))
                .collect();
            let answer = server.get(path, &headers).await;
            assert_eq!(answer.status, 401, "{path} {authorization:?}");
            let challenge = format!("Bearer realm=\"scim\"{error}");
            assert_eq!(
                answer.header("www-authenticate"),
                challenge,
                "{path} {authorization:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_with_two_content_types_is_refused() {
    let server = Server::start().await;
    let twice = ["application/scim+json", "text/plain"];
    for (first, second) in [(0, 1), (1, 0), (0, 0)] {
        let request = server
            .request("POST", USERS)
            .header("Content-Type", twice[first])
            .header("Content-Type", twice[second]);
        let body = Body::from(user("ada").to_string());
        let answer = server.answer(request.body(body).unwrap()).await;
        answer.check_error(415, None);
    }
}

#[tokio::test]
async fn a_credential_is_limited_to_its_permissions() {
    let mut server = Server::start().await;
    let id = server.create(USERS, &user("ada")).await;
    let permitted = ["users:read".to_owned(), "users:create".to_owned()];
    server.token = server
        .issue("acme", |new| {
            new.permissions = Permissions::Only(permitted.into())
        })
        .await;
    let one = format!("{USERS}/{id}");
    assert_eq!(server.send("GET", &one, None).await.status, 200);
    server.create(USERS, &user("grace")).await;
    let refused = server.send("DELETE", &one, None).await;
    refused.check_error(403, None);
    assert!(refused.text.contains("users:delete"), "{}", refused.text);
    server.send("GET", USERS, None).await.check_error(403, None);
    server
        .send("PUT", &one, Some(&user("ada")))
        .await
        .check_error(403, None);
    server
        .send("POST", "/scim/v2/.search", Some(&json!({})))
        .await
        .check_error(403, None);
    server
        .send("GET", "/scim/v2/Groups/1", None)
        .await
        .check_error(403, None);
    assert_eq!(
        server.send("GET", "/scim/v2/Schemas", None).await.status,
        200
    );
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let mut server = Server::start().await;
    let id = server.create(USERS, &user("ada")).await;
    server.add_tenant("other", &Default::default()).await;
    server.token = server.issue("other", |_| {}).await;
    let one = format!("{USERS}/{id}");
    for method in ["GET", "DELETE"] {
        server.send(method, &one, None).await.check_error(404, None);
    }
    for method in ["PUT", "PATCH"] {
        server
            .send(method, &one, Some(&user("ada")))
            .await
            .check_error(404, None);
    }
    let list = server.send("GET", USERS, None).await;
    assert_eq!(list.json["totalResults"], 0);
    server.create(USERS, &user("ada")).await;
}

#[tokio::test]
async fn media_types_are_negotiated() {
    let server = Server::start().await;
    let check_accept = async |value: &str, status: u16| {
        let request = server
            .request("GET", "/scim/v2/Schemas")
            .header("Accept", value);
        let answer = server.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{value}");
        assert_eq!(answer.header("content-type"), "application/scim+json");
    };
    check_accept("application/scim+json", 200).await;
    check_accept("text/html;q=0.9, */*;q=0.1", 200).await;
    check_accept("application/xml", 406).await;
    let check_body = async |headers: &[(&str, &str)], status: u16| {
        let mut request = server.request("POST", USERS);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let name = format!("{}-{status}", uuid_like(headers));
        let body = Body::from(user(&name).to_string());
        let answer = server.answer(request.body(body).unwrap()).await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.text);
    };
    check_body(&[], 201).await;
    check_body(&[("Content-Type", "application/json; charset=UTF-8")], 201).await;
    check_body(&[("Content-Type", "application/scim+json")], 201).await;
    check_body(&[("Content-Type", "application/json; charset=latin1")], 201).await;
    check_body(&[("Content-Type", "text/plain")], 201).await;
    check_body(&[("Content-Type", "text/xml")], 415).await;
    check_body(
        &[("Content-Type", "application/x-www-form-urlencoded")],
        415,
    )
    .await;
    check_body(&[("Content-Encoding", "gzip")], 415).await;
}

/// A name of its own for each set of headers.
fn uuid_like(headers: &[(&str, &str)]) -> String {
    headers
        .iter()
        .flat_map(|(_, value)| value.chars())
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

#[tokio::test]
async fn broken_bodies_are_refused_and_store_nothing() {
    let server = Server::start().await;
    let check = async |body: Vec<u8>, status: u16| {
        let request = server
            .request("POST", USERS)
            .header("Content-Type", "application/json");
        let answer = server.answer(request.body(Body::from(body)).unwrap()).await;
        let scim_type = (status == 400).then_some("invalidSyntax");
        answer.check_error(status, scim_type);
    };
    let nested = |open: &str, close: &str| {
        let deep = format!("{}{}", open.repeat(10_000), close.repeat(10_000));
        format!("{{\"userName\":\"deep\",\"x\":{deep}}}").into_bytes()
    };
    check(b"".to_vec(), 400).await;
    check(b"{".to_vec(), 400).await;
    check(b"[]".to_vec(), 400).await;
    check(b"null".to_vec(), 400).await;
    check(b"{\"userName\":\"x\"} trailing".to_vec(), 400).await;
    check(b"{\"userName\":\"x\",\"userName\":\"y\"}".to_vec(), 400).await;
    check(b"{\"userName\":\"x\",\"USERNAME\":\"y\"}".to_vec(), 400).await;
    check(b"{\"userName\":\"\xff\xfe\"}".to_vec(), 400).await;
    check(nested("[", "]"), 400).await;
    check(nested("{\"a\":", "}").into_iter().collect(), 400).await;
    check(vec![b' '; 4 * 1024 * 1024 + 1], 413).await;
    let list = server.send("GET", USERS, None).await;
    assert_eq!(list.json["totalResults"], 0, "{}", list.text);
}

#[tokio::test]
async fn a_resource_too_large_to_be_stored_is_a_413() {
    let server = Server::start().await;
    let mut large = user("ada");
    large["title"] = json!("a".repeat(450_000));
    let created = server.send("POST", USERS, Some(&large)).await;
    created.check_error(413, None);
    let id = server.create(USERS, &user("ada")).await;
    let path = format!("{USERS}/{id}");
    for name in ["ada", "grace"] {
        large["userName"] = json!(name);
        let replaced = server.send("PUT", &path, Some(&large)).await;
        replaced.check_error(413, None);
    }
}

#[tokio::test]
async fn numbers_beyond_all_bounds_cause_no_500() {
    let server = Server::start().await;
    server.create(USERS, &user("ada")).await;
    let huge = "99999999999999999999";
    let all = server
        .send("GET", &format!("{USERS}?count={huge}"), None)
        .await;
    assert_eq!(
        (all.status, &all.json["totalResults"]),
        (200, &json!(1)),
        "{}",
        all.text
    );
    let past = server
        .send("GET", &format!("{USERS}?startIndex={huge}"), None)
        .await;
    assert_eq!(
        (past.status, &past.json["totalResults"]),
        (200, &json!(1)),
        "{}",
        past.text
    );
    assert_eq!(past.json["Resources"], json!([]));
    let none = server
        .send("GET", &format!("{USERS}?count=ten"), None)
        .await;
    none.check_error(400, Some("invalidValue"));
    let no_text = server
        .send("GET", &format!("{USERS}?filter=%FF"), None)
        .await;
    no_text.check_error(400, Some("invalidValue"));
}

#[tokio::test]
async fn single_resources_have_location_version_and_type() {
    let server = Server::start().await;
    let created = server.send("POST", USERS, Some(&user("ada"))).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let location = created.json["meta"]["location"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = location.strip_prefix(support::ORIGIN).unwrap().to_owned();
    let read = server.send("GET", &path, None).await;
    let put = server.send("PUT", &path, Some(&user("ada"))).await;
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "displayName", "value": "Ada"}],
    });
    let patched = server.send("PATCH", &path, Some(&patch)).await;
    for answer in [&created, &read, &put, &patched] {
        assert_eq!(answer.header("location"), location, "{}", answer.text);
        assert_eq!(answer.header("content-location"), location);
        assert_eq!(
            answer.header("etag"),
            answer.json["meta"]["version"],
            "{}",
            answer.text
        );
        assert_eq!(answer.header("content-type"), "application/scim+json");
    }
    assert_eq!(read.header("etag"), put.header("etag"));
    assert_ne!(read.header("etag"), patched.header("etag"));
    let gone = server.send("DELETE", &path, None).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    server
        .send("DELETE", &path, None)
        .await
        .check_error(404, None);
}

#[tokio::test]
async fn conditions_are_honoured() {
    let server = Server::start().await;
    let created = server.send("POST", USERS, Some(&user("ada"))).await;
    let path = format!("{USERS}/{}", created.json["id"].as_str().unwrap());
    let etag = created.header("etag").to_owned();
    let check = async |method: &str, header: &str, value: &str, status: u16| {
        let request = server.request(method, &path).header(header, value);
        let body = if method == "PUT" {
            user("ada").to_string()
        } else {
            String::new()
        };
        let answer = server.answer(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(
            answer.status, status,
            "{method} {header}: {value} {}",
            answer.text
        );
        answer
    };
    let unchanged = check("GET", "If-None-Match", &etag, 304).await;
    assert_eq!(
        (unchanged.header("etag"), unchanged.text.as_str()),
        (etag.as_str(), "")
    );
    check("GET", "If-None-Match", "W/\"other\"", 200).await;
    check("PUT", "If-Match", "W/\"other\"", 412)
        .await
        .check_error(412, None);
    check("PUT", "If-Match", &etag, 200).await;
    check("DELETE", "If-Match", "W/\"other\"", 412).await;
    check("DELETE", "If-Match", "*", 204).await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    let id = server.create(USERS, &user("ada")).await;
    let path = format!("{USERS}/{id}");
    let get = server.send("GET", &path, None).await;
    let head = server.send("HEAD", &path, None).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("etag"), get.header("etag"));
    assert_eq!(head.header("content-length"), get.text.len().to_string());
}

#[tokio::test]
async fn me_is_the_user_of_the_credential() {
    let mut server = Server::start().await;
    for verb in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        let body = Some(user("ada")).filter(|_| verb != "GET" && verb != "DELETE");
        let answer = server.send(verb, "/scim/v2/Me", body.as_ref()).await;
        answer.check_error(501, None);
    }
    let id = server.create(USERS, &user("ada")).await;
    let of_ada = id.clone();
    let of_ada = |new: &mut NewCredential| {
        new.user = Some(of_ada);
        new.permissions =
            Permissions::of_credential(["users:read", "users:update", "users:delete"]);
    };
    server.token = server.issue("acme", of_ada).await;
    let me = server.send("GET", "/scim/v2/Me", None).await;
    assert_eq!(me.json["userName"], "ada");
    assert_eq!(me.header("location"), format!("{BASE}/Users/{id}"));
    server
        .send("POST", "/scim/v2/Me", Some(&user("ada")))
        .await
        .check_error(409, None);
    let put = server.send("PUT", "/scim/v2/Me", Some(&user("ada"))).await;
    assert_eq!(put.json["userName"], "ada");
    server
        .send("PUT", "/scim/v2/Me", Some(&user("ada.l")))
        .await
        .check_error(403, None);
    assert_eq!(server.send("DELETE", "/scim/v2/Me", None).await.status, 204);
    server
        .send("GET", "/scim/v2/Me", None)
        .await
        .check_error(401, None);
}

#[tokio::test]
async fn without_its_secrets_the_service_is_unavailable() {
    let mut server = Server::start().await;
    std::fs::remove_file(server.data.secrets_file()).unwrap();
    // A process that has read no tenant's secret yet.
    server.router = scim_lambda::http::router(server.stack.service());
    let refused = server.send("GET", USERS, None).await;
    refused.check_error(503, None);
    assert!(!refused.text.contains("secrets"), "{}", refused.text);
}

#[tokio::test]
async fn switches_that_were_stored_out_of_range_count_as_the_nearest_in_range() {
    let mut rules = Rules::default();
    rules.switches.max_count = 0;
    rules.switches.default_count = 0;
    rules.switches.inline_member_cap = 0;
    rules.switches.bulk_max_operations = u32::MAX;
    rules.switches.bulk_max_payload_size = u32::MAX;
    let mut server = Server::start().await;
    let tenant = TenantId::parse("acme").unwrap();
    let wait = Duration::from_secs(10);
    let store = server
        .stack
        .store
        .for_tenant(&tenant, support::cause(), Meter::default(), wait);
    let stored = store.configuration();
    stored.put(ConfigItem::Rules(&rules)).await.unwrap();
    server.router = http::router(server.stack.service());
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
        &server.stack.service().provider,
    );
    let refused = provider.set_rules(&acme, &rules).await.unwrap_err();
    assert!(refused.detail().contains("takes 1 to "), "{refused}");
}

#[tokio::test]
async fn discovery_describes_the_service() {
    let server = Server::start().await;
    let config = server
        .send("GET", "/scim/v2/ServiceProviderConfig", None)
        .await;
    assert_eq!(
        config.header("location"),
        format!("{BASE}/ServiceProviderConfig")
    );
    assert_eq!(config.json["patch"]["supported"], true);
    assert_eq!(config.json["bulk"]["supported"], true);
    for list in ["Schemas", "ResourceTypes"] {
        let list = server.send("GET", &format!("/scim/v2/{list}"), None).await;
        let resources = list.json["Resources"].as_array().unwrap();
        assert_eq!(list.json["totalResults"], resources.len());
        for resource in resources {
            let location = resource["meta"]["location"].as_str().unwrap();
            let path = location.strip_prefix(support::ORIGIN).unwrap();
            assert_eq!(server.send("GET", path, None).await.json, *resource);
        }
    }
    let names = server
        .send("GET", "/scim/v2/Schemas?attributes=name", None)
        .await;
    let first = &names.json["Resources"][0];
    assert!(first["name"].is_string() && first.get("attributes").is_none());
    for path in ["ServiceProviderConfig", "Schemas", "ResourceTypes"] {
        let path = format!("/scim/v2/{path}?filter=id%20pr");
        server.send("GET", &path, None).await.check_error(403, None);
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_not_to_be_stored() {
    let server = Server::start().await;
    let ask = async |id: Option<&str>| {
        let mut request = server.request("GET", "/scim/v2/Schemas");
        if let Some(id) = id {
            request = request.header("X-Request-Id", id);
        }
        let answer = server.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(ask(Some("from-the-client")).await, "from-the-client");
    assert_ne!(
        ask(Some("not \"well\" formed")).await,
        "not \"well\" formed"
    );
    assert_ne!(ask(None).await, ask(None).await);
}

#[tokio::test]
async fn two_requests_with_one_id_are_two_requests() {
    let server = Server::start().await;
    let create = async || {
        let request = server.request("POST", USERS).header("X-Request-Id", "same");
        server
            .answer(request.body(Body::from(user("ada").to_string())).unwrap())
            .await
    };
    assert_eq!(create().await.status, 201);
    create().await.check_error(409, Some("uniqueness"));
}

#[tokio::test]
async fn a_host_header_does_not_change_locations() {
    let server = Server::start().await;
    let request = server.request("POST", USERS).header("Host", "evil.example");
    let request = request.header("X-Forwarded-Host", "evil.example");
    let answer = server
        .answer(request.body(Body::from(user("ada").to_string())).unwrap())
        .await;
    assert!(answer.header("location").starts_with(BASE));
    assert!(!answer.text.contains("evil"));
}

#[tokio::test]
async fn answers_have_their_cost() {
    let server = Server::start().await;
    let id = server.create(USERS, &user("ada")).await;
    let read = server
        .send("GET", &format!("{USERS}/{id}?attributes=userName"), None)
        .await;
    let timing = read.header("server-timing");
    assert!(timing.ends_with("desc=\"calls=1 rru=1 wru=0\""), "{timing}");

    // The user that a credential belongs to is read for each of its requests.
    let of_ada = server.issue("acme", |new| new.user = Some(id)).await;
    for _ in 0..2 {
        let of_ada = [("Authorization", format!("Bearer {of_ada}"))];
        let path = "/scim/v2/Me?attributes=userName";
        let read = server.get(path, &of_ada).await;
        let timing = read.header("server-timing");
        assert!(timing.contains("calls=1 rru=1 wru=0 cfg=1"), "{timing}");
    }
}

#[tokio::test]
async fn requests_at_the_same_time_read_their_tenant_and_role_once() {
    let mut server = Server::start().await;
    let role = json!({"name": "Reader", "scopes": ["users:read", "access:api"]});
    let role = server.create("/scim/v2/Roles", &role).await;
    server.token = server.issue("acme", |new| new.role = Some(role)).await;
    // A process that has read nothing yet.
    server.router = http::router(server.stack.service());
    let path = format!("{USERS}/nobody");
    let answers = join_all((0..8).map(|_| server.send("GET", &path, None))).await;
    let reads = answers.iter().map(|answer| {
        assert_eq!(answer.status, 404, "{}", answer.text);
        let timing = answer.header("server-timing");
        let reads = timing.split_once("cfg=").map_or("0", |(_, reads)| reads);
        let end = reads.find([' ', '"']).unwrap_or(reads.len());
        reads[..end].parse::<u32>().unwrap()
    });
    assert_eq!(reads.sum::<u32>(), 2);
}
