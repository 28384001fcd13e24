//! A stack for tests of administrative operations, and processes that die while they do them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use scim_lambda::admin::stack::Deployment;
use scim_lambda::admin::{Admin, SampleSender};
use scim_lambda::clock::Clock;
use scim_lambda::delivery::{Message, Outcome, Sender, WebhookSecrets};
use scim_lambda::identity::TenantId;
use scim_lambda::outgoing::Reach;
use scim_lambda::provider::{Cursors, Provider};
use scim_lambda::store::{Due, Meter, StackStore};
use scim_lambda::tenant::{
    Credentials, Issuer, Secret, SecretError, SecretStore, SecretVersion, SecretsFile, StackKeys,
};
use serde_json::{Value, json};

use crate::simulation::{Fault, Process, World};
use crate::support::stack_keys;

/// The name of the file with the secrets.
const SECRETS: &str = "secrets.json";
/// The name of the stack.
const STACK: &str = "test";

/// A sender that keeps the bodies, and answers as it is told.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) sent: Arc<Mutex<Vec<Value>>>,
    pub(crate) outcome: Outcome,
}

impl Sender for Recorder {
    async fn send(&self, message: &Message<'_>) -> Outcome {
        let body = serde_json::from_slice(&message.body).unwrap();
        self.sent.lock().unwrap().push(body);
        self.outcome.clone()
    }
}

/// A process that dies at one of its calls, to the table or to the secrets.
pub(crate) struct Death {
    calls: AtomicU64,
    /// The number of the call, from 0.
    at: u64,
    /// Whether that call takes effect.
    is_after: bool,
    is_dead: AtomicBool,
}

/// What becomes of a call.
#[derive(PartialEq)]
enum Fate {
    Lives,
    Dies,
    DiesAfter,
}

impl Death {
    pub(crate) fn at(at: u64, is_after: bool) -> Arc<Self> {
        Arc::new(Self {
            calls: AtomicU64::new(0),
            at,
            is_after,
            is_dead: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    fn next(&self) -> Fate {
        if self.is_dead.load(Ordering::SeqCst) {
            return Fate::Dies;
        }
        if self.calls.fetch_add(1, Ordering::SeqCst) != self.at {
            return Fate::Lives;
        }
        self.is_dead.store(true, Ordering::SeqCst);
        match self.is_after {
            true => Fate::DiesAfter,
            false => Fate::Dies,
        }
    }
}

/// The secrets as a process sees them that dies at some call.
pub(crate) struct MortalSecrets {
    pub(crate) secrets: Arc<dyn SecretStore>,
    pub(crate) death: Arc<Death>,
}

pub(crate) fn dead() -> SecretError {
    SecretError::Backend {
        name: "secret".to_owned(),
        source: "the process is dead".into(),
    }
}

impl MortalSecrets {
    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, SecretError>>,
    ) -> Result<T, SecretError> {
        match self.death.next() {
            Fate::Lives => call.await,
            Fate::Dies => Err(dead()),
            Fate::DiesAfter => {
                let _ = call.await;
                Err(dead())
            }
        }
    }
}

impl SecretStore for MortalSecrets {
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

/// A stack with the tenants `acme` and `globex`.
pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) secrets: Arc<SecretsFile>,
    pub(crate) recorder: Recorder,
    directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::in_world(World::new().await).await
    }

    /// The same in an empty world.
    pub(crate) async fn in_world(world: World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secrets = Arc::new(SecretsFile::new(directory.path().join(SECRETS)));
        secrets.create_if_missing().unwrap();
        // The same key as that of `stack_keys`.
        let key = "7".repeat(32);
        secrets.put("test/stack", &key, None).await.unwrap();
        let stack = stack_store(&world.process());
        for name in ["acme", "globex"] {
            let tenant = TenantId::parse(name).unwrap();
            stack.list_tenant(&tenant).await.unwrap();
            let credentials = Credentials::new(secrets.clone(), STACK);
            credentials.create(&tenant).await.unwrap();
        }
        let recorder = Recorder {
            sent: Arc::default(),
            outcome: Outcome::Accepted,
        };
        Self {
            world,
            secrets,
            recorder,
            directory,
        }
    }

    /// Another stack with the same items and secrets.
    pub(crate) fn copy(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secrets.json");
        std::fs::copy(self.directory.path().join("secrets.json"), &file).unwrap();
        Self {
            world: self.world.copy(),
            secrets: Arc::new(SecretsFile::new(file)),
            recorder: self.recorder.clone(),
            directory,
        }
    }

    /// The operations in a process of their own.
    pub(crate) fn admin(&self) -> Admin {
        self.admin_with(self.secrets.clone(), &self.world.process())
    }

    pub(crate) fn admin_with(&self, secrets: Arc<dyn SecretStore>, process: &Process) -> Admin {
        let sender = Arc::new(self.recorder.clone());
        admin(process, secrets, sender, self.world.clock())
    }

    /// The operations in a process that dies.
    pub(crate) fn mortal_admin(&self, death: &Arc<Death>) -> Admin {
        let process = self.world.process();
        let of_table = Arc::clone(death);
        process.line.plan(move |_| match of_table.next() {
            Fate::Lives => None,
            Fate::Dies => Some(Fault::Kill),
            Fate::DiesAfter => Some(Fault::KillAfter),
        });
        let secrets = MortalSecrets {
            secrets: self.secrets.clone(),
            death: Arc::clone(death),
        };
        self.admin_with(Arc::new(secrets), &process)
    }

    pub(crate) async fn ask(&self, request: Value) -> Value {
        ask(&self.admin(), request).await
    }

    /// The answer to a request that must succeed.
    #[track_caller]
    pub(crate) fn ok(mut answer: Value) -> Value {
        assert!(answer["error"].is_null(), "{answer}");
        answer["ok"].take()
    }

    /// The names of the secrets of webhooks.
    pub(crate) async fn names(&self) -> Vec<String> {
        self.secrets.names("test/webhooks/").await.unwrap()
    }

    /// Where the secrets are.
    pub(crate) fn secrets_path(&self) -> PathBuf {
        self.directory.path().join(SECRETS)
    }

    pub(crate) async fn due(&self) -> Vec<Due> {
        let stack = stack_store(&self.world.process());
        stack.due().until(u64::MAX / 2, 100).await.unwrap()
    }
}

/// The operations in a process, with these secrets.
pub(crate) fn admin(
    process: &Process,
    secrets: Arc<dyn SecretStore>,
    sender: Arc<dyn SampleSender>,
    clock: Arc<dyn Clock>,
) -> Admin {
    let store = process.provider.store().clone();
    // A process that dies at once has keys too. It does nothing with them.
    let opened = StackKeys::open(Arc::clone(&secrets), "test/stack", Arc::clone(&clock));
    let keys = match opened.now_or_never() {
        Some(Ok(keys)) => Arc::new(keys),
        Some(Err(_)) | None => stack_keys(Arc::clone(&clock)),
    };
    let cursors = Cursors::new(Arc::clone(&keys));
    let credentials = || Credentials::new(Arc::clone(&secrets), STACK);
    Admin {
        provider: Arc::new(Provider::new(store.clone(), Arc::clone(&clock), cursors)),
        store,
        credentials: credentials(),
        issuer: Issuer::new(Arc::clone(&keys), credentials(), Arc::clone(&clock)),
        keys,
        secrets: WebhookSecrets::new(secrets, STACK, Arc::clone(&clock)),
        reach: Reach::Public,
        sender,
        clock,
        deployment: Deployment {
            stack: STACK.to_owned(),
            functions: vec!["test-Function".to_owned()],
            origin: Some("https://directory.example.com".to_owned()),
        },
    }
}

pub(crate) fn stack_store(process: &Process) -> StackStore {
    let store = process.provider.store();
    store.for_stack(Meter::default(), Duration::from_secs(10))
}

pub(crate) async fn ask(admin: &Admin, mut request: Value) -> Value {
    request["actor"] = json!("billing-service");
    admin.answer(request.to_string().as_bytes()).await
}

pub(crate) fn with(mut arguments: Value, op: &str) -> Value {
    arguments["op"] = json!(op);
    arguments
}

/// Code and detail of the error in an answer.
#[track_caller]
pub(crate) fn error(answer: &Value) -> (&str, &str) {
    let text = |name: &str| answer["error"][name].as_str();
    match (text("code"), text("detail")) {
        (Some(code), Some(detail)) => (code, detail),
        _ => panic!("no error: {answer}"),
    }
}

/// Asks for something in a process that dies at each of its calls in turn, before and after the call took effect.
/// After each death `check` asks for it again.
pub(crate) async fn kill_everywhere(
    prepare: impl AsyncFn(&Fixture) -> Value,
    check: impl AsyncFn(&Fixture, Value, Value),
) {
    let mut deaths = 0;
    for is_after in [false, true] {
        for at in 0.. {
            let fixture = Fixture::new().await;
            let request = prepare(&fixture).await;
            let death = Death::at(at, is_after);
            let died = ask(&fixture.mortal_admin(&death), request.clone()).await;
            let is_over = !death.is_dead();
            check(&fixture, request, died).await;
            if is_over {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 6, "{deaths}");
}
