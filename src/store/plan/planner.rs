//! Chooses among the ways to find the resources that match a filter.

use std::sync::Arc;

use super::{Access, Branch, Plan, Range, Total};
use crate::protocol::filter::{BoundFilter, CompareOp, Comparison};
use crate::protocol::key::{Bounds, IndexRange};
use crate::protocol::schema::{BoundPath, Index, MembershipAttribute, ResourceType};
use crate::protocol::sort::{SortBy, SortOrder};
use crate::store::key_range::KeyRange;
use crate::store::table::query::Order;

/// How much has to be read, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Nothing,
    Id,
    Claim,
    Equal,
    GroupsOf,
    Prefix,
    Between,
    MembersOf,
    OneSided,
    Everything,
}

/// A way to find the resources that match a part of the filter.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    branches: Vec<FoundBranch>,
    rank: Rank,
    /// Whether every resource that is found matches that part.
    exact: bool,
}

/// An access, and the part of the filter that every resource which it finds is known to match, if
/// there is one.
#[derive(Debug, Clone)]
struct FoundBranch {
    access: Access,
    known: Option<BoundFilter>,
}

impl Choice {
    fn one(access: Access, rank: Rank, exact: bool) -> Self {
        let known = None;
        Self {
            branches: vec![FoundBranch { access, known }],
            rank,
            exact,
        }
    }

    /// A lookup of memberships. It answers its part of the filter completely. So the part is not
    /// evaluated again, which would mean to read all members.
    fn membership(access: Access, rank: Rank, part: &BoundFilter) -> Self {
        let known = Some(part.clone());
        Self {
            branches: vec![FoundBranch { access, known }],
            rank,
            exact: true,
        }
    }

    fn everything(exact: bool) -> Self {
        Self::one(Access::All, Rank::Everything, exact)
    }

    fn only(&self) -> Option<&Access> {
        match self.branches.as_slice() {
            [found] => Some(&found.access),
            _ => None,
        }
    }

    pub(super) fn into_plan(self, filter: &BoundFilter, in_order: bool) -> Plan {
        let total = match self.only() {
            Some(Access::All) if self.exact => Total::Counter,
            Some(Access::Range(_) | Access::MembersOf { .. }) if self.exact => Total::Keys,
            _ => Total::Resources,
        };
        let residual = |known: Option<BoundFilter>| match known {
            _ if total == Total::Counter => BoundFilter::Constant(true),
            Some(known) => assume(filter, &known),
            // The resource may have changed since its index entry was read.
            None => filter.clone(),
        };
        let branch = |FoundBranch { access, known }| Branch {
            access,
            residual: residual(known),
        };
        Plan {
            total,
            in_order,
            overlapping: self.branches.len() > 1,
            branches: self.branches.into_iter().map(branch).collect(),
        }
    }
}

/// The filter simplified by a part of it that is known to hold.
fn assume(filter: &BoundFilter, known: &BoundFilter) -> BoundFilter {
    let parts = |parts: &[BoundFilter]| parts.iter().map(|part| assume(part, known)).collect();
    match filter {
        _ if filter == known => BoundFilter::Constant(true),
        BoundFilter::And(all) => BoundFilter::all_of(parts(all)),
        BoundFilter::Or(any) => BoundFilter::any_of(parts(any)),
        BoundFilter::Not(part) => assume(part, known).negated(),
        other => other.clone(),
    }
}

pub(super) struct Planner<'f> {
    pub(super) resource_type: &'f ResourceType,
    pub(super) filter: &'f BoundFilter,
}

impl Planner<'_> {
    pub(super) fn choose(&self, filter: &BoundFilter) -> Choice {
        match filter {
            BoundFilter::Constant(true) => Choice::everything(true),
            BoundFilter::Constant(false) => Choice {
                branches: Vec::new(),
                rank: Rank::Nothing,
                exact: true,
            },
            BoundFilter::Compare(comparison) => {
                self.compare(filter, comparison.path.index_path(), comparison)
            }
            BoundFilter::ValuePath { path, filter: test } => self.elements(filter, path, test),
            BoundFilter::Present(path) => Choice::everything(is_always_present(path)),
            BoundFilter::And(parts) => self.all_of(parts),
            BoundFilter::Or(parts) => self.any_of(parts),
            BoundFilter::Not(_) => Choice::everything(false),
        }
    }

    /// A comparison of the attribute with this full path. `part` is the same comparison as it stands in
    /// the filter.
    fn compare(&self, part: &BoundFilter, attribute: &str, comparison: &Comparison) -> Choice {
        let operand = || comparison.operand.as_str().to_owned();
        let membership = self.resource_type.membership;
        match (attribute, comparison.op, membership) {
            ("id", CompareOp::Eq, _) => Choice::one(Access::Ids(vec![operand()]), Rank::Id, true),
            ("members.value", CompareOp::Eq, Some(MembershipAttribute::Members)) => {
                let access = Access::GroupsOf { member: operand() };
                Choice::membership(access, Rank::GroupsOf, part)
            }
            ("groups.value", CompareOp::Eq, Some(MembershipAttribute::MemberOf)) => {
                let access = Access::MembersOf { group: operand() };
                Choice::membership(access, Rank::MembersOf, part)
            }
            _ => self
                .indexed(attribute, comparison)
                .unwrap_or_else(|| Choice::everything(false)),
        }
    }

    fn indexed(&self, attribute: &str, comparison: &Comparison) -> Option<Choice> {
        let index = Arc::clone(self.resource_type.index(attribute)?);
        let IndexRange { bounds, exact } =
            IndexRange::of(&comparison.operand, &index, comparison.op)?;
        let (keys, rank) = match bounds {
            Bounds::Equal(text) if index.unique => {
                let texts = vec![text];
                return Some(Choice::one(
                    Access::Claims { index, texts },
                    Rank::Claim,
                    exact,
                ));
            }
            Bounds::Equal(text) if index.is_by_hour() => (KeyRange::equal(&text), Rank::Between),
            Bounds::Equal(text) => {
                let range = Range::of_value(index, text);
                return Some(Choice::one(Access::Range(range), Rank::Equal, exact));
            }
            Bounds::Prefix(text) => (KeyRange::prefix(&text), Rank::Prefix),
            Bounds::From(text) => (KeyRange::at_least(&text), Rank::OneSided),
            Bounds::Before(text) => (KeyRange::less(&text), Rank::OneSided),
        };
        let range = Range {
            distinct: !index.multi_valued,
            by_value: false,
            text: None,
            index,
            keys,
            order: Order::Ascending,
            words: comparison.op.as_str().to_owned(),
        };
        Some(Choice::one(Access::Range(range), rank, exact))
    }

    /// `emails[value eq "x" and …]`: uses the comparison of the element that leaves the least to
    /// read.
    fn elements(&self, part: &BoundFilter, path: &BoundPath, test: &BoundFilter) -> Choice {
        let tests = match test {
            BoundFilter::And(tests) => tests.as_slice(),
            single => std::slice::from_ref(single),
        };
        let choices = tests.iter().filter_map(|test| {
            let BoundFilter::Compare(comparison) = test else {
                return None;
            };
            let name = comparison.path.sub_attribute()?;
            let attribute = format!("{}.{name}", path.index_path());
            Some(self.compare(part, &attribute, comparison))
        });
        let best = choices.min_by_key(|choice| choice.rank);
        let mut best = best.unwrap_or_else(|| Choice::everything(false));
        if tests.len() > 1 {
            best.exact = false;
            best.branches
                .iter_mut()
                .for_each(|found| found.known = None);
        }
        best
    }

    fn all_of(&self, parts: &[BoundFilter]) -> Choice {
        let mut choices: Vec<Choice> = parts.iter().map(|part| self.choose(part)).collect();
        choices.retain(|choice| !(choice.rank == Rank::Everything && choice.exact));
        choices.sort_by_key(|choice| choice.rank);
        if let Some(choice) = group_with(&choices) {
            return choice;
        }
        let Some((best, others)) = choices.split_first_mut() else {
            return Choice::everything(true);
        };
        let mut best = best.clone();
        for other in others {
            let narrowed = match (best.branches.as_mut_slice(), other.only()) {
                ([FoundBranch { access, .. }], Some(narrower)) => access.narrow(narrower),
                _ => false,
            };
            if narrowed {
                best.rank = best.rank.min(Rank::Between);
            }
            best.exact &= narrowed && other.exact;
        }
        best
    }

    fn any_of(&self, parts: &[BoundFilter]) -> Choice {
        let choices: Vec<Choice> = parts.iter().map(|part| self.choose(part)).collect();
        let rank = choices.iter().map(|choice| choice.rank).max();
        let rank = rank.unwrap_or(Rank::Nothing);
        if rank == Rank::Everything {
            let asks_nothing = |choice: &Choice| choice.rank == rank && choice.exact;
            return Choice::everything(choices.iter().any(asks_nothing));
        }
        let exact = choices.iter().all(|choice| choice.exact);
        let mut branches = Vec::<FoundBranch>::new();
        for found in choices.into_iter().flat_map(|choice| choice.branches) {
            let joins = |earlier: &mut FoundBranch| earlier.access.join(&found.access);
            if !branches.iter_mut().any(joins) {
                branches.push(found);
            }
        }
        Choice {
            branches,
            rank,
            exact,
        }
    }

    /// The plan for a sorted list. If few resources are to be read, they are sorted in memory. Many
    /// are read in the order of an index, if the attribute to sort by has one.
    pub(super) fn sorted(&self, choice: Choice, sort: &SortBy) -> Plan {
        let index = sort
            .path()
            .and_then(|path| self.resource_type.index(path.index_path()))
            .filter(|index| !index.multi_valued && !index.is_by_hour())
            .filter(|_| choice.rank > Rank::GroupsOf);
        let Some(index) = index else {
            return choice.into_plan(self.filter, false);
        };
        let order = match sort.order() {
            SortOrder::Ascending => Order::Ascending,
            SortOrder::Descending => Order::Descending,
        };
        match choice.only() {
            Some(Access::All) => self.by_index(choice, Arc::clone(index), order),
            Some(Access::Range(range)) if range.index == *index => {
                let keys = range.keys.clone();
                let range = Range {
                    order,
                    keys,
                    by_value: true,
                    ..range.clone()
                };
                let choice = Choice::one(Access::Range(range), choice.rank, choice.exact);
                choice.into_plan(self.filter, true)
            }
            _ => choice.into_plan(self.filter, false),
        }
    }

    /// All resources in the order of an index. Resources without a value come last, or first in
    /// descending order.
    fn by_index(&self, choice: Choice, index: Arc<Index>, order: Order) -> Plan {
        let mut accesses = vec![Access::Range(Range {
            index: index.clone(),
            keys: KeyRange::all(),
            order,
            words: String::new(),
            distinct: true,
            by_value: true,
            text: None,
        })];
        if !index.required {
            accesses.push(Access::Without(index, order));
        }
        if order == Order::Descending {
            accesses.reverse();
        }
        let Plan {
            branches, total, ..
        } = choice.into_plan(self.filter, true);
        let residual = branches.into_iter().map(|branch| branch.residual).next();
        let residual = residual.unwrap_or_else(|| self.filter.clone());
        let branch = |access| Branch {
            residual: residual.clone(),
            access,
        };
        Plan {
            branches: accesses.into_iter().map(branch).collect(),
            overlapping: false,
            in_order: true,
            total,
        }
    }
}

/// `id eq "g" and members eq "u"`: two lookups, however large the group is.
fn group_with(choices: &[Choice]) -> Option<Choice> {
    let group = choices.iter().find_map(|choice| match choice.only() {
        Some(Access::Ids(ids)) => match ids.as_slice() {
            [id] => Some(id.clone()),
            _ => None,
        },
        _ => None,
    })?;
    let (member, known) = choices
        .iter()
        .find_map(|choice| match choice.branches.as_slice() {
            [
                FoundBranch {
                    access: Access::GroupsOf { member },
                    known,
                },
            ] => Some((member.clone(), known.clone()?)),
            _ => None,
        })?;
    Some(Choice {
        exact: choices.len() == 2,
        ..Choice::membership(Access::GroupWith { group, member }, Rank::Id, &known)
    })
}

/// Whether every resource has a value at this path.
fn is_always_present(path: &BoundPath) -> bool {
    matches!(path.member(), "id" | "schemas" | "meta")
}
