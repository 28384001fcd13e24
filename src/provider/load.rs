//! Loads a directory in bulk. Resources are read and indexed as those of requests are, but without a
//! request for each of them.
//!
//! The items are handed to a sink in parts. Only the sink knows how they get into the table.

use serde_json::{Map, Value};

use super::Tenant;
use super::administration::Administration;
use super::entries::{check_indexed, entries};
use crate::protocol::error::{Error, Result};
use crate::protocol::profile::Reading;
use crate::protocol::resource::{DraftKind, Resource};
use crate::protocol::schema::ResourceType;
use crate::store::{Entries, Loading, Member, New, PlainItem, SeatChange, Write};

/// About the number of items that the sink gets at a time.
const PART: usize = 10_000;

/// Takes the items.
type Sink<'s> = Box<dyn FnMut(Vec<PlainItem>) -> Result<()> + Send + 's>;

/// Loads resources of one tenant.
pub struct Loader<'s> {
    tenant: Tenant,
    loading: Loading,
    sink: Sink<'s>,
}

/// Begins to load a tenant's directory, as [`Provider::loader`](super::Provider::loader) says.
pub(super) async fn loader<'s>(
    admin: &Administration<'_>,
    sink: impl FnMut(Vec<PlainItem>) -> Result<()> + Send + 's,
) -> Result<Loader<'s>> {
    let tenant = admin.tenant;
    let view = admin.view().await?;
    view.check_write()?;
    let store = admin.store();
    if view.seats.is_some() {
        return Err(Error::conflict(
            "The tenant counts its active users; set maxActiveUsers after the load",
        ));
    }
    for resource_type in view.registry.resource_types() {
        let total = store.resources().total(resource_type).await?;
        if total > 0 {
            return Err(Error::conflict(format!(
                "Tenant {tenant} is not empty: it has {total} resources of type {}",
                resource_type.name
            )));
        }
    }
    Ok(Loader {
        tenant: view,
        loading: store.loading(),
        sink: Box::new(sink),
    })
}

impl Loader<'_> {
    /// Loads a resource as a POST would create it at `now`, in milliseconds since the Unix epoch. It
    /// is not checked that unique values are unique.
    ///
    /// # Errors
    /// `InvalidValue` and `InvalidSyntax` for a body that does not fit the type; the errors of the
    /// sink.
    pub fn add(
        &mut self,
        type_name: &str,
        id: &str,
        body: Map<String, Value>,
        now: u64,
    ) -> Result<()> {
        self.put(type_name, id, body, now, Loading::resource)
    }

    /// Loads a group with these members, which are users.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_group(
        &mut self,
        id: &str,
        body: Map<String, Value>,
        now: u64,
        members: impl ExactSizeIterator<Item = String>,
    ) -> Result<()> {
        let count = members.len();
        let load = |loading: &mut Loading, resource_type: &ResourceType, new: New<'_>| {
            loading.group(resource_type, new, count)
        };
        let group = self.put("Group", id, body, now, load)?;
        for member in members {
            let member = Member {
                id: member,
                type_name: "User".to_owned(),
                display: None,
            };
            self.loading.member(&group, &member);
            self.drain(PART)?;
        }
        Ok(())
    }

    /// Hands the remaining items and the counters to the sink.
    ///
    /// # Errors
    /// The errors of the sink.
    pub fn finish(mut self) -> Result<()> {
        (self.sink)(self.loading.finish())
    }

    fn put<T>(
        &mut self,
        type_name: &str,
        id: &str,
        body: Map<String, Value>,
        now: u64,
        load: impl FnOnce(&mut Loading, &ResourceType, New<'_>) -> T,
    ) -> Result<T> {
        let Tenant {
            rules, registry, ..
        } = &self.tenant;
        let resource_type: &ResourceType = registry
            .resource_type(type_name)
            .ok_or_else(|| Error::not_found(format!("There is no resource type {type_name}")))?;
        let verb = DraftKind::Create { id };
        let draft = Resource::from_request(
            body,
            resource_type,
            registry,
            &mut Reading::new(rules),
            verb,
        )?;
        let entries = entries(draft.resource.body(), now, resource_type, rules);
        check_indexed(&Entries::default(), &entries)?;
        let write = Write {
            seat: SeatChange::Ignore,
            body: &draft.resource.to_text(),
            entries: &entries,
            password: None,
            now,
        };
        let loaded = load(&mut self.loading, resource_type, New { id, write });
        self.drain(PART)?;
        Ok(loaded)
    }

    /// Hands the items to the sink once there are this many.
    fn drain(&mut self, at: usize) -> Result<()> {
        if self.loading.waiting() < at {
            return Ok(());
        }
        (self.sink)(self.loading.take())
    }
}
