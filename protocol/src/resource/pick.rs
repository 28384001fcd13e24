//! Reads a few members of a stored body.

use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::json::Name;

/// The members of a stored body whose names are wanted, in the order of the body. No values are built
/// for the others.
///
/// # Errors
/// `Internal` if the stored text is not a JSON object, which is a fault of the service.
pub fn pick(body: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Map<String, Value>> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    deserializer
        .deserialize_map(Picked { is_wanted })
        .and_then(|picked| deserializer.end().map(|()| picked))
        .map_err(Error::internal)
}

/// Reads the members that are wanted.
struct Picked<W> {
    is_wanted: W,
}

impl<'de, W: Fn(&str) -> bool> Visitor<'de> for Picked<W> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut picked = Map::new();
        while let Some(name) = members.next_key_seed(Name)? {
            match (self.is_wanted)(&name) {
                true => {
                    picked.insert(name.into_owned(), members.next_value()?);
                }
                false => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn wanted_members_are_unchanged() {
        let body = json!({"id": "1", "a\"b": [1.0, {"c": "\u{1}"}], "userName": "x", "z": null});
        let all = pick(&body.to_string(), |_| true).unwrap();
        assert_eq!(Value::Object(all), body);
        let some = pick(&body.to_string(), |name| matches!(name, "a\"b" | "z")).unwrap();
        assert_eq!(
            Value::Object(some),
            json!({"a\"b": [1.0, {"c": "\u{1}"}], "z": null})
        );
    }

    #[test]
    fn a_broken_body_is_an_internal_error() {
        for body in ["", "[]", "{\"a\":1", "{\"a\":1}}", "{\"a\":nul}"] {
            let error = pick(body, |_| false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal, "{body}");
        }
    }
}
