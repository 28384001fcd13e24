//! The update of a group's own item: of its body, and of its attributes about members.

use super::departures;
use super::member::Member;
use super::member_steps::{MemberStep, MemberSteps};
use super::set::{MemberSet, Removal};
use super::sweep_set;
use crate::protocol::schema::ResourceType;
use crate::store::error::StoreError;
use crate::store::journal::{self, Note};
use crate::store::resources::steps::Refusal;
use crate::store::resources::write::{self, Besides, BodyChange};
use crate::store::stored::{GroupState, Stored, n, s, signed};
use crate::store::table::Table;
use crate::store::table::transaction::Transaction;
use crate::store::table::write::Update;

/// One attempt to write a change of a group.
#[derive(Debug, Clone, Copy)]
pub struct ChangeAttempt<'a> {
    /// The group's resource type.
    pub resource_type: &'a ResourceType,
    /// The group as it was read.
    pub before: &'a Stored,
    /// The new body, if it changes.
    pub body: Option<BodyChange<'a>>,
    /// What must not have changed since the group was read.
    pub guard: Guard,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// What must not have changed since a group was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Guard {
    /// Only what the change itself replaces: the body if it changes, and the current set if members
    /// change.
    #[default]
    Changed,
    /// The same, and all members.
    Members,
    /// Body and members: everything that the group's version covers.
    Whole,
}

/// What a write changes in the attributes about members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MemberEffect {
    /// Nothing.
    None,
    /// Members of the current set were added and removed. The number is that of additions less that
    /// of removals.
    Counted(i64),
    /// A large change of the current set begins.
    Open,
    /// A large change of the current set has ended. The number is that of additions less that of
    /// removals.
    Close(i64),
    /// Another set becomes the current one.
    NewSet(GroupState),
}

/// Member items that are written and removed in one transaction with the group's own item.
#[derive(Debug, Default)]
pub(super) struct MemberItems<'c> {
    /// The group's `id`.
    pub(super) group: &'c str,
    /// The state that names the set of the items.
    pub(super) set: GroupState,
    /// The members to add, which the set does not have, each with its resource type.
    pub(super) add: Vec<(Member, &'c ResourceType)>,
    /// Members that the set has, each with its resource type. They are stamped again, so that a large
    /// removal that is under way does not remove them.
    pub(super) again: Vec<(Member, &'c ResourceType)>,
    /// The ids of the members to remove, which the set has.
    pub(super) remove: Vec<String>,
    /// The ids of the members that a transaction of their items has removed just before.
    pub(super) removed: Vec<String>,
}

impl ChangeAttempt<'_> {
    /// The members' state as the group was read.
    pub(super) fn state(&self) -> GroupState {
        self.before.group.clone().unwrap_or_default()
    }

    /// The steps of a transaction that change index entries.
    pub(super) fn entry_steps(&self) -> usize {
        self.body.map_or(0, |body| body.steps())
    }
}

/// Changes the body only, if there is a new one.
pub(super) async fn keep_members(
    table: &Table,
    attempt: ChangeAttempt<'_>,
) -> Result<Stored, StoreError> {
    match attempt.body {
        None => Ok(attempt.before.clone()),
        Some(_) => update(table, attempt, MemberEffect::None, MemberItems::default()).await,
    }
}

/// Updates a group together with member items: one conditional update, or one transaction. A
/// replaced set is left to the finisher, by a journal entry that is written in the same transaction.
///
/// # Errors
/// `NotFound` when the group is gone, `VersionMismatch` when what the attempt's guard covers has
/// changed since the group was read, `NoMember`, `Taken`, `TooLarge`, `TooManyEntries`.
pub(super) async fn update(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    effect: MemberEffect,
    items: MemberItems<'_>,
) -> Result<Stored, StoreError> {
    let left = match (&effect, &attempt.before.group) {
        (MemberEffect::NewSet(_), Some(old)) => {
            Some(sweep_set::entry(table, &attempt.before.id, old)?)
        }
        _ => None,
    };
    let note = left.as_ref().map(Note::Begin);
    update_noted(table, attempt, effect, items, note).await
}

/// The same with a note in the journal.
///
/// # Errors
/// As for [`update`]; `Unavailable` when the finisher has taken over the journal entry.
pub(super) async fn update_noted(
    table: &Table,
    attempt: ChangeAttempt<'_>,
    effect: MemberEffect,
    items: MemberItems<'_>,
    note: Option<Note<'_>>,
) -> Result<Stored, StoreError> {
    let ChangeAttempt {
        resource_type,
        before,
        body,
        ..
    } = attempt;
    let state = before.group.as_ref();
    let gone = state.and_then(|state| {
        let removed: Vec<&String> = items.remove.iter().chain(&items.removed).collect();
        departures::with_removal(state, attempt.now, table.cause(), &removed)
    });
    let besides = GroupUpdate {
        attempt,
        effect,
        items,
        gone,
        note,
    };
    write::update(table, resource_type, before, body, &besides).await
}

/// What an update of a group writes in addition to its body and index entries.
struct GroupUpdate<'u> {
    attempt: ChangeAttempt<'u>,
    effect: MemberEffect,
    items: MemberItems<'u>,
    /// The new value of the attribute `gone`, if it changes.
    gone: Option<String>,
    note: Option<Note<'u>>,
}

impl Besides for GroupUpdate<'_> {
    fn update(&self, update: &mut Update) {
        let ChangeAttempt {
            before,
            body,
            guard,
            now,
            ..
        } = self.attempt;
        if body.is_none() && guard == Guard::Whole {
            update
                .require("v = :read")
                .value(":read", n(before.revision));
        }
        let Some(read) = &before.group else {
            return;
        };
        if guard != Guard::Changed {
            update
                .require("mv = :mvread")
                .value(":mvread", n(read.member_revision));
        }
        if self.effect != MemberEffect::None {
            update
                .set("ms = :ms")
                .value(":ms", n(now))
                .add("mv :one")
                .value(":one", n(1))
                .require("#set = :set")
                .value(":set", s(&read.set))
                .name("#set", "set");
        }
        self.effect.write(update);
        if let Some(gone) = &self.gone {
            update.set("gone = :gone").value(":gone", s(gone));
        }
    }

    fn steps(&self, table: &Table, transaction: &mut Transaction<Refusal>, rid: &str) {
        self.items.steps(table, transaction, rid);
        if let Some(note) = self.note {
            note.steps(table, transaction, rid);
        }
    }

    fn apply(&self, after: &mut Stored) {
        if let Some(group) = &mut after.group {
            self.effect.apply(group, self.attempt.now);
            if let Some(gone) = &self.gone {
                group.gone.clone_from(gone);
            }
        }
    }
}

impl MemberEffect {
    /// Makes the change in the state of a group as it was read.
    fn apply(&self, group: &mut GroupState, now: u64) {
        if *self == Self::None {
            return;
        }
        group.member_revision += 1;
        group.members_modified = now;
        match self {
            Self::None => {}
            Self::Counted(more) => group.about += more,
            Self::Open => group.open += 1,
            Self::Close(more) => {
                group.open = group.open.saturating_sub(1);
                group.about += more;
            }
            Self::NewSet(fresh) => {
                group.set.clone_from(&fresh.set);
                (group.partitions, group.about, group.open) = (fresh.partitions, fresh.about, 0);
            }
        }
    }

    /// Adds the same change to the update of the group's item.
    fn write(&self, update: &mut Update) {
        match self {
            Self::None => {}
            Self::Counted(more) => {
                update.add("about :more").value(":more", signed(*more));
            }
            Self::Open => {
                update.add("#open :opened").value(":opened", n(1));
                update.name("#open", "open");
            }
            Self::Close(more) => {
                update.add("#open :closed").value(":closed", signed(-1));
                update.name("#open", "open");
                update.add("about :more").value(":more", signed(*more));
            }
            Self::NewSet(fresh) => {
                update
                    .set("#set = :fresh, n = :n, about = :about")
                    .value(":fresh", s(&fresh.set))
                    .value(":n", n(fresh.partitions.into()))
                    .value(":about", signed(fresh.about));
                update.remove("#open").name("#open", "open");
            }
        }
    }
}

impl Besides for Note<'_> {
    fn steps(&self, table: &Table, transaction: &mut Transaction<Refusal>, rid: &str) {
        let lost = Refusal::Is(journal::lost());
        transaction.push(self.request(table, rid), lost);
    }
}

impl Besides for MemberItems<'_> {
    fn steps(&self, table: &Table, transaction: &mut Transaction<Refusal>, _: &str) {
        let steps = MemberSteps {
            add: borrowed(&self.add),
            again: borrowed(&self.again),
            remove: self.remove.iter().map(String::as_str).collect(),
            removal: Removal::Any,
        };
        let set = MemberSet::new(table, self.group, &self.set);
        steps.push(table, set, transaction, |step| match step {
            MemberStep::Check(member) => Refusal::Is(no_member(member)),
            // Another request has added or removed the member since the members were read.
            MemberStep::Add(_) | MemberStep::Restamp(_) | MemberStep::Remove(_) => {
                Refusal::Is(StoreError::VersionMismatch)
            }
            MemberStep::Membership => Refusal::Never,
        });
    }
}

fn borrowed<'m>(typed: &'m [(Member, &'m ResourceType)]) -> Vec<(&'m Member, &'m ResourceType)> {
    let typed = typed.iter();
    typed
        .map(|(member, member_type)| (member, *member_type))
        .collect()
}

fn no_member(member: &Member) -> StoreError {
    StoreError::NoMember {
        id: member.id.clone(),
    }
}
