//! Reads the members of groups.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::future::try_join_all;

use super::look::{self, Look, Pair};
use super::member::Member;
use super::set::MemberSet;
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::items::{self, MemberItem};
use crate::store::key_range::EVERY_KEY;
use crate::store::keys::{ItemKey, Partition};
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, GroupState, Item, Stored};
use crate::store::table::allowance::CountLimit;
use crate::store::table::query::{self, Query, Window};
use crate::store::table::{Table, get};

/// The number of items that are read of each partition in addition to twice its share of a page,
/// because partitions differ in size.
const SPARE_SHARE: usize = 16;

/// The members of one tenant's groups.
#[derive(Clone, Copy)]
pub struct Members<'t> {
    table: &'t Table,
}

impl<'t> Members<'t> {
    pub(in crate::store) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Up to `limit` members of a group's current set whose ids come after `after`, in order of their
    /// ids, and whether there are more.
    ///
    /// Each round reads about a page's share of every partition. Only ids up to the smallest last id
    /// of the partitions that have more are in order for certain, so the rest is left for the next
    /// round. In this way the cost of a page depends on its size and not on the number of
    /// partitions.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn page(
        self,
        group: &Stored,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        let Some(state) = &group.group else {
            return Ok((Vec::new(), false));
        };
        let partitions = MemberSet::new(self.table, &group.id, state).partitions();
        let share = limit / partitions.len() * 2 + SPARE_SHARE;
        let (mut found, mut after) = (Vec::<Member>::new(), after.map(str::to_owned));
        loop {
            let window = Window {
                after: after.as_deref(),
                limit: Some(share.min(limit + 1)),
                ..Window::default()
            };
            let reads = partitions
                .iter()
                .map(|partition| self.of_partition(partition, window));
            let parts = try_join_all(reads).await?;
            let unfinished = parts.iter().filter(|(_, more)| *more);
            let end = unfinished
                .filter_map(|(members, _)| members.last())
                .map(|member| member.id.clone())
                .min();
            let is_before_end = |member: &Member| end.as_ref().is_none_or(|end| member.id <= *end);
            let begin = found.len();
            let members = parts.into_iter().flat_map(|(members, _)| members);
            found.extend(members.filter(is_before_end));
            if let Some(round) = found.get_mut(begin..) {
                round.sort_unstable();
            }
            if found.len() > limit {
                found.truncate(limit);
                return Ok((found, true));
            }
            if end.is_none() {
                return Ok((found, false));
            }
            after = end;
        }
    }

    /// A window of one partition's members, and whether there are more. One call.
    async fn of_partition(
        self,
        partition: &Partition,
        window: Window<'_>,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        let query = Query::new(partition, &EVERY_KEY, ProjectedAttributes::All).within(window);
        let page = query.page(self.table).await?;
        let member = |item: Item| {
            let item: MemberItem = items::from_item(item)?;
            Ok(Member {
                id: item.sk,
                type_name: item.type_name,
                display: item.display,
            })
        };
        let members = page.items.into_iter().map(member);
        let members = members.collect::<Result<_, StoreError>>()?;
        Ok((members, page.next.is_some()))
    }

    /// The number of members of one type. `None` if the members are more, or cost more to read, than
    /// the limit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn count_of_type(
        self,
        group: &Stored,
        type_name: &str,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        let Some(state) = &group.group else {
            return Ok(Some(0));
        };
        let partitions = MemberSet::new(self.table, &group.id, state).partitions();
        query::count_of_type(self.table, &partitions, type_name, limit).await
    }

    /// The number of all members. It reads the whole set, in as many calls as DynamoDB needs.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn count(self, group: &Stored) -> Result<u64, StoreError> {
        let Some(state) = &group.group else {
            return Ok(0);
        };
        let mut total = 0;
        for partition in MemberSet::new(self.table, &group.id, state).partitions() {
            let query = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::Count);
            let counted = query.count(self.table, CountLimit::NONE).await?;
            total += counted.unwrap_or(0);
        }
        Ok(total)
    }

    /// Whether a resource is a member of the group's current set. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn has(self, group: &Stored, member: &str) -> Result<bool, StoreError> {
        let Some(state) = &group.group else {
            return Ok(false);
        };
        let key = MemberSet::new(self.table, &group.id, state).key(member);
        Ok(get::one(self.table, &key).await?.is_some())
    }

    /// Whether each of these pairs is a membership now. Two rounds of calls, of a hundred items each.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn look(
        self,
        pairs: BTreeSet<Pair>,
        types: &Registry,
    ) -> Result<BTreeMap<Pair, Look>, StoreError> {
        look::look(self.table, pairs, types).await
    }

    /// Those of the ids that are members of at least one of the groups.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn among(
        self,
        groups: &[Stored],
        ids: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        let sets = groups.iter().filter_map(|group| {
            let state = group.group.as_ref()?;
            Some(MemberSet::new(self.table, &group.id, state))
        });
        let keys = sets.flat_map(|set| ids.iter().map(move |id| set.key(id)));
        let items = get::many(self.table, keys.collect(), ProjectedAttributes::Keys).await?;
        let ids = items
            .into_iter()
            .map(|mut item| stored::take_text(&mut item, "sk"));
        ids.collect()
    }
}

/// The stamps of those of the ids that are members of the set, by id.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn stamps(
    table: &Table,
    group: &str,
    state: &GroupState,
    ids: impl Iterator<Item = &String>,
) -> Result<HashMap<String, u64>, StoreError> {
    let set = MemberSet::new(table, group, state);
    let keys = ids.map(|id| set.key(id)).collect::<BTreeSet<ItemKey>>();
    let items = get::many(table, keys, ProjectedAttributes::All).await?;
    let stamps = items.into_iter().map(|mut item| {
        let id = stored::take_text(&mut item, "sk")?;
        Ok((id, stored::number(&item, "stamp")?))
    });
    stamps.collect()
}
