//! The index that finds resources by the hour of their last change: the cost of maintaining it, what
//! it saves, and how it is switched on and off while there are resources.

use scim_lambda::identity::TenantId;
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::protocol::profile::Rules;
use scim_lambda::provider::Repair;
use serde_json::json;

use crate::directory::{self, Cost, Directory, encoded, ids};

const HOUR: u64 = 3_600;
/// Longer than any process works with an earlier configuration.
const FOR_ALL_TO_KNOW: u64 = 81;

fn indexed(on: bool) -> Rules {
    let mut rules = Rules::default();
    rules.switches.last_modified_index = on;
    rules
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

/// A directory with the index, and eight users who were created one in each hour.
async fn by_hours() -> (Directory, Vec<String>) {
    let directory = Directory::start().await;
    directory.begin("acme", &indexed(true)).await;
    let users = hourly(&directory).await;
    (directory, users)
}

async fn hourly(directory: &Directory) -> Vec<String> {
    let mut users = Vec::new();
    for number in 0..8 {
        let scope = directory.scope().await;
        users.push(
            directory
                .create(&scope, "User", directory::user(number))
                .await,
        );
        directory.clock.advance_seconds(HOUR);
    }
    users
}

async fn changed_at(directory: &Directory, id: &str) -> String {
    let scope = directory.scope().await;
    let user = directory.get(&scope, "User", id).await;
    user["meta"]["lastModified"].as_str().unwrap().to_owned()
}

/// Changes a user, and returns the cost.
async fn change(directory: &Directory, id: &str, title: &str) -> Cost {
    let scope = directory.scope().await;
    let before = directory.calls();
    directory.set(&scope, "User", id, "title", title).await;
    directory.cost(&scope, before)
}

/// The users who have changed after a time, and the cost of finding them.
async fn changed_after(directory: &Directory, time: &str) -> (Vec<String>, Cost) {
    let filter = encoded(&format!("meta.lastModified gt \"{time}\""));
    let query = format!("attributes=userName&count=100&filter={filter}");
    let (list, cost) = directory.priced("User", &query).await;
    assert_eq!(list["totalResults"], ids(&list).len());
    (ids(&list), cost)
}

async fn assert_clean(directory: &Directory) {
    let findings = directory.provider.examine(&acme(), Repair::Look).await;
    let findings = findings.unwrap();
    assert!(findings.is_clean(), "{findings:?}");
}

#[tokio::test]
async fn an_entry_moves_once_an_hour_at_the_most() {
    let (directory, users) = by_hours().await;
    let id = &users[0];
    let moved = change(&directory, id, "One").await;
    let same_hour = change(&directory, id, "Two").await;
    // A read and one conditional update, as without the index.
    assert_eq!((same_hour.calls, same_hour.write_units), (2, 1.0));
    // A read and one transaction of three items.
    assert_eq!((moved.calls, moved.write_units), (2, 6.0));
    directory.clock.advance_seconds(HOUR);
    assert_eq!(change(&directory, id, "Three").await, moved);
    assert_clean(&directory).await;
}

#[tokio::test]
async fn recently_changed_users_are_found_without_reading_the_others() {
    let (directory, users) = by_hours().await;
    let since = changed_at(&directory, &users[5]).await;
    let (found, cost) = changed_after(&directory, &since).await;
    assert_eq!(found, users[6..]);
    // The index, and the resources of three hours in one batch.
    assert_eq!((cost.calls, cost.read_units), (2, 4.0));

    change(&directory, &users[0], "New").await;
    let scope = directory.scope().await;
    directory.delete(&scope, "User", &users[7]).await;
    let (found, _) = changed_after(&directory, &since).await;
    assert_eq!(found, [&users[6], &users[0]].map(Clone::clone));
    assert_clean(&directory).await;
}

#[tokio::test]
async fn groups_change_beside_their_bodies_and_have_no_such_index() {
    let (directory, users) = by_hours().await;
    let scope = directory.scope().await;
    let group = json!({"displayName": "Tour Guides"});
    let group = directory.create(&scope, "Group", group).await;
    let since = changed_at(&directory, &users[7]).await;
    directory.clock.advance_seconds(HOUR);
    directory
        .set(&scope, "Group", &group, "members", &users[0])
        .await;
    for (operator, expected) in [("gt", vec![group]), ("lt", Vec::new())] {
        let filter = encoded(&format!("meta.lastModified {operator} \"{since}\""));
        let query = format!("filter={filter}");
        let list = directory.list(&scope, "Group", &query).await.unwrap();
        assert_eq!(ids(&list), expected);
    }
    assert_clean(&directory).await;
}

#[tokio::test]
async fn switched_on_it_is_used_when_every_resource_has_its_entry() {
    let directory = Directory::start().await;
    let users = hourly(&directory).await;
    let since = changed_at(&directory, &users[5]).await;
    let (_, by_all) = changed_after(&directory, &since).await;

    let turned = directory.provider.set_rules(&acme(), &indexed(true)).await;
    assert!(turned.unwrap().contains(&"User".to_owned()));
    let (found, cost) = changed_after(&directory, &since).await;
    assert_eq!(found, users[6..]);
    assert_eq!(cost.calls, by_all.calls);
    // A process that does not know the switch yet may still change a user without moving its entry.
    let early = directory.provider.build_indexes(&acme()).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Conflict);

    directory.clock.advance_seconds(FOR_ALL_TO_KNOW);
    change(&directory, &users[6], "New").await;
    let built = directory.provider.build_indexes(&acme()).await.unwrap();
    assert_eq!((built.missing, built.stray), (7, 0));
    assert_clean(&directory).await;
    let (found, cost) = changed_after(&directory, &since).await;
    assert_eq!(found, [&users[7], &users[6]].map(Clone::clone));
    assert_eq!(cost.calls, 2);
    let again = directory.provider.set_rules(&acme(), &indexed(true)).await;
    assert!(again.unwrap().is_empty());
}

#[tokio::test]
async fn switched_off_it_is_kept_until_no_process_uses_it_and_then_swept() {
    let (directory, users) = by_hours().await;
    let since = changed_at(&directory, &users[5]).await;
    let turned = directory.provider.set_rules(&acme(), &indexed(false)).await;
    assert!(!turned.unwrap().is_empty());
    // Another process may still use it.
    let kept = change(&directory, &users[0], "New").await;
    assert_eq!(kept.write_units, 6.0);
    assert_eq!(changed_after(&directory, &since).await.0.len(), 3);
    assert_clean(&directory).await;

    directory.clock.advance_seconds(FOR_ALL_TO_KNOW);
    let swept = directory.provider.build_indexes(&acme()).await.unwrap();
    assert_eq!((swept.missing, swept.stray), (0, 8));
    assert_clean(&directory).await;
    directory.clock.advance_seconds(HOUR);
    let without = change(&directory, &users[1], "New").await;
    assert_eq!((without.calls, without.write_units), (2, 1.0));
    assert_eq!(changed_after(&directory, &since).await.0.len(), 4);
}

#[tokio::test]
async fn entries_that_a_late_process_missed_are_found_by_the_doctor() {
    let directory = Directory::start().await;
    directory.begin("acme", &indexed(true)).await;
    let users = hourly(&directory).await;
    // An operator writes the rules directly, without going through a process.
    directory.begin("acme", &indexed(false)).await;
    directory.provider.tenants().forget(&acme());
    change(&directory, &users[0], "New").await;
    let looked = directory.provider.examine(&acme(), Repair::Look).await;
    assert_eq!(looked.unwrap().stray, 8);
    directory
        .provider
        .examine(&acme(), Repair::Mend)
        .await
        .unwrap();
    assert_clean(&directory).await;
}
