//! Times in requests and answers.

use serde::{Deserialize, Serialize};

use crate::protocol::datetime::DateTime;

/// A time in milliseconds since the Unix epoch. It is written as text: `2026-11-24T00:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub u64);

/// The latest time that its text can have.
const MAX_MILLIS: i64 = 253_402_300_799_999;

impl From<Time> for String {
    fn from(time: Time) -> Self {
        let millis = i64::try_from(time.0).map_or(MAX_MILLIS, |millis| millis.min(MAX_MILLIS));
        let text = DateTime::from_unix_milliseconds(millis).map(|time| time.to_string());
        text.expect("every time until the year 9999 has a text")
    }
}

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let instant = DateTime::parse(&text).ok_or("not a time such as 2026-11-24T00:00:00Z")?;
        let millis = u64::try_from(instant.unix_milliseconds());
        millis.map(Self).map_err(|_| "a time before 1970")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_text_and_read_again() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_651_200_001, "2026-11-26T00:00:00.001Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            let text = String::from(Time(millis));
            assert_eq!(text, expected);
            assert_eq!(Time::try_from(text), Ok(Time(millis)));
        }
        assert_eq!(String::from(Time(u64::MAX)), "9999-12-31T23:59:59.999Z");
        for text in ["", "yesterday", "1969-12-31T23:59:59Z"] {
            assert!(Time::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
