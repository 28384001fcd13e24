//! Lists that are sorted by values longer than an index or a cursor holds.

use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::provider::{ReadBudget, RequestScope};
use serde_json::{Value, json};

use crate::directory::{Directory, encoded, ids};

/// The longest cursor that is accepted.
const MAX_CURSOR: usize = 6_000;

/// Values in their order, with common beginnings of this many bytes. The hashes in an index have
/// another order. Some values are short enough not to be cut, and some differ in the character at
/// which they are cut.
fn values(common: usize) -> Vec<String> {
    let shared = "x".repeat(common);
    let tail = |end: &str| format!("{shared}{end}");
    let (short, edge) = ("x".repeat(639), "x".repeat(643));
    let mut values = vec!["a".to_owned(), "z".to_owned(), short.clone()];
    values.extend([format!("{short}x"), format!("{short}y")]);
    values.extend(
        ["€ one", "ab two", "😀 three", "  four", "~ five"].map(|end| format!("{edge}{end}")),
    );
    values.extend(
        [
            "", "a", "aa", "ab", "b", "c", "d", "e", "é", "f", "g g", "h", "!",
        ]
        .map(tail),
    );
    values.sort();
    values.dedup();
    values
}

/// Creates a resource for each value, in an unrelated order, and returns ids in the order of the
/// values.
async fn create(
    directory: &Directory,
    scope: &RequestScope,
    path: &str,
    values: &[String],
) -> Vec<String> {
    let mut created = Vec::new();
    for step in 0..values.len() {
        let position = (step * 7 + 3) % values.len();
        let value = &values[position];
        let (name, body) = match path {
            "userName" => ("User", json!({"userName": value})),
            "displayName" => ("Group", json!({"displayName": value})),
            path => (
                "User",
                json!({"userName": format!("user-{step}"), path: value}),
            ),
        };
        created.push((position, directory.create(scope, name, body).await));
    }
    created.sort();
    created.into_iter().map(|(_, id)| id).collect()
}

fn endpoint(path: &str) -> &'static str {
    if path == "displayName" {
        "Group"
    } else {
        "User"
    }
}

/// All pages of a walk, one after the other. Before each page but the first, `between` is called.
async fn walk(
    directory: &Directory,
    scope: &RequestScope,
    (path, query): (&str, &str),
    by_cursor: bool,
    mut between: impl AsyncFnMut(&[String]),
) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::<String>::new(), String::new());
    loop {
        let page = match by_cursor {
            true => format!("{query}&cursor={cursor}"),
            false => format!("{query}&startIndex={}", seen.len() + 1),
        };
        let list = directory.list(scope, endpoint(path), &page).await.unwrap();
        seen.extend(ids(&list));
        match (by_cursor, list["nextCursor"].as_str()) {
            (true, Some(next)) => {
                assert!(next.len() <= MAX_CURSOR, "{} characters", next.len());
                next.clone_into(&mut cursor);
            }
            (true, None) => return seen,
            (false, _) if ids(&list).is_empty() => return seen,
            (false, _) => {}
        }
        between(&seen).await;
    }
}

/// Checks every way through a list that is sorted by an attribute.
async fn check(path: &str, common: usize) {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let expected = create(&directory, &scope, path, &values(common)).await;
    for descending in [false, true] {
        let mut expected = expected.clone();
        let mut order = "";
        if descending {
            expected.reverse();
            order = "&sortOrder=descending";
        }
        for count in [1, 3, 100] {
            for by_cursor in [false, true] {
                let query = format!("sortBy={path}{order}&count={count}");
                let found = walk(&directory, &scope, (path, &query), by_cursor, async |_| ()).await;
                assert_eq!(found, expected, "{query} {by_cursor}");
            }
        }
        let found = page_from(
            &directory,
            &scope,
            &format!("sortBy={path}{order}"),
            path,
            9,
        )
        .await;
        assert_eq!(found, expected[8..]);
        // With a filter over the same attribute.
        let filter = encoded(&format!("{path} sw \"{}\"", "x".repeat(500)));
        let query = format!("sortBy={path}{order}&count=4&filter={filter}");
        let found = walk(&directory, &scope, (path, &query), true, async |_| ()).await;
        let short = |position: &usize| *position > 0 && *position < expected.len() - 1;
        let some: Vec<_> = match descending {
            // Everything but `a` and `z`.
            false => (0..expected.len())
                .filter(short)
                .map(|n| expected[n].clone())
                .collect(),
            true => (0..expected.len())
                .filter(short)
                .map(|n| expected[n].clone())
                .collect(),
        };
        assert_eq!(found, some, "{query}");
    }
}

/// The rest of a list from a position on, for which there is no mark.
async fn page_from(
    directory: &Directory,
    scope: &RequestScope,
    query: &str,
    path: &str,
    start: usize,
) -> Vec<String> {
    let query = format!("{query}&count=50&startIndex={start}");
    ids(&directory.list(scope, endpoint(path), &query).await.unwrap())
}

#[tokio::test]
async fn a_list_by_a_unique_index_has_the_order_of_long_values() {
    check("userName", 700).await;
}

#[tokio::test]
async fn a_list_by_an_index_of_entries_has_the_order_of_long_values() {
    check("externalId", 2_000).await;
}

#[tokio::test]
async fn a_list_of_groups_has_the_order_of_long_values() {
    check("displayName", 5_000).await;
}

#[tokio::test]
async fn a_list_sorted_in_memory_has_the_order_of_long_values() {
    check("title", 5_000).await;
}

#[tokio::test]
async fn a_walk_continues_after_its_last_resource_was_deleted() {
    for (path, common) in [("userName", 700), ("externalId", 1_000), ("title", 1_000)] {
        for by_cursor in [false, true] {
            let directory = Directory::start().await;
            let scope = directory.scope().await;
            let expected = create(&directory, &scope, path, &values(common)).await;
            let query = format!("sortBy={path}&count=2");
            let delete_last = async |seen: &[String]| {
                let last = seen.last().unwrap();
                directory.delete(&scope, "User", last).await;
            };
            let mut deleted = 0;
            let found = walk(
                &directory,
                &scope,
                (path, &query),
                by_cursor,
                async |seen| {
                    if seen.len() > deleted {
                        deleted = seen.len();
                        delete_last(seen).await;
                    }
                },
            )
            .await;
            assert_eq!(found, expected, "{path} {by_cursor}");
        }
    }
}

#[tokio::test]
async fn no_resource_is_skipped_where_values_share_more_than_a_cursor_holds() {
    for path in ["externalId", "title"] {
        let directory = Directory::start().await;
        let scope = directory.scope().await;
        let expected = create(&directory, &scope, path, &values(4_000)).await;
        let query = format!("sortBy={path}&count=4");
        let mut gone = false;
        let found = walk(&directory, &scope, (path, &query), true, async |seen| {
            if seen.len() == 16 && !gone {
                gone = true;
                directory.delete(&scope, "User", &seen[15]).await;
            }
        })
        .await;
        for id in &expected {
            assert!(found.contains(id), "{path}");
        }
    }
}

#[tokio::test]
async fn cursors_and_marks_have_a_bounded_length() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    for part in ["\"", "\\", "\u{1}", "é", "😀"] {
        for number in 0..3 {
            let value = part.repeat(20_000 / part.len()) + &number.to_string();
            let body = json!({"userName": format!("{part}{number}").replace('\u{1}', "c"), "title": value,
                              "externalId": value});
            directory.create(&scope, "User", body).await;
        }
    }
    for path in ["title", "externalId"] {
        let query = format!("sortBy={path}&count=1");
        let found = walk(&directory, &scope, ("", &query), true, async |_| ()).await;
        assert_eq!(found.len(), 15);
        let before = scope.store.meter().cost().write_units;
        let page = format!("{query}&startIndex=1");
        let list: Value = directory.list(&scope, "User", &page).await.unwrap();
        assert_eq!(list["totalResults"], 15);
        let written = scope.store.meter().cost().write_units - before;
        assert!(written <= 4.0, "a mark of {written} units");
    }
}

/// A walk that ends among values that no key puts in order has shown all of them, and expects no more.
#[tokio::test]
async fn a_walk_by_cursor_ends_with_the_last_of_values_that_no_index_puts_in_order() {
    let directory = Directory::start().await;
    let scope = directory.scope().await;
    let values: Vec<_> = ["a", "b", "c"]
        .map(|end| format!("{}{end}", "x".repeat(900)))
        .into();
    let expected = create(&directory, &scope, "displayName", &values).await;
    // The matches of this filter cannot be counted by keys.
    let filter = encoded(r#"displayName ne "other""#);
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("sortBy=displayName&count=1&filter={filter}&cursor={cursor}");
        let list = directory.list(&scope, "Group", &query).await.unwrap();
        assert_eq!(list["totalResults"], 3, "after {}", found.len());
        found.extend(ids(&list));
        match list["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn too_many_values_that_no_index_puts_in_order_are_refused() {
    let budget = ReadBudget {
        resources: 20,
        ..ReadBudget::default()
    };
    let directory = Directory::with_budget(budget).await;
    let scope = directory.scope().await;
    for number in 0..21 {
        let body = json!({"userName": format!("user-{number}"),
                          "externalId": format!("{}{number}", "x".repeat(900))});
        directory.create(&scope, "User", body).await;
    }
    for query in [
        "sortBy=externalId&count=2",
        "sortBy=externalId&count=2&cursor",
    ] {
        let before = scope.store.meter().cost().read_units;
        let error = directory.list(&scope, "User", query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooMany, "{query}");
        assert!(error.detail().contains("`externalId`"), "{error}");
        // Entries only, of less than a kilobyte each.
        let read = scope.store.meter().cost().read_units - before;
        assert!(read <= 10.0, "{query}: {read}");
    }
}
