//! Events of a tenant that is suspended, deleted, resumed or restored.
//!
//! They come from the table's stream like those of resources. So whatever process has made the change, and
//! whenever it died, the feed reports it once.

use serde_json::json;

use super::event::{EventBody, EventType, NewEvent, time_text};
use super::record::Record;
use crate::store::{StateChange, TenantState};

/// The event of a change of a tenant's state; `None` if nothing changes for those who follow the feed, as with
/// another reason.
pub(super) fn event(record: &Record, change: &StateChange) -> Option<NewEvent> {
    if is_the_same(&change.before, &change.after) {
        return None;
    }
    let named = |name| EventBody::new(EventType::named(name), record.time);
    let body = match change.after {
        TenantState::Active => named(EventType::TENANT_RESUMED),
        TenantState::Suspended { .. } => named(EventType::TENANT_SUSPENDED),
        TenantState::Deleting { purge_at, .. } => named(EventType::TENANT_SUSPENDED)
            .with_detail([("purgeAt", json!(time_text(purge_at)))]),
    };
    Some(NewEvent::of(record.id.clone(), body))
}

fn is_the_same(before: &TenantState, after: &TenantState) -> bool {
    match (before, after) {
        (TenantState::Active, TenantState::Active)
        | (TenantState::Suspended { .. }, TenantState::Suspended { .. }) => true,
        (
            TenantState::Deleting { purge_at: one, .. },
            TenantState::Deleting {
                purge_at: other, ..
            },
        ) => one == other,
        _ => false,
    }
}
