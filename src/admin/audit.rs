//! The log line of an operation: who asked for what, and the outcome.

use super::{About, Asked, Failure};
use crate::identity::{CredentialId, SubscriptionId, TenantId};
use crate::logs::AUDIT;

/// The longest id of a resource, and the longest name of a resource type, in characters.
const MAX_NAME_CHARACTERS: usize = 64;
/// The longest URN of a schema, in characters.
const MAX_URN_CHARACTERS: usize = 256;

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
    let name = name.filter(|name| is_name(name));
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

/// Whether a text that was asked for may be a name or an id. People also type what they look for into the place of an
/// id, and an address or the name of a person must not be in the log.
fn is_name(text: &str) -> bool {
    let is_made_of = |others: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        !text.is_empty() && text.chars().all(fits)
    };
    match text.starts_with("urn:") {
        true => text.len() <= MAX_URN_CHARACTERS && is_made_of(":-._"),
        false => text.len() <= MAX_NAME_CHARACTERS && is_made_of("-._~$"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_name_or_an_id_is_logged() {
        for name in [
            "0199c3a7-15be-7aaa-8bbb-0123456789ab",
            "Badge",
            "urn:ietf:params:scim:schemas:core:2.0:User",
        ] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(MAX_NAME_CHARACTERS + 1);
        let long_urn = format!("urn:{}", "a".repeat(MAX_URN_CHARACTERS));
        for text in [
            "",
            "ada@example.com",
            "Ada Lovelace",
            "+4915112345678",
            "urn:example:ada@example.com",
            "Ad\u{e4}",
            "a\nb",
            &long,
            &long_urn,
        ] {
            assert!(!is_name(text), "{text}");
        }
    }
}
