//! The requests of a history: every verb, in every form.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::node::{Node, Reply};

/// The number of users that a directory begins with: more members than one transaction takes.
pub(super) const POOL: usize = 40;
/// Members of a list that does not fit one transaction.
const MANY: usize = 36;
/// More users than may lose their access within an hour before the brake trips.
const WAVE: usize = 25;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// What the clients of a tenant know of its directory. It may be out of date.
#[derive(Default, Clone)]
pub(super) struct Known {
    pub(super) users: Vec<String>,
    pub(super) groups: Vec<String>,
    /// Resources of a registered type.
    pub(super) badges: Vec<String>,
    names: u32,
}

impl Known {
    fn user(&self) -> String {
        // Most requests are about the first users and groups, so that they meet.
        match fastrand::bool() {
            true => self.users[fastrand::usize(..3)].clone(),
            false => self.users[fastrand::usize(..self.users.len())].clone(),
        }
    }

    fn group(&self) -> String {
        match fastrand::u8(..4) {
            0 => self.groups[fastrand::usize(..self.groups.len())].clone(),
            _ => self.groups[0].clone(),
        }
    }

    fn some(&self, most: usize) -> Vec<String> {
        let count = fastrand::usize(..=most);
        let mut some: Vec<String> = (0..count).map(|_| self.user()).collect();
        // Groups are members of groups too.
        if fastrand::u8(..8) == 0 && !self.groups.is_empty() {
            some.push(self.group());
        }
        some
    }

    fn many(&self) -> Vec<String> {
        fastrand::choose_multiple(self.users.iter().cloned(), MANY)
    }

    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("name-{}", self.names)
    }
}

/// One client of a tenant.
pub(super) struct Client<'c> {
    pub(super) node: &'c Node,
    pub(super) token: &'c str,
}

impl Client<'_> {
    pub(super) async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let reply = self.node.send(self.token, method, path, &body).await;
        let expected = [200, 201, 204, 400, 404, 409, 412, 503];
        assert!(
            expected.contains(&reply.status),
            "{method} {path} {body}: {reply:?}"
        );
        reply
    }

    pub(super) async fn patch(&self, path: &str, operations: Value) -> Reply {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        self.send("PATCH", path, body).await
    }

    /// Creates the users that a directory begins with.
    pub(super) async fn fill(&self, known: &mut Known, users: usize) {
        let operation = |number: usize| {
            json!({
                "method": "POST",
                "path": "/Users",
                "bulkId": number.to_string(),
                "data": user(&format!("pool-{number}")),
            })
        };
        let operations: Vec<Value> = (0..users).map(operation).collect();
        let body = json!({"schemas": [BULK], "Operations": operations});
        let reply = self.send("POST", "/scim/v2/Bulk", body).await;
        for operation in reply.json["Operations"].as_array().unwrap() {
            let location = operation["location"].as_str().unwrap();
            known
                .users
                .push(location.rsplit('/').next().unwrap().to_owned());
        }
        assert_eq!(known.users.len(), users, "{:?}", reply.json);
        let members = known.some(3);
        self.create_group(known, &members).await;
        self.create_group(known, &[]).await;
    }

    /// Takes their access from so many users at once that the brake trips.
    pub(super) async fn deactivate_many(&self, known: &RefCell<Known>) {
        let users = known.borrow().users.clone();
        let operation = |id: &String| {
            json!({"method": "PATCH", "path": format!("/Users/{id}"), "data": {
                "schemas": [PATCH],
                "Operations": [{"op": "replace", "path": "active", "value": false}],
            }})
        };
        let operations: Vec<Value> = users.iter().take(WAVE).map(operation).collect();
        let body = json!({"schemas": [BULK], "Operations": operations});
        self.send("POST", "/scim/v2/Bulk", body).await;
    }

    /// Sends a random request, or a few that belong together.
    pub(super) async fn random(&self, known: &RefCell<Known>) {
        let (user, other, group) = {
            let known = known.borrow();
            (known.user(), known.user(), known.group())
        };
        match fastrand::u8(..32) {
            0 => self.create_user(known).await,
            1..=3 => self.change_user(&user, known).await,
            4 => self.swap_names(&user, &other, known).await,
            5 => {
                let name = known.borrow_mut().name();
                self.send("PUT", &format!("/scim/v1/Users/{user}"), v1_user(&name))
                    .await;
            }
            6 | 7 => {
                self.send("DELETE", &format!("/scim/v2/Users/{user}"), Value::Null)
                    .await;
            }
            8 => {
                let members = known.borrow().some(3);
                self.create_group_in(known, &members).await;
            }
            9 => {
                let members = known.borrow().many();
                self.create_group_in(known, &members).await;
            }
            10 => {
                let path = format!("/scim/v2/Groups/{group}");
                self.send("DELETE", &path, Value::Null).await;
            }
            11 => self.bulk(known).await,
            _ => self.change_group(&group, &user, known).await,
        }
    }

    async fn create_user(&self, known: &RefCell<Known>) {
        let name = known.borrow_mut().name();
        let reply = self.send("POST", "/scim/v2/Users", user(&name)).await;
        let id = reply.json["id"].as_str().map(str::to_owned);
        known.borrow_mut().users.extend(id);
    }

    async fn create_group_in(&self, known: &RefCell<Known>, members: &[String]) {
        let name = known.borrow_mut().name();
        let reply = self
            .send("POST", "/scim/v2/Groups", group(&name, members))
            .await;
        let id = reply.json["id"].as_str().map(str::to_owned);
        known.borrow_mut().groups.extend(id);
    }

    async fn create_group(&self, known: &mut Known, members: &[String]) {
        let name = known.name();
        let reply = self
            .send("POST", "/scim/v2/Groups", group(&name, members))
            .await;
        known
            .groups
            .push(reply.json["id"].as_str().unwrap().to_owned());
    }

    async fn change_user(&self, id: &str, known: &RefCell<Known>) {
        let name = known.borrow_mut().name();
        let path = format!("/scim/v2/Users/{id}");
        match fastrand::u8(..7) {
            0 => {
                let active =
                    json!([{"op": "replace", "path": "active", "value": fastrand::bool()}]);
                self.patch(&path, active).await;
            }
            1 => {
                let renamed = json!([{"op": "replace", "path": "userName", "value": name}]);
                self.patch(&path, renamed).await;
            }
            2 => {
                let title = json!([
                    {"op": "replace", "path": "title", "value": name},
                    {"op": "add", "path": format!("{ENTERPRISE}:department"), "value": name},
                ]);
                self.patch(&path, title).await;
            }
            3 => {
                let removed = json!([
                    {"op": "remove", "path": "title"},
                    {"op": "remove", "path": format!("{ENTERPRISE}:department")},
                ]);
                self.patch(&path, removed).await;
            }
            4 => {
                self.send("PUT", &path, user(&name)).await;
            }
            5 => {
                let emails = json!({"emails": [{"value": format!("{name}@example.com")}]});
                self.send("PATCH", &format!("/scim/v1/Users/{id}"), emails)
                    .await;
            }
            _ => {
                // The second of two equal requests changes nothing.
                let title = json!([{"op": "replace", "path": "title", "value": "same"}]);
                self.patch(&path, title.clone()).await;
                self.patch(&path, title).await;
            }
        }
    }

    /// Gives each of two users the name of the other one.
    async fn swap_names(&self, one: &str, other: &str, known: &RefCell<Known>) {
        let name = known.borrow_mut().name();
        let mut names = Vec::new();
        for id in [one, other] {
            let found = self
                .send("GET", &format!("/scim/v2/Users/{id}"), Value::Null)
                .await;
            match found.json["userName"].as_str() {
                Some(name) => names.push(name.to_owned()),
                None => return,
            }
        }
        for (id, name) in [(one, &name), (other, &names[0]), (one, &names[1])] {
            let renamed = json!([{"op": "replace", "path": "userName", "value": name}]);
            self.patch(&format!("/scim/v2/Users/{id}"), renamed).await;
        }
    }

    async fn change_group(&self, id: &str, user: &str, known: &RefCell<Known>) {
        let path = format!("/scim/v2/Groups/{id}");
        let (some, many, name) = {
            let mut known = known.borrow_mut();
            (known.some(3), known.many(), known.name())
        };
        match fastrand::u8(..15) {
            12 | 13 => self.replace_in_turns(&path, user, &many, &some).await,
            14 => {
                // A list that is refused because of one member, while others may be reading it.
                let stranger = "01900000-0000-7000-8000-ffffffffffff".to_owned();
                self.patch(&path, replace(&[many.as_slice(), &[stranger]].concat()))
                    .await;
            }
            0 | 1 => drop(self.patch(&path, add(&some)).await),
            2 => drop(self.patch(&path, remove(&some)).await),
            3 | 4 => {
                // One member is added and removed in quick succession.
                for _ in 0..fastrand::u8(1..4) {
                    self.patch(&path, add(&[user.to_owned()])).await;
                    self.patch(&path, remove(&[user.to_owned()])).await;
                }
            }
            5 => drop(self.patch(&path, add(&many)).await),
            6 => drop(self.patch(&path, remove(&many)).await),
            7 => drop(self.patch(&path, replace(&some)).await),
            8 => drop(self.patch(&path, replace(&many)).await),
            9 => drop(self.send("PUT", &path, group(&name, &many)).await),
            10 => {
                // Two whole lists in a row. The first is long, so its set is filled before it becomes current.
                self.patch(&path, replace(&many)).await;
                self.patch(&path, replace(&some)).await;
            }
            _ => {
                let body = json!({"displayName": name, "members": listed(&some)});
                self.send("PUT", &format!("/scim/v1/Groups/{id}"), body)
                    .await;
            }
        }
    }

    /// Whole lists in a row, each of which has or lacks the same user, with single changes of that user in
    /// between. Some sets are filled before they become current, and others are not.
    async fn replace_in_turns(&self, path: &str, user: &str, many: &[String], some: &[String]) {
        let user = [user.to_owned()];
        for _ in 0..fastrand::u8(2..5) {
            let mut list = match fastrand::bool() {
                true => many.to_vec(),
                false => some.to_vec(),
            };
            list.retain(|id| *id != user[0]);
            if fastrand::bool() {
                list.extend_from_slice(&user);
            }
            self.patch(path, replace(&list)).await;
            match fastrand::u8(..4) {
                0 => drop(self.patch(path, add(&user)).await),
                1 => drop(self.patch(path, remove(&user)).await),
                _ => {}
            }
        }
    }

    async fn bulk(&self, known: &RefCell<Known>) {
        let (name, one, other, place, members) = {
            let mut known = known.borrow_mut();
            (
                known.name(),
                known.user(),
                known.user(),
                known.group(),
                known.some(4),
            )
        };
        let operations = json!([
            {"method": "POST", "path": "/Users", "bulkId": "new", "data": user(&name)},
            {"method": "PATCH", "path": format!("/Groups/{place}"), "data": {
                "schemas": [PATCH],
                "Operations": [
                    {"op": "add", "path": "members", "value": [{"value": "bulkId:new"}]},
                    {"op": "remove", "path": "members", "value": listed(&members)},
                ],
            }},
            {"method": "PATCH", "path": format!("/Users/{one}"), "data": {
                "schemas": [PATCH],
                "Operations": [{"op": "replace", "path": "active", "value": false}],
            }},
            {"method": "DELETE", "path": format!("/Users/{other}")},
        ]);
        let body = json!({"schemas": [BULK], "Operations": operations});
        self.send("POST", "/scim/v2/Bulk", body).await;
    }
}

fn user(name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": name,
        "externalId": format!("external-{name}"),
        "emails": [{"value": format!("{name}@example.com"), "type": "work"}],
        "active": true,
        (ENTERPRISE): {"department": "Tours", "costCenter": name},
    })
}

fn v1_user(name: &str) -> Value {
    json!({
        "userName": name,
        "active": fastrand::bool(),
        "emails": [{"value": format!("{name}@example.com")}],
    })
}

fn group(name: &str, members: &[String]) -> Value {
    json!({"schemas": [GROUP], "displayName": name, "members": listed(members)})
}

fn listed(members: &[String]) -> Value {
    members.iter().map(|id| json!({"value": id})).collect()
}

fn add(members: &[String]) -> Value {
    json!([{"op": "add", "path": "members", "value": listed(members)}])
}

fn remove(members: &[String]) -> Value {
    json!([{"op": "remove", "path": "members", "value": listed(members)}])
}

fn replace(members: &[String]) -> Value {
    json!([{"op": "replace", "path": "members", "value": listed(members)}])
}
