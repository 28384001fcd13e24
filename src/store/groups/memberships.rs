//! Which groups somebody is in.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::member::Membership;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, Item};
use crate::store::key_range::KeyRange;
use crate::store::keys::SEPARATOR;
use crate::store::table::meter::Account;
use crate::store::table::range::{Shown, Window};

/// Lookups under way at once.
const PARALLEL: usize = 32;

/// So few members of one partition are looked up one by one at once.
const MAX_SINGLE_LOOKUPS: usize = 2;
/// Membership items that are read for a quarter of what a lookup costs.
const ITEMS_FOR_A_LOOKUP: usize = 8;
/// By how much each further read of a range that is worth reading on is longer than the one before.
const READ_ON: usize = 4;
/// How often a read of a range passes over what stands between two members.
const MAX_JUMPS: usize = 4;

impl TenantStore {
    /// Every membership item of a resource, whether its set still counts or not.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn memberships(&self, member: &str) -> Result<Vec<Membership>, StoreError> {
        let range = KeyRange::prefix(&format!("{member}{SEPARATOR}"));
        self.memberships_in(&self.keys.memberships(member), &range)
            .await
    }

    /// Some membership items of a resource, at most `limit`, and whether there may be more. One call.
    pub(in crate::store) async fn some_memberships(
        &self,
        member: &str,
        limit: usize,
    ) -> Result<(Vec<Membership>, bool), StoreError> {
        let range = KeyRange::prefix(&format!("{member}{SEPARATOR}"));
        let window = Window {
            limit: Some(limit),
            ..Window::default()
        };
        let pk = self.keys.memberships(member);
        let (memberships, next) = self.memberships_page(pk, &range, window).await?;
        Ok((memberships, next.is_some()))
    }

    /// Every membership item of these resources, who may be anywhere in the directory.
    ///
    /// Where they stand close enough together, a partition's are read in one range, which passes over
    /// others' in between; those that such a range does not reach are looked up one by one, in
    /// parallel.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn memberships_of(
        &self,
        members: impl Iterator<Item = &str>,
    ) -> Result<Vec<Membership>, StoreError> {
        let mut partitions = BTreeMap::<String, BTreeSet<&str>>::new();
        for member in members {
            let partition = partitions.entry(self.keys.memberships(member));
            partition.or_default().insert(member);
        }
        let reads = partitions
            .iter()
            .map(|(pk, members)| self.near(pk, members));
        let near = try_join_all(reads).await?;
        let mut found = Vec::new();
        let mut far = Vec::new();
        for (memberships, rest) in near {
            found.extend(memberships);
            far.extend(rest);
        }
        let reads: Vec<_> = far
            .into_iter()
            .map(|member| self.memberships(member))
            .collect();
        let rest: Vec<Vec<Membership>> =
            stream::iter(reads).buffered(PARALLEL).try_collect().await?;
        found.extend(rest.into_iter().flatten());
        Ok(found)
    }

    /// The memberships of those of the members that reads of their partition reach, and the members
    /// whom these do not reach. The first read costs a quarter of what looking the members up would.
    ///
    /// Between two members of a page others may stand, such as groups in groups, any number of them. So
    /// the range is read on only while half of what a read brings are memberships of these members;
    /// else the next read begins at the next of them, [`MAX_JUMPS`] times.
    async fn near<'m>(
        &self,
        pk: &str,
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
            let page = self.memberships_page(pk.to_owned(), &range, window);
            let (mut page, next) = page.await?;
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
            // Of the last member that was reached there may be more.
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

    /// Every membership item in a range of one partition.
    pub(in crate::store) async fn memberships_in(
        &self,
        pk: &str,
        range: &KeyRange,
    ) -> Result<Vec<Membership>, StoreError> {
        let items = self.all_items(Account::Read, pk, range, Shown::All).await?;
        items.into_iter().map(membership).collect()
    }

    /// One call's worth of membership items, and the sort key to go on after, if there may be more.
    async fn memberships_page(
        &self,
        pk: String,
        range: &KeyRange,
        window: Window<'_>,
    ) -> Result<(Vec<Membership>, Option<String>), StoreError> {
        let output = self.query(pk, range, window, Shown::All).await?;
        let next = crate::store::table::range::last_key(&output);
        let items = output.items.unwrap_or_default().into_iter();
        let memberships = items.map(membership).collect::<Result<Vec<_>, _>>()?;
        Ok((memberships, next))
    }
}

/// Reads a membership's item.
fn membership(mut item: Item) -> Result<Membership, StoreError> {
    let key = item::take_text(&mut item, "sk")?;
    let shard = item::number(&item, "shard")?;
    let mut parts = key.splitn(3, SEPARATOR).map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(member), Some(group), Some(set)) => Ok(Membership {
            member,
            group,
            set,
            shard,
        }),
        _ => Err(item::malformed("sk")),
    }
}
