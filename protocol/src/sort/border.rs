//! The end of a page of a sorted list, in a form of bounded length.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::SortKey;
use super::SortOrder;
use crate::key::{Key, beginning_of, digest, unordered_prefix_of};

/// The number of bytes of a key that a border holds. A cursor with such a border fits into a URL,
/// whatever characters the key has.
const MAX_BYTES: usize = 1_200;

/// The position of one resource in a sorted list, from which a later request continues.
///
/// A value may have several hundred kilobytes; a border has at most about 2.5 KB as JSON. Of a longer
/// key it holds the beginning and a hash of the whole. While the resource keeps its value, the whole
/// key can be read from the resource.
///
/// **Shape**: `{"k":"bjensen","i":"0192…"}`, with `h` if the key is cut, without `k` if the resource
/// has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Border {
    /// The beginning of the key, without control characters.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    beginning: Option<String>,
    /// The hash of the whole key, if it is longer than the beginning.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// The resource's id.
    #[serde(rename = "i")]
    id: Box<str>,
}

impl Border {
    /// The border at a resource.
    #[must_use]
    pub fn of(place: &SortKey) -> Self {
        let cut = place
            .key
            .as_ref()
            .map(|key| (key, beginning_of(key, MAX_BYTES)));
        Self {
            hash: cut
                .as_ref()
                .and_then(|(key, (_, is_cut))| is_cut.then(|| digest(key))),
            beginning: cut.map(|(_, (beginning, _))| beginning),
            id: place.id.clone(),
        }
    }

    /// The resource's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the whole key is needed to compare the border with every other resource.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.hash.is_some()
    }

    /// The beginning of all index texts that an index cannot put in order with this key. Only for a
    /// key that is too long for an index.
    #[must_use]
    pub fn unordered_prefix(&self) -> &str {
        unordered_prefix_of(self.beginning.as_deref().unwrap_or_default())
    }

    /// Whether this is the key that was cut.
    #[must_use]
    pub fn is_of(&self, key: &Key<'_>) -> bool {
        self.hash.as_ref().is_some_and(|hash| *hash == digest(key))
    }

    /// Whether a resource comes after the border. `exact` is the whole key, if the border is cut and
    /// the key is known.
    ///
    /// Without it, every resource that shares the beginning of a cut key counts as after the border: a
    /// list then repeats some resources and skips none.
    #[must_use]
    pub fn is_before(&self, place: &SortKey, exact: Option<&Key<'_>>) -> bool {
        let by_value = match (&place.key, &self.beginning) {
            (Some(key), Some(beginning)) => match self.compare(key, beginning, exact) {
                Some(by_value) => by_value,
                None => return true,
            },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let ascending = by_value.then_with(|| place.id.cmp(&self.id));
        match place.order {
            SortOrder::Ascending => ascending.is_gt(),
            SortOrder::Descending => ascending.is_lt(),
        }
    }

    /// Compares a key with that of the border; `None` if the border holds too little of its key.
    fn compare(&self, key: &Key<'_>, beginning: &str, exact: Option<&Key<'_>>) -> Option<Ordering> {
        if let Some(exact) = exact {
            return Some(key.cmp(exact));
        }
        // One more character (up to four bytes) or pair, so that a longer key is seen to be longer.
        let (other, _) = beginning_of(key, MAX_BYTES + 4);
        match &self.hash {
            Some(_) if other.starts_with(beginning) => self.is_of(key).then_some(Ordering::Equal),
            _ => Some(other.as_str().cmp(beginning)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(key: Option<&str>, id: &str, order: SortOrder) -> SortKey {
        SortKey {
            key: key.map(|key| Key::from_text(key.to_owned())),
            id: id.into(),
            order,
        }
    }

    #[test]
    fn without_the_whole_key_an_uncertain_resource_counts_as_after() {
        let long = "a".repeat(2_000);
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let here = place(Some(&long), "2", order);
            let border = Border::of(&here);
            let [before, same, behind] = ["1", "2", "3"].map(|id| place(Some(&long), id, order));
            // Equal keys have equal hashes, so the ids decide.
            let found = [before, same, behind].map(|other| border.is_before(&other, None));
            let expected = match order {
                SortOrder::Ascending => [false, false, true],
                SortOrder::Descending => [true, false, false],
            };
            assert_eq!(found, expected);
            for other in [format!("{long}b"), format!("{long}a")] {
                let other = place(Some(&other), "1", order);
                assert!(border.is_before(&other, None));
                assert_eq!(border.is_before(&other, here.key.as_ref()), here < other);
            }
        }
    }

    #[test]
    fn a_border_has_a_bounded_length() {
        for part in [
            "a",
            "\"",
            "\\",
            "\u{0}",
            "\u{1f}",
            " ",
            "é",
            "😀",
            "\u{10ffff}",
        ] {
            let key = part.repeat(300_000 / part.len());
            let border = Border::of(&place(Some(&key), "0192", SortOrder::Ascending));
            let text = serde_json::to_string(&border).unwrap_or_default();
            assert!(
                (600..2_600).contains(&text.len()),
                "{part:?}: {}",
                text.len()
            );
        }
    }

    fn any_key() -> impl Strategy<Value = Option<String>> {
        let part = prop::sample::select(vec!["a", "b", "é", "😀", "\u{0}", "\u{1f}", " ", "!"]);
        let tail = prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat());
        let lengths = prop::sample::select(vec![0_usize, 1, 1_190, 1_196, 1_200, 1_300]);
        let key = (lengths, tail).prop_map(|(length, tail)| "x".repeat(length) + &tail);
        prop::option::weighted(0.9, key)
    }

    proptest! {
        #[test]
        fn a_border_has_the_position_of_its_resource(
            here in any_key(), there in any_key(), ids in (0..3_u8, 0..3_u8), ascending in any::<bool>(),
        ) {
            let order = if ascending { SortOrder::Ascending } else { SortOrder::Descending };
            let here = place(here.as_deref(), &ids.0.to_string(), order);
            let there = place(there.as_deref(), &ids.1.to_string(), order);
            let border = Border::of(&here);
            let border: Border =
                serde_json::from_str(&serde_json::to_string(&border).unwrap_or_default()).unwrap_or(border);
            let exact = here.key.as_ref().filter(|_| border.is_cut());
            prop_assert_eq!(border.is_before(&there, exact), here < there);
            // Resources are not skipped where the whole key is no longer known.
            prop_assert!(border.is_before(&there, None) || here >= there);
            if let Some(key) = &here.key {
                prop_assert_eq!(border.is_of(key), border.is_cut());
            }
        }
    }
}
