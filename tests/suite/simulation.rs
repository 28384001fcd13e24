//! Processes that serve one table over a network with planned faults, in a time that passes only while
//! all tasks wait.

mod audit;
mod budget;
mod network;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::dynamodb::EventRecord;
use aws_sdk_dynamodb::config::Builder;
use dynoxide::{AttributeValue, Database, ImportOptions, Item};
use scim_lambda::aws;
use scim_lambda::clock::Clock;
use scim_lambda::embedded::{DataDirectory, Engine};
use scim_lambda::http::render;
use scim_lambda::identity::{Cause, CauseKind, CredentialId, TenantId};
use scim_lambda::protocol::error::{ErrorKind, Result};
use scim_lambda::protocol::message::{Parameters, Query, Selection};
use scim_lambda::protocol::profile::Rules;
use scim_lambda::protocol::schema::ResourceType;
use scim_lambda::protocol::version::Precondition;
use scim_lambda::provider::{
    Cursors, Over, Patched, Provider, Read, Representation, RequestScope, resource_id,
};
use scim_lambda::store::{ConfigItem, Cost, Meter, PlainItem, Store};
use scim_lambda::tenant::{Caller, Permissions};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::support::{cause, stack_keys};

pub(crate) use budget::Budget;
pub(crate) use network::{Call, Fault, Line};
use network::{Network, Plug, execute};

/// The beginning of every location.
pub(crate) const BASE: &str = "https://directory.example.com/scim/v2";

/// When every world begins, in milliseconds since the Unix epoch.
const BEGAN_MILLIS: i64 = 1_700_000_000_000;

/// A table, its network and its time.
pub(crate) struct World {
    network: Arc<Network>,
    clock: Arc<SimulatedClock>,
}

/// One process that serves the table, and the result of its last request.
pub(crate) struct Process {
    pub(crate) provider: Provider,
    pub(crate) line: Arc<Line>,
    /// The cause of its writes: one request id for all of them.
    pub(crate) cause: Cause,
}

/// The wall clock. It follows tokio's time, by which processes measure, and also goes on while a
/// process is frozen.
struct SimulatedClock {
    begin: Instant,
    jumped: AtomicU64,
}

impl Clock for SimulatedClock {
    fn now_millis(&self) -> u64 {
        let passed = u64::try_from(self.begin.elapsed().as_millis()).unwrap();
        BEGAN_MILLIS.unsigned_abs() + passed + self.jumped.load(Ordering::SeqCst)
    }
}

impl World {
    /// An empty table; calls take some milliseconds.
    pub(crate) async fn new() -> Self {
        Self::with(5, None).await
    }

    /// An empty table whose calls take no time. Then the calls of a request are made in one order, and none is given
    /// up because another one was answered earlier.
    pub(crate) async fn without_latency() -> Self {
        Self::with(0, None).await
    }

    async fn with(latency: u64, budget: Option<Mutex<Budget>>) -> Self {
        let database = DataDirectory::in_memory().unwrap().open_table().unwrap();
        let world = Self::over(database, latency, budget);
        let process = world.process();
        let store = process.provider.store();
        store.create_table_if_missing().await.unwrap();
        world
    }

    /// A directory of this many users, loaded and not created, on partitions with limits; and the ids
    /// of the users, in order.
    pub(crate) async fn loaded(users: usize) -> (Self, Vec<String>) {
        let world = Self::with(5, Some(Mutex::new(Budget::new()))).await;
        let database = world.network.table.database().clone();
        let sink = move |items: Vec<PlainItem>| {
            let items = items.into_iter().map(item).collect();
            let imported = database.import_items("scim", items, ImportOptions::default());
            imported.unwrap();
            Ok(())
        };
        let process = world.process();
        let mut loader = process.provider.loader(&tenant(), sink).await.unwrap();
        let id = |number: usize| format!("01900000-0000-7000-8000-{number:012}");
        let ids: Vec<String> = (0..users).map(id).collect();
        for (number, id) in ids.iter().enumerate() {
            let user = object(user(&format!("user-{number}")));
            loader.add("User", id, user, 1_600_000_000_000).unwrap();
        }
        loader.finish().unwrap();
        (world, ids)
    }

    fn over(database: Database, latency: u64, budget: Option<Mutex<Budget>>) -> Self {
        Self {
            network: Arc::new(Network {
                table: Engine::new(database),
                latency,
                budget,
                changes: AtomicU64::new(0),
            }),
            clock: Arc::new(SimulatedClock {
                begin: Instant::now(),
                jumped: AtomicU64::new(0),
            }),
        }
    }

    /// Another table with the same items.
    pub(crate) fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.sqlite");
        let file = file.to_string_lossy();
        self.network.table.database().vacuum_into(&file).unwrap();
        let database = Database::memory().unwrap();
        database.restore_from(&file).unwrap();
        Self::over(database, self.network.latency, None)
    }

    /// Asks the table, or its stream, without a process.
    pub(crate) fn ask(&self, operation: &str, request: &Value) -> Value {
        let (status, text) = execute(&self.network.table, operation, request);
        assert_eq!(status, 200, "{text}");
        parse(&text)
    }

    /// Writes to the table directly, without a process.
    pub(crate) fn tamper(&self, operation: &str, request: &Value) {
        self.network.changes.fetch_add(1, Ordering::SeqCst);
        let (status, text) = execute(&self.network.table, operation, request);
        assert_eq!(status, 200, "{text}");
    }

    /// The number of calls so far that may have changed the table.
    pub(crate) fn changes(&self) -> u64 {
        self.network.changes.load(Ordering::SeqCst)
    }

    /// All items of the table.
    pub(crate) fn items(&self) -> Vec<Value> {
        let (mut items, mut start) = (Vec::new(), Value::Null);
        loop {
            let mut request = json!({"TableName": "scim", "ConsistentRead": true});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let (_, text) = execute(&self.network.table, "Scan", &request);
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            items.append(answer["Items"].as_array_mut().unwrap());
            start = answer["LastEvaluatedKey"].take();
            if start.is_null() {
                return items;
            }
        }
    }

    /// The ids of a tenant's resources.
    pub(crate) fn ids(&self, tenant: &str) -> BTreeSet<String> {
        let prefix = format!("T#{tenant}#R#");
        let items = self.items().into_iter();
        let resources = items.filter(|item| {
            let partition = item["pk"]["S"].as_str().unwrap();
            partition.starts_with(&prefix)
        });
        resources
            .map(|item| item["sk"]["S"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Removes every item of a tenant but its feed, as when the tenant is deleted.
    pub(crate) fn remove(&self, tenant: &str) {
        let (itself, feed) = (format!("T#{tenant}"), format!("T#{tenant}#E"));
        for item in self.items() {
            let partition = item["pk"]["S"].as_str().unwrap();
            let is_of_tenant = partition == itself || partition.starts_with(&format!("{itself}#"));
            if is_of_tenant && partition != feed {
                let key = json!({"pk": item["pk"], "sk": item["sk"]});
                self.tamper("DeleteItem", &json!({"TableName": "scim", "Key": key}));
            }
        }
    }

    /// The time of the world.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// Every record of the table's stream, the oldest first. All have the time at which the world began,
    /// because the embedded table takes their times from the clock of the machine.
    pub(crate) fn records(&self) -> Vec<EventRecord> {
        let ask = |operation: &str, request: Value| -> Value {
            let (status, text) = execute(&self.network.table, operation, &request);
            assert_eq!(status, 200, "{text}");
            serde_json::from_str(&text).unwrap()
        };
        let streams = ask("ListStreams", json!({"TableName": "scim"}));
        let arn = &streams["Streams"][0]["StreamArn"];
        let stream = ask("DescribeStream", json!({"StreamArn": arn}));
        let shard = &stream["StreamDescription"]["Shards"][0]["ShardId"];
        let from = json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        let mut iterator = ask("GetShardIterator", from)["ShardIterator"].take();
        let mut records = Vec::new();
        loop {
            let mut page = ask("GetRecords", json!({"ShardIterator": iterator}));
            let part = page["Records"].take();
            let mut part: Vec<EventRecord> = serde_json::from_value(part).unwrap();
            for record in &mut part {
                let began = chrono::DateTime::from_timestamp_millis(BEGAN_MILLIS).unwrap();
                record.change.approximate_creation_date_time = began;
            }
            if part.is_empty() {
                return records;
            }
            records.extend(part);
            iterator = page["NextShardIterator"].take();
        }
    }

    /// Sets the rules of the tenant.
    pub(crate) async fn set_rules(&self, change: impl FnOnce(&mut Rules)) {
        let mut rules = Rules::default();
        change(&mut rules);
        let process = self.process();
        let wait = Duration::from_secs(10);
        let store = process.provider.store();
        let store = store.for_tenant(&tenant(), cause(), Meter::default(), wait);
        store
            .configuration()
            .put(ConfigItem::Rules(&rules))
            .await
            .unwrap();
    }

    /// One more process.
    pub(crate) fn process(&self) -> Process {
        let line = Line::new(&self.network);
        let config = Builder::from(&aws::in_process(Plug(Arc::clone(&line))));
        let store = Store::with_config(config, "scim", self.clock.clone());
        let cursors = Cursors::new(stack_keys(self.clock.clone()));
        let provider = Provider::new(store, self.clock.clone(), cursors);
        let cause = Cause {
            credential: Some(CredentialId::parse("1").unwrap()),
            kind: CauseKind::Scim2,
            ..cause()
        };
        Process {
            provider,
            line,
            cause,
        }
    }

    /// Lets the leases of dead writers run out, and finishes their changes until none is left.
    pub(crate) async fn finish(&self) {
        let process = self.process();
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(30)).await;
            process.provider.finish(&tenant()).await.unwrap();
            if process.journal_len().await == 0 {
                return;
            }
        }
        panic!("the journal does not become empty");
    }

    /// Lets time pass that processes see only on the wall clock.
    pub(crate) fn jump(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.clock.jumped.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock back by a time that it has jumped.
    pub(crate) fn jump_back(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.clock.jumped.fetch_sub(millis, Ordering::SeqCst);
    }

    /// The number of calls that a partition refused.
    pub(crate) fn throttled(&self) -> u64 {
        let budget = self.network.budget.as_ref().unwrap();
        budget.lock().unwrap().throttled
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("acme").unwrap()
}

impl Process {
    pub(crate) async fn scope(&self) -> Result<RequestScope> {
        let caller = Caller {
            tenant: tenant(),
            credential: CredentialId::parse("1").unwrap(),
            permissions: Permissions::All,
            role: None,
            scope: None,
            user: None,
            signature: None,
            has_oauth: false,
        };
        let base_url = BASE.to_owned();
        self.provider
            .scope(caller, self.cause.clone(), base_url, Meter::default())
            .await
    }

    pub(crate) async fn journal_len(&self) -> usize {
        let scope = self.scope().await.unwrap();
        scope.store.journal().count().await.unwrap()
    }

    pub(crate) async fn total(&self, kind: &str) -> u64 {
        let scope = self.scope().await.unwrap();
        let resource_type = resource_type(&scope, kind);
        scope.store.resources().total(resource_type).await.unwrap()
    }

    /// Creates a resource and returns it.
    pub(crate) async fn post(&self, kind: &str, body: Value) -> Result<Value> {
        let scope = self.scope().await?;
        let resource_type = resource_type(&scope, kind);
        let all = Selection::default();
        let created = self
            .provider
            .create(&scope, resource_type, object(body), &all);
        shown(&created.await?)
    }

    pub(crate) async fn get(&self, kind: &str, id: &str) -> Result<Value> {
        let scope = self.scope().await?;
        let resource_type = resource_type(&scope, kind);
        let id = &resource_id(resource_type, id)?;
        let (all, always) = (Selection::default(), Precondition::default());
        match self
            .provider
            .get(&scope, resource_type, id, &all, &always)
            .await?
        {
            Read::Found(found) => shown(&found),
            Read::NotModified(_) => panic!("{id} was read without a condition"),
        }
    }

    pub(crate) async fn put(&self, kind: &str, id: &str, body: Value) -> Result<Value> {
        self.put_if(kind, id, body, "").await
    }

    /// PUT on the condition that the resource has this entity tag.
    pub(crate) async fn put_if(
        &self,
        kind: &str,
        id: &str,
        body: Value,
        tag: &str,
    ) -> Result<Value> {
        let scope = self.scope().await?;
        let resource_type = resource_type(&scope, kind);
        let id = &resource_id(resource_type, id)?;
        let (all, condition) = (Selection::default(), condition(tag));
        let body = object(body);
        let replaced = self
            .provider
            .replace(&scope, resource_type, id, body, &all, &condition);
        shown(&replaced.await?)
    }

    pub(crate) async fn patch(&self, kind: &str, id: &str, operations: Value) -> Result<String> {
        self.patch_if(kind, id, operations, "").await
    }

    /// PATCH on the condition that the resource has this entity tag; returns the new one.
    pub(crate) async fn patch_if(
        &self,
        kind: &str,
        id: &str,
        operations: Value,
        tag: &str,
    ) -> Result<String> {
        self.priced_patch(kind, id, operations, tag)
            .await
            .map(|(version, _)| version)
    }

    /// PATCH on the condition that the resource has this entity tag; returns the new one and the cost.
    pub(crate) async fn priced_patch(
        &self,
        kind: &str,
        id: &str,
        operations: Value,
        tag: &str,
    ) -> Result<(String, Cost)> {
        let scope = self.scope().await?;
        let resource_type = resource_type(&scope, kind);
        let id = &resource_id(resource_type, id)?;
        let selection = Selection {
            excluded_attributes: vec!["members".to_owned()],
            ..Selection::default()
        };
        let body = object(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations,
        }));
        let condition = condition(tag);
        let patched = self
            .provider
            .patch(&scope, resource_type, id, body, &selection, &condition);
        let version = match patched.await? {
            Patched::Resource(changed) => changed.version,
            Patched::NoContent(version) => version,
        };
        Ok((version.to_string(), scope.store.meter().cost()))
    }

    pub(crate) async fn delete(&self, kind: &str, id: &str) -> Result<()> {
        let scope = self.scope().await?;
        let resource_type = resource_type(&scope, kind);
        let id = &resource_id(resource_type, id)?;
        let always = Precondition::default();
        self.provider
            .delete(&scope, resource_type, id, &always)
            .await
    }

    pub(crate) async fn list(&self, kind: &str, query: &str) -> Result<Value> {
        let scope = self.scope().await?;
        let parameters = Parameters::parse(query)?;
        let query = Query::from_parameters(&parameters, &mut scope.reading())?;
        let over = Over::Type(resource_type(&scope, kind));
        let render = |found: &Representation<'_>| render::listed_text(found, BASE);
        let list = self.provider.query(&scope, over, &query, render).await?;
        Ok(parse(&list.head.render(&list.resources)))
    }

    /// Creates users `{name}-0` and so on, and returns their ids.
    pub(crate) async fn users(&self, name: &str, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(self.user(&format!("{name}-{number}")).await);
        }
        ids
    }

    pub(crate) async fn user(&self, name: &str) -> String {
        id(&self.post("User", user(name)).await.unwrap())
    }

    pub(crate) async fn group(&self, name: &str, members: &[String]) -> String {
        id(&self.post("Group", group(name, members)).await.unwrap())
    }

    /// The ids of a group's members, in order.
    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let group = self.get("Group", group).await.unwrap();
        values(&group["members"])
    }

    /// The ids of the groups of a user, in order.
    pub(crate) async fn groups(&self, user: &str) -> Vec<String> {
        let user = self.get("User", user).await.unwrap();
        values(&user["groups"])
    }
}

pub(crate) fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": name,
        "externalId": format!("external-{name}"),
        "emails": [{"value": format!("{name}@example.com"), "type": "work"}],
    })
}

pub(crate) fn group(name: &str, members: &[String]) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name,
        "members": listed(members),
    })
}

/// `members` as clients send them.
pub(crate) fn listed(members: &[String]) -> Value {
    members.iter().map(|id| json!({"value": id})).collect()
}

pub(crate) fn add(members: &[String]) -> Value {
    json!([{"op": "add", "path": "members", "value": listed(members)}])
}

pub(crate) fn remove(members: &[String]) -> Value {
    json!([{"op": "remove", "path": "members", "value": listed(members)}])
}

pub(crate) fn replace(members: &[String]) -> Value {
    json!([{"op": "replace", "path": "members", "value": listed(members)}])
}

pub(crate) fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}

/// The values of a multi-valued attribute, in order.
pub(crate) fn values(attribute: &Value) -> Vec<String> {
    let elements = attribute.as_array().into_iter().flatten();
    let mut values: Vec<String> = elements
        .map(|element| element["value"].as_str().unwrap().to_owned())
        .collect();
    values.sort_unstable();
    values
}

pub(crate) fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

/// The kind of a request's error.
#[track_caller]
pub(crate) fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// An item in the form that the table in this process takes.
fn item(plain: PlainItem) -> Item {
    let value = |value| match value {
        Value::String(text) => AttributeValue::S(text),
        number => AttributeValue::N(number.to_string()),
    };
    let attributes = plain.into_iter();
    attributes.map(|(name, json)| (name, value(json))).collect()
}

fn condition(tag: &str) -> Precondition {
    match tag {
        "" => Precondition::default(),
        tag => Precondition::parse(Some(tag), None),
    }
}

fn resource_type<'s>(scope: &'s RequestScope, kind: &str) -> &'s ResourceType {
    scope.tenant.registry.resource_type(kind).unwrap()
}

fn object(body: Value) -> Map<String, Value> {
    match body {
        Value::Object(body) => body,
        other => panic!("{other} is no object"),
    }
}

fn shown(found: &Representation<'_>) -> Result<Value> {
    render::text(found, BASE).map(|text| parse(&text))
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
