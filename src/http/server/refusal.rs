//! Requests that `hyper` itself refuses: its bare answer is replaced by a SCIM error.
//!
//! A head that `hyper` cannot parse never reaches the router. `hyper` answers with a status and no
//! body, and closes the connection, and it has no hook in between. So its answer is recognised when it
//! is sent: it is the only one with a 4xx status, an empty body and no `X-Request-Id`, because the
//! router puts that header into every answer.

use std::fmt::Write;

use uuid::Uuid;

use super::super::uri::uri_too_long;
use super::{MAX_HEAD_BYTES, MAX_HEADERS};
use crate::http::media_type::SCIM_JSON;
use crate::protocol::Error;
use crate::protocol::message::error_response;

/// A length in bytes that no answer made by `hyper` itself has.
const MAX_OWN_ANSWER: usize = 512;
const BEGINNING: &[u8] = b"HTTP/1.1 4";
const END: &[u8] = b"\r\n\r\n";

/// The position at which an answer of `hyper` itself begins, if the bytes end with one that refuses a
/// request. Other answers that are ready to be sent may precede it.
pub(super) fn beginning(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(END) {
        return None;
    }
    let searched = bytes.len().saturating_sub(MAX_OWN_ANSWER);
    let windows = bytes[searched..].windows(BEGINNING.len());
    let at = searched
        + windows
            .into_iter()
            .rposition(|window| window == BEGINNING)?;
    let head = std::str::from_utf8(&bytes[at..]).ok()?;
    let is_whole = head.find("\r\n\r\n") == Some(head.len() - END.len());
    let is_own = head.contains("\r\ncontent-length: 0\r\n") && !head.contains("\r\nx-request-id:");
    (is_whole && is_own).then_some(at)
}

/// The SCIM answer to send instead of one that `hyper` made itself.
pub(super) fn in_place_of(own: &[u8]) -> Vec<u8> {
    let own = String::from_utf8_lossy(own);
    let mut lines = own.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let error = error(status_line);
    tracing::info!(
        status = error.status(),
        "refused a request that is not HTTP"
    );
    let body = error_response(&error);
    let mut answer = format!("{status_line}\r\n");
    let kept = lines.filter(|line| line.starts_with("date:"));
    let id = format!("x-request-id: {}", Uuid::now_v7());
    let length = format!("content-length: {}", body.len());
    let media_type = format!("content-type: {SCIM_JSON}");
    let ours = [
        media_type.as_str(),
        &length,
        &id,
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "connection: close",
    ];
    for line in kept.chain(ours) {
        // Writing to a string does not fail.
        let _ = write!(answer, "{line}\r\n");
    }
    answer.push_str("\r\n");
    answer.push_str(&body);
    answer.into_bytes()
}

fn error(status_line: &str) -> Error {
    match status_line.split(' ').nth(1) {
        Some("414") => uri_too_long(),
        Some("431") => Error::headers_too_large(format!(
            "The request has more than {MAX_HEADERS} headers, or a head of more than \
             {MAX_HEAD_BYTES} bytes"
        )),
        _ => Error::invalid_syntax(
            "The head of the request is not HTTP/1.1 (RFC 9112): it takes a method, a target without \
             control characters, a version, headers whose names are tokens, and one length of the body",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\ndate: Thu\r\n\r\n";

    #[test]
    fn an_answer_of_hyper_is_distinguished_from_those_of_the_router() {
        fn check(before: &str, answer: &str, is_own: bool) {
            let at = beginning(format!("{before}{answer}").as_bytes());
            assert_eq!(at, is_own.then_some(before.len()), "{before}{answer}");
        }
        let ours = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n";
        check("", OWN, true);
        check("", ours, false);
        check(ours, OWN, true);
        check("{\"a\":\"HTTP/1.1 400\"}", OWN, true);
        check(&"a".repeat(100_000), OWN, true);
        check(OWN, "{}", false);
        check(OWN, ours, false);
        check("", "HTTP/1.1 100 Continue\r\n\r\n", false);
        check(
            "",
            "HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n",
            false,
        );
        check(
            "",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 7\r\n\r\n",
            false,
        );
        check("", "\r\n\r\n", false);
    }

    #[test]
    fn a_refusal_is_a_scim_error_with_the_same_status() {
        for (status, expected) in [
            ("400", "RFC 9112"),
            ("414", "65534"),
            ("431", "100 headers"),
        ] {
            let answer = in_place_of(OWN.replace("400", status).as_bytes());
            let answer = String::from_utf8(answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.contains("\r\ndate: Thu\r\n"), "{head}");
            assert!(
                head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
                "{head}"
            );
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["status"], status);
            assert!(
                body["detail"].as_str().unwrap().contains(expected),
                "{body}"
            );
        }
    }
}
