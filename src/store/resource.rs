//! One resource: read, create, change, delete, each with its index entries and its count.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{Delete, Put, ReturnConsumedCapacity, ReturnValue, Update};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::TenantStore;
use super::call::{Failure, is_too_large};
use super::entry::{Entries, Entry};
use super::error::StoreError;
use super::expression::Expression;
use super::item::{self, GroupState, Item, Stored, n, s, signed};
use super::journal::{self, Note};
use super::member::{Member, Presence, Removal};
use super::meter::Account;
use super::transaction::{Refusal, Refused, Transaction, WITH_OLD_ITEM};
use crate::protocol::schema::ResourceType;

/// What a write makes of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Write<'w> {
    /// The canonical JSON text without `meta`.
    pub body: &'w str,
    /// Every key the resource stands under from now on.
    pub entries: &'w Entries,
    /// The argon2 hash of the password, where there is one.
    pub password: Option<&'w str>,
    /// The time of the write, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// A resource to create.
#[derive(Debug, Clone, Copy)]
pub struct New<'n> {
    /// Its new id.
    pub id: &'n str,
    /// What to store.
    pub write: Write<'n>,
    /// The state of its members, if it is a group.
    pub group: Option<&'n GroupState>,
    /// The members to add in the same transaction, each with its resource type.
    pub members: &'n [(Member, &'n ResourceType)],
}

impl New<'_> {
    pub(super) fn stored(&self) -> Stored {
        Stored {
            id: self.id.to_owned(),
            body: self.write.body.to_owned(),
            revision: 1,
            created: self.write.now,
            modified: self.write.now,
            password: self.write.password.map(str::to_owned),
            // The first members are a revision of their own, so that none of them seems to be owed one.
            group: self.group.map(|group| GroupState {
                member_revision: 1,
                member_stamp: self.write.now,
                ..group.clone()
            }),
        }
    }
}

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
#[derive(Debug, Default)]
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

/// Member items to write and to remove together with a change of their group.
#[derive(Debug, Clone, Copy)]
pub struct MemberItems<'c> {
    /// The set that they belong to.
    pub set: &'c GroupState,
    /// The members to add, who are not there, each with its resource type.
    pub add: &'c [(Member, &'c ResourceType)],
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

impl TenantStore {
    /// The resource with this id, unless it is being deleted. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get(
        &self,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let item = self
            .get_item(self.keys.resources(resource_type), id)
            .await?;
        item.filter(|item| !item::is_deleted(item))
            .map(Stored::from_item)
            .transpose()
    }

    pub(super) async fn get_item(&self, pk: String, sk: &str) -> Result<Option<Item>, StoreError> {
        let attempt = || {
            self.client
                .get_item()
                .table_name(&*self.table)
                .key("pk", s(&pk))
                .key("sk", s(sk))
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = self.call(Account::Read, attempt).await?;
        self.meter
            .capacity(Account::Read, output.consumed_capacity());
        Ok(output.item)
    }

    /// Stores a new resource with its claims, index entries and count: one transaction, which adds the
    /// first members of a group too if they are few.
    ///
    /// # Errors
    /// `Taken` naming the unique attribute whose value belongs to another resource; `NoMember`;
    /// `TooLarge`.
    pub async fn create(
        &self,
        resource_type: &ResourceType,
        new: New<'_>,
    ) -> Result<Stored, StoreError> {
        self.create_noted(resource_type, new, None).await
    }

    pub(super) async fn create_noted(
        &self,
        resource_type: &ResourceType,
        new: New<'_>,
        note: Option<Note<'_>>,
    ) -> Result<Stored, StoreError> {
        let stored = new.stored();
        let token = token();
        let mut transaction = Transaction::default();
        transaction.put(
            self.resource_put(resource_type, &stored, &token)?,
            Refusal::Resource,
        );
        for entry in new.write.entries.iter() {
            self.add_entry(&mut transaction, resource_type, new.id, entry, &token)?;
        }
        transaction.update(self.count(resource_type, new.id, 1)?, Refusal::Never);
        if let Some(set) = new.group {
            let items = MemberItems {
                set,
                add: new.members,
                remove: &[],
            };
            self.member_steps(&mut transaction, new.id, items)?;
        }
        if let Some(note) = note {
            self.note(&mut transaction, note, &token)?;
        }
        self.commit(transaction, &token)
            .await?
            .map_err(|refused| refused.into_error(None))?;
        Ok(stored)
    }

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

    pub(super) async fn update_noted(
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

    /// Removes a resource that no other resource keeps a membership of: one transaction.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read.
    pub(super) async fn remove(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        entries: &Entries,
    ) -> Result<(), StoreError> {
        let token = token();
        let mut transaction = Transaction::default();
        let delete = Delete::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.resources(resource_type)))
            .key("sk", s(&before.id))
            .condition_expression("v = :v AND attribute_not_exists(del)")
            .expression_attribute_values(":v", n(before.revision))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .build();
        transaction.delete(delete.map_err(broken)?, Refusal::Resource);
        for entry in entries.iter() {
            self.remove_entry(&mut transaction, resource_type, &before.id, entry)?;
        }
        transaction.update(self.count(resource_type, &before.id, -1)?, Refusal::Never);
        self.commit(transaction, &token)
            .await?
            .map_err(|refused| refused.into_error(Some(before)))
    }

    /// The steps that write and remove member items.
    fn member_steps(
        &self,
        transaction: &mut Transaction,
        group: &str,
        items: MemberItems<'_>,
    ) -> Result<(), StoreError> {
        for (member, member_type) in items.add {
            let missing = Refusal::Member(member.id.clone());
            transaction.check(self.member_check(member_type, &member.id)?, missing);
            let put = self.member_put(group, items.set, member, Presence::Absent)?;
            transaction.put(put, Refusal::Changed);
            let put = self.membership_put(group, items.set, &member.id)?;
            transaction.put(put, Refusal::Never);
        }
        for id in items.remove {
            let delete = self.member_delete(group, items.set, id, Removal::Any)?;
            transaction.delete(delete, Refusal::Changed);
            let delete = self.membership_delete(group, items.set, id)?;
            transaction.delete(delete, Refusal::Never);
        }
        Ok(())
    }

    fn resource_put(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        token: &str,
    ) -> Result<Put, StoreError> {
        Put::builder()
            .table_name(&*self.table)
            .set_item(Some(
                stored.to_item(self.keys.resources(resource_type), token),
            ))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .build()
            .map_err(broken)
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
            match &change.members {
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
                        .value(":fresh", s(&group.set))
                        .value(":n", n(group.shards.into()))
                        .value(":about", signed(group.about));
                    parts.remove("#open").name("#open", "open");
                }
            }
        }
        parts.update(&self.table, self.keys.resources(resource_type), &before.id)
    }

    /// Puts a claim or an index entry.
    pub(super) fn add_entry(
        &self,
        transaction: &mut Transaction,
        resource_type: &ResourceType,
        id: &str,
        entry: &Entry,
        token: &str,
    ) -> Result<(), StoreError> {
        let item = self.entry_item(resource_type, id, entry, token);
        let put = Put::builder().table_name(&*self.table).set_item(Some(item));
        if !entry.unique {
            transaction.put(put.build().map_err(broken)?, Refusal::Never);
            return Ok(());
        }
        let claim = put
            .condition_expression("attribute_not_exists(pk) OR id = :id")
            .expression_attribute_values(":id", s(id))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM);
        transaction.put(
            claim.build().map_err(broken)?,
            Refusal::Claim(entry.attribute().to_owned()),
        );
        Ok(())
    }

    /// The item of a claim or an index entry. A claim names the write that made it.
    pub(super) fn entry_item(
        &self,
        resource_type: &ResourceType,
        id: &str,
        entry: &Entry,
        token: &str,
    ) -> Item {
        let mut item = Item::from([
            (
                "pk".to_owned(),
                s(self.keys.index(resource_type, &entry.path)),
            ),
            ("sk".to_owned(), s(entry.sort_key(id))),
            ("id".to_owned(), s(id)),
        ]);
        if entry.unique {
            item.insert("rid".to_owned(), s(token));
        }
        item
    }

    /// Removes a claim or an index entry. Only an entry of this resource's can have this key: a
    /// plain entry's key ends with the id, and a claim is checked.
    pub(super) fn remove_entry(
        &self,
        transaction: &mut Transaction,
        resource_type: &ResourceType,
        id: &str,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let mut delete = Delete::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.index(resource_type, &entry.path)))
            .key("sk", s(entry.sort_key(id)));
        if entry.unique {
            delete = delete
                .condition_expression("attribute_not_exists(pk) OR id = :id")
                .expression_attribute_values(":id", s(id));
        }
        transaction.delete(delete.build().map_err(broken)?, Refusal::Resource);
        Ok(())
    }

    /// Makes one conditional update, and returns the item as it is then.
    pub(super) async fn update_item(
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

impl Refused {
    /// What the refusal means for a write that was made for the resource as it was `before`.
    pub(super) fn into_error(self, before: Option<&Stored>) -> StoreError {
        match (self.refusal, before) {
            (Refusal::Claim(attribute), _) => StoreError::Taken { attribute },
            // Somebody else finishes, or has finished, what this writer began.
            (Refusal::Journal, _) => journal::lost(),
            (Refusal::Member(id), _) => StoreError::NoMember { id },
            (Refusal::Changed, _) => StoreError::VersionMismatch,
            (Refusal::Resource, Some(_)) => mismatch(self.item.as_ref()),
            // A new id that exists already: somebody guessed a random number.
            (Refusal::Resource | Refusal::Never, _) => StoreError::VersionMismatch,
        }
    }
}

/// Whether the item that stood in the way is gone, going, or only changed.
fn mismatch(item: Option<&Item>) -> StoreError {
    match item {
        Some(item) if !item::is_deleted(item) => StoreError::VersionMismatch,
        _ => StoreError::NotFound,
    }
}

/// A request that could not be built: a fault of ours.
pub(super) fn broken(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Backend(error.into())
}

/// A name for one logical write: random, the same for each of its attempts, 22 characters.
pub(super) fn token() -> String {
    URL_SAFE_NO_PAD.encode(Uuid::now_v7().as_bytes())
}
