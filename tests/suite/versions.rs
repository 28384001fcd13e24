//! Conditions hold at the moment of the write, versions cover everything that an answer shows, and
//! names of resources are exact (RFC 7644 §3.14, RFC 7643 §3.1).

use std::collections::BTreeSet;

use axum::body::Body;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Server};

const USERS: &str = "/scim/v2/Users";

fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
    })
}

fn replace(path: &str, value: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": path, "value": value}],
    })
}

/// Eight changes at the same time, each on the condition of the current version.
async fn change_at_once(server: &Server, path: &str, attribute: &str) -> Vec<Answer> {
    let version = server.send("GET", path, None).await;
    let version = version.header("etag").to_owned();
    let changes = (0..8).map(|number| {
        let request = server.request("PATCH", path).header("If-Match", &version);
        let body = replace(attribute, &format!("value {number}"));
        server.answer(request.body(Body::from(body.to_string())).unwrap())
    });
    join_all(changes).await
}

#[tokio::test]
async fn of_simultaneous_changes_to_one_version_one_succeeds() {
    let server = Server::start().await;
    let check = async |path: String, attribute: &str| {
        let answers = change_at_once(&server, &path, attribute).await;
        let done = |answer: &&Answer| answer.status == 200;
        let changed: Vec<_> = answers.iter().filter(done).collect();
        let [changed] = changed.as_slice() else {
            panic!("{} of the changes took place", changed.len());
        };
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.check_error(412, None);
        }
        let now = server.send("GET", &path, None).await;
        assert_eq!(now.json[attribute], changed.json[attribute]);
    };
    let user = server.create(USERS, &user("bjensen")).await;
    let group = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Tour Guides",
        "members": [{"value": user}],
    });
    let group = server.create("/scim/v2/Groups", &group).await;
    check(format!("{USERS}/{user}"), "title").await;
    check(format!("/scim/v2/Groups/{group}"), "displayName").await;
}

#[tokio::test]
async fn a_name_wanted_by_many_requests_goes_to_one() {
    let server = Server::start().await;
    let body = user("bjensen");
    let creations = (0..8).map(|_| server.send("POST", USERS, Some(&body)));
    let answers = join_all(creations).await;
    let created = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(created.count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.check_error(409, Some("uniqueness"));
    }
}

/// A user in a group, and a device of the user.
struct Directory {
    server: Server,
    user: String,
    group: String,
    device: String,
}

impl Directory {
    async fn new() -> Self {
        let server = Server::start().await;
        let name = json!({"userName": "bjensen", "displayName": "Barbara"});
        let user = server.create(USERS, &name).await;
        let group = json!({"displayName": "Guides", "members": [{"value": user}]});
        let group = server.create("/scim/v2/Groups", &group).await;
        let device = json!({"name": "laptop", "userId": user});
        let device = server.create("/scim/v2/Devices", &device).await;
        Self {
            server,
            user,
            group,
            device,
        }
    }

    async fn rename(&self, endpoint: &str, id: &str, name: &str) {
        let path = format!("/scim/v2/{endpoint}/{id}");
        let body = replace("displayName", name);
        let renamed = self.server.send("PATCH", &path, Some(&body)).await;
        assert_eq!(renamed.status, 200, "{}", renamed.text);
    }

    async fn send_if(&self, method: &str, path: &str, name: &str, tag: &str) -> Answer {
        let request = self.server.request(method, path).header(name, tag);
        self.server
            .answer(request.body(Body::empty()).unwrap())
            .await
    }

    /// Reads a resource before and after `change` changes what it shows: the tag is the same before,
    /// and another one after it.
    async fn check(&self, path: &str, change: impl AsyncFnOnce()) {
        let before = self.server.send("GET", path, None).await;
        let tag = before.header("etag").to_owned();
        assert_eq!(before.json["meta"]["version"], tag, "{path}");
        let head = self.server.send("HEAD", path, None).await;
        assert_eq!(head.header("etag"), tag, "{path}");
        let known = self.send_if("GET", path, "If-None-Match", &tag).await;
        assert_eq!((known.status, known.header("etag")), (304, &*tag), "{path}");
        assert_eq!(calls(&known), calls(&before), "{path}");
        let known = self.send_if("HEAD", path, "If-None-Match", &tag).await;
        assert_eq!(known.status, 304, "{path}");
        change().await;
        let after = self.send_if("GET", path, "If-None-Match", &tag).await;
        assert_eq!(after.status, 200, "{path}");
        assert_ne!(after.header("etag"), tag, "{path}");
        assert_eq!(after.json["meta"]["version"], *after.header("etag"));
        let plain = self.server.send("GET", path, None).await;
        assert_eq!(plain.header("etag"), after.header("etag"), "{path}");
        assert_eq!(calls(&after), calls(&plain), "{path}");
        // The stored resource is unchanged.
        let read = self.send_if("GET", path, "If-Match", &tag).await;
        assert_eq!(read.status, 200, "{path}");
        let first = |tag: &str| tag.split(['-', '"']).nth(1).unwrap().to_owned();
        assert_eq!(first(after.header("etag")), first(&tag), "{path}");
    }
}

/// The cost of an answer: `calls=2 rru=1 wru=0`.
fn calls(answer: &Answer) -> &str {
    let timing = answer.header("server-timing");
    timing.split('"').nth(1).unwrap()
}

const BASES: [&str; 3] = ["/scim/v2", "/scim/v1", "/v2/acme/scim"];

#[tokio::test]
async fn the_tag_of_a_user_covers_its_groups() {
    let directory = Directory::new().await;
    for base in BASES {
        for query in [
            "",
            "?attributes=userName,groups,meta",
            "?attributes=groups.display,meta",
        ] {
            let path = format!("{base}/Users/{}{query}", directory.user);
            let name = format!("Guides {}", path.len());
            let group = &directory.group;
            let change = async || directory.rename("Groups", group, &name).await;
            directory.check(&path, change).await;
        }
    }
    // Users who join and leave.
    let path = format!("{USERS}/{}", directory.user);
    let before = directory.server.send("GET", &path, None).await;
    let other = json!({"displayName": "Staff", "members": [{"value": directory.user}]});
    directory
        .check(&path, async || {
            directory.server.create("/scim/v2/Groups", &other).await;
        })
        .await;
    let filter = "/scim/v2/Groups?filter=displayName+eq+%22Staff%22";
    let found = directory.server.send("GET", filter, None).await;
    let other = found.json["Resources"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = format!("/scim/v2/Groups/{other}");
    directory
        .check(&path, async || {
            directory.server.send("DELETE", &other, None).await;
        })
        .await;
    let after = directory.server.send("GET", &path, None).await;
    assert_eq!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn the_tag_of_a_group_covers_the_names_of_members() {
    let directory = Directory::new().await;
    for base in BASES {
        for query in [
            "",
            "?attributes=members,meta",
            "?excludedAttributes=externalId",
        ] {
            let path = format!("{base}/Groups/{}{query}", directory.group);
            let name = format!("Barbara {}", path.len());
            let user = &directory.user;
            let change = async || directory.rename("Users", user, &name).await;
            directory.check(&path, change).await;
        }
    }
}

#[tokio::test]
async fn the_tag_of_a_device_covers_the_user_inside_it() {
    let directory = Directory::new().await;
    let path = format!(
        "/v2/acme/scim/Devices/{}?attributes=name,user",
        directory.device
    );
    let (user, group) = (&directory.user, &directory.group);
    let change = async || directory.rename("Users", user, "Barbara J").await;
    directory.check(&path, change).await;
    let change = async || directory.rename("Groups", group, "Tour Guides").await;
    directory.check(&path, change).await;
    let one = directory.server.send("GET", &path, None).await;
    let list = "/v2/acme/scim/Devices?attributes=name,user";
    let list = directory.server.send("GET", list, None).await;
    let listed = &list.json["Resources"][0]["meta"]["version"];
    assert_eq!(*listed, *one.header("etag"));
}

#[tokio::test]
async fn a_tag_covers_only_what_is_shown() {
    let directory = Directory::new().await;
    let (server, user) = (&directory.server, &directory.user);
    for (endpoint, id, hidden) in [
        (
            "Users",
            user,
            [
                "attributes=userName",
                "excludedAttributes=groups",
                "attributes=groups.value",
            ],
        ),
        (
            "Groups",
            &directory.group,
            [
                "attributes=displayName",
                "excludedAttributes=members",
                "attributes=members.value",
            ],
        ),
    ] {
        for query in hidden {
            let path = format!("/scim/v2/{endpoint}/{id}?{query}");
            let before = server.send("GET", &path, None).await;
            let tag = before.header("etag").to_owned();
            match endpoint {
                "Users" => directory.rename("Groups", &directory.group, query).await,
                _ => directory.rename("Users", user, query).await,
            }
            let after = directory.send_if("GET", &path, "If-None-Match", &tag).await;
            assert_eq!(after.status, 304, "{path} {tag} {}", after.text);
        }
    }
}

#[tokio::test]
async fn lists_and_writes_show_the_same_version_as_a_read() {
    let directory = Directory::new().await;
    let (server, user, group) = (&directory.server, &directory.user, &directory.group);
    for (endpoint, id) in [("Users", user), ("Groups", group)] {
        let path = format!("/scim/v2/{endpoint}/{id}");
        let tag = server.send("GET", &path, None).await;
        let tag = tag.header("etag").to_owned();
        assert!(tag.contains('-'), "{tag}");
        let all = server
            .send("GET", &format!("/scim/v2/{endpoint}"), None)
            .await;
        assert_eq!(all.json["Resources"][0]["meta"]["version"], *tag);
        let search = json!({
            "filter": format!("meta.version eq {} and id eq {}", json!(tag), json!(id)),
        });
        for within in ["/.search".to_owned(), format!("/{endpoint}/.search")] {
            let found = format!("/scim/v2{within}");
            let found = server.send("POST", &found, Some(&search)).await;
            assert_eq!(found.json["totalResults"], 1, "{}", found.text);
            assert_eq!(found.json["Resources"][0]["meta"]["version"], *tag);
        }
        // A tag that was read before a shown part has changed still names the resource.
        match endpoint {
            "Users" => directory.rename("Groups", group, "Renamed").await,
            _ => directory.rename("Users", user, "Renamed").await,
        }
        let request = server.request("PATCH", &path).header("If-Match", &tag);
        let body = Body::from(replace("externalId", "x").to_string());
        let patched = server.answer(request.body(body).unwrap()).await;
        assert_eq!(patched.status, 200, "{}", patched.text);
        let read = server.send("GET", &path, None).await;
        for answer in [&patched, &read] {
            assert_eq!(answer.header("etag"), read.header("etag"));
            assert_eq!(answer.json["meta"]["version"], *read.header("etag"));
        }
        // But not after the resource itself has changed.
        let stale = directory.send_if("DELETE", &path, "If-Match", &tag).await;
        stale.check_error(412, None);
    }
}

#[tokio::test]
async fn a_large_group_gets_a_304_without_reading_its_members() {
    let server = Server::start().await;
    let operations: Vec<_> = (0..201)
        .map(|number| {
            let data = user(&format!("user-{number}"));
            json!({"method": "POST", "path": "/Users", "bulkId": format!("u{number}"), "data": data})
        })
        .collect();
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let made = server.send("POST", "/scim/v2/Bulk", Some(&bulk)).await;
    let made = made.json["Operations"].as_array().unwrap().iter();
    let members: Vec<_> = made
        .map(|one| {
            one["location"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .map(|id| json!({"value": id}))
        .collect();
    let group = json!({"displayName": "All", "members": members});
    let group = server.create("/scim/v2/Groups", &group).await;
    let path = format!("/scim/v2/Groups/{group}");
    let read = server.send("GET", &path, None).await;
    let tag = read.header("etag");
    let request = server.request("GET", &path).header("If-None-Match", tag);
    let known = server.answer(request.body(Body::empty()).unwrap()).await;
    assert_eq!(known.status, 304);
    assert!(
        calls(&known).starts_with("calls=1 rru=1 "),
        "{}",
        calls(&known)
    );
}

#[tokio::test]
async fn ids_are_all_different_and_exact() {
    let server = Server::start().await;
    let mut ids = BTreeSet::new();
    for number in 0..50 {
        let id = server.create(USERS, &user(&number.to_string())).await;
        assert!(!id.to_lowercase().contains("bulkid"), "{id}");
        let upper = format!("{USERS}/{}", id.to_uppercase());
        server
            .send("GET", &upper, None)
            .await
            .check_error(404, None);
        assert!(ids.insert(id));
    }
}
