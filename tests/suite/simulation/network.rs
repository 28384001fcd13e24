//! A network between the SDK and a table in this process, with planned faults.
//!
//! Every call takes some time in each direction, so that parallel writers meet in every order. The
//! time is that of tokio, which tests pause, so waiting costs nothing.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use scim_lambda::embedded::{Engine, Reply};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::budget::Budget;

/// The table and the network to it, shared by all processes.
pub(crate) struct Network {
    pub(crate) table: Engine,
    /// The longest time that a call takes in one direction, in milliseconds.
    pub(crate) latency: u64,
    pub(crate) budget: Option<Mutex<Budget>>,
    /// The number of calls that may have changed the table.
    pub(crate) changes: AtomicU64,
}

/// One process's connection.
pub(crate) struct Line {
    network: Arc<Network>,
    calls: AtomicU64,
    is_dead: AtomicBool,
    frozen: Notify,
    thawed: Notify,
    plan: Mutex<Plan>,
}

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

/// A call that the SDK makes.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Its number on this connection, from 0.
    pub(crate) number: u64,
    /// The operation, such as `PutItem`.
    pub(crate) operation: String,
    pub(crate) body: Value,
}

/// A fault of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// Another transaction works on the same items.
    Conflict,
    /// The partition has no capacity left.
    Throttle,
    /// A proxy answers with this status and without JSON; the call is never sent.
    Status(u16),
    /// The call takes effect, and then a proxy answers with this status and without JSON.
    StatusAfter(u16),
    /// The call is never sent.
    LoseRequest,
    /// The call takes effect, and its answer is lost.
    LoseAnswer,
    /// The process dies before the call is sent.
    Kill,
    /// The process dies after the call has taken effect.
    KillAfter,
    /// A page holds at most this many items.
    ShortPage(u64),
    /// This many of the items of a batch are processed, the others are left.
    Unprocessed(usize),
    /// The call takes effect, and then the whole process is frozen until it is thawed.
    Freeze,
    /// The call takes this many milliseconds longer, half of them before it takes effect.
    Slow(u64),
}

impl Line {
    pub(crate) fn new(network: &Arc<Network>) -> Arc<Self> {
        Arc::new(Self {
            network: Arc::clone(network),
            calls: AtomicU64::new(0),
            is_dead: AtomicBool::new(false),
            frozen: Notify::new(),
            thawed: Notify::new(),
            plan: Mutex::new(Box::new(|_| None)),
        })
    }

    /// Decides from now on what happens to each call.
    pub(crate) fn plan(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
        self.calls.store(0, Ordering::SeqCst);
    }

    /// The number of calls since the plan, including failed attempts.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::SeqCst)
    }

    /// Waits until the process is frozen.
    pub(crate) async fn frozen(&self) {
        self.frozen.notified().await;
    }

    pub(crate) fn thaw(&self) {
        self.thawed.notify_one();
    }

    async fn carry(self: Arc<Self>, operation: String, body: Value) -> Answer {
        let call = Call {
            number: self.calls.fetch_add(1, Ordering::SeqCst),
            operation,
            body,
        };
        self.travel().await;
        if self.is_dead() {
            return Err(lost());
        }
        let fault = (self.plan.lock().unwrap())(&call);
        match fault {
            None => {
                let answer = self.network.answer(&call.operation, &call.body);
                self.travel().await;
                Ok(answer)
            }
            Some(fault) => {
                let answer = self.fail(fault, call).await;
                self.travel().await;
                answer
            }
        }
    }

    /// Other things happen only on the way of a call, never during the call itself.
    async fn travel(&self) {
        let longest = self.network.latency;
        if longest > 0 {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=longest))).await;
        }
    }

    async fn fail(&self, fault: Fault, call: Call) -> Answer {
        let Call {
            operation, body, ..
        } = call;
        match fault {
            Fault::Conflict => Ok(refusal(&operation, &body, "TransactionConflict")),
            Fault::Throttle => Ok(refusal(&operation, &body, "ThrottlingError")),
            Fault::Status(status) => Ok((status, page(status))),
            Fault::StatusAfter(status) => {
                self.network.answer(&operation, &body);
                Ok((status, page(status)))
            }
            Fault::LoseRequest => Err(lost()),
            Fault::LoseAnswer => {
                self.network.answer(&operation, &body);
                Err(lost())
            }
            Fault::Kill => {
                self.is_dead.store(true, Ordering::SeqCst);
                Err(lost())
            }
            Fault::KillAfter => {
                self.is_dead.store(true, Ordering::SeqCst);
                self.network.answer(&operation, &body);
                Err(lost())
            }
            Fault::ShortPage(limit) => {
                let mut body = body;
                let asked = body["Limit"].as_u64().unwrap_or(u64::MAX);
                body["Limit"] = json!(asked.min(limit));
                Ok(self.network.answer(&operation, &body))
            }
            Fault::Unprocessed(done) => Ok(self.network.partly(&operation, body, done)),
            Fault::Slow(millis) => {
                let half = Duration::from_millis(millis / 2);
                tokio::time::sleep(half).await;
                let answer = self.network.answer(&operation, &body);
                tokio::time::sleep(half).await;
                Ok(answer)
            }
            Fault::Freeze => {
                let answer = self.network.answer(&operation, &body);
                self.frozen.notify_one();
                self.thawed.notified().await;
                Ok(answer)
            }
        }
    }
}

type Answer = Result<(u16, String), ConnectorError>;

/// The page that proxies and load balancers send with a status: one for people, or an empty one.
fn page(status: u16) -> String {
    match status % 2 {
        0 => "<html><body>The service is out of reach</body></html>".to_owned(),
        _ => String::new(),
    }
}

fn lost() -> ConnectorError {
    ConnectorError::timeout("the simulated network has lost this".into())
}

impl Network {
    /// The answer of the table, if the partitions have capacity.
    fn answer(&self, operation: &str, body: &Value) -> (u16, String) {
        if !matches!(operation, "GetItem" | "BatchGetItem" | "Query" | "Scan") {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        let Some(budget) = &self.budget else {
            return execute(&self.table, operation, body);
        };
        let mut budget = budget.lock().unwrap();
        if operation == "BatchWriteItem" {
            let fitting = budget.fitting(body);
            if fitting > 0 {
                return self.partly(operation, body.clone(), fitting);
            }
        } else if budget.spend(operation, body) {
            let answer = execute(&self.table, operation, body);
            budget.charge_query(operation, body, &answer.1);
            return answer;
        }
        refusal(operation, body, "ThrottlingError")
    }

    /// Processes the first items of a batch, and answers that the others are left.
    fn partly(&self, operation: &str, mut body: Value, done: usize) -> (u16, String) {
        let name = match operation {
            "BatchWriteItem" => "UnprocessedItems",
            "BatchGetItem" => "UnprocessedKeys",
            _ => return self.answer(operation, &body),
        };
        let table = body["RequestItems"]["scim"].clone();
        let list = |value: &mut Value| match operation {
            "BatchWriteItem" => value.as_array_mut().map(std::mem::take),
            _ => value["Keys"].as_array_mut().map(std::mem::take),
        };
        let mut items = list(&mut body["RequestItems"]["scim"]).unwrap();
        let left = items.split_off(done.min(items.len()));
        let part = |items: Vec<Value>| match operation {
            "BatchWriteItem" => json!(items),
            _ => {
                let mut keys = table.clone();
                keys["Keys"] = json!(items);
                keys
            }
        };
        if items.is_empty() {
            let answer = json!({name: {"scim": part(left)}, "Responses": {}});
            return (200, answer.to_string());
        }
        body["RequestItems"]["scim"] = part(items);
        let (status, text) = execute(&self.table, operation, &body);
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        if !left.is_empty() {
            answer[name] = json!({"scim": part(left)});
        }
        (status, answer.to_string())
    }
}

/// DynamoDB's answer to a call that it refuses for a temporary reason.
fn refusal(operation: &str, body: &Value, reason: &str) -> (u16, String) {
    let kind = |name: &str| format!("com.amazonaws.dynamodb.v20120810#{name}");
    let answer = match (operation, reason) {
        ("TransactWriteItems", _) => {
            let steps = body["TransactItems"].as_array().map_or(0, Vec::len);
            let unlucky = fastrand::usize(..steps);
            let reasons = (0..steps).map(|step| match step == unlucky {
                true => json!({"Code": reason, "Message": "It passes."}),
                false => json!({"Code": "None"}),
            });
            json!({
                "__type": kind("TransactionCanceledException"),
                "Message": "Transaction cancelled",
                "CancellationReasons": reasons.collect::<Vec<_>>(),
            })
        }
        (_, "TransactionConflict") => {
            json!({"__type": kind("TransactionConflictException"), "message": "It passes."})
        }
        _ if fastrand::bool() => {
            json!({"__type": kind("ThrottlingException"), "message": "It passes."})
        }
        _ => json!({
            "__type": kind("ProvisionedThroughputExceededException"),
            "message": "It passes.",
        }),
    };
    (400, answer.to_string())
}

/// Makes a call at the table.
pub(crate) fn execute(table: &Engine, operation: &str, body: &Value) -> (u16, String) {
    let Reply { status, body } = table.answer(operation, body.to_string().as_bytes());
    (status, body)
}

/// The SDK's end of a connection.
#[derive(Clone)]
pub(crate) struct Plug(pub(crate) Arc<Line>);

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plug")
    }
}

impl HttpClient for Plug {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Plug {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let line = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let (status, text) = line.carry(operation, body).await?;
            let status = status.try_into().unwrap();
            Ok(HttpResponse::new(status, SdkBody::from(text)))
        })
    }
}
