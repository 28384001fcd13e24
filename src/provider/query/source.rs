//! Reads what a plan names, one batch at a time.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::try_join_all;

use super::super::Scope;
use super::super::get::could_be_an_id;
use super::search::Part;
use crate::protocol::error::{Error, Result};
use crate::protocol::schema::ResourceType;
use crate::store::{Access, Indexed, KeyRange, Membership, Order, Range, Stored, Window};

/// Resources that are read by id in one batch, at the most.
const MAX_BY_ID: usize = 500;
/// Values that are looked up at once.
const PARALLEL: usize = 32;

/// Some resources of one part, each with the key that the part has it under.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) found: Vec<(String, Stored)>,
    /// The key to go on after, if there may be more.
    pub(super) next: Option<String>,
    /// Index entries and member items that were read on the way.
    pub(super) items: usize,
}

/// Where in a part to read, and how much; without a limit as much as one call gives.
#[derive(Clone, Copy, Default)]
pub(super) struct From<'f> {
    pub(super) after: Option<&'f str>,
    pub(super) limit: Option<usize>,
}

/// Reads for one request, and remembers what it would read again for each batch.
pub(super) struct Source<'s> {
    scope: &'s Scope,
    memberships: HashMap<String, Vec<Membership>>,
    nested: HashMap<String, Vec<Stored>>,
}

impl<'s> Source<'s> {
    pub(super) fn new(scope: &'s Scope) -> Self {
        Self {
            scope,
            memberships: HashMap::new(),
            nested: HashMap::new(),
        }
    }

    /// The next batch of a part. Resources that do not belong there any more may be among them.
    pub(super) async fn read(&mut self, part: &Part<'_>, from: From<'_>) -> Result<Batch> {
        let resource_type = part.resource_type;
        match &part.access {
            Access::Ids(ids) => self.by_ids(resource_type, ids, from.after).await,
            Access::Claims { index, texts } => {
                self.by_claims(resource_type, index, texts, from.after)
                    .await
            }
            Access::Range(range) => self.by_range(resource_type, range, from).await,
            Access::Values { index, texts } => {
                self.by_values(resource_type, index, texts, from).await
            }
            Access::Without(_, order) => self.in_creation_order(resource_type, *order, from).await,
            Access::All => {
                self.in_creation_order(resource_type, Order::Ascending, from)
                    .await
            }
            Access::GroupsOf { member } => self.groups_of(resource_type, member, from).await,
            Access::MembersOf { group } => self.members_of(resource_type, group, from).await,
            Access::GroupWith { group, member } if from.after.is_none() => {
                self.group_with(resource_type, group, member).await
            }
            Access::GroupWith { .. } => Ok(Batch::default()),
        }
    }

    async fn by_ids(
        &self,
        resource_type: &ResourceType,
        ids: &[String],
        after: Option<&str>,
    ) -> Result<Batch> {
        let is_left = |id: &&String| after.is_none_or(|after| id.as_str() > after);
        let ids = ids
            .iter()
            .filter(is_left)
            .map(|id| (id.clone(), id.clone()));
        self.fetch(resource_type, ids.collect()).await
    }

    async fn by_claims(
        &self,
        resource_type: &ResourceType,
        index: &Indexed,
        texts: &[String],
        after: Option<&str>,
    ) -> Result<Batch> {
        let is_left = |text: &&String| after.is_none_or(|after| text.as_str() > after);
        let texts: Vec<String> = texts.iter().filter(is_left).cloned().collect();
        let (store, index) = (&self.scope.store, &index.index);
        let held = match texts.as_slice() {
            [text] => {
                let claim = store.claimed(resource_type, index, text).await?;
                claim.map(|id| (text.clone(), id)).into_iter().collect()
            }
            texts => store.all_claimed(resource_type, index, texts).await?,
        };
        let held = texts
            .into_iter()
            .filter_map(|text| Some((text.clone(), held.get(&text)?.clone())));
        self.fetch(resource_type, held.collect()).await
    }

    /// Some entries with one of the values, in order of texts and ids: the values are looked up a few
    /// at a time until there are enough.
    async fn by_values(
        &self,
        resource_type: &ResourceType,
        index: &Indexed,
        texts: &[String],
        from: From<'_>,
    ) -> Result<Batch> {
        let limit = from.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
        // A position is an entry's key, and an entry's key begins with its text and the separator.
        let is_left = |text: &&String| {
            let range = KeyRange::equal(text);
            from.after.is_none_or(|after| !range.is_before(after))
        };
        let texts: Vec<&String> = texts.iter().filter(is_left).collect();
        let (mut entries, mut next, mut items) = (Vec::new(), None, 0);
        let mut chunks = texts.chunks(PARALLEL).peekable();
        while let Some(chunk) = chunks.next() {
            let reads = chunk.iter().map(|text| async move {
                let window = Window {
                    after: from
                        .after
                        .filter(|after| KeyRange::equal(text).contains(after)),
                    limit: Some(limit),
                    order: Order::Ascending,
                };
                let (store, range) = (&self.scope.store, KeyRange::equal(text));
                let page = store.index_page(resource_type, &index.index, &range, window);
                Result::<_, Error>::Ok(page.await?)
            });
            for page in try_join_all(reads).await? {
                items += page.entries.len();
                if next.is_none() {
                    entries.extend(page.entries);
                    next = page.next;
                }
            }
            let is_full = entries.len() == limit && chunks.peek().is_some();
            if entries.len() > limit || (is_full && next.is_none()) {
                entries.truncate(limit);
                next = entries.last().map(|(key, _)| key.clone());
            }
            if next.is_some() {
                break;
            }
        }
        let batch = self.fetch(resource_type, entries).await?;
        Ok(Batch {
            next,
            items,
            ..batch
        })
    }

    /// The resources with these ids, under these keys.
    async fn fetch(
        &self,
        resource_type: &ResourceType,
        entries: Vec<(String, String)>,
    ) -> Result<Batch> {
        let mut seen = HashSet::new();
        let (keys, ids): (Vec<String>, Vec<String>) = entries
            .into_iter()
            .filter(|(_, id)| could_be_an_id(id) && seen.insert(id.clone()))
            .unzip();
        let stored = match ids.as_slice() {
            [] => Vec::new(),
            [id] => Vec::from_iter(self.scope.store.get(resource_type, id).await?),
            ids => self.scope.store.get_many(resource_type, ids).await?,
        };
        let mut stored: HashMap<String, Stored> = stored
            .into_iter()
            .map(|stored| (stored.id.clone(), stored))
            .collect();
        let entries = keys.into_iter().zip(ids);
        Ok(Batch {
            found: entries
                .filter_map(|(key, id)| Some((key, stored.remove(&id)?)))
                .collect(),
            ..Batch::default()
        })
    }

    async fn by_range(
        &self,
        resource_type: &ResourceType,
        range: &Range,
        from: From<'_>,
    ) -> Result<Batch> {
        let window = Window {
            after: from.after,
            limit: Some(from.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID)),
            order: range.order,
        };
        let store = &self.scope.store;
        let page = store
            .index_page(resource_type, &range.index.index, &range.keys, window)
            .await?;
        let items = page.entries.len();
        let batch = self.fetch(resource_type, page.entries).await?;
        Ok(Batch {
            next: page.next,
            items,
            ..batch
        })
    }

    async fn in_creation_order(
        &self,
        resource_type: &ResourceType,
        order: Order,
        from: From<'_>,
    ) -> Result<Batch> {
        let window = Window {
            after: from.after,
            limit: from.limit,
            order,
        };
        let page = self
            .scope
            .store
            .resource_page(resource_type, window)
            .await?;
        let found = page.resources.into_iter();
        Ok(Batch {
            found: found.map(|stored| (stored.id.clone(), stored)).collect(),
            next: page.next,
            items: 0,
        })
    }

    async fn groups_of(
        &mut self,
        resource_type: &ResourceType,
        member: &str,
        from: From<'_>,
    ) -> Result<Batch> {
        let limit = from.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
        let scope = self.scope;
        let memberships = self.memberships(member).await?;
        let mut ids: Vec<String> = memberships
            .iter()
            .map(|membership| membership.group.clone())
            .filter(|group| from.after.is_none_or(|after| group.as_str() > after))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let more = ids.len() > limit;
        ids.truncate(limit);
        let groups = scope.store.get_many(resource_type, &ids).await?;
        let current = groups.into_iter().filter(|group| is_in(memberships, group));
        Ok(Batch {
            found: current.map(|group| (group.id.clone(), group)).collect(),
            next: ids.pop().filter(|_| more),
            items: 0,
        })
    }

    /// Every membership item of a resource.
    pub(super) async fn memberships(&mut self, member: &str) -> Result<&Vec<Membership>> {
        if !self.memberships.contains_key(member) {
            let found = match could_be_an_id(member) {
                true => self.scope.store.memberships(member).await?,
                false => Vec::new(),
            };
            self.memberships.insert(member.to_owned(), found);
        }
        Ok(self.memberships.entry(member.to_owned()).or_default())
    }

    async fn members_of(
        &mut self,
        resource_type: &ResourceType,
        group: &str,
        from: From<'_>,
    ) -> Result<Batch> {
        let limit = from.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
        let (mut members, next) = self.member_ids(group, from.after, limit).await?;
        members.retain(|_, kind| *kind == resource_type.name);
        let items = members.len();
        let entries = members.into_keys().map(|id| (id.clone(), id));
        let batch = self.fetch(resource_type, entries.collect()).await?;
        Ok(Batch {
            next,
            items,
            ..batch
        })
    }

    /// Up to `limit` members of a group in order of their ids, each with its type's name, and where
    /// to go on: those of groups inside it are merged with its own.
    pub(super) async fn member_ids(
        &mut self,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(BTreeMap<String, String>, Option<String>)> {
        let scope = self.scope;
        let (mut merged, mut more) = (BTreeMap::new(), false);
        for group in self.nested(group).await? {
            let (members, further) = scope.store.members_after(group, after, limit).await?;
            more |= further;
            merged.extend(members.into_iter().map(|member| (member.id, member.kind)));
        }
        if let Some(cut) = merged.keys().nth(limit).cloned() {
            merged.split_off(&cut);
            more = true;
        }
        let last = merged.keys().next_back().cloned();
        Ok((merged, last.filter(|_| more)))
    }

    /// A group and the groups that are in it, directly or through others.
    async fn nested(&mut self, group: &str) -> Result<&Vec<Stored>> {
        if !self.nested.contains_key(group) {
            let found = match self.scope.group_type() {
                Some(resource_type) if could_be_an_id(group) => {
                    self.scope.nested_groups(resource_type, group).await?
                }
                _ => Vec::new(),
            };
            self.nested.insert(group.to_owned(), found);
        }
        Ok(self.nested.entry(group.to_owned()).or_default())
    }

    async fn group_with(
        &self,
        resource_type: &ResourceType,
        group: &str,
        member: &str,
    ) -> Result<Batch> {
        let mut batch = Batch::default();
        if !could_be_an_id(group) || !could_be_an_id(member) {
            return Ok(batch);
        }
        let Some(stored) = self.scope.store.get(resource_type, group).await? else {
            return Ok(batch);
        };
        if self.scope.store.is_member(&stored, member).await? {
            batch.found.push((group.to_owned(), stored));
        }
        Ok(batch)
    }

    /// Which of these resources a lookup of memberships has found already. What other parts have
    /// found is told from the resources themselves.
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
                Ok(scope.store.members_among(groups, &members).await?)
            }
            _ => Ok(HashSet::new()),
        }
    }

    /// The number of index entries, or of members, that a part reads; nothing if they are too many.
    pub(super) async fn count(&mut self, part: &Part<'_>, limit: u64) -> Result<Option<u64>> {
        match &part.access {
            Access::Range(Range { index, keys, .. }) => {
                self.count_entries(part.resource_type, index, keys, limit)
                    .await
            }
            Access::MembersOf { group } => {
                self.count_members(group, &part.resource_type.name, limit)
                    .await
            }
            _ => Ok(None),
        }
    }

    async fn count_entries(
        &self,
        resource_type: &ResourceType,
        index: &Indexed,
        keys: &KeyRange,
        limit: u64,
    ) -> Result<Option<u64>> {
        let store = &self.scope.store;
        Ok(store
            .index_count(resource_type, &index.index, keys, limit)
            .await?)
    }

    async fn count_members(&mut self, group: &str, kind: &str, limit: u64) -> Result<Option<u64>> {
        let scope = self.scope;
        let groups = self.nested(group).await?;
        if let [group] = groups.as_slice() {
            return Ok(scope.store.member_count(group, kind, limit).await?);
        }
        // Whoever is in several of the groups counts once.
        let mut found = HashSet::new();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        for group in groups {
            let (members, more) = scope.store.members(group, limit).await?;
            let members = members.into_iter().filter(|member| member.kind == kind);
            found.extend(members.map(|member| member.id));
            if more || found.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(found.len() as u64))
    }
}

/// Whether one of the memberships is in the group's current set.
pub(super) fn is_in(memberships: &[Membership], group: &Stored) -> bool {
    let set = group.group.as_ref().map(|state| state.set.as_str());
    let counts = |membership: &Membership| {
        membership.group == group.id && Some(membership.set.as_str()) == set
    };
    memberships.iter().any(counts)
}
