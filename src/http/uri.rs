//! Turns the URIs that clients and gateways send into URIs that parse.
//!
//! RFC 3986 allows no blank, quotation mark, angle bracket, backslash, caret, backtick, brace, bar or
//! non-ASCII character in a path or query, yet filters are sent with them. None of them has a special
//! meaning there, so they are percent-encoded. A `%` is left alone, because it begins a character that
//! the client has encoded.

use std::sync::Arc;

use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::protocol::{Error, Result};

/// The longest path and query together, encoded, in bytes: the `http` crate holds no more.
pub(super) const MAX_URI_BYTES: usize = 65_534;

/// The ASCII characters that neither a path nor a query may hold.
const RAW: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// A fragment is never sent, so a `#` in a query is a character that was not encoded.
const RAW_IN_QUERY: &AsciiSet = &RAW.add(b'#');
/// Gateways decode some paths before they pass them on. In those paths a `?` does not begin a query.
const RAW_IN_DECODED_PATH: &AsciiSet = &RAW.add(b'#').add(b'?');

/// An extension of a request that cannot be carried out. The router answers with this error, in the
/// form of the protocol that the path belongs to.
#[derive(Debug, Clone)]
pub struct RefusedRequest(pub Arc<Error>);

/// The URI of a request in origin form (RFC 9112 §3.2.1), from a path and a query that may hold
/// characters that a URI may not hold. A `?` or `#` in the path is encoded.
///
/// # Errors
/// `UriTooLong` if both together are longer than 65,534 bytes once encoded.
pub fn origin_form(path: &str, query: &str) -> Result<Uri> {
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut text = format!(
        "{slash}{}",
        percent_encode(path.as_bytes(), RAW_IN_DECODED_PATH)
    );
    if !query.is_empty() {
        text.push('?');
        text.extend(encoded_query(query.as_bytes()));
    }
    if text.len() > MAX_URI_BYTES {
        return Err(uri_too_long());
    }
    let uri = PathAndQuery::try_from(text).map(Uri::from);
    uri.map_err(|error| {
        Error::invalid_syntax("The URI must have the form of RFC 3986").with_source(error)
    })
}

/// The target of a request line with raw characters encoded. Whether the result is a URI is not checked.
#[cfg(feature = "cli")]
pub(super) fn encoded_target(target: &[u8]) -> String {
    let query_at = target.iter().position(|byte| *byte == b'?');
    let (path, query) = target.split_at(query_at.unwrap_or(target.len()));
    let mut text: String = percent_encode(path, RAW).collect();
    text.extend(encoded_query(query));
    text
}

pub(super) fn uri_too_long() -> Error {
    Error::uri_too_long(format!(
        "The URI is longer than the limit of {MAX_URI_BYTES} bytes; send the query as a POST to /.search of SCIM 2.0"
    ))
}

fn encoded_query(query: &[u8]) -> impl Iterator<Item = &str> {
    percent_encode(query, RAW_IN_QUERY)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::ErrorKind;

    #[test]
    fn raw_characters_are_encoded_and_encoded_ones_stay() {
        fn check(path: &str, query: &str, expected: &str) {
            assert_eq!(origin_form(path, query).unwrap().to_string(), expected);
        }
        check("/Users", "", "/Users");
        check("", "", "/");
        check("Users", "a=1", "/Users?a=1");
        check("/a?b#c", "d?e#f", "/a%3Fb%23c?d?e%23f");
        check("/%2F", "a=%22%zz%", "/%2F?a=%22%zz%");
        check(
            "/Users",
            "filter=userName eq \"<a>\"",
            "/Users?filter=userName%20eq%20%22%3Ca%3E%22",
        );
        check("/J\u{f6}rg", "a=\u{f6}", "/J%C3%B6rg?a=%C3%B6");
        check("/\u{1}", "\t{|}^`\\", "/%01?%09%7B%7C%7D%5E%60%5C");
        check("//x", "", "//x");
        check("/a/../b", "", "/a/../b");
    }

    #[test]
    fn every_character_gives_a_uri() {
        for character in (0..=0x2ff).filter_map(char::from_u32) {
            let text = character.to_string();
            let uri = origin_form(&format!("/{text}"), &text).unwrap();
            assert!(uri.query().is_some(), "{character:?}");
        }
    }

    #[test]
    fn a_uri_is_as_long_as_it_can_be_held() {
        let fits = "a".repeat(MAX_URI_BYTES - 3);
        assert!(origin_form("/b", &fits).is_ok());
        for query in [format!("{fits}a"), "\"".repeat(MAX_URI_BYTES / 3)] {
            let error = origin_form("/b", &query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UriTooLong);
        }
    }

    proptest! {
        #[test]
        fn encoded_characters_decode_to_the_original(path: String, query: String) {
            let uri = origin_form(&format!("/{path}"), &query).unwrap();
            let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
            prop_assert_eq!(decoded(uri.path()), decoded(&format!("/{path}")));
            prop_assert_eq!(decoded(uri.query().unwrap_or_default()), decoded(&query));
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_target_keeps_its_path_apart_from_its_query() {
        let encoded = encoded_target(b"/a b#?c d\"?e#\xff");
        assert_eq!(encoded, "/a%20b#?c%20d%22?e%23%FF");
    }
}
