//! `tenant.suspend`, `tenant.resume`, `tenant.delete` and `tenant.restore`.

use serde::{Deserialize, Serialize};

use super::{TenantEntry, deleting};
use crate::admin::{About, Admin, Asked, Code, Failure, Operation};
use crate::clock::CLOCKS_DIFFER_MILLIS;
use crate::identity::TenantId;
use crate::store::{Deletion, ListedTenant, PurgeStage, Suspension};

/// The longest reason of a suspension, in characters.
const MAX_REASON_CHARACTERS: usize = 500;
/// The days in which a deleted tenant can be restored, if the request names none.
const DEFAULT_DAYS: u32 = 7;
/// The most days in which a deleted tenant can be restored.
const MAX_DAYS: u32 = 365;
/// A purge begins no sooner than this after the deletion, in milliseconds: processes use a configuration for a
/// minute after they have read it, and a request or a delivery that has begun by then takes less than another one.
const SOONEST_PURGE_MILLIS: u64 = 120_000 + CLOCKS_DIFFER_MILLIS;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Asks to refuse the requests of a tenant until it is resumed. Its data and its feed stay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuspendTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// Why, for the people who run the service: at most 500 characters. No client learns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Asks to answer the requests of a suspended tenant again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResumeTenant {
    /// The tenant.
    pub tenant: TenantId,
}

/// Asks to refuse the requests of a tenant from now on, and to remove everything of it later.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The days in which it can be restored: 0 to 365, 7 if neither this nor `now` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_days: Option<u32>,
    /// Whether the purge begins as soon as no request can be under way any more, two minutes after the deletion.
    #[serde(default)]
    pub now: bool,
}

/// Asks to bring a deleted tenant back as it was before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreTenant {
    /// The tenant.
    pub tenant: TenantId,
}

/// The answer of a change of a tenant's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedTenant {
    /// The tenant as it is now.
    #[serde(flatten)]
    pub entry: TenantEntry,
    /// Whether this request has changed it; false if it was so before.
    pub changed: bool,
}

impl ChangedTenant {
    fn of((tenant, changed): (ListedTenant, bool)) -> Self {
        Self {
            entry: TenantEntry::of(&tenant),
            changed,
        }
    }
}

impl Operation for SuspendTenant {
    const NAME: &'static str = "tenant.suspend";
    type Answer = ChangedTenant;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ChangedTenant, Failure> {
        self.check_reason()?;
        let now = admin.clock.now_millis();
        let changed = admin.change_tenant(&self.tenant, |seen| {
            if let Some(deletion) = seen.deletion {
                return Err(deleting(&self.tenant, deletion.stage));
            }
            let before = seen.suspension.as_ref();
            // A repeated request keeps the time, and without a reason of its own the reason.
            let suspension = Suspension {
                since: before.map_or(now, |before| before.since),
                reason: self.reason.clone().or_else(|| before?.reason.clone()),
            };
            Ok((before != Some(&suspension)).then(|| seen.with_suspension(Some(suspension))))
        });
        Ok(ChangedTenant::of(changed.await?))
    }
}

impl SuspendTenant {
    fn check_reason(&self) -> Result<(), Failure> {
        let reason = self.reason.as_deref().unwrap_or_default();
        if reason.chars().count() <= MAX_REASON_CHARACTERS && !reason.contains(char::is_control) {
            return Ok(());
        }
        Err(Failure::new(
            Code::Invalid,
            format!(
                "`reason` has at most {MAX_REASON_CHARACTERS} characters, none of them a control character"
            ),
        ))
    }
}

impl Operation for ResumeTenant {
    const NAME: &'static str = "tenant.resume";
    type Answer = ChangedTenant;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ChangedTenant, Failure> {
        let changed = admin.change_tenant(&self.tenant, |seen| {
            if let Some(deletion) = seen.deletion {
                return Err(deleting(&self.tenant, deletion.stage));
            }
            Ok(seen
                .suspension
                .is_some()
                .then(|| seen.with_suspension(None)))
        });
        Ok(ChangedTenant::of(changed.await?))
    }
}

impl Operation for DeleteTenant {
    const NAME: &'static str = "tenant.delete";
    type Answer = ChangedTenant;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ChangedTenant, Failure> {
        let days = self.days()?;
        let now = admin.clock.now_millis();
        let changed = admin.change_tenant(&self.tenant, |seen| {
            let before = seen.deletion;
            // A purge that has begun goes on, whatever is asked for.
            if before.is_some_and(|before| before.stage != PurgeStage::Waiting) {
                return Ok(None);
            }
            let since = before.map_or(now, |before| before.since);
            let purge_at = match (days, before) {
                (None, Some(before)) => before.purge_at,
                (days, _) => {
                    let days = u64::from(days.unwrap_or(DEFAULT_DAYS));
                    since + SOONEST_PURGE_MILLIS.max(days * DAY_MILLIS)
                }
            };
            let deletion = Deletion {
                since,
                purge_at,
                stage: PurgeStage::Waiting,
                due: purge_at,
            };
            Ok((before != Some(deletion)).then(|| seen.with_deletion(Some(deletion))))
        });
        Ok(ChangedTenant::of(changed.await?))
    }
}

impl DeleteTenant {
    /// The days until the purge, if the request says it.
    fn days(&self) -> Result<Option<u32>, Failure> {
        let fault = match (self.now, self.delete_after_days) {
            (true, None) => return Ok(Some(0)),
            (false, days) if days.is_none_or(|days| days <= MAX_DAYS) => return Ok(days),
            (true, Some(_)) => "`now` and `deleteAfterDays` exclude each other".to_owned(),
            (false, _) => format!("`deleteAfterDays` takes 0 to {MAX_DAYS}"),
        };
        Err(Failure::new(Code::Invalid, fault))
    }
}

impl Operation for RestoreTenant {
    const NAME: &'static str = "tenant.restore";
    type Answer = ChangedTenant;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<ChangedTenant, Failure> {
        let changed = admin.change_tenant(&self.tenant, |seen| {
            let Some(deletion) = seen.deletion else {
                return Ok(None);
            };
            match deletion.stage {
                PurgeStage::Waiting => Ok(Some(seen.with_deletion(None))),
                stage => Err(deleting(&self.tenant, stage)),
            }
        });
        Ok(ChangedTenant::of(changed.await?))
    }
}
