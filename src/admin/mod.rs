//! Operations of the people and programs that run the service, as typed requests and answers.
//!
//! Each operation is asked for and logged in one way, whatever calls it: a command, or a function that takes
//! [JSON](Request). A file for each area has the operations themselves.
//!
//! It must not know HTTP, the command line, or which process runs it.

mod audit;
mod request;
mod time;
pub mod webhook;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use request::{Actor, Answer, Code, Operation, Request, render};
pub use time::Time;

use crate::clock::Clock;
use crate::delivery::{Sender, WebhookSecrets};
use crate::identity::{Cause, CauseKind, SubscriptionId, TenantId};
use crate::outgoing::Reach;
use crate::protocol::error::{Error, Result};
use crate::store::{Meter, StackStore, Store, Subscription, TenantStore};
use crate::tenant::Credentials;

/// The time that one operation may take at the table.
const BUDGET: Duration = Duration::from_secs(20);

/// What the operations work with.
pub struct Admin<S> {
    /// The table.
    pub store: Store,
    /// The credentials of the tenants, which say which tenants there are.
    pub credentials: Credentials,
    /// The secrets of the webhooks.
    pub secrets: WebhookSecrets,
    /// Which addresses the URL of a webhook may have.
    pub reach: Reach,
    /// Sends the sample events.
    pub sender: S,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl<S: Sender> Admin<S> {
    /// Does what a request in JSON asks for, and returns the answer in JSON. See [`Request`].
    pub async fn answer(&self, request: &[u8]) -> Value {
        let outcome = match Request::parse(request) {
            Ok(request) => self.perform(&request).await,
            Err(error) => Err(error),
        };
        render(&outcome)
    }

    /// Does what a request asks for, and logs it.
    ///
    /// # Errors
    /// `InvalidValue` for a fault of the request; `NotFound` for a webhook or a tenant that does not exist;
    /// `Conflict` and `TooMany` for what the present state does not allow; `Unavailable` if the table or the
    /// secrets are out of reach.
    pub async fn perform(&self, request: &Request) -> Result<Answer> {
        let outcome = self.dispatch(request).await;
        audit::log(request, self.reach, &outcome);
        outcome
    }

    async fn dispatch(&self, request: &Request) -> Result<Answer> {
        Ok(match &request.operation {
            Operation::AddWebhook(add) => {
                Answer::AddedWebhook(webhook::add(self, add, &request.request_id).await?)
            }
            Operation::ListWebhooks(_) => Answer::WebhookList(webhook::list(self).await?),
            Operation::ShowWebhook(show) => Answer::ShownWebhook(webhook::show(self, show).await?),
            Operation::TestWebhook(test) => Answer::TestedWebhook(webhook::test(self, test).await?),
            Operation::RotateSecret(rotate) => {
                Answer::RotatedSecret(webhook::rotate(self, rotate, &request.request_id).await?)
            }
            Operation::ResumeWebhook(resume) => {
                Answer::ResumedWebhook(webhook::resume(self, resume).await?)
            }
            Operation::RemoveWebhook(remove) => {
                Answer::RemovedWebhook(webhook::remove(self, remove).await?)
            }
        })
    }

    fn stack_store(&self) -> StackStore {
        self.store.for_stack(Meter::default(), BUDGET)
    }

    fn tenant_store(&self, tenant: &TenantId) -> TenantStore {
        let cause = Cause::without_credential(CauseKind::Command);
        self.store
            .for_tenant(tenant, cause, Meter::default(), BUDGET)
    }

    /// The subscription with an id.
    async fn subscription(&self, id: &SubscriptionId) -> Result<Subscription> {
        let found = self.stack_store().subscriptions().get(id).await?;
        found.ok_or_else(|| no_webhook(id))
    }

    /// Fails if there is no such tenant.
    async fn check_tenant(&self, tenant: &TenantId) -> Result<()> {
        match self.credentials.read(tenant).await? {
            Some(_) => Ok(()),
            None => Err(Error::not_found(format!("There is no tenant {tenant}"))),
        }
    }
}

fn no_webhook(id: &SubscriptionId) -> Error {
    Error::not_found(webhook::missing(id))
}
