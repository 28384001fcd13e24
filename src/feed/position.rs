//! A position in a feed: where a reader goes on.

use std::fmt;

use crate::store::{Epoch, FeedPage, PageKey};

/// How many hexadecimal digits of a page's mark are in a position.
const MARK_DIGITS: usize = 6;

/// A place between two events. Readers get it as text and give it back; its parts are no promise.
///
/// **Shape**: `{epoch}.{number of the first event of its page}.{events of the page before it}.{mark}`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The page.
    pub(super) page: PageKey,
    /// How many events of the page come before the position.
    pub(super) index: u64,
    /// A hash that distinguishes the page from a page with the same key in another copy of the table.
    pub(super) mark: String,
}

impl Position {
    /// The position behind this number of events of a page.
    pub(super) fn within(page: &FeedPage, index: u64) -> Self {
        Self {
            page: page.key.clone(),
            index,
            mark: mark_of(page),
        }
    }

    /// The position behind this number of events of the same page.
    pub(super) fn after(&self, index: u64) -> Self {
        Self {
            index,
            ..self.clone()
        }
    }

    /// Reads a position; `None` if the text is not a position.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (epoch, first) = (parts.next()?, parts.next()?);
        let (index, mark) = (parts.next()?, parts.next()?);
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_mark = mark.len() == MARK_DIGITS && mark.bytes().all(is_digit);
        if parts.next().is_some() || !is_mark {
            return None;
        }
        let page = PageKey {
            epoch: Epoch::parse(epoch)?,
            first: number(first)?,
        };
        Some(Self {
            page,
            index: number(index)?,
            mark: mark.to_owned(),
        })
    }

    /// The number of the event behind the position.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.page.first.saturating_add(self.index)
    }

    /// Whether this is the page behind the one that the position was made for, which the reader has read
    /// to its end.
    pub(super) fn is_at_end_before(&self, page: &FeedPage) -> bool {
        self.page.epoch == page.key.epoch
            && self.next_seq() == page.key.first
            && page.before.as_ref() == Some(&self.mark)
    }

    /// Whether this is the page that the position was made for.
    pub(super) fn is_in(&self, page: &FeedPage) -> bool {
        self.page == page.key && self.mark == mark_of(page)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageKey { epoch, first } = &self.page;
        write!(f, "{}.{first}.{}.{}", epoch.as_str(), self.index, self.mark)
    }
}

/// A number in its one spelling.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash that distinguishes a page from pages of other copies of the table.
///
/// Two tables that were one, until one of them was copied, have the same epoch, and may come to have
/// different pages under the same key. The mark depends on the ids of the page's events and on the mark of
/// the page before it, so once two copies have differed, no later page of one has a mark of the other. The
/// ids of some events are the same in every copy, as that of a report of the brake.
pub(super) fn mark_of(page: &FeedPage) -> String {
    let before = page.before.iter();
    let texts = before.chain(&page.ids).map(String::as_bytes);
    let mut hash: u32 = 0x811c_9dc5;
    for byte in texts.flat_map(|text| text.iter().chain(b" ")) {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    let mut mark = format!("{hash:08x}");
    mark.truncate(MARK_DIGITS);
    mark
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(first: u64, id: &str) -> FeedPage {
        FeedPage {
            key: PageKey {
                epoch: Epoch::parse("018bcfe5680089abcdef").unwrap(),
                first,
            },
            last: first,
            time: 0,
            ids: vec![id.to_owned()],
            events: Vec::new(),
            gap: 0,
            tally: String::new(),
            expires: 0,
            before: None,
            rewritten: 0,
        }
    }

    proptest! {
        #[test]
        fn a_position_is_read_as_it_is_written(first: u64, index: u64, id in "[0-9a-f]{0,32}") {
            let page = page(first, &id);
            let position = Position::within(&page, index);
            prop_assert_eq!(Position::parse(&position.to_string()), Some(position.clone()));
            prop_assert!(position.is_in(&page));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f.+ ]{0,60}") {
            if let Some(position) = Position::parse(&text) {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }

    #[test]
    fn other_texts_are_no_positions() {
        let good = Position::within(&page(7, "a"), 1).to_string();
        assert!(Position::parse(&good).is_some(), "{good}");
        for bad in [
            format!("{good}.1"),
            format!("{good}0"),
            good.replace(".7.", ".07."),
            good.replace(".1.", ".-1."),
            good.replace(".7.", ".18446744073709551616."),
            good.to_uppercase(),
            String::new(),
        ] {
            assert_eq!(Position::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn pages_of_two_copies_of_a_table_are_told_apart() {
        let position = Position::within(&page(7, "a"), 1);
        assert!(!position.is_in(&page(7, "b")));
        assert!(!position.is_in(&page(8, "a")));
        let after_other = FeedPage {
            before: Some("000000".to_owned()),
            ..page(7, "a")
        };
        assert!(!position.is_in(&after_other));
        let mut longer = page(7, "a");
        longer.ids.push("b".to_owned());
        assert!(!position.is_in(&longer));
    }

    #[test]
    fn the_page_behind_a_position_says_what_was_before_it() {
        let position = Position::within(&page(7, "a"), 1);
        let behind = |first, before: Option<String>| FeedPage {
            before,
            ..page(first, "b")
        };
        let mark = Some(mark_of(&page(7, "a")));
        assert!(position.is_at_end_before(&behind(8, mark.clone())));
        assert!(!position.is_at_end_before(&behind(9, mark)));
        assert!(!position.is_at_end_before(&behind(8, Some(mark_of(&page(7, "c"))))));
        assert!(!position.is_at_end_before(&behind(8, None)));
    }
}
