//! What a request wants of a group's members, and what that comes to for the group as it is.

use std::collections::{BTreeMap, HashSet};

use super::super::Scope;
use super::super::change::Setback;
use super::super::get::could_be_an_id;
use super::kinds::{Kinds, MAX_MEMBERS};
use crate::protocol::error::{Error, Result};
use crate::protocol::patch::MemberOp;
use crate::protocol::resource;
use crate::store::{Member, MemberChange, Stored};

/// What a request wants of the members.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::provider) enum MemberIntent {
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
pub(super) enum Outcome {
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
    pub(in crate::provider) fn replace(members: Option<Vec<resource::Member>>) -> Self {
        members.map_or(Self::ClearVisible, Self::Exactly)
    }

    /// Every member that the request would add.
    pub(super) fn added(&self) -> impl Iterator<Item = &resource::Member> {
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

impl Kinds {
    /// What the intent comes to for the group as it is.
    pub(super) async fn outcome(
        &self,
        scope: &Scope,
        group: &Stored,
        intent: &MemberIntent,
    ) -> Result<Outcome, Setback> {
        match intent {
            MemberIntent::Keep => Ok(Outcome::Same),
            MemberIntent::ClearVisible => match scope.visible_members(group).await? {
                Some(members) if !members.is_empty() || is_changing(group) => {
                    Ok(Outcome::List(BTreeMap::new()))
                }
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
    /// is a change of that member: no reader sees it half done. What is there while a large change is
    /// under way is not what will be, so then a list is always a new one.
    async fn exactly(
        &self,
        scope: &Scope,
        group: &Stored,
        wanted: BTreeMap<String, Member>,
    ) -> Result<Outcome, Setback> {
        let (current, more) = scope.store.members(group, wanted.len() + 1).await?;
        if more || is_changing(group) {
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
                // What could not be an id is not there, and no key may be made of it.
                MemberOp::Remove(ids) => {
                    let ids = ids.iter().filter(|id| could_be_an_id(id));
                    change.remove_all(ids.cloned());
                }
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

/// Whether a large change of the members is under way, or was when its writer died.
fn is_changing(group: &Stored) -> bool {
    group.group.as_ref().is_some_and(|state| state.open > 0)
}
