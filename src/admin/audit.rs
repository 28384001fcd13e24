//! The log line of an operation: who asked for what, and the outcome.
//!
//! It has no secret, and of a URL only the origin: path and query are often secrets of the receiver.

use super::request::{Answer, Code, Operation, Request};
use crate::identity::{SubscriptionId, TenantId};
use crate::logs::AUDIT;
use crate::outgoing::{Reach, Target};
use crate::protocol::error::Result;

/// Logs one operation.
pub(super) fn log(request: &Request, reach: Reach, outcome: &Result<Answer>) {
    let (op, actor) = (request.operation.name(), request.actor.as_str());
    let asked = request.request_id.as_str();
    let About { webhook, tenant } = About::of(&request.operation);
    let webhook = match outcome {
        Ok(Answer::AddedWebhook(added)) => Some(&added.webhook.id),
        _ => webhook,
    };
    let webhook = webhook.map(SubscriptionId::as_str);
    let tenant = tenant.map(TenantId::as_str);
    let receiver = match &request.operation {
        Operation::AddWebhook(add) => Target::parse(&add.url, reach).ok(),
        _ => None,
    };
    let receiver = receiver.map(|target| target.origin());
    match outcome {
        Ok(_) => {
            tracing::info!(target: AUDIT, op, actor, request = asked, webhook, tenant, receiver, "done");
        }
        Err(error) => {
            let code = Code::of(error).as_str();
            let cause = error.causes();
            tracing::warn!(
                target: AUDIT, op, actor, request = asked, webhook, tenant, receiver, code, cause, "not done"
            );
        }
    }
}

/// What an operation is about.
struct About<'r> {
    webhook: Option<&'r SubscriptionId>,
    tenant: Option<&'r TenantId>,
}

impl<'r> About<'r> {
    fn of(operation: &'r Operation) -> Self {
        let (webhook, tenant) = match operation {
            Operation::AddWebhook(add) => (None, add.tenant.as_ref()),
            Operation::ListWebhooks(_) => (None, None),
            Operation::ShowWebhook(show) => (Some(&show.id), show.tenant.as_ref()),
            Operation::TestWebhook(test) => (Some(&test.id), test.tenant.as_ref()),
            Operation::RotateSecret(rotate) => (Some(&rotate.id), None),
            Operation::ResumeWebhook(resume) => (Some(&resume.id), None),
            Operation::RemoveWebhook(remove) => (Some(&remove.id), None),
        };
        Self { webhook, tenant }
    }
}
