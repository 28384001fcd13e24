//! What a request wants of a group's members, and how that becomes items.
//!
//! A change that names members to add and to remove becomes one transaction of items and the stamp
//! of the group. A whole new list becomes a fresh set that takes the place of the old one in one
//! write, so that readers never see a mixture. What does not fit one transaction is journalled.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::change::{Round, Setback};
use super::{Provider, Scope};
use crate::protocol::error::{Error, Result};
use crate::protocol::patch::MemberOp;
use crate::protocol::resource;
use crate::protocol::schema::ResourceType;
use crate::store::{
    Change, Delta, Entries, Fill, FillBody, GroupState, Guard, Member, MemberChange, MemberEffect,
    MemberItems, MemberWrite, New, Removal, Replaced, StoreError, Stored, Write,
};

/// The most members that one request may name.
pub(super) const MAX_MEMBERS: usize = 20_000;

/// The longest name of a member that is kept, in bytes.
const MAX_DISPLAY_BYTES: usize = 256;

/// Steps of a transaction that are not about members: the group, its entries, its count.
const OTHER_STEPS: usize = 24;

/// A fresh set has one partition for so many members, each of which takes 1,000 writes a second.
const MEMBERS_PER_SHARD: usize = 2_500;

/// What a request wants of the members.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum MemberIntent {
    /// Nothing.
    #[default]
    Keep,
    /// No members, unless there are more than the client could have seen.
    ClearVisible,
    /// Exactly these members.
    Exactly(Vec<resource::Member>),
    /// These operations in order.
    Operations(Vec<MemberOp>),
}

/// What an intent comes to for the group as it is.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Nothing changes.
    Same,
    /// Members are added and removed, whoever else is there.
    Delta(MemberChange),
    /// One member is added or removed, and there are no others but those that were read.
    Single(MemberChange),
    /// These are the members.
    List(BTreeMap<String, Member>),
}

impl MemberIntent {
    /// What a PUT wants: the list it gives, or none (RFC 7644 §3.5.1).
    pub(super) fn replace(members: Option<Vec<resource::Member>>) -> Self {
        members.map_or(Self::ClearVisible, Self::Exactly)
    }

    /// Every member that the request would add.
    fn added(&self) -> impl Iterator<Item = &resource::Member> {
        let (listed, operations): (&[resource::Member], &[MemberOp]) = match self {
            Self::Keep | Self::ClearVisible => (&[], &[]),
            Self::Exactly(members) => (members, &[]),
            Self::Operations(operations) => (&[], operations),
        };
        let added = operations.iter().flat_map(|operation| match operation {
            MemberOp::Add(members) | MemberOp::ReplaceAll(members) => members.as_slice(),
            MemberOp::Remove(_) | MemberOp::RemoveMatching(_) | MemberOp::Clear => &[],
        });
        listed.iter().chain(added)
    }
}

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
            let created = if change.fits(OTHER_STEPS) {
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
                self.commit_together(scope, Round { guard, ..round }, change)
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
        if !change.fits(OTHER_STEPS) {
            return self.commit_large(scope, round, change).await;
        }
        if round.body.is_some() || round.guard != Guard::Changed {
            let change = self.effective(scope, round.before, change).await?;
            return self.commit_together(scope, round, change).await;
        }
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
    ) -> Result<MemberChange, Setback> {
        let ids: Vec<String> = change.add.keys().chain(&change.remove).cloned().collect();
        let groups = std::slice::from_ref(group);
        let there = scope.store.members_among(groups, &ids).await?;
        change.add.retain(|id, _| !there.contains(id));
        change.remove.retain(|id| there.contains(id));
        Ok(change)
    }

    /// Additions and removals in one transaction with the group's own update.
    async fn commit_together(
        &self,
        scope: &Scope,
        round: Round<'_>,
        change: MemberChange,
    ) -> Result<Stored, Setback> {
        if change.is_empty() && round.body.is_none() {
            return Ok(round.before.clone());
        }
        let add = scope.typed(change.add.values());
        let remove: Vec<String> = change.remove.into_iter().collect();
        let effect = match add.is_empty() && remove.is_empty() {
            true => MemberEffect::None,
            false => MemberEffect::Stamp(count(&add) - count(&remove)),
        };
        let items = MemberItems {
            set: &round.before.group.clone().unwrap_or_default(),
            add: &add,
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
        if !change.fits(OTHER_STEPS) {
            return self
                .commit_fill(scope, round, fresh, current, change.add)
                .await;
        }
        let add = scope.typed(change.add.values());
        let items = MemberItems {
            set: &fresh,
            add: &add,
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

/// The name that a client gives a member, unless it is blank or too long for a name.
fn kept_display(member: &resource::Member) -> Option<String> {
    let fits = |name: &&String| !name.trim().is_empty() && name.len() <= MAX_DISPLAY_BYTES;
    member.display.as_ref().filter(fits).cloned()
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

/// The resource types of members that did not say theirs, as far as they were looked up.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: HashMap<String, String>,
}

impl Kinds {
    /// The members to add, each with its type: as given, as found, or else the default.
    fn additions<'m>(
        &self,
        scope: &Scope,
        group: &str,
        members: impl IntoIterator<Item = &'m resource::Member>,
    ) -> Result<MemberChange> {
        let mut add = BTreeMap::new();
        for member in members {
            if member.value == group {
                return Err(Error::invalid_value("`members` names the group itself"));
            }
            if add.len() == MAX_MEMBERS {
                return Err(Error::payload_too_large(format!(
                    "A request may name at most {MAX_MEMBERS} members"
                )));
            }
            let given = member.kind.as_ref().map(|kind| scope.member_type(kind));
            let given = given.transpose()?.map(|kind| &kind.name);
            let kind = match (self.known.get(&member.value), given) {
                (Some(kind), Some(given)) if kind != given => {
                    return Err(Error::invalid_value(format!(
                        "`members` says that `{}` is a {given}, and it is a {kind}",
                        member.value
                    )));
                }
                (Some(kind), _) => kind.clone(),
                (None, Some(given)) => given.clone(),
                (None, None) => scope.default_member_type()?.name.clone(),
            };
            add.insert(
                member.value.clone(),
                Member {
                    id: member.value.clone(),
                    kind,
                    display: kept_display(member),
                },
            );
        }
        Ok(MemberChange {
            add,
            remove: HashSet::new(),
        })
    }

    /// Finds out the types of members that are not what they were taken for.
    ///
    /// # Errors
    /// `InvalidValue` naming a member that is no resource of the tenant; the same for an id of
    /// another tenant's.
    pub(super) async fn infer(
        &mut self,
        scope: &Scope,
        missing: &str,
        intent: &MemberIntent,
    ) -> Result<()> {
        let ids: Vec<String> = intent.added().map(|member| member.value.clone()).collect();
        self.look_up(scope, missing, &ids).await
    }

    async fn look_up(&mut self, scope: &Scope, missing: &str, ids: &[String]) -> Result<()> {
        let unknown = || {
            StoreError::NoMember {
                id: missing.to_owned(),
            }
            .into()
        };
        if self.known.contains_key(missing) {
            return Err(unknown());
        }
        for resource_type in scope.member_types() {
            for id in scope.store.existing(resource_type, ids).await? {
                self.known.insert(id, resource_type.name.clone());
            }
        }
        if self.known.contains_key(missing) {
            Ok(())
        } else {
            Err(unknown())
        }
    }

    /// What the intent comes to for the group as it is.
    async fn outcome(
        &self,
        scope: &Scope,
        group: &Stored,
        intent: &MemberIntent,
    ) -> Result<Outcome, Setback> {
        match intent {
            MemberIntent::Keep => Ok(Outcome::Same),
            MemberIntent::ClearVisible => match scope.visible_members(group).await? {
                Some(members) if !members.is_empty() => Ok(Outcome::List(BTreeMap::new())),
                _ => Ok(Outcome::Same),
            },
            MemberIntent::Exactly(members) => {
                let wanted = self.additions(scope, &group.id, members)?.add;
                self.exactly(scope, group, wanted).await
            }
            MemberIntent::Operations(operations) => self.operations(scope, group, operations).await,
        }
    }

    /// A whole new list, or nothing if it is the list that is there. A list that differs by one member
    /// is a change of that member: no reader sees it half done.
    async fn exactly(
        &self,
        scope: &Scope,
        group: &Stored,
        wanted: BTreeMap<String, Member>,
    ) -> Result<Outcome, Setback> {
        let (current, more) = scope.store.members(group, wanted.len() + 1).await?;
        if more {
            return Ok(Outcome::List(wanted));
        }
        let current: HashSet<String> = current.into_iter().map(|member| member.id).collect();
        let gone: Vec<&String> = current
            .iter()
            .filter(|id| !wanted.contains_key(*id))
            .collect();
        let new: Vec<&Member> = wanted
            .values()
            .filter(|member| !current.contains(&member.id))
            .collect();
        match (new.as_slice(), gone.as_slice()) {
            ([], []) => Ok(Outcome::Same),
            ([member], []) => Ok(Outcome::Single(MemberChange {
                add: BTreeMap::from([(member.id.clone(), (*member).clone())]),
                remove: HashSet::new(),
            })),
            ([], [id]) => Ok(Outcome::Single(MemberChange {
                add: BTreeMap::new(),
                remove: HashSet::from([(*id).clone()]),
            })),
            _ => Ok(Outcome::List(wanted)),
        }
    }

    /// PATCH operations in order, folded into one change.
    async fn operations(
        &self,
        scope: &Scope,
        group: &Stored,
        operations: &[MemberOp],
    ) -> Result<Outcome, Setback> {
        let mut change = MemberChange::default();
        let mut fresh = false;
        for operation in operations {
            match operation {
                MemberOp::Add(members) => {
                    for (id, member) in self.additions(scope, &group.id, members)?.add {
                        change.remove.remove(&id);
                        change.add.insert(id, member);
                    }
                }
                MemberOp::Remove(ids) => change.remove_all(ids.iter().cloned()),
                MemberOp::RemoveMatching(filter) => {
                    let ids = scope.matching_members(group, filter).await?;
                    change.remove_all(ids);
                }
                MemberOp::Clear => (change, fresh) = (MemberChange::default(), true),
                MemberOp::ReplaceAll(members) => {
                    (change, fresh) = (self.additions(scope, &group.id, members)?, true);
                }
            }
        }
        if change.add.len() + change.remove.len() > MAX_MEMBERS {
            return Err(Error::payload_too_large(format!(
                "A request may name at most {MAX_MEMBERS} members"
            ))
            .into());
        }
        match fresh {
            true => self.exactly(scope, group, change.add).await,
            false if change.is_empty() => Ok(Outcome::Same),
            false => Ok(Outcome::Delta(change)),
        }
    }
}
