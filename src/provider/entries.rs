//! The index entries of a resource, as its body says them.

use serde_json::{Map, Value};

use crate::protocol::filter::BoundPath;
use crate::protocol::profile::Rules;
use crate::protocol::schema::{Index, Membership, ResourceType};
use crate::store::Entries;

/// Every key that a resource with this body stands under.
pub(super) fn entries(
    body: &Map<String, Value>,
    resource_type: &ResourceType,
    rules: &Rules,
) -> Entries {
    let mut entries = Entries::default();
    for index in &resource_type.indexes {
        let Some(path) = BoundPath::of_index(index, resource_type) else {
            continue;
        };
        let texts: Vec<String> = path
            .keys(body)
            .iter()
            .map(|key| key.index_text().text)
            .collect();
        if claims_too(index, resource_type, rules) {
            entries.claim(index, texts.iter().cloned());
        }
        entries.add(index, texts);
    }
    entries
}

/// Whether the tenant's switch makes an otherwise shared value unique.
fn claims_too(index: &Index, resource_type: &ResourceType, rules: &Rules) -> bool {
    rules.switches.unique_group_display_name
        && resource_type.membership == Some(Membership::Members)
        && index.path == "displayName"
}
