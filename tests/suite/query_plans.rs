//! Every plan finds the same resources as a scan of all resources: random directories, random filters.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use scim_lambda::identity::TenantId;
use scim_lambda::protocol::filter::Filter;
use scim_lambda::protocol::profile::{Reading, Rules};
use scim_lambda::protocol::sort::{SortBy, SortOrder};
use scim_lambda::provider::RequestScope;
use serde_json::{Map, Value, json};

use crate::directory::{Directory, encoded, ids};

/// Values that filters and resources share, so that some match.
const WORDS: [&str; 9] = [
    "a",
    "ab",
    "Abc",
    "b",
    "b c",
    "é",
    "straße",
    "STRASSE",
    "\u{10ffff}",
];

/// The beginning of some words: longer than an index holds, so that the index does not order them.
const LONG: usize = 643;

fn word() -> impl Strategy<Value = String> {
    let long = prop::bool::weighted(0.1);
    (select(WORDS.to_vec()), long).prop_map(|(word, is_long)| match is_long {
        true => "x".repeat(LONG) + word,
        false => word.to_owned(),
    })
}

/// An extension of users with an index on an attribute of each type.
const PROBE: &str = "urn:example:params:scim:schemas:extension:Probe";

fn probe() -> Value {
    json!({"id": PROBE, "name": "Probe", "attributes": [
        {"name": "level", "type": "integer", "indexed": true},
        {"name": "ratio", "type": "decimal", "indexed": true},
        {"name": "since", "type": "dateTime", "indexed": true},
        {"name": "code", "type": "string", "caseExact": true, "indexed": true},
        {"name": "vip", "type": "boolean", "indexed": true},
        {"name": "tags", "type": "string", "multiValued": true, "indexed": true},
        {"name": "desk", "type": "complex", "subAttributes": [
            {"name": "room", "type": "string", "indexed": true},
            {"name": "floor", "type": "integer"},
        ]},
        {"name": "seats", "type": "complex", "multiValued": true, "subAttributes": [
            {"name": "value", "type": "string", "indexed": true},
            {"name": "row", "type": "integer", "indexed": true},
        ]},
    ]})
}

fn probed_users() -> Value {
    json!({"name": "User", "endpoint": "/Users",
    "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
    "schemaExtensions": [
        {"schema": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"},
        {"schema": "urn:ietf:params:scim:schemas:extension:ionic:2.0:User"},
        {"schema": PROBE, "required": false},
    ]})
}

/// The values of a user's extension.
fn any_probe() -> impl Strategy<Value = Value> {
    let number = || prop::option::of(-2_i64..8);
    let words = || prop::collection::vec(word(), 0..4);
    let seats = prop::collection::vec((word(), number()), 0..3);
    (
        (number(), number(), number(), prop::option::of(word())),
        (prop::option::of(any::<bool>()), words(), prop::option::of(word()), seats),
    )
        .prop_map(|((level, ratio, since, code), (vip, tags, room, seats))| {
            // In the time in which the directory is filled.
            let since = since.map(|hours| format!("2023-11-14T{:02}:30:00Z", 15 + hours));
            let seats: Vec<Value> = seats
                .into_iter()
                .enumerate()
                .map(|(number, (value, row))| json!({"value": format!("{value}{number}"), "row": row}))
                .collect();
            json!({"level": level, "ratio": ratio.map(|ratio| ratio as f64 / 2.0), "since": since,
                   "code": code, "vip": vip, "tags": tags, "seats": seats,
                   "desk": {"room": room, "floor": level}})
        })
}

/// A user without its `userName`, which gets a number.
fn any_user() -> impl Strategy<Value = Value> {
    let email = (
        word(),
        prop::option::of(select(vec!["work", "home"])),
        any::<bool>(),
    );
    (
        word(),
        prop::option::of(word()),
        prop::option::of(word()),
        prop::option::of(any::<bool>()),
        prop::collection::vec(email, 0..4),
        any_probe(),
    )
        .prop_map(|(name, external_id, title, active, emails, probe)| {
            let emails: Vec<Value> = emails
                .into_iter()
                .enumerate()
                .map(|(position, (value, kind, primary))| {
                    json!({"value": format!("{value}{}", position / 2), "type": kind,
                           "primary": primary && position == 0})
                })
                .collect();
            json!({"userName": name, "externalId": external_id, "title": title, "active": active,
                   "name": {"familyName": name}, "emails": emails, PROBE: probe})
        })
}

/// A group: its name, and which of the users and of the groups before it are members.
#[derive(Debug, Clone)]
struct AnyGroup {
    name: String,
    external_id: Option<String>,
    users: Vec<prop::sample::Index>,
    groups: Vec<prop::sample::Index>,
}

fn any_group() -> impl Strategy<Value = AnyGroup> {
    let some = || prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let few = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<prop::sample::Index>(), 1..3)];
    (word(), prop::option::of(word()), some(), few).prop_map(
        |(name, external_id, users, groups)| AnyGroup {
            name,
            external_id,
            users,
            groups,
        },
    )
}

/// The terms of filters over one type; `#` is the number of a resource.
struct Vocabulary {
    texts: &'static [&'static str],
    facts: &'static [&'static str],
    lookups: &'static [&'static str],
}

const OF_USERS: Vocabulary = Vocabulary {
    texts: &[
        "userName",
        "externalId",
        "emails.value",
        "emails",
        "title",
        "name.familyName",
        "emails.type",
        "P:code",
        "P:tags",
        "P:desk.room",
        "P:seats.value",
    ],
    facts: &[
        "active eq true",
        "active ne false",
        "title pr",
        "emails pr",
        "id pr",
        "groups pr",
        "not (groups pr)",
        "meta.resourceType eq \"User\"",
        "groups.type eq \"direct\"",
        "meta.created gt \"2001-01-01T00:00:00Z\"",
        "P:vip eq true",
        "P:level pr",
        "P:level lt 0",
        "P:ratio ge -0.5",
    ],
    lookups: &[
        "P:level eq #",
        "P:level ne #",
        "P:level gt #",
        "P:level ge # and P:level lt 7",
        "P:ratio eq #.5",
        "P:ratio le #",
        "P:since lt \"T#\"",
        "P:since ge \"T#\"",
        "P:since eq \"2023-11-14T1#:30:00Z\"",
        "P:desk.floor eq #",
        "P:seats.row eq #",
        "P:seats.row gt #",
        "P:seats[value sw \"a\" and row eq #]",
        "P:level eq # or P:level eq 3 or P:level eq 1",
        "P:tags eq \"a\" or P:tags eq \"b\" or P:tags eq \"Abc\"",
        "emails eq \"a0\" or emails eq \"b1\" or emails eq \"ab0\" or emails eq \"é0\"",
        "externalId eq \"a\" or externalId eq \"b c\" or externalId eq \"Abc\"",
        "userName eq \"a#\" or userName eq \"b#\" or userName eq \"é#\"",
        "id eq \"U#\"",
        "groups.value eq \"G#\"",
        "groups eq \"G#\"",
        "groups[value eq \"G#\"]",
        "groups.value ne \"G#\"",
        "emails[type eq \"work\" and value sw \"a\"]",
        "emails[value eq \"a0\"]",
        "meta.lastModified gt \"T#\"",
        "meta.lastModified ge \"T#\"",
        "meta.lastModified lt \"T#\"",
        "meta.lastModified le \"T#\"",
        "meta.lastModified eq \"T#\"",
        "meta.lastModified gt \"T#\" and meta.lastModified lt \"T9\"",
    ],
};

const OF_GROUPS: Vocabulary = Vocabulary {
    texts: &["displayName", "externalId"],
    facts: &[
        "members pr",
        "externalId pr",
        "id pr",
        "members.type eq \"Group\"",
        "meta.resourceType eq \"Group\"",
        "meta.lastModified lt \"2001-01-01T00:00:00Z\"",
    ],
    lookups: &[
        "id eq \"G#\"",
        "members eq \"U#\"",
        "members.value eq \"G#\"",
        "members[value eq \"U#\"]",
        "members[type eq \"User\" and value eq \"U#\"]",
        "members.value ne \"U#\"",
        "not (members eq \"U#\")",
        "id eq \"G#\" and members eq \"U#\"",
        "id eq \"G1\" and members eq \"U#\"",
        "meta.lastModified gt \"T#\"",
        "meta.lastModified ge \"T#\"",
        "meta.lastModified lt \"T#\"",
        "meta.lastModified le \"T#\"",
        "meta.lastModified eq \"T#\"",
        "meta.lastModified gt \"T#\" and meta.lastModified lt \"T9\"",
    ],
};

const OPERATORS: [&str; 11] = [
    "eq", "eq", "ne", "co", "sw", "sw", "ew", "gt", "ge", "lt", "le",
];

/// A filter with `U0`, `U1`, … and `G0`, `G1`, … for the ids of users and groups, and `T0`, `T1`, …
/// for the times when resources changed last.
fn any_filter(vocabulary: &Vocabulary) -> impl Strategy<Value = String> + use<> {
    let tail = select(vec!["", "", "0", "1"]);
    let compare = (
        select(vocabulary.texts),
        select(&OPERATORS[..]),
        word(),
        tail,
    );
    let compare = compare.prop_map(|(path, op, word, tail)| {
        format!("{path} {op} {}", json!(format!("{word}{tail}")))
    });
    let lookup = (select(vocabulary.lookups), 0_usize..14);
    let lookup = lookup.prop_map(|(text, number)| text.replace('#', &number.to_string()));
    let fact = select(vocabulary.facts).prop_map(str::to_owned);
    let leaf = prop_oneof![5 => compare, 3 => lookup, 2 => fact];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            3 => parts().prop_map(|parts| format!("({})", parts.join(" and "))),
            3 => parts().prop_map(|parts| format!("({})", parts.join(" or "))),
            1 => inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}

/// A query to check.
#[derive(Debug, Clone)]
struct AnyQuery {
    type_name: &'static str,
    filter: Option<String>,
    sort: Option<(&'static str, bool)>,
    count: usize,
}

fn any_query() -> impl Strategy<Value = AnyQuery> {
    let of = |type_name: &'static str, sorts: Vec<&'static str>| {
        let vocabulary = match type_name {
            "User" => &OF_USERS,
            _ => &OF_GROUPS,
        };
        (
            prop::option::weighted(0.9, any_filter(vocabulary)),
            prop::option::of((select(sorts), any::<bool>())),
            1_usize..9,
        )
            .prop_map(move |(filter, sort, count)| AnyQuery {
                type_name,
                filter,
                sort,
                count,
            })
    };
    prop_oneof![
        3 => of("User", vec!["userName", "externalId", "emails.value", "title", "id", "meta.created", "meta.lastModified", "P:level", "P:ratio", "P:since", "P:code", "P:tags", "P:desk.room", "P:seats.row"]),
        2 => of("Group", vec!["displayName", "externalId", "meta.lastModified"]),
        1 => of("", vec!["externalId", "userName", "meta.created"]),
    ]
}

/// All resources of a tenant, as clients read them.
struct Known {
    users: Vec<String>,
    groups: Vec<String>,
    resources: Vec<(&'static str, Map<String, Value>)>,
}

/// Seconds between two changes, so that a few changes are in one hour.
const PACE: u64 = 1_000;

async fn fill(
    directory: &Directory,
    scope: &RequestScope,
    users: &[Value],
    groups: &[AnyGroup],
) -> Known {
    let (mut user_ids, mut group_ids) = (Vec::new(), Vec::<String>::new());
    for (number, user) in users.iter().enumerate() {
        let mut user = user.clone();
        user["userName"] = json!(format!("{}{number}", user["userName"].as_str().unwrap()));
        user_ids.push(directory.create(scope, "User", user).await);
        directory.clock.advance_seconds(PACE);
        // Some are changed again, in the same hour or in a later one.
        if let Some(earlier) = number.checked_sub(2).filter(|_| number % 3 == 0) {
            let (id, value) = (&user_ids[earlier], format!("Title {number}"));
            directory.set(scope, "User", id, "title", &value).await;
            directory.clock.advance_seconds(1);
        }
    }
    for group in groups {
        let mut members: Vec<Value> = Vec::new();
        if !user_ids.is_empty() {
            members.extend(
                group
                    .users
                    .iter()
                    .map(|user| json!({"value": user.get(&user_ids)})),
            );
        }
        if !group_ids.is_empty() {
            let inner = group.groups.iter().map(|inner| inner.get(&group_ids));
            members.extend(inner.map(|id| json!({"value": id, "type": "Group"})));
        }
        let body =
            json!({"displayName": group.name, "externalId": group.external_id, "members": members});
        group_ids.push(directory.create(scope, "Group", body).await);
        directory.clock.advance_seconds(PACE);
    }
    let mut resources = Vec::new();
    for (name, ids) in [("User", &user_ids), ("Group", &group_ids)] {
        for id in ids {
            let Value::Object(resource) = directory.get(scope, name, id).await else {
                panic!("{id} is no object")
            };
            resources.push((name, resource));
        }
    }
    Known {
        users: user_ids,
        groups: group_ids,
        resources,
    }
}

impl Known {
    /// The filter with real ids. A number without a resource becomes an id that no resource has.
    fn filter(&self, filter: &str) -> String {
        let mut text = filter.replace("P:", &format!("{PROBE}:"));
        for number in (0..20).rev() {
            let id = |ids: &[String]| ids.get(number).cloned().unwrap_or("nobody".to_owned());
            text = text.replace(
                &format!("\"U{number}\""),
                &format!("\"{}\"", id(&self.users)),
            );
            text = text.replace(
                &format!("\"G{number}\""),
                &format!("\"{}\"", id(&self.groups)),
            );
            let resource = self.resources.get(number);
            let time = resource.and_then(|(_, resource)| resource["meta"]["lastModified"].as_str());
            text = text.replace(
                &format!("\"T{number}\""),
                &format!("\"{}\"", time.unwrap_or("2023-11-14T23:00:00Z")),
            );
        }
        text
    }

    /// The ids that the query has to find, in its order if it has one.
    fn expected(
        &self,
        scope: &RequestScope,
        query: &AnyQuery,
        filter: Option<&str>,
    ) -> Vec<String> {
        let mut reading = Reading::new(&scope.tenant.rules);
        let all = scope
            .tenant
            .registry
            .resource_types()
            .iter()
            .map(AsRef::as_ref);
        let types: Vec<_> = all
            .filter(|resource_type| {
                query.type_name.is_empty() || resource_type.name == query.type_name
            })
            .collect();
        let filters = filter.map(|text| {
            let filter = Filter::parse(text, &mut reading).unwrap();
            filter.bind_each(&types, &mut reading).unwrap()
        });
        let sorts = query.sort.map(|(by, descending)| {
            let order = if descending {
                SortOrder::Descending
            } else {
                SortOrder::Ascending
            };
            SortBy::bind_each(&full(by), order, &types, &mut reading).unwrap()
        });
        let mut found = Vec::new();
        for (name, resource) in &self.resources {
            let Some(at) = types
                .iter()
                .position(|resource_type| resource_type.name == *name)
            else {
                continue;
            };
            if filters
                .as_ref()
                .is_none_or(|filters| filters[at].matches(resource))
            {
                let key = sorts.as_ref().map(|sorts| sorts[at].key(resource));
                found.push((key, resource["id"].as_str().unwrap().to_owned()));
            }
        }
        if sorts.is_some() {
            found.sort();
        }
        found.into_iter().map(|(_, id)| id).collect()
    }
}

/// A path with the extension's URN.
fn full(path: &str) -> String {
    path.replace("P:", &format!("{PROBE}:"))
}

/// Reads all pages, by index or by cursor.
async fn walk(
    directory: &Directory,
    scope: &RequestScope,
    query: &AnyQuery,
    filter: Option<&str>,
    by_cursor: bool,
    total: usize,
) -> Vec<String> {
    let mut base = format!("count={}", query.count);
    if let Some(filter) = filter {
        base += &format!("&filter={}", encoded(filter));
    }
    if let Some((by, descending)) = query.sort {
        let order = if descending {
            "descending"
        } else {
            "ascending"
        };
        base += &format!("&sortBy={}&sortOrder={order}", full(by));
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = match by_cursor {
            true => format!("{base}&cursor={cursor}"),
            false => format!("{base}&startIndex={}", found.len() + 1),
        };
        let list = directory.list(scope, query.type_name, &page).await.unwrap();
        assert_eq!(
            list["totalResults"],
            json!(total),
            "{query:?} {filter:?} {list}"
        );
        let page = ids(&list);
        assert_eq!(list["itemsPerPage"], json!(page.len()));
        assert!(page.len() <= query.count);
        found.extend(page.iter().cloned());
        match (by_cursor, list["nextCursor"].as_str()) {
            (true, Some(next)) => cursor = next.to_owned(),
            (true, None) => return found,
            (false, _) if page.is_empty() || found.len() >= total => return found,
            (false, _) => {}
        }
    }
}

async fn check(directory: &Directory, scope: &RequestScope, known: &Known, query: &AnyQuery) {
    let filter = query.filter.as_deref().map(|filter| known.filter(filter));
    let filter = filter.as_deref();
    let mut reading = Reading::new(&scope.tenant.rules);
    if filter.is_some_and(|text| binds_nowhere(scope, query, text, &mut reading)) {
        return;
    }
    let expected = known.expected(scope, query, filter);
    for by_cursor in [false, true] {
        let found = walk(directory, scope, query, filter, by_cursor, expected.len()).await;
        if query.sort.is_some() {
            assert_eq!(found, expected, "{query:?} {filter:?}");
        } else {
            let all: BTreeSet<_> = found.iter().collect();
            assert_eq!(all.len(), found.len(), "twice: {query:?} {filter:?}");
            assert_eq!(all, expected.iter().collect(), "{query:?} {filter:?}");
        }
    }
}

/// Whether the filter fits none of the types, such as one on a group's attribute at the root.
fn binds_nowhere(
    scope: &RequestScope,
    query: &AnyQuery,
    text: &str,
    reading: &mut Reading<'_>,
) -> bool {
    let types = scope
        .tenant
        .registry
        .resource_types()
        .iter()
        .map(AsRef::as_ref);
    let types: Vec<_> = types
        .filter(|resource_type| query.type_name.is_empty() || resource_type.name == query.type_name)
        .collect();
    Filter::parse(text, reading)
        .unwrap()
        .bind_each(&types, reading)
        .is_err()
}

#[test]
fn every_plan_finds_the_same_as_a_scan_of_all_resources() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::start());
    let cases: u32 = std::env::var("PROPTEST_CASES").map_or(24, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let tenants = std::cell::Cell::new(0);
    let strategy = (
        prop::collection::vec(any_user(), 0..14),
        prop::collection::vec(any_group(), 0..6),
        prop::collection::vec(any_query(), 12),
    );
    let test = |(users, groups, queries): (Vec<Value>, Vec<AnyGroup>, Vec<AnyQuery>)| {
        tenants.set(tenants.get() + 1);
        let mut rules = Rules::default();
        rules.switches.last_modified_index = tenants.get() % 3 > 0;
        runtime.block_on(async {
            let name = format!("t{}", tenants.get());
            directory.begin(&name, &rules).await;
            let tenant = TenantId::parse(&name).unwrap();
            let (schema, users_type) = (probe(), probed_users());
            directory
                .provider
                .add_schema(&tenant, &schema)
                .await
                .unwrap();
            let added = directory.provider.add_resource_type(&tenant, &users_type);
            added.await.unwrap();
            let scope = directory
                .scope_of(&format!("t{}", tenants.get()), "1")
                .await;
            let known = fill(&directory, &scope, &users, &groups).await;
            for query in &queries {
                // Each request has its own deadline.
                let scope = directory
                    .scope_of(&format!("t{}", tenants.get()), "1")
                    .await;
                check(&directory, &scope, &known, query).await;
            }
        });
        Ok(())
    };
    TestRunner::new(config).run(&strategy, test).unwrap();
}
