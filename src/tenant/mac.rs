//! The message authentication scheme of the Ionic API.
//!
//! ```text
//! Authorization: IONIC {key id}:{signature}
//! signature = base64(HMAC-SHA1(key, message))
//! message   = METHOD LF Content-MD5 LF Content-Type LF Date LF path [ "?" query ]
//! ```
//!
//! The key id is `{credential}[-{key}][@{tenant}]`. `key` is the number of the stack's key from which the
//! key was derived; without it, the stack's key 0.
//!
//! METHOD is the method that the request means, in capitals. A POST may name it in
//! `X-HTTP-Method-Override`. A header that is not sent is an empty line. `path` is the URL's path without
//! a leading `/v2`, and the query follows as it was sent. The key is derived from a key of the
//! stack and the credential's name. So it is not stored, and a signature is checked before anything is
//! read.
//!
//! A signature covers the body by its `Content-MD5` (RFC 1864), and is valid for one request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Weekday};
use md5::{Digest, Md5};
use ring::hmac;

use super::RequestHead;
use super::hex::hex;
use super::stack_key::StackKey;
use crate::identity::{CredentialId, TenantId};

const KEY_LABEL: &str = "mac credential";
/// By how much `Date` may differ from the time, in both directions.
const DATE_WINDOW_SECONDS: u64 = 15 * 60;

/// A signature that is right for the head of its request. It is still to be checked whether it
/// covers the body and whether it was used before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    text: String,
    content_md5: Option<String>,
    date: u64,
}

impl Signature {
    /// Whether the body is the signed one. Only an empty body needs no `Content-MD5`.
    #[must_use]
    pub fn covers(&self, body: &[u8]) -> bool {
        match &self.content_md5 {
            Some(signed) => STANDARD.encode(Md5::digest(body)) == *signed,
            None => body.is_empty(),
        }
    }

    /// The signature in lower-case hex. Different base64 texts of one signature have the same.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The time until which its use must be remembered, in seconds since the Unix epoch. It is twice
    /// as long as processes accept its `Date`, because clocks differ.
    #[must_use]
    pub fn remembered_until(&self) -> u64 {
        self.date.saturating_add(2 * DATE_WINDOW_SECONDS)
    }
}

/// The key of a MAC credential in base64, as clients are given it.
pub(super) fn secret(stack: &StackKey, tenant: &TenantId, credential: &CredentialId) -> String {
    STANDARD.encode(key(stack, tenant, credential))
}

/// Reads `signature`. `None` if it is not this credential's signature of the request's head, or if
/// the request's `Date` is too far from `now`, in seconds since the Unix epoch.
pub(super) fn verify(
    stack: &StackKey,
    (tenant, credential): (&TenantId, &CredentialId),
    head: &RequestHead<'_>,
    signature: &str,
    now: u64,
) -> Option<Signature> {
    let signature = STANDARD.decode(signature).ok()?;
    let key = key(stack, tenant, credential);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref());
    hmac::verify(&key, message(head).as_bytes(), &signature).ok()?;
    let date = seconds_of(head.date?)?;
    (date.abs_diff(now) <= DATE_WINDOW_SECONDS).then(|| Signature {
        text: hex(&signature),
        content_md5: head.content_md5.map(str::to_owned),
        date,
    })
}

fn key(stack: &StackKey, tenant: &TenantId, credential: &CredentialId) -> hmac::Tag {
    stack.sign(KEY_LABEL, format!("{tenant}_{credential}").as_bytes())
}

fn message(head: &RequestHead<'_>) -> String {
    let path = match head.path.strip_prefix("/v2") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => head.path,
    };
    let lines = [
        head.method,
        head.content_md5.unwrap_or_default(),
        head.content_type.unwrap_or_default(),
        head.date.unwrap_or_default(),
        path,
    ];
    let mut message = lines.join("\n");
    if let Some(query) = head.query {
        message.push('?');
        message.push_str(query);
    }
    message
}

fn seconds_of(date: &str) -> Option<u64> {
    let date = date.trim();
    // chrono refuses a date whose day of the week is wrong. Here the name of the day does not
    // matter: the signature covers the text of the date, and the window is compared with its
    // instant. So the name is left out.
    let unnamed = match date.split_once(',') {
        Some((day, rest)) if day.len() == 3 && day.parse::<Weekday>().is_ok() => rest,
        _ => date,
    };
    let date = DateTime::parse_from_rfc2822(unnamed).ok()?;
    u64::try_from(date.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::KeyId;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_SECONDS: u64 = 784_111_777;

    fn head() -> RequestHead<'static> {
        RequestHead {
            authorization: None,
            tenant: None,
            method: "POST",
            path: "/v2/acme/scim/Users",
            query: None,
            date: Some(DATE),
            content_md5: Some("1B2M2Y8AsgTpgAmY7PhCfg=="),
            content_type: Some("application/json"),
        }
    }

    fn names() -> (TenantId, CredentialId) {
        (
            TenantId::parse("acme").unwrap(),
            CredentialId::parse("5f0c").unwrap(),
        )
    }

    fn stack() -> StackKey {
        StackKey::new(KeyId::FIRST, &[7; 32]).unwrap()
    }

    /// Signs as a client does, with the secret that it was given.
    fn sign(message: &str) -> String {
        let (tenant, credential) = names();
        let key = STANDARD
            .decode(secret(&stack(), &tenant, &credential))
            .unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
        STANDARD.encode(hmac::sign(&key, message.as_bytes()))
    }

    fn check(head: &RequestHead<'_>, signature: &str, now: u64, expected: bool) {
        let (tenant, credential) = names();
        let signed = verify(&stack(), (&tenant, &credential), head, signature, now);
        assert_eq!(signed.is_some(), expected, "{signature} at {now}");
    }

    fn signature() -> String {
        let message =
            format!("POST\n1B2M2Y8AsgTpgAmY7PhCfg==\napplication/json\n{DATE}\n/acme/scim/Users");
        sign(&message)
    }

    #[test]
    fn the_message_is_five_lines_with_the_path_after_v2() {
        check(&head(), &signature(), DATE_SECONDS, true);
    }

    #[test]
    fn absent_headers_are_empty_lines_and_other_paths_stay_whole() {
        let head = RequestHead {
            method: "GET",
            path: "/scim/v1/Users",
            content_md5: None,
            content_type: None,
            ..head()
        };
        let signature = sign(&format!("GET\n\n\n{DATE}\n/scim/v1/Users"));
        check(&head, &signature, DATE_SECONDS, true);
    }

    #[test]
    fn a_date_is_accepted_for_fifteen_minutes_in_both_directions() {
        let window = DATE_WINDOW_SECONDS;
        check(&head(), &signature(), DATE_SECONDS + window, true);
        check(&head(), &signature(), DATE_SECONDS - window, true);
        check(&head(), &signature(), DATE_SECONDS + window + 1, false);
        check(&head(), &signature(), DATE_SECONDS - window - 1, false);
    }

    #[test]
    fn a_date_is_read_as_http_and_mail_write_it() {
        for date in [
            DATE,
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 6 Nov 1994 08:49:37 UT",
            "6 Nov 1994 08:49:37 GMT",
            "06 Nov 94 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994 10:19:37 +0130",
            "Sun, 06 Nov 1994 03:49:37 EST",
            // With the name of another day.
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(seconds_of(date), Some(DATE_SECONDS), "{date}");
        }
        for date in [
            "",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sat, 06 Nov 1954 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(seconds_of(date), None, "{date}");
        }
    }

    #[test]
    fn a_missing_or_unreadable_date_is_refused() {
        for date in [None, Some("yesterday")] {
            let head = RequestHead { date, ..head() };
            let signature = sign(&message(&head));
            check(&head, &signature, DATE_SECONDS, false);
        }
    }

    #[test]
    fn a_change_of_any_signed_part_is_refused() {
        let changed = [
            RequestHead {
                method: "PUT",
                ..head()
            },
            RequestHead {
                path: "/v2/acme/scim/Groups",
                ..head()
            },
            RequestHead {
                date: Some("Sun, 06 Nov 1994 08:49:38 GMT"),
                ..head()
            },
            RequestHead {
                content_md5: None,
                ..head()
            },
            RequestHead {
                content_type: Some("text/plain"),
                ..head()
            },
            RequestHead {
                query: Some("count=1"),
                ..head()
            },
            RequestHead {
                query: Some(""),
                ..head()
            },
        ];
        for head in changed {
            check(&head, &signature(), DATE_SECONDS, false);
        }
        check(&head(), "not base64", DATE_SECONDS, false);
        check(&head(), "", DATE_SECONDS, false);
    }

    #[test]
    fn a_query_follows_the_path_as_it_was_sent() {
        let head = RequestHead {
            method: "GET",
            query: Some("filter=a%20eq%20%221%22&count=2"),
            content_md5: None,
            content_type: None,
            ..head()
        };
        let whole = format!("GET\n\n\n{DATE}\n/acme/scim/Users?filter=a%20eq%20%221%22&count=2");
        check(&head, &sign(&whole), DATE_SECONDS, true);
        let bare = sign(&format!("GET\n\n\n{DATE}\n/acme/scim/Users"));
        check(&head, &bare, DATE_SECONDS, false);
        let other = RequestHead {
            query: Some("count=2"),
            ..head
        };
        check(&other, &sign(&whole), DATE_SECONDS, false);
    }

    #[test]
    fn a_signature_covers_only_the_body_with_its_content_md5() {
        let signature = |content_md5: Option<&str>| Signature {
            text: String::new(),
            content_md5: content_md5.map(str::to_owned),
            date: DATE_SECONDS,
        };
        let of_nothing = "1B2M2Y8AsgTpgAmY7PhCfg==";
        assert!(signature(Some(of_nothing)).covers(b""));
        assert!(!signature(Some(of_nothing)).covers(b"{}"));
        assert!(signature(Some("mZFLkyvTelC5g8XnyQrpOw==")).covers(b"{}"));
        assert!(!signature(Some("mZFLkyvTelC5g8XnyQrpOw==")).covers(b"{ }"));
        assert!(signature(None).covers(b""));
        assert!(!signature(None).covers(b"{}"));
        assert!(!signature(Some("")).covers(b""));
    }

    #[test]
    fn a_use_is_remembered_for_longer_than_any_process_accepts_the_date() {
        let (tenant, credential) = names();
        let (stack, names) = (stack(), (&tenant, &credential));
        let latest = DATE_SECONDS + DATE_WINDOW_SECONDS;
        let signed = verify(&stack, names, &head(), &signature(), latest).unwrap();
        assert!(signed.remembered_until() > latest);
        assert_eq!(signed.as_str().len(), 40);
    }
}
