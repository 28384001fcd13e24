//! What a plan needs to know of an attribute that has an index.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::protocol::filter::{BoundPath, Comparison};
use crate::protocol::key::{IndexRange, Key};
use crate::protocol::path::AttributePath;
use crate::protocol::profile::{Profile, Reading, Rules};
use crate::protocol::schema::{Index, IndexState, Kind, ResourceType};
use crate::store::resources::entry;

/// An attribute with an index that reads can go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// The index.
    pub index: Index,
    /// The attribute.
    pub path: BoundPath,
    /// Whether a resource can have more than one value.
    pub multi_valued: bool,
    /// Whether every resource has a value.
    pub required: bool,
}

impl Indexed {
    /// The index of the attribute with that full notation, if it has one that holds every resource.
    /// Booleans tell so little apart that reading by them saves nothing.
    #[must_use]
    pub fn find(resource_type: &ResourceType, path: &str) -> Option<Self> {
        let index = resource_type
            .indexes
            .iter()
            .find(|index| index.path == path && index.state == IndexState::Active)?;
        let rules = Rules {
            profile: Profile::Strict,
            ..Rules::default()
        };
        let target =
            AttributePath::parse(path)?.resolve(resource_type, &mut Reading::new(&rules))?;
        let (attribute, leaf) = (target.attribute?, target.leaf()?);
        let bound = BoundPath::of(&target);
        (bound.collation().kind != Kind::Boolean).then(|| Self {
            index: index.clone(),
            path: bound,
            multi_valued: attribute.multi_valued || leaf.multi_valued,
            required: attribute.required
                && target.sub_attribute.is_none()
                && target.extension.is_none(),
        })
    }

    /// The texts that a resource stands under, in order.
    #[must_use]
    pub fn texts(&self, body: &Map<String, Value>) -> BTreeSet<String> {
        let keys = self.path.keys(body);
        entry::kept(keys.iter().filter_map(|key| self.text(key)))
    }

    fn text(&self, key: &Key<'_>) -> Option<String> {
        match self.index.is_by_hour() {
            true => key.hour_text().map(str::to_owned),
            false => Some(key.index_text().text),
        }
    }

    /// Where in the index the values are that satisfy a comparison, if it tells.
    pub(in crate::store) fn range(&self, comparison: &Comparison) -> Option<IndexRange> {
        match self.index.is_by_hour() {
            true => comparison.operand.hour_range(comparison.op),
            false => comparison.operand.index_range(comparison.op),
        }
    }
}
