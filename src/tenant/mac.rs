//! The message authentication scheme of the Ionic API.
//!
//! ```text
//! Authorization: IONIC {key id}:{signature}
//! signature = base64(HMAC-SHA1(key, message))
//! message   = METHOD LF Content-MD5 LF Content-Type LF Date LF path
//! ```
//!
//! A header that is not sent stands as an empty line; `path` is the URL's path without a leading
//! `/v2`. The key is derived from the stack secret and the credential's name, so a signature is
//! checked before anything is read, and nothing needs to be stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{CredentialId, RequestHead, StackSecret, TenantId};

const KEY_LABEL: &str = "mac credential";
/// How far `Date` may be off, either way.
const DATE_WINDOW_SECONDS: u64 = 15 * 60;

/// The key of a MAC credential in base64, which is the form that clients are given.
pub(super) fn secret(stack: &StackSecret, tenant: &TenantId, credential: &CredentialId) -> String {
    STANDARD.encode(key(stack, tenant, credential))
}

/// Whether `signature` is that of the request by this credential, made close enough to `now`
/// (seconds since the Unix epoch).
pub(super) fn is_signed(
    stack: &StackSecret,
    (tenant, credential): (&TenantId, &CredentialId),
    head: &RequestHead<'_>,
    signature: &str,
    now: u64,
) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else {
        return false;
    };
    let key = key(stack, tenant, credential);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref());
    hmac::verify(&key, message(head).as_bytes(), &signature).is_ok()
        && head.date.is_some_and(|date| is_current(date, now))
}

fn key(stack: &StackSecret, tenant: &TenantId, credential: &CredentialId) -> hmac::Tag {
    stack.sign(KEY_LABEL, format!("{tenant}_{credential}").as_bytes())
}

fn message(head: &RequestHead<'_>) -> String {
    let path = match head.path.strip_prefix("/v2") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => head.path,
    };
    [
        head.method,
        head.content_md5.unwrap_or_default(),
        head.content_type.unwrap_or_default(),
        head.date.unwrap_or_default(),
        path,
    ]
    .join("\n")
}

fn is_current(date: &str, now: u64) -> bool {
    OffsetDateTime::parse(date, &Rfc2822)
        .ok()
        .and_then(|date| u64::try_from(date.unix_timestamp()).ok())
        .is_some_and(|date| date.abs_diff(now) <= DATE_WINDOW_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_SECONDS: u64 = 784_111_777;

    fn head() -> RequestHead<'static> {
        RequestHead {
            authorization: None,
            tenant: None,
            method: "POST",
            path: "/v2/acme/scim/Users",
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

    fn stack() -> StackSecret {
        StackSecret::from_bytes(&[7; 32]).unwrap()
    }

    /// What a client does with the secret it was given.
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
        let signed = is_signed(&stack(), (&tenant, &credential), head, signature, now);
        assert_eq!(signed, expected, "{signature} at {now}");
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
    fn the_date_counts_for_fifteen_minutes_either_way() {
        let window = DATE_WINDOW_SECONDS;
        check(&head(), &signature(), DATE_SECONDS + window, true);
        check(&head(), &signature(), DATE_SECONDS - window, true);
        check(&head(), &signature(), DATE_SECONDS + window + 1, false);
        check(&head(), &signature(), DATE_SECONDS - window - 1, false);
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
        ];
        for head in changed {
            check(&head, &signature(), DATE_SECONDS, false);
        }
        check(&head(), "not base64", DATE_SECONDS, false);
        check(&head(), "", DATE_SECONDS, false);
    }
}
