//! Looks up whether resources are members of groups now, for many pairs at once.
//!
//! The items of one membership move between sets and partitions. So a record of a single item does
//! not say whether a resource is a member, and the present items have to be read.

use std::collections::{BTreeMap, BTreeSet};

use super::departures;
use super::set::MemberSet;
use crate::identity::Cause;
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::keys::ItemKey;
use crate::store::projected_attributes::ProjectedAttributes;
use crate::store::stored::{self, GroupState, Item};
use crate::store::table::{Table, get};

/// A group and a resource that may be a member of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The group's `id`.
    pub group: String,
    /// The resource's `id`.
    pub member: String,
    /// The name of the resource's type.
    pub member_type: String,
}

/// What the table has on a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The group does not exist or is being deleted.
    NoGroup,
    /// The group exists.
    Group {
        /// The name of its current set.
        set: String,
        /// Whether the resource is in that set, exists, and is not being deleted.
        is_member: bool,
        /// What the group's item says of the members that were removed lately.
        gone: Departures,
    },
}

/// The members that were removed from a group lately, as its item says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Departures(String);

impl Departures {
    /// The cause of the removal of a member whose item, with this stamp, was in this set; or of a later
    /// removal of the same member. `None` if it is not known.
    #[must_use]
    pub fn cause_of(&self, set: &str, member: &str, stamp: u64) -> Option<Cause> {
        departures::cause_of(&self.0, set, member, stamp)
    }
}

/// Looks up each of these pairs: with one BatchGetItem for every hundred groups, then one for every
/// hundred items of the members. Strongly consistent, but not a snapshot: another request may change
/// a group between the two reads.
///
/// # Errors
/// `Unavailable`, `Backend`.
pub(super) async fn look(
    table: &Table,
    pairs: BTreeSet<Pair>,
    types: &Registry,
) -> Result<BTreeMap<Pair, Look>, StoreError> {
    let groups = groups(table, &pairs, types).await?;
    let mut keys = BTreeSet::new();
    for pair in &pairs {
        if let Some(state) = groups.get(&pair.group) {
            keys.insert(MemberSet::new(table, &pair.group, state).key(&pair.member));
            keys.extend(resource_key(table, pair, types));
        }
    }
    let mut living = BTreeSet::new();
    for mut item in get::many(table, keys, ProjectedAttributes::Membership).await? {
        if !stored::is_deleted(&item) {
            living.insert(ItemKey::of(&mut item)?);
        }
    }
    let looks = pairs.into_iter().map(|pair| {
        let look = match groups.get(&pair.group) {
            None => Look::NoGroup,
            Some(state) => {
                let item = MemberSet::new(table, &pair.group, state).key(&pair.member);
                let resource = resource_key(table, &pair, types);
                Look::Group {
                    set: state.set.clone(),
                    gone: Departures(state.gone.clone()),
                    is_member: living.contains(&item)
                        && resource.is_some_and(|key| living.contains(&key)),
                }
            }
        };
        (pair, look)
    });
    Ok(looks.collect())
}

/// The current sets of the groups of these pairs, by the groups' ids, without groups that are gone
/// or being deleted.
async fn groups(
    table: &Table,
    pairs: &BTreeSet<Pair>,
    types: &Registry,
) -> Result<BTreeMap<String, GroupState>, StoreError> {
    let Some(group_type) = types.group_type() else {
        return Ok(BTreeMap::new());
    };
    let partition = table.keys().resources(group_type);
    let keys = pairs.iter().map(|pair| partition.key(&pair.group));
    let items = get::many(table, keys.collect(), ProjectedAttributes::Membership).await?;
    let living = items.into_iter().filter(|item| !stored::is_deleted(item));
    let states = living.map(|mut item: Item| {
        let state = GroupState::take_set(&mut item)?;
        Ok((stored::take_text(&mut item, "sk")?, state))
    });
    states.collect()
}

/// The key of the resource that may be a member. `None` if the tenant does not have its type.
fn resource_key(table: &Table, pair: &Pair, types: &Registry) -> Option<ItemKey> {
    let resource_type = types.resource_type(&pair.member_type)?;
    Some(table.keys().resources(resource_type).key(&pair.member))
}
