//! Credentials leave with an export that asked for them, and come back where they can be used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scim_lambda::http;
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::Rules;
use scim_lambda::tenant::SecretStore as _;
use scim_lambda::tenant::SecretsFile;
use serde_json::{Value, json};

use super::{Deployment, Imported};

/// An export of `acme` with its credentials.
async fn exported(deployment: &Deployment) -> Vec<String> {
    let request = json!({"op": "data.export", "tenant": "acme", "withCredentials": true});
    deployment.export_with(request).await
}

/// An import of lines with their credentials.
async fn brought(
    deployment: &Deployment,
    tenant: &str,
    if_exists: &str,
    lines: &[String],
) -> Imported {
    let request = json!({
        "op": "data.import", "tenant": tenant, "step": "write", "ifExists": if_exists, "withCredentials": true,
    });
    // The last line comes in a second part, and with it all credentials.
    deployment.round_with(request, lines, lines.len() - 1).await
}

/// Makes a credential by the operation, and returns its id and what a client presents.
async fn issue(deployment: &Deployment, kind: &str, label: &str) -> (String, String, String) {
    let request =
        json!({"op": "credential.create", "tenant": "acme", "kind": kind, "label": label});
    let issued = deployment.ask(request).await["ok"].take();
    let text = |name: &str| issued[name].as_str().unwrap_or_default().to_owned();
    (text("id"), text("token"), text("userName"))
}

/// The tenant's secret, and how often it was written.
async fn secret(deployment: &Deployment) -> (Value, u64) {
    let file = deployment.server.data.secrets_file();
    let secret = SecretsFile::new(&file).get("test/tenants/acme").await;
    let text = std::fs::read_to_string(file).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let version = file["secrets"]["test/tenants/acme"]["version"].as_u64();
    let value = secret.unwrap().unwrap().value;
    (serde_json::from_str(&value).unwrap(), version.unwrap())
}

/// The statuses of requests with a token, with Basic, and for an access token of a client.
async fn statuses(deployment: &Deployment, [token, password, client]: [&str; 3]) -> [u16; 3] {
    let server = &deployment.server;
    server.next_millisecond().await;
    let bearer = [("Authorization", format!("Bearer {token}"))];
    let basic = STANDARD.encode(format!("sync@acme:{password}"));
    let basic = [("Authorization", format!("Basic {basic}"))];
    let by_token = server.get("/scim/v2/Users", &bearer).await;
    let by_password = server.get("/scim/v2/Users", &basic).await;
    let form = axum::http::Request::post("/oauth/token")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(client.to_owned()));
    let by_client = server.answer(form.unwrap()).await;
    [by_token.status, by_password.status, by_client.status]
}

fn with_basic() -> Rules {
    let mut rules = Rules::default();
    (rules.switches.basic, rules.switches.mac) = (true, true);
    rules
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_hold_is_valid_again_when_the_tenant_comes_back() {
    let mut deployment = Deployment::with_rules(&with_basic()).await;
    let (_, token, _) = issue(&deployment, "bearer", "okta").await;
    let (_, password, _) = issue(&deployment, "basic", "sync").await;
    let (_, client_secret, client) = issue(&deployment, "oauth", "entra").await;
    issue(&deployment, "mac", "ionic").await;
    let form =
        format!("grant_type=client_credentials&client_id={client}&client_secret={client_secret}");
    let held = [token.as_str(), &password, &form];
    assert_eq!(statuses(&deployment, held).await, [200, 200, 200]);
    let lines = exported(&deployment).await;
    let text = lines.join("\n");
    for hidden in [&token, &password, &client_secret] {
        assert!(!text.contains(hidden.as_str()));
    }
    assert!(text.contains(r#""withCredentials":true"#) && text.contains(r#""credentials":5}}"#));
    let (before, _) = secret(&deployment).await;
    // The tenant is gone for good, and another one is made under its name.
    let acme = TenantId::parse("acme").unwrap();
    deployment
        .server
        .stack
        .credentials()
        .remove(&acme)
        .await
        .unwrap();
    deployment.server.stack.create_tenant(&acme).await.unwrap();
    deployment.server.router = http::router(deployment.server.stack.service());
    assert_eq!(statuses(&deployment, held).await, [401, 401, 400]);
    let imported = brought(&deployment, "acme", "fail", &lines).await;
    assert_eq!(
        imported.counted(),
        [("credentialsAdded", 5)],
        "{imported:?}"
    );
    // A process that has refused the credentials reads the secret again within a minute. This is another one.
    deployment.server.router = http::router(deployment.server.stack.service());
    assert_eq!(statuses(&deployment, held).await, [200, 200, 200]);
    // One change for all of them, and none if they are there.
    assert_eq!(secret(&deployment).await, (before, 2));
    let again = brought(&deployment, "acme", "replace", &lines).await;
    assert_eq!(again.counted(), [("credentialsSame", 5)]);
    assert_eq!(secret(&deployment).await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_can_never_be_used_are_left_out_and_counted() {
    let (source, other) = (Deployment::start().await, Deployment::start().await);
    issue(&source, "bearer", "okta").await;
    let lines = exported(&source).await;
    let before = secret(&other).await;
    let foreign = brought(&other, "acme", "fail", &lines).await;
    assert_eq!(
        (foreign.errors.len(), foreign.counted()),
        (0, vec![("credentialsForeign", 2)])
    );
    assert_eq!(secret(&other).await, before);
    source.server.add_tenant("moved", &Rules::default()).await;
    let foreign = brought(&source, "moved", "fail", &lines).await;
    assert_eq!(foreign.counts["credentialsForeign"], 2, "{foreign:?}");
    // With other permissions than it had when it left.
    let revoked = json!({"op": "credential.revokeAll", "tenant": "acme"});
    source.ask(revoked).await;
    let mut changed = lines.clone();
    let of_okta = changed
        .iter_mut()
        .find(|line| line.contains(r#""label":"okta""#))
        .unwrap();
    *of_okta = of_okta.replace(r#""kind":"#, r#""permissions":["users:read"],"kind":"#);
    let imported = brought(&source, "acme", "fail", &changed).await;
    assert_eq!(
        imported.counted(),
        [("credentialsAdded", 1), ("credentialsForeign", 1)]
    );
    // What a program does to JSON that it reads and writes changes nothing.
    let reordered = lines.iter().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.sort_all_objects();
        format!("{line:#}").replace('\n', " ")
    });
    let reordered: Vec<_> = reordered.collect();
    let imported = brought(&source, "acme", "fail", &reordered).await;
    assert_eq!(
        imported.counted(),
        [("credentialsAdded", 1), ("credentialsSame", 1)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_in_no_export_and_taken_from_none_that_did_not_ask() {
    let deployment = Deployment::start().await;
    let text = deployment.export().await.join("\n");
    assert!(
        !text.contains(r#"{"credential""#) && !text.contains(r#""hash""#),
        "{text}"
    );
    let lines = exported(&deployment).await;
    deployment
        .ask(json!({"op": "credential.revokeAll", "tenant": "acme"}))
        .await;
    let before = secret(&deployment).await;
    let imported = deployment.round("write", "fail", &lines).await;
    assert_eq!(imported.counted(), [("credentialsLeft", 1)]);
    let checked = json!({
        "op": "data.import", "tenant": "acme", "step": "check", "withCredentials": true,
    });
    let checked = deployment.round_with(checked, &lines, 9).await;
    assert_eq!(checked.counted(), [("credentialsAdded", 1)]);
    assert_eq!(secret(&deployment).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_has_changed_since_follows_the_rule_for_what_exists() {
    let deployment = Deployment::start().await;
    let (id, ..) = issue(&deployment, "bearer", "okta").await;
    let lines = exported(&deployment).await;
    let number = lines.iter().position(|line| line.contains(&id)).unwrap() as u64 + 1;
    let rotated = json!({"op": "credential.rotate", "tenant": "acme", "id": id, "graceHours": 1});
    assert!(deployment.ask(rotated).await["ok"].is_object());
    let before = secret(&deployment).await;
    let refused = brought(&deployment, "acme", "fail", &lines).await;
    assert_eq!(refused.errors.len(), 1, "{refused:?}");
    assert_eq!(
        (refused.errors[0].0, refused.errors[0].1.as_str()),
        (number, "taken")
    );
    let kept = brought(&deployment, "acme", "skip", &lines).await;
    assert_eq!(
        kept.counted(),
        [("credentialsKept", 1), ("credentialsSame", 1)]
    );
    assert_eq!(secret(&deployment).await, before);
    let changed = brought(&deployment, "acme", "replace", &lines).await;
    assert_eq!(
        changed.counted(),
        [("credentialsChanged", 1), ("credentialsSame", 1)]
    );
    // The one that has replaced it is not in the file, and stays.
    let (now, _) = secret(&deployment).await;
    assert_eq!(now["credentials"].as_array().unwrap().len(), 3);
    let same = brought(&deployment, "acme", "fail", &lines).await;
    assert_eq!(same.counted(), [("credentialsSame", 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_never_gets_more_than_a_hundred_credentials() {
    let deployment = Deployment::start().await;
    for label in ["one", "two"] {
        issue(&deployment, "bearer", label).await;
    }
    let lines = exported(&deployment).await;
    deployment
        .ask(json!({"op": "credential.revokeAll", "tenant": "acme"}))
        .await;
    for number in 0..98 {
        issue(&deployment, "bearer", &format!("more-{number}")).await;
    }
    let imported = brought(&deployment, "acme", "fail", &lines).await;
    assert_eq!(imported.counted(), [("credentialsAdded", 2)]);
    let [(line, code, detail)] = imported.errors.as_slice() else {
        panic!("{imported:?}");
    };
    assert_eq!((*line, code.as_str()), (lines.len() as u64 - 1, "refused"));
    assert!(detail.contains("at most 100"), "{detail}");
    let (now, _) = secret(&deployment).await;
    assert_eq!(now["credentials"].as_array().unwrap().len(), 100);
}
