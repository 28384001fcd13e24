//! Memberships that arrive: some members of one group at a time.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Importer, arriving};
use crate::protocol::error::{Error, Result, excerpt};
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::store::{
    Backoff, ChangeAttempt, Guard, Member, MemberChange, MemberPlan, StoreError, Stored,
    TenantStore, Window,
};

/// The number of members that are compared and removed at a time.
const PART: usize = 500;
/// The number of groups that are read at a time to find those between two others.
const GROUPS: usize = 20;
/// The longest `display` of a member, in bytes. A request stores no longer one.
const MAX_DISPLAY_BYTES: usize = 256;

/// Members of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivingMembers {
    /// The name of the group's type.
    pub type_name: String,
    /// The group's id.
    pub group: String,
    /// The members, by id.
    pub members: BTreeMap<String, Member>,
}

/// What became of memberships.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembersArrived {
    /// The number of members that were added.
    pub added: u64,
    /// The number of members that the group had already.
    pub same: u64,
    /// The ids of resources that do not exist, which are no members therefore. It may be the group's own.
    pub unknown: Vec<String>,
}

impl Importer<'_> {
    /// Adds members to a group. Those that do not exist are left out and named.
    ///
    /// In a dry run the group and the members may be missing: they may be about to be created.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach. Of the line: `InvalidValue` for what can be no member or has no
    /// members, `NotFound` for an unknown type.
    pub async fn members(&self, arriving: &ArrivingMembers) -> Result<Result<MembersArrived>> {
        super::of_line(self.add(arriving).await)
    }

    async fn add(&self, arriving: &ArrivingMembers) -> Result<MembersArrived> {
        let resource_type = self.group_type(&arriving.type_name)?;
        arriving::check_id(&arriving.group)?;
        for member in arriving.members.values() {
            self.check_member(&arriving.group, member)?;
        }
        let store = self.admin.store();
        let Some(group) = store
            .resources()
            .get(&resource_type, &arriving.group)
            .await?
        else {
            let members = arriving.members.len() as u64;
            return Ok(match self.mode.is_dry {
                true => MembersArrived {
                    added: members,
                    ..MembersArrived::default()
                },
                false => MembersArrived {
                    unknown: vec![arriving.group.clone()],
                    ..MembersArrived::default()
                },
            });
        };
        let mut wanted = arriving.members.clone();
        let ids: Vec<String> = wanted.keys().cloned().collect();
        let present = store
            .members()
            .among(std::slice::from_ref(&group), &ids)
            .await?;
        let unknown = match self.mode.is_dry {
            true => Vec::new(),
            false => self.take_unknown(&store, &mut wanted).await?,
        };
        let same = wanted.keys().filter(|id| present.contains(*id)).count() as u64;
        let arrived = MembersArrived {
            added: wanted.len() as u64 - same,
            same,
            unknown,
        };
        // Present members are named too: if their writer has died, the change of the group counts them.
        let change = MemberChange {
            add: wanted,
            ..MemberChange::default()
        };
        self.edit(&store, &resource_type, group, change).await?;
        Ok(arrived)
    }

    /// Takes those members out that do not exist, and returns their ids.
    async fn take_unknown(
        &self,
        store: &TenantStore,
        wanted: &mut BTreeMap<String, Member>,
    ) -> Result<Vec<String>> {
        let mut found = HashSet::new();
        for resource_type in self.view.registry.member_types() {
            let of_type = wanted
                .values()
                .filter(|member| member.type_name == resource_type.name);
            let ids: Vec<String> = of_type.map(|member| member.id.clone()).collect();
            found.extend(store.resources().existing(resource_type, &ids).await?);
        }
        let unknown = wanted.extract_if(.., |id, _| !found.contains(id));
        Ok(unknown.map(|(id, _)| id).collect())
    }

    /// Makes the members with ids after `after` and up to `until` exactly those that `keep` has: others are removed.
    /// Returns their number.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach.
    pub async fn remove_members(
        &self,
        (type_name, id): (&str, &str),
        after: Option<&str>,
        until: Option<&str>,
        keep: &BTreeMap<String, Member>,
    ) -> Result<u64> {
        let resource_type = self.group_type(type_name)?;
        let (mut removed, mut after) = (0, after.map(str::to_owned));
        loop {
            let store = self.admin.store();
            // A group that is not there has no members.
            let Some(group) = store.resources().get(&resource_type, id).await? else {
                return Ok(removed);
            };
            let (members, more) = store.members().page(&group, after.as_deref(), PART).await?;
            let last = members.last().map(|member| member.id.clone());
            let is_within = |id: &String| until.is_none_or(|until| id.as_str() <= until);
            let is_over = !more || last.as_ref().is_none_or(|last| !is_within(last));
            let ids = members.into_iter().map(|member| member.id);
            let mut change = MemberChange::default();
            change.remove_all(ids.filter(|id| is_within(id) && !keep.contains_key(id)));
            removed += change.remove.len() as u64;
            self.edit(&store, &resource_type, group, change).await?;
            if is_over {
                return Ok(removed);
            }
            after = last;
        }
    }

    /// The ids of the groups after one and before another, at most a few, and whether there may be more.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach.
    pub async fn groups_between(
        &self,
        type_name: &str,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<(Vec<String>, bool)> {
        let resource_type = self.group_type(type_name)?;
        let window = Window {
            after,
            limit: Some(GROUPS),
            ..Window::default()
        };
        let (mut ids, next) = self
            .admin
            .store()
            .resources()
            .ids(&resource_type, window)
            .await?;
        let read = ids.len();
        ids.retain(|id| before.is_none_or(|before| id.as_str() < before));
        Ok((ids.clone(), next.is_some() && ids.len() == read))
    }

    /// Changes the members of a group that was just read.
    async fn edit(
        &self,
        store: &TenantStore,
        resource_type: &ResourceType,
        group: Stored,
        change: MemberChange,
    ) -> Result<()> {
        if self.mode.is_dry || change.is_empty() {
            return Ok(());
        }
        let registry = &self.view.registry;
        let (mut group, mut backoff) = (group, Backoff::default());
        loop {
            let attempt = ChangeAttempt {
                resource_type,
                before: &group,
                body: None,
                guard: Guard::Changed,
                now: self.admin.now().max(group.last_modified()),
            };
            let plan = MemberPlan::Edit(change.clone());
            match store.groups().change(attempt, plan, registry).await {
                Ok(_) => return Ok(()),
                // Another request has replaced the members of the group since it was read.
                Err(StoreError::VersionMismatch) => {
                    store.pause(&mut backoff).await?;
                    let again = store.resources().get(resource_type, &group.id).await?;
                    group = again.ok_or_else(|| group_is_gone(&group.id))?;
                }
                Err(StoreError::NotFound) => return Err(group_is_gone(&group.id)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The names of the types that have members, in order.
    #[must_use]
    pub fn group_types(&self) -> Vec<String> {
        let types = self.types().into_iter();
        let types = types.filter(|resource_type| has_members(resource_type));
        types
            .map(|resource_type| resource_type.name.clone())
            .collect()
    }

    fn group_type(&self, name: &str) -> Result<Arc<ResourceType>> {
        let resource_type = self.of_name(name)?;
        match has_members(&resource_type) {
            true => Ok(resource_type),
            false => Err(Error::invalid_value(format!("A {name} has no members"))),
        }
    }

    fn check_member(&self, group: &str, member: &Member) -> Result<()> {
        arriving::check_id(&member.id)?;
        let is_long = |display: &String| display.len() > MAX_DISPLAY_BYTES;
        let mut types = self.view.registry.member_types();
        if !types.any(|resource_type| resource_type.name == member.type_name) {
            let name = excerpt(&member.type_name);
            return Err(Error::invalid_value(format!("No {name} can be a member")));
        }
        if member.id == group || member.display.as_ref().is_some_and(is_long) {
            return Err(Error::invalid_value(format!(
                "The member `{}` is the group itself, or its `display` has more than {MAX_DISPLAY_BYTES} bytes",
                member.id
            )));
        }
        Ok(())
    }
}

fn has_members(resource_type: &ResourceType) -> bool {
    resource_type.membership == Some(MembershipAttribute::Members)
}

fn group_is_gone(id: &str) -> Error {
    Error::not_found(format!("The group {id} was deleted meanwhile"))
}
