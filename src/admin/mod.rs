//! Operations of the people and programs that run the service, as typed requests and answers.
//!
//! Each operation is a type that is an [`Operation`]: its arguments, its answer, and how it is done. It is asked for
//! and logged in one way, whatever calls it: a command, or a function that takes JSON. A folder or file for each
//! area has the operations themselves.
//!
//! It must not know HTTP, the command line, or which process runs it.

mod arguments;
mod audit;
pub mod brake;
pub mod credential;
pub mod data;
pub mod event;
mod failure;
pub mod look_up;
mod operation;
mod operations;
mod purge;
mod request;
pub mod schema;
pub mod stack;
pub mod stack_key;
pub mod tenant;
mod time;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

pub use failure::{Code, Failure};
pub use operation::{About, Actor, Asked, Operation};
pub use operations::names;
pub use request::{read_answer, write_request};
pub use time::Time;

use crate::clock::Clock;
use crate::delivery::{Message, Outcome, Sender, WebhookSecrets};
use crate::identity::{Cause, CauseKind, SubscriptionId, TenantId};
use crate::outgoing::Reach;
use crate::protocol::error::{Error, Result};
use crate::provider::Provider;
use crate::store::{Meter, PurgeStage, StackStore, Store, Subscription, TenantState, TenantStore};
use crate::tenant::{Credentials, Issuer, StackKeys};
use request::{Request, render};
use stack::Deployment;

/// The time that one operation may take at the table.
const BUDGET: Duration = Duration::from_secs(20);

/// The time that an operation may take that is asked for in JSON. The function `Admin` has some seconds more in
/// `template.yaml`, so that a caller gets an answer that says so, and not the error of a function that Lambda has
/// ended.
const LONGEST: Duration = Duration::from_secs(50);

/// What the operations work with.
pub struct Admin {
    /// The table.
    pub store: Store,
    /// The credentials of the tenants, which say which tenants there are.
    pub credentials: Credentials,
    /// Issues and revokes credentials.
    pub issuer: Issuer,
    /// The keys under which credentials are issued.
    pub keys: Arc<StackKeys>,
    /// The resources of the tenants.
    pub provider: Arc<Provider>,
    /// The secrets of the webhooks.
    pub secrets: WebhookSecrets,
    /// Which addresses the URL of a webhook may have.
    pub reach: Reach,
    /// Sends the sample events.
    pub sender: Arc<dyn SampleSender>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The names of the deployment.
    pub deployment: Deployment,
}

/// A [`Sender`] behind a pointer, so that operations are compiled once, whatever sends for them.
pub trait SampleSender: Send + Sync {
    /// Makes one attempt, which takes a bounded time.
    fn send<'a>(&'a self, message: &'a Message<'_>) -> BoxFuture<'a, Outcome>;
}

impl<S: Sender + Send> SampleSender for S {
    fn send<'a>(&'a self, message: &'a Message<'_>) -> BoxFuture<'a, Outcome> {
        Sender::send(self, message).boxed()
    }
}

impl Admin {
    /// Does what a request in JSON asks for, logs it, and returns the answer in JSON.
    ///
    /// **Shape** of a request: `{"op":"webhook.list","actor":"billing-service","requestId":"r-1"}`. Of the answer:
    /// `{"ok":{…}}` or `{"error":{"code":"invalid","detail":"…"}}`.
    pub async fn answer(&self, request: &[u8]) -> Value {
        let outcome = match Request::parse(request) {
            Ok(Request {
                entry,
                asked,
                arguments,
            }) => {
                let asked = (entry.ask)(self, arguments, &asked);
                tokio::time::timeout(LONGEST, asked)
                    .await
                    .unwrap_or_else(|_| Err(took_too_long()))
            }
            Err(error) => Err(error.into()),
        };
        render(&outcome)
    }

    /// Does what is asked for, and logs it.
    ///
    /// # Errors
    /// Those of [`Operation::perform`].
    pub async fn ask<O: Operation>(
        &self,
        operation: &O,
        asked: &Asked,
    ) -> Result<O::Answer, Failure> {
        let outcome = operation.perform(self, asked).await;
        let about = operation.about();
        match &outcome {
            Ok(answer) => {
                audit::log(O::NAME, asked, about.and(O::about_answer(answer)), Ok(()));
            }
            Err(failure) => audit::log(O::NAME, asked, about, Err(failure)),
        }
        outcome
    }

    fn stack_store(&self) -> StackStore {
        self.store.for_stack(Meter::default(), BUDGET)
    }

    /// The items of a tenant. What is written there is caused by the request.
    fn tenant_store(&self, tenant: &TenantId, asked: &Asked) -> TenantStore {
        self.store
            .for_tenant(tenant, cause(asked), Meter::default(), BUDGET)
    }

    /// The subscription with an id.
    async fn subscription(&self, id: &SubscriptionId) -> Result<Subscription> {
        let found = self.stack_store().subscriptions().get(id).await?;
        found.ok_or_else(|| no_webhook(id))
    }

    /// Fails if there is no such tenant, or if it is being deleted: what is changed then would go with it.
    async fn check_kept(&self, tenant: &TenantId) -> Result<(), Failure> {
        self.check_tenant(tenant).await?;
        let config = self.provider.config(tenant).await?;
        match config.state {
            TenantState::Active | TenantState::Suspended { .. } => Ok(()),
            TenantState::Deleting { .. } => Err(Failure::new(
                Code::Deleting,
                format!("The tenant {tenant} is being deleted; restore it first"),
            )),
        }
    }

    /// Fails if the purge of the tenant has begun. What was read before this check is complete: a purge begins on the
    /// stack's list before it removes anything.
    async fn check_unpurged(&self, tenant: &TenantId) -> Result<(), Failure> {
        let listed = self.stack_store().tenant_list().get(tenant).await?;
        match listed.and_then(|listed| listed.deletion) {
            Some(deletion) if deletion.stage != PurgeStage::Waiting => {
                Err(tenant::deleting(tenant, deletion.stage))
            }
            _ => Ok(()),
        }
    }

    /// Fails if there is no such tenant, or only what is left of one while it is purged.
    async fn check_tenant(&self, tenant: &TenantId) -> Result<(), Failure> {
        if self.credentials.read(tenant).await?.is_some() {
            return Ok(());
        }
        // The purge removes the secret a quarter of an hour before the tenant leaves the list.
        let listed = self.stack_store().tenant_list().get(tenant).await?;
        match listed.is_some_and(|listed| listed.deletion.is_some()) {
            true => Err(Failure::new(
                Code::Deleting,
                format!("The tenant {tenant} is being purged"),
            )),
            false => Err(Error::not_found(format!("There is no tenant {tenant}")).into()),
        }
    }
}

/// The answer for an operation that was given up. What it has begun is completed by a repeat, as it is if the process
/// dies.
fn took_too_long() -> Failure {
    tracing::error!("an operation took longer than {} s", LONGEST.as_secs());
    let text = "It took too long and may be half done; repeat it with its requestId";
    Failure::new(Code::Later, text)
}

/// The cause of what an operation writes.
fn cause(asked: &Asked) -> Cause {
    Cause {
        request: asked.request_id.clone(),
        credential: None,
        kind: CauseKind::Command,
    }
}

fn no_webhook(id: &SubscriptionId) -> Error {
    Error::not_found(webhook::missing(id))
}
