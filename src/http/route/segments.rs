//! The segments of a path: decoded, and with the fixed words of the protocol in their own case.

use percent_encoding::percent_decode_str;

use super::no_such_endpoint;
use crate::protocol::{Error, Result};

/// The length of the longest id that can exist, in characters. A longer one is refused without a read.
const MAX_ID_CHARACTERS: usize = 256;

/// The fixed words of the protocol, by the position of the segment in which they may appear.
pub(super) const WORDS: [&[&str]; 3] = [
    &[
        ".search",
        "Bulk",
        "Me",
        "ResourceTypes",
        "Schemas",
        "Scopes",
        "ServiceProviderConfig",
        "ServiceProviderConfigs",
    ],
    &[".search"],
    &["members"],
];

/// The segments below a base, with the fixed words of the protocol in their own case.
pub(super) struct Segments<'p> {
    pub(super) words: Vec<&'p str>,
    pub(super) is_exact: bool,
}

impl<'p> Segments<'p> {
    pub(super) fn of(segments: &[&'p str]) -> Self {
        let spelled = |(position, segment): (usize, &&'p str)| -> &'p str {
            let mut words = WORDS.get(position).into_iter().copied().flatten();
            let word = words.find(|word| word.eq_ignore_ascii_case(segment));
            word.copied().unwrap_or(segment)
        };
        let words: Vec<_> = segments.iter().enumerate().map(spelled).collect();
        Self {
            is_exact: words == segments,
            words,
        }
    }
}

/// The segments of a path of SCIM 1.1, whose end may choose the format (SCIM 1.1 API §3.6).
pub(super) fn without_format<'p>(segments: &[&'p str]) -> Result<Vec<&'p str>> {
    let mut segments = segments.to_vec();
    let last = segments.last_mut().ok_or_else(no_such_endpoint)?;
    if last.ends_with(".xml") {
        return Err(Error::not_acceptable("Answers are JSON; XML is not served"));
    }
    *last = last.strip_suffix(".json").unwrap_or(last);
    Ok(segments)
}

/// One decoded path segment; `None` if no name or id has this form.
pub(super) fn decode(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    let fits = !decoded.is_empty()
        && decoded.chars().count() <= MAX_ID_CHARACTERS
        && !decoded.contains(|c: char| c == '/' || c.is_control());
    fits.then(|| decoded.into_owned())
}
