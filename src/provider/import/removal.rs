//! The resources that an import removes, because what was exported does not have them.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::arriving::body_of;
use super::{Importer, PARALLEL, seats};
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{Backoff, Guard, StoreError, Window};

/// The number of resources that are looked at in one step.
const PART: usize = 200;

/// What one step has removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The number of resources that were removed, or would be.
    pub resources: u64,
    /// The id to go on after; `None` if no resource is left between the two ends.
    pub next: Option<String>,
}

impl Importer<'_> {
    /// Looks at some resources of a type, with ids after `after` and up to `until`, and removes those that `keep` does
    /// not name by type and id. A resource that is in a group leaves it.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach; `NotFound` for an unknown type.
    pub async fn remove_others(
        &self,
        type_name: &str,
        after: Option<&str>,
        until: Option<&str>,
        keep: &BTreeSet<(String, String)>,
    ) -> Result<Removed> {
        let resource_type = self.of_name(type_name)?;
        let store = self.admin.store();
        let window = Window {
            after,
            limit: Some(PART),
            ..Window::default()
        };
        let (ids, next) = store.resources().ids(&resource_type, window).await?;
        let is_within = |id: &&String| until.is_none_or(|until| id.as_str() <= until);
        let is_over = ids.last().is_some_and(|last| !is_within(&last));
        let others = ids
            .iter()
            .filter(is_within)
            .filter(|id| !keep.contains(&(type_name.to_owned(), (*id).clone())));
        let others: Vec<&String> = others.collect();
        if !self.mode.is_dry {
            let removals: Vec<_> = others
                .iter()
                .map(|id| self.remove(&resource_type, id))
                .collect();
            let removals = stream::iter(removals).buffer_unordered(PARALLEL);
            removals.try_collect::<()>().await?;
        }
        Ok(Removed {
            resources: others.len() as u64,
            next: next.filter(|_| !is_over),
        })
    }

    async fn remove(&self, resource_type: &ResourceType, id: &str) -> Result<()> {
        let (store, registry) = (self.admin.store(), &self.view.registry);
        let mut backoff = Backoff::default();
        loop {
            let groups = store.groups();
            let Some(before) = store.resources().get(resource_type, id).await? else {
                // Another process has deleted it, or has begun to.
                groups.resume_delete(resource_type, id, registry).await?;
                return Ok(());
            };
            let entries = self.entries_of(resource_type, &before, &body_of(&before)?);
            let guarded = (
                Guard::Changed,
                seats::of_deletion(&self.view, resource_type, &before),
            );
            let deleted = groups.delete(resource_type, &before, &entries, guarded, registry);
            match deleted.await {
                Ok(()) => return Ok(()),
                // Another request has changed the resource, or has begun to delete it: it is read again.
                Err(StoreError::VersionMismatch | StoreError::NotFound) => {
                    store.pause(&mut backoff).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
