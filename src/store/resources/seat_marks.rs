//! Gives and removes the marks of users that no request has counted.

use std::collections::BTreeMap;

use super::write;
use crate::protocol::schema::ResourceType;
use crate::store::error::StoreError;
use crate::store::seats;
use crate::store::stored::{Stored, n, random_id, signed};
use crate::store::table::Table;
use crate::store::table::transaction::{MAX_STEPS, Transaction};
use crate::store::table::write::Update;

/// A user whose mark does not fit whether it is active.
#[derive(Debug, Clone, Copy)]
pub struct MarkedUser<'u> {
    /// The user as it was read.
    pub user: &'u Stored,
    /// Whether it is active, and so has to have the mark.
    pub is_active: bool,
}

/// A step of the transaction, if it is that of a user.
type StepOf<'u> = Option<MarkedUser<'u>>;

/// As [`super::Resources::mark_seats`] says. The users of one shard are in the same transactions, so these do not
/// conflict with each other.
pub(super) async fn mark<'u>(
    table: &Table,
    resource_type: &ResourceType,
    since: u64,
    users: Vec<MarkedUser<'u>>,
) -> Result<Vec<MarkedUser<'u>>, StoreError> {
    let mut shards = BTreeMap::<u64, Vec<MarkedUser<'u>>>::new();
    for user in users {
        shards
            .entry(seats::shard_of(&user.user.id))
            .or_default()
            .push(user);
    }
    let mut changed = Vec::new();
    for (shard, users) in shards {
        for part in users.chunks(MAX_STEPS - 1) {
            changed.extend(mark_part(table, resource_type, (since, shard), part.to_vec()).await?);
        }
    }
    Ok(changed)
}

/// Marks users of one shard in one transaction. Users that have changed are left out and returned.
async fn mark_part<'u>(
    table: &Table,
    resource_type: &ResourceType,
    (since, shard): (u64, u64),
    mut users: Vec<MarkedUser<'u>>,
) -> Result<Vec<MarkedUser<'u>>, StoreError> {
    let mut changed = Vec::new();
    while !users.is_empty() {
        let mut transaction = Transaction::<StepOf<'u>>::default();
        let mut by = 0;
        for user in &users {
            by += if user.is_active { -1 } else { 1 };
            transaction.push(update_of(table, resource_type, since, *user), Some(*user));
        }
        let mut count = Update::unnamed(seats::key(table.keys(), shard));
        count
            .add("unused :by")
            .require("since = :since")
            .value(":by", signed(by))
            .value(":since", n(since));
        transaction.push(count, None);
        let committed = transaction
            .commit_or_list_refusals(table, &random_id())
            .await?;
        let Err(refused) = committed else {
            return Ok(changed);
        };
        for step in refused {
            // The count has ended, so nothing is left to mark.
            let Some(user) = step.refusal else {
                return Ok(Vec::new());
            };
            users.retain(|other| other.user.id != user.user.id);
            changed.push(user);
        }
    }
    Ok(changed)
}

/// The change of a user's mark, on the condition that the user has not changed since it was read. Clients see
/// no difference, so version and time stay.
fn update_of(
    table: &Table,
    resource_type: &ResourceType,
    since: u64,
    MarkedUser { user, is_active }: MarkedUser<'_>,
) -> Update {
    let mut update = write::update_item(table, resource_type, &user.id, &random_id());
    update
        .require("attribute_not_exists(del) AND v = :v")
        .value(":v", n(user.revision));
    match user.seat {
        Some(mark) => update.require("seat = :mark").value(":mark", n(mark)),
        None => update.require("attribute_not_exists(seat)"),
    };
    update.set_or_remove("seat", is_active.then(|| n(since)));
    update
}
