//! Instants: the values of `dateTime` attributes (RFC 7643 §2.3.5, XML Schema Part 2 §3.2.7).
//!
//! Two texts with different offsets may name one instant. So instants are compared, never texts. The
//! service writes UTC with milliseconds, always 24 characters: texts of this form are ordered as their
//! instants are.

use std::fmt;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike as _, Utc};

/// An instant from the years 0001 to 9999, to the nanosecond; displays as
/// `2011-05-13T04:42:34.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(NaiveDateTime);

impl DateTime {
    /// The texts that [`parse`](Self::parse) takes, for error messages.
    pub(crate) const SHAPE: &str = "a dateTime such as 2011-05-13T04:42:34Z";

    /// Reads an `xsd:dateTime`; `None` for any other text.
    ///
    /// **Shape**: `YYYY-MM-DDThh:mm:ss[.fraction][Z|(+|-)hh:mm]`. `24:00:00` is the midnight that
    /// begins the next day. A text without offset is read as UTC. Digits beyond nanoseconds are
    /// dropped. Leap seconds and days that do not exist are refused, and so are the negative years
    /// and the years of more than four digits that XML Schema allows: no fixed-width text holds them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let (clock, offset) = split_offset(rest)?;
        let (time, days) = parse_time(clock)?;
        let local = parse_date(date)?.and_time(time);
        let instant = local.checked_add_signed(days)?.checked_sub_signed(offset)?;
        Self::of_utc(instant)
    }

    /// The instant this many milliseconds after the Unix epoch, or before it if the number is
    /// negative; `None` if its year does not have four digits.
    #[must_use]
    pub fn from_unix_milliseconds(milliseconds: i64) -> Option<Self> {
        let instant = chrono::DateTime::<Utc>::from_timestamp_millis(milliseconds)?;
        Self::of_utc(instant.naive_utc())
    }

    /// The milliseconds from the Unix epoch to the instant, negative for an instant before it.
    #[must_use]
    pub fn unix_milliseconds(self) -> i64 {
        self.0.and_utc().timestamp_millis()
    }

    fn of_utc(instant: NaiveDateTime) -> Option<Self> {
        (1..=9_999)
            .contains(&instant.year())
            .then_some(Self(instant))
    }

    /// The instant as text of fixed width to the nanosecond, ordered as instants are.
    pub(crate) fn key_text(self) -> String {
        let mut text = self.seconds_text();
        push_digits(&mut text, (self.0.nanosecond(), 9), 'Z');
        text
    }

    /// The text up to the second, and a point.
    fn seconds_text(self) -> String {
        let (year, month, day) = (self.0.year(), self.0.month(), self.0.day());
        let (hour, minute, second) = (self.0.hour(), self.0.minute(), self.0.second());
        let year = year.unsigned_abs();
        // A page of a list holds two hundred of these, so they are written without `format!`.
        let mut text = String::with_capacity(32);
        push_digits(&mut text, (year, 4), '-');
        push_digits(&mut text, (month, 2), '-');
        push_digits(&mut text, (day, 2), 'T');
        push_digits(&mut text, (hour, 2), ':');
        push_digits(&mut text, (minute, 2), ':');
        push_digits(&mut text, (second, 2), '.');
        text
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.seconds_text();
        push_digits(&mut text, (self.0.nanosecond() / 1_000_000, 3), 'Z');
        f.write_str(&text)
    }
}

/// Writes a number with this many digits, and the character that follows it.
fn push_digits(text: &mut String, (number, digits): (u32, u32), behind: char) {
    for power in (0..digits).rev() {
        let digit = number / 10_u32.pow(power) % 10;
        text.extend(char::from_digit(digit, 10));
    }
    text.push(behind);
}

/// `YYYY-MM-DD`.
fn parse_date(text: &str) -> Option<NaiveDate> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let year = i32::try_from(digits(year, 4)?).ok()?;
    NaiveDate::from_ymd_opt(year, digits(month, 2)?, digits(day, 2)?)
}

/// `hh:mm:ss[.fraction]`, and the time to add: one day for `24:00:00`.
fn parse_time(text: &str) -> Option<(NaiveTime, TimeDelta)> {
    let (clock, nanosecond) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, parse_fraction(fraction)?),
        None => (text, 0),
    };
    let (hour, rest) = clock.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    if hour == 24 {
        let is_midnight = minute == 0 && second == 0 && nanosecond == 0;
        return is_midnight.then_some((NaiveTime::MIN, TimeDelta::days(1)));
    }
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanosecond)?;
    Some((time, TimeDelta::zero()))
}

/// The digits after the point, as nanoseconds.
fn parse_fraction(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// The text before the offset, and how far the offset's clock is ahead of UTC.
fn split_offset(text: &str) -> Option<(&str, TimeDelta)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, TimeDelta::zero()));
    }
    let Some(at) = text.find(['+', '-']) else {
        return Some((text, TimeDelta::zero()));
    };
    let (clock, offset) = text.split_at_checked(at)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if minutes > 59 || hours * 60 + minutes > 14 * 60 {
        return None;
    }
    let ahead = TimeDelta::minutes(i64::from(hours * 60 + minutes));
    Some((
        clock,
        if offset.starts_with('-') {
            -ahead
        } else {
            ahead
        },
    ))
}

/// A number written with exactly `width` digits.
fn digits(text: &str, width: usize) -> Option<u32> {
    let fits = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_name_instants() {
        let check = |text: &str, expected: &str| {
            let instant = DateTime::parse(text).map(|instant| instant.to_string());
            assert_eq!(instant.as_deref(), Some(expected), "{text}");
        };
        check("2011-05-13T04:42:34Z", "2011-05-13T04:42:34.000Z");
        check("2011-05-13T04:42:34+02:00", "2011-05-13T02:42:34.000Z");
        check("2011-05-13T04:42:34-05:30", "2011-05-13T10:12:34.000Z");
        check("2011-05-13T04:42:34-00:00", "2011-05-13T04:42:34.000Z");
        check("2011-05-13T04:42:34", "2011-05-13T04:42:34.000Z");
        check("2011-05-13T04:42:34.5", "2011-05-13T04:42:34.500Z");
        check(
            "2011-05-13T04:42:34.123456789987Z",
            "2011-05-13T04:42:34.123Z",
        );
        check("2011-12-31T24:00:00Z", "2012-01-01T00:00:00.000Z");
        check("2011-12-31T24:00:00.00+14:00", "2011-12-31T10:00:00.000Z");
        check("2012-02-29T00:00:00Z", "2012-02-29T00:00:00.000Z");
        check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z");
        check("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn texts_that_are_not_instants_are_refused() {
        for text in [
            "",
            "2011-05-13",
            "2011-05-13T04:42Z",
            "2011-05-13 04:42:34Z",
            "2011-05-13t04:42:34z",
            "2011-5-13T04:42:34Z",
            "2011-05-13T4:42:34Z",
            "2011-02-30T00:00:00Z",
            "2011-02-29T00:00:00Z",
            "2011-13-01T00:00:00Z",
            "2011-00-01T00:00:00Z",
            "2011-05-13T25:00:00Z",
            "2011-05-13T24:00:01Z",
            "2011-05-13T24:00:00.1Z",
            "2016-12-31T23:59:60Z",
            "2011-05-13T04:60:00Z",
            "2011-05-13T04:42:34.Z",
            "2011-05-13T04:42:34.1x",
            "2011-05-13T04:42:34ZZ",
            "2011-05-13T04:42:34+14:01",
            "2011-05-13T04:42:34+02:60",
            "2011-05-13T04:42:34+0200",
            "2011-05-13T04:42:34+02",
            "+2011-05-13T04:42:34Z",
            "-0044-03-15T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "12011-05-13T04:42:34Z",
            "9999-12-31T24:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "0001-01-01T00:00:00+00:01",
            "２011-05-13T04:42:34Z",
            "2011-05-13T04:42:34Zé",
        ] {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn milliseconds_give_the_same_instant() {
        let check = |milliseconds: i64, text: &str| {
            let instant = DateTime::from_unix_milliseconds(milliseconds).unwrap();
            assert_eq!(instant.to_string(), text);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_305_261_754_001, "2011-05-13T04:42:34.001Z");
        check(-1, "1969-12-31T23:59:59.999Z");
        assert_eq!(DateTime::from_unix_milliseconds(i64::MAX), None);
        assert_eq!(DateTime::from_unix_milliseconds(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = DateTime::parse(&text);
        }

        #[test]
        fn texts_are_ordered_as_their_instants(
            one in -62_135_596_800_000_i64..253_402_300_799_999,
            other in -62_135_596_800_000_i64..253_402_300_799_999,
        ) {
            let [a, b] = [one, other].map(|m| DateTime::from_unix_milliseconds(m).unwrap());
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), one.cmp(&other));
            prop_assert_eq!(a.key_text().cmp(&b.key_text()), one.cmp(&other));
            prop_assert_eq!(DateTime::parse(&a.to_string()), Some(a));
            prop_assert_eq!(DateTime::parse(&a.key_text()), Some(a));
        }
    }
}
