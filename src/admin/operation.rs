//! What an operation is: its arguments, its answer, and what its line in the log says.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Admin, Failure};
use crate::identity::{CredentialId, RequestId, SubscriptionId, TenantId};
use crate::protocol::error::{Error, Result};

/// The longest request of an operation that says nothing else, in bytes: room for the longest URL and the largest
/// number of patterns of a webhook.
const USUAL_REQUEST_BYTES: usize = 32 * 1024;
/// The longest name of an actor, in characters.
const MAX_ACTOR_CHARACTERS: usize = 100;

/// One thing that operators ask for. The type has its arguments.
///
/// An operation exists as soon as its type is in the table of `operations.rs`. It is asked for
/// by [`Admin::ask`] with the type, or by [`Admin::answer`] in JSON.
///
/// The arguments are read from JSON and written as JSON, by the names in camelCase. Members that they do not know
/// are refused. Answers ignore such members, because a later version may add some.
pub trait Operation: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name by which a request asks for it: `webhook.add`.
    const NAME: &'static str;
    /// The longest request in JSON, in bytes.
    const MAX_REQUEST_BYTES: usize = USUAL_REQUEST_BYTES;
    /// What is answered: the value of `ok`.
    type Answer: Serialize + DeserializeOwned + Send;

    /// What the line in the log says that it is about.
    fn about(&self) -> About<'_>;

    /// What only the answer shows about it: the id of what was made.
    fn about_answer(_answer: &Self::Answer) -> About<'_> {
        About::default()
    }

    /// Does it. The same request, repeated after its answer was lost or its process died, does no harm.
    ///
    /// # Errors
    /// Every code but `failed` for what the request or the state of things is the cause of; `later` if the table
    /// or the secrets are out of reach.
    fn perform(
        &self,
        admin: &Admin,
        asked: &Asked,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Who asks for an operation, and the name of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who asks, as the caller says. It is logged and decides nothing.
    pub actor: Actor,
    /// The name of the request. A caller that repeats a request repeats its name.
    pub request_id: RequestId,
}

/// Who asks for an operation: 1 to 100 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Actor(String);

/// What an operation is about, for its line in the log. It has names only: no secret, and no value of an attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About<'a> {
    /// The tenant.
    pub tenant: Option<&'a TenantId>,
    /// The webhook.
    pub webhook: Option<&'a SubscriptionId>,
    /// The credential.
    pub credential: Option<&'a CredentialId>,
    /// Where a webhook sends, without path and query, which are often secrets of the receiver.
    pub receiver: Option<String>,
    /// Anything else by its name: a schema, a resource type, the id of a resource.
    pub name: Option<&'a str>,
}

impl Asked {
    /// What the person who has started a command asks, with a new name.
    #[must_use]
    pub fn by_command() -> Self {
        Self {
            actor: Actor("scim".to_owned()),
            request_id: RequestId::random(),
        }
    }
}

impl Actor {
    /// The purge of deleted tenants.
    pub(super) fn of_purge() -> Self {
        Self("purge".to_owned())
    }

    /// Reads the name of an actor.
    ///
    /// # Errors
    /// `InvalidValue` for anything but 1 to 100 characters without control characters.
    pub fn parse(text: &str) -> Result<Self> {
        let is_long_enough = (1..=MAX_ACTOR_CHARACTERS).contains(&text.chars().count());
        if is_long_enough && !text.chars().any(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_value(format!(
            "`actor` has 1 to {MAX_ACTOR_CHARACTERS} characters, none of them a control character"
        )))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Actor {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl<'a> About<'a> {
    /// About a tenant.
    #[must_use]
    pub fn tenant(tenant: &'a TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::default()
        }
    }

    /// About a webhook.
    #[must_use]
    pub fn webhook(webhook: &'a SubscriptionId) -> Self {
        Self {
            webhook: Some(webhook),
            ..Self::default()
        }
    }

    /// About a credential.
    #[must_use]
    pub fn credential(credential: &'a CredentialId) -> Self {
        Self {
            credential: Some(credential),
            ..Self::default()
        }
    }

    /// About something that has a name.
    #[must_use]
    pub fn name(name: &'a str) -> Self {
        Self {
            name: Some(name),
            ..Self::default()
        }
    }

    /// This, and what `later` knows instead or besides.
    pub(super) fn and(self, later: Self) -> Self {
        Self {
            tenant: later.tenant.or(self.tenant),
            webhook: later.webhook.or(self.webhook),
            credential: later.credential.or(self.credential),
            receiver: later.receiver.or(self.receiver),
            name: later.name.or(self.name),
        }
    }
}
