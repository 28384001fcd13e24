//! Epochs. A feed has one epoch after another, and within an epoch its positions are in one order.

use crate::store::key_range::KeyRange;
use crate::store::keys::SEPARATOR;

/// The number of hexadecimal digits of the time in milliseconds. They are enough for several
/// thousand years.
const TIME_DIGITS: usize = 12;
/// The number of random hexadecimal digits, by which two feeds that begin in the same millisecond
/// have different epochs.
const RANDOM_DIGITS: usize = 8;

/// The name of an epoch: 20 hexadecimal digits, of which the first 12 are the time when it began.
/// Names are in the order of time, and the name of a feed's next epoch is always greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(String);

impl Epoch {
    /// A new epoch that begins now, in milliseconds since the Unix epoch, after the feed's last one.
    #[must_use]
    pub fn after(last: Option<&Self>, now: u64) -> Self {
        // If the clock has gone back, the new epoch must still sort after the last one. Otherwise
        // readers would take the pages of the last one for newer ones.
        let began = last.map_or(now, |last| now.max(last.began() + 1));
        let random = fastrand::u32(..);
        Self(format!(
            "{began:0time$x}{random:0rest$x}",
            time = TIME_DIGITS,
            rest = RANDOM_DIGITS
        ))
    }

    /// Reads the name of an epoch; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let fits = text.len() == TIME_DIGITS + RANDOM_DIGITS && text.bytes().all(is_digit);
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn began(&self) -> u64 {
        u64::from_str_radix(&self.0[..TIME_DIGITS], 16).unwrap_or(0)
    }

    /// The range of the keys of its pages.
    pub(super) fn range(&self) -> KeyRange {
        KeyRange::prefix(&format!("{}{SEPARATOR}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_comes_after_the_last_one_whatever_the_clock_says() {
        let first = Epoch::after(None, 1_700_000_000_000);
        assert_eq!(Epoch::parse(first.as_str()), Some(first.clone()));
        assert_eq!(first.began(), 1_700_000_000_000);
        for now in [0, 1_600_000_000_000, 1_700_000_000_000, 1_800_000_000_000] {
            assert!(Epoch::after(Some(&first), now) > first, "{now}");
        }
    }

    #[test]
    fn other_texts_are_no_epochs() {
        for text in ["", "head", "018bcfe568000000000", "018BCFE5680000000000"] {
            assert_eq!(Epoch::parse(text), None, "{text}");
        }
    }
}
