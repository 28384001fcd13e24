//! Requests that ask for more than can be stored, looked up or sent. Each is refused with the right
//! status, in every form of request, and changes nothing.

#![expect(clippy::needless_pass_by_value, reason = "literals read best by value")]

use scim_lambda::protocol::profile::{Profile, Rules};
use serde_json::{Value, json};

use crate::support::{Answer, Server};

const V2: &str = "/scim/v2";
const V1: &str = "/scim/v1";
const IONIC: &str = "/v2/acme/scim";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const IONIC_USER: &str = "urn:scim:schemas:extension:ionic:1.0";

fn patch(operations: Value) -> Value {
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

fn op(op: &str, path: &str, value: &Value) -> Value {
    patch(json!([{"op": op, "path": path, "value": value}]))
}

/// The same request in each form that a body can have.
struct Form {
    method: &'static str,
    path: String,
    body: Value,
}

fn form(method: &'static str, path: impl Into<String>, body: Value) -> Form {
    let path = path.into();
    Form { method, path, body }
}

/// The same request as the only operation of a bulk request.
fn in_bulk(base: &str, form: &Form) -> Form {
    let path = form.path.strip_prefix(base).unwrap();
    let operation = json!({"method": form.method, "path": path, "bulkId": "b", "data": form.body});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [operation],
    });
    self::form("POST", format!("{base}/Bulk"), body)
}

fn bulk_status(answer: &Answer) -> String {
    let status = &answer.json["Operations"][0]["status"];
    let code = status.as_str().or_else(|| status["code"].as_str());
    code.unwrap_or_else(|| panic!("{}", answer.text)).to_owned()
}

/// Each form gets this status, alone and in a bulk request.
async fn refused(server: &Server, base: &str, forms: Vec<Form>, status: u16) {
    for form in forms {
        let answer = server.send(form.method, &form.path, Some(&form.body)).await;
        let about = format!("{} {}", form.method, form.path);
        assert_eq!(answer.status, status, "{about}: {}", answer.text);
        assert!(answer.text.len() < 1_000, "{about}: {}", answer.text);
        let bulk = in_bulk(base, &form);
        let answer = server.send(bulk.method, &bulk.path, Some(&bulk.body)).await;
        assert_eq!(answer.status, 200, "{about} in bulk: {}", answer.text);
        assert_eq!(bulk_status(&answer), status.to_string(), "{about} in bulk");
    }
}

fn user(more: Value) -> Value {
    let mut user =
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "b"});
    user.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    user
}

#[tokio::test]
async fn a_resource_that_cannot_be_stored_is_a_413_in_every_form() {
    let server = Server::start().await;
    let numbers: Vec<_> = (0..2_000)
        .map(|n| json!({"value": n.to_string()}))
        .collect();
    let created = user(json!({"userName": "a", "phoneNumbers": numbers}));
    let id = server.create("/scim/v2/Users", &created).await;
    let before = server.send("GET", &format!("{V2}/Users/{id}"), None).await;
    let long = json!("x".repeat(410_000));
    let half = json!("x".repeat(1_000));
    for base in [V2, V1, IONIC] {
        let (users, one) = (format!("{base}/Users"), format!("{base}/Users/{id}"));
        let large = user(json!({"title": long}));
        let mut forms = vec![
            form("POST", &users, large.clone()),
            form("PUT", &one, large),
        ];
        if base == V2 {
            forms.extend([
                form("PATCH", &one, op("replace", "title", &long)),
                form("PATCH", &one, op("add", "phoneNumbers.display", &half)),
                form(
                    "PATCH",
                    &one,
                    op("add", "phoneNumbers[value pr].display", &half),
                ),
                form(
                    "PATCH",
                    &one,
                    op(
                        "replace",
                        "phoneNumbers[value pr]",
                        &json!({"display": half}),
                    ),
                ),
                form(
                    "PATCH",
                    &one,
                    patch(json!([{"op": "add", "value": {"phoneNumbers.display": half,
                    "phoneNumbers[value pr].display": half}}])),
                ),
            ]);
        } else {
            forms.push(form("PATCH", &one, json!({"title": long})));
        }
        refused(&server, base, forms, 413).await;
    }
    let after = server.send("GET", &format!("{V2}/Users/{id}"), None).await;
    assert_eq!(after.text, before.text);
}

#[tokio::test]
async fn operations_times_elements_are_a_413() {
    let server = Server::start().await;
    let numbers: Vec<_> = (0..10_000)
        .map(|n| json!({"value": n.to_string()}))
        .collect();
    let id = server
        .create("/scim/v2/Users", &user(json!({"phoneNumbers": numbers})))
        .await;
    let remove = json!({"op": "remove", "path": r#"phoneNumbers[value eq "x" or display eq "y"]"#});
    let path = format!("{V2}/Users/{id}");
    let answer = server
        .send("PATCH", &path, Some(&patch(json!(vec![remove; 1_000]))))
        .await;
    answer.check_error(413, None);
    let add = |n: usize| json!({"op": "add", "path": "phoneNumbers", "value": [{"value": n.to_string()}]});
    let adds: Vec<_> = (9_500..10_500).map(add).collect();
    let answer = server.send("PATCH", &path, Some(&patch(json!(adds)))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.json["phoneNumbers"].as_array().unwrap().len(),
        10_500
    );
}

/// Waits for the end of a request while time does not pass, so that a slow machine does not reach a
/// deadline of the service.
async fn without_time<T>(request: impl Future<Output = T>) -> T {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    tokio::time::pause();
    // Tokio moves a paused clock forward when no task can run, as while the table makes a call. It leaves
    // the clock alone while a blocking task runs.
    let blocking = tokio::task::spawn_blocking(move || ended.recv());
    let outcome = request.await;
    drop(end);
    blocking.await.unwrap().unwrap_err();
    tokio::time::resume();
    outcome
}

/// All operations of a bulk request share one count of steps.
#[tokio::test]
async fn a_bulk_request_is_bounded_as_a_whole() {
    let server = Server::start().await;
    let numbers: Vec<_> = (0..10_000)
        .map(|n| json!({"value": n.to_string()}))
        .collect();
    let id = server
        .create("/scim/v2/Users", &user(json!({"phoneNumbers": numbers})))
        .await;
    let remove = json!({"op": "remove", "path": r#"phoneNumbers[value eq "x"]"#});
    let one = json!({"method": "PATCH", "path": format!("/Users/{id}"), "data": patch(json!(vec![remove; 250]))});
    let body = json!({"Operations": vec![one; 4]});
    let answer = without_time(server.send("POST", "/scim/v2/Bulk", Some(&body))).await;
    let operations = answer.json["Operations"].as_array().unwrap().iter();
    let statuses: Vec<_> = operations
        .map(|operation| operation["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["200", "413", "413", "413"]);
}

#[tokio::test]
async fn a_filter_that_compares_too_much_is_a_400() {
    let server = Server::start().await;
    let roles: Vec<_> = (0..10_000)
        .map(|n| json!({"value": n.to_string()}))
        .collect();
    for name in ["a", "b", "c", "d", "e"] {
        server
            .create(
                "/scim/v2/Users",
                &user(json!({"userName": name, "photos": roles})),
            )
            .await;
    }
    let terms: Vec<_> = (0..200).map(|n| format!("photos co \"x{n}\"")).collect();
    let search = json!({"filter": terms.join(" or "), "count": 1});
    let answer = server
        .send("POST", "/scim/v2/Users/.search", Some(&search))
        .await;
    answer.check_error(400, Some("tooMany"));
    let search = json!({"filter": "photos co \"x\"", "count": 1});
    let answer = server
        .send("POST", "/scim/v2/Users/.search", Some(&search))
        .await;
    assert_eq!(answer.status, 200);
    let names = json!({"attributes": vec!["userName"; 190_000]});
    let answer = server
        .send("POST", "/scim/v2/Users/.search", Some(&names))
        .await;
    answer.check_error(400, Some("invalidValue"));
}

/// A value takes many times the memory of its text, even if no attribute has its name.
#[tokio::test]
async fn too_many_values_are_a_413_in_every_form() {
    let server = Server::start().await;
    let id = server.create("/scim/v2/Users", &user(json!({}))).await;
    let values = json!(vec![json!({}); 100_000]);
    for base in [V2, V1, IONIC] {
        let (users, one) = (format!("{base}/Users"), format!("{base}/Users/{id}"));
        let inside = user(json!({"emails": [{"value": "a", "x": values}]}));
        for form in [
            form("POST", &users, user(json!({"userName": "c", "x": values}))),
            form("PUT", &one, inside.clone()),
            form("PATCH", &one, inside),
            form(
                "POST",
                format!("{base}/Bulk"),
                json!({"Operations": values}),
            ),
        ] {
            let answer = server.send(form.method, &form.path, Some(&form.body)).await;
            assert_eq!(answer.status, 413, "{} {}", form.method, form.path);
            assert!(answer.text.contains("100000"), "{}", answer.text);
        }
    }
    let search = json!({"x": values});
    let answer = server.send("POST", "/scim/v2/Users/.search", Some(&search));
    assert_eq!(answer.await.status, 413);
}

#[tokio::test]
async fn members_that_cannot_be_ids_are_a_400_in_every_form() {
    let server = Server::start().await;
    let group = json!({"displayName": "g"});
    let id = server.create("/scim/v2/Groups", &group).await;
    for member in [String::new(), "m".repeat(1_025), "m".repeat(5_000)] {
        let value = json!([{"value": member}]);
        let listed = json!({"displayName": "g", "members": value});
        let filter = format!("members[value eq \"{member}\"]");
        for base in [V2, V1, IONIC] {
            let (groups, one) = (format!("{base}/Groups"), format!("{base}/Groups/{id}"));
            let mut forms = vec![
                form("POST", &groups, listed.clone()),
                form("PUT", &one, listed.clone()),
            ];
            if base == V2 {
                let values = ["add", "replace", "remove"];
                forms.extend(values.map(|name| form("PATCH", &one, op(name, "members", &value))));
                forms.extend(
                    values.map(|name| form("PATCH", &one, op(name, &filter, &json!(null)))),
                );
                let bare = json!({"members": [member]});
                forms.push(form(
                    "PATCH",
                    &one,
                    patch(json!([{"op": "add", "value": bare}])),
                ));
            } else {
                let deleted = json!({"members": [{"value": member, "operation": "delete"}]});
                forms.push(form("PATCH", &one, json!({"members": value})));
                forms.push(form("PATCH", &one, deleted));
            }
            if base == IONIC {
                let joining = user(json!({"userName": "j", IONIC_USER: {"groups": [member]}}));
                forms.push(form("POST", format!("{base}/Users"), joining));
            }
            refused(&server, base, forms, 400).await;
        }
        for filter in [
            format!("members eq \"{member}\""),
            format!("members.value eq \"{member}\""),
            filter,
        ] {
            let search = json!({ "filter": filter });
            let answer = server
                .send("POST", "/scim/v2/Groups/.search", Some(&search))
                .await;
            answer.check_error(400, Some("invalidFilter"));
        }
        let search = json!({"filter": format!("groups eq \"{member}\"")});
        let answer = server
            .send("POST", "/scim/v2/Users/.search", Some(&search))
            .await;
        answer.check_error(400, Some("invalidFilter"));
    }
    let long = "m".repeat(1_025);
    let url = format!("/scim/v2/Groups?filter=members%20eq%20%22{long}%22");
    let answer = server.send("GET", &url, None).await;
    answer.check_error(400, Some("invalidFilter"));
}

/// An id that fits a key but that no resource can have is answered like a member that does not exist.
#[tokio::test]
async fn long_ids_that_do_not_exist_are_reported_as_such() {
    let server = Server::start().await;
    let id = server
        .create("/scim/v2/Groups", &json!({"displayName": "g"}))
        .await;
    let path = format!("{V2}/Groups/{id}");
    for length in [257, 1_000, 1_024] {
        let value = json!([{"value": "m".repeat(length)}]);
        let added = server
            .send("PATCH", &path, Some(&op("add", "members", &value)))
            .await;
        added.check_error(400, Some("invalidValue"));
        let removed = server
            .send("PATCH", &path, Some(&op("remove", "members", &value)))
            .await;
        assert_eq!(removed.status, 200, "{}", removed.text);
        let search = json!({"filter": format!("members eq \"{}\"", "m".repeat(length))});
        let found = server
            .send("POST", "/scim/v2/Groups/.search", Some(&search))
            .await;
        assert_eq!(found.json["totalResults"], 0, "{}", found.text);
    }
}

#[tokio::test]
async fn an_invalid_user_name_is_a_400_in_every_form() {
    let server = Server::start().await;
    let id = server.create("/scim/v2/Users", &user(json!({}))).await;
    for name in [
        "a\u{0}b",
        "a\nb",
        "\u{85}",
        "   ",
        "\u{3000}",
        &"n".repeat(1_025),
    ] {
        let given = user(json!({"userName": name}));
        for base in [V2, V1, IONIC] {
            let (users, one) = (format!("{base}/Users"), format!("{base}/Users/{id}"));
            let mut forms = vec![
                form("POST", &users, given.clone()),
                form("PUT", &one, given.clone()),
            ];
            forms.push(match base {
                V2 => form("PATCH", &one, op("replace", "userName", &json!(name))),
                _ => form("PATCH", &one, json!({"userName": name})),
            });
            refused(&server, base, forms, 400).await;
        }
    }
    let longest = user(json!({"userName": "n".repeat(1_024)}));
    server.create("/scim/v2/Users", &longest).await;
}

/// PATCH operations of one user that repeat a text in a place where it is wrong.
fn operations(one: &str, long: &str) -> Vec<Form> {
    let value = json!(1);
    [
        op("add", long, &value),
        op("add", &format!("emails[{long} eq \"x\"]"), &value),
        op("add", &format!("title[{long} eq 1]"), &value),
        op("add", &format!("emails[value pr].{long}"), &value),
        op(long, "title", &value),
        op("add", &format!("urn:{long}:x"), &value),
    ]
    .map(|body| form("PATCH", one, body))
    .into()
}

/// URLs that repeat a text in a place where it is wrong.
fn urls(long: &str) -> Vec<Form> {
    [
        format!("{V2}/Users?sortBy={long}"),
        format!("{V2}/{long}"),
        format!("{V2}/Schemas/{long}"),
        format!("{V2}/ResourceTypes/{long}"),
        format!("{V1}/Schemas/{long}"),
        format!("/scim/v{}/Users", "9".repeat(3_000)),
        format!("{IONIC}/Users?{long}__contains=x"),
        format!("{V2}/Users?{long}=%FF"),
    ]
    .map(|path| form("GET", path, Value::Null))
    .into()
}

/// Searches that repeat a text in a place where it is wrong.
fn searches(long: &str) -> Vec<Form> {
    let filters = [
        format!("{long} eq 1"),
        format!("userName {long} 1"),
        format!("userName eq {long}'"),
        format!("emails[{long} eq 1]"),
    ];
    let filters = filters.map(|filter| json!({ "filter": filter }));
    let named = json!({"attributes": [long]});
    let bodies = filters.into_iter().chain([named]);
    bodies
        .map(|body| form("POST", "/scim/v2/Users/.search", body))
        .collect()
}

/// Values that repeat a text in a place where it is wrong.
fn values(group: &str, long: &str) -> Vec<Form> {
    let members = [
        json!([{"value": "x", "type": long}]),
        json!([{"value": "z".repeat(200)}]),
    ];
    let members = members.map(|members| form("PATCH", group, op("add", "members", &members)));
    let role = json!({"name": "r", "scopes": [long]});
    let role = form("POST", "/scim/v2/Roles", role);
    members.into_iter().chain([role]).collect()
}

/// Requests that only the strict profile refuses.
fn of_strict(id: &str, long: &str) -> Vec<Form> {
    let (one, v1) = (format!("{V2}/Users/{id}"), format!("{V1}/Users/{id}"));
    let filtered = format!("emails[value eq \"{long}\"]");
    vec![
        form("PUT", &one, user(json!({ long: 1 }))),
        form("PUT", &one, user(json!({"name": { long: 1 }}))),
        form("PUT", &one, json!({"schemas": [long], "userName": "b"})),
        form(
            "PATCH",
            &one,
            op("replace", &filtered, &json!({"value": "x"})),
        ),
        form("PATCH", &v1, json!({ long: 1 })),
    ]
}

/// Bulk requests, each with one operation twice.
fn bulks(long: &str) -> Vec<Form> {
    let data = json!({"userName": "n"});
    let group = json!({"displayName": "g", "members": [{"value": format!("bulkId:{long}")}]});
    [
        json!({"method": "DELETE", "path": format!("/{long}/7/8")}),
        json!({"method": "DELETE", "path": format!("/{long}")}),
        json!({"method": "DELETE", "path": format!("/{long}/7")}),
        json!({"method": "DELETE", "path": format!("/Users/{long}")}),
        json!({"method": "POST", "path": format!("/Users/{long}"), "bulkId": "x", "data": data}),
        json!({"method": "PUT", "path": format!("/Users/bulkId:{long}"), "data": data}),
        json!({"method": "POST", "path": "/Users", "bulkId": long, "data": data}),
        json!({"method": "POST", "path": "/Groups", "bulkId": "x", "data": group}),
    ]
    .map(|operation| json!({"Operations": [operation, operation]}))
    .map(|body| form("POST", "/scim/v2/Bulk", body))
    .into()
}

/// The answer repeats at most a hundred characters of a text.
fn check_excerpts(form: &Form, answer: &Answer) {
    let mut repeated = answer.json.clone();
    for operation in repeated["Operations"].as_array_mut().into_iter().flatten() {
        // A result names its operation as the request does.
        operation["bulkId"] = Value::Null;
        operation["location"] = Value::Null;
    }
    let repeated = repeated.to_string();
    let (longest, nines) = ("z".repeat(101), "9".repeat(101));
    assert!(
        !repeated.contains(&longest) && !repeated.contains(&nines),
        "{} {:.80}: {repeated:.600}",
        form.method,
        form.path
    );
}

/// Every error that repeats a client's text repeats at most a hundred characters.
#[tokio::test]
async fn errors_repeat_little_of_the_clients_text() {
    let server = Server::start().await;
    let strict = Rules {
        profile: Profile::Strict,
        ..Rules::default()
    };
    let strict = Server::with_rules(&strict).await;
    let long = "z".repeat(3_000);
    let id = server.create("/scim/v2/Users", &user(json!({}))).await;
    let strict_id = strict.create("/scim/v2/Users", &user(json!({}))).await;
    let group = json!({"displayName": "g"});
    let group = server.create("/scim/v2/Groups", &group).await;
    let forms = [
        operations(&format!("{V2}/Users/{id}"), &long),
        urls(&long),
        searches(&long),
        values(&format!("{V2}/Groups/{group}"), &long),
        bulks(&long),
    ];
    for (server, forms) in [
        (&server, forms.into_iter().flatten().collect()),
        (&strict, of_strict(&strict_id, &long)),
    ] {
        for form in forms {
            let body = Some(&form.body).filter(|body| !body.is_null());
            let answer = server.send(form.method, &form.path, body).await;
            check_excerpts(&form, &answer);
        }
    }
    let twice = format!("{{\"{long}\":1,\"{long}\":2}}");
    let request = server.request("POST", "/scim/v2/Users");
    let answer = server.answer(request.body(twice.into()).unwrap()).await;
    check_excerpts(&form("POST", V2, Value::Null), &answer);
    assert_eq!(answer.status, 400);
}

/// The largest resource that is accepted fits an item of the table, with the item's other attributes.
#[tokio::test]
async fn the_largest_resource_can_be_stored() {
    let server = Server::start().await;
    let long = |bytes: usize| json!("x".repeat(bytes));
    let id = server
        .create("/scim/v2/Users", &user(json!({"title": long(300_000)})))
        .await;
    let path = format!("{V2}/Users/{id}");
    let stored = scim_lambda::protocol::resource::MAX_BYTES;
    let mut fits = 0;
    for length in [stored - 150, stored - 160, stored - 170, stored - 180] {
        let answer = server
            .send("PATCH", &path, Some(&op("replace", "title", &long(length))))
            .await;
        assert!(matches!(answer.status, 200 | 413), "{}", answer.text);
        fits += usize::from(answer.status == 200);
    }
    assert!(fits > 0);
    server
        .create("/scim/v2/Groups", &json!({"displayName": long(399_000)}))
        .await;
}
