//! The shipped router on an embedded table in memory, for the suites beside this file.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request};
use futures_util::FutureExt as _;
use http_body_util::BodyExt;
use scim_lambda::aws;
use scim_lambda::clock::{Clock, SystemClock};
use scim_lambda::embedded::{DataDirectory, Embedded};
use scim_lambda::http::{self, PublicUrl};
use scim_lambda::identity::{Cause, CauseKind, SubscriptionId, TenantId};
use scim_lambda::protocol::profile::{Rules, Switches};
use scim_lambda::stack::{Config, Stack};
use scim_lambda::store::{Receiver, Start, Subscription, SubscriptionState};
use scim_lambda::tenant::{
    CredentialKind, NewCredential, Permissions, SecretStore as _, SecretsFile, StackKeys,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tower::ServiceExt;

/// The public origin of every service under test.
pub(crate) const ORIGIN: &str = "https://directory.example.com";
/// The files of the interactive documentation.
pub(crate) const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/layer/docs");
/// The beginning of every location.
pub(crate) const BASE: &str = "https://directory.example.com/scim/v2";

/// A service with one tenant, `acme`.
pub(crate) struct Server {
    pub(crate) router: Router,
    /// A token of `acme` that may do everything.
    pub(crate) token: String,
    pub(crate) stack: Stack,
    sdk: SdkConfig,
    _table: Embedded,
    pub(crate) data: DataDirectory,
}

/// The answer of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body, null where there is none.
    pub(crate) json: Value,
}

/// A bearer token that may do everything and never expires.
pub(crate) fn bearer() -> NewCredential {
    NewCredential {
        kind: CredentialKind::Bearer,
        label: "test".to_owned(),
        lifetime_seconds: None,
        permissions: Permissions::All,
        role: None,
        user: None,
        jwks: None,
    }
}

/// The keys of a stack that has one key, the same for each caller.
pub(crate) fn stack_keys(clock: Arc<dyn Clock>) -> Arc<StackKeys> {
    let data = DataDirectory::in_memory().unwrap();
    let file = SecretsFile::new(data.secrets_file());
    file.create_if_missing().unwrap();
    let made = file.put("test/stack", &"7".repeat(32), None).now_or_never();
    made.expect("a file needs no runtime").unwrap();
    // Once the keys are read, the file may go: the keys are used for as long as they cannot be read again.
    let opened = StackKeys::open(Arc::new(file), "test/stack", clock);
    // A task that has done much already would be made to wait for its next turn.
    let opened = tokio::task::unconstrained(opened).now_or_never();
    Arc::new(opened.expect("a file needs no runtime").unwrap())
}

impl Server {
    /// A service whose tenant has the default rules.
    pub(crate) async fn start() -> Self {
        Self::with_rules(&Rules::default()).await
    }

    /// A service whose tenant has these rules.
    pub(crate) async fn with_rules(rules: &Rules) -> Self {
        Self::with(rules, Some(PublicUrl::parse(ORIGIN).unwrap())).await
    }

    /// A service at this public URL. Without one, only the gateway knows the URL.
    pub(crate) async fn at(public_url: Option<&str>) -> Self {
        let public_url = public_url.map(|url| PublicUrl::parse(url).unwrap());
        Self::with(&Rules::default(), public_url).await
    }

    /// A service without interactive documentation.
    pub(crate) async fn without_docs() -> Self {
        let public_url = Some(PublicUrl::parse(ORIGIN).unwrap());
        Self::open(&Rules::default(), public_url, None).await
    }

    async fn with(rules: &Rules, public_url: Option<PublicUrl>) -> Self {
        Self::open(rules, public_url, Some(DOCS)).await
    }

    async fn open(rules: &Rules, public_url: Option<PublicUrl>, docs: Option<&str>) -> Self {
        let data = DataDirectory::in_memory().unwrap();
        let table = Embedded::open(&data).unwrap();
        // With `DYNAMODB_ENDPOINT` the tests run on another engine, each on a table of its own.
        let endpoint = std::env::var("DYNAMODB_ENDPOINT");
        let config = Config {
            table: match &endpoint {
                Ok(_) => format!("scim-{}", uuid::Uuid::now_v7()),
                Err(_) => "scim".to_owned(),
            },
            stack: "test".to_owned(),
            stack_secret: "test/stack".to_owned(),
            secrets_file: Some(data.secrets_file()),
            public_url,
            server_timing: true,
            functions: Vec::new(),
            docs: docs.map(Into::into),
        };
        let sdk = match &endpoint {
            Ok(endpoint) => aws::emulator(endpoint),
            Err(_) => table.sdk_config(),
        };
        let stack = Stack::open_or_create(config, &sdk).await.unwrap();
        stack.store.create_table_if_missing().await.unwrap();
        let mut server = Self {
            router: http::router(stack.service()),
            token: String::new(),
            stack,
            sdk,
            _table: table,
            data,
        };
        server.add_tenant("acme", rules).await;
        server.token = server.issue("acme", |_| {}).await;
        server
    }

    /// The table, without going through the service.
    pub(crate) fn table(&self) -> Client {
        Client::new(&self.sdk)
    }

    /// All items of the table, in order.
    pub(crate) async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self.table().scan().table_name(self.stack.store.table());
        let pages = scan.consistent_read(true).into_paginator().items().send();
        let mut items = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        items.sort_by_key(|item| [&item["pk"], &item["sk"]].map(|key| key.as_s().unwrap().clone()));
        items
    }

    /// Changes one item without going through the service.
    pub(crate) async fn tamper(&self, pk: &str, sk: &str, change: &str, value: AttributeValue) {
        let update = self.table().update_item();
        update
            .table_name(self.stack.store.table())
            .key("pk", AttributeValue::S(pk.to_owned()))
            .key("sk", AttributeValue::S(sk.to_owned()))
            .update_expression(change)
            .expression_attribute_values(":v", value)
            .send()
            .await
            .unwrap();
    }

    /// Puts recorded items, a JSON array of them in DynamoDB's form, and begins anew: the router remembers
    /// nothing of what was there before.
    pub(crate) async fn put_items(&mut self, recorded: &str) {
        let items: Vec<serde_dynamo::Item> = serde_json::from_str(recorded).unwrap();
        for item in items {
            let item: HashMap<String, AttributeValue> = item.into();
            let put = self.table().put_item();
            let put = put.table_name(self.stack.store.table());
            put.set_item(Some(item)).send().await.unwrap();
        }
        self.router = http::router(self.stack.service());
    }

    /// Creates one more tenant.
    pub(crate) async fn add_tenant(&self, name: &str, rules: &Rules) {
        let tenant = TenantId::parse(name).unwrap();
        self.stack.create_tenant(&tenant).await.unwrap();
        // Tests send more requests than clients do. The tests of the limit have processes of their own.
        let mut rules = rules.clone();
        if rules.switches.requests_per_second == Switches::default().requests_per_second {
            rules.switches.requests_per_second = 0;
        }
        let provider = self.stack.provider();
        provider.set_first_rules(&tenant, &rules).await.unwrap();
    }

    /// Creates a bearer token of a tenant. `change` modifies a token that may do everything and never
    /// expires.
    pub(crate) async fn issue(
        &self,
        tenant: &str,
        change: impl FnOnce(&mut NewCredential),
    ) -> String {
        let mut new = bearer();
        change(&mut new);
        let tenant = TenantId::parse(tenant).unwrap();
        let issued = self.stack.issuer().create_credential(&tenant, new).await;
        self.next_millisecond().await;
        issued.unwrap().secret
    }

    /// Waits for the next millisecond after a credential was made.
    ///
    /// The server takes a secret that it has read in the millisecond of a request for a new one. So the first
    /// request with the credential has to begin in a later millisecond than the last read without it.
    pub(crate) async fn next_millisecond(&self) {
        let now = SystemClock.now_millis();
        while SystemClock.now_millis() == now {
            tokio::task::yield_now().await;
        }
    }

    /// A request with the token of `acme`.
    pub(crate) fn request(&self, method: &str, path: &str) -> Builder {
        let authorization = format!("Bearer {}", self.token);
        Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", authorization)
    }

    /// Sends a request of `acme`, with a JSON body or none.
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request
                .header("Content-Type", "application/scim+json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.answer(request.unwrap()).await
    }

    /// Sends a GET with these headers and no token.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, String)]) -> Answer {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        self.answer(request.body(Body::empty()).unwrap()).await
    }

    /// Sends any request.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text).unwrap()
            },
            text,
        }
    }

    /// Creates a resource and returns its id.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> String {
        let created = self.send("POST", path, Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.text);
        created.json["id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    /// The value of a header, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a SCIM error of that status and type.
    #[track_caller]
    pub(crate) fn check_error(&self, status: u16, scim_type: Option<&str>) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/scim+json");
        assert_eq!(self.json["status"], status.to_string(), "{}", self.text);
        assert_eq!(self.json["scimType"].as_str(), scim_type, "{}", self.text);
        let urn = "urn:ietf:params:scim:api:messages:2.0:Error";
        assert_eq!(self.json["schemas"][0], urn);
        assert!(self.json["detail"].is_string());
    }

    /// Checks that this is an error of SCIM 1.1 with that status.
    #[track_caller]
    pub(crate) fn check_error_v1(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
        let media_type = "application/json; charset=utf-8";
        assert_eq!(self.header("content-type"), media_type);
        assert_eq!(self.json["Errors"][0]["code"], status.to_string());
        assert!(self.json["Errors"][0]["description"].is_string());
        assert_eq!(self.json["detail"], self.json["Errors"][0]["description"]);
    }
}

/// Why a test writes something itself.
pub(crate) fn cause() -> Cause {
    Cause::without_credential(CauseKind::Command)
}

/// A new webhook for all events of every tenant from the beginning.
pub(crate) fn webhook(url: &str) -> Subscription {
    Subscription {
        id: SubscriptionId::random(),
        receiver: Receiver::Webhook {
            url: url.to_owned(),
        },
        tenant: None,
        types: Vec::new(),
        from: Start::Beginning,
        created: 0,
        state: SubscriptionState::Active,
        resumed: 0,
    }
}
