//! `stack.rotateKey`: keys are added and removed, while credentials of each key are in use.

use std::time::Duration;

use scim_lambda::admin::Admin;
use scim_lambda::identity::{CredentialId, TenantId};
use scim_lambda::tenant::{CredentialKind, NewCredential};
use serde_json::{Value, json};

use crate::admin::{Fixture, ask, error};
use crate::support::bearer;

async fn issue(admin: &Admin, kind: CredentialKind, seconds: Option<u64>) -> String {
    let acme = TenantId::parse("acme").unwrap();
    let new = NewCredential {
        kind,
        lifetime_seconds: seconds,
        ..bearer()
    };
    let issued = admin.issuer.create_credential(&acme, new).await.unwrap();
    issued.credential.id.to_string()
}

async fn rotate(admin: &Admin, arguments: Value) -> Value {
    let mut request = arguments;
    request["op"] = json!("stack.rotateKey");
    ask(admin, request).await
}

fn ids(answer: &Value) -> Vec<u64> {
    let keys = answer["ok"]["keys"].as_array();
    let keys = keys.unwrap_or_else(|| panic!("{answer}")).iter();
    keys.map(|key| key["id"].as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_added_once_for_a_request_that_is_repeated() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    for _ in 0..3 {
        let answer = rotate(&admin, json!({"requestId": "r-1"})).await;
        assert_eq!(ids(&answer), [0, 1]);
        let keys = &answer["ok"]["keys"];
        assert_eq!(keys[0]["signsFrom"], Value::Null);
        assert_eq!(
            (&keys[0]["isSigning"], &keys[1]["isSigning"]),
            (&json!(true), &json!(false))
        );
        fixture.world.jump(Duration::from_secs(30));
    }
    fixture.world.jump(Duration::from_secs(60));
    let answer = rotate(&admin, json!({})).await;
    assert_eq!(ids(&answer), [0, 1, 2]);
    assert_eq!(answer["ok"]["keys"][1]["isSigning"], true);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_not_retired_while_live_credentials_need_it_and_those_are_named() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    let live = issue(&admin, CredentialKind::Mac, None).await;
    let ended = issue(&admin, CredentialKind::Bearer, Some(60)).await;
    rotate(&admin, json!({})).await;
    fixture.world.jump(Duration::from_secs(2 * 60 * 60));
    let later = issue(&admin, CredentialKind::Bearer, None).await;
    let refused = rotate(&admin, json!({"retire": 0})).await;
    let (code, detail) = error(&refused);
    assert_eq!(code, "refused", "{refused}");
    assert!(
        detail.contains(&format!("{live} of tenant acme (mac)")),
        "{detail}"
    );
    assert!(
        !detail.contains(&ended) && !detail.contains(&later),
        "{detail}"
    );
    let acme = TenantId::parse("acme").unwrap();
    let id = CredentialId::parse(&live).unwrap();
    admin.issuer.revoke(&acme, &id).await.unwrap();
    for _ in 0..2 {
        let answer = rotate(&admin, json!({"retire": 0})).await;
        assert_eq!(ids(&answer), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_just_stopped_signing_is_retired_only_on_demand() {
    let fixture = Fixture::new().await;
    let admin = fixture.admin();
    let check = async |request: Value, part: &str| {
        let answer = rotate(&admin, request.clone()).await;
        let (code, detail) = error(&answer);
        assert_eq!(code, "refused", "{request}");
        assert!(detail.contains(part), "{request}: {detail}");
    };
    check(
        json!({"retire": 0, "evenIfUsed": true}),
        "rotate the key first",
    )
    .await;
    issue(&admin, CredentialKind::Bearer, None).await;
    check(json!({"retire": 0}), "rotate the key first").await;
    rotate(&admin, json!({})).await;
    fixture.world.jump(Duration::from_secs(150));
    check(json!({"retire": 0, "evenIfUsed": true}), "a few minutes").await;
    fixture.world.jump(Duration::from_secs(150));
    check(json!({"retire": 0}), "replace them first").await;
    check(json!({"retire": 1}), "rotate the key first").await;
    let answer = rotate(&admin, json!({"retire": 0, "evenIfUsed": true})).await;
    assert_eq!(ids(&answer), [1]);
    // The key is gone, and a credential that was made under it is still listed.
    let again = rotate(&admin, json!({"retire": 0})).await;
    assert_eq!(ids(&again), [1]);
    let unknown = rotate(&admin, json!({"retire": 7})).await;
    assert_eq!(error(&unknown), ("unknown", "The stack has no key 7"));
}
