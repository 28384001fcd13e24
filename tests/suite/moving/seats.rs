//! An import into a tenant that counts its active users.

use scim_lambda::identity::TenantId;
use scim_lambda::protocol::profile::Rules;
use serde_json::{Value, json};

use super::{Deployment, USER};

const USERS: u64 = 40;
/// Every fifth user is not active.
const ACTIVE: u64 = 32;
const SEATS: u32 = 20;

fn lines() -> Vec<String> {
    let resource = |number: u64| {
        let id = format!("019f0000-0000-7000-8000-{number:012}");
        json!({"resource": {
            "type": "User", "id": id, "version": "1", "created": "2026-01-01T00:00:00Z",
            "lastModified": "2026-01-02T00:00:00Z",
            "body": {"schemas": [USER], "userName": format!("user-{number}"), "active": !number.is_multiple_of(5)},
        }})
    };
    let end = json!({"end": {"resources": USERS, "memberships": 0}});
    let lines = (0..USERS).map(resource).chain([end]);
    lines.map(|line| line.to_string()).collect()
}

/// The number of active users as the seats count it, and as the answers to clients do.
async fn active(deployment: &Deployment) -> (u64, u64) {
    let provider = deployment.server.stack.provider();
    let seats = provider.seats(&TenantId::parse("acme").unwrap()).await;
    let path = "/scim/v2/Users?filter=active%20eq%20true&count=0";
    let listed = deployment.server.send("GET", path, None).await;
    let listed: &Value = &listed.json["totalResults"];
    (seats.unwrap().unwrap().taken(), listed.as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_beyond_the_seats_are_errors_until_there_are_more_seats() {
    let mut rules = Rules::default();
    rules.switches.max_active_users = SEATS;
    let deployment = Deployment::with_rules(&rules).await;
    let head = Deployment::start().await.export().await.remove(0);
    let lines: Vec<String> = [head].into_iter().chain(lines()).collect();
    for round in 0..2 {
        // The limit of the tenant is not that of the file, which has none, and stays.
        let imported = deployment.round("write", "skip", &lines).await;
        let beyond = ACTIVE - u64::from(SEATS);
        assert_eq!(imported.errors.len() as u64, beyond, "{imported:?}");
        for (line, code, detail) in &imported.errors {
            let number = *line - 2;
            assert!(
                !number.is_multiple_of(5) && *code == "invalid",
                "{line} {code}"
            );
            assert!(detail.contains("seats are taken"), "{detail}");
        }
        let [created, same] = match round {
            0 => [USERS - beyond, 0],
            _ => [0, USERS - beyond],
        };
        assert_eq!(
            (imported.counts["created"], imported.counts["same"]),
            (created, same)
        );
        assert_eq!(
            active(&deployment).await,
            (u64::from(SEATS), u64::from(SEATS))
        );
    }
    let raise =
        json!({"op": "tenant.set", "tenant": "acme", "switches": {"maxActiveUsers": ACTIVE}});
    let raised = deployment.ask(raise).await;
    assert!(raised["ok"].is_object(), "{raised}");
    let imported = deployment.import("skip", &lines).await;
    assert_eq!(imported.counts["created"], ACTIVE - u64::from(SEATS));
    assert_eq!(active(&deployment).await, (ACTIVE, ACTIVE));
    let again = deployment.import("skip", &lines).await;
    assert_eq!(again.counts["same"], USERS);
    assert_eq!(active(&deployment).await, (ACTIVE, ACTIVE));
}
