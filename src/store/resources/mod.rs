//! One resource: read, create and delete, each with its index entries and its count.

pub(in crate::store) mod change;
mod counter;
pub(in crate::store) mod entry;
pub(in crate::store) mod repair;

use aws_sdk_dynamodb::types::{Delete, Put, ReturnConsumedCapacity};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use self::change::MemberItems;
use self::entry::{Entries, Entry};
use crate::protocol::schema::ResourceType;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::groups::member::Member;
use crate::store::item::{self, GroupState, Item, Stored, n, s};
use crate::store::journal::{self, Note};
use crate::store::table::meter::Account;
use crate::store::table::transaction::{Refusal, Refused, Transaction, WITH_OLD_ITEM};

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
    pub(in crate::store) fn stored(&self) -> Stored {
        Stored {
            id: self.id.to_owned(),
            body: self.write.body.to_owned(),
            revision: 1,
            created: self.write.now,
            modified: self.write.now,
            password: self.write.password.map(str::to_owned),
            lacks_id: false,
            // The first members are a revision of their own, so that none of them seems to be owed one.
            group: self.group.map(|group| GroupState {
                member_revision: 1,
                member_stamp: self.write.now,
                ..group.clone()
            }),
        }
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

    pub(in crate::store) async fn get_item(
        &self,
        pk: String,
        sk: &str,
    ) -> Result<Option<Item>, StoreError> {
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

    pub(in crate::store) async fn create_noted(
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
                again: &[],
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

    /// Removes a resource that no other resource keeps a membership of: one transaction.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read.
    pub(in crate::store) async fn remove(
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

    /// Puts a claim or an index entry.
    pub(in crate::store) fn add_entry(
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
    pub(in crate::store) fn entry_item(
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
    pub(in crate::store) fn remove_entry(
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
        let mut refusal = Refusal::Never;
        if entry.unique {
            delete = delete
                .condition_expression("attribute_not_exists(pk) OR id = :id")
                .expression_attribute_values(":id", s(id));
            refusal = Refusal::NotHeld(entry.clone());
        }
        transaction.delete(delete.build().map_err(broken)?, refusal);
        Ok(())
    }
}

impl Refused {
    /// What the refusal means for a write that was made for the resource as it was `before`.
    pub(in crate::store) fn into_error(self, before: Option<&Stored>) -> StoreError {
        match (self.refusal, before) {
            (Refusal::Claim(attribute), _) => StoreError::Taken { attribute },
            (Refusal::NotHeld(entry), _) => StoreError::NotHeld(entry),
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
pub(in crate::store) fn mismatch(item: Option<&Item>) -> StoreError {
    match item {
        Some(item) if !item::is_deleted(item) => StoreError::VersionMismatch,
        _ => StoreError::NotFound,
    }
}

/// A request that could not be built: a fault of ours.
pub(in crate::store) fn broken(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Backend(error.into())
}

/// A name for one logical write: random, the same for each of its attempts, 22 characters.
pub(in crate::store) fn token() -> String {
    URL_SAFE_NO_PAD.encode(Uuid::now_v7().as_bytes())
}
