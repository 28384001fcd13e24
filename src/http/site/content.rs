//! Files as answers: compressed for clients that take that, and not sent again to clients that have them
//! (RFC 9110 §8.4, §13.1.2).

use axum::body::Body;
use axum::http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::http::answer;
use crate::http::media_type::accepts_gzip;
use crate::pages::File;
use crate::protocol::{Error, Result};

/// The media type of pages.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// How a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Plain,
}

impl Encoding {
    /// The encoding that the client takes, if the gateway passes bytes on that are not text.
    pub(super) fn of(headers: &HeaderMap, passes_bytes: bool) -> Self {
        match passes_bytes && accepts_gzip(headers) {
            true => Self::Gzip,
            false => Self::Plain,
        }
    }
}

/// A file, or that the client has it.
///
/// # Errors
/// `Internal` if the file is broken.
pub(super) fn response(headers: &HeaderMap, encoding: Encoding, file: &File) -> Result<Response> {
    let mut response = answer::empty(StatusCode::OK);
    if is_known(headers, &file.version) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let bytes = match encoding {
            Encoding::Gzip => file.compressed(),
            Encoding::Plain => file.bytes().map_err(Error::internal)?,
        };
        *response.body_mut() = Body::from(bytes);
        answer::set(&mut response, CONTENT_TYPE, file.media_type);
        if encoding == Encoding::Gzip {
            answer::set(&mut response, CONTENT_ENCODING, "gzip");
        }
    }
    answer::set(&mut response, ETAG, &file.version);
    answer::set(&mut response, VARY, "accept-encoding");
    answer::set(&mut response, REFERRER_POLICY, "no-referrer");
    Ok(response)
}

/// Whether `If-None-Match` lists the version. The comparison is weak, because the versions are.
fn is_known(headers: &HeaderMap, version: &str) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).iter();
    let mut tags = listed.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    tags.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(version))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    #[test]
    fn a_client_that_has_the_version_does_not_get_it_again() {
        let file = File::compress("text/css", Bytes::from_static(b"a{}")).unwrap();
        let check = |known: Option<String>, expected: u16| {
            let mut headers = HeaderMap::new();
            if let Some(known) = known {
                headers.insert(IF_NONE_MATCH, known.parse().unwrap());
            }
            let response = response(&headers, Encoding::Plain, &file).unwrap();
            assert_eq!(response.status(), expected);
            assert_eq!(response.headers()[ETAG], file.version);
        };
        check(None, 200);
        check(Some("\"other\"".to_owned()), 200);
        check(Some("*".to_owned()), 304);
        check(Some(format!("\"other\", {}", file.version)), 304);
        check(Some(file.version.trim_start_matches("W/").to_owned()), 304);
    }
}
