//! The lifecycle of tenants: what is refused and what stays while a tenant is suspended or deleted.

use scim_lambda::clock::{Clock as _, SystemClock};
use scim_lambda::identity::TenantId;
use scim_lambda::store::{Deletion, ListedTenant, Meter, PurgeStage, Suspension, TenantState};
use serde_json::json;
use std::time::Duration;

use crate::support::Server;

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

/// Changes the state of `acme` in the table. The router under test then has a cold cache.
async fn change(server: &mut Server, change: impl FnOnce(&mut ListedTenant)) {
    let stack = server
        .stack
        .store
        .for_stack(Meter::default(), Duration::from_secs(10));
    let seen = stack.tenant_list().get(&acme()).await.unwrap().unwrap();
    let mut next = seen.clone();
    change(&mut next);
    assert!(stack.tenant_list().change(&seen, &next).await.unwrap());
    assert!(
        !stack.tenant_list().change(&seen, &next).await.unwrap(),
        "a change from an outdated state is refused"
    );
    server.put_items("[]").await;
}

/// Requests of every view, with the statuses that an active tenant answers.
const REQUESTS: [(&str, &str, u16); 13] = [
    ("GET", "/scim/v2/Users", 200),
    ("POST", "/scim/v2/Users", 400),
    ("POST", "/scim/v2/Bulk", 400),
    ("POST", "/scim/v2/.search", 400),
    ("GET", "/scim/v2/Me", 501),
    ("GET", "/events", 400),
    ("GET", "/scim/v2/ServiceProviderConfig", 200),
    ("GET", "/scim/v2/Schemas", 200),
    ("GET", "/scim/v1/Users", 200),
    ("POST", "/scim/v1/Bulk", 400),
    ("GET", "/scim/v1/ServiceProviderConfigs", 200),
    ("GET", "/v2/acme/scim/Users", 200),
    ("GET", "/nowhere", 404),
];

#[tokio::test]
async fn every_request_of_a_suspended_or_deleted_tenant_gets_403() {
    let mut server = Server::start().await;
    server
        .create("/scim/v2/Users", &json!({"userName": "ada"}))
        .await;
    let suspension = Suspension {
        since: 1_700_000_000_000,
        reason: Some("unpaid bill 4711".to_owned()),
    };
    let deletion = Deletion {
        since: 1_700_000_000_000,
        purge_at: SystemClock.now_millis() + 60_000,
        stage: PurgeStage::Waiting,
        due: SystemClock.now_millis() + 60_000,
    };
    for (what, suspension, deletion) in [
        ("suspended", Some(suspension.clone()), None),
        ("ended", Some(suspension), Some(deletion)),
        ("ended", None, Some(deletion)),
    ] {
        change(&mut server, |tenant| {
            (tenant.suspension, tenant.deletion) = (suspension, deletion);
        })
        .await;
        for (method, path, _) in REQUESTS {
            let answer = server.send(method, path, None).await;
            match path {
                "/nowhere" => assert_eq!(answer.status, 404),
                _ => assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text),
            }
            assert_eq!(answer.header("retry-after"), "");
            assert!(
                path == "/nowhere" || answer.text.contains(what),
                "{}",
                answer.text
            );
            assert!(!answer.text.contains("4711"), "the reason is for operators");
        }
    }
    change(&mut server, |tenant| {
        (tenant.suspension, tenant.deletion) = (None, None);
        assert_eq!(tenant.state(), TenantState::Active);
    })
    .await;
    for (method, path, status) in REQUESTS {
        let answer = server.send(method, path, None).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    let users = server.send("GET", "/scim/v2/Users", None).await;
    assert_eq!(users.json["totalResults"], 1);
}

#[tokio::test]
async fn a_listed_tenant_is_not_overwritten_by_a_late_record_of_its_feed() {
    let mut server = Server::start().await;
    change(&mut server, |tenant| {
        tenant.suspension = Some(Suspension {
            since: 7,
            reason: None,
        });
    })
    .await;
    let stack = server
        .stack
        .store
        .for_stack(Meter::default(), Duration::from_secs(10));
    stack.list_tenant(&acme()).await.unwrap();
    let listed = stack.tenant_list().get(&acme()).await.unwrap().unwrap();
    assert_eq!(listed.suspension.map(|it| it.since), Some(7));
}
