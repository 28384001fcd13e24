//! SCIM 1.1 and the Ionic API beside SCIM 2.0: permissions, and one directory in all views.

use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::{Profile, Rules};
use scim_lambda::protocol::schema::{
    Attribute, DataType, MembershipAttribute, Mutability, Registry, ResourceType, Returned,
};
use scim_lambda::tenant::{NewCredential, Permissions};
use serde_json::{Map, Value, json};

use crate::support::Server;

const V1: &str = "/scim/v1";
const IONIC: &str = "/v2/acme/scim";

#[tokio::test]
async fn the_tenant_in_the_path_has_to_be_the_credentials() {
    let server = Server::start().await;
    server.add_tenant("other", &Rules::default()).await;
    let bearer = [("Authorization", format!("Bearer {}", server.token))];
    for path in ["/v2/acme/scim/Users", "/v2/acme/scim/USERS"] {
        assert_eq!(server.get(path, &bearer).await.status, 200, "{path}");
    }
    // A token in the wrong form gets an error about the form, which says nothing about the tenant.
    for prefix in ["Bearer ", "", "Bearer Bearer "] {
        let mut texts = Vec::new();
        for tenant in ["other", "nobody", "No_Tenant", "%20", "acme"] {
            if tenant == "acme" && prefix == "Bearer " {
                continue;
            }
            let authorization = [("Authorization", format!("{prefix}{}", server.token))];
            for endpoint in ["Users", "users", "nothing"] {
                let path = format!("/v2/{tenant}/scim/{endpoint}");
                let refused = server.get(&path, &authorization).await;
                refused.check_error_v1(401);
                let wanted = refused.text.contains("`Authorization: Bearer TOKEN`");
                assert_eq!(wanted, prefix != "Bearer ", "{}", refused.text);
                texts.push(refused.text);
            }
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{texts:?}");
    }
}

#[tokio::test]
async fn a_strict_profile_applies_to_2_0_only() {
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
async fn an_inactive_role_permits_nothing() {
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
    let provider = &server.stack.service().provider;
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
    if resource_type.membership == Some(MembershipAttribute::Members) {
        body.insert("members".to_owned(), json!([]));
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
        DataType::String => match attribute.canonical_values.first() {
            Some(value) => json!(value),
            None => json!(format!("a {}", attribute.name())),
        },
        DataType::Boolean => json!(true),
        DataType::Integer => json!(7),
        DataType::Decimal => json!(1.5),
        DataType::DateTime => json!("2011-05-13T04:42:34Z"),
        DataType::Binary => json!("aGVsbG8="),
        DataType::Reference => json!("https://example.com/one"),
        DataType::Complex => attribute.sub_attributes.iter().filter_map(sample).collect(),
    };
    let value = if attribute.multi_valued {
        json!([value])
    } else {
        value
    };
    Some((attribute.name().to_owned(), value))
}

/// The parts of a resource that do not depend on its URL.
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
async fn every_attribute_is_the_same_in_every_view() {
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
                // Devices are not created here, but a PUT writes every attribute too.
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
async fn members_are_the_same_in_every_view() {
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
