//! Resources, each with its index entries, its claims on unique values, and its part in the counters
//! of its type.
//!
//! It must not know what the members of a group are.

pub(super) mod entry;
pub(super) mod index;
pub(super) mod seat_marks;
pub(super) mod steps;
pub(super) mod together;
pub(super) mod write;

use std::collections::HashMap;

use super::error::StoreError;
use super::index_version::INDEX_VERSION;
use super::key_range::EVERY_KEY;
use super::projected_attributes::ProjectedAttributes;
use super::stored::{self, Item, Stored, n, random_id, s};
use super::table::query::{Query, Window};
use super::table::write::Update;
use super::table::{Table, get};
use crate::protocol::schema::ResourceType;
use seat_marks::MarkedUser;
use write::{BodyChange, New};

/// The resources of one tenant.
#[derive(Clone, Copy)]
pub struct Resources<'t> {
    table: &'t Table,
}

/// A page of a type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourcePage {
    /// The resources in order of creation.
    pub resources: Vec<Stored>,
    /// The id to go on after, when there may be more.
    pub next: Option<String>,
}

impl<'t> Resources<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The resource with this id, unless it is being deleted. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get(
        self,
        resource_type: &ResourceType,
        id: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let key = self.table.keys().resources(resource_type).key(id);
        let item = get::one(self.table, &key).await?;
        item.filter(|item| !stored::is_deleted(item))
            .map(Stored::from_item)
            .transpose()
    }

    /// The resources with these ids that exist, in the order of `ids`; batches run in parallel.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get_many(
        self,
        resource_type: &ResourceType,
        ids: &[String],
    ) -> Result<Vec<Stored>, StoreError> {
        let mut found = HashMap::new();
        for item in self
            .living(resource_type, ids, ProjectedAttributes::Resource)
            .await?
        {
            let stored = Stored::from_item(item)?;
            found.insert(stored.id.clone(), stored);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// Those of the ids that are resources of the type, sorted.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn existing(
        self,
        resource_type: &ResourceType,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let found = self
            .living(resource_type, ids, ProjectedAttributes::Keys)
            .await?;
        let found = found
            .into_iter()
            .map(|mut item| stored::take_text(&mut item, "sk"));
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        Ok(found)
    }

    /// The items of these resources, without those that are being deleted.
    async fn living(
        self,
        resource_type: &ResourceType,
        ids: &[String],
        shown: ProjectedAttributes,
    ) -> Result<Vec<Item>, StoreError> {
        let partition = self.table.keys().resources(resource_type);
        let keys = ids.iter().map(|id| partition.key(id));
        let mut items = get::many(self.table, keys.collect(), shown).await?;
        items.retain(|item| !stored::is_deleted(item));
        Ok(items)
    }

    /// A page of a type's resources in order of creation: what one call reads. Resources that are
    /// being deleted are left out.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn page(
        self,
        resource_type: &ResourceType,
        window: Window<'_>,
    ) -> Result<ResourcePage, StoreError> {
        self.read_page(resource_type, window, ProjectedAttributes::Resource)
            .await
    }

    /// The same with the hashes of passwords, which no request may see.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn page_with_passwords(
        self,
        resource_type: &ResourceType,
        window: Window<'_>,
    ) -> Result<ResourcePage, StoreError> {
        self.read_page(resource_type, window, ProjectedAttributes::All)
            .await
    }

    /// The ids of a page, and the id to go on after when there may be more.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn ids(
        self,
        resource_type: &ResourceType,
        window: Window<'_>,
    ) -> Result<(Vec<String>, Option<String>), StoreError> {
        let partition = self.table.keys().resources(resource_type);
        let query = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::Keys).within(window);
        let page = query.page(self.table).await?;
        let living = page
            .items
            .into_iter()
            .filter(|item| !stored::is_deleted(item));
        let ids = living.map(|mut item| stored::take_text(&mut item, "sk"));
        Ok((ids.collect::<Result<_, _>>()?, page.next))
    }

    async fn read_page(
        self,
        resource_type: &ResourceType,
        window: Window<'_>,
        shown: ProjectedAttributes,
    ) -> Result<ResourcePage, StoreError> {
        let partition = self.table.keys().resources(resource_type);
        let query = Query::new(&partition, &EVERY_KEY, shown).within(window);
        let page = query.page(self.table).await?;
        let items = page.items.into_iter();
        let living = items.filter(|item| !stored::is_deleted(item));
        Ok(ResourcePage {
            resources: living.map(Stored::from_item).collect::<Result<_, _>>()?,
            next: page.next,
        })
    }

    /// The number of resources of a type: exact. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn total(self, resource_type: &ResourceType) -> Result<u64, StoreError> {
        let partition = self.table.keys().counters(resource_type);
        let items = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::Number);
        let items = items.all(self.table).await?;
        let count = |item: &Item| item.get("n")?.as_n().ok()?.parse::<i64>().ok();
        let total: i64 = items.iter().filter_map(count).sum();
        Ok(u64::try_from(total).unwrap_or(0))
    }

    /// Stores a new resource with its claims, index entries and count: one transaction.
    ///
    /// # Errors
    /// `Taken` naming the unique attribute whose value belongs to another resource; `TooLarge`.
    pub async fn create(
        self,
        resource_type: &ResourceType,
        new: New<'_>,
    ) -> Result<Stored, StoreError> {
        write::create(
            self.table,
            resource_type,
            new.stored(),
            new.write.entries,
            new.write.seat,
            &(),
        )
        .await
    }

    /// Changes a resource's body, on the condition that it has not changed since it was read. It is
    /// one conditional update, or one transaction if an index entry changes.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `VersionMismatch` when it has changed since it was read, `Taken`,
    /// `TooLarge`, `TooManyEntries`.
    pub async fn update(
        self,
        resource_type: &ResourceType,
        before: &Stored,
        body: BodyChange<'_>,
    ) -> Result<Stored, StoreError> {
        write::update(self.table, resource_type, before, Some(body), &()).await
    }

    /// Writes the `id` into a body whose text does not have it.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `Unavailable`, `Backend`.
    pub async fn write_id(
        self,
        resource_type: &ResourceType,
        stored: &Stored,
    ) -> Result<(), StoreError> {
        let body = |update: &mut Update| {
            update.set("body = :body").value(":body", s(&stored.body));
        };
        self.correct(resource_type, stored, body).await
    }

    /// Marks a resource as having the index entries of this version of the service.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `Unavailable`, `Backend`.
    pub async fn write_index_version(
        self,
        resource_type: &ResourceType,
        stored: &Stored,
    ) -> Result<(), StoreError> {
        let version = |update: &mut Update| {
            update.set("ix = :ix").value(":ix", n(INDEX_VERSION));
        };
        self.correct(resource_type, stored, version).await
    }

    /// Corrects a part of a resource's item, on the condition that the body has not changed since it was
    /// read. Clients see no difference, so version and time stay.
    async fn correct(
        self,
        resource_type: &ResourceType,
        stored: &Stored,
        part: impl FnOnce(&mut Update),
    ) -> Result<(), StoreError> {
        let rid = random_id();
        let mut update = write::update_item(self.table, resource_type, &stored.id, &rid);
        update
            .require("attribute_not_exists(del) AND v = :v")
            .value(":v", n(stored.revision));
        part(&mut update);
        update.send(self.table, &rid).await?;
        Ok(())
    }

    /// Gives and removes the marks of users, together with their seats. Returns those that have changed since
    /// they were read and were left as they are.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn mark_seats<'u>(
        self,
        resource_type: &ResourceType,
        since: u64,
        users: Vec<MarkedUser<'u>>,
    ) -> Result<Vec<MarkedUser<'u>>, StoreError> {
        seat_marks::mark(self.table, resource_type, since, users).await
    }

    /// Corrects the count of a type by a difference.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn correct_total(
        self,
        resource_type: &ResourceType,
        by: i64,
    ) -> Result<(), StoreError> {
        // Any of the counters can be corrected, because only their sum is read.
        let update = steps::count(self.table.keys(), resource_type, "", by);
        update.send_if(self.table).await?;
        Ok(())
    }
}
