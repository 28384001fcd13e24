//! Keys as text for a sorted index: bounded, and without control characters.
//!
//! An index entry is this text, then [`SEPARATOR`], then an id. The separator sorts before every
//! character of a text, so entries are ordered by key first, and `a` comes before `ab`. A key may hold
//! any character, so control characters are written as pairs that begin with a blank. The blank itself
//! is written as a pair too, because the order would change otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::{CompareOp, Key};
use crate::schema::Index;

/// Separates the text of a key from what follows it. No text holds a character up to this one.
pub const SEPARATOR: char = '\u{1f}';
/// The first character of a pair. A pair is written for one character up to this one, for the empty
/// key, or for the rest of a cut key.
const ESCAPE: char = ' ';
/// The text of the empty key: a stored key must not be empty. It sorts before all others.
const EMPTY: &str = " !";
/// Separates the head of a cut key from the hash of the whole key. It sorts before the pairs of
/// [`escape`], because the hash has no order.
const CUT: &str = " #";

/// The length of the longest text that is not cut, in bytes.
const WHOLE: usize = 640;
/// The length to which longer texts are cut, in bytes. A head may be shorter by a part of a character
/// and by half a pair. It is still longer than every whole text, so the two are never equal.
const HEAD: usize = WHOLE + 5;

/// The length of the beginning of an instant's key up to the hour: `2026-11-23T03`.
const HOUR: usize = 13;

/// The text of a key in an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IndexText {
    /// At most 700 bytes, never empty. Equal keys have equal texts, and different keys different ones.
    pub(crate) text: String,
    /// Whether the key was too long. Then the text ends in a hash, and keys with the same head are not
    /// in order.
    pub(crate) cut: bool,
}

/// The part of an index that holds all values which satisfy a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IndexRange {
    /// The texts to read.
    pub bounds: Bounds,
    /// Whether every value in it satisfies the comparison. Otherwise, as for a prefix that is too
    /// long, each value must be compared.
    pub exact: bool,
}

/// Bounds on an index key: on text, separator and id for an entry, on the text alone for a claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bounds {
    /// The text of exactly one key: a claim that equals it, or entries that begin with it and the
    /// separator.
    Equal(String),
    /// Everything that begins with this.
    Prefix(String),
    /// This and everything after it.
    From(String),
    /// Everything before this.
    Before(String),
}

impl IndexText {
    /// The key as text for an index.
    pub(crate) fn of(key: &Key<'_>) -> Self {
        let text = escape(key.as_str());
        if text.is_empty() {
            return Self {
                text: EMPTY.to_owned(),
                cut: false,
            };
        }
        if text.len() <= WHOLE {
            return Self { text, cut: false };
        }
        let text = format!("{}{CUT}{}", head(&text, HEAD), digest(key));
        Self { text, cut: true }
    }
}

impl IndexRange {
    /// The part of an index with all values for which `value op key` is true; `None` if the operator
    /// selects no such part.
    #[must_use]
    pub fn of(key: &Key<'_>, index: &Index, op: CompareOp) -> Option<Self> {
        match index.is_by_hour() {
            true => Self::of_hours(key, op),
            false => Self::of_texts(key, op),
        }
    }

    /// The same for an index by texts. There is no such part for an order relative to a key that is
    /// cut, because cut keys are not in order.
    pub(crate) fn of_texts(key: &Key<'_>, op: CompareOp) -> Option<Self> {
        let IndexText { text, cut } = IndexText::of(key);
        let bounds = match op {
            CompareOp::Eq => Bounds::Equal(text),
            CompareOp::Sw => return Self::of_prefix(key),
            CompareOp::Ne | CompareOp::Co | CompareOp::Ew => return None,
            CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le if cut => return None,
            CompareOp::Gt => Bounds::From(format!("{text}{ESCAPE}")),
            CompareOp::Ge => Bounds::From(text),
            CompareOp::Lt => Bounds::Before(text),
            CompareOp::Le => Bounds::Before(format!("{text}{ESCAPE}")),
        };
        Some(Self {
            bounds,
            exact: true,
        })
    }

    /// The same for an index by hours.
    fn of_hours(key: &Key<'_>, op: CompareOp) -> Option<Self> {
        let hour = hour_text(key)?;
        let bounds = match op {
            CompareOp::Eq => Bounds::Equal(hour.to_owned()),
            CompareOp::Gt | CompareOp::Ge => Bounds::From(hour.to_owned()),
            CompareOp::Lt | CompareOp::Le => Bounds::Before(format!("{hour}{ESCAPE}")),
            CompareOp::Ne | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => return None,
        };
        Some(Self {
            bounds,
            exact: false,
        })
    }

    /// The part of an index with all keys that begin with this one. Every key begins with the empty
    /// key.
    fn of_prefix(key: &Key<'_>) -> Option<Self> {
        let text = escape(key.as_str());
        let prefix = head(&text, WHOLE);
        (!prefix.is_empty()).then(|| Self {
            exact: prefix.len() == text.len(),
            bounds: Bounds::Prefix(prefix.to_owned()),
        })
    }
}

/// The text that a key has in an index; `None` for a key that the index does not hold.
#[must_use]
pub fn text_in(index: &Index, key: &Key<'_>) -> Option<String> {
    match index.is_by_hour() {
        true => hour_text(key).map(str::to_owned),
        false => Some(IndexText::of(key).text),
    }
}

/// The text of the hour that an instant is in, for an index by hours; `None` for other keys.
fn hour_text<'k>(key: &'k Key<'_>) -> Option<&'k str> {
    let (hour, rest) = key.as_str().split_at_checked(HOUR)?;
    (hour.as_bytes().get(10) == Some(&b'T') && rest.starts_with(':')).then_some(hour)
}

/// The first `bytes` bytes, or fewer, of the text that an index would hold if it cut no text, and
/// whether the text is longer. These beginnings are ordered as the keys are.
pub(crate) fn beginning_of(key: &Key<'_>, bytes: usize) -> (String, bool) {
    let text = escape(key.as_str());
    let beginning = head(&text, bytes).to_owned();
    let is_cut = beginning.len() < text.len();
    (beginning, is_cut)
}

/// The hash at the end of a cut text. Different keys have different hashes.
pub(crate) fn digest(key: &Key<'_>) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(key.as_str()))
}

/// The common beginning of all texts that an index does not hold in the order of their keys, given one
/// of them: texts that are cut and share their first 640 bytes. `None` for a text that is not cut,
/// because it is always in order.
///
/// Texts that are not cut may have this beginning too. They are in order with the others, so sorting
/// all texts that have this beginning gives the order of the keys.
#[must_use]
pub fn unordered_prefix(text: &str) -> Option<&str> {
    text.contains(CUT).then(|| head(text, WHOLE))
}

/// The same, for the beginning of a key that is longer than [`WHOLE`].
pub(crate) fn unordered_prefix_of(beginning: &str) -> &str {
    head(beginning, WHOLE)
}

/// Replaces each character up to [`ESCAPE`] by a pair, in a way that keeps the order.
fn escape(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for character in key.chars() {
        match u8::try_from(character) {
            Ok(byte) if character <= ESCAPE => {
                text.push(ESCAPE);
                text.push(char::from(b'0' + byte));
            }
            _ => text.push(character),
        }
    }
    text
}

/// The longest beginning of at most `length` bytes that divides neither a character nor a pair.
fn head(text: &str, length: usize) -> &str {
    let mut ends = (0..=length.min(text.len())).rev();
    let head = ends.find_map(|end| text.get(..end)).unwrap_or("");
    head.strip_suffix(ESCAPE).unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> Key<'_> {
        Key(Cow::Borrowed(text))
    }

    #[test]
    fn short_keys_are_their_own_text() {
        let check = |text: &str, expected: &str| {
            let found = IndexText::of(&key(text));
            assert_eq!((found.text.as_str(), found.cut), (expected, false));
        };
        check("bjensen", "bjensen");
        check("", " !");
        check("tour guides", "tour Pguides");
        check("a\u{0}\u{1}\u{1f}\u{7f}", "a 0 1 O\u{7f}");
    }

    #[test]
    fn long_keys_are_cut_and_told_apart() {
        let [one, other] = ["a", "b"].map(|end| "é".repeat(2_000) + end);
        let [a, b] = [&one, &other].map(|text| IndexText::of(&key(text)));
        assert!(a.cut && b.cut && a.text.len() <= 700);
        assert_ne!(a.text, b.text);
        assert_eq!(a, IndexText::of(&key(&one)));
    }

    #[test]
    fn ranges_bound_the_entries() {
        let check = |op: CompareOp, bounds: Bounds| {
            let range = IndexRange::of_texts(&key("b"), op).unwrap();
            assert_eq!((range.bounds, range.exact), (bounds, true), "{op}");
        };
        check(CompareOp::Eq, Bounds::Equal("b".into()));
        check(CompareOp::Sw, Bounds::Prefix("b".into()));
        check(CompareOp::Gt, Bounds::From("b ".into()));
        check(CompareOp::Ge, Bounds::From("b".into()));
        check(CompareOp::Lt, Bounds::Before("b".into()));
        check(CompareOp::Le, Bounds::Before("b ".into()));
        assert_eq!(IndexRange::of_texts(&key("b"), CompareOp::Co), None);
        assert_eq!(IndexRange::of_texts(&key(""), CompareOp::Sw), None);
    }

    #[test]
    fn a_range_of_hours_begins_with_the_hour_of_the_instant() {
        let noon = key("2026-11-23T12:00:00.000000000Z");
        let check = |op: CompareOp, bounds: Option<Bounds>| {
            let expected = bounds.map(|bounds| IndexRange {
                bounds,
                exact: false,
            });
            assert_eq!(IndexRange::of_hours(&noon, op), expected, "{op}");
        };
        check(CompareOp::Eq, Some(Bounds::Equal("2026-11-23T12".into())));
        check(CompareOp::Gt, Some(Bounds::From("2026-11-23T12".into())));
        check(CompareOp::Ge, Some(Bounds::From("2026-11-23T12".into())));
        check(CompareOp::Lt, Some(Bounds::Before("2026-11-23T12 ".into())));
        check(CompareOp::Le, Some(Bounds::Before("2026-11-23T12 ".into())));
        check(CompareOp::Ne, None);
        check(CompareOp::Sw, None);
        for other in ["", "2026-11-23T12", "what is no instant"] {
            assert_eq!(hour_text(&key(other)), None, "{other}");
        }
    }

    fn holds(op: CompareOp, value: &str, operand: &str) -> bool {
        match op {
            CompareOp::Eq => value == operand,
            CompareOp::Sw => value.starts_with(operand),
            CompareOp::Gt => value > operand,
            CompareOp::Ge => value >= operand,
            CompareOp::Lt => value < operand,
            CompareOp::Le => value <= operand,
            CompareOp::Ne | CompareOp::Co | CompareOp::Ew => unreachable!("has no range"),
        }
    }

    /// Keys around the length at which they are cut, many of them with long common beginnings.
    fn any_key() -> impl Strategy<Value = String> {
        let part =
            prop::sample::select(vec!["a", "b", "é", "€", "😀", "\u{0}", "\u{1f}", " ", "!"]);
        let tail = prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat());
        (
            prop::sample::select(vec![0_usize, 1, 632, 636, 640, 800]),
            tail,
        )
            .prop_map(|(length, tail)| "x".repeat(length) + &tail)
    }

    #[test]
    fn texts_that_an_index_misorders_share_a_beginning() {
        let x = "x".repeat(643);
        // The three bytes of the first one's `€` do not fit the head, so its text comes first.
        let [one, other] = ["€", "ab"].map(|end| format!("{x}{end}{x}"));
        let [a, b] = [&one, &other].map(|text| IndexText::of(&key(text)).text);
        assert!(one > other && a < b);
        assert_eq!(unordered_prefix(&a), unordered_prefix(&b));
        assert_eq!(unordered_prefix(&a), Some(&*"x".repeat(640)));
        assert_eq!(unordered_prefix(&IndexText::of(&key(&x[..640])).text), None);
        assert_eq!(
            unordered_prefix(&IndexText::of(&key("a # b \u{0} #")).text),
            None
        );
    }

    proptest! {
        #[test]
        fn ranges_hold_every_value_that_satisfies_the_comparison(value in any_key(), operand in any_key()) {
            let text = IndexText::of(&key(&value)).text;
            let entry = format!("{text}{SEPARATOR}0190");
            prop_assert!(text.len() <= 700 && !text.is_empty() && text.chars().all(|c| c > SEPARATOR));
            for op in [CompareOp::Eq, CompareOp::Sw, CompareOp::Gt, CompareOp::Ge, CompareOp::Lt, CompareOp::Le] {
                let Some(range) = IndexRange::of_texts(&key(&operand), op) else {
                    prop_assert!(operand.is_empty() || IndexText::of(&key(&operand)).cut);
                    continue;
                };
                for stored in [&text, &entry] {
                    let inside = match &range.bounds {
                        Bounds::Equal(bound) => *stored == *bound || stored.starts_with(&format!("{bound}{SEPARATOR}")),
                        Bounds::Prefix(bound) => stored.starts_with(bound),
                        Bounds::From(bound) => stored >= bound,
                        Bounds::Before(bound) => stored < bound,
                    };
                    let expected = holds(op, &value, &operand);
                    prop_assert!(inside || !expected, "{op} loses a value");
                    prop_assert!(!inside || expected || !range.exact, "{op} is not exact");
                }
            }
        }

        #[test]
        fn entries_of_whole_keys_are_ordered_as_keys(one in any_key(), other in any_key()) {
            let (a, b) = (IndexText::of(&key(&one)), IndexText::of(&key(&other)));
            prop_assert_eq!(a.text == b.text, one == other);
            if !(a.cut && b.cut) {
                let [x, y] = [&a, &b].map(|text| format!("{}{SEPARATOR}id", text.text));
                prop_assert_eq!(x.cmp(&y), one.cmp(&other));
            } else if a.text.cmp(&b.text) != one.cmp(&other) {
                prop_assert_eq!(unordered_prefix(&a.text), unordered_prefix(&b.text));
            }
            for (text, value) in [(&a, &one), (&b, &other)] {
                prop_assert_eq!(unordered_prefix(&text.text).is_some(), text.cut);
                let (beginning, _) = beginning_of(&key(value), 700);
                if text.cut {
                    prop_assert_eq!(unordered_prefix(&text.text), Some(unordered_prefix_of(&beginning)));
                }
            }
        }
    }
}
