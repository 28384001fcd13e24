//! Occasions: what has happened in a tenant without a change of a resource, and that its feed reports.
//!
//! An occasion is an item, so it comes to the reader of the table's stream like any change. It is put once an
//! hour, and no request reads it.

use super::cause;
use super::error::StoreError;
use super::items::{self, OccasionItem};
use super::keys::SEPARATOR;
use super::table::Table;
use super::table::write::{Condition, Put};

/// An hour, in milliseconds.
const HOUR_MILLIS: u64 = 60 * 60 * 1_000;
/// How long an item is kept, in seconds: longer than the hour in which it must not be put again.
const KEPT_SECONDS: u64 = 2 * 60 * 60;

/// The occasion that a protected user was neither deactivated nor deleted. It is the type of its event.
pub const USER_PROTECTED: &str = "user.protected";

/// What has happened to a resource.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'o> {
    /// The type of the event, such as [`USER_PROTECTED`].
    pub event: &'o str,
    /// The name of the resource's type.
    pub type_name: &'o str,
    /// The resource's `id`.
    pub id: &'o str,
    /// What was tried, in one word.
    pub what: &'o str,
}

/// The occasions of one tenant.
#[derive(Clone, Copy)]
pub struct Occasions<'t> {
    table: &'t Table,
}

impl<'t> Occasions<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Notes an occasion, with the cause of the request. False if one of this event and resource was noted in
    /// this hour already, or if the answer of an earlier attempt was lost. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn note(self, occasion: &Occasion<'_>) -> Result<bool, StoreError> {
        let Occasion {
            event,
            type_name,
            id,
            what,
        } = occasion;
        let now = self.table.now_millis();
        let item = OccasionItem {
            sk: format!("{event}{SEPARATOR}{id}{SEPARATOR}{}", now / HOUR_MILLIS),
            kind: OccasionItem::KIND.to_owned(),
            event: (*event).to_owned(),
            type_name: (*type_name).to_owned(),
            id: (*id).to_owned(),
            what: (*what).to_owned(),
            by: cause::of_member(self.table.cause()),
            expires: now / 1_000 + KEPT_SECONDS,
        };
        let partition = self.table.keys().occasions();
        let item = items::to_item(partition.as_str(), item);
        let is_new = Condition::new("attribute_not_exists(pk)");
        Put::new(item).when(is_new).send(self.table).await
    }
}
