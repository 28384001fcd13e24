//! Which milestones of a tenant a write reaches.
//!
//! It must not know where milestones are kept.

use serde_json::{Map, Value};

use super::binding::USER;
use super::role::is_active;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::store::{MemberPlan, Milestones};

/// The milestones of a creation; `has_members` is for a group.
pub(super) fn of_creation(resource_type: &ResourceType, has_members: bool) -> Milestones {
    match (resource_type.name.as_str(), resource_type.membership) {
        (USER, _) => Milestones::USER,
        (_, Some(MembershipAttribute::Members)) if has_members => {
            Milestones::GROUP | Milestones::MEMBERSHIP
        }
        (_, Some(MembershipAttribute::Members)) => Milestones::GROUP,
        _ => Milestones::default(),
    }
}

/// The milestones of a change of a body.
pub(super) fn of_change(
    resource_type: &ResourceType,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Milestones {
    let is_deactivated = resource_type.name == USER && is_active(before) && !is_active(after);
    match is_deactivated {
        true => Milestones::DEACTIVATION,
        false => Milestones::default(),
    }
}

/// The milestones of a change of members.
pub(super) fn of_members(plan: &MemberPlan) -> Milestones {
    let has_additions = match plan {
        MemberPlan::Edit(change) => !change.add.is_empty(),
        MemberPlan::Replace(members) => !members.is_empty(),
        MemberPlan::Keep | MemberPlan::Clear => false,
    };
    match has_additions {
        true => Milestones::MEMBERSHIP,
        false => Milestones::default(),
    }
}

/// The milestones of a deletion.
pub(super) fn of_deletion(resource_type: &ResourceType) -> Milestones {
    match resource_type.name == USER {
        true => Milestones::DEACTIVATION,
        false => Milestones::default(),
    }
}
