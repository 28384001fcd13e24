//! `credential.rotate`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{IssuedCredential, lifetime_seconds};
use crate::admin::{About, Admin, Asked, Failure, Operation, Time};
use crate::identity::{CredentialId, TenantId};
use crate::protocol::error::{Error, Result};
use crate::tenant::{Jwks, Rotation};

/// How long the old credential stays valid if the request names nothing else, in hours.
const USUAL_GRACE_HOURS: u64 = 24;
/// The longest time that the old credential may stay valid, in hours.
const MAX_GRACE_HOURS: u64 = 720;
const HOUR_SECONDS: u64 = 3600;

/// Replaces a credential: issues one of the same kind, label, permissions, role and user, and lets the old one end
/// after a grace, in which the client is given the new one. The same request, repeated within ten minutes, revokes
/// the new one that it has made, whose answer was lost, and issues another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateCredential {
    /// The tenant.
    pub tenant: TenantId,
    /// The credential to replace.
    pub id: CredentialId,
    /// How long the old one stays valid, 0 to 720 hours; 24 if it is not given. With 0 it is revoked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_hours: Option<u64>,
    /// The number of days that the new one is valid, 1 to 36,500; 365 if neither this nor `never_expires` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u64>,
    /// Whether the new one never expires.
    #[serde(default)]
    pub never_expires: bool,
    /// Other public keys for a client that signs assertions; those of the old one if they are not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
}

/// The answer of `credential.rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotatedCredential {
    /// The new credential.
    #[serde(flatten)]
    pub issued: IssuedCredential,
    /// When the old one ends; `None` if it was revoked at once.
    pub previous_until: Option<Time>,
}

impl Operation for RotateCredential {
    const NAME: &'static str = "credential.rotate";
    type Answer = RotatedCredential;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::credential(&self.id)
        }
    }

    fn about_answer(answer: &RotatedCredential) -> About<'_> {
        About::credential(&answer.issued.credential.id)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<RotatedCredential, Failure> {
        let rotation = self.rotation()?;
        admin.check_kept(&self.tenant).await?;
        let rotate = admin
            .issuer
            .rotate(&self.tenant, &self.id, rotation, &asked.request_id);
        let (issued, previous_until) = rotate.await?;
        Ok(RotatedCredential {
            issued: (&issued).into(),
            previous_until: previous_until.map(|seconds| Time(seconds.saturating_mul(1000))),
        })
    }
}

impl RotateCredential {
    fn rotation(&self) -> Result<Rotation> {
        let grace = self.grace_hours.unwrap_or(USUAL_GRACE_HOURS);
        if grace > MAX_GRACE_HOURS {
            return Err(Error::invalid_value(format!(
                "`graceHours` is from 0 to {MAX_GRACE_HOURS}"
            )));
        }
        Ok(Rotation {
            grace_seconds: grace * HOUR_SECONDS,
            lifetime_seconds: lifetime_seconds(self.days, self.never_expires)?,
            jwks: self.jwks.as_ref().map(Jwks::of).transpose()?,
        })
    }
}
