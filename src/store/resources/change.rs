//! A change of an existing resource: its body with its index entries, the members of a group, or
//! both at once.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, ReturnValue, Update};

use super::entry::Entries;
use super::{Write, mismatch, token};
use crate::protocol::schema::ResourceType;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::groups::member::{Member, Removal};
use crate::store::item::{self, GroupState, Item, Stored, n, s, signed};
use crate::store::journal::Note;
use crate::store::table::call::{Failure, is_too_large};
use crate::store::table::expression::Expression;
use crate::store::table::meter::Account;
use crate::store::table::transaction::{Refusal, Transaction, WITH_OLD_ITEM};

/// What must not have changed since the resource was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Guard {
    /// Only what the change itself replaces.
    #[default]
    Changed,
    /// The members too.
    Members,
    /// Everything that its version speaks of.
    Whole,
}

/// A change of a resource.
#[derive(Debug, Clone, Default)]
pub struct Change<'c> {
    /// The new body, if it changes.
    pub body: Option<BodyChange<'c>>,
    /// What happens to the members of a group.
    pub members: MemberEffect,
    /// Member items that are written and removed in the same transaction.
    pub items: Option<MemberItems<'c>>,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub now: u64,
    /// What must not have changed meanwhile.
    pub guard: Guard,
}

/// A change of a resource's body.
#[derive(Debug, Clone, Copy)]
pub struct BodyChange<'c> {
    /// Every key the resource stood under.
    pub entries_before: &'c Entries,
    /// The new body and keys.
    pub write: Write<'c>,
}

impl BodyChange<'_> {
    /// The steps that this takes in a transaction beside the resource itself.
    #[must_use]
    pub fn steps(&self) -> usize {
        let (before, after) = (self.entries_before, self.write.entries);
        before.minus(after).count() + after.minus(before).count()
    }
}

/// Member items to write and to remove together with a change of their group.
#[derive(Debug, Clone, Copy)]
pub struct MemberItems<'c> {
    /// The set that they belong to.
    pub set: &'c GroupState,
    /// The members to add, who are not there, each with its resource type.
    pub add: &'c [(Member, &'c ResourceType)],
    /// Members who are there, and whom a removal that is under way must spare.
    pub again: &'c [(Member, &'c ResourceType)],
    /// The ids of the members to remove, who are there.
    pub remove: &'c [String],
}

/// What a change does to the members of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MemberEffect {
    /// Nothing.
    #[default]
    None,
    /// Members of the current set were added and removed: so many more there are.
    Stamp(i64),
    /// Members of the current set are going to be added and removed.
    Open,
    /// That is done: so many more there are.
    Close(i64),
    /// Another set becomes the current one.
    Flip(GroupState),
}

impl Change<'_> {
    fn applied_to(&self, before: &Stored) -> Stored {
        let mut after = before.clone();
        if let Some(BodyChange { write, .. }) = &self.body {
            after.body = write.body.to_owned();
            after.lacks_id = false;
            after.revision += 1;
            after.modified = write.now;
            after.password = write.password.map(str::to_owned);
        }
        if let (Some(group), true) = (&mut after.group, self.members != MemberEffect::None) {
            group.member_revision += 1;
            group.member_stamp = self.now;
            match &self.members {
                MemberEffect::None => {}
                MemberEffect::Stamp(more) => group.about += more,
                MemberEffect::Open => group.open += 1,
                MemberEffect::Close(more) => {
                    group.open = group.open.saturating_sub(1);
                    group.about += more;
                }
                MemberEffect::Flip(fresh) => {
                    group.set.clone_from(&fresh.set);
                    (group.shards, group.about, group.open) = (fresh.shards, fresh.about, 0);
                }
            }
        }
        after
    }
}

impl MemberEffect {
    /// Adds to the update of a group what makes it `after`.
    fn write(&self, parts: &mut Expression, after: &GroupState) {
        match self {
            MemberEffect::None => {}
            MemberEffect::Stamp(more) => {
                parts.add("about :more").value(":more", signed(*more));
            }
            MemberEffect::Open => {
                parts.add("#open :opened").value(":opened", n(1));
                parts.name("#open", "open");
            }
            MemberEffect::Close(more) => {
                parts.add("#open :closed").value(":closed", signed(-1));
                parts.name("#open", "open");
                parts.add("about :more").value(":more", signed(*more));
            }
            MemberEffect::Flip(_) => {
                parts
                    .set("#set = :fresh, n = :n, about = :about")
                    .value(":fresh", s(&after.set))
                    .value(":n", n(after.shards.into()))
                    .value(":about", signed(after.about));
                parts.remove("#open").name("#open", "open");
            }
        }
    }
}

impl TenantStore {
    /// Changes a resource from the state that was read: one conditional update, or one transaction
    /// when an index entry changes. The set that another takes the place of is left to the journal.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when what the change guards has changed since it
    /// was read, `Taken`, `TooLarge`.
    pub async fn update(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        change: Change<'_>,
    ) -> Result<Stored, StoreError> {
        let left = match (&change.members, &before.group) {
            (MemberEffect::Flip(_), Some(old)) => Some(self.sweep_entry(&before.id, old)?),
            _ => None,
        };
        self.update_noted(
            resource_type,
            before,
            change,
            left.as_ref().map(Note::Begin),
        )
        .await
    }

    pub(in crate::store) async fn update_noted(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        change: Change<'_>,
        note: Option<Note<'_>>,
    ) -> Result<Stored, StoreError> {
        let mut held: Option<Entries> = None;
        loop {
            let body = change.body.map(|body| BodyChange {
                entries_before: held.as_ref().unwrap_or(body.entries_before),
                ..body
            });
            let attempt = Change {
                body,
                ..change.clone()
            };
            match (
                self.update_once(resource_type, before, attempt, note).await,
                body,
            ) {
                (Err(StoreError::NotHeld(entry)), Some(body)) => {
                    held = Some(body.entries_before.filtered(|other| *other != entry));
                }
                (outcome, _) => return outcome,
            }
        }
    }

    async fn update_once(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        change: Change<'_>,
        note: Option<Note<'_>>,
    ) -> Result<Stored, StoreError> {
        let token = token();
        let mut transaction = Transaction::default();
        if let Some(body) = &change.body {
            for entry in body.entries_before.minus(body.write.entries) {
                self.remove_entry(&mut transaction, resource_type, &before.id, entry)?;
            }
            for entry in body.write.entries.minus(body.entries_before) {
                self.add_entry(&mut transaction, resource_type, &before.id, entry, &token)?;
            }
        }
        if let Some(items) = change.items {
            self.member_steps(&mut transaction, &before.id, items)?;
        }
        if let Some(note) = note {
            self.note(&mut transaction, note, &token)?;
        }
        let after = change.applied_to(before);
        let update = self.resource_update(resource_type, before, &after, &change, &token)?;
        if transaction.len() == 0 {
            return Stored::from_item(self.update_item(update, &token).await?);
        }
        transaction.update(update, Refusal::Resource);
        self.commit(transaction, &token)
            .await?
            .map_err(|refused| refused.into_error(Some(before)))?;
        Ok(after)
    }

    /// The steps that write and remove member items.
    pub(in crate::store) fn member_steps(
        &self,
        transaction: &mut Transaction,
        group: &str,
        items: MemberItems<'_>,
    ) -> Result<(), StoreError> {
        for (member, member_type) in items.add {
            let missing = Refusal::Member(member.id.clone());
            transaction.check(self.member_check(member_type, &member.id)?, missing);
            let put = self.member_put(group, items.set, member)?;
            transaction.put(put, Refusal::Changed);
            let put = self.membership_put(group, items.set, &member.id)?;
            transaction.put(put, Refusal::Never);
        }
        for (member, member_type) in items.again {
            let missing = Refusal::Member(member.id.clone());
            transaction.check(self.member_check(member_type, &member.id)?, missing);
            let restamp = self.member_restamp(group, items.set, &member.id)?;
            transaction.update(restamp, Refusal::Changed);
        }
        for id in items.remove {
            let delete = self.member_delete(group, items.set, id, Removal::Any)?;
            transaction.delete(delete, Refusal::Changed);
            let delete = self.membership_delete(group, items.set, id)?;
            transaction.delete(delete, Refusal::Never);
        }
        Ok(())
    }

    fn resource_update(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        after: &Stored,
        change: &Change<'_>,
        token: &str,
    ) -> Result<Update, StoreError> {
        // An attempt that took effect, and whose answer was lost, must not take effect again.
        let mut parts = Expression::new(
            "attribute_not_exists(del) AND rid <> :rid",
            "rid = :rid",
            token,
        );
        if change.body.is_some() {
            parts.set("body = :body, v = :v, modified = :modified, ix = :ix");
            parts
                .value(":body", s(&after.body))
                .value(":v", n(after.revision));
            parts
                .value(":modified", n(after.modified))
                .value(":ix", n(item::INDEX_VERSION));
            match &after.password {
                Some(hash) => parts.set("pw = :pw").value(":pw", s(hash)),
                None if before.password.is_some() => parts.remove("pw"),
                None => &mut parts,
            };
        }
        if change.body.is_some() || change.guard == Guard::Whole {
            parts
                .require("v = :read")
                .value(":read", n(before.revision));
        }
        if let (Some(read), Some(group)) = (&before.group, &after.group) {
            if change.guard != Guard::Changed {
                parts
                    .require("mv = :mvread")
                    .value(":mvread", n(read.member_revision));
            }
            if change.members != MemberEffect::None {
                parts.set("ms = :ms").value(":ms", n(group.member_stamp));
                parts.add("mv :one").value(":one", n(1));
                parts
                    .require("#set = :set")
                    .value(":set", s(&read.set))
                    .name("#set", "set");
            }
            change.members.write(&mut parts, group);
        }
        parts.update(&self.table, self.keys.resources(resource_type), &before.id)
    }

    /// Makes one conditional update, and returns the item as it is then.
    pub(in crate::store) async fn update_item(
        &self,
        update: Update,
        token: &str,
    ) -> Result<Item, StoreError> {
        let attempt = || self.send_update(&update);
        let refused = match self.call(Account::Write, attempt).await {
            Ok(output) => {
                self.meter
                    .capacity(Account::Write, output.consumed_capacity());
                return Ok(output.attributes.unwrap_or_default());
            }
            Err(Failure::Refused(UpdateItemError::ConditionalCheckFailedException(refused))) => {
                refused
            }
            Err(Failure::Refused(error)) if is_too_large(&error) => {
                return Err(StoreError::TooLarge);
            }
            Err(other) => return Err(other.into()),
        };
        match refused.item {
            Some(item) if item::rid(Some(&item)) == Some(token) => Ok(item),
            item => Err(mismatch(item.as_ref())),
        }
    }

    async fn send_update(
        &self,
        update: &Update,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        self.client
            .update_item()
            .table_name(update.table_name())
            .set_key(Some(update.key().clone()))
            .update_expression(update.update_expression())
            .set_condition_expression(update.condition_expression().map(str::to_owned))
            .set_expression_attribute_values(update.expression_attribute_values().cloned())
            .set_expression_attribute_names(update.expression_attribute_names().cloned())
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
    }
}
