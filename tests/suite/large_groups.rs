//! Groups of thousands of members, and requests that misuse them, through the shipped router.

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;
use scim_lambda::protocol::profile::Rules;
use serde_json::{Value, json};

use crate::support::Server;

/// The number of members that clients send in one request.
const MEMBERS: usize = 10_000;
/// The number of clients: that of an identity provider with many workers.
const CLIENTS: usize = 32;

/// Creates users in bulk and returns their ids.
async fn users(server: &Server, count: usize) -> Vec<String> {
    let post = |number: usize| {
        json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
               "data": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                        "userName": format!("user-{number}")}})
    };
    let mut ids = Vec::new();
    for begin in (0..count).step_by(1_000) {
        let operations: Vec<Value> = (begin..count.min(begin + 1_000)).map(post).collect();
        let request = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                             "Operations": operations});
        let answer = server.send("POST", "/scim/v2/Bulk", Some(&request)).await;
        for operation in answer.json["Operations"].as_array().unwrap() {
            let location = operation["location"].as_str().unwrap();
            ids.push(location.rsplit('/').next().unwrap().to_owned());
        }
    }
    ids
}

fn group(members: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
           "displayName": "Tour Guides", "members": members})
}

fn listed(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({"value": id})).collect()
}

fn patch(op: &str, ids: &[String]) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
           "Operations": [{"op": op, "path": "members", "value": listed(ids)}]})
}

fn ids(members: &Value) -> Vec<String> {
    let members = members.as_array().into_iter().flatten();
    let id = |member: &Value| member["value"].as_str().unwrap().to_owned();
    members.map(id).collect()
}

/// The ids of a group's members, page by page.
async fn walk(server: &Server, group: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/scim/v2/Groups/{group}/members?count=1000&cursor={cursor}");
        let page = server.send("GET", &path, None).await;
        assert_eq!(page.status, 200, "{}", page.text);
        found.extend(ids(&page.json["Resources"]));
        match page.json["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_members_are_added_and_removed_in_one_request() {
    let server = Server::start().await;
    let users = users(&server, MEMBERS).await;
    let id = server
        .create("/scim/v2/Groups", &group(&listed(&users)))
        .await;
    let path = format!("/scim/v2/Groups/{id}");
    let send = async |method: &str, body: Value| {
        let answer = server.send(method, &path, Some(&body)).await;
        assert!(
            (200..300).contains(&answer.status),
            "{method}: {}",
            answer.text
        );
        walk(&server, &id).await
    };
    assert_eq!(walk(&server, &id).await, users);
    assert_eq!(
        send("PUT", group(&listed(&users[5_000..]))).await,
        users[5_000..]
    );
    assert_eq!(send("PATCH", patch("add", &users)).await, users);
    assert_eq!(
        send("PATCH", patch("remove", &users[..9_999])).await,
        users[9_999..]
    );
    assert_eq!(send("PATCH", patch("replace", &users)).await, users);

    // A group can be put back as it was read, and nothing changes.
    let shown = server.send("GET", &path, None).await;
    assert_eq!(ids(&shown.json["members"]), users);
    let echoed = server.send("PUT", &path, Some(&shown.json)).await;
    assert_eq!(echoed.status, 200, "{}", echoed.text);
    assert_eq!(echoed.json["meta"], shown.json["meta"]);
    // One more member is more than a group shows. The group keeps all members.
    let one = server
        .create("/scim/v2/Users", &json!({"userName": "one more"}))
        .await;
    send("PATCH", patch("add", std::slice::from_ref(&one))).await;
    let shown = server.send("GET", &path, None).await;
    assert_eq!(shown.json["members"], Value::Null);
    let kept = group(&Value::Null);
    assert_eq!(send("PUT", kept).await.len(), MEMBERS + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_and_removals_of_many_clients_all_survive() {
    let server = Server::start().await;
    let users = users(&server, 3 * CLIENTS).await;
    let (stay, rest) = users.split_at(CLIENTS);
    let (leave, join) = rest.split_at(CLIENTS);
    let before = [stay, leave].concat();
    let id = server
        .create("/scim/v2/Groups", &group(&listed(&before)))
        .await;
    let path = format!("/scim/v2/Groups/{id}");
    let changes = (0..CLIENTS).flat_map(|client| {
        let one = client..=client;
        [
            patch("add", &join[one.clone()]),
            patch("remove", &leave[one]),
        ]
    });
    let sent = changes.map(|change| async {
        let change = change;
        server.send("PATCH", &path, Some(&change)).await
    });
    for answer in join_all(sent).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(walk(&server, &id).await, [stay, join].concat());
}

#[tokio::test]
async fn members_too_long_for_an_answer_are_left_out_of_it() {
    let server = Server::start().await;
    let users = users(&server, MEMBERS).await;
    let name = "é".repeat(120);
    let named = |id: &String| json!({"value": id, "display": name});
    let members: Value = users.iter().map(named).collect();
    let id = server.create("/scim/v2/Groups", &group(&members)).await;
    let path = format!("/scim/v2/Groups/{id}");
    let shown = server.send("GET", &path, None).await;
    assert_eq!(shown.json["displayName"], "Tour Guides");
    assert_eq!(shown.json["members"], Value::Null);
    let list = server.send("GET", "/scim/v2/Groups", None).await;
    assert_eq!(list.json["Resources"], json!([shown.json]));
    // A client that could not read the members does not clear them either.
    let renamed = server.send("PUT", &path, Some(&group(&Value::Null))).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text);
    assert_eq!(walk(&server, &id).await.len(), MEMBERS);
}

/// The id of a user of another tenant.
async fn foreigner(server: &Server) -> String {
    server.add_tenant("other", &Rules::default()).await;
    let token = server.issue("other", |_| {}).await;
    let request = Request::post("/scim/v2/Users")
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/scim+json");
    let body = Body::from(r#"{"userName":"foreigner"}"#);
    let answer = server.answer(request.body(body).unwrap()).await;
    answer.json["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn lists_of_large_groups_make_short_pages() {
    let server = Server::start().await;
    let users = users(&server, 5_000).await;
    let name = "é".repeat(120);
    let named = |id: &String| json!({"value": id, "display": name});
    let members: Value = users.iter().map(named).collect();
    let mut groups = Vec::new();
    for _ in 0..3 {
        // About 2 MB each, of which two do not fit an answer.
        groups.push(server.create("/scim/v2/Groups", &group(&members)).await);
    }
    for by_cursor in [false, true] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        while found.len() < 3 {
            let place = match by_cursor {
                true => format!("cursor={cursor}"),
                false => format!("startIndex={}", found.len() + 1),
            };
            let path = format!("/scim/v2/Groups?{place}");
            let page = server.send("GET", &path, None).await;
            assert_eq!(page.json["totalResults"], 3, "{place}");
            assert!(page.text.len() < 5_000_000, "{}", page.text.len());
            let shown = page.json["Resources"].as_array().unwrap();
            assert_eq!(shown.len(), 1, "{place}");
            assert_eq!(ids(&shown[0]["members"]), users);
            found.push(shown[0]["id"].as_str().unwrap().to_owned());
            let next = page.json["nextCursor"].as_str();
            next.unwrap_or_default().clone_into(&mut cursor);
        }
        assert_eq!(found, groups);
    }
}

#[tokio::test]
async fn lists_that_no_group_can_have_are_refused_and_change_nothing() {
    let server = Server::start().await;
    let users = users(&server, 3).await;
    let foreigner = foreigner(&server).await;
    let id = server
        .create("/scim/v2/Groups", &group(&listed(&users[..1])))
        .await;
    let path = format!("/scim/v2/Groups/{id}");
    let nobody = |count: usize| -> Vec<String> {
        let id = |number: usize| format!("01900000-0000-7000-8000-{number:012}");
        (0..count).map(id).collect()
    };
    let with = |more: &[String]| [&users[1..], more].concat();
    let cases = [
        (with(&nobody(1)), 400, "names `01900000-"),
        (with(&nobody(40)), 400, "names `01900000-"),
        (
            with(std::slice::from_ref(&foreigner)),
            400,
            "which is not the id of a resource",
        ),
        (with(std::slice::from_ref(&id)), 400, "the group itself"),
        (nobody(20_001), 413, "at most 20000 members"),
        (nobody(100_001), 413, "larger than the limit"),
    ];
    for (members, status, reason) in cases {
        let requests = [
            ("PATCH", path.as_str(), patch("add", &members)),
            ("PATCH", path.as_str(), patch("replace", &members)),
            ("PUT", path.as_str(), group(&listed(&members))),
            ("POST", "/scim/v2/Groups", group(&listed(&members))),
        ];
        for (method, path, body) in requests {
            if method == "POST" && members.contains(&id) {
                continue;
            }
            let answer = server.send(method, path, Some(&body)).await;
            let scim_type = (status == 400).then_some("invalidValue");
            answer.check_error(status, scim_type);
            assert!(answer.text.contains(reason), "{method}: {}", answer.text);
        }
        assert_eq!(walk(&server, &id).await, users[..1]);
    }
    let list = server.send("GET", "/scim/v2/Groups?count=0", None).await;
    assert_eq!(list.json["totalResults"], 1);
}

#[tokio::test]
async fn a_member_named_twice_is_added_once_and_null_is_ignored() {
    let server = Server::start().await;
    let users = users(&server, 2).await;
    let twice = json!([
        {"value": users[0]},
        null,
        {"value": users[0], "type": "User", "$ref": null, "display": null},
        {"value": users[1]},
    ]);
    let answer = server
        .send("POST", "/scim/v2/Groups", Some(&group(&twice)))
        .await;
    answer.check_error(400, Some("invalidValue"));
    let repeated = [users.clone(), users.clone()].concat();
    let id = server
        .create("/scim/v2/Groups", &group(&listed(&repeated)))
        .await;
    assert_eq!(walk(&server, &id).await, users);
    for value in [
        json!([{"value": null}]),
        json!([{"display": "nobody"}]),
        json!([7]),
    ] {
        let body = group(&value);
        let answer = server
            .send("PUT", &format!("/scim/v2/Groups/{id}"), Some(&body))
            .await;
        answer.check_error(400, Some("invalidValue"));
        assert_eq!(walk(&server, &id).await, users);
    }
}
