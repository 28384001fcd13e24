//! Reads the resources of a branch, one batch at a time.

mod by_key;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::RequestScope;
use super::super::related::groups::nested_groups;
use super::search::SearchBranch;
use crate::protocol::error::Result;
use crate::protocol::schema::ResourceType;
use crate::store::{Access, Membership, Order, Stored, TenantStore, Window};
use by_key::{by_claims, by_ids, by_range, by_values, fetch};

pub(super) use by_key::all_tied;

/// The largest number of resources that are read by id in one batch.
pub(super) const MAX_BY_ID: usize = 500;

/// Some resources of one branch, each with the key under which the branch has found it.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) found: Vec<(String, Stored)>,
    /// The key to go on after, if there may be more.
    pub(super) next: Option<String>,
    /// The number of index entries and member items that were read for it.
    pub(super) items: usize,
    /// Whether these are all resources of an unordered part of an index, which have to be sorted by
    /// their values.
    pub(super) tied: bool,
}

/// Where in a branch to read, and how much. Without a limit it is as much as one call returns.
#[derive(Clone, Copy, Default)]
pub(super) struct BatchRequest<'f> {
    pub(super) after: Option<&'f str>,
    pub(super) limit: Option<usize>,
    /// The largest number of resources that may be read to put them in order.
    pub(super) most: usize,
}

/// Reads for one request. It keeps memberships and inner groups, which it would otherwise read again
/// for each batch.
pub(super) struct Reader<'s> {
    pub(super) scope: &'s RequestScope,
    memberships: HashMap<String, Vec<Membership>>,
    nested: HashMap<String, Vec<Stored>>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(scope: &'s RequestScope) -> Self {
        Self {
            scope,
            memberships: HashMap::new(),
            nested: HashMap::new(),
        }
    }

    /// The next batch of a branch. It may contain resources that have changed and do not belong to
    /// the branch any more.
    pub(super) async fn read(
        &mut self,
        branch: &SearchBranch<'_>,
        request: BatchRequest<'_>,
    ) -> Result<Batch> {
        let resource_type = branch.resource_type;
        let store = &self.scope.store;
        match &branch.access {
            Access::Ids(ids) => by_ids(store, resource_type, ids, request.after).await,
            Access::Claims { index, texts } => {
                by_claims(store, resource_type, index, texts, request.after).await
            }
            Access::Range(range) => by_range(store, resource_type, range, request).await,
            Access::Values { index, texts } => {
                by_values(store, resource_type, index, texts, request).await
            }
            Access::Without(_, order) => {
                in_creation_order(store, resource_type, *order, request).await
            }
            Access::All => in_creation_order(store, resource_type, Order::Ascending, request).await,
            Access::GroupsOf { member } => self.groups_of(resource_type, member, request).await,
            Access::MembersOf { group } => self.members_of(resource_type, group, request).await,
            Access::GroupWith { group, member } if request.after.is_none() => {
                group_with(store, resource_type, group, member).await
            }
            Access::GroupWith { .. } => Ok(Batch::default()),
        }
    }

    async fn groups_of(
        &mut self,
        resource_type: &ResourceType,
        member: &str,
        request: BatchRequest<'_>,
    ) -> Result<Batch> {
        let limit = request.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
        let scope = self.scope;
        let memberships = self.memberships(member).await?;
        let mut ids: Vec<String> = memberships
            .iter()
            .map(|membership| membership.group.clone())
            .filter(|group| request.after.is_none_or(|after| group.as_str() > after))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let more = ids.len() > limit;
        ids.truncate(limit);
        let groups = scope
            .store
            .resources()
            .get_many(resource_type, &ids)
            .await?;
        let current = groups.into_iter().filter(|group| is_in(memberships, group));
        Ok(Batch {
            found: current.map(|group| (group.id.clone(), group)).collect(),
            next: ids.pop().filter(|_| more),
            ..Batch::default()
        })
    }

    /// Every membership item of a resource.
    pub(super) async fn memberships(&mut self, member: &str) -> Result<&Vec<Membership>> {
        if !self.memberships.contains_key(member) {
            let found = self.scope.store.memberships().of(member).await?;
            self.memberships.insert(member.to_owned(), found);
        }
        Ok(self.memberships.entry(member.to_owned()).or_default())
    }

    async fn members_of(
        &mut self,
        resource_type: &ResourceType,
        group: &str,
        request: BatchRequest<'_>,
    ) -> Result<Batch> {
        let limit = request.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
        let (mut members, next) = self.member_ids(group, request.after, limit).await?;
        members.retain(|_, kind| *kind == resource_type.name);
        let items = members.len();
        let entries = members.into_keys().map(|id| (id.clone(), id));
        let batch = fetch(&self.scope.store, resource_type, entries.collect()).await?;
        Ok(Batch {
            next,
            items,
            ..batch
        })
    }

    /// Up to `limit` members of a group and of the groups inside it, in order of their ids, each
    /// with its type's name, and where to go on.
    pub(super) async fn member_ids(
        &mut self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(BTreeMap<String, String>, Option<String>)> {
        let scope = self.scope;
        let (mut merged, mut more) = (BTreeMap::new(), false);
        for group in self.nested(group).await? {
            let (members, further) = scope.store.members().page(group, after, limit).await?;
            more |= further;
            merged.extend(
                members
                    .into_iter()
                    .map(|member| (member.id, member.type_name)),
            );
        }
        if let Some(cut) = merged.keys().nth(limit).cloned() {
            merged.split_off(&cut);
            more = true;
        }
        let last = merged.keys().next_back().cloned();
        Ok((merged, last.filter(|_| more)))
    }

    /// A group and the groups inside it, directly or through other groups.
    pub(super) async fn nested(&mut self, group: &str) -> Result<&Vec<Stored>> {
        if !self.nested.contains_key(group) {
            let found = match self.scope.tenant.registry.group_type() {
                Some(resource_type) => nested_groups(self.scope, resource_type, group).await?,
                None => Vec::new(),
            };
            self.nested.insert(group.to_owned(), found);
        }
        Ok(self.nested.entry(group.to_owned()).or_default())
    }

    /// Which of these resources an access by memberships finds. For other accesses the result is
    /// empty, because the body of a resource shows whether they find it.
    pub(super) async fn found_by_membership(
        &mut self,
        access: &Access,
        resources: &[(String, Stored)],
    ) -> Result<HashSet<String>> {
        let all = || resources.iter().map(|(_, stored)| stored);
        let ids = |found: Vec<&Stored>| found.into_iter().map(|stored| stored.id.clone()).collect();
        match access {
            Access::GroupsOf { member } => {
                let memberships = self.memberships(member).await?;
                Ok(ids(all()
                    .filter(|group| is_in(memberships, group))
                    .collect()))
            }
            Access::GroupWith { group, member } => {
                let memberships = self.memberships(member).await?;
                let is_it = |stored: &&Stored| stored.id == *group && is_in(memberships, stored);
                Ok(ids(all().filter(is_it).collect()))
            }
            Access::MembersOf { group } => {
                let scope = self.scope;
                let members: Vec<String> = all().map(|stored| stored.id.clone()).collect();
                let groups = self.nested(group).await?;
                Ok(scope.store.members().among(groups, &members).await?)
            }
            _ => Ok(HashSet::new()),
        }
    }
}

/// Whether one of the memberships is in the current set of the group, as the group was read.
pub(super) fn is_in(memberships: &[Membership], group: &Stored) -> bool {
    memberships
        .iter()
        .any(|membership| membership.counts_in(group))
}

async fn in_creation_order(
    store: &TenantStore,
    resource_type: &ResourceType,
    order: Order,
    request: BatchRequest<'_>,
) -> Result<Batch> {
    let window = Window {
        after: request.after,
        limit: request.limit,
        order,
    };
    let page = store.resources().page(resource_type, window).await?;
    let found = page.resources.into_iter();
    Ok(Batch {
        found: found.map(|stored| (stored.id.clone(), stored)).collect(),
        next: page.next,
        ..Batch::default()
    })
}

async fn group_with(
    store: &TenantStore,
    resource_type: &ResourceType,
    group: &str,
    member: &str,
) -> Result<Batch> {
    let mut batch = Batch::default();
    let Some(stored) = store.resources().get(resource_type, group).await? else {
        return Ok(batch);
    };
    if store.members().has(&stored, member).await? {
        batch.found.push((group.to_owned(), stored));
    }
    Ok(batch)
}
