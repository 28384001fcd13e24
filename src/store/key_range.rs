//! Ranges of sort keys.

use super::keys::SEPARATOR;

/// The longest index text, in bytes.
const MAX_TEXT_BYTES: usize = 700;

/// A range of sort keys: from a first key, which is included, up to an end, which is not included.
///
/// In a sort key the separator follows the index text, and it sorts before every character of a
/// text. So sort keys have the order of their texts, and no sort key equals the end of a range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyRange {
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

/// Every key.
pub(super) static EVERY_KEY: KeyRange = KeyRange {
    from: None,
    to: None,
};

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The keys that equal this text.
    #[must_use]
    pub fn equal(text: &str) -> Self {
        Self::at_least(text).and(Self::at_most(text))
    }

    /// The keys that begin with this text.
    #[must_use]
    pub fn prefix(text: &str) -> Self {
        // Filled with the greatest character to more than the longest text, the end sorts after
        // every text with this prefix.
        let greater = (MAX_TEXT_BYTES.saturating_sub(text.len())) / char::MAX.len_utf8() + 1;
        Self {
            // DynamoDB does not take the empty string as a key value.
            from: Some(text.to_owned()).filter(|text| !text.is_empty()),
            to: Some(
                text.chars()
                    .chain(std::iter::repeat_n(char::MAX, greater))
                    .collect(),
            ),
        }
    }

    /// The keys that equal this text or come after it.
    #[must_use]
    pub fn at_least(text: &str) -> Self {
        Self {
            from: Some(text.to_owned()),
            to: None,
        }
    }

    /// The keys that come after this text.
    #[must_use]
    pub fn greater(text: &str) -> Self {
        Self {
            from: Some(after(text)),
            to: None,
        }
    }

    /// The keys that come before this text.
    #[must_use]
    pub fn less(text: &str) -> Self {
        Self {
            from: None,
            to: Some(text.to_owned()),
        }
    }

    /// The keys that equal this text or come before it.
    #[must_use]
    pub fn at_most(text: &str) -> Self {
        Self {
            from: None,
            to: Some(after(text)),
        }
    }

    /// The keys that are in both ranges.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let to = match (self.to, other.to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            from: self.from.max(other.from),
            to,
        }
    }

    /// Whether the range ends before this sort key.
    #[must_use]
    pub fn is_before(&self, key: &str) -> bool {
        self.to.as_deref().is_some_and(|to| key >= to)
    }

    /// Whether a sort key is in the range.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.from.as_deref().is_none_or(|from| key >= from)
            && self.to.as_deref().is_none_or(|to| key < to)
    }

    /// The index text in the sort key of a claim or of an index entry.
    #[must_use]
    pub fn text_of(key: &str) -> &str {
        key.split_once(SEPARATOR).map_or(key, |(text, _)| text)
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!((&self.from, &self.to), (Some(from), Some(to)) if from >= to)
    }
}

/// The end of a range that includes this text: it sorts after the claim and every index entry of the
/// text, and before those of any greater text. It is itself no sort key.
fn after(text: &str) -> String {
    format!("{text}{SEPARATOR}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn ranges_hold_claims_and_entries_alike() {
        let texts = ["a", "a P", "ab", "ab c", "ab\u{10ffff}", "b", "ü"];
        for operand in ["a", "ab", "abb", "b", "zz"] {
            let check = |name: &str, range: KeyRange, expected: &dyn Fn(&str) -> bool| {
                for key in texts {
                    for sort_key in [keys::claim(key), keys::entry(key, "0192-id")] {
                        assert_eq!(
                            range.contains(&sort_key),
                            expected(key),
                            "{key} {name} {operand}"
                        );
                        assert_eq!(KeyRange::text_of(&sort_key), key);
                    }
                }
            };
            check("eq", KeyRange::equal(operand), &|key| key == operand);
            check("sw", KeyRange::prefix(operand), &|key| {
                key.starts_with(operand)
            });
            check("ge", KeyRange::at_least(operand), &|key| key >= operand);
            check("gt", KeyRange::greater(operand), &|key| key > operand);
            check("lt", KeyRange::less(operand), &|key| key < operand);
            check("le", KeyRange::at_most(operand), &|key| key <= operand);
        }
        assert!(KeyRange::greater("b").and(KeyRange::less("a")).is_empty());
    }
}
