//! The cost of queries: calls counted where the SDK makes them, and capacity as the table reports it.

use scim_lambda::protocol::error::{Error, ErrorKind};
use scim_lambda::provider::ReadBudget;
use serde_json::json;

use crate::directory::{Cost, Directory, encoded, ids, user};

/// The attributes of a user that its own item has.
const PLAIN: &str = "excludedAttributes=groups";

fn cost(calls: u64, read_units: f64, write_units: f64) -> Cost {
    Cost {
        calls,
        read_units,
        write_units,
    }
}

#[tokio::test]
async fn lookups_by_key_are_two_calls_in_any_directory() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    for round in 0..2 {
        for number in round * 40..(round + 1) * 40 {
            directory.create(&scope, "User", user(number)).await;
        }
        for filter in [
            "userName eq \"USER-007@example.com\"",
            "externalId eq \"external-007\"",
            "emails.value eq \"user-007@example.com\"",
            "emails[type eq \"work\" and value eq \"user-007@example.com\"]",
            "userName eq \"user-007@example.com\" and active eq true",
        ] {
            let query = format!("{PLAIN}&filter={}", encoded(filter));
            let (list, found) = directory.priced("User", &query).await;
            assert_eq!(list["totalResults"], 1, "{filter}");
            assert_eq!(found, cost(2, 2.0, 0.0), "{filter}");
        }
        let query = format!("filter={}", encoded("userName eq \"nobody\""));
        let (list, found) = directory.priced("User", &query).await;
        assert_eq!(list["totalResults"], 0);
        assert_eq!(found, cost(1, 1.0, 0.0));
    }
}

#[tokio::test]
async fn membership_is_two_calls_for_groups_of_any_size() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 30).await;
    for size in [2, 30] {
        let members: Vec<_> = users[..size]
            .iter()
            .map(|id| json!({"value": id}))
            .collect();
        let group = json!({"displayName": "Tour Guides", "members": members});
        let group = directory.create(&scope, "Group", group).await;
        for (member, total) in [(&users[1], 1), (&group, 0)] {
            let filter = format!("id eq \"{group}\" and members eq \"{member}\"");
            let query = format!("excludedAttributes=members&filter={}", encoded(&filter));
            let (list, found) = directory.priced("Group", &query).await;
            assert_eq!(list["totalResults"], total);
            assert_eq!(found, cost(2, 2.0, 0.0));
        }
    }
}

#[tokio::test]
async fn a_page_is_three_calls_and_a_page_by_cursor_one() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 50).await;
    let base = format!("{PLAIN}&count=20");

    let (first, begun) = directory.priced("User", &format!("{base}&cursor")).await;
    assert_eq!(begun.calls, 2);
    let cursor = first["nextCursor"].as_str().unwrap();
    let (second, by_cursor) = directory
        .priced("User", &format!("{base}&cursor={cursor}"))
        .await;
    assert_eq!(
        (ids(&first), ids(&second)),
        (users[..20].to_vec(), users[20..40].to_vec())
    );
    let page = by_cursor.read_units;
    // Twenty users of less than 1 KB are read in units of 4 KB.
    assert!(page <= 5.0, "{page}");
    assert_eq!(by_cursor, cost(1, page, 0.0));
    assert_eq!(begun, cost(2, page + 1.0, 0.0));

    let (first, found) = directory.priced("User", &base).await;
    assert_eq!(ids(&first), users[..20]);
    assert_eq!(found, cost(3, page + 1.0, 1.0));
    let (second, found) = directory
        .priced("User", &format!("{base}&startIndex=21"))
        .await;
    assert_eq!(ids(&second), users[20..40]);
    assert_eq!(found, cost(3, page + 1.0, 1.0));
    // The last page reads the present state, and leaves a mark for a client that comes back.
    let (last, found) = directory
        .priced("User", &format!("{base}&startIndex=41"))
        .await;
    assert_eq!(
        (ids(&last), found.calls, found.write_units),
        (users[40..].to_vec(), 4, 1.0)
    );
    let (behind, found) = directory
        .priced("User", &format!("{base}&startIndex=51"))
        .await;
    assert_eq!(
        (ids(&behind).len(), found.calls, found.write_units),
        (0, 3, 0.0)
    );
    assert!(found.read_units <= 3.0, "{found:?}");
}

/// The error of a query, and its cost.
async fn refused(directory: &Directory, name: &str, query: &str) -> (Error, Cost) {
    let (scope, before) = (directory.scope().await, directory.calls());
    let Err(error) = directory.list(&scope, name, query).await else {
        panic!("{query} was answered");
    };
    assert_eq!(error.kind(), ErrorKind::TooMany, "{query}");
    (error, directory.cost(&scope, before))
}

#[tokio::test]
async fn lists_that_would_read_too_much_are_refused_before_they_read() {
    let budget = ReadBudget {
        resources: 20,
        ..ReadBudget::default()
    };
    let directory = Directory::with_budget(budget).await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 21).await;
    for filter in [
        "title eq \"Title 3\"",
        "not (title eq \"Title 3\")",
        "title co \"3\" or userName eq \"user-001@example.com\"",
        "groups.display eq \"g\"",
    ] {
        let filter = encoded(filter);
        for query in ["", "&count=1", "&count=0", "&startIndex=5", "&sortBy=title"] {
            let (error, found) =
                refused(&directory, "User", &format!("filter={filter}{query}")).await;
            let marks = u64::from(query.contains("startIndex"));
            assert_eq!(
                found,
                cost(1 + marks, 1.0 + marks as f64, 0.0),
                "{filter}{query}"
            );
            assert!(error.detail().contains("userName, externalId"), "{error}");
        }
    }
    // With the order of an index, each resource has to be read as well.
    let query = format!("sortBy=externalId&filter={}", encoded("title pr"));
    let (_, found) = refused(&directory, "User", &query).await;
    assert_eq!(found, cost(1, 1.0, 0.0));
    // Over all types the counters of each type are read, one call for each.
    let types = scope.tenant.registry.resource_types().iter().count() as u64;
    for query in [
        format!("filter={}", encoded("externalId ew \"3\"")),
        "sortBy=externalId".to_owned(),
    ] {
        let (_, found) = refused(&directory, "", &query).await;
        assert_eq!(found.calls, types, "{query}");
        assert!(found.read_units <= types as f64, "{query}: {found:?}");
    }
    // By cursor the page is searched for, and nothing after it.
    let query = format!("{PLAIN}&count=2&cursor&filter={}", encoded("title pr"));
    let (list, found) = directory.priced("User", &query).await;
    assert_eq!((ids(&list).len(), list.get("totalResults")), (2, None));
    assert!(found.calls == 2 && found.read_units <= 6.0, "{found:?}");
    let (error, found) = refused(&directory, "User", "sortBy=title&cursor").await;
    assert_eq!(found, cost(1, 1.0, 0.0));
    // An index of several values finds resources but gives no order.
    let sortable = "sort by one with a single value (User: userName, externalId)";
    assert!(error.detail().ends_with(sortable), "{error}");
}

#[tokio::test]
async fn keys_are_counted_before_their_resources_are_read() {
    let budget = ReadBudget {
        resources: 100,
        ..ReadBudget::default()
    };
    let directory = Directory::with_budget(budget).await;
    let scope = directory.scope().await;
    let mut members = Vec::new();
    for number in 0..110 {
        let mut body = user(number);
        body["externalId"] = json!(if number < 105 { "same" } else { "other" });
        members.push(json!({"value": directory.create(&scope, "User", body).await}));
    }
    let group = json!({"displayName": "g", "members": members});
    let group = directory.create(&scope, "Group", group).await;
    let member = format!("groups.value eq \"{group}\" and title ew \"3\"");
    for filter in [
        "userName sw \"user\" and title ew \"3\"",
        "externalId eq \"same\" and title ew \"3\"",
        "emails[value sw \"user\" and type eq \"home\"]",
        &member,
    ] {
        let filter = encoded(filter);
        // The first batch of entries and resources, and then the other entries.
        let (_, found) = refused(&directory, "User", &format!("count=9&filter={filter}")).await;
        assert!(
            found.calls <= 6 && found.read_units <= 64.0 + 12.0,
            "{filter}: {found:?}"
        );
        let (_, found) =
            refused(&directory, "User", &format!("filter={filter}&sortBy=title")).await;
        assert!(
            found.calls <= 6 && found.read_units <= 64.0 + 12.0,
            "{filter}: {found:?}"
        );
        // By cursor the page is found, without a total.
        let query = format!("{PLAIN}&count=2&cursor&filter={filter}");
        let (list, _) = directory.priced("User", &query).await;
        assert_eq!(list.get("totalResults"), None, "{filter}");
    }
    // A small number of keys is counted in passing, without a further call.
    let filter = encoded("externalId eq \"other\" and title pr");
    let (list, found) = directory
        .priced("User", &format!("{PLAIN}&filter={filter}"))
        .await;
    assert_eq!((&list["totalResults"], found.calls), (&json!(5), 2));
}

#[tokio::test]
async fn a_total_that_costs_too_much_is_refused_or_left_out() {
    let budget = ReadBudget {
        total_units: 1,
        ..ReadBudget::default()
    };
    let directory = Directory::with_budget(budget).await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 90).await;
    let members: Vec<_> = users.iter().map(|id| json!({"value": id})).collect();
    let group = json!({"displayName": "g", "members": members});
    let group = directory.create(&scope, "Group", group).await;
    let inner = json!([{"value": group, "type": "Group"}]);
    let outer = json!({"displayName": "outer", "members": inner});
    let outer = directory.create(&scope, "Group", outer).await;
    for filter in [
        "emails.value sw \"user\"".to_owned(),
        "userName sw \"user\"".to_owned(),
        "active eq true".to_owned(),
        "userName sw \"user\" and active eq true".to_owned(),
        format!("groups.value eq \"{group}\""),
        format!("groups.value eq \"{outer}\""),
    ] {
        let filter = encoded(&filter);
        for count in [0, 1] {
            if count == 1 && filter.starts_with("active") {
                // One call reads all of so small a directory.
                continue;
            }
            let query = format!("{PLAIN}&count={count}&filter={filter}");
            let (error, found) = refused(&directory, "User", &query).await;
            assert!(error.detail().contains("totalResults"), "{error}");
            // Where matches have to be searched for among others, a first batch is read, and no more.
            let most = if count == 1 { 68.0 } else { 10.0 };
            assert!(found.read_units <= most, "{filter}: {found:?}");
            let (list, found) = directory.priced("User", &format!("{query}&cursor")).await;
            assert_eq!(list.get("totalResults"), None, "{filter}");
            assert_eq!(ids(&list).len(), count, "{filter}");
            assert!(found.read_units <= most, "{filter}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_total_by_keys_reads_no_resource() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    for number in 0..60 {
        let mut body = user(number);
        let other = json!({"value": format!("user-{number:03}@home.example.com"), "type": "home"});
        body["emails"].as_array_mut().unwrap().push(other);
        directory.create(&scope, "User", body).await;
    }
    // Sixty users have 120 entries here.
    let query = format!(
        "{PLAIN}&count=1&filter={}",
        encoded("emails.value sw \"user\"")
    );
    let (list, found) = directory.priced("User", &query).await;
    assert_eq!((&list["totalResults"], ids(&list).len()), (&json!(60), 1));
    assert!(found.calls == 4 && found.read_units <= 8.0, "{found:?}");
    let (list, _) = directory
        .priced("User", &query.replace("count=1", "count=100"))
        .await;
    assert_eq!((&list["totalResults"], ids(&list).len()), (&json!(60), 60));
}

#[tokio::test]
async fn an_ordered_page_costs_the_same_at_every_position() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 60).await;
    let base = format!("{PLAIN}&count=10&sortBy=userName");
    // The first page reads the counter where later ones read the mark.
    for start in [1, 11, 21, 31, 41] {
        let (list, found) = directory
            .priced("User", &format!("{base}&startIndex={start}"))
            .await;
        assert_eq!(
            list["Resources"][0]["userName"],
            format!("user-{:03}@example.com", start - 1)
        );
        assert_eq!(found, cost(4, 12.0, 1.0), "{start}");
    }
}

#[tokio::test]
async fn a_filter_that_can_match_nothing_reads_nothing() {
    let directory = Directory::start().await;
    let query = format!("filter={}", encoded("meta.resourceType eq \"Group\""));
    let (list, found) = directory.priced("User", &query).await;
    assert_eq!(
        (&list["totalResults"], found),
        (&json!(0), cost(0, 0.0, 0.0))
    );
}

/// A filter of this many values, one of which no resource has.
fn any_of(path: &str, values: impl Iterator<Item = String>) -> String {
    let tests: Vec<String> = values
        .map(|value| format!("{path} eq \"{value}\""))
        .collect();
    encoded(&tests.join(" or "))
}

#[tokio::test]
async fn many_values_are_looked_up_together() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 120).await;
    let names = |number: usize| format!("user-{number:03}@example.com");
    let externals = |number: usize| format!("external-{number:03}");
    let cases = [
        // Two batches of claims, two of users.
        ("userName", any_of("userName", (0..190).map(names)), 4),
        ("id", any_of("id", users.iter().cloned()), 2),
        // One lookup for each value, in parallel, and two batches of users.
        (
            "externalId",
            any_of("externalId", (0..190).map(externals)),
            192,
        ),
        ("emails", any_of("emails.value", (0..190).map(names)), 192),
    ];
    for (path, filter, calls) in cases {
        let query = format!("{PLAIN}&count=200&filter={filter}");
        let (list, found) = directory.priced("User", &query).await;
        assert_eq!(list["totalResults"], 120, "{path}");
        assert_eq!((ids(&list).len(), found.calls), (120, calls), "{path}");
    }
}

#[tokio::test]
async fn groups_of_users_with_adjacent_ids_are_read_together() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 60).await;
    let members: Vec<_> = users.iter().map(|id| json!({"value": id})).collect();
    for name in ["One", "Two"] {
        let group = json!({"displayName": name, "members": members});
        directory.create(&scope, "Group", group).await;
    }
    let shown = async |query: &str| {
        let (list, found) = directory.priced("User", query).await;
        for user in list["Resources"].as_array().unwrap() {
            assert_eq!(user["groups"].as_array().unwrap().len(), 2, "{user}");
        }
        (list["totalResults"].as_u64().unwrap(), found.calls)
    };
    // An index and a batch of users, a range in each of four partitions, one batch of groups.
    let named = format!("filter={}", encoded("userName sw \"user-0\""));
    assert_eq!(shown(&named).await, (60, 7));
    // Where few memberships are in a partition, with others in between, some are looked up one by one.
    let title = "title eq \"Title 3\" or title eq \"Title 4\"";
    let (users, calls) = shown(&format!("filter={}", encoded(title))).await;
    assert!(users == 17 && calls < 17, "{calls}");
}

#[tokio::test]
async fn the_names_of_members_are_read_together() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 40).await;
    for (number, members) in users.chunks(4).enumerate() {
        let members: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
        let group = json!({"displayName": format!("Group {number}"), "members": members});
        directory.create(&scope, "Group", group).await;
    }
    // The page, the counter, the members of each of ten groups, and one batch of users.
    let (list, found) = directory.priced("Group", "").await;
    let groups = list["Resources"].as_array().unwrap();
    assert_eq!((groups.len(), found.calls), (10, 13));
    for (number, group) in groups.iter().enumerate() {
        let name = |member: usize| format!("user-{:03}@example.com", number * 4 + member);
        for (member, shown) in group["members"].as_array().unwrap().iter().enumerate() {
            assert_eq!(shown["display"], name(member));
        }
    }
}

#[tokio::test]
async fn members_of_groups_that_are_too_large_are_not_read() {
    let budget = ReadBudget {
        // Ten member items.
        bytes: 1_300,
        ..ReadBudget::default()
    };
    let directory = Directory::with_budget(budget).await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 25).await;
    let members: Vec<_> = users.iter().map(|id| json!({"value": id})).collect();
    let group = json!({"displayName": "g", "members": members});
    directory.create(&scope, "Group", group).await;
    let query = format!("filter={}", encoded("members.type eq \"Group\""));
    // The counter and the group.
    let (error, found) = refused(&directory, "Group", &query).await;
    assert_eq!(found, cost(2, 2.0, 0.0), "{error}");
    assert!(error.detail().contains("too many members"), "{error}");
}

/// Groups that are created between the users of a page have ids between theirs, and are in the same
/// partitions as members of other groups.
#[tokio::test]
async fn groups_between_the_users_of_a_page_add_little_cost() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let mut found = Vec::new();
    for groups in [0, 60] {
        let users = directory.create_users(&scope, 5).await;
        let mut nested = Vec::<String>::new();
        for number in 0..groups {
            let members: Vec<_> = nested.iter().map(|id| json!({"value": id})).collect();
            let group = json!({"displayName": format!("g{number}"), "members": members});
            nested.push(directory.create(&scope, "Group", group).await);
        }
        let later = user(groups + 1_000);
        let last = directory.create(&scope, "User", later).await;
        let group =
            json!({"displayName": "of users", "members": [{"value": users[0]}, {"value": last}]});
        directory.create(&scope, "Group", group).await;
        let (list, price) = directory.priced("User", "attributes=groups.display").await;
        let members = list["Resources"].as_array().unwrap().iter();
        let members = members.filter(|user| user["groups"] == json!([{"display": "of users"}]));
        assert_eq!(members.count(), 2);
        found.push(price);
        for id in [&users[..], &[last]].concat() {
            directory.delete(&scope, "User", &id).await;
        }
    }
    let [alone, among] = found.as_slice() else {
        panic!("{found:?}");
    };
    // In each of the four partitions, a read may meet memberships of groups once before it skips them.
    assert!(among.calls <= alone.calls + 4, "{found:?}");
    assert!(among.read_units <= alone.read_units + 8.0, "{found:?}");
}

/// A page ends where the answer is full. The groups of the users after that are not looked up.
#[tokio::test]
async fn groups_of_users_after_the_end_of_an_answer_are_not_read() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 270).await;
    let members = |users: &[String]| -> Vec<_> {
        let members = users.iter().map(|id| json!({"value": id}));
        members.collect()
    };
    // 20 KB in the answer for each of 250 users are more than the 4 MB that an answer holds.
    let large = json!({"displayName": "g".repeat(20_000), "members": members(&users[..250])});
    directory.create(&scope, "Group", large).await;
    let query = "count=270&cursor&attributes=groups.display";
    let (list, before) = directory.priced("User", query).await;
    assert!(ids(&list).len() < 250 && list["nextCursor"].is_string());
    for (number, user) in users[250..].iter().enumerate() {
        let small = json!({"displayName": format!("{number}"), "members": [{"value": user}]});
        directory.create(&scope, "Group", small).await;
    }
    let (again, after) = directory.priced("User", query).await;
    assert_eq!(ids(&again), ids(&list));
    assert_eq!(after, before, "the 20 groups of the last users");
}
