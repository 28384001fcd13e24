//! How what a request wants of a group's members becomes items.
//!
//! A change that names members to add and to remove becomes one transaction of items, and then the
//! stamp of the group. A whole new list becomes a fresh set that takes the place of the old one in one
//! write, so that readers never see a mixture. What does not fit one transaction is journalled.

mod intent;
mod kinds;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::change::{Round, Setback};
use super::{Provider, Scope};
use crate::protocol::error::Result;
use crate::protocol::resource;
use crate::protocol::schema::ResourceType;
use crate::store::{
    Change, Delta, Entries, Fill, FillBody, GroupState, Guard, Member, MemberChange, MemberEffect,
    MemberItems, MemberWrite, New, Removal, Replaced, StoreError, Stored, Write,
};

pub(super) use intent::MemberIntent;
use intent::Outcome;
pub(super) use kinds::{Kinds, MAX_MEMBERS};

/// Steps of a transaction that are about neither members nor index entries: the group, its count, the
/// journal.
const OTHER_STEPS: usize = 3;

/// A fresh set has one partition for so many members, each of which takes 1,000 writes a second.
const MEMBERS_PER_SHARD: usize = 2_500;

impl Provider {
    /// Creates a group with its first members.
    pub(super) async fn create_group(
        &self,
        scope: &Scope,
        resource_type: &ResourceType,
        id: &str,
        write: Write<'_>,
        members: Vec<resource::Member>,
    ) -> Result<Stored> {
        let mut kinds = Kinds::default();
        loop {
            let change = kinds.additions(scope, id, &members)?;
            let state = GroupState::fresh(shards_for(change.add.len()), change.add.len());
            self.mark_nested(scope, id, change.add.values()).await?;
            let created = if change.fits(OTHER_STEPS + write.entries.len()) {
                let members = scope.typed(change.add.values());
                let new = New {
                    id,
                    write,
                    group: Some(&state),
                    members: &members,
                };
                scope.store.create(resource_type, new).await
            } else {
                let fill = Fill {
                    resource_type: resource_type.name.clone(),
                    group: id.to_owned(),
                    fresh: state,
                    replaced: None,
                    members: change.add,
                    body: Some(FillBody {
                        text: write.body.to_owned(),
                        entries_before: Entries::default(),
                        entries: write.entries.clone(),
                    }),
                    now: write.now,
                };
                let types = &scope.tenant.registry;
                scope.store.fill(&fill, Guard::Changed, types).await
            };
            match created {
                Err(StoreError::NoMember { id }) => {
                    let ids: Vec<String> =
                        members.iter().map(|member| member.value.clone()).collect();
                    kinds.look_up(scope, &id, &ids).await?;
                }
                other => return Ok(other?),
            }
        }
    }

    /// Makes one round of a change of a group: body and members together.
    pub(super) async fn change_group(
        &self,
        scope: &Scope,
        round: Round<'_>,
        intent: &MemberIntent,
        kinds: &Kinds,
    ) -> Result<Stored, Setback> {
        let group = &round.before.id;
        match kinds.outcome(scope, round.before, intent).await? {
            Outcome::Same if round.body.is_none() => Ok(round.before.clone()),
            Outcome::Same => self.update(scope, &round, MemberEffect::None, None).await,
            Outcome::Delta(change) => {
                self.mark_nested(scope, group, change.add.values()).await?;
                self.commit_delta(scope, round, change).await
            }
            Outcome::Single(change) => {
                self.mark_nested(scope, group, change.add.values()).await?;
                let guard = round.guard.max(Guard::Members);
                let effective = Effective {
                    change,
                    stamps: HashMap::new(),
                    is_owed: false,
                };
                self.commit_together(scope, Round { guard, ..round }, effective)
                    .await
            }
            Outcome::List(members) => {
                self.mark_nested(scope, group, members.values()).await?;
                self.commit_list(scope, round, members).await
            }
        }
    }

    /// Additions and removals. Those that fit one transaction, and come alone, do not touch the group
    /// itself: its own update follows, so that parallel changes of one group do not meet.
    async fn commit_delta(
        &self,
        scope: &Scope,
        round: Round<'_>,
        change: MemberChange,
    ) -> Result<Stored, Setback> {
        let others = round.other_steps();
        let is_alone = round.body.is_none() && round.guard == Guard::Changed;
        if is_alone && change.fits(others) {
            return self.commit_alone(scope, round, change).await;
        }
        // Clients send whole lists of members most of whom are there.
        let effective = self.effective(scope, round.before, change).await?;
        match (effective.change.fits(others), is_alone) {
            (false, _) => self.commit_large(scope, round, effective.change).await,
            (true, true) if !effective.is_owed => {
                self.commit_alone(scope, round, effective.change).await
            }
            (true, _) => self.commit_together(scope, round, effective).await,
        }
    }

    /// Additions and removals in a transaction of their own, and then the group's stamp.
    async fn commit_alone(
        &self,
        scope: &Scope,
        round: Round<'_>,
        change: MemberChange,
    ) -> Result<Stored, Setback> {
        let state = round.before.group.clone().unwrap_or_default();
        let write = MemberWrite {
            group: &round.before.id,
            set: &state,
            removal: Removal::Any,
            types: &scope.tenant.registry,
        };
        let applied = scope.store.write_members(write, change).await?;
        if let Some(id) = applied.missing.first().cloned() {
            return Err(StoreError::NoMember { id }.into());
        }
        if !applied.is_change() {
            return Ok(round.before.clone());
        }
        let stamp = MemberEffect::Stamp(applied.more());
        let told = self.update(scope, &round, stamp, None).await;
        if let Err(Setback::Store(StoreError::VersionMismatch | StoreError::NotFound)) = told {
            // Another set has taken over, or the group is gone: what was added is not in use.
            let added = &applied.added;
            scope
                .store
                .remove_items(&round.before.id, &state, added)
                .await?;
        }
        told
    }

    /// What is left of a change without those who are there already, or are not there.
    async fn effective(
        &self,
        scope: &Scope,
        group: &Stored,
        mut change: MemberChange,
    ) -> Result<Effective, Setback> {
        let state = group.group.clone().unwrap_or_default();
        let ids = change.add.keys().chain(&change.remove);
        let stamps = scope.store.member_stamps(&group.id, &state, ids).await?;
        let is_untold = |id| {
            stamps
                .get(id)
                .is_some_and(|stamp| *stamp >= state.member_revision)
        };
        let is_owed = change.add.keys().any(is_untold);
        change.remove.retain(|id| stamps.contains_key(id));
        change
            .add
            .retain(|id, _| stamps.get(id).is_none_or(|stamp| state.may_lose(*stamp)));
        Ok(Effective {
            change,
            stamps,
            is_owed,
        })
    }

    /// Additions and removals in one transaction with the group's own update.
    async fn commit_together(
        &self,
        scope: &Scope,
        round: Round<'_>,
        effective: Effective,
    ) -> Result<Stored, Setback> {
        let Effective {
            change,
            stamps,
            is_owed,
        } = effective;
        let is_change = is_owed || !change.is_empty();
        if !is_change && round.body.is_none() {
            return Ok(round.before.clone());
        }
        let (again, new): (Vec<Member>, Vec<Member>) = change
            .add
            .into_values()
            .partition(|member| stamps.contains_key(&member.id));
        let add = scope.typed(new.iter());
        let remove: Vec<String> = change.remove.into_iter().collect();
        let effect = match is_change {
            false => MemberEffect::None,
            true => MemberEffect::Stamp(count(&add) - count(&remove)),
        };
        let items = MemberItems {
            set: &round.before.group.clone().unwrap_or_default(),
            add: &add,
            again: &scope.typed(again.iter()),
            remove: &remove,
        };
        self.update(scope, &round, effect, Some(items)).await
    }

    async fn commit_large(
        &self,
        scope: &Scope,
        round: Round<'_>,
        change: MemberChange,
    ) -> Result<Stored, Setback> {
        let delta = Delta {
            resource_type: round.resource_type.name.clone(),
            group: round.before.id.clone(),
            set: round.before.group.clone().unwrap_or_default(),
            change,
            now: round.now,
        };
        let change = Change {
            body: round.body,
            now: round.now,
            guard: round.guard,
            ..Change::default()
        };
        let types = &scope.tenant.registry;
        let changed =
            scope
                .store
                .change_members(round.resource_type, round.before, delta, change, types);
        Ok(changed.await?)
    }

    /// A whole new list: one transaction if it fits, the journal otherwise.
    async fn commit_list(
        &self,
        scope: &Scope,
        round: Round<'_>,
        members: BTreeMap<String, Member>,
    ) -> Result<Stored, Setback> {
        let current = round.before.group.clone().unwrap_or_default();
        let fresh = GroupState {
            member_revision: current.member_revision,
            ..GroupState::fresh(shards_for(members.len()), members.len())
        };
        let change = MemberChange {
            add: members,
            remove: HashSet::new(),
        };
        if !change.fits(round.other_steps()) {
            return self
                .commit_fill(scope, round, fresh, current, change.add)
                .await;
        }
        let add = scope.typed(change.add.values());
        let items = MemberItems {
            set: &fresh,
            add: &add,
            again: &[],
            remove: &[],
        };
        let flip = MemberEffect::Flip(fresh.clone());
        self.update(scope, &round, flip, Some(items)).await
    }

    async fn commit_fill(
        &self,
        scope: &Scope,
        round: Round<'_>,
        fresh: GroupState,
        old: GroupState,
        members: BTreeMap<String, Member>,
    ) -> Result<Stored, Setback> {
        let fill = Fill {
            resource_type: round.resource_type.name.clone(),
            group: round.before.id.clone(),
            fresh,
            replaced: Some(Replaced {
                revision: round.before.revision,
                old,
            }),
            members,
            body: round.body.as_ref().map(|body| FillBody {
                text: body.write.body.to_owned(),
                entries_before: body.entries_before.clone(),
                entries: body.write.entries.clone(),
            }),
            now: round.now,
        };
        let types = &scope.tenant.registry;
        Ok(scope.store.fill(&fill, round.guard, types).await?)
    }

    async fn update(
        &self,
        scope: &Scope,
        round: &Round<'_>,
        members: MemberEffect,
        items: Option<MemberItems<'_>>,
    ) -> Result<Stored, Setback> {
        let change = Change {
            body: round.body,
            members,
            items,
            now: round.now,
            guard: round.guard,
        };
        Ok(scope
            .store
            .update(round.resource_type, round.before, change)
            .await?)
    }

    /// Groups in groups make readers look for indirect membership from now on.
    async fn mark_nested(
        &self,
        scope: &Scope,
        group: &str,
        members: impl Iterator<Item = &Member>,
    ) -> Result<()> {
        let Some(resource_type) = scope.group_type() else {
            return Ok(());
        };
        let groups = members.filter(|member| member.kind == resource_type.name);
        let groups: Vec<&str> = groups.map(|member| member.id.as_str()).collect();
        if !groups.is_empty() {
            scope
                .store
                .mark_nested(resource_type, group, &groups)
                .await?;
        }
        Ok(())
    }
}

/// What is left of a change of members, if anything is.
struct Effective {
    change: MemberChange,
    /// The stamps of those named who are there. Those of them that are still to be added are those
    /// whom a removal that is under way would remove.
    stamps: HashMap<String, u64>,
    /// Whether an earlier addition may not have been told in the group yet.
    is_owed: bool,
}

impl Round<'_> {
    /// The steps of a transaction that are not about members.
    fn other_steps(&self) -> usize {
        OTHER_STEPS + self.body.map_or(0, |body| body.steps())
    }
}

/// The partitions of a set that is made for so many members.
pub(super) fn shards_for(members: usize) -> u32 {
    u32::try_from(members / MEMBERS_PER_SHARD + 1)
        .unwrap_or(u32::MAX)
        .min(64)
}

fn count<T>(members: &[T]) -> i64 {
    i64::try_from(members.len()).unwrap_or(i64::MAX)
}
