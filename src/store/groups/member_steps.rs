//! The steps of a transaction that add members to a set, stamp members again and remove members.

use std::borrow::Borrow;

use super::member::Member;
use super::set::{MemberSet, Removal};
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::table::Table;
use crate::store::table::transaction::Transaction;
use crate::store::table::write::{Check, Condition};

/// What a transaction does to the members of a set.
pub(super) struct MemberSteps<'m> {
    /// The members to add, which the set does not have, each with its resource type.
    pub(super) add: Vec<(&'m Member, &'m ResourceType)>,
    /// Members that the set has, each with its resource type. They are stamped again, so that a large
    /// removal that is under way does not remove them.
    pub(super) again: Vec<(&'m Member, &'m ResourceType)>,
    /// The ids of the members to remove, which the set has.
    pub(super) remove: Vec<&'m str>,
    /// Which of the members to remove are removed.
    pub(super) removal: Removal,
}

/// What one of the steps is for.
pub(super) enum MemberStep<'m> {
    /// Checks that a member to add or to stamp again exists.
    Check(&'m Member),
    /// Puts the member item of a member that the set does not have.
    Add(&'m Member),
    /// Stamps the member item of a member that the set has.
    Restamp(&'m Member),
    /// Removes the member item of a member that the set has.
    Remove(&'m str),
    /// Puts or removes a membership item, without a condition.
    Membership,
}

impl MemberSteps<'_> {
    /// Adds the steps to a transaction. `refusal` returns what it means if a step is refused.
    pub(super) fn push<R>(
        &self,
        table: &Table,
        set: MemberSet<'_>,
        transaction: &mut Transaction<R>,
        refusal: impl Fn(MemberStep<'_>) -> R,
    ) {
        for (member, member_type) in &self.add {
            let check = exists(table, member_type, &member.id);
            transaction.push(check, refusal(MemberStep::Check(member)));
            transaction.push(set.put(member), refusal(MemberStep::Add(member)));
            let membership = set.put_membership(&member.id);
            transaction.push(membership, refusal(MemberStep::Membership));
        }
        for (member, member_type) in &self.again {
            let check = exists(table, member_type, &member.id);
            transaction.push(check, refusal(MemberStep::Check(member)));
            // The membership item is there if the member item is: one transaction writes and removes
            // both. Only a deletion removes them apart, and then the check refuses this transaction.
            let restamp = set.restamp(&member.id);
            transaction.push(restamp, refusal(MemberStep::Restamp(member)));
        }
        for id in &self.remove {
            let delete = set.delete(id, self.removal);
            transaction.push(delete, refusal(MemberStep::Remove(id)));
            let membership = set.delete_membership(id);
            transaction.push(membership, refusal(MemberStep::Membership));
        }
    }
}

/// Members with their resource types. A member whose type is not registered any more is left out: the
/// table has no resources of such a type that a request could read.
pub(super) fn typed<M: Borrow<Member>>(
    members: impl IntoIterator<Item = M>,
    types: &Registry,
) -> Vec<(M, &ResourceType)> {
    let typed = members.into_iter().filter_map(|member| {
        let resource_type = types.resource_type(&member.borrow().type_name)?;
        Some((member, resource_type.as_ref()))
    });
    typed.collect()
}

/// Checks that a member exists and is not being deleted. A deletion removes the memberships that it
/// finds after it has written its tombstone, so no writer may add one afterwards.
fn exists(table: &Table, resource_type: &ResourceType, id: &str) -> Check {
    let condition = Condition::new("attribute_exists(pk) AND attribute_not_exists(del)");
    Check::new(table.keys().resources(resource_type).key(id), condition)
}
