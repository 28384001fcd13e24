//! What lies between two places of a file: resources and members that the file lacks.
//!
//! A file has its lines in order, so what lies in the table between two of them is in no line. So an import that
//! replaces a directory finds what to remove without having all of the file in memory.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::state::Position;
use crate::protocol::error::Result;
use crate::provider::Importer;
use crate::store::Member;

/// What was removed, and whether that is all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    /// The number of resources, or of members.
    pub(super) removed: u64,
    /// Whether time has run out before the end. The same call goes on.
    pub(super) is_cut: bool,
}

/// Removes the resources after one place and up to another, except those that the lines up to there name. Without a
/// second place, all resources after the first one.
pub(super) async fn sweep_resources(
    importer: &Importer<'_>,
    after: Option<&Position>,
    until: Option<(&str, &str)>,
    keep: &BTreeSet<(String, String)>,
    ends: Instant,
) -> Result<Swept> {
    let begin = match after {
        None => Some(("", None)),
        Some(Position::Resource(type_name, id)) => Some((type_name.as_str(), Some(id.as_str()))),
        // Members come after all resources.
        Some(Position::Member(..)) => None,
    };
    let mut swept = Swept::default();
    let Some((first, first_id)) = begin else {
        return Ok(swept);
    };
    for resource_type in importer.types() {
        let name = resource_type.name.as_str();
        if name < first || until.is_some_and(|(last, _)| name > last) {
            continue;
        }
        let mut from = first_id.filter(|_| name == first).map(str::to_owned);
        let to = until.filter(|(last, _)| name == *last).map(|(_, id)| id);
        loop {
            let step = importer
                .remove_others(name, from.as_deref(), to, keep)
                .await?;
            swept.removed += step.resources;
            if step.next.is_none() {
                break;
            }
            if Instant::now() >= ends {
                swept.is_cut = true;
                return Ok(swept);
            }
            from = step.next;
        }
    }
    Ok(swept)
}

/// Where members lie between two places of a file.
pub(super) struct MembersBetween<'l> {
    /// The type and the group of the first place, and its member if it has one.
    first: Option<(&'l str, &'l str, Option<&'l str>)>,
    /// The type and the group of the second place, and the members of the line that ends there. None is the end of all
    /// groups.
    last: Option<(&'l str, &'l str, &'l BTreeMap<String, Member>)>,
}

impl<'l> MembersBetween<'l> {
    /// The members after one place and up to another.
    pub(super) fn new(
        after: Option<&'l Position>,
        until: Option<(&'l str, &'l str, &'l BTreeMap<String, Member>)>,
    ) -> Self {
        let first = match after {
            Some(Position::Member(type_name, group, member)) => {
                let member = Some(member.as_str()).filter(|member| !member.is_empty());
                Some((type_name.as_str(), group.as_str(), member))
            }
            // Resources come before all members.
            Some(Position::Resource(..)) | None => None,
        };
        Self { first, last: until }
    }

    /// Whether both places are in one group.
    fn is_in_one_group(&self) -> bool {
        let (first, last) = (self.first, self.last);
        let first = first.map(|(name, group, _)| (name, group));
        first.is_some() && first == last.map(|(name, group, _)| (name, group))
    }

    /// Removes the members, except those of the line that ends at the second place.
    ///
    /// # Errors
    /// `Unavailable` if the table is out of reach.
    pub(super) async fn sweep(&self, importer: &Importer<'_>, ends: Instant) -> Result<Swept> {
        let (none, mut swept) = (BTreeMap::new(), Swept::default());
        if !self.is_in_one_group() {
            if let Some((name, group, member)) = self.first {
                let removed = importer.remove_members((name, group), member, None, &none);
                swept.removed += removed.await?;
            }
            swept = self.sweep_groups(importer, swept, ends).await?;
        }
        if let (Some((name, group, members)), false) = (self.last, swept.is_cut) {
            let first = self.first.filter(|_| self.is_in_one_group());
            let from = first.and_then(|(_, _, member)| member);
            if let Some(to) = members.keys().next_back() {
                let removed = importer.remove_members((name, group), from, Some(to), members);
                swept.removed += removed.await?;
            }
        }
        Ok(swept)
    }

    /// Removes all members of the groups between the two groups.
    async fn sweep_groups(
        &self,
        importer: &Importer<'_>,
        mut swept: Swept,
        ends: Instant,
    ) -> Result<Swept> {
        let none = BTreeMap::new();
        for name in importer.group_types() {
            let is_before = self.first.is_some_and(|(first, ..)| name.as_str() < first);
            if is_before || self.last.is_some_and(|(last, ..)| name.as_str() > last) {
                continue;
            }
            let first = self.first.filter(|(first, ..)| name == *first);
            let last = self.last.filter(|(last, ..)| name == *last);
            let before = last.map(|(_, group, _)| group);
            let mut from = first.map(|(_, group, _)| group.to_owned());
            loop {
                let between = importer.groups_between(&name, from.as_deref(), before);
                let (groups, more) = between.await?;
                for group in &groups {
                    let removed = importer.remove_members((&name, group), None, None, &none);
                    swept.removed += removed.await?;
                }
                if !more {
                    break;
                }
                if Instant::now() >= ends {
                    swept.is_cut = true;
                    return Ok(swept);
                }
                from = groups.last().cloned();
            }
        }
        Ok(swept)
    }
}
