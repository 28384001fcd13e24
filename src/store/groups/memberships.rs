//! Which groups a resource is in.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::store::error::StoreError;
use crate::store::items::{self, MembershipItem};
use crate::store::key_range::KeyRange;
use crate::store::keys::{self, ItemKey, Partition, SEPARATOR};
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, Item, Stored};
use crate::store::table::Table;
use crate::store::table::query::{Query, Window};

/// The number of lookups that run at the same time.
const PARALLEL: usize = 32;

/// Up to this number of members of one partition are looked up one by one, without a read of a
/// range.
const MAX_SINGLE_LOOKUPS: usize = 2;
/// The number of membership items that cost a quarter of one lookup to read.
const ITEMS_FOR_A_LOOKUP: usize = 8;
/// The factor by which each further read of a range is longer than the one before, while reading on
/// is worth it.
const READ_ON: usize = 4;
/// The number of times that reading a range starts again at a later member, to skip what is between
/// two members.
const MAX_JUMPS: usize = 4;

/// A membership of a resource in a group, as the membership item says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The member's `id`.
    pub member: String,
    /// The group's `id`.
    pub group: String,
    /// The set of the group that the item belongs to. The membership counts only while this is the
    /// group's current set.
    pub(super) set: String,
    /// The number of the partition that has the member item.
    partition: u64,
}

impl Membership {
    /// Whether this is a membership in the current set of this group, as the group was read.
    #[must_use]
    pub fn counts_in(&self, group: &Stored) -> bool {
        let state = group.group.as_ref();
        self.group == group.id && state.is_some_and(|state| state.set == self.set)
    }

    /// The key of the item on the group's side.
    pub(super) fn member_key(&self, table: &Table) -> ItemKey {
        let partition = table.keys().members(&self.group, &self.set, self.partition);
        partition.key(&self.member)
    }

    /// The key of the item on the member's side.
    pub(super) fn key(&self, table: &Table) -> ItemKey {
        let sort = keys::membership(&self.member, &self.group, &self.set);
        table.keys().memberships(&self.member).key(sort)
    }
}

/// The memberships of one tenant's resources.
#[derive(Clone, Copy)]
pub struct Memberships<'t> {
    table: &'t Table,
}

impl<'t> Memberships<'t> {
    pub(in crate::store) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Every membership item of a resource, also of sets that are not current any more.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn of(self, member: &str) -> Result<Vec<Membership>, StoreError> {
        let partition = self.table.keys().memberships(member);
        let range = range_of(member);
        let items = Query::new(&partition, &range, ProjectedAttributes::All);
        let items = items.all(self.table).await?;
        items.into_iter().map(read).collect()
    }

    /// The first membership items of a resource, at most `limit`, and whether there may be more. One
    /// call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(super) async fn some_of(
        self,
        member: &str,
        limit: usize,
    ) -> Result<(Vec<Membership>, bool), StoreError> {
        let window = Window {
            limit: Some(limit),
            ..Window::default()
        };
        let partition = self.table.keys().memberships(member);
        let page = self.page(&partition, &range_of(member), window).await?;
        Ok((page.0, page.1.is_some()))
    }

    /// Every membership item of these resources, which may be anywhere in the directory.
    ///
    /// Where the resources' items are close enough together in a partition, one read of a range
    /// brings them, together with items of other resources in between. Resources that such reads do
    /// not reach are looked up one by one, in parallel.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn of_all(
        self,
        members: impl Iterator<Item = &str>,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut partitions = BTreeMap::<Partition, BTreeSet<&str>>::new();
        for member in members {
            let partition = partitions.entry(self.table.keys().memberships(member));
            partition.or_default().insert(member);
        }
        let reads = partitions
            .iter()
            .map(|(partition, members)| self.near(partition, members));
        let near = try_join_all(reads).await?;
        let mut found = Vec::new();
        let mut far = Vec::new();
        for (memberships, rest) in near {
            found.extend(memberships);
            far.extend(rest);
        }
        let reads: Vec<_> = far.into_iter().map(|member| self.of(member)).collect();
        let rest: Vec<Vec<Membership>> =
            stream::iter(reads).buffered(PARALLEL).try_collect().await?;
        found.extend(rest.into_iter().flatten());
        Ok(found)
    }

    /// The memberships that reads of the members' range bring, and the members that these reads did
    /// not reach. The first read costs a quarter of what looking up all the members would cost.
    ///
    /// Between two of the members there may be any number of items of other resources, such as
    /// groups in groups. So reading goes on without a gap only while at least half of the items of a
    /// read belong to these members. Otherwise the next read begins at the next member that was not
    /// reached. After [`MAX_JUMPS`] such jumps reading ends.
    async fn near<'m>(
        self,
        partition: &Partition,
        members: &BTreeSet<&'m str>,
    ) -> Result<(Vec<Membership>, Vec<&'m str>), StoreError> {
        let (Some(first), Some(last)) = (members.first(), members.last()) else {
            return Ok((Vec::new(), Vec::new()));
        };
        if members.len() <= MAX_SINGLE_LOOKUPS {
            return Ok((Vec::new(), members.iter().copied().collect()));
        }
        let (first_limit, end) = (members.len() * ITEMS_FOR_A_LOOKUP, KeyRange::at_most(last));
        let mut range = KeyRange::at_least(first).and(end.clone());
        let (mut limit, mut after, mut jumps) = (first_limit, None::<String>, 0);
        let mut found = Vec::new();
        loop {
            let window = Window {
                after: after.as_deref(),
                limit: Some(limit),
                ..Window::default()
            };
            let (mut page, next) = self.page(partition, &range, window).await?;
            let read = page.len();
            page.retain(|membership| members.contains(membership.member.as_str()));
            let is_worth_it = page.len() * 2 >= read;
            found.append(&mut page);
            let Some(next) = next else {
                return Ok((found, Vec::new()));
            };
            if is_worth_it {
                (limit, after) = (limit * READ_ON, Some(next));
                continue;
            }
            // The last member that was reached may have more memberships, so it is read again.
            let reached = next.split(SEPARATOR).next().unwrap_or_default();
            found.retain(|membership| membership.member.as_str() < reached);
            let mut rest = members.iter().copied().filter(|member| *member >= reached);
            let Some(member) = rest.next() else {
                return Ok((found, Vec::new()));
            };
            if jumps == MAX_JUMPS {
                return Ok((found, std::iter::once(member).chain(rest).collect()));
            }
            jumps += 1;
            range = KeyRange::at_least(member).and(end.clone());
            (limit, after) = (first_limit, None);
        }
    }

    /// The membership items that one call reads, and the sort key to go on after, if there may be
    /// more.
    async fn page(
        self,
        partition: &Partition,
        range: &KeyRange,
        window: Window<'_>,
    ) -> Result<(Vec<Membership>, Option<String>), StoreError> {
        let query = Query::new(partition, range, ProjectedAttributes::All).within(window);
        let page = query.page(self.table).await?;
        let memberships = page.items.into_iter().map(read);
        Ok((memberships.collect::<Result<_, _>>()?, page.next))
    }
}

fn range_of(member: &str) -> KeyRange {
    KeyRange::prefix(&format!("{member}{SEPARATOR}"))
}

/// Reads a membership item.
fn read(item: Item) -> Result<Membership, StoreError> {
    let MembershipItem { sk, shard, .. } = items::from_item(item)?;
    let mut parts = sk.splitn(3, SEPARATOR).map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(member), Some(group), Some(set)) => Ok(Membership {
            member,
            group,
            set,
            partition: shard,
        }),
        _ => Err(stored::malformed("sk")),
    }
}
