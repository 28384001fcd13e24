//! The seats of a tenant: how many of its users are active, against a limit.
//!
//! The count is exact. A user that is counted has a mark on its own item, and the transaction that gives or
//! removes the mark also changes the number of unused seats. So the count is changed once for each user,
//! however often a process dies or an answer is lost.
//!
//! The unused seats are spread over [`SHARDS`] items, so that users that become active at the same time seldom
//! meet in one item. A user takes a seat from the shard of its id, or from another one if that has none. It is
//! refused if no shard has one.
//!
//! | state of the shards | a user that becomes active | a user that becomes inactive |
//! |---|---|---|
//! | counting: users from before the switch are not all counted | takes a seat of its shard, which may be less than none | gives it back to its shard |
//! | within: no shard has less than none | takes a seat that is there | gives it back to its shard |
//! | over: more users are active than the limit allows | is refused | gives it back to its shard |
//!
//! A state holds for all shards, because one transaction changes all of them: the doctor ends the count, an
//! operator changes the limit, or a request finds that enough seats were given back to be within the limit
//! again. It is the items that have the state, and not the configuration, which processes cache for a minute.
//!
//! Each count has a number of its own (`since`). Marks of an earlier count mean nothing.

mod shards;
mod step;

use super::error::StoreError;
use super::items::{self, SeatItem};
use super::key_range::EVERY_KEY;
use super::keys::{self, ItemKey, Keys};
use super::projected_attributes::ProjectedAttributes;
use super::stored::random_id;
use super::table::Table;
use super::table::batch::{self, PlainWrite};
use super::table::call::Backoff;
use super::table::query::Query;

pub use shards::{SeatShards, SeatState};
pub use step::SeatChange;
pub(super) use step::SeatStep;

/// The number of items over which the unused seats are spread.
const SHARDS: u64 = 16;

/// The seats of one tenant.
#[derive(Clone, Copy)]
pub struct Seats<'t> {
    table: &'t Table,
}

impl<'t> Seats<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// The shards, unless no seats are counted. Strongly consistent; one call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn read(self) -> Result<Option<SeatShards>, StoreError> {
        read(self.table).await
    }

    /// Begins a count with this number of seats, none of them taken. Shards of an earlier count are replaced.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn begin(self, since: u64, limit: u64, state: SeatState) -> Result<(), StoreError> {
        let shards = SeatShards::new(since, limit, state);
        let partition = self.table.keys().seats();
        let items = shards.items();
        let items = items.map(|item| PlainWrite::Put(items::to_item(partition.as_str(), item)));
        batch::write(self.table, items.collect()).await
    }

    /// Ends the count. Marks of users stay, and mean nothing.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn end(self) -> Result<(), StoreError> {
        let keys = (0..SHARDS).map(|shard| PlainWrite::Delete(key(self.table.keys(), shard)));
        batch::write(self.table, keys.collect()).await
    }

    /// Changes the limit of the count that is under way. Users that are active stay so.
    ///
    /// # Errors
    /// `Unavailable`, also when other requests prevented it until the deadline; `Backend`.
    pub async fn set_limit(self, limit: u64) -> Result<(), StoreError> {
        self.change(|shards| shards.with_limit(limit)).await
    }

    /// From now on no more users than the limit can become active: all users from before the switch are
    /// counted.
    ///
    /// # Errors
    /// As [`set_limit`](Self::set_limit).
    pub async fn complete(self) -> Result<(), StoreError> {
        self.change(|shards| shards.completed()).await
    }

    /// Corrects the number of taken seats, if it is still `said`, to the number of users that have a mark.
    ///
    /// # Errors
    /// As [`set_limit`](Self::set_limit).
    pub async fn correct(self, said: &SeatShards, marked: u64) -> Result<(), StoreError> {
        // If they have changed, a request has counted meanwhile, and the next examination compares again.
        shards::replace(self.table, said, &said.with_taken(marked)).await?;
        Ok(())
    }

    /// Replaces the shards by what `change` makes of them, until no request has changed them in between.
    async fn change(self, change: impl Fn(&SeatShards) -> SeatShards) -> Result<(), StoreError> {
        let mut backoff = Backoff::default();
        loop {
            // The count has ended meanwhile.
            let Some(shards) = self.read().await? else {
                return Ok(());
            };
            let changed = change(&shards);
            if changed == shards || shards::replace(self.table, &shards, &changed).await? {
                return Ok(());
            }
            self.table.pause(&mut backoff).await?;
        }
    }
}

async fn read(table: &Table) -> Result<Option<SeatShards>, StoreError> {
    let partition = table.keys().seats();
    let items = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::All);
    let items = items.all(table).await?.into_iter();
    let items = items.map(items::from_item::<SeatItem>);
    SeatShards::of(&items.collect::<Result<Vec<_>, _>>()?)
}

/// The key of a shard.
pub(super) fn key(keys: &Keys, shard: u64) -> ItemKey {
    keys.seats().key(sort_key(shard))
}

fn sort_key(shard: u64) -> String {
    format!("{shard:02}")
}

/// The shard of a user.
pub(super) fn shard_of(id: &str) -> u64 {
    keys::stable_hash(id) % SHARDS
}
