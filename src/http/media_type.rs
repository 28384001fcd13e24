//! The media types of requests and answers (RFC 7644 §3.8; RFC 9110 §12.5.1).
//!
//! Every answer of SCIM 2.0 is `application/scim+json`, and of SCIM 1.1 `application/json`. A client
//! that accepts one of the two, or a wildcard, gets that.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};

use crate::protocol::profile::{Reading, Tolerance};
use crate::protocol::{Error, Result};

/// The media type of every answer with a body in SCIM 2.0.
pub(super) const SCIM_JSON: &str = "application/scim+json";
/// The media type of every answer with a body in SCIM 1.1. Its clients require the charset.
pub(super) const JSON_UTF_8: &str = "application/json; charset=utf-8";
/// The other media type of JSON that clients use, and that of the feed.
pub(super) const JSON: &str = "application/json";
/// The media type that clients send when they set none.
const TEXT_PLAIN: &str = "text/plain";

/// Checks that the `Accept` header allows one of the two media types of answers.
///
/// # Errors
/// `NotAcceptable` if the header asks for neither.
pub(super) fn check_accept(headers: &HeaderMap) -> Result<()> {
    let ranges = ranges(headers, &ACCEPT);
    if ranges.is_empty() || is_wanted(SCIM_JSON, &ranges) || is_wanted(JSON, &ranges) {
        return Ok(());
    }
    Err(Error::not_acceptable(format!(
        "The Accept header must allow {SCIM_JSON} or {JSON}"
    )))
}

/// Whether the client names HTML and does not prefer JSON, as browsers do.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers, &ACCEPT);
    let quality = |name: &str| {
        let mut named = ranges
            .iter()
            .filter(|range| range.name.eq_ignore_ascii_case(name));
        named.next().map_or(0.0, |range| range.quality)
    };
    let html = quality("text/html");
    html > 0.0 && html >= quality(JSON).max(quality(SCIM_JSON))
}

/// Whether the client takes answers in gzip (RFC 9110 §12.5.3).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers, &ACCEPT_ENCODING);
    let named = |name: &str| {
        ranges
            .iter()
            .find(|range| range.name.eq_ignore_ascii_case(name))
    };
    let range = named("gzip").or_else(|| named("*"));
    range.is_some_and(|range| range.quality > 0.0)
}

/// The elements of a header that lists what the client accepts.
fn ranges<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<MediaRange<'h>> {
    let listed = headers.get_all(name).iter();
    listed
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter(|range| !range.trim().is_empty())
        .map(MediaRange::parse)
        .collect()
}

/// Checks that the headers of a body say JSON without an encoding, or say nothing.
///
/// JSON is in UTF-8 (RFC 8259 §8.1), so the label of another charset is ignored where that is
/// tolerated ([`Tolerance::ContentCharset`]). `text/plain` may be tolerated as well
/// ([`Tolerance::TextPlain`]). With Basic credentials the type must be one of JSON. A browser adds
/// remembered Basic credentials to any request that a web page makes it send, but it asks this service
/// first before it sends a type other than those of forms.
///
/// # Errors
/// `UnsupportedMediaType` for any other type or encoding.
pub(super) fn check_content_type(headers: &HeaderMap, reading: &mut Reading<'_>) -> Result<()> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Error::unsupported_media_type(
            "A body must not have a Content-Encoding",
        ));
    }
    let value = sole_content_type(headers).unwrap_or("?");
    let mut parts = value.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let is_json = name.eq_ignore_ascii_case(SCIM_JSON) || name.eq_ignore_ascii_case(JSON);
    if !is_json && has_basic_credentials(headers) {
        return Err(Error::unsupported_media_type(format!(
            "With Basic credentials the Content-Type of a body must be {SCIM_JSON} or {JSON}"
        )));
    }
    let is_taken = is_json
        || value.is_empty()
        || (name.eq_ignore_ascii_case(TEXT_PLAIN) && reading.tolerates(Tolerance::TextPlain));
    if is_taken && (parts.all(is_utf_8) || reading.tolerates(Tolerance::ContentCharset)) {
        return Ok(());
    }
    Err(Error::unsupported_media_type(format!(
        "The Content-Type of a body must be {SCIM_JSON} or {JSON}, in UTF-8"
    )))
}

/// The one `Content-Type` of a body, empty if there is none. `None` if it cannot be read, or if there are several:
/// gateways and servers differ in which of them they take (RFC 9110 §8.3).
pub(super) fn sole_content_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (None, _) => Some(""),
        (Some(value), None) => value.to_str().ok().map(str::trim),
        (Some(_), Some(_)) => None,
    }
}

/// Whether the body is in UTF-8 in spite of a parameter. It is not if the parameter is a charset other
/// than UTF-8 and its subset ASCII.
fn is_utf_8(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let value = value.trim().trim_matches('"');
    let utf8 = ["utf-8", "utf8", "us-ascii"];
    !name.trim().eq_ignore_ascii_case("charset")
        || utf8.iter().any(|known| value.eq_ignore_ascii_case(known))
}

fn has_basic_credentials(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let scheme = value
            .to_str()
            .ok()
            .and_then(|text| text.split_whitespace().next());
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
    })
}

/// One element of an `Accept` header.
struct MediaRange<'h> {
    name: &'h str,
    quality: f32,
}

impl<'h> MediaRange<'h> {
    fn parse(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        // A weight that is not a number is ignored.
        let quality = weight.and_then(|text| text.parse().ok()).unwrap_or(1.0);
        Self { name, quality }
    }

    /// How closely the range matches the media type: not at all, as `*/*`, as `application/*`, or by
    /// name.
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
fn is_wanted(media_type: &str, ranges: &[MediaRange<'_>]) -> bool {
    let fitting = ranges
        .iter()
        .filter_map(|range| Some((range.specificity(media_type)?, range.quality)));
    fitting
        .max_by_key(|(specificity, _)| *specificity)
        .is_some_and(|(_, quality)| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::protocol::profile::{Profile, Rules};

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
    fn a_browser_gets_html_and_a_program_json() {
        let check = |value: &str, expected: bool| {
            assert_eq!(
                prefers_html(&headers(&ACCEPT, &[value])),
                expected,
                "{value}"
            );
        };
        check(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            true,
        );
        check("text/html;q=0.5, application/json;q=0.4", true);
        check("text/html;q=0.5, application/json", false);
        check("text/html;q=0", false);
        check("text/*", false);
        check("*/*", false);
        check("", false);
    }

    #[test]
    fn gzip_is_sent_to_clients_that_take_it() {
        let check = |value: &str, expected: bool| {
            let found = accepts_gzip(&headers(&ACCEPT_ENCODING, &[value]));
            assert_eq!(found, expected, "{value}");
        };
        check("gzip, deflate, br", true);
        check("GZIP;q=0.1", true);
        check("br, *", true);
        check("gzip;q=0, *", false);
        check("identity", false);
        check("", false);
    }

    /// Checks the headers of a body, and which tolerances they needed; `None` if they are refused.
    #[track_caller]
    fn check_body(profile: Profile, headers: &HeaderMap, expected: Option<&str>) {
        let rules = Rules {
            profile,
            ..Rules::default()
        };
        let mut reading = Reading::new(&rules);
        let result = check_content_type(headers, &mut reading);
        let fired = reading.used_tolerances().to_string();
        let found = result.is_ok().then_some(fired.as_str());
        assert_eq!(found, expected, "{profile:?} {headers:?}");
    }

    #[test]
    fn bodies_are_json_by_either_name() {
        for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
            let check = |value: &str, expected: Option<&str>| {
                check_body(profile, &headers(&CONTENT_TYPE, &[value]), expected);
            };
            check("application/scim+json", Some(""));
            check("application/json", Some(""));
            check("APPLICATION/JSON;charset=UTF-8", Some(""));
            check("application/json; charset=\"utf-8\"; profile=x", Some(""));
            check("", Some(""));
            check("application/json-patch+json", None);
            check("application/xml", None);
            check("text/html", None);
            check("text/plainer", None);
            check("application/x-www-form-urlencoded", None);
            check("multipart/form-data; boundary=x", None);
            check_body(profile, &HeaderMap::new(), Some(""));
        }
    }

    #[test]
    fn another_charset_and_plain_text_are_read_in_the_default_profile_only() {
        let check = |value: &str, expected: &str| {
            let headers = headers(&CONTENT_TYPE, &[value]);
            check_body(Profile::Default, &headers, Some(expected));
            check_body(Profile::Strict, &headers, None);
            check_body(Profile::Interop, &headers, None);
        };
        check(
            "application/scim+json; charset=ISO-8859-1",
            "contentCharset",
        );
        check("application/json; Charset=\"utf-16\"", "contentCharset");
        check("application/json;charset=", "contentCharset");
        check("text/plain", "textPlain");
        check("Text/Plain;charset=UTF-8", "textPlain");
        check("text/plain; charset=iso-8859-1", "contentCharset,textPlain");
    }

    #[test]
    fn with_basic_credentials_the_type_has_to_be_named() {
        let check = |authorization: &str, value: Option<&str>, expected: Option<&str>| {
            let mut headers = headers(&AUTHORIZATION, &[authorization]);
            if let Some(value) = value {
                headers.insert(CONTENT_TYPE, value.parse().unwrap());
            }
            check_body(Profile::Default, &headers, expected);
        };
        check("Basic YTpi", Some("application/json"), Some(""));
        check(
            "Basic YTpi",
            Some("application/json; charset=x"),
            Some("contentCharset"),
        );
        check("Basic YTpi", Some("text/plain"), None);
        check(" bASIC YTpi", Some("text/plain;charset=UTF-8"), None);
        check("Basic YTpi", Some(""), None);
        check("Basic YTpi", None, None);
        check("Bearer Basic", Some("text/plain"), Some("textPlain"));
        check("IONIC a:b", None, Some(""));
    }

    #[test]
    fn compressed_bodies_are_refused() {
        check_body(
            Profile::Default,
            &headers(&CONTENT_ENCODING, &["identity"]),
            Some(""),
        );
        check_body(
            Profile::Default,
            &headers(&CONTENT_ENCODING, &["gzip"]),
            None,
        );
    }
}
