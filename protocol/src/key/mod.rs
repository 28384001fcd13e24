//! The comparison key of a value. Uniqueness, filters, sorting and indexes all use this one function
//! (RFC 7643 §2.2 `caseExact`, RFC 7644 §3.4.2.2, §3.4.2.3, §5).
//!
//! Two values of an attribute are equal when their keys are equal, and ordered as their keys are. A
//! key is a text whose order by code points is the order of the values, so the same key serves in
//! memory and in a sorted index. The values themselves are stored and answered as they were sent.

mod compare;
mod index;
mod number;

use std::borrow::Cow;

use caseless::Caseless as _;
use precis_core::profile::Rules as _;
use precis_profiles::UsernameCaseMapped;
use serde_json::{Map, Number, Value};
use unicode_normalization::UnicodeNormalization as _;

use crate::datetime::DateTime;
use crate::schema::{BoundPath, Collation, DataType, PathRoot};

pub use compare::CompareOp;
#[cfg(test)]
pub(crate) use index::IndexText;
pub use index::{Bounds, IndexRange, SEPARATOR, text_in, unordered_prefix};
pub(crate) use index::{beginning_of, digest, unordered_prefix_of};

/// The comparison key of one value. Only keys of one attribute, or of attributes with the same type and
/// `caseExact`, can be compared.
///
/// | type | key |
/// |---|---|
/// | string, `caseExact` false | width mapping, full case folding and NFC |
/// | string, `caseExact` true; reference | the text itself |
/// | binary | the base64 text without its padding |
/// | dateTime | UTC text of fixed width |
/// | integer, decimal | sign, exponent and digits, ordered as the numbers are |
/// | boolean | `false` before `true` |
///
/// The mapping of strings is that of PRECIS UsernameCaseMapped (RFC 8265 §3.3) with two differences.
/// No string is refused, because a userName may hold blanks. And case is folded instead of lowered, so
/// that `STRASSE` equals `straße`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a>(Cow<'a, str>);

impl<'a> Key<'a> {
    /// The version of this function. Index entries written under another one have to be rebuilt.
    pub const VERSION: u32 = 1;

    /// The key of a JSON scalar; `None` for a value that an attribute of this type cannot hold.
    pub(crate) fn of(value: &'a Value, collation: Collation) -> Option<Self> {
        match (collation.kind, value) {
            (DataType::Boolean, Value::Bool(boolean)) => Some(Self::of_boolean(*boolean)),
            (DataType::Integer | DataType::Decimal, Value::Number(number)) => {
                Some(Self::of_number(number))
            }
            (_, Value::String(text)) => Self::of_text(text, collation),
            _ => None,
        }
    }

    /// The key of a string, see [`of`](Self::of).
    pub(crate) fn of_text(text: &'a str, collation: Collation) -> Option<Self> {
        let key = match collation.kind {
            DataType::String if !collation.case_exact => fold(text),
            DataType::String | DataType::Reference => Cow::Borrowed(text),
            DataType::Binary => Cow::Borrowed(text.trim_end_matches('=')),
            DataType::DateTime => Cow::Owned(DateTime::parse(text)?.key_text()),
            DataType::Boolean | DataType::Integer | DataType::Decimal | DataType::Complex => {
                return None;
            }
        };
        Some(Self(key))
    }

    /// The keys of the values that a path finds in a resource, in their order, each once.
    #[must_use]
    pub fn all_of(path: &BoundPath, resource: &'a Map<String, Value>) -> Vec<Self> {
        let mut keys = Vec::new();
        path.any(PathRoot::Resource(resource), &mut |value| {
            keys.extend(value.and_then(|value| Self::of(value, path.collation())));
            false
        });
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The key of the value that a list is sorted by, see [`BoundPath::first`].
    pub(crate) fn first_of(path: &BoundPath, resource: &'a Map<String, Value>) -> Option<Self> {
        Self::of(path.first(resource)?, path.collation())
    }

    /// The key of an instant.
    #[must_use]
    pub fn of_instant(instant: DateTime) -> Self {
        Self(Cow::Owned(instant.key_text()))
    }

    /// The key of a boolean.
    pub(crate) fn of_boolean(boolean: bool) -> Self {
        Self(Cow::Borrowed(if boolean { "true" } else { "false" }))
    }

    /// The key of a number; `1`, `1.0` and `1e0` have the same key.
    pub(crate) fn of_number(number: &Number) -> Self {
        Self(Cow::Owned(number::ordered_text(&number.to_string())))
    }

    /// The key with this text, which was kept in a cursor or an index.
    #[must_use]
    pub fn from_text(text: String) -> Key<'static> {
        Key(Cow::Owned(text))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same key, without borrowing from the value.
    #[must_use]
    pub fn into_owned(self) -> Key<'static> {
        Key(Cow::Owned(self.0.into_owned()))
    }
}

/// Width mapping, full case folding and NFC. Most texts are ASCII in lower case and stay as they are.
///
/// NFD comes before the folding because of U+0345, which folds to a letter (The Unicode Standard
/// §3.13, D145).
fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    // The rule fails only if its own table holds a code point that is not a character.
    let mapped = UsernameCaseMapped::new()
        .width_mapping_rule(text)
        .unwrap_or(Cow::Borrowed(text));
    let folded = mapped.chars().nfd().default_case_fold();
    Cow::Owned(folded.nfc().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NAME: Collation = Collation {
        kind: DataType::String,
        case_exact: false,
    };

    fn exact(kind: DataType) -> Collation {
        Collation {
            kind,
            case_exact: true,
        }
    }

    #[test]
    fn equal_values_have_equal_keys() {
        let check = |one: Value, other: Value, collation: Collation, equal: bool| {
            let (a, b) = (Key::of(&one, collation), Key::of(&other, collation));
            assert!(a.is_some() && b.is_some(), "{one} {other}");
            assert_eq!(a == b, equal, "{one} {other}");
        };
        let same = |one: &str, other: &str| check(json!(one), json!(other), NAME, true);
        same("bjensen", "BJensen");
        same("straße", "STRASSE");
        same("Σίσυφος", "ΣΊΣΥΦΟΣ");
        same("ﬁn", "FIN");
        same("Ｂ＿１", "b_1");
        same("ｶﾞ", "ガ");
        same("e\u{301}", "É");
        same("ᾳ", "α\u{345}");
        same("Barbara Jensen", "barbara jensen");
        same("", "");
        check(json!("résumé"), json!("resume"), NAME, false);
        check(json!("a"), json!("A"), exact(DataType::String), false);
        check(
            json!("é"),
            json!("e\u{301}"),
            exact(DataType::String),
            false,
        );
        check(
            json!("/Users/a"),
            json!("/users/a"),
            exact(DataType::Reference),
            false,
        );
        check(json!("YWI="), json!("YWI"), exact(DataType::Binary), true);
        check(json!("YWI="), json!("ywi="), exact(DataType::Binary), false);
        let (utc, ahead) = (
            json!("2011-05-13T04:42:34Z"),
            json!("2011-05-13T06:42:34.0+02:00"),
        );
        check(utc, ahead, exact(DataType::DateTime), true);
        check(json!(1), json!(1.0), exact(DataType::Decimal), true);
    }

    #[test]
    fn keys_are_ordered_as_the_values() {
        let check = |smaller: Value, greater: Value, collation: Collation| {
            assert!(
                Key::of(&smaller, collation) < Key::of(&greater, collation),
                "{smaller} {greater}"
            );
        };
        check(json!("A"), json!("b"), NAME);
        check(json!("a"), json!("C"), NAME);
        check(json!("a"), json!("ab"), NAME);
        check(json!("C"), json!("b"), exact(DataType::String));
        check(json!(false), json!(true), exact(DataType::Boolean));
        check(json!(9), json!(10), exact(DataType::Integer));
        check(
            json!("2011-05-13T04:42:34+02:00"),
            json!("2011-05-13T03:00:00Z"),
            exact(DataType::DateTime),
        );
    }

    #[test]
    fn values_of_another_type_have_no_key() {
        let check = |value: Value, kind: DataType| assert_eq!(Key::of(&value, exact(kind)), None);
        check(json!(1), DataType::String);
        check(json!("1"), DataType::Integer);
        check(json!("true"), DataType::Boolean);
        check(json!("yesterday"), DataType::DateTime);
        check(json!({}), DataType::Complex);
        check(json!("x"), DataType::Complex);
        check(json!(["x"]), DataType::String);
        check(json!(null), DataType::String);
    }

    #[test]
    fn keys_of_folded_text_are_borrowed() {
        assert!(matches!(fold("bjensen@example.com"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once);
        }

        #[test]
        fn folding_ignores_case_and_normal_form(text in "[a-zA-Zà-üÀ-Üα-ωΑ-Ωа-яА-Я @.-]{0,12}") {
            let key = fold(&text).into_owned();
            prop_assert_eq!(&fold(&text.to_uppercase()).into_owned(), &key);
            prop_assert_eq!(&fold(&text.nfd().collect::<String>()).into_owned(), &key);
        }
    }
}
