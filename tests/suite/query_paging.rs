//! Walks through lists while they change, and cursors that are not valid.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::protocol::message::{Parameters, Query};
use scim_lambda::provider::{ReadBudget, RequestScope};
use scim_lambda::store::{ChangeAttempt, Guard, Member, MemberChange, MemberPlan};
use serde_json::{Value, json};

use crate::directory::{self, Directory, encoded, ids, resource_type, user};

/// Asks for the page after those that were seen; `None` when there is none.
async fn next_page(
    directory: &Directory,
    scope: &RequestScope,
    query: &str,
    seen: usize,
    last: Option<&Value>,
) -> Option<Value> {
    let page = match last {
        None if query.contains("cursor") => query.to_owned(),
        Some(last) if query.contains("cursor") => {
            format!("{query}={}", last["nextCursor"].as_str()?)
        }
        _ => format!("{query}&startIndex={}", seen + 1),
    };
    let list = directory.list(scope, "User", &page).await.unwrap();
    (!ids(&list).is_empty()).then_some(list)
}

#[tokio::test]
async fn users_that_exist_throughout_are_seen_exactly_once() {
    let directory = Directory::start().await;
    for query in ["count=7", "count=7&cursor"] {
        let scope = directory.scope_of("acme", "1").await;
        let there = directory.create_users(&scope, 60).await;
        let (mut seen, mut gone) = (Vec::<String>::new(), BTreeSet::new());
        let (mut last, mut total) = (None, 60);
        while let Some(list) = next_page(&directory, &scope, query, seen.len(), last.as_ref()).await
        {
            let now = list["totalResults"].as_u64().unwrap();
            assert!(
                now >= total,
                "{query}: the total shrinks from {total} to {now}"
            );
            total = now;
            seen.extend(ids(&list));
            // One user that was seen is deleted, one that was not seen is deleted, and one is created.
            let unseen = there
                .iter()
                .rev()
                .find(|id| !seen.contains(id) && !gone.contains(*id));
            for id in [seen.first(), unseen].into_iter().flatten() {
                if gone.insert(id.clone()) {
                    directory.delete(&scope, "User", id).await;
                }
            }
            // A walk also shows later users, so it ends when no more are created.
            if seen.len() < 50 {
                let newcomer = json!({"userName": format!("newcomer-{}", seen.len())});
                gone.insert(directory.create(&scope, "User", newcomer).await);
            }
            last = Some(list);
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        assert_eq!(distinct.len(), seen.len(), "{query}: a user was seen twice");
        for id in there.iter().filter(|id| !gone.contains(*id)) {
            assert!(seen.contains(id), "{query}: a user was left out");
        }
        let scope = directory.scope_of("acme", "1").await;
        let list = directory.list(&scope, "User", "count=1000").await.unwrap();
        for id in ids(&list) {
            directory.delete(&scope, "User", &id).await;
        }
    }
}

/// Queries that show users in the order of their creation, one for each way to count the matches.
const IN_CREATION_ORDER: [&str; 6] = [
    "",
    "sortBy=userName&",
    "sortBy=externalId&",
    "filter=userName%20sw%20%22user%22&",
    "filter=emails.value%20sw%20%22user%22&",
    "filter=active%20eq%20true&",
];

#[tokio::test]
async fn a_walk_by_index_shows_later_users() {
    for query in IN_CREATION_ORDER {
        let directory = Directory::start().await;
        let scope = directory.scope().await;
        let page = async |start: usize| {
            let query = format!("{query}count=10&startIndex={start}");
            let list = directory.list(&scope, "User", &query).await.unwrap();
            (ids(&list), list["totalResults"].as_u64().unwrap())
        };
        let mut users = directory.create_users(&scope, 15).await;
        assert_eq!(page(1).await, (users[..10].to_vec(), 15), "{query}");
        assert_eq!(page(11).await, (users[10..].to_vec(), 15), "{query}");
        assert_eq!(page(16).await, (Vec::new(), 15), "{query}");
        for number in 15..35 {
            users.push(directory.create(&scope, "User", user(number)).await);
        }
        // After the walk's end, at its end, and where it reaches the end.
        assert_eq!(page(21).await, (users[20..30].to_vec(), 35), "{query}");
        assert_eq!(page(16).await, (users[15..25].to_vec(), 35), "{query}");
        assert_eq!(page(11).await, (users[10..20].to_vec(), 35), "{query}");
        assert_eq!(page(31).await, (users[30..].to_vec(), 35), "{query}");
        assert_eq!(page(36).await, (Vec::new(), 35), "{query}");
        assert_eq!(page(1_000_000).await, (Vec::new(), 35), "{query}");
    }
}

#[tokio::test]
async fn a_client_that_comes_back_sees_later_users_in_spite_of_deletions() {
    for query in IN_CREATION_ORDER {
        let directory = Directory::start().await;
        let scope = directory.scope().await;
        let users = directory.create_users(&scope, 20).await;
        let page = async |start: usize| {
            let query = format!("{query}count=10&startIndex={start}");
            let list = directory.list(&scope, "User", &query).await.unwrap();
            (ids(&list), list["totalResults"].as_u64().unwrap())
        };
        for start in [1, 11] {
            assert_eq!(page(start).await.1, 20);
        }
        for gone in [2, 3, 14, 15, 16] {
            directory.delete(&scope, "User", &users[gone]).await;
        }
        let mut later = Vec::new();
        for number in 20..32 {
            later.push(directory.create(&scope, "User", user(number)).await);
        }
        let (first, total) = page(21).await;
        assert_eq!(first, later[..10], "{query}");
        assert!(total > 30, "{query}: {total} would end the walk");
        assert_eq!(page(31).await, (later[10..].to_vec(), 32), "{query}");
    }
}

#[tokio::test]
async fn a_total_never_shrinks_within_a_walk() {
    for query in IN_CREATION_ORDER {
        let directory = Directory::start().await;
        let scope = directory.scope().await;
        let users = directory.create_users(&scope, 30).await;
        let page = async |start: usize| {
            let query = format!("{query}count=5&startIndex={start}");
            let list = directory.list(&scope, "User", &query).await.unwrap();
            (ids(&list), list["totalResults"].as_u64().unwrap())
        };
        assert_eq!(page(1).await, (users[..5].to_vec(), 30), "{query}");
        for gone in &users[7..29] {
            directory.delete(&scope, "User", gone).await;
        }
        let rest = [users[5..7].to_vec(), users[29..].to_vec()].concat();
        assert_eq!(page(6).await, (rest, 30), "{query}");
        assert_eq!(page(9).await, (Vec::new(), 30), "{query}");
        // A new walk begins with the present state.
        assert_eq!(page(1).await.1, 8, "{query}");
    }
}

#[tokio::test]
async fn a_walk_by_cursor_never_shows_more_than_its_total() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    for (query, known) in [
        ("count=4", true),
        ("count=4&sortBy=userName", true),
        ("count=4&filter=userName%20sw%20%22user%22", true),
        ("count=4&filter=active%20eq%20true", false),
    ] {
        let there = directory.create_users(&scope, 8).await;
        let page = async |cursor: &str| {
            let query = format!("{query}&cursor={cursor}");
            directory.list(&scope, "User", &query).await.unwrap()
        };
        let first = page("").await;
        assert_eq!(first["totalResults"], 8, "{query}");
        let mut all = there.clone();
        for number in 8..14 {
            all.push(directory.create(&scope, "User", user(number)).await);
        }
        let (mut shown, mut last) = (ids(&first), first);
        while let Some(cursor) = last["nextCursor"].as_str() {
            last = page(cursor).await;
            shown.extend(ids(&last));
            let total = last["totalResults"].as_u64();
            let expected = if known { Some(14) } else { None };
            assert_eq!(total, expected, "{query}");
        }
        assert_eq!(shown, all, "{query}");
        for id in &all {
            directory.delete(&scope, "User", id).await;
        }
    }
}

#[tokio::test]
async fn a_page_without_a_mark_is_found_from_the_nearest_one() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 30).await;
    let check = async |start: usize| {
        let query = format!("count=5&startIndex={start}");
        let list = directory.list(&scope, "User", &query).await.unwrap();
        assert_eq!(ids(&list), users[start - 1..(start + 4).min(30)], "{start}");
        assert_eq!(
            (&list["startIndex"], &list["totalResults"]),
            (&json!(start), &json!(30))
        );
    };
    check(17).await;
    check(1).await;
    check(8).await;
    check(28).await;
    check(6).await;
    directory.clock.advance_seconds(3_601);
    check(11).await;
    for beyond in ["31", "1000000", "9223372036854775807"] {
        let query = format!("startIndex={beyond}");
        let list = directory.list(&scope, "User", &query).await.unwrap();
        assert_eq!((ids(&list).len(), &list["totalResults"]), (0, &json!(30)));
    }
}

#[tokio::test]
async fn walks_of_two_credentials_leave_each_other_alone() {
    let directory = Directory::start().await;
    let [one, other] = [
        directory.scope_of("acme", "1").await,
        directory.scope_of("acme", "2").await,
    ];
    let users = directory.create_users(&one, 10).await;
    let first = directory.list(&one, "User", "count=4").await.unwrap();
    assert_eq!(ids(&first), users[..4]);
    directory.delete(&one, "User", &users[0]).await;
    let second = directory
        .list(&one, "User", "count=4&startIndex=5")
        .await
        .unwrap();
    assert_eq!(
        (ids(&second).as_slice(), &second["totalResults"]),
        (&users[4..8], &json!(10))
    );
    let others = directory
        .list(&other, "User", "count=4&startIndex=5")
        .await
        .unwrap();
    assert_eq!(
        (ids(&others).as_slice(), &others["totalResults"]),
        (&users[5..9], &json!(9))
    );
}

/// The cursor to the second page of three users.
async fn second_page(directory: &Directory, scope: &RequestScope) -> String {
    let query = "count=3&cursor";
    let first = directory.list(scope, "User", query).await.unwrap();
    first["nextCursor"].as_str().unwrap().to_owned()
}

async fn check_refused(
    directory: &Directory,
    scope: &RequestScope,
    name: &str,
    query: &str,
    expected: ErrorKind,
) {
    let error = directory.list(scope, name, query).await.unwrap_err();
    assert_eq!(error.kind(), expected, "{name} {query}");
}

#[tokio::test]
async fn cursors_are_valid_for_their_own_query_only() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 9).await;
    let foreign = directory.scope_of("other", "1").await;
    directory.create_users(&foreign, 9).await;
    let colleague = directory.scope_of("acme", "2").await;
    let cursor = second_page(&directory, &scope).await;
    let query = format!("count=3&cursor={cursor}");
    for (scope, name) in [
        (&foreign, "User"),
        (&colleague, "User"),
        (&scope, "Group"),
        (&scope, ""),
    ] {
        check_refused(&directory, scope, name, &query, ErrorKind::InvalidCursor).await;
    }
    for other in [
        "filter=active%20eq%20true",
        "sortBy=userName",
        "sortOrder=descending",
    ] {
        let query = format!("{query}&{other}");
        check_refused(&directory, &scope, "User", &query, ErrorKind::InvalidCursor).await;
    }
    let second = directory.list(&scope, "User", &query).await.unwrap();
    assert_eq!(second["itemsPerPage"], 3);
}

#[tokio::test]
async fn cursors_that_were_changed_or_kept_too_long_are_refused() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 9).await;
    let cursor = second_page(&directory, &scope).await;
    let (head, tail) = cursor.split_at(cursor.len() / 2);
    let (longer, long) = (format!("{cursor}A"), "A".repeat(5_000));
    for text in [head, tail, "x", "%00", "AAAA", &longer, &long] {
        let query = format!("count=3&cursor={text}");
        check_refused(&directory, &scope, "User", &query, ErrorKind::InvalidCursor).await;
    }
    for count in [0, 2, 4] {
        let query = format!("count={count}&cursor={cursor}");
        check_refused(&directory, &scope, "User", &query, ErrorKind::InvalidCount).await;
    }
    // Without a count, that of the first request applies.
    let query = format!("cursor={cursor}");
    let second = directory.list(&scope, "User", &query).await.unwrap();
    assert_eq!(second["itemsPerPage"], 3);
    directory.clock.advance_seconds(3_601);
    check_refused(&directory, &scope, "User", &query, ErrorKind::ExpiredCursor).await;
}

#[tokio::test]
async fn a_walk_by_cursor_ends_with_a_page_that_has_matches() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 12).await;
    for query in [
        "count=4",
        "count=4&filter=active%20eq%20true",
        "count=4&sortBy=userName",
        "count=4&sortBy=title&filter=userName%20sw%20%22user%22",
        "count=4&filter=userName%20sw%20%22user%22",
        "count=4&sortBy=externalId&sortOrder=descending",
    ] {
        let (mut pages, mut cursor) = (0, String::new());
        loop {
            let page = format!("{query}&cursor={cursor}");
            let list = directory.list(&scope, "User", &page).await.unwrap();
            assert_eq!(
                (ids(&list).len(), &list["totalResults"]),
                (4, &json!(12)),
                "{query}"
            );
            assert!(list.get("startIndex").is_none());
            assert_eq!(list.get("previousCursor").is_some(), pages > 0, "{query}");
            pages += 1;
            match list["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(pages, 3, "{query}");
    }
}

#[tokio::test]
async fn a_walk_back_gives_the_same_pages() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 60).await;
    for query in [
        "count=2",
        "count=2&sortBy=userName&sortOrder=descending",
        "count=2&sortBy=title",
        "count=2&filter=userName%20sw%20%22user%22",
        "count=2&filter=title%20pr",
    ] {
        let page = async |cursor: &str| {
            let page = format!("{query}&cursor={cursor}");
            directory.list(&scope, "User", &page).await.unwrap()
        };
        let mut forth = vec![page("").await];
        while let Some(next) = forth.last().unwrap()["nextCursor"].as_str() {
            forth.push(page(next).await);
        }
        assert_eq!(forth.len(), 30);
        let mut back = vec![forth.last().unwrap().clone()];
        while let Some(previous) = back.last().unwrap()["previousCursor"].as_str() {
            assert!(previous.len() < 2_000);
            back.push(page(previous).await);
        }
        // A cursor has room for some pages. From there the walk leads forward again.
        assert!(back.len() > 8, "{query}: {}", back.len());
        let shown: Vec<_> = back.iter().rev().map(ids).collect();
        let expected: Vec<_> = forth[30 - back.len()..].iter().map(ids).collect();
        assert_eq!(shown, expected, "{query}");
        let again = page(back.last().unwrap()["nextCursor"].as_str().unwrap()).await;
        assert_eq!(ids(&again), shown[1], "{query}");
        assert_eq!(again["totalResults"], 60);
    }
}

#[tokio::test]
async fn cursors_show_no_value() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 4).await;
    let list = directory
        .list(&scope, "User", "count=2&sortBy=userName&cursor")
        .await
        .unwrap();
    let cursor = list["nextCursor"].as_str().unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("user-"));
    assert!(!cursor.contains("user"));
}

#[tokio::test]
async fn a_query_that_reads_too_much_is_refused_with_alternatives() {
    let budget = ReadBudget {
        resources: 20,
        ..ReadBudget::default()
    };
    let directory = Directory::with_budget(budget).await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 50).await;
    for query in [
        "filter=title%20eq%20%22Title%203%22",
        "sortBy=title",
        "sortBy=title&cursor",
        "startIndex=40",
    ] {
        let (scope, before) = (directory.scope().await, directory.calls());
        let error = directory.list(&scope, "User", query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooMany, "{query}");
        // Only the counter is read, and for a later page its mark.
        let cost = directory.cost(&scope, before);
        let calls = if query.contains("startIndex") { 2 } else { 1 };
        assert_eq!(
            (cost.calls, cost.read_units),
            (calls, calls as f64),
            "{query}"
        );
        assert!(
            error
                .detail()
                .contains("userName, externalId, emails.value"),
            "{}",
            error.detail()
        );
    }
    // Queries that use keys are answered.
    for query in [
        "count=15",
        "filter=userName%20sw%20%22user-00%22",
        "count=15&sortBy=userName",
    ] {
        directory.list(&scope, "User", query).await.unwrap();
    }
    let list = directory
        .list(&scope, "User", "count=15&startIndex=16")
        .await
        .unwrap();
    assert_eq!(ids(&list), users[15..30]);
    // By cursor a page is shorter instead, and the walk continues.
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    let filter = encoded("title eq \"Title 3\"");
    loop {
        let query = format!("filter={filter}&cursor={cursor}");
        let scope = directory.scope().await;
        let list = directory.list(&scope, "User", &query).await.unwrap();
        assert_eq!(list.get("totalResults"), None);
        found.extend(ids(&list));
        pages += 1;
        match list["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let expected: Vec<_> = users.iter().skip(3).step_by(7).cloned().collect();
    assert_eq!(found, expected);
    assert!(pages > 1);
}

#[tokio::test]
async fn large_resources_make_short_pages() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let mut large = Vec::new();
    for number in 0..20 {
        let mut body = user(number);
        body["displayName"] = json!("x".repeat(300_000));
        large.push(directory.create(&scope, "User", body).await);
    }
    let first = directory.list(&scope, "User", "").await.unwrap();
    assert_eq!(first["totalResults"], 20);
    let shown = ids(&first).len();
    assert!(first.to_string().len() < 5_000_000 && shown >= 10);
    let query = format!("startIndex={}", shown + 1);
    let second = directory.list(&scope, "User", &query).await.unwrap();
    assert_eq!(ids(&second), large[shown..]);
}

#[tokio::test]
async fn a_count_of_zero_asks_for_the_total() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 15).await;
    for (query, total) in [
        ("count=0", 15),
        ("count=0&cursor", 15),
        ("count=0&sortBy=title", 15),
        ("count=0&startIndex=4", 15),
        ("count=0&filter=userName%20sw%20%22user-00%22", 10),
        ("count=0&filter=title%20ew%20%221%22", 2),
    ] {
        let list = directory.list(&scope, "User", query).await.unwrap();
        assert_eq!(list["totalResults"], total, "{query}");
        assert_eq!(
            (&list["itemsPerPage"], &list["Resources"]),
            (&json!(0), &json!([]))
        );
        assert_eq!(list.get("nextCursor"), None);
    }
    let (_, cost) = directory.priced("User", "count=0").await;
    assert_eq!(cost.calls, 1);
}

#[tokio::test]
async fn the_root_lists_resources_of_every_type() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 5).await;
    let mut groups = Vec::new();
    for name in ["a", "b", "c"] {
        groups.push(
            directory
                .create(&scope, "Group", json!({"displayName": name}))
                .await,
        );
    }
    let list = directory.list(&scope, "", "").await.unwrap();
    assert_eq!(list["totalResults"], 8);
    let all: BTreeSet<_> = ids(&list).into_iter().collect();
    assert_eq!(all, users.iter().chain(&groups).cloned().collect());
    let check = async |filter: &str, expected: &[String]| {
        let query = format!("filter={}", encoded(filter));
        let list = directory.list(&scope, "", &query).await.unwrap();
        assert_eq!(ids(&list), expected, "{filter}");
    };
    check("meta.resourceType eq \"Group\"", &groups).await;
    check("displayName eq \"b\"", &groups[1..2]).await;
    check(
        "userName eq \"user-002@example.com\" or displayName eq \"a\"",
        &[users[2].clone(), groups[0].clone()],
    )
    .await;
    let query = format!("filter={}", encoded("meta.resourceType eq \"User\""));
    let (list, cost) = directory
        .priced("", &format!("{query}&excludedAttributes=groups"))
        .await;
    assert_eq!((ids(&list), cost.calls), (users, 2));
}

#[tokio::test]
async fn groups_show_indirect_membership() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 4).await;
    let group = async |members: Value| {
        directory
            .create(
                &scope,
                "Group",
                json!({"displayName": "g", "members": members}),
            )
            .await
    };
    let inner = group(json!([{"value": users[0]}, {"value": users[1]}])).await;
    let middle = group(json!([{"value": inner, "type": "Group"}, {"value": users[1]}])).await;
    let outer = group(json!([{"value": middle, "type": "Group"}, {"value": users[2]}])).await;
    let check = async |filter: String, expected: &[String]| {
        let query = format!("filter={}", encoded(&filter));
        let list = directory.list(&scope, "User", &query).await.unwrap();
        assert_eq!(ids(&list), expected, "{filter}");
        assert_eq!(list["totalResults"], expected.len());
    };
    check(format!("groups eq \"{inner}\""), &users[..2]).await;
    check(format!("groups eq \"{middle}\""), &users[..2]).await;
    check(format!("groups eq \"{outer}\""), &users[..3]).await;
    check(format!("not (groups.value eq \"{outer}\")"), &users[3..]).await;
    check(
        format!("groups eq \"{inner}\" or groups eq \"{outer}\""),
        &users[..3],
    )
    .await;
    check("groups eq \"nobody\"".to_owned(), &[]).await;
}

/// A group whose members are spread over several partitions, as those of large groups are.
async fn spread_group(directory: &Directory, scope: &RequestScope, users: &[String]) -> String {
    let group_type = directory::resource_type(scope, "Group");
    let id = directory
        .create(scope, "Group", json!({"displayName": "g"}))
        .await;
    let update = directory.table.update_item().table_name("scim");
    let update = update
        .key(
            "pk",
            AttributeValue::S(format!("T#{}#R#Group#0", scope.tenant.id)),
        )
        .key("sk", AttributeValue::S(id.clone()))
        .update_expression("SET n = :partitions")
        .condition_expression("n = :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
        .expression_attribute_values(":partitions", AttributeValue::N("7".to_owned()));
    update.send().await.unwrap();
    let member = |id: &String| Member {
        id: id.clone(),
        type_name: "User".to_owned(),
        display: None,
    };
    let added = users.iter().map(|id| (id.clone(), member(id)));
    let plan = MemberPlan::Edit(MemberChange {
        add: added.collect(),
        ..MemberChange::default()
    });
    let before = scope.store.resources().get(group_type, &id).await.unwrap();
    let attempt = ChangeAttempt {
        resource_type: group_type,
        before: &before.unwrap(),
        body: None,
        guard: Guard::Changed,
        now: 0,
    };
    let groups = scope.store.groups();
    let changed = groups.change(attempt, plan, &scope.tenant.registry).await;
    changed.unwrap();
    id
}

#[tokio::test]
async fn members_in_several_partitions_are_one_list() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 30).await;
    let group = spread_group(&directory, &scope, &users[2..]).await;
    for count in [1, 3, 10, 28, 100] {
        let base = format!(
            "count={count}&filter={}",
            encoded(&format!("groups eq \"{group}\""))
        );
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let list = directory
                .list(&scope, "User", &format!("{base}&cursor={cursor}"))
                .await
                .unwrap();
            assert_eq!(list["totalResults"], 28);
            found.extend(ids(&list));
            match list["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(found, users[2..], "{count}");
    }
    let stored = scope
        .store
        .resources()
        .get(directory::resource_type(&scope, "Group"), &group)
        .await
        .unwrap()
        .unwrap();
    for limit in [0, 1, 5, 27, 28, 29, 1_000] {
        let (members, more) = scope
            .store
            .members()
            .page(&stored, None, limit)
            .await
            .unwrap();
        let members: Vec<_> = members.into_iter().map(|member| member.id).collect();
        assert_eq!(members, users[2..2 + limit.min(28)], "{limit}");
        assert_eq!(more, limit < 28, "{limit}");
    }
}

#[tokio::test]
async fn a_cursor_of_members_is_valid_for_its_own_list_only() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let users = directory.create_users(&scope, 4).await;
    let members: Vec<_> = users.iter().map(|id| json!({"value": id})).collect();
    let mut groups = Vec::new();
    for name in ["One", "Other"] {
        let group = json!({"displayName": name, "members": members});
        groups.push(directory.create(&scope, "Group", group).await);
    }
    let page = async |scope: &RequestScope, group: &str, cursor: &str| {
        let parameters = Parameters::parse(&format!("count=2&cursor={cursor}")).unwrap();
        let query = Query::unfiltered(&parameters, &scope.tenant.rules.switches).unwrap();
        let resource_type = resource_type(scope, "Group");
        let page = directory
            .provider
            .member_page(scope, resource_type, group, &query, false);
        page.await.map(|list| {
            let texts: Vec<_> = list.resources.iter().map(Value::to_string).collect();
            serde_json::from_str::<Value>(&list.head.render(&texts)).unwrap()
        })
    };
    let refused = async |scope: &RequestScope, group: &str, cursor: &str| {
        page(scope, group, cursor).await.unwrap_err().kind()
    };
    let first = page(&scope, &groups[0], "").await.unwrap();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = page(&scope, &groups[0], cursor).await.unwrap();
    assert_eq!(second["Resources"][1]["value"], users[3]);
    let previous = second["previousCursor"].as_str().unwrap();
    let again = page(&scope, &groups[0], previous).await.unwrap();
    assert_eq!(again["Resources"], first["Resources"]);
    assert_eq!(again["previousCursor"], Value::Null);

    let kind = refused(&scope, &groups[1], cursor).await;
    assert_eq!(kind, ErrorKind::InvalidCursor, "another group");
    let other = directory.scope_of("acme", "2").await;
    let kind = refused(&other, &groups[0], cursor).await;
    assert_eq!(kind, ErrorKind::InvalidCursor, "another credential");
    let kind = refused(&scope, &groups[0], &cursor[..cursor.len() - 4]).await;
    assert_eq!(kind, ErrorKind::InvalidCursor, "a part of it");
    let list = json!({"op": "replace", "path": "members", "value": members[1..]});
    let one_less = json!({"op": "replace", "path": "members", "value": members[..2]});
    directory
        .patch(&scope, "Group", &groups[0], one_less)
        .await
        .unwrap();
    let kind = refused(&scope, &groups[0], cursor).await;
    assert_eq!(kind, ErrorKind::ExpiredCursor, "the members were replaced");
    directory
        .patch(&scope, "Group", &groups[0], list)
        .await
        .unwrap();
    let first = page(&scope, &groups[0], "").await.unwrap();
    directory.clock.advance_seconds(3_601);
    let cursor = first["nextCursor"].as_str().unwrap();
    let kind = refused(&scope, &groups[0], cursor).await;
    assert_eq!(kind, ErrorKind::ExpiredCursor, "it is too old");
}

#[tokio::test]
async fn groups_in_groups_are_followed_up_to_a_bound() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let user = directory.create_users(&scope, 1).await.remove(0);
    let mut chain = vec![user.clone()];
    for level in 0..12 {
        let kind = if level == 0 { "User" } else { "Group" };
        let members = json!([{"value": chain[level], "type": kind}]);
        let group = json!({"displayName": format!("Level {level}"), "members": members});
        chain.push(directory.create(&scope, "Group", group).await);
    }
    let shown = directory.get(&scope, "User", &user).await;
    let groups = shown["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["type"]), (10, &json!("direct")));
    assert!(groups[1..].iter().all(|group| group["type"] == "indirect"));

    let mut inner = Vec::new();
    for number in 0..201 {
        let group = json!({"displayName": format!("Inner {number}")});
        let id = directory.create(&scope, "Group", group).await;
        inner.push(json!({"value": id, "type": "Group"}));
    }
    let scope = directory.scope().await;
    let wide = json!({"displayName": "Wide", "members": inner});
    let wide = directory.create(&scope, "Group", wide).await;
    let filter = format!("filter={}", encoded(&format!("groups eq \"{wide}\"")));
    let refused = directory.list(&scope, "User", &filter).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooMany);
    assert!(refused.detail().contains("200 groups"), "{refused}");
}

#[tokio::test]
async fn keys_that_cannot_exist_find_nothing() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    directory.create_users(&scope, 2).await;
    let long = "x".repeat(3_000);
    for text in ["", " ", "\\u0000", "\\u001f", long.as_str()] {
        let could_be_an_id = (1..=1_024).contains(&text.len());
        for path in [
            "id",
            "userName",
            "externalId",
            "emails.value",
            "groups.value",
        ] {
            for op in ["eq", "ge", "lt", "sw"] {
                let query = format!("filter={}", encoded(&format!("{path} {op} \"{text}\"")));
                let list = directory.list(&scope, "User", &query).await;
                // A member's id that no resource can have is refused.
                match (path, op) == ("groups.value", "eq") && !could_be_an_id {
                    true => assert_eq!(list.unwrap_err().kind(), ErrorKind::InvalidFilter),
                    false => drop(list.unwrap()),
                }
            }
        }
        for filter in ["members eq \"?\"", "id eq \"?\" and members eq \"?\""] {
            let query = format!("filter={}", encoded(&filter.replace('?', text)));
            let list = directory.list(&scope, "Group", &query).await;
            match could_be_an_id {
                true => assert_eq!(list.unwrap()["totalResults"], 0),
                false => assert_eq!(list.unwrap_err().kind(), ErrorKind::InvalidFilter),
            }
        }
    }
}
