//! Who is in a group.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select};
use futures_util::future::try_join_all;

use super::member::Member;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, GroupState, Item, Stored, s};
use crate::store::key_range::KeyRange;
use crate::store::table::allowance::{Allowance, CountLimit};
use crate::store::table::meter::Account;
use crate::store::table::range::{Shown, Window};

/// What is read of a partition beyond twice its share of a page, for partitions differ in size.
const SPARE_SHARE: usize = 16;

impl TenantStore {
    /// Up to `limit` members of a group's current set, in order of their ids, and whether there are
    /// more.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn members(
        &self,
        group: &Stored,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        self.members_after(group, None, limit).await
    }

    /// The same from after an id on.
    ///
    /// Each partition gives about its share of a page, and what follows the first end among those
    /// shares waits for the next round: so a page costs about a page, however many partitions there
    /// are.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn members_after(
        &self,
        group: &Stored,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        let Some(state) = &group.group else {
            return Ok((Vec::new(), false));
        };
        let shards = state.shards.max(1);
        let share = limit / shards as usize * 2 + SPARE_SHARE;
        let (mut found, mut after) = (Vec::<Member>::new(), after.map(str::to_owned));
        loop {
            let window = Window {
                after: after.as_deref(),
                limit: Some(share.min(limit + 1)),
                ..Window::default()
            };
            let reads = (0..u64::from(shards))
                .map(|shard| self.members_of_shard(&group.id, state, shard, window));
            let parts = try_join_all(reads).await?;
            let unfinished = parts.iter().filter(|(_, more)| *more);
            let end = unfinished
                .filter_map(|(members, _)| members.last())
                .map(|m| m.id.clone())
                .min();
            let is_before_end = |member: &Member| end.as_ref().is_none_or(|end| member.id <= *end);
            let begin = found.len();
            found.extend(
                parts
                    .into_iter()
                    .flat_map(|(members, _)| members)
                    .filter(is_before_end),
            );
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

    /// Some members of one partition, and whether there are more.
    async fn members_of_shard(
        &self,
        group: &str,
        state: &GroupState,
        shard: u64,
        window: Window<'_>,
    ) -> Result<(Vec<Member>, bool), StoreError> {
        let pk = self.keys.members(group, &state.set, shard);
        let output = self.query(pk, &KeyRange::all(), window, Shown::All).await?;
        let more = crate::store::table::range::last_key(&output).is_some();
        let member = |mut item: Item| {
            Ok(Member {
                id: item::take_text(&mut item, "sk")?,
                kind: item::take_text(&mut item, "type")?,
                display: item::take_text(&mut item, "display").ok(),
            })
        };
        let members = output.items.unwrap_or_default().into_iter().map(member);
        Ok((members.collect::<Result<_, StoreError>>()?, more))
    }

    /// The number of members of one type; nothing if the members are more, or cost more, than the
    /// limit.
    ///
    /// All partitions are read side by side, in rounds. Each call of a round reads its share of what
    /// may still be read.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn member_count(
        &self,
        group: &Stored,
        kind: &str,
        limit: CountLimit,
    ) -> Result<Option<u64>, StoreError> {
        let Some(state) = &group.group else {
            return Ok(Some(0));
        };
        let mut allowance = Allowance::new(limit);
        let mut total = 0;
        let shards = 0..u64::from(state.shards);
        let mut open: Vec<(String, Option<Item>)> = shards
            .map(|shard| (self.keys.members(&group.id, &state.set, shard), None))
            .collect();
        while !open.is_empty() {
            let Some(share) = allowance.share(open.len()) else {
                return Ok(None);
            };
            let reads = open
                .iter()
                .map(|(pk, start)| self.count_of_shard(pk, kind, start.clone(), share));
            let outputs = try_join_all(reads).await?;
            let mut unfinished = Vec::new();
            for ((pk, _), output) in open.into_iter().zip(outputs) {
                allowance.spend(&output);
                total += u64::try_from(output.count()).unwrap_or(0);
                if let Some(start) = output.last_evaluated_key {
                    unfinished.push((pk, Some(start)));
                }
            }
            open = unfinished;
        }
        Ok((!allowance.is_exceeded()).then_some(total))
    }

    /// Counts some members of one partition. One call.
    async fn count_of_shard(
        &self,
        pk: &str,
        kind: &str,
        start: Option<Item>,
        limit: usize,
    ) -> Result<QueryOutput, StoreError> {
        let attempt = || {
            self.client
                .query()
                .table_name(&*self.table)
                .key_condition_expression("pk = :pk")
                .filter_expression("#type = :type")
                .expression_attribute_names("#type", "type")
                .expression_attribute_values(":pk", s(pk))
                .expression_attribute_values(":type", s(kind))
                .set_exclusive_start_key(start.clone())
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .select(Select::Count)
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let output = self.call(Account::Read, attempt).await?;
        self.meter
            .capacity(Account::Read, output.consumed_capacity());
        Ok(output)
    }

    /// Whether a resource is a member of the group's current set. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn is_member(&self, group: &Stored, member: &str) -> Result<bool, StoreError> {
        let Some(state) = &group.group else {
            return Ok(false);
        };
        let pk = self
            .keys
            .members(&group.id, &state.set, state.shard(member));
        Ok(self.get_item(pk, member).await?.is_some())
    }

    /// The stamps of those of the ids that are members of the group's current set, by id.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn member_stamps(
        &self,
        group: &str,
        state: &GroupState,
        ids: impl Iterator<Item = &String>,
    ) -> Result<HashMap<String, u64>, StoreError> {
        let key = |id: &String| {
            let pk = self.keys.members(group, &state.set, state.shard(id));
            (pk, id.clone())
        };
        let items = self.get_keys(ids.map(key).collect(), Shown::All).await?;
        let stamps = items.into_iter().map(|mut item| {
            let id = item::take_text(&mut item, "sk")?;
            Ok((id, item::number(&item, "stamp")?))
        });
        stamps.collect()
    }

    /// Those of the ids that are members of at least one of the groups.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn members_among(
        &self,
        groups: &[Stored],
        ids: &[String],
    ) -> Result<HashSet<String>, StoreError> {
        let sets = groups
            .iter()
            .filter_map(|group| Some((&group.id, group.group.as_ref()?)));
        let keys = sets.flat_map(|(group, state)| {
            ids.iter().map(move |id| {
                let pk = self.keys.members(group, &state.set, state.shard(id));
                (pk, id.clone())
            })
        });
        let items = self.get_keys(keys.collect(), Shown::Keys).await?;
        let ids = items
            .into_iter()
            .map(|mut item| item::take_text(&mut item, "sk"));
        ids.collect()
    }
}
