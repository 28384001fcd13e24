//! Indexes on attributes for which resources already have values.

use scim_lambda::identity::TenantId;
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::provider::{Findings, Registered, Repair};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::directory::{Cost, Directory, encoded, ids, user};

const BADGE: &str = "urn:example:params:scim:schemas:extension:Badge";

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

/// An extension of users: the number of a badge, and the doors it opens.
fn badge(indexed: bool) -> Value {
    json!({"id": BADGE, "name": "Badge", "attributes": [
        {"name": "number", "type": "string", "indexed": indexed},
        {"name": "doors", "type": "string", "multiValued": true, "indexed": indexed},
    ]})
}

/// A directory whose users have badges.
async fn with_badges() -> Directory {
    let directory = Directory::start().await;
    register(&directory, badge(false)).await;
    let users = json!({
        "name": "User", "endpoint": "/Users",
        "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
        "schemaExtensions": [
            {"schema": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"},
            {"schema": "urn:ietf:params:scim:schemas:extension:ionic:2.0:User"},
            {"schema": BADGE, "required": false},
        ],
    });
    let registered = directory.provider.add_resource_type(&acme(), &users).await;
    assert_eq!(registered.unwrap().building, [""; 0]);
    directory
}

async fn register(directory: &Directory, schema: Value) -> Registered {
    let registered = directory.provider.add_schema(&acme(), &schema).await;
    registered.unwrap()
}

/// A user with this badge, which opens doors `d0`, `d1` and so on.
async fn create(directory: &Directory, number: usize, doors: usize) -> String {
    let mut body = user(number);
    let doors: Vec<String> = (0..doors).map(|door| format!("d{door}")).collect();
    body[BADGE] = json!({"number": format!("n{number}"), "doors": doors});
    let scope = directory.scope().await;
    directory.create(&scope, "User", body).await
}

/// The users who match a filter on an attribute of the badge, and the cost of finding them.
async fn found(directory: &Directory, test: &str) -> (Vec<String>, Cost) {
    let filter = encoded(&format!("{BADGE}:{test}"));
    let query = format!("excludedAttributes=groups&filter={filter}");
    let (list, cost) = directory.priced("User", &query).await;
    (ids(&list), cost)
}

async fn build(directory: &Directory) -> Findings {
    directory.provider.build_indexes(&acme()).await.unwrap()
}

async fn examine(directory: &Directory) -> Findings {
    let findings = directory.provider.examine(&acme(), Repair::Look).await;
    findings.unwrap()
}

#[tokio::test]
async fn an_index_is_used_when_it_holds_every_resource() {
    let directory = with_badges().await;
    let mut users = Vec::new();
    for number in 0..30 {
        users.push(create(&directory, number, 2).await);
    }
    let registered = register(&directory, badge(true)).await;
    let paths = ["number", "doors"].map(|name| format!("{BADGE}:{name}"));
    assert_eq!(registered.building, paths);
    assert_eq!(examine(&directory).await.missing, 30 * 3);

    // Queries do not use it yet. A user who is written now is in it.
    users.push(create(&directory, 30, 2).await);
    for number in [7, 30] {
        let (ids, _) = found(&directory, &format!("number eq \"n{number}\"")).await;
        assert_eq!(ids, [users[number].clone()]);
    }
    assert_eq!(examine(&directory).await.missing, 30 * 3);
    let early = directory.provider.build_indexes(&acme()).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Conflict);

    directory.clock.advance_seconds(120);
    let built = build(&directory).await;
    assert_eq!((built.missing, built.stray), (30 * 3, 0));
    for number in [7, 30] {
        let (ids, cost) = found(&directory, &format!("number eq \"n{number}\"")).await;
        assert_eq!(ids, [users[number].clone()]);
        assert_eq!((cost.calls, cost.read_units), (2, 2.0));
    }
    let (ids, _) = found(&directory, "doors eq \"d1\"").await;
    assert_eq!(ids.len(), users.len());
    assert!(examine(&directory).await.is_clean());
}

/// Builds and examines in parts, each of which ends after one page, and returns the number of parts.
async fn build_in_parts(directory: &Directory) -> usize {
    let (mut place, mut parts) = (None, 0);
    loop {
        let id = acme();
        let check = directory
            .provider
            .check(&id, Repair::Mend, place, Instant::now());
        let checked = check.await.unwrap();
        parts += 1;
        assert!(
            checked.built.resources + checked.found.resources <= 200,
            "{checked:?}"
        );
        place = checked.next;
        if place.is_none() {
            return parts;
        }
    }
}

#[tokio::test]
async fn indexes_are_completed_in_parts_unless_the_first_part_has_met_an_obstacle() {
    let directory = with_badges().await;
    // More doors than an index takes, in the first page.
    create(&directory, 0, 50).await;
    for number in 1..230 {
        create(&directory, number, 2).await;
    }
    register(&directory, badge(true)).await;
    directory.clock.advance_seconds(120);
    let parts = build_in_parts(&directory).await;
    assert!(parts > 10, "{parts}");
    let config = directory.provider.config(&acme()).await.unwrap();
    let building: Vec<_> = config
        .building
        .iter()
        .map(|index| index.path.clone())
        .collect();
    assert_eq!(building, [format!("{BADGE}:doors")]);
    let (_, cost) = found(&directory, "number eq \"n229\"").await;
    assert_eq!((cost.calls, cost.read_units), (2, 2.0));
    let left = examine(&directory).await;
    assert_eq!((left.missing, left.stray, left.crowded.len()), (0, 0, 1));
}

#[tokio::test]
async fn an_index_that_cannot_hold_a_resource_is_never_used() {
    let directory = with_badges().await;
    let opener = create(&directory, 0, 50).await;
    register(&directory, badge(true)).await;
    directory.clock.advance_seconds(120);
    let built = build(&directory).await;
    assert_eq!(built.crowded, [format!("User {BADGE}:doors {opener}")]);
    assert!(!examine(&directory).await.is_mendable());
    // The resource is still found by every query. It can be changed, but not made worse.
    let (ids, _) = found(&directory, "doors eq \"d49\"").await;
    assert_eq!(ids, std::slice::from_ref(&opener));
    let scope = directory.scope().await;
    directory
        .set(&scope, "User", &opener, "title", "Janitor")
        .await;
    let patch = async |operation: Value| {
        let scope = directory.scope().await;
        directory.patch(&scope, "User", &opener, operation).await
    };
    let path = format!("{BADGE}:doors");
    let more = json!({"op": "add", "path": path, "value": ["e"]});
    let refused = patch(more).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidValue);
    assert!(
        refused.detail().contains("51 different values"),
        "{refused}"
    );

    let few = json!({"op": "replace", "path": path, "value": ["d1", "d49"]});
    patch(few).await.unwrap();
    assert_eq!(build(&directory).await.crowded, [""; 0]);
    let (ids, cost) = found(&directory, "doors eq \"d49\"").await;
    assert_eq!((ids, cost.calls), (vec![opener], 2));
    assert!(examine(&directory).await.is_clean());
}

#[tokio::test]
async fn a_resource_with_many_values_can_be_deleted() {
    let directory = with_badges().await;
    register(&directory, badge(true)).await;
    let scope = directory.scope().await;
    let mut body = user(0);
    let email = |number: usize| json!({"value": format!("{number}@example.com")});
    body["emails"] = (0..40).map(email).collect();
    let doors = |count: usize| -> Vec<String> { (0..count).map(|n| format!("d{n}")).collect() };
    body[BADGE] = json!({"doors": doors(40)});
    // 40 e-mail addresses, 40 doors, the name and the external id are 82 values, of at most 90.
    let id = directory.create(&scope, "User", body.clone()).await;
    directory.delete(&scope, "User", &id).await;

    let mut schema = badge(true);
    let more = json!({"name": "rooms", "type": "string", "multiValued": true, "indexed": true});
    schema["attributes"].as_array_mut().unwrap().push(more);
    register(&directory, schema).await;
    body[BADGE]["rooms"] = json!(doors(9));
    let scope = directory.scope().await;
    let refused = directory.try_create(&scope, "User", body).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidValue);
    assert!(refused.detail().contains("91 values"), "{refused}");
    assert!(examine(&directory).await.is_clean());
}

#[tokio::test]
async fn an_index_is_complete_although_resources_change_while_it_is_built() {
    let directory = with_badges().await;
    let mut users = Vec::new();
    for number in 0..60 {
        users.push(create(&directory, number, 2).await);
    }
    register(&directory, badge(true)).await;
    directory.clock.advance_seconds(120);
    let change = async {
        for (number, id) in users.iter().enumerate().step_by(3) {
            let scope = directory.scope().await;
            let path = format!("{BADGE}:number");
            let value = format!("changed{number}");
            directory.set(&scope, "User", id, &path, &value).await;
        }
    };
    let tenant = acme();
    let (built, ()) = tokio::join!(directory.provider.build_indexes(&tenant), change);
    built.unwrap();
    let findings = examine(&directory).await;
    assert!(findings.is_clean(), "{findings:?}");
    let (ids, cost) = found(&directory, "number eq \"changed30\"").await;
    assert_eq!((ids, cost.calls), (vec![users[30].clone()], 2));
}

#[tokio::test]
async fn every_value_that_is_taken_is_found() {
    let directory = Directory::start().await;
    let with = |emails: std::ops::Range<usize>| {
        let email = |number: usize| json!({"value": format!("{number}@example.com")});
        emails.map(email).collect::<Value>()
    };
    let mut body = user(0);
    body["emails"] = with(0..41);
    let scope = directory.scope().await;
    let refused = directory.try_create(&scope, "User", body.clone()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidValue);
    assert!(
        refused.detail().contains("`emails.value` has 41"),
        "{refused}"
    );

    body["emails"] = with(0..40);
    let id = directory.create(&scope, "User", body).await;
    let emails = async |number: usize| {
        let filter = encoded(&format!("emails.value eq \"{number}@example.com\""));
        directory
            .priced("User", &format!("filter={filter}"))
            .await
            .0["totalResults"]
            .clone()
    };
    assert_eq!(emails(39).await, 1);
    // All of them can be replaced at once.
    let all = json!({"op": "replace", "path": "emails", "value": with(100..140)});
    directory.patch(&scope, "User", &id, all).await.unwrap();
    assert_eq!((emails(39).await, emails(139).await), (json!(0), json!(1)));
    let one = json!({"op": "add", "path": "emails", "value": with(0..1)});
    let refused = directory.patch(&scope, "User", &id, one).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidValue);
    assert!(examine(&directory).await.is_clean());
}
