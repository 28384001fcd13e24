//! The index entries of a resource, derived from its body and the time of its last change.

use serde_json::{Map, Value};

use crate::protocol::datetime::DateTime;
use crate::protocol::error::{Error, Result};
use crate::protocol::key::{Key, text_in};
use crate::protocol::profile::Rules;
use crate::protocol::schema::{Index, MembershipAttribute, ResourceType};
use crate::store::{CLAIMED_BY_SWITCH, Entries, MAX_ENTRIES, MAX_ENTRIES_IN_ALL};

/// All index entries and claims of a resource with this body. `modified` is when the body last
/// changed, in milliseconds since the Unix epoch.
pub(super) fn entries(
    body: &Map<String, Value>,
    modified: u64,
    resource_type: &ResourceType,
    rules: &Rules,
) -> Entries {
    let mut entries = Entries::default();
    for index in &resource_type.indexes {
        if index.is_by_hour() {
            let text = instant_key(modified).and_then(|key| text_in(index, &key));
            entries.add(index, text.into_iter().collect());
            continue;
        }
        let keys = Key::all_of(&index.values, body);
        let texts: Vec<String> = keys.iter().filter_map(|key| text_in(index, key)).collect();
        if claims_too(index, resource_type, rules) {
            entries.claim(index, texts.iter().cloned());
        }
        entries.add(index, texts);
    }
    entries
}

/// Checks that no indexed attribute has more values than its index holds, because a filter would not
/// find the resource by the further values. Checks also that all entries together are not too many
/// for the one transaction that deletes the resource. What was too much before the change may stay.
///
/// # Errors
/// `InvalidValue` with the attribute, the number of its values and the limit.
pub(super) fn check_indexed(before: &Entries, after: &Entries) -> Result<()> {
    match after.crowded_since(before) {
        None if after.len() > MAX_ENTRIES_IN_ALL.max(before.len()) => {
            Err(Error::invalid_value(format!(
                "The attributes that resources are found by have {} values; at most \
                 {MAX_ENTRIES_IN_ALL} are supported in all",
                after.len()
            )))
        }
        None => Ok(()),
        Some((path, values)) => Err(Error::invalid_value(format!(
            "`{path}` has {values} different values; at most {MAX_ENTRIES} are supported, because \
             resources are found by them"
        ))),
    }
}

/// The index key of a time, given in milliseconds since the Unix epoch.
fn instant_key(milliseconds: u64) -> Option<Key<'static>> {
    let milliseconds = i64::try_from(milliseconds).ok()?;
    DateTime::from_unix_milliseconds(milliseconds).map(Key::of_instant)
}

/// Whether a switch of the tenant makes the values of this index unique, although the schema does
/// not.
fn claims_too(index: &Index, resource_type: &ResourceType, rules: &Rules) -> bool {
    rules.switches.unique_group_display_name
        && resource_type.membership == Some(MembershipAttribute::Members)
        && index.path() == CLAIMED_BY_SWITCH
}
