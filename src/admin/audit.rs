//! The log line of an operation: who asked for what, and the outcome.

use super::{About, Asked, Failure};
use crate::identity::{CredentialId, SubscriptionId, TenantId};
use crate::logs::AUDIT;

/// Logs one operation.
pub(super) fn log(op: &str, asked: &Asked, about: About<'_>, outcome: Result<(), &Failure>) {
    let (actor, request) = (asked.actor.as_str(), asked.request_id.as_str());
    let About {
        tenant,
        webhook,
        credential,
        receiver,
        name,
    } = about;
    let tenant = tenant.map(TenantId::as_str);
    let webhook = webhook.map(SubscriptionId::as_str);
    let credential = credential.map(CredentialId::as_str);
    match outcome {
        Ok(()) => {
            tracing::info!(
                target: AUDIT, op, actor, request, tenant, webhook, credential, receiver, name, "done"
            );
        }
        Err(Failure { code, causes, .. }) => {
            let (code, cause) = (code.as_str(), causes);
            tracing::warn!(
                target: AUDIT, op, actor, request, tenant, webhook, credential, receiver, name, code, cause,
                "not done"
            );
        }
    }
}
