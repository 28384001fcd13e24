//! Credentials and the key of the stack are changed while clients send requests to several processes: no
//! request is refused before the old one has ended, and none with the old one is answered afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use chrono::DateTime;
use futures_util::future::{BoxFuture, FutureExt as _};
use http_body_util::BodyExt as _;
use scim_lambda::admin::Admin;
use scim_lambda::clock::Clock;
use scim_lambda::http::{self, Admission, PublicUrl, RequestRates, Service, StatusLog};
use scim_lambda::provider::{Cursors, Provider};
use scim_lambda::tenant::{
    Authenticator, Credentials, Secret, SecretError, SecretStore, SecretVersion, SecretsFile,
    StackKeys,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::admin::{Fixture, ask};
use crate::oauth::keys::Key;
use crate::simulation::World;
use crate::support::ORIGIN;

/// A read that needs no call to the table.
const CHEAP: &str = "/scim/v2/ServiceProviderConfig";
/// How long a process may use a secret that it has read, in seconds.
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * 60;

/// What a client has to present.
#[derive(Clone)]
enum Client {
    /// A token of any kind.
    Token(String),
    /// An OAuth client with a secret.
    Secret { id: String, secret: String },
    /// An OAuth client that signs assertions, with each of its keys in turn.
    Keys { id: String, keys: Vec<Arc<Key>> },
}

/// A client, and the time until which it must be served, in seconds since the Unix epoch.
#[derive(Clone)]
struct Served {
    client: Client,
    until: u64,
}

/// An answer to a request.
#[derive(Debug)]
struct Reply {
    status: u16,
    json: Value,
}

/// Clients that send requests to every process.
struct Load {
    nodes: Vec<Router>,
    clock: Arc<dyn Clock>,
    served: Mutex<Vec<Served>>,
    /// The number of assertions so far.
    signed: AtomicU64,
}

/// The secrets as the operator's process sees them. Before and after each of its calls takes effect the clients send
/// requests.
struct WatchedSecrets {
    secrets: Arc<SecretsFile>,
    load: OnceLock<Arc<Load>>,
}

impl Load {
    /// Every client sends requests to every process, and none is refused.
    async fn send(&self) {
        let served = self.served.lock().unwrap().clone();
        for (number, node) in self.nodes.iter().enumerate() {
            for Served { client, until } in &served {
                if self.clock.now_seconds() >= *until {
                    continue;
                }
                for reply in self.replies(node, client).await {
                    assert_eq!(reply.status, 200, "process {number}: {}", reply.json);
                }
            }
        }
    }

    /// The requests of [`send`](Self::send) in steps of so many seconds, until this time.
    async fn go_on(&self, world: &World, until: u64, step: u64) {
        for second in (self.clock.now_seconds()..until).step_by(step.try_into().unwrap()) {
            jump_to(world, second);
            self.send().await;
        }
        jump_to(world, until);
        self.send().await;
    }

    /// Every process refuses what a client presents, with this text.
    async fn check_refused(&self, client: &Client, detail: &str) {
        for (number, node) in self.nodes.iter().enumerate() {
            for Reply { status, json } in self.replies(node, client).await {
                let (expected, text) = match client {
                    Client::Token(_) => (401, &json["detail"]),
                    Client::Secret { .. } | Client::Keys { .. } => {
                        (400, &json["error_description"])
                    }
                };
                assert_eq!(status, expected, "process {number}: {json}");
                let text = text.as_str().unwrap();
                assert!(text.contains(detail), "process {number}: {text}");
            }
        }
    }

    fn serve(&self, client: Client, until: u64) {
        self.served.lock().unwrap().push(Served { client, until });
    }

    /// All of them so far must be served until this time and no longer.
    fn serve_until(&self, until: u64) {
        let mut served = self.served.lock().unwrap();
        served
            .iter_mut()
            .for_each(|each| each.until = each.until.min(until));
    }

    /// What a process answers to a client: to requests with its token, or to token requests and to requests with
    /// the access tokens.
    async fn replies(&self, node: &Router, client: &Client) -> Vec<Reply> {
        let forms = match client {
            Client::Token(token) => return vec![get(node, CHEAP, token).await],
            Client::Secret { id, secret } => vec![format!("client_id={id}&client_secret={secret}")],
            Client::Keys { id, keys } => keys.iter().map(|key| self.assertion(id, key)).collect(),
        };
        let mut replies = Vec::new();
        for form in forms {
            let reply = ask_token(node, &form).await;
            if let Some(token) = reply.json["access_token"].as_str() {
                replies.push(get(node, CHEAP, token).await);
            }
            replies.push(reply);
        }
        replies
    }

    /// The parameters of a token request with an assertion that is used once.
    fn assertion(&self, id: &str, key: &Key) -> String {
        let now = self.clock.now_seconds();
        let number = self.signed.fetch_add(1, Ordering::SeqCst);
        let claims = json!({
            "iss": id, "sub": id, "aud": format!("{ORIGIN}/oauth/token"), "exp": now + 300,
            "jti": format!("jti-{number}"),
        });
        let header = json!({"alg": key.algorithm(), "kid": kid(key)});
        format!(
            "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={}",
            key.sign(&header, &claims)
        )
    }

    /// Gets an access token from every process, and goes on with each for as long as it was promised.
    async fn keep_access(&self, client: &Client) {
        for node in &self.nodes {
            let form = match client {
                Client::Token(_) => return,
                Client::Secret { id, secret } => format!("client_id={id}&client_secret={secret}"),
                Client::Keys { id, keys } => self.assertion(id, &keys[0]),
            };
            let Reply { status, json } = ask_token(node, &form).await;
            assert_eq!(status, 200, "{json}");
            let token = json["access_token"].as_str().unwrap();
            let until = self.clock.now_seconds() + json["expires_in"].as_u64().unwrap();
            self.serve(Client::Token(token.to_owned()), until);
        }
    }
}

/// Lets the time pass until this second, unless it has passed already: requests take some time.
fn jump_to(world: &World, second: u64) {
    let left = (second * 1_000).saturating_sub(world.clock().now_millis());
    world.jump(Duration::from_millis(left));
}

/// The name of a key, which is its own.
fn kid(key: &Key) -> String {
    key.jwk("")["x"].as_str().unwrap().to_owned()
}

fn jwks<'k>(keys: impl IntoIterator<Item = &'k Arc<Key>>) -> Value {
    let keys: Vec<_> = keys.into_iter().map(|key| key.jwk(&kid(key))).collect();
    json!({"keys": keys})
}

async fn get(node: &Router, path: &str, token: &str) -> Reply {
    let request = Request::builder()
        .uri(path)
        .header("Authorization", format!("Bearer {token}"));
    answer(node, request.body(Body::empty()).unwrap()).await
}

async fn ask_token(node: &Router, form: &str) -> Reply {
    let request = Request::builder()
        .method("POST")
        .uri("/oauth/token")
        .header("Content-Type", "application/x-www-form-urlencoded");
    let form = format!("grant_type=client_credentials&{form}");
    answer(node, request.body(Body::from(form)).unwrap()).await
}

async fn answer(node: &Router, request: Request<Body>) -> Reply {
    let response = node.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Reply {
        status,
        json: serde_json::from_slice(&bytes).unwrap(),
    }
}

impl WatchedSecrets {
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, SecretError>>,
    ) -> Result<T, SecretError> {
        let Some(load) = self.load.get() else {
            return call.await;
        };
        load.send().await;
        let outcome = call.await;
        load.send().await;
        outcome
    }
}

impl SecretStore for WatchedSecrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        self.call(self.secrets.get(name)).boxed()
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>> {
        self.call(self.secrets.put(name, value, expected)).boxed()
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        self.call(self.secrets.remove(name)).boxed()
    }

    fn names<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>> {
        self.call(self.secrets.names(prefix)).boxed()
    }
}

/// A stack with an operator.
struct Stage {
    fixture: Fixture,
    admin: Admin,
    secrets: Arc<WatchedSecrets>,
}

impl Stage {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        fixture
            .world
            .set_rules(|rules| rules.switches.requests_per_second = 0)
            .await;
        let secrets = Arc::new(WatchedSecrets {
            secrets: Arc::clone(&fixture.secrets),
            load: OnceLock::new(),
        });
        let admin = fixture.admin_with(secrets.clone(), &fixture.world.process());
        Self {
            fixture,
            admin,
            secrets,
        }
    }

    /// One more process, with keys and secrets that it has read itself.
    async fn node(&self) -> Router {
        let secrets: Arc<dyn SecretStore> = self.fixture.secrets.clone();
        let clock = || self.fixture.world.clock();
        let keys = StackKeys::open(Arc::clone(&secrets), "test/stack", clock());
        let keys = Arc::new(keys.await.unwrap());
        let store = self.fixture.world.process().provider.store().clone();
        let provider = Provider::new(store, clock(), Cursors::new(Arc::clone(&keys)));
        http::router(Arc::new(Service {
            provider: Arc::new(provider),
            authenticator: Authenticator::new(keys, Credentials::new(secrets, "test"), clock()),
            admission: Admission::default(),
            rates: RequestRates::default(),
            status: StatusLog::new(clock()),
            public_url: Some(PublicUrl::parse(ORIGIN).unwrap()),
            server_timing: false,
            docs: None,
        }))
    }

    /// Clients with what they present, and three processes that have read the secrets at different times.
    async fn load(&self, clients: &[Client]) -> Arc<Load> {
        let mut load = Load {
            nodes: Vec::new(),
            clock: self.fixture.world.clock(),
            served: Mutex::default(),
            signed: AtomicU64::new(0),
        };
        for client in clients {
            load.serve(client.clone(), u64::MAX);
        }
        for seconds in [25, 20, 13] {
            load.nodes.push(self.node().await);
            load.send().await;
            self.jump(seconds);
        }
        let load = Arc::new(load);
        assert!(self.secrets.load.set(Arc::clone(&load)).is_ok());
        load
    }

    async fn ok(&self, request: Value) -> Value {
        Fixture::ok(ask(&self.admin, request).await)
    }

    async fn create(&self, kind: &str, keys: &[Arc<Key>]) -> (Value, Client) {
        let mut create =
            json!({"op": "credential.create", "tenant": "acme", "kind": kind, "label": "okta"});
        if kind == "oauth-jwt" {
            create["jwks"] = jwks(keys);
        }
        let issued = self.ok(create).await;
        let client = client(&issued, keys);
        (issued["id"].clone(), client)
    }

    /// The requests of a load in steps of so many seconds, for this time.
    async fn go_on(&self, load: &Load, seconds: u64, step: u64) {
        load.go_on(&self.fixture.world, self.now() + seconds, step)
            .await;
    }

    fn jump(&self, seconds: u64) {
        self.fixture.world.jump(Duration::from_secs(seconds));
    }

    fn now(&self) -> u64 {
        self.fixture.world.clock().now_seconds()
    }
}

/// What a client presents that was handed this credential.
fn client(issued: &Value, keys: &[Arc<Key>]) -> Client {
    let text = |name: &str| issued[name].as_str().unwrap().to_owned();
    match issued["kind"].as_str().unwrap() {
        "bearer" => Client::Token(text("token")),
        "oauth" => Client::Secret {
            id: text("userName"),
            secret: text("token"),
        },
        "oauth-jwt" => Client::Keys {
            id: text("userName"),
            keys: keys.to_vec(),
        },
        other => panic!("no client of the kind {other}"),
    }
}

fn three_keys() -> [Arc<Key>; 3] {
    [(); 3].map(|()| Arc::new(Key::p256()))
}

#[tokio::test(start_paused = true)]
async fn no_request_is_refused_while_a_credential_is_replaced_and_the_old_one_ends_at_its_second() {
    let cases = [
        ("bearer", "The token expired on "),
        ("oauth", "The client expired on "),
        ("oauth-jwt", "The client expired on "),
    ];
    for (kind, detail) in cases {
        let stage = Stage::new().await;
        let [one, two, three] = three_keys();
        let (id, old) = stage.create(kind, &[one.clone(), two.clone()]).await;
        let load = stage.load(std::slice::from_ref(&old)).await;
        load.keep_access(&old).await;
        let mut rotate = json!({"op": "credential.rotate", "tenant": "acme", "id": id, "graceHours": 2,
            "requestId": "rotate-1"});
        if kind == "oauth-jwt" {
            rotate["jwks"] = jwks([&two, &three]);
        }
        let rotated = stage.ok(rotate).await;
        let until = rotated["previousUntil"].as_str().unwrap();
        let until = DateTime::parse_from_rfc3339(until).unwrap().timestamp();
        let until = u64::try_from(until).unwrap();
        assert_eq!(until, stage.now() + 2 * HOUR);
        load.serve_until(until);
        let new = client(&rotated, &[two.clone(), three.clone()]);
        load.serve(new.clone(), u64::MAX);

        stage.go_on(&load, 3 * MINUTE, 7).await;
        for _ in 0..8 {
            load.keep_access(&old).await;
            stage.go_on(&load, 10 * MINUTE, 5 * MINUTE).await;
        }
        load.go_on(&stage.fixture.world, until - 1, 10 * MINUTE)
            .await;
        load.keep_access(&old).await;
        assert_eq!(stage.now(), until - 1);
        load.send().await;

        jump_to(&stage.fixture.world, until);
        load.check_refused(&old, detail).await;
        stage.go_on(&load, 2 * MINUTE, 30).await;
        load.check_refused(&old, detail).await;
        if let Client::Keys { id, .. } = &new {
            let former = Client::Keys {
                id: id.clone(),
                keys: vec![one],
            };
            load.check_refused(&former, "The client is not known").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_replaced_at_once_ends_within_a_minute_and_the_new_one_works_at_once()
{
    for (kind, detail) in [
        ("bearer", "The token was revoked"),
        ("oauth", "The client was revoked"),
    ] {
        let stage = Stage::new().await;
        let (id, old) = stage.create(kind, &[]).await;
        let load = stage.load(std::slice::from_ref(&old)).await;
        load.serve_until(0);
        let rotate =
            json!({"op": "credential.rotate", "tenant": "acme", "id": id, "graceHours": 0});
        let rotated = stage.ok(rotate).await;
        assert_eq!(rotated["previousUntil"], Value::Null);
        load.serve(client(&rotated, &[]), u64::MAX);
        stage.go_on(&load, MINUTE, 7).await;
        load.check_refused(&old, detail).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_credential_works_at_once_beside_clients_that_go_on_with_revoked_ones() {
    let stage = Stage::new().await;
    let mut revoked = Vec::new();
    for _ in 0..3 {
        let (id, client) = stage.create("bearer", &[]).await;
        stage
            .ok(json!({"op": "credential.revoke", "tenant": "acme", "id": id}))
            .await;
        revoked.push(client);
    }
    let (_, first) = stage.create("bearer", &[]).await;
    let load = stage.load(&[first]).await;
    for _ in 0..20 {
        for client in &revoked {
            load.check_refused(client, "The token was revoked").await;
        }
        stage.jump(1);
    }
    let (_, new) = stage.create("bearer", &[]).await;
    load.serve(new, u64::MAX);
    load.send().await;
}

/// Two users, of whom a page of one is read; and the path of the next page.
async fn first_page(node: &Router, token: &str) -> String {
    let page = get(node, "/scim/v2/Users?cursor&count=1", token).await;
    let cursor = page.json["nextCursor"].as_str();
    let cursor = cursor.unwrap_or_else(|| panic!("{page:?}"));
    format!("/scim/v2/Users?cursor={cursor}&count=1")
}

async fn create_users(node: &Router, token: &str) {
    for name in ["ada", "grace"] {
        let request = Request::builder()
            .method("POST")
            .uri("/scim/v2/Users")
            .header("Authorization", format!("Bearer {token}"));
        let body = Body::from(json!({"userName": name}).to_string());
        let created = answer(node, request.body(body).unwrap()).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
}

/// A page that one process has begun is continued by every other one.
async fn check_cursors(load: &Load, token: &str) {
    for node in &load.nodes {
        let next = first_page(node, token).await;
        for other in &load.nodes {
            let page = get(other, &next, token).await;
            assert_eq!(page.status, 200, "{page:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_refused_while_the_key_of_the_stack_and_all_that_it_made_are_replaced() {
    let stage = Stage::new().await;
    let [one, two, _] = three_keys();
    let kinds = ["bearer", "oauth", "oauth-jwt"];
    let mut old = Vec::new();
    for kind in kinds {
        old.push(stage.create(kind, &[one.clone(), two.clone()]).await);
    }
    let clients: Vec<Client> = old.iter().map(|(_, client)| client.clone()).collect();
    let load = stage.load(&clients).await;
    let Client::Token(token) = &clients[0] else {
        panic!("the first client has a token");
    };
    create_users(&load.nodes[0], token).await;
    let idle = stage.node().await;
    assert_eq!(get(&idle, CHEAP, token).await.status, 200);

    stage
        .ok(json!({"op": "stack.rotateKey", "requestId": "key-1"}))
        .await;
    for _ in 0..20 {
        stage.go_on(&load, 10, 5).await;
        check_cursors(&load, token).await;
    }
    let mut new = Vec::new();
    for (id, client) in &old {
        load.keep_access(client).await;
        let rotate =
            json!({"op": "credential.rotate", "tenant": "acme", "id": id, "graceHours": 2});
        let rotated = stage.ok(rotate).await;
        new.push(self::client(&rotated, &[one.clone(), two.clone()]));
    }
    let end = stage.now() + 2 * HOUR;
    load.serve_until(end);
    for client in &new {
        load.serve(client.clone(), u64::MAX);
    }
    let Client::Token(new_token) = &new[0] else {
        panic!("the first client has a token");
    };
    assert_eq!(new_token.split('_').rev().nth(1), Some("1"), "{new_token}");
    // The first request to a process that has been idle since before the key was made.
    assert_eq!(get(&idle, CHEAP, new_token).await.status, 200);
    stage.go_on(&load, 3 * MINUTE, 10).await;
    load.go_on(&stage.fixture.world, end, 10 * MINUTE).await;
    let retired = stage
        .ok(json!({"op": "stack.rotateKey", "retire": 0}))
        .await;
    assert_eq!(retired["keys"].as_array().unwrap().len(), 1);
    for _ in 0..12 {
        stage.go_on(&load, 10, 5).await;
        check_cursors(&load, new_token).await;
    }
    for client in &clients {
        let detail = match client {
            Client::Token(_) => "no Authorization header with a valid credential",
            Client::Secret { .. } | Client::Keys { .. } => "The client is not known",
        };
        load.check_refused(client, detail).await;
    }
}
