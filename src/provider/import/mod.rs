//! Takes resources that were exported: each with its id and its times, by the same transactions as those of requests.
//!
//! A resource arrives as a whole or not at all, and one that is there already with the same content stays untouched.
//! So an import that died is completed by the same import, and a second one changes nothing.
//!
//! It must not know what a file of an export looks like.

mod arriving;
mod members;
mod removal;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

pub use arriving::Arriving;
pub use members::{ArrivingMembers, MembersArrived};
pub use removal::Removed;

use super::administration::Administration;
use super::seats;
use super::tenants::Tenant;
use crate::protocol::error::{Error, ErrorKind, Result};
use crate::protocol::profile::{Profile, Rules};
use crate::protocol::schema::ResourceType;
use crate::store::{
    Arrival, Backoff, BodyChange, ChangeAttempt, Guard, MemberPlan, New, StoreError, Stored,
    TenantStore, Write,
};
use arriving::{Prepared, body_of, repeated};

/// The number of resources that are written at the same time.
const PARALLEL: usize = 16;

/// What happens to a resource that is there already with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IfExists {
    /// It is an error of the import, and the resource stays as it is.
    #[default]
    Fail,
    /// The resource stays as it is.
    Skip,
    /// The resource gets the content that was exported.
    Replace,
}

/// How an import is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportMode {
    /// What happens to a resource that is there already with other content.
    pub if_exists: IfExists,
    /// Whether nothing is written.
    pub is_dry: bool,
    /// Whether the hashes of passwords are taken too.
    pub with_passwords: bool,
}

/// What became of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// It was created.
    Created,
    /// It was there with other content, and has the new one.
    Changed,
    /// It was there with the same content.
    Same,
    /// It was there with other content, and stays as it was.
    Kept,
}

/// Imports into one tenant.
pub struct Importer<'p> {
    admin: Administration<'p>,
    view: Tenant,
    /// The rules by which bodies are read. What the tenant once tolerated is in what was exported.
    rules: Rules,
    mode: ImportMode,
}

/// Begins to import, as [`Provider::importer`](super::Provider::importer) says.
pub(super) async fn importer(admin: Administration<'_>, mode: ImportMode) -> Result<Importer<'_>> {
    let view = admin.view().await?;
    view.check_write()?;
    let rules = Rules {
        profile: Profile::Default,
        switches: view.rules.switches.clone(),
    };
    Ok(Importer {
        admin,
        view,
        rules,
        mode,
    })
}

impl Importer<'_> {
    /// The resource types in the order of their names, which is that of an export.
    #[must_use]
    pub fn types(&self) -> Vec<Arc<ResourceType>> {
        in_order(self.view.registry.resource_types())
    }

    /// Takes resources, and returns what became of each. Each is created or changed as a whole.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach; some of them may have been written. Of a single resource:
    /// `InvalidValue`, `InvalidSyntax` and `PayloadTooLarge` for one that does not fit its type, `NotFound` for an
    /// unknown type, `Uniqueness` for a value or an id that is taken, and for a resource that is there with other
    /// content and may not be replaced.
    pub async fn resources(&self, arriving: Vec<Arriving>) -> Result<Vec<Result<Arrived>>> {
        let store = self.admin.store();
        let prepared = self.prepare_all(arriving);
        let known = self.known(&store, &prepared).await?;
        let holders = match self.mode.is_dry && self.mode.if_exists != IfExists::Replace {
            true => self.holders(&store, &prepared).await?,
            false => HashMap::new(),
        };
        let is_later = repeated(&prepared);
        let created = self
            .create_together(&store, &prepared, &known, &is_later)
            .await?;
        let alone = |prepared: Result<Prepared>, is_created: bool| {
            let (known, holders) = (&known, &holders);
            async move {
                let prepared = prepared?;
                if is_created {
                    return Ok(Arrived::Created);
                }
                match prepared.taken(holders) {
                    Some(taken) => Err(taken),
                    None => self.resource(&prepared, known).await,
                }
            }
        };
        let (mut first, mut later) = (Vec::new(), Vec::new());
        let all = prepared.into_iter().zip(created).enumerate();
        for (place, (prepared, is_created)) in all {
            match is_later[place] {
                false => first.push(async move { (place, alone(prepared, is_created).await) }),
                true => later.push((place, prepared)),
            }
        }
        let mut arrived: Vec<_> = stream::iter(first)
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        // One after the other, so that of several resources with the same value the first one gets it.
        for (place, prepared) in later {
            arrived.push((place, alone(prepared, false).await));
        }
        arrived.sort_by_key(|(place, _)| *place);
        arrived
            .into_iter()
            .map(|(_, arrived)| of_line(arrived))
            .collect()
    }

    /// Creates the resources that are not there, several in one transaction. Returns of each whether it was created.
    /// The others arrive alone.
    async fn create_together(
        &self,
        store: &TenantStore,
        prepared: &[Result<Prepared>],
        known: &HashMap<String, (Arc<ResourceType>, Option<Stored>)>,
        is_later: &[bool],
    ) -> Result<Vec<bool>> {
        let mut created = vec![false; prepared.len()];
        if self.mode.is_dry {
            return Ok(created);
        }
        let all = prepared.iter().enumerate();
        let readable = all.filter_map(|(place, prepared)| Some((place, prepared.as_ref().ok()?)));
        let is_new = |(place, prepared): &(usize, &Prepared)| {
            !is_later[*place] && !known.contains_key(&prepared.id)
        };
        let new: Vec<_> = readable.filter(is_new).collect();
        let arrivals = new
            .iter()
            .map(|(_, prepared)| (&*prepared.resource_type, self.arrival(prepared)));
        let arrivals: Vec<_> = arrivals.collect();
        let stored = store.groups().arrive_together(&arrivals).await?;
        for ((place, _), is_stored) in new.into_iter().zip(stored) {
            created[place] = is_stored;
        }
        Ok(created)
    }

    /// Reads the resources, each by its type. A second one with the same id is refused.
    fn prepare_all(&self, arriving: Vec<Arriving>) -> Vec<Result<Prepared>> {
        let mut ids = HashSet::new();
        let prepare = |arriving: Arriving| match ids.insert(arriving.id.clone()) {
            true => self.prepare(arriving),
            false => Err(Error::invalid_value("There are two resources with this id")),
        };
        arriving.into_iter().map(prepare).collect()
    }

    /// The resources of any type that have the ids of arriving ones.
    async fn known(
        &self,
        store: &TenantStore,
        prepared: &[Result<Prepared>],
    ) -> Result<HashMap<String, (Arc<ResourceType>, Option<Stored>)>> {
        let prepared = prepared.iter().flatten();
        let all: Vec<&Prepared> = prepared.collect();
        let mut known = HashMap::new();
        for resource_type in self.view.registry.resource_types() {
            let is_of_type = |prepared: &&&Prepared| prepared.is_of(resource_type);
            let (own, others): (Vec<_>, Vec<_>) = all.iter().partition(is_of_type);
            let ids = |prepared: Vec<&&Prepared>| -> Vec<String> {
                prepared
                    .iter()
                    .map(|prepared| prepared.id.clone())
                    .collect()
            };
            for stored in store.resources().get_many(resource_type, &ids(own)).await? {
                let id = stored.id.clone();
                known.insert(id, (Arc::clone(resource_type), Some(stored)));
            }
            for id in store
                .resources()
                .existing(resource_type, &ids(others))
                .await?
            {
                known.insert(id, (Arc::clone(resource_type), None));
            }
        }
        Ok(known)
    }

    /// The ids of the resources that hold the unique values of arriving ones, by path and key.
    async fn holders(
        &self,
        store: &TenantStore,
        prepared: &[Result<Prepared>],
    ) -> Result<HashMap<(String, String), String>> {
        let mut holders = HashMap::new();
        for resource_type in self.view.registry.resource_types() {
            let own = prepared.iter().flatten();
            let own: Vec<_> = own
                .filter(|prepared| prepared.is_of(resource_type))
                .collect();
            for index in resource_type.indexes.iter().filter(|index| index.unique) {
                let entries = own.iter().flat_map(|prepared| prepared.entries.iter());
                let entries = entries.filter(|entry| entry.unique && entry.is_of(index));
                let keys: Vec<String> = entries.map(|entry| entry.key.clone()).collect();
                let claimed = store
                    .indexes()
                    .all_claimed(resource_type, index, &keys)
                    .await?;
                let path = |key| (format!("{}:{}", resource_type.name, index.path()), key);
                holders.extend(claimed.into_iter().map(|(key, id)| (path(key), id)));
            }
        }
        Ok(holders)
    }

    async fn resource(
        &self,
        prepared: &Prepared,
        known: &HashMap<String, (Arc<ResourceType>, Option<Stored>)>,
    ) -> Result<Arrived> {
        // Many may wait for their turn, so each has the time of a request for itself.
        let store = &self.admin.store();
        let (resource_type, id) = (&prepared.resource_type, &prepared.id);
        let mut before = match known.get(id) {
            // Of a resource that the file lacks: it is removed before anything is written.
            Some((other, _)) if other.name != resource_type.name && self.frees_ids() => None,
            Some((other, _)) if other.name != resource_type.name => {
                let detail = format!("The id belongs to a resource of type {}", other.name);
                return Err(Error::uniqueness(detail));
            }
            // What was read for many resources at once has no hashes of passwords.
            Some((_, Some(_))) if self.mode.with_passwords => {
                store.resources().get(resource_type, id).await?
            }
            Some((_, stored)) => stored.clone(),
            None => None,
        };
        let mut backoff = Backoff::default();
        loop {
            let written = match &before {
                None if self.mode.is_dry => return Ok(Arrived::Created),
                None => self.create(store, prepared).await,
                Some(before) if self.is_same(prepared, before) => return Ok(Arrived::Same),
                Some(before) => match self.mode.if_exists {
                    IfExists::Fail => {
                        let detail =
                            format!("{} {id} exists with other content", resource_type.name);
                        return Err(Error::uniqueness(detail));
                    }
                    IfExists::Skip => return Ok(Arrived::Kept),
                    IfExists::Replace if self.mode.is_dry => return Ok(Arrived::Changed),
                    IfExists::Replace => self.change(store, prepared, before).await,
                },
            };
            match written {
                Ok(arrived) => return Ok(arrived),
                // Another request has created, changed or deleted the resource since it was read, or its deletion
                // is not finished. What is left of a deletion is removed first, because its tombstone has the key.
                Err(StoreError::VersionMismatch | StoreError::NotFound) => {
                    let registry = &self.view.registry;
                    store
                        .groups()
                        .resume_delete(resource_type, id, registry)
                        .await?;
                    store.pause(&mut backoff).await?;
                    before = store.resources().get(resource_type, id).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn create(
        &self,
        store: &TenantStore,
        prepared: &Prepared,
    ) -> Result<Arrived, StoreError> {
        let arrival = self.arrival(prepared);
        let groups = store.groups();
        groups.arrive(&prepared.resource_type, arrival).await?;
        Ok(Arrived::Created)
    }

    /// The resource as it is stored if it is not there.
    fn arrival<'p>(&self, prepared: &'p Prepared) -> Arrival<'p> {
        let (resource_type, body) = (&prepared.resource_type, prepared.body());
        Arrival {
            new: New {
                id: &prepared.id,
                write: Write {
                    body: &prepared.text,
                    entries: &prepared.entries,
                    password: prepared.password.as_deref(),
                    seat: seats::of_creation(&self.view, resource_type, body, self.admin.now()),
                    now: prepared.modified,
                },
            },
            created: prepared.created,
            // The tenant may have had a resource of this id before. No version of that one may come again with
            // another content, and no resource has counted as many changes as there are milliseconds since 1970.
            revision: self.admin.now().max(prepared.revision + 1),
            members: prepared.members,
        }
    }

    async fn change(
        &self,
        store: &TenantStore,
        prepared: &Prepared,
        before: &Stored,
    ) -> Result<Arrived, StoreError> {
        before.check_write()?;
        let now = self.admin.now().max(before.last_modified());
        let resource_type = &prepared.resource_type;
        let old = body_of(before)?;
        let entries_before = self.entries_of(resource_type, before, &old);
        let entries = self.entries_at(prepared, now);
        let bodies = (old.body(), prepared.body());
        let write = Write {
            body: &prepared.text,
            entries: &entries,
            password: match self.mode.with_passwords {
                true => prepared.password.as_deref(),
                false => before.password.as_deref(),
            },
            seat: seats::of_change(&self.view, resource_type, before, bodies, now),
            now,
        };
        let attempt = ChangeAttempt {
            resource_type,
            before,
            body: Some(BodyChange {
                entries_before: &entries_before,
                write,
            }),
            guard: Guard::Changed,
            now,
        };
        let registry = &self.view.registry;
        let groups = store.groups();
        groups.change(attempt, MemberPlan::Keep, registry).await?;
        Ok(Arrived::Changed)
    }

    /// Whether this only looks what an import would do that removes resources of other types.
    fn frees_ids(&self) -> bool {
        self.mode.is_dry && self.mode.if_exists == IfExists::Replace
    }

    fn is_same(&self, prepared: &Prepared, before: &Stored) -> bool {
        let is_same_password = prepared.password == before.password;
        prepared.text == before.body && (is_same_password || !self.mode.with_passwords)
    }
}

/// The result for one resource or line. An error that is not about it, because the table is out of reach, ends the
/// whole import.
fn of_line<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal) => {
            Err(error)
        }
        result => Ok(result),
    }
}

/// Resource types in the order of their names, which is that of an export, whatever the order is in which a tenant has
/// registered them.
#[must_use]
pub fn in_order(types: &[Arc<ResourceType>]) -> Vec<Arc<ResourceType>> {
    let mut types = types.to_vec();
    types.sort_by(|one, other| one.name.cmp(&other.name));
    types
}
