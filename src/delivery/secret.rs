//! The secrets that sign the messages of webhooks. Those of one webhook are in one secret of the stack:
//!
//! ```json
//! {"version": 1,
//!  "current": {"key": "whsec_…", "made": 1767225600000, "request": "0199c3a7-15be-7aaa-8bbb-0123456789ab"},
//!  "previous": {"key": "whsec_…", "until": 1767312000000}}
//! ```
//!
//! A new secret signs at once, and beside it the previous one for a day. So a receiver is never without a
//! signature that it can verify, whichever of the two it knows.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, CacheLimits, Freshness, Unread};
use crate::clock::Clock;
use crate::identity::{RequestId, SubscriptionId};
use crate::protocol::error::{Error, Result};
use crate::tenant::{SecretError, SecretStore, SecretVersion};

/// The version of the document that this release reads and writes.
const VERSION: u32 = 1;
const PREFIX: &str = "whsec_";
const KEY_BYTES: usize = 32;

/// How long the previous secret signs after a rotation.
const OVERLAP_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// How long a request can be repeated and gets the secret that it has made.
const REPEAT_MILLIS: u64 = 10 * 60 * 1000;

/// A process that sends reads the secret again only after a minute. So it may sign with the previous one alone
/// for up to a minute after a rotation.
const LIMITS: CacheLimits = CacheLimits {
    what: "The secret of a webhook",
    fresh_millis: 60_000,
    stale_millis: 60_000,
    retry_millis: 0,
    early_reads: 0,
    early_interval_millis: 0,
    max_keys: 1000,
};

/// A secret that signs messages: 32 random bytes.
///
/// Its text is `whsec_` and the bytes in base64, as Standard Webhooks has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningSecret([u8; KEY_BYTES]);

/// What a rotation does to the secret before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It signs for another day.
    WithOverlap,
    /// It does not sign any more, because it may be known to others.
    AtOnce,
}

/// A new secret.
#[derive(Debug, Clone)]
pub struct RotatedSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// Until when the previous secret signs too, in milliseconds since the Unix epoch; `None` if it does not.
    pub previous_until_millis: Option<u64>,
}

/// The secrets with which a message of one webhook is signed at a time.
#[derive(Debug, Clone)]
pub struct SigningSecrets {
    /// The secret of the last rotation.
    pub current: SigningSecret,
    /// The one before, while it still signs.
    pub previous: Option<SigningSecret>,
}

/// Makes, changes and reads the secrets `{stack}/webhooks/{subscription}`.
#[derive(Clone)]
pub struct WebhookSecrets {
    secrets: Arc<dyn SecretStore>,
    prefix: String,
    clock: Arc<dyn Clock>,
    read: Arc<Cache<SubscriptionId, Option<Document>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Document {
    version: u32,
    current: Current,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Current {
    key: SigningSecret,
    /// When it was made, in milliseconds since the Unix epoch.
    made: u64,
    /// The request that has asked for it.
    request: RequestId,
}

#[derive(Clone, Serialize, Deserialize)]
struct Previous {
    key: SigningSecret,
    /// Until when it signs, in milliseconds since the Unix epoch.
    until: u64,
}

impl WebhookSecrets {
    /// The secrets of the webhooks of the stack called `stack`.
    #[must_use]
    pub fn new(secrets: Arc<dyn SecretStore>, stack: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            secrets,
            prefix: format!("{stack}/webhooks/"),
            read: Arc::new(Cache::new(LIMITS, Arc::clone(&clock))),
            clock,
        }
    }

    /// Makes the secret of a webhook. The same request, repeated within ten minutes, gets the same secret.
    ///
    /// # Errors
    /// `Conflict` if another request has made it, `Unavailable` if secrets are out of reach.
    pub async fn create(&self, id: &SubscriptionId, request: &RequestId) -> Result<SigningSecret> {
        let now = self.clock.now_millis();
        let document = Document::new(request, now)?;
        match self.write(id, &document, None).await {
            Ok(()) => Ok(document.current.key),
            // It exists: from an earlier attempt of this request, whose answer was lost, or from another.
            Err(SecretError::Conflict) => match self.find(id).await? {
                Some((found, _)) if found.current.is_made_by(request, now) => Ok(found.current.key),
                _ => Err(Error::conflict("The webhook has a secret already")),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Replaces the secret of a webhook. The same request, repeated within ten minutes, gets the same secret.
    /// A webhook whose secret is lost gets another one.
    ///
    /// # Errors
    /// `Conflict` if the secret was rotated less than a day ago, because the one before still signs, or if another
    /// process changes the secret at the same time; `Unavailable` if secrets are out of reach.
    pub async fn rotate(
        &self,
        id: &SubscriptionId,
        request: &RequestId,
        rotation: Rotation,
    ) -> Result<RotatedSecret> {
        let now = self.clock.now_millis();
        let Some((found, version)) = self.find(id).await? else {
            let secret = self.create(id, request).await?;
            return Ok(RotatedSecret {
                secret,
                previous_until_millis: None,
            });
        };
        if found.current.is_made_by(request, now) {
            return Ok(found.into_rotated());
        }
        let document = found.rotated(request, rotation, now)?;
        self.write(id, &document, Some(&version)).await?;
        Ok(document.into_rotated())
    }

    /// Removes the secrets of a webhook, if it has any.
    ///
    /// # Errors
    /// `Unavailable` if secrets are out of reach.
    pub async fn remove(&self, id: &SubscriptionId) -> Result<()> {
        self.secrets.remove(&self.name(id)).await?;
        self.read.forget(id);
        Ok(())
    }

    /// The secrets that sign the messages of a webhook now, as they were at most a minute ago. `None` if it
    /// has none.
    ///
    /// # Errors
    /// `Unavailable` if secrets are out of reach, `Internal` if what is there cannot be read.
    pub async fn signing(&self, id: &SubscriptionId) -> Result<Option<SigningSecrets>> {
        let read = async {
            let found = self.find(id).await?;
            Ok::<_, SecretError>(found.map(|(document, _)| document))
        };
        let document = match self.read.get(id, Freshness::Usual, read).await {
            Ok(document) => document,
            Err(Unread::Failed(error)) => return Err(error.into()),
            Err(Unread::Resting) => return Err(Error::unavailable("Secrets cannot be read")),
        };
        let now = self.clock.now_millis();
        Ok(document
            .as_ref()
            .as_ref()
            .map(|document| document.signing(now)))
    }

    async fn find(
        &self,
        id: &SubscriptionId,
    ) -> Result<Option<(Document, SecretVersion)>, SecretError> {
        let name = self.name(id);
        let Some(found) = self.secrets.get(&name).await? else {
            return Ok(None);
        };
        let document = Document::parse(&found.value);
        let document = document.map_err(|fault| malformed(name, fault))?;
        Ok(Some((document, found.version)))
    }

    async fn write(
        &self,
        id: &SubscriptionId,
        document: &Document,
        expected: Option<&SecretVersion>,
    ) -> Result<(), SecretError> {
        let name = self.name(id);
        let text =
            serde_json::to_string(document).expect("text and numbers can be written as JSON");
        let written = self.secrets.put(&name, &text, expected).await;
        // Also after a failure, because the write may have taken effect.
        self.read.forget(id);
        written.map(|_| ())
    }

    fn name(&self, id: &SubscriptionId) -> String {
        format!("{}{id}", self.prefix)
    }
}

fn malformed(name: String, fault: String) -> SecretError {
    SecretError::Malformed {
        name,
        source: fault.into(),
    }
}

impl Document {
    fn new(request: &RequestId, now: u64) -> Result<Self> {
        let current = Current {
            key: SigningSecret::random()?,
            made: now,
            request: request.clone(),
        };
        Ok(Self {
            version: VERSION,
            current,
            previous: None,
        })
    }

    /// Reads what [`WebhookSecrets::write`] has written. The fault has no part of the text.
    fn parse(text: &str) -> Result<Self, String> {
        let document: Self = serde_json::from_str(text)
            .map_err(|error| format!("unexpected JSON at column {}", error.column()))?;
        match document.version {
            VERSION => Ok(document),
            version => Err(format!("version {version} is not {VERSION}")),
        }
    }

    fn rotated(self, request: &RequestId, rotation: Rotation, now: u64) -> Result<Self> {
        let previous = match (rotation, self.previous) {
            (Rotation::AtOnce, _) => None,
            (Rotation::WithOverlap, Some(previous)) if now < previous.until => {
                return Err(Error::conflict(
                    "The secret was rotated less than a day ago, and its receiver may still have the one \
                     before. Rotate it later, or give up both by `atOnce` (in the command `--at-once`)",
                ));
            }
            (Rotation::WithOverlap, _) => Some(Previous {
                key: self.current.key,
                until: now + OVERLAP_MILLIS,
            }),
        };
        Ok(Self {
            previous,
            ..Self::new(request, now)?
        })
    }

    fn into_rotated(self) -> RotatedSecret {
        RotatedSecret {
            secret: self.current.key,
            previous_until_millis: self.previous.map(|previous| previous.until),
        }
    }

    fn signing(&self, now: u64) -> SigningSecrets {
        let previous = self
            .previous
            .as_ref()
            .filter(|previous| now < previous.until);
        SigningSecrets {
            current: self.current.key.clone(),
            previous: previous.map(|previous| previous.key.clone()),
        }
    }
}

impl Current {
    fn is_made_by(&self, request: &RequestId, now: u64) -> bool {
        self.request == *request && now < self.made + REPEAT_MILLIS
    }
}

impl SigningSecret {
    fn random() -> Result<Self> {
        let bytes = ring::rand::generate(&SystemRandom::new());
        let bytes = bytes.map_err(|_| Error::internal("the random number generator failed"))?;
        Ok(Self(bytes.expose()))
    }

    /// The text that receivers are given. It is shown once and never logged.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for SigningSecret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let key = text.strip_prefix(PREFIX).map(|key| STANDARD.decode(key));
        let key = key.and_then(|key| key.ok()?.try_into().ok());
        key.map(Self).ok_or("no secret of a webhook")
    }
}

impl From<SigningSecret> for String {
    fn from(secret: SigningSecret) -> Self {
        secret.to_text()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

#[cfg(test)]
mod tests;
