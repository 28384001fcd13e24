//! `data.check`: whether index entries, counters and groups fit the resources, and their repair.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::admin::tenant::deleting;
use crate::admin::{About, Admin, Asked, Failure, Operation, Time};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::provider::{CheckPlace, Checked, Findings, Repair};
use crate::store::Unfinished;

/// A part ends with the first page after this time. The command shows its progress after each part.
const PART_TIME: Duration = Duration::from_secs(5);
/// The longest cursor, in bytes.
const MAX_CURSOR_BYTES: usize = 16 * 1024;

/// Compares a part of what the table has of a tenant with its resources.
///
/// Every part can be asked for again. With `repair`, what one part has corrected, the next one does not find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckData {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether unfinished changes are finished, new indexes completed, and faults corrected. The same for every part.
    #[serde(default)]
    pub repair: bool,
    /// The cursor of the part before; none for the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The answer of `data.check`: what one part has found. The parts together are the findings of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedData {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether nothing in this part remains to be repaired.
    pub well: bool,
    /// Resources that were looked at.
    pub resources: u64,
    /// Index entries that were missing.
    pub missing: u64,
    /// Index entries that no resource has.
    pub stray: u64,
    /// Resources that were stored without their id.
    pub without_id: u64,
    /// Resources with index entries of an earlier version.
    pub earlier: u64,
    /// Resources of a newer version, which are left as they are.
    pub newer: u64,
    /// Unfinished changes that were finished.
    pub finished: u64,
    /// Users whose seat did not fit whether they are active.
    pub uncounted: u64,
    /// Changes that are not finished.
    pub unfinished: Vec<UnfinishedChange>,
    /// Counters with a wrong sum.
    pub totals: Vec<WrongTotal>,
    /// Groups whose stored number of members is not exact, which is no fault.
    pub members: Vec<WrongMembers>,
    /// Resources with more values of an attribute than an index holds: type, attribute and id.
    pub crowded: Vec<String>,
    /// Unique values that several resources have: type, attribute and id.
    pub conflicts: Vec<String>,
    /// Why indexes, or the count of active users, are not complete.
    pub waiting: Option<String>,
    /// The cursor of the next part; `None` at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedChange {
    /// What it does; empty if the entry does not say it.
    pub work: String,
    /// Its key.
    pub key: String,
    /// When it began, if the entry says it.
    pub begun: Option<Time>,
    /// What it waits for.
    pub state: ChangeState,
}

/// What an unfinished change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// Its writer is still working on it.
    Held,
    /// It will be finished soon.
    Soon,
    /// It should have been finished.
    Overdue,
    /// This version does not know how to finish it; also a state that only a later version knows.
    #[serde(other)]
    Unknown,
}

/// A counter with a wrong sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongTotal {
    /// The resource type, or `seats`.
    #[serde(rename = "type")]
    pub name: String,
    /// What was stored.
    pub stored: u64,
    /// What was counted.
    pub counted: u64,
}

/// A group whose stored number of members is not exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongMembers {
    /// The id of the group.
    pub group: String,
    /// What was stored.
    pub stored: i64,
    /// What was counted.
    pub counted: u64,
}

impl Operation for CheckData {
    const NAME: &'static str = "data.check";
    type Answer = CheckedData;

    fn about(&self) -> About<'_> {
        About::tenant(&self.tenant)
    }

    async fn perform(&self, admin: &Admin, _: &Asked) -> Result<CheckedData, Failure> {
        let place = self.cursor.as_deref().map(parse).transpose()?;
        // Not by its secret: a restored table has tenants whose secrets were removed since.
        let listed = admin.listed_tenant(&self.tenant).await?;
        let repair = match (self.repair, listed.deletion) {
            (false, _) => Repair::Look,
            (true, None) => Repair::Mend,
            // A repair could write what the purge has just removed.
            (true, Some(deletion)) => return Err(deleting(&self.tenant, deletion.stage)),
        };
        let (tenant, until) = (&self.tenant, Instant::now() + PART_TIME);
        let checked = admin.provider.check(tenant, repair, place, until).await?;
        admin.check_unpurged(tenant).await?;
        Ok(CheckedData::of(tenant, repair, checked))
    }
}

impl CheckedData {
    fn of(tenant: &TenantId, repair: Repair, checked: Checked) -> Self {
        let Checked {
            built,
            found,
            waiting,
            next,
        } = checked;
        let is_mended = match repair {
            Repair::Mend => found.is_mendable(),
            Repair::Look => found.is_clean(),
        };
        let Findings {
            resources,
            newer,
            finished,
            unfinished,
            totals,
            members,
            conflicts,
            crowded,
            ..
        } = found;
        let total = |(name, stored, counted)| WrongTotal {
            name,
            stored,
            counted,
        };
        let group = |(group, stored, counted)| WrongMembers {
            group,
            stored,
            counted,
        };
        Self {
            tenant: tenant.clone(),
            well: is_mended && waiting.is_none(),
            resources,
            missing: built.missing + found.missing,
            stray: built.stray + found.stray,
            without_id: built.without_id + found.without_id,
            earlier: built.earlier + found.earlier,
            newer,
            finished: finished as u64,
            uncounted: found.uncounted,
            unfinished: unfinished.into_iter().map(UnfinishedChange::of).collect(),
            totals: totals.into_iter().map(total).collect(),
            members: members.into_iter().map(group).collect(),
            crowded,
            conflicts,
            waiting,
            cursor: next.as_ref().map(to_text),
        }
    }

    /// The findings of this part and of the one after it.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        self.unfinished.extend(later.unfinished);
        self.totals.extend(later.totals);
        self.members.extend(later.members);
        self.crowded.extend(later.crowded);
        self.conflicts.extend(later.conflicts);
        Self {
            well: self.well && later.well,
            resources: self.resources + later.resources,
            missing: self.missing + later.missing,
            stray: self.stray + later.stray,
            without_id: self.without_id + later.without_id,
            earlier: self.earlier + later.earlier,
            newer: self.newer + later.newer,
            finished: self.finished + later.finished,
            uncounted: self.uncounted + later.uncounted,
            waiting: self.waiting.or(later.waiting),
            cursor: later.cursor,
            ..self
        }
    }
}

impl UnfinishedChange {
    fn of(entry: Unfinished) -> Self {
        let state = match (entry.is_held, entry.is_known, entry.is_overdue) {
            (true, _, _) => ChangeState::Held,
            (false, false, _) => ChangeState::Unknown,
            (false, true, false) => ChangeState::Soon,
            (false, true, true) => ChangeState::Overdue,
        };
        Self {
            work: entry.work,
            key: entry.key,
            begun: entry.begun.map(Time),
            state,
        }
    }
}

fn parse(cursor: &str) -> Result<CheckPlace> {
    let read = || {
        let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let place: CheckPlace = serde_json::from_slice(&json).ok()?;
        place.is_possible().then_some(place)
    };
    let place = (cursor.len() <= MAX_CURSOR_BYTES).then(read).flatten();
    place.ok_or_else(|| Error::invalid_value("`cursor` is not that of a part of a check"))
}

fn to_text(place: &CheckPlace) -> String {
    let json = serde_json::to_vec(place).expect("a place has texts and numbers only");
    URL_SAFE_NO_PAD.encode(json)
}
