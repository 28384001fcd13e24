//! Times in answers.

use serde::{Serialize, Serializer};

use crate::protocol::datetime::DateTime;

/// A time in milliseconds since the Unix epoch. It is written as text: `2026-11-24T00:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let text = DateTime::from_unix_milliseconds(millis).map(|time| time.to_string());
        text.serialize(serializer)
    }
}
