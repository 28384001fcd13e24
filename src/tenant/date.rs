//! Times in the texts for people.

use crate::protocol::datetime::DateTime;

/// A time in seconds since the Unix epoch, such as `2026-11-27T03:00:00Z`.
pub(super) fn instant(seconds: u64) -> String {
    let text = shown(seconds);
    let to_seconds = text
        .split_once('.')
        .map_or(text.as_str(), |(whole, _)| whole);
    format!("{to_seconds}Z")
}

/// The day of a time in seconds since the Unix epoch, such as `2026-11-27`.
pub(super) fn day(seconds: u64) -> String {
    let text = shown(seconds);
    text.split_once('T')
        .map_or(text.as_str(), |(day, _)| day)
        .to_owned()
}

/// Times after the year 9999 are shown as its end.
fn shown(seconds: u64) -> String {
    const LATEST: i64 = 253_402_300_799_000;
    let milliseconds = seconds.saturating_mul(1_000);
    let milliseconds = i64::try_from(milliseconds).unwrap_or(LATEST).min(LATEST);
    DateTime::from_unix_milliseconds(milliseconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_to_the_second_and_days_without_the_time() {
        assert_eq!(instant(784_111_777), "1994-11-06T08:49:37Z");
        assert_eq!(day(784_111_777), "1994-11-06");
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(u64::MAX), "9999-12-31");
    }
}
