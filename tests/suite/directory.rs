//! A directory on an embedded table in memory. Every call to the table is counted where the SDK makes
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use scim_lambda::clock::Clock;
use scim_lambda::embedded::{DataDirectory, Embedded};
use scim_lambda::http::render;
use scim_lambda::identity::{Cause, CauseKind, CredentialId, TenantId};
use scim_lambda::protocol::error::Result;
use scim_lambda::protocol::message::{Parameters, Query, Selection};
use scim_lambda::protocol::profile::Rules;
use scim_lambda::protocol::schema::ResourceType;
use scim_lambda::protocol::version::Precondition;
use scim_lambda::provider::{
    Cursors, Over, Provider, Read, ReadBudget, Representation, RequestScope, resource_id,
};
use scim_lambda::store::{ConfigItem, Meter, Store};
use scim_lambda::tenant::{Caller, Permissions};
use serde_json::{Value, json};

use crate::support::{cause, stack_keys};

/// The beginning of every location.
pub(crate) const BASE: &str = "https://directory.example.com/scim/v2";

/// A provider on a table of its own.
pub(crate) struct Directory {
    pub(crate) provider: Provider,
    pub(crate) clock: Arc<TestClock>,
    /// The table beside the store.
    pub(crate) table: Client,
    calls: Arc<AtomicU64>,
}

/// The result of a request and its cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// Attempts, counted by the SDK.
    pub(crate) calls: u64,
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
}

/// A clock that only moves when a test moves it.
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance_seconds(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Counts attempts.
#[derive(Debug)]
struct Attempts(Arc<AtomicU64>);

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Directory {
    /// An empty directory.
    pub(crate) async fn start() -> Self {
        Self::with_budget(ReadBudget::default()).await
    }

    /// An empty directory whose queries may read this much.
    pub(crate) async fn with_budget(budget: ReadBudget) -> Self {
        let table = Embedded::open(&DataDirectory::in_memory().unwrap()).unwrap();
        let clock = Arc::new(TestClock(AtomicU64::new(1_700_000_000_000)));
        let calls = Arc::new(AtomicU64::new(0));
        let sdk_config = table.sdk_config();
        let config = Builder::from(&sdk_config).interceptor(Attempts(Arc::clone(&calls)));
        let store = Store::with_config(config, "scim", clock.clone());
        store.create_table_if_missing().await.unwrap();
        let cursors = Cursors::new(stack_keys(clock.clone()));
        let provider = Provider::new(store, clock.clone(), cursors).with_read_budget(budget);
        Self {
            provider,
            clock,
            table: Client::new(&sdk_config),
            calls,
        }
    }

    /// One credential's view of a tenant.
    pub(crate) async fn scope_of(&self, tenant: &str, credential: &str) -> RequestScope {
        let caller = Caller {
            tenant: TenantId::parse(tenant).unwrap(),
            credential: CredentialId::parse(credential).unwrap(),
            permissions: Permissions::All,
            role: None,
            scope: None,
            user: None,
            signature: None,
            has_oauth: false,
        };
        let cause = Cause {
            credential: Some(caller.credential.clone()),
            kind: CauseKind::Scim2,
            ..cause()
        };
        let base_url = BASE.to_owned();
        let scope = self
            .provider
            .scope(caller, cause, base_url, Meter::default());
        scope.await.unwrap()
    }

    pub(crate) async fn scope(&self) -> RequestScope {
        self.scope_of("acme", "1").await
    }

    /// Creates a resource and returns its id.
    pub(crate) async fn create(&self, scope: &RequestScope, name: &str, body: Value) -> String {
        self.try_create(scope, name, body).await.unwrap()
    }

    /// Creates a resource, or returns the error.
    pub(crate) async fn try_create(
        &self,
        scope: &RequestScope,
        name: &str,
        body: Value,
    ) -> Result<String> {
        let Value::Object(body) = body else {
            panic!("{body} is no object")
        };
        let resource_type = resource_type(scope, name);
        let selection = Selection::default();
        let created = self.provider.create(scope, resource_type, body, &selection);
        Ok(created.await?.id().to_owned())
    }

    /// Creates users `user-000` and so on, and returns their ids.
    pub(crate) async fn create_users(&self, scope: &RequestScope, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(self.create(scope, "User", user(number)).await);
        }
        ids
    }

    pub(crate) async fn get(&self, scope: &RequestScope, name: &str, id: &str) -> Value {
        let (selection, condition) = (Selection::default(), Precondition::default());
        let resource_type = resource_type(scope, name);
        let id = &resource_id(resource_type, id).unwrap();
        let found = self
            .provider
            .get(scope, resource_type, id, &selection, &condition);
        match found.await.unwrap() {
            Read::Found(found) => Value::Object(render::object(&found, BASE).unwrap()),
            Read::NotModified(_) => panic!("{id} was read without a condition"),
        }
    }

    /// Replaces one attribute.
    pub(crate) async fn set(
        &self,
        scope: &RequestScope,
        name: &str,
        id: &str,
        path: &str,
        value: &str,
    ) {
        let operation = json!({"op": "replace", "path": path, "value": value});
        self.patch(scope, name, id, operation).await.unwrap();
    }

    /// Makes one PATCH operation.
    pub(crate) async fn patch(
        &self,
        scope: &RequestScope,
        name: &str,
        id: &str,
        operation: Value,
    ) -> Result<()> {
        let Value::Object(body) = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        }) else {
            unreachable!("it is an object")
        };
        let resource_type = resource_type(scope, name);
        let id = &resource_id(resource_type, id).unwrap();
        let selection = Selection {
            excluded_attributes: vec!["groups".to_owned(), "members".to_owned()],
            ..Selection::default()
        };
        let condition = Precondition::default();
        let patched = self
            .provider
            .patch(scope, resource_type, id, body, &selection, &condition);
        patched.await.map(|_| ())
    }

    /// Sets a tenant's rules before any process has read them.
    pub(crate) async fn begin(&self, tenant: &str, rules: &Rules) {
        let tenant = TenantId::parse(tenant).unwrap();
        let patience = Duration::from_secs(10);
        let store = self.provider.store();
        let store = store.for_tenant(&tenant, cause(), Meter::default(), patience);
        store
            .configuration()
            .put(ConfigItem::Rules(rules))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, scope: &RequestScope, name: &str, id: &str) {
        let resource_type = resource_type(scope, name);
        let id = &resource_id(resource_type, id).unwrap();
        let condition = Precondition::default();
        let deleted = self.provider.delete(scope, resource_type, id, &condition);
        deleted.await.unwrap();
    }

    /// Answers a query string over one type, or over all types if none is named.
    pub(crate) async fn list(
        &self,
        scope: &RequestScope,
        name: &str,
        query: &str,
    ) -> Result<Value> {
        let parameters = Parameters::parse(query)?;
        let query = Query::from_parameters(&parameters, &mut scope.reading())?;
        let over = match name {
            "" => Over::All,
            name => Over::Type(resource_type(scope, name)),
        };
        let render = |found: &Representation<'_>| render::listed_text(found, BASE);
        let list = self.provider.query(scope, over, &query, render).await?;
        Ok(serde_json::from_str(&list.head.render(&list.resources)).unwrap())
    }

    /// Answers a query string in a request of its own, and returns its cost.
    pub(crate) async fn priced(&self, name: &str, query: &str) -> (Value, Cost) {
        let scope = self.scope().await;
        let before = self.calls();
        let list = self.list(&scope, name, query).await.unwrap();
        (list, self.cost(&scope, before))
    }

    /// The number of attempts so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The cost of a request that began after this many attempts.
    pub(crate) fn cost(&self, scope: &RequestScope, before: u64) -> Cost {
        let cost = scope.store.meter().cost();
        Cost {
            calls: self.calls() - before,
            read_units: cost.read_units,
            write_units: cost.write_units,
        }
    }
}

/// A user like those of identity providers: below 1 KB with its keys.
pub(crate) fn user(number: usize) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("user-{number:03}@example.com"),
        "externalId": format!("external-{number:03}"),
        "name": {"givenName": "Given", "familyName": format!("Family {number:03}")},
        "emails": [{"value": format!("user-{number:03}@example.com"), "type": "work", "primary": true}],
        "title": format!("Title {}", number % 7),
        "active": true,
    })
}

pub(crate) fn resource_type<'s>(scope: &'s RequestScope, name: &str) -> &'s ResourceType {
    scope.tenant.registry.resource_type(name).unwrap()
}

/// The ids on a page.
pub(crate) fn ids(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().unwrap();
    let id = |resource: &Value| resource["id"].as_str().unwrap().to_owned();
    resources.iter().map(id).collect()
}

/// A query's value, percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
