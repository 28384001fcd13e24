//! `webhook.add`.

use std::collections::BTreeSet;
use std::fmt;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{Begin, Webhook};
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::delivery::{SigningSecret, make_due};
use crate::feed::patterns;
use crate::identity::{RequestId, SubscriptionId, TenantId};
use crate::outgoing::{Reach, Target};
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::store::{
    MAX_SUBSCRIPTIONS, Receiver, Start, Subscription, SubscriptionSet, SubscriptionState,
};

/// The largest number of attempts to add a webhook, of which each but the first follows a change of the list by
/// another process.
const MAX_ATTEMPTS: usize = 10;
/// The bytes of an id, of which each has two hexadecimal digits.
const ID_BYTES: usize = 8;

/// Adds a webhook, or finds the one that has the same URL, tenant and types.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddWebhook {
    /// Where the events are sent, at most 2,048 bytes.
    pub url: String,
    /// Whose events are sent; `None` for those of every tenant.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The types of events, and patterns such as `user.*`, at most 50; none for all types.
    #[serde(default)]
    pub types: Vec<String>,
    /// Where in a feed it begins.
    #[serde(default)]
    pub from: Begin,
}

/// The answer of `webhook.add`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedWebhook {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Whether there was one already with this URL, this tenant and these types.
    pub existed: bool,
    /// The secret that signs its messages. It is shown to the request that has added the webhook, also when that
    /// is repeated within ten minutes, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What is allowed and may not be meant, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Operation for AddWebhook {
    const NAME: &'static str = "webhook.add";
    type Answer = AddedWebhook;

    fn about(&self) -> About<'_> {
        About {
            tenant: self.tenant.as_ref(),
            // The line is to name the receiver also if the address is refused.
            receiver: Target::parse(&self.url, Reach::PublicAndLoopback)
                .ok()
                .map(|target| target.origin()),
            ..About::default()
        }
    }

    fn about_answer(answer: &AddedWebhook) -> About<'_> {
        About::webhook(&answer.webhook.id)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<AddedWebhook, Failure> {
        let target = Target::parse(&self.url, admin.reach)?;
        let unusual = patterns::check(&self.types)?;
        let types: BTreeSet<&str> = self.types.iter().map(String::as_str).collect();
        let types: Vec<String> = match types.contains(patterns::EVERY_TYPE) {
            // The same webhook as one without patterns.
            true => Vec::new(),
            false => types.into_iter().map(str::to_owned).collect(),
        };
        if let Some(tenant) = &self.tenant {
            admin.check_kept(tenant).await?;
        }
        let new = NewWebhook {
            url: target.as_str(),
            tenant: self.tenant.as_ref(),
            types: &types,
        };
        let stack = admin.stack_store();
        for _ in 0..MAX_ATTEMPTS {
            let set = stack.subscriptions().set().await?;
            if let Some(known) = set.subscriptions.iter().find(|other| new.is_like(other)) {
                return Ok(found(admin, self, &asked.request_id, known).await?);
            }
            if set.is_full() {
                return Err(full().into());
            }
            let subscription = new.subscription(admin.clock.now_millis(), self.from, &set);
            // Before the item: as soon as that exists, events are signed with the secret.
            let secret = find_or_create(admin, &subscription.id, &asked.request_id).await?;
            // Before the item: if this process dies after it has written the item, this entry leads to the events that
            // other processes append before they know the webhook.
            make_due(&stack, self.tenant.as_ref(), admin.clock.now_millis()).await?;
            let is_added = stack.subscriptions().add_to(&set, &subscription);
            if !is_added.await? {
                // Another process has changed the set since it was read. It may have added the same webhook.
                continue;
            }
            // And after it: an entry that was looked at before the item was written has led to nothing.
            make_due(
                &stack,
                subscription.tenant.as_ref(),
                admin.clock.now_millis(),
            )
            .await?;
            return Ok(AddedWebhook {
                webhook: Webhook::of(&subscription),
                existed: false,
                secret: Some(secret.to_text()),
                notes: unusual.iter().map(|name| note_about(name)).collect(),
            });
        }
        Err(Failure::new(
            Code::Later,
            "Other requests change the list of webhooks at the same time; try again",
        ))
    }
}

impl fmt::Debug for AddedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddedWebhook({:?}, ..)", self.webhook)
    }
}

/// The answer about a webhook that exists already. It completes what a request that died after it had added the
/// webhook has left undone.
async fn found(
    admin: &Admin,
    asked: &AddWebhook,
    request: &RequestId,
    known: &Subscription,
) -> Result<AddedWebhook> {
    let secret = match admin.secrets.create(&known.id, request).await {
        Ok(secret) => Some(secret.to_text()),
        // Another request has made the secret, or it was more than ten minutes ago.
        Err(error) if error.kind() == ErrorKind::Conflict => None,
        Err(error) => return Err(error),
    };
    let stack = admin.stack_store();
    make_due(&stack, known.tenant.as_ref(), admin.clock.now_millis()).await?;
    let webhook = Webhook::of(known);
    let mut notes = Vec::new();
    if webhook.disabled.is_some() {
        notes.push("It is disabled; resume it to send again".to_owned());
    }
    if webhook.from != asked.from {
        notes.push("It begins elsewhere in the feed; to begin again, remove it first".to_owned());
    }
    Ok(AddedWebhook {
        webhook,
        existed: true,
        secret,
        notes,
    })
}

/// The secret of a webhook that is about to be added.
async fn find_or_create(
    admin: &Admin,
    id: &SubscriptionId,
    request: &RequestId,
) -> Result<SigningSecret> {
    let conflict = match admin.secrets.create(id, request).await {
        Err(error) if error.kind() == ErrorKind::Conflict => error,
        made => return made,
    };
    // Another request has made it, which adds the same webhook at the same time, or died before it had added it.
    // Whichever request adds the webhook shows this secret, so it is never replaced here.
    let found = admin.secrets.signing(id).await?;
    found.map(|secrets| secrets.current).ok_or(conflict)
}

/// What makes a webhook the same as another one.
struct NewWebhook<'n> {
    url: &'n str,
    tenant: Option<&'n TenantId>,
    types: &'n [String],
}

impl NewWebhook<'_> {
    fn is_like(&self, other: &Subscription) -> bool {
        let Receiver::Webhook { url } = &other.receiver else {
            return false;
        };
        url == self.url && other.tenant.as_ref() == self.tenant && other.types == self.types
    }

    fn subscription(&self, now: u64, from: Begin, set: &SubscriptionSet) -> Subscription {
        Subscription {
            id: self.id(set.revision),
            receiver: Receiver::Webhook {
                url: self.url.to_owned(),
            },
            tenant: self.tenant.cloned(),
            types: self.types.to_vec(),
            from: match from {
                Begin::Beginning => Start::Beginning,
                Begin::Now => Start::Created,
            },
            created: now,
            state: SubscriptionState::Active,
            resumed: 0,
        }
    }

    /// The id of the webhook, if it is added to the list of this revision.
    ///
    /// It is the same each time until the list changes. So a request that is repeated finds the secret of a
    /// process that died before it added the webhook, and of two that add the same webhook both use one secret.
    /// A webhook that was removed and is added again has another id: its deliveries and messages are new.
    fn id(&self, revision: u64) -> SubscriptionId {
        let tenant = self.tenant.map_or("", TenantId::as_str);
        // None of the parts but the last has a blank.
        let text = format!("{revision} {tenant} {} {}", self.types.join(","), self.url);
        let hash = digest(&SHA256, text.as_bytes());
        let digits = hash.as_ref().iter().take(ID_BYTES);
        let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
        SubscriptionId::parse(&digits).expect("hexadecimal digits are an id")
    }
}

fn full() -> Error {
    Error::too_many(format!(
        "There are {MAX_SUBSCRIPTIONS} webhooks, which is the most; remove one first"
    ))
}

fn note_about(name: &str) -> String {
    format!(
        "No built-in type of resource is called `{name}`: the events are those of a type that tenants register"
    )
}
