//! Which media types come in and go out (RFC 7644 §3.8; RFC 9110 §12.5.1).
//!
//! Every answer of SCIM 2.0 is `application/scim+json`, and of SCIM 1.1 `application/json`. A client
//! that asks for JSON by either of its names, or by a wildcard, is content with that.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};

use crate::protocol::{Error, Result};

/// The media type of every answer with a body in SCIM 2.0.
pub(super) const SCIM_JSON: &str = "application/scim+json";
/// The media type of every answer with a body in SCIM 1.1, where clients insist on the charset.
pub(super) const JSON_UTF_8: &str = "application/json; charset=utf-8";
/// The other name that clients know it by.
const JSON: &str = "application/json";

/// Checks that one of our two media types fits the `Accept` header.
///
/// # Errors
/// `NotAcceptable` if the header asks for neither.
pub(super) fn check_accept(headers: &HeaderMap) -> Result<()> {
    let listed = headers.get_all(ACCEPT).iter();
    let ranges: Vec<_> = listed
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter(|range| !range.trim().is_empty())
        .map(Range::parse)
        .collect();
    if ranges.is_empty() || is_wanted(SCIM_JSON, &ranges) || is_wanted(JSON, &ranges) {
        return Ok(());
    }
    Err(Error::not_acceptable(format!(
        "Answers are {SCIM_JSON} or {JSON}, which the Accept header excludes"
    )))
}

/// Checks that a body is plain UTF-8 JSON by what its headers say; saying nothing is fine.
///
/// # Errors
/// `UnsupportedMediaType` for any other type, charset or encoding.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let encoding = headers.get(CONTENT_ENCODING);
    if encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Error::unsupported_media_type(
            "Bodies are taken without a Content-Encoding only",
        ));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let value = value.to_str().unwrap_or("?");
    let mut parts = value.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let is_json = name.eq_ignore_ascii_case(SCIM_JSON) || name.eq_ignore_ascii_case(JSON);
    if (is_json && parts.all(is_harmless_parameter)) || value.trim().is_empty() {
        return Ok(());
    }
    Err(Error::unsupported_media_type(format!(
        "Bodies are {SCIM_JSON} or {JSON} in UTF-8"
    )))
}

/// Any parameter but a charset that is not UTF-8 or a part of it.
fn is_harmless_parameter(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim().trim_matches('"');
    let utf8 = ["utf-8", "utf8", "us-ascii"];
    !name.trim().eq_ignore_ascii_case("charset")
        || utf8.iter().any(|known| value.eq_ignore_ascii_case(known))
}

/// One element of an `Accept` header.
struct Range<'h> {
    name: &'h str,
    quality: f32,
}

impl<'h> Range<'h> {
    fn parse(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        // A weight that is no number says nothing, like a missing one.
        let quality = weight.and_then(|text| text.parse().ok()).unwrap_or(1.0);
        Self { name, quality }
    }

    /// How closely the range names the media type: not at all, by `*/*`, by `application/*`, by name.
    fn specificity(&self, media_type: &str) -> Option<u8> {
        match self.name {
            "*/*" | "*" => Some(0),
            name if name.eq_ignore_ascii_case("application/*") => Some(1),
            name if name.eq_ignore_ascii_case(media_type) => Some(2),
            _ => None,
        }
    }
}

/// Whether the closest range for the media type gives it any weight (RFC 9110 §12.5.1).
fn is_wanted(media_type: &str, ranges: &[Range<'_>]) -> bool {
    let fitting = ranges
        .iter()
        .filter_map(|range| Some((range.specificity(media_type)?, range.quality)));
    fitting
        .max_by_key(|(specificity, _)| *specificity)
        .is_some_and(|(_, quality)| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn accept_is_read_by_the_closest_range() {
        fn check(values: &[&str], expected: bool) {
            let result = check_accept(&headers(&ACCEPT, values));
            assert_eq!(result.is_ok(), expected, "{values:?}");
        }
        check(&[], true);
        check(&[""], true);
        check(&["*/*"], true);
        check(&["application/scim+json"], true);
        check(&["Application/JSON; charset=utf-8"], true);
        check(&["application/*;q=0.1"], true);
        check(&["text/html, application/json;q=0.9, */*;q=0.8"], true);
        check(&["text/html", "application/json"], true);
        check(&["text/html, *;q=0.2"], true);
        check(&["application/scim+json;q=0, application/json"], true);
        check(&["application/scim+json; q=0"], false);
        check(&["*/*, application/*;q=0"], false);
        check(&["application/xml"], false);
        check(&["text/*"], false);
        check(&["nonsense"], false);
        check(&["application/json;q=nonsense"], true);
    }

    #[test]
    fn bodies_are_json_by_either_name() {
        fn check(value: &str, expected: bool) {
            let result = check_content_type(&headers(&CONTENT_TYPE, &[value]));
            assert_eq!(result.is_ok(), expected, "{value}");
        }
        check("application/scim+json", true);
        check("application/json", true);
        check("APPLICATION/JSON;charset=UTF-8", true);
        check("application/json; charset=\"utf-8\"; profile=x", true);
        check("", true);
        check("application/json; charset=utf-16", false);
        check("application/json-patch+json", false);
        check("application/xml", false);
        check("text/plain", false);
        check("application/x-www-form-urlencoded", false);
        assert!(check_content_type(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn compressed_bodies_are_refused() {
        fn check(value: &str, expected: bool) {
            let result = check_content_type(&headers(&CONTENT_ENCODING, &[value]));
            assert_eq!(result.is_ok(), expected, "{value}");
        }
        check("identity", true);
        check("gzip", false);
    }
}
