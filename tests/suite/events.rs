//! `GET /events`: the feed of a tenant as its readers get it.

use std::fs;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use scim_lambda::clock::SystemClock;
use scim_lambda::feed::append::{Appender, Source, Tail};
use scim_lambda::feed::{Changed, EventBody, EventType, EventVerb, MemberRef, NewEvent, Subject};
use scim_lambda::identity::{CauseKind, TenantId};
use scim_lambda::protocol::error::Result;
use scim_lambda::tenant::Permissions;
use serde_json::{Value, json};

use crate::support::{Answer, Server};

/// Events that a test has made up.
struct MadeUp(Vec<NewEvent>);

impl Source for MadeUp {
    fn ids(&self) -> Vec<&str> {
        self.0.iter().map(|event| event.id.as_str()).collect()
    }

    fn oldest(&self) -> Option<u64> {
        self.0.iter().map(|event| event.body.time).min()
    }

    async fn events(&self, _: &Tail<'_>) -> Result<Vec<NewEvent>> {
        Ok(self.0.clone())
    }
}

/// Appends events to a tenant's feed, in one page.
async fn append(server: &Server, tenant: &str, events: Vec<NewEvent>) {
    let provider = server.stack.provider();
    let store = &server.stack.store;
    let appender = Appender::new(store, provider.tenants(), Arc::new(SystemClock));
    let tenant = TenantId::parse(tenant).unwrap();
    appender.append(&tenant, &MadeUp(events)).await.unwrap();
}

fn event(id: &str, resource_type: &str, verb: EventVerb, values: &[(&str, &str)]) -> NewEvent {
    let mut body = EventBody::new(EventType::of(resource_type, verb), 1_795_478_400_000);
    body.resource = Some(Subject {
        type_name: resource_type.to_owned(),
        id: format!("{id}-resource"),
        version: Some(1),
        external_id: Some(format!("{id}-external")),
    });
    let changed = |(name, value): &(&str, &str)| {
        let after = Some(json!(value));
        let changed = Changed {
            before: None,
            after,
        };
        ((*name).to_owned(), changed)
    };
    body.changes = Some(values.iter().map(changed).collect());
    NewEvent {
        id: id.to_owned(),
        body,
        access: None,
    }
}

fn user_created(id: &str) -> NewEvent {
    event(
        id,
        "User",
        EventVerb::Created,
        &[("userName", "ada@example.com")],
    )
}

fn membership(id: &str, verb: EventVerb) -> NewEvent {
    let mut event = event(id, "Group", verb, &[]);
    event.body.changes = None;
    event.body.member = Some(MemberRef {
        type_name: "User".to_owned(),
        id: "7".to_owned(),
    });
    event
}

fn ids(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let events = answer.json["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect()
}

fn next(answer: &Answer) -> &str {
    answer.json["next"].as_str().unwrap()
}

async fn read(server: &Server, query: &str) -> Answer {
    server.send("GET", &format!("/events?{query}"), None).await
}

/// The same with another token than that of `acme`.
async fn read_as(server: &Server, token: &str, query: &str) -> Answer {
    let request = Request::builder().uri(format!("/events?{query}"));
    let request = request.header("Authorization", format!("Bearer {token}"));
    server.answer(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_reader_gets_every_event_once_and_in_order() {
    let server = Server::start().await;
    append(&server, "acme", vec![user_created("a"), user_created("b")]).await;
    append(&server, "acme", vec![user_created("c")]).await;
    let (mut found, mut after) = (Vec::new(), "beginning".to_owned());
    loop {
        let answer = read(&server, &format!("after={after}&limit=2")).await;
        let events = answer.json["events"].as_array().unwrap();
        assert!(events.len() <= 2);
        found.extend(events.clone());
        after = next(&answer).to_owned();
        let behind = answer.json["behind"].as_u64().unwrap();
        assert_eq!(behind, 4 - found.len() as u64);
        if behind == 0 {
            break;
        }
    }
    let numbers: Vec<_> = found
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(found[0]["type"], "feed.started");
    let names: Vec<_> = found[1..]
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    let idle = read(&server, &format!("after={after}")).await;
    assert_eq!((ids(&idle).len(), next(&idle)), (0, after.as_str()));
    append(&server, "acme", vec![user_created("d")]).await;
    let answer = read(&server, &format!("after={after}")).await;
    assert_eq!(ids(&answer), ["d"]);
}

#[tokio::test]
async fn an_answer_is_plain_json_and_never_cached() {
    let server = Server::start().await;
    append(&server, "acme", vec![user_created("a")]).await;
    let answer = read(&server, "after=beginning").await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let members: Vec<_> = answer.json.as_object().unwrap().keys().collect();
    assert_eq!(members, ["events", "next", "behind"]);
    assert_eq!(
        answer.json["events"][1],
        json!({
            "id": "a",
            "seq": 2,
            "type": "user.created",
            "time": "2026-11-24T00:00:00.000Z",
            "tenant": "acme",
            "resource": {"type": "User", "id": "a-resource", "version": 1, "externalId": "a-external"},
            "changes": {"userName": {"after": "ada@example.com"}},
            "cause": null,
        })
    );
    let head = server.send("HEAD", "/events?after=beginning", None).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), answer.text.len().to_string());
    let path = "/events?after=beginning";
    let request = server.request("GET", path).header("Accept", "text/html");
    let refused = server.answer(request.body(Body::empty()).unwrap()).await;
    refused.check_error(406, None);
}

#[tokio::test]
async fn a_request_that_is_misspelt_is_refused_with_what_is_allowed() {
    let server = Server::start().await;
    let many = vec!["user.*"; 51].join(",");
    let long = "a".repeat(5_000);
    for (query, allowed) in [
        ("", "`after` is missing"),
        ("", "`beginning` or `now`"),
        (
            "after=now&after=beginning",
            "`after` is given more than once",
        ),
        (
            "after=now&limit=1&limit=2",
            "`limit` is given more than once",
        ),
        ("after=now&types=", "`types` names no type"),
        ("after=now&types=,", "`types` names no type"),
        ("after=", "`beginning` or `now`"),
        ("after=yesterday", "`beginning` or `now`"),
        ("after=Beginning", "`beginning` or `now`"),
        (&format!("after={long}"), "`beginning` or `now`"),
        ("after=now&limit=0", "from 1 to 1000"),
        ("after=now&limit=1001", "from 1 to 1000"),
        ("after=now&limit=-1", "from 1 to 1000"),
        ("after=now&limit=99999999999999999999", "from 1 to 1000"),
        ("after=now&types=users.*", "user.*"),
        ("after=now&type=user.*", "after, limit, types"),
        (&format!("after=now&types={many}"), "not 51"),
    ] {
        let answer = read(&server, query).await;
        answer.check_error(400, Some("invalidValue"));
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(allowed), "{query}: {detail}");
        assert!(detail.len() < 600, "{detail}");
    }
}

#[tokio::test]
async fn a_reader_gets_the_types_that_it_names_and_the_end_of_groups() {
    let server = Server::start().await;
    let events = vec![
        user_created("user"),
        event(
            "group",
            "Group",
            EventVerb::Created,
            &[("displayName", "Staff")],
        ),
        membership("added", EventVerb::MemberAdded),
        event("gone", "Group", EventVerb::Deleted, &[]),
    ];
    append(&server, "acme", events).await;
    for (types, expected) in [
        ("user.*", vec!["user"]),
        ("group.member.*", vec!["added", "gone"]),
        ("user.created,group.created", vec!["user", "group"]),
        ("user.created&types=group.created", vec!["user", "group"]),
        ("device.*", vec![]),
        ("*", vec!["user", "group", "added", "gone"]),
    ] {
        let answer = read(&server, &format!("after=beginning&types={types}")).await;
        let found = ids(&answer);
        assert!(found[0].starts_with("started-"), "{types}");
        assert_eq!(found[1..], expected, "{types}");
        assert_eq!(answer.json["behind"], 0);
    }
}

#[tokio::test]
async fn the_permission_shows_what_changes_and_values_only_to_who_may_read_them() {
    let server = Server::start().await;
    let events = vec![
        user_created("user"),
        event(
            "group",
            "Group",
            EventVerb::Created,
            &[("displayName", "Staff")],
        ),
        membership("added", EventVerb::MemberAdded),
    ];
    append(&server, "acme", events).await;
    let check = async |permissions: &[&str], users: bool, groups: bool| {
        let listed = permissions.iter().map(|&name| name.to_owned());
        let permissions = Permissions::Only(listed.collect());
        let token = server
            .issue("acme", |new| new.permissions = permissions)
            .await;
        let answer = read_as(&server, &token, "after=beginning").await;
        assert_eq!(ids(&answer)[1..], ["user", "group", "added"]);
        let [_, user, group, added] = &answer.json["events"].as_array().unwrap()[..] else {
            panic!("{}", answer.text);
        };
        let shown = |value: Value, is_shown: bool| {
            if is_shown {
                json!({"after": value})
            } else {
                json!({})
            }
        };
        assert_eq!(
            user["changes"]["userName"],
            shown("ada@example.com".into(), users)
        );
        assert_eq!(
            group["changes"]["displayName"],
            shown("Staff".into(), groups)
        );
        assert_eq!(user["resource"].get("externalId").is_some(), users);
        assert_eq!(group["resource"].get("externalId").is_some(), groups);
        assert_eq!(added["member"], json!({"type": "User", "id": "7"}));
    };
    check(&["events:read"], false, false).await;
    check(&["events:read", "users:read"], true, false).await;
    check(&["events:read", "groups:read", "users:list"], false, true).await;
    check(&["events:read", "users:read", "groups:read"], true, true).await;
    for permissions in [vec!["users:read", "groups:read", "users:list"], vec![]] {
        let listed = permissions.into_iter().map(str::to_owned).collect();
        let permissions = Permissions::Only(listed);
        let token = server
            .issue("acme", |new| new.permissions = permissions)
            .await;
        let refused = read_as(&server, &token, "after=beginning").await;
        refused.check_error(403, None);
        assert!(refused.text.contains("`events:read`"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_token_of_a_user_reads_no_events() {
    let server = Server::start().await;
    let id = server
        .create("/scim/v2/Users", &json!({"userName": "ada"}))
        .await;
    let token = server.issue("acme", |new| new.user = Some(id)).await;
    let refused = read_as(&server, &token, "after=now").await;
    refused.check_error(403, None);
}

#[tokio::test]
async fn two_tenants_have_two_feeds() {
    let server = Server::start().await;
    server.add_tenant("globex", &Default::default()).await;
    let token = server.issue("globex", |_| {}).await;
    append(&server, "acme", vec![user_created("a")]).await;
    append(
        &server,
        "globex",
        vec![user_created("g"), user_created("h")],
    )
    .await;
    assert_eq!(ids(&read(&server, "after=beginning").await)[1..], ["a"]);
    let answer = read_as(&server, &token, "after=beginning").await;
    assert_eq!(ids(&answer)[1..], ["g", "h"]);
    let foreign = read(&server, &format!("after={}", next(&answer))).await;
    foreign.check_error(410, None);
    let detail = foreign.json["detail"].as_str().unwrap();
    assert!(detail.contains("list all resources again"), "{detail}");
}

#[tokio::test]
async fn a_position_that_leads_nowhere_is_gone_with_what_to_do() {
    let server = Server::start().await;
    append(&server, "acme", vec![user_created("a")]).await;
    let answer = read(&server, "after=now").await;
    let parts: Vec<_> = next(&answer).split('.').collect();
    let [epoch, first, index, mark] = parts[..] else {
        panic!("{parts:?}");
    };
    for position in [
        format!("{epoch}.999.{index}.{mark}"),
        format!("{epoch}.{first}.99.{mark}"),
        format!("{epoch}.{first}.{index}.ffffff"),
        format!("00000000000000000000.{first}.{index}.{mark}"),
    ] {
        let gone = read(&server, &format!("after={position}")).await;
        gone.check_error(410, None);
        assert!(gone.text.contains("list all resources again"), "{position}");
    }
}

#[tokio::test]
async fn without_a_credential_the_feed_is_like_any_other_path() {
    let server = Server::start().await;
    let users = server.get("/scim/v2/Users", &[]).await;
    for path in ["/events", "/events?after=beginning"] {
        let answer = server.get(path, &[]).await;
        assert_eq!((answer.status, &answer.text), (401, &users.text));
    }
    server.get("/events/1", &[]).await.check_error(404, None);
}

#[tokio::test]
async fn a_feed_that_has_no_event_yet_can_be_followed() {
    let server = Server::start().await;
    for after in ["now", "beginning"] {
        let answer = read(&server, &format!("after={after}")).await;
        assert_eq!(ids(&answer), [""; 0]);
        assert_eq!(answer.json["behind"], 0);
        let start = next(&answer).to_owned();
        let again = read(&server, &format!("after={start}")).await;
        assert_eq!(ids(&again), [""; 0]);
    }
    let start = next(&read(&server, "after=now").await).to_owned();
    append(&server, "acme", vec![user_created("a")]).await;
    let answer = read(&server, &format!("after={start}")).await;
    assert_eq!(ids(&answer).last(), Some(&"a"));
}

/// The kinds of causes are those of the code, in the schema of events and on the page about them.
#[test]
fn the_schema_and_the_page_list_every_kind_of_cause() {
    // The refusal of an unknown kind lists the known ones.
    let refused = serde_json::from_value::<CauseKind>(json!("unknown")).unwrap_err();
    let listed = refused.to_string();
    let kinds: Vec<_> = listed.split('`').skip(3).step_by(2).collect();
    assert!(kinds.contains(&"scim2"), "{listed}");
    let read =
        |page: &str| fs::read_to_string(format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR")));
    let schema: Value = serde_json::from_str(&read("event.schema.json").unwrap()).unwrap();
    let cause = &schema["properties"]["cause"]["oneOf"][1]["properties"];
    assert_eq!(cause["kind"]["enum"], json!(kinds));
    let page = read("events.md").unwrap();
    let row = page.lines().find(|line| line.starts_with("| `cause` |"));
    let shown: Vec<_> = row.unwrap().split('`').skip(1).step_by(2).collect();
    for kind in kinds {
        assert!(shown.contains(&kind), "{kind}");
    }
}
