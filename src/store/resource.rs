//! One resource: read, create, change, delete, each with its index entries and its count.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{Delete, Put, ReturnConsumedCapacity, Update};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::TenantStore;
use super::call::Failure;
use super::entry::{Entries, Entry};
use super::error::StoreError;
use super::item::{self, Item, Stored, n, s};
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

/// What must not have changed since the resource was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Its body.
    Body,
    /// Its body and its members.
    Whole,
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

    /// Stores a new resource with its claims, index entries and count: one transaction.
    ///
    /// # Errors
    /// `Taken` naming the unique attribute whose value belongs to another resource; `TooLarge`.
    pub async fn create(
        &self,
        resource_type: &ResourceType,
        id: &str,
        write: Write<'_>,
    ) -> Result<Stored, StoreError> {
        let stored = Stored {
            id: id.to_owned(),
            body: write.body.to_owned(),
            revision: 1,
            created: write.now,
            modified: write.now,
            password: write.password.map(str::to_owned),
            group: None,
        };
        let token = token();
        let mut transaction = Transaction::default();
        transaction.put(
            self.resource_put(resource_type, &stored, &token)?,
            Refusal::Resource,
        );
        for entry in write.entries.iter() {
            self.add_entry(&mut transaction, resource_type, id, entry, &token)?;
        }
        transaction.update(self.count(resource_type, id, 1)?, Refusal::Never);
        self.commit(transaction, &token)
            .await?
            .map_err(|refused| refused.into_error(None))?;
        Ok(stored)
    }

    /// Changes a resource from the state that was read: one conditional write, or one transaction
    /// when an index entry changes.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read, `Taken`,
    /// `TooLarge`.
    pub async fn update(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        entries_before: &Entries,
        write: Write<'_>,
        guard: Guard,
    ) -> Result<Stored, StoreError> {
        let after = Stored {
            body: write.body.to_owned(),
            revision: before.revision + 1,
            modified: write.now,
            password: write.password.map(str::to_owned),
            ..before.clone()
        };
        let token = token();
        let mut transaction = Transaction::default();
        for entry in entries_before.minus(write.entries) {
            self.remove_entry(&mut transaction, resource_type, &before.id, entry)?;
        }
        for entry in write.entries.minus(entries_before) {
            self.add_entry(&mut transaction, resource_type, &before.id, entry, &token)?;
        }
        let update = self.body_update(resource_type, before, &after, guard, &token)?;
        if transaction.len() == 0 {
            self.update_item(update, &token).await?;
        } else {
            transaction.update(update, Refusal::Resource);
            self.commit(transaction, &token)
                .await?
                .map_err(|refused| refused.into_error(Some(before)))?;
        }
        Ok(after)
    }

    /// Removes a resource that no other resource keeps a membership of: one transaction.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read.
    pub async fn remove(
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

    fn body_update(
        &self,
        resource_type: &ResourceType,
        before: &Stored,
        after: &Stored,
        guard: Guard,
        token: &str,
    ) -> Result<Update, StoreError> {
        let mut condition = "v = :before AND attribute_not_exists(del)".to_owned();
        let mut change =
            "SET body = :body, v = :after, modified = :now, ix = :ix, rid = :rid".to_owned();
        let mut update = Update::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.resources(resource_type)))
            .key("sk", s(&before.id))
            .expression_attribute_values(":before", n(before.revision))
            .expression_attribute_values(":body", s(&after.body))
            .expression_attribute_values(":after", n(after.revision))
            .expression_attribute_values(":now", n(after.modified))
            .expression_attribute_values(":ix", n(item::INDEX_VERSION))
            .expression_attribute_values(":rid", s(token))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM);
        if let (Guard::Whole, Some(group)) = (guard, &before.group) {
            condition.push_str(" AND mv = :members");
            update = update.expression_attribute_values(":members", n(group.member_revision));
        }
        match &after.password {
            Some(hash) => {
                change.push_str(", pw = :pw");
                update = update.expression_attribute_values(":pw", s(hash));
            }
            None if before.password.is_some() => change.push_str(" REMOVE pw"),
            None => {}
        }
        update
            .condition_expression(condition)
            .update_expression(change)
            .build()
            .map_err(broken)
    }

    /// Puts a claim or an index entry.
    fn add_entry(
        &self,
        transaction: &mut Transaction,
        resource_type: &ResourceType,
        id: &str,
        entry: &Entry,
        token: &str,
    ) -> Result<(), StoreError> {
        let put = Put::builder()
            .table_name(&*self.table)
            .item("pk", s(self.keys.index(resource_type, &entry.path)))
            .item("sk", s(entry.sort_key(id)))
            .item("id", s(id));
        if !entry.unique {
            transaction.put(put.build().map_err(broken)?, Refusal::Never);
            return Ok(());
        }
        let claim = put
            .item("rid", s(token))
            .condition_expression("attribute_not_exists(pk) OR id = :id")
            .expression_attribute_values(":id", s(id))
            .return_values_on_condition_check_failure(WITH_OLD_ITEM);
        transaction.put(
            claim.build().map_err(broken)?,
            Refusal::Claim(entry.path.clone()),
        );
        Ok(())
    }

    /// Removes a claim or an index entry. Only an entry of this resource's can have this key: a
    /// plain entry's key ends with the id, and a claim is checked.
    fn remove_entry(
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

    pub(super) async fn update_item(&self, update: Update, token: &str) -> Result<(), StoreError> {
        let attempt = || self.send_update(&update);
        let refused = match self.call(Account::Write, attempt).await {
            Ok(output) => {
                self.meter
                    .capacity(Account::Write, output.consumed_capacity());
                return Ok(());
            }
            Err(Failure::Refused(UpdateItemError::ConditionalCheckFailedException(refused))) => {
                refused
            }
            Err(Failure::Refused(error)) if is_too_large(&error) => {
                return Err(StoreError::TooLarge);
            }
            Err(other) => return Err(other.into()),
        };
        if item::rid(refused.item()) == Some(token) {
            return Ok(());
        }
        Err(mismatch(refused.item()))
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
            .return_values_on_condition_check_failure(WITH_OLD_ITEM)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
    }
}

impl Refused {
    /// What the refusal means for a write that was made for the resource as it was `before`.
    fn into_error(self, before: Option<&Stored>) -> StoreError {
        match (self.refusal, before) {
            (Refusal::Claim(attribute), _) => StoreError::Taken { attribute },
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

fn is_too_large(error: &UpdateItemError) -> bool {
    use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
    error.code() == Some("ValidationException")
        && error.message().is_some_and(|text| text.contains("size"))
}

/// A request that could not be built: a fault of ours.
pub(super) fn broken(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Backend(error.into())
}

/// A name for one logical write: random, the same for each of its attempts, 22 characters.
pub(super) fn token() -> String {
    URL_SAFE_NO_PAD.encode(Uuid::now_v7().as_bytes())
}
