//! New resources that are stored several in one transaction, so that a directory that arrives takes few calls.
//!
//! The resources of one transaction are counted in one counter. So transactions that run at the same time do not meet
//! in a counter, and each changes its counter once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::entry::{Entries, Entry};
use super::steps::{Refusal, add_new, count};
use crate::protocol::schema::ResourceType;
use crate::store::error::StoreError;
use crate::store::keys;
use crate::store::stored::{Stored, random_id};
use crate::store::table::Table;
use crate::store::table::transaction::{MAX_STEPS, Transaction};

/// The number of transactions that run at the same time.
const PARALLEL: usize = 16;
/// The size of the resources of one transaction, in bytes of bodies and entries. DynamoDB takes 4 MB with the names of
/// attributes and the keys.
const MAX_BYTES: usize = 2_000_000;
/// The bytes of an item beside its body, or beside the key of its entry.
const ITEM_BYTES: usize = 500;

/// A new resource that may be stored with others.
pub(in crate::store) struct NewResource<'r> {
    pub(in crate::store) resource_type: &'r ResourceType,
    pub(in crate::store) stored: Stored,
    pub(in crate::store) entries: &'r Entries,
}

/// Resources of one transaction, by their places in the list.
#[derive(Default)]
struct Shared {
    places: Vec<usize>,
    steps: usize,
    bytes: usize,
}

/// Stores new resources without seats, each as a whole or not at all. Returns of each whether it was stored.
///
/// One that was not stored has to be stored alone: its id or a value of it is taken, or that of a resource of the same
/// transaction, or a resource before it in the list has the same value, or it is too large to be stored with others.
///
/// # Errors
/// `Unavailable`, `Backend`; then some may have been stored.
pub(in crate::store) async fn create(
    table: &Table,
    new: &[NewResource<'_>],
) -> Result<Vec<bool>, StoreError> {
    let transactions = shared(new);
    let commits = transactions.into_iter().map(|shared| async move {
        let is_stored = commit(table, new, &shared.places).await?;
        Ok::<_, StoreError>((shared.places, is_stored))
    });
    let commits: Vec<_> = stream::iter(commits)
        .buffer_unordered(PARALLEL)
        .try_collect()
        .await?;
    let mut stored = vec![false; new.len()];
    for (places, is_stored) in commits {
        for place in places {
            stored[place] = is_stored;
        }
    }
    Ok(stored)
}

/// The transactions in which the resources are stored.
fn shared(new: &[NewResource<'_>]) -> Vec<Shared> {
    let mut open: BTreeMap<(&str, String), Shared> = BTreeMap::new();
    let (mut full, mut claims) = (Vec::new(), BTreeSet::<(&str, &Entry)>::new());
    for (place, resource) in new.iter().enumerate() {
        let type_name = resource.resource_type.name.as_str();
        let mut is_repeated = false;
        for claim in resource.entries.iter().filter(|entry| entry.unique) {
            is_repeated |= !claims.insert((type_name, claim));
        }
        let (steps, bytes) = (resource.entries.len() + 1, resource.bytes());
        // A transaction has one step for an item. And the first resource of the list gets a value, however the
        // transactions come to run.
        if is_repeated || steps + 1 > MAX_STEPS || bytes > MAX_BYTES {
            continue;
        }
        let counter = (type_name, keys::counter(&resource.stored.id));
        let shared = open.entry(counter).or_default();
        if shared.steps + steps + 1 > MAX_STEPS || shared.bytes + bytes > MAX_BYTES {
            full.push(std::mem::take(shared));
        }
        shared.places.push(place);
        shared.steps += steps;
        shared.bytes += bytes;
    }
    full.extend(open.into_values());
    full
}

/// Stores the resources at these places. False if none was stored, because one of them was refused.
async fn commit(
    table: &Table,
    new: &[NewResource<'_>],
    places: &[usize],
) -> Result<bool, StoreError> {
    let Some(NewResource {
        resource_type,
        stored: first,
        ..
    }) = places.first().map(|place| &new[*place])
    else {
        return Ok(true);
    };
    let (rid, mut transaction) = (random_id(), Transaction::default());
    for NewResource {
        resource_type,
        stored,
        entries,
    } in places.iter().map(|place| &new[*place])
    {
        add_new(
            &mut transaction,
            table,
            resource_type,
            stored,
            entries,
            &rid,
        );
    }
    let by = i64::try_from(places.len()).unwrap_or(i64::MAX);
    let counter = count(table.keys(), resource_type, &first.id, by);
    transaction.push(counter, Refusal::Never);
    match transaction.commit(table, &rid).await {
        Ok(committed) => Ok(committed.is_ok()),
        // One of the items is too large. It is found when each resource is stored alone.
        Err(StoreError::TooLarge) => Ok(false),
        Err(error) => Err(error),
    }
}

impl NewResource<'_> {
    /// Roughly the number of bytes of its items.
    fn bytes(&self) -> usize {
        let keys: usize = self.entries.iter().map(|entry| entry.key.len()).sum();
        self.stored.body.len() + keys + (self.entries.len() + 1) * ITEM_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::schema::Registry;
    use crate::store::resources::write::{New, Write};
    use crate::store::seats::SeatChange;

    /// The places of each transaction for users with these names, in order.
    fn places(names: &[&str], body: &str) -> Vec<Vec<usize>> {
        let users = Registry::builtin().resource_type("User").unwrap();
        let index = users.index("userName").unwrap();
        let entries: Vec<Entries> = names
            .iter()
            .map(|name| {
                let mut entries = Entries::default();
                entries.add(index, vec![(*name).to_owned()]);
                entries
            })
            .collect();
        let new: Vec<_> = entries
            .iter()
            .enumerate()
            .map(|(number, entries)| NewResource {
                resource_type: users,
                stored: New {
                    id: &number.to_string(),
                    write: Write {
                        body,
                        entries,
                        password: None,
                        seat: SeatChange::Ignore,
                        now: 0,
                    },
                }
                .stored(),
                entries,
            })
            .collect();
        let mut places: Vec<_> = shared(&new)
            .into_iter()
            .map(|shared| shared.places)
            .collect();
        places.sort();
        places
    }

    #[test]
    fn a_transaction_has_resources_of_one_counter_within_its_bounds() {
        let names: Vec<String> = (0..5_000).map(|number| format!("user-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (body, most) in [("{}", 49), (&"x".repeat(398_000), 5)] {
            let places = places(&names, body);
            let largest = places.iter().map(Vec::len).max();
            assert_eq!(largest, Some(most));
            assert_eq!(places.iter().map(Vec::len).sum::<usize>(), 5_000);
            for places in places {
                let counters: BTreeSet<_> = places
                    .iter()
                    .map(|place| keys::counter(&place.to_string()))
                    .collect();
                assert_eq!(counters.len(), 1);
            }
        }
    }

    #[test]
    fn of_two_resources_with_one_value_the_first_is_stored() {
        let places = places(&["a", "b", "a", "c", "b"], "{}");
        let mut all: Vec<usize> = places.into_iter().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 3]);
    }
}
