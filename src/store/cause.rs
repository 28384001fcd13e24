//! The attribute `by` of an item, which holds the cause of a write.
//!
//! ```text
//! by      = [ rid-end ] kind [ credential ] request
//! rid-end = 4 characters       ; the last of the `rid` that the same write gave the item
//! kind    = 1 letter or digit
//! request = "~" 22 characters  ; a UUID in base64url
//!         / "!" 1*36 characters
//! ```
//!
//! In a resource `by` begins with the end of a `rid`. A process of an earlier version gives the item another
//! `rid` and leaves `by` as it was. The end then does not fit the `rid`, so `by` is not taken for
//! the cause of that write. In members and journal entries `by` has no such end. It holds the cause of
//! the addition or of the beginning of the change, and later writes do not change it.
//!
//! A UUID is written in 22 characters and not in 36, because every read and write of a resource
//! costs for its bytes: a user with the enterprise extension has to fit into 1,024 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::identity::{Cause, CauseKind, CredentialId, RequestId};

/// The number of characters of the end of a `rid`. The last characters of a `rid` are random. The `rid` of
/// another write ends with the same ones in one of 2^24 cases, or in one of 2^20 if an earlier
/// version has made it.
const RID_END: usize = 4;

/// Comes before the id of a request that is a UUID in base64url.
const UUID: char = '~';
/// Comes before any other id of a request.
const TEXT: char = '!';

/// The cause of the last write of a resource's item, from its attributes `rid` and `by`. `None` if
/// the process that wrote it did not store one.
#[must_use]
pub fn resource_cause(rid: &str, by: &str) -> Option<Cause> {
    let (end, cause) = by.split_at_checked(RID_END)?;
    (end == end_of(rid)).then(|| member_cause(cause))?
}

/// The cause of the addition of a member, from the attribute `by` of its item. `None` if the text is
/// not in a form that this version knows.
#[must_use]
pub fn member_cause(by: &str) -> Option<Cause> {
    let mut characters = by.chars();
    let kind = kind_of(characters.next()?)?;
    let rest = characters.as_str();
    let (credential, request) = rest.split_at(rest.find([UUID, TEXT])?);
    let credential = match credential {
        "" => None,
        name => Some(CredentialId::parse(name).ok()?),
    };
    Some(Cause {
        request: read_request(request)?,
        credential,
        kind,
    })
}

/// The value of `by` in a resource's item that is written with this `rid`.
pub(super) fn of_resource(rid: &str, cause: &Cause) -> String {
    format!("{}{}", end_of(rid), of_member(cause))
}

/// The value of `by` in a member's item and in a journal entry.
pub(super) fn of_member(cause: &Cause) -> String {
    let kind = letter(cause.kind);
    let credential = cause.credential.as_ref().map_or("", CredentialId::as_str);
    let request = cause.request.as_str();
    match canonical_uuid(request) {
        Some(uuid) => format!("{kind}{credential}{UUID}{}", URL_SAFE_NO_PAD.encode(uuid)),
        None => format!("{kind}{credential}{TEXT}{request}"),
    }
}

/// The letter of a kind. It is part of the stored form.
fn letter(kind: CauseKind) -> char {
    match kind {
        CauseKind::Scim2 => '2',
        CauseKind::Scim1 => '1',
        CauseKind::Ionic => 'i',
        CauseKind::Bulk => 'b',
        CauseKind::Command => 'c',
        CauseKind::Repair => 'r',
        CauseKind::Import => 'l',
        CauseKind::Service => 's',
    }
}

fn kind_of(letter: char) -> Option<CauseKind> {
    Some(match letter {
        '2' => CauseKind::Scim2,
        '1' => CauseKind::Scim1,
        'i' => CauseKind::Ionic,
        'b' => CauseKind::Bulk,
        'c' => CauseKind::Command,
        'r' => CauseKind::Repair,
        'l' => CauseKind::Import,
        's' => CauseKind::Service,
        _ => return None,
    })
}

fn end_of(rid: &str) -> &str {
    let rest = rid.len().checked_sub(RID_END);
    rest.and_then(|at| rid.get(at..)).unwrap_or_default()
}

fn read_request(text: &str) -> Option<RequestId> {
    if let Some(name) = text.strip_prefix(TEXT) {
        return RequestId::parse(name);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(UUID)?).ok()?;
    RequestId::parse(&Uuid::from_slice(&bytes).ok()?.to_string())
}

/// Reads a UUID. `None` if the text is not its usual form, with hyphens and in lower case, because
/// it could not be restored from the UUID.
fn canonical_uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    (uuid.to_string() == text).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [CauseKind; 8] = [
        CauseKind::Scim2,
        CauseKind::Scim1,
        CauseKind::Ionic,
        CauseKind::Bulk,
        CauseKind::Command,
        CauseKind::Repair,
        CauseKind::Import,
        CauseKind::Service,
    ];

    fn cause(request: &str, credential: Option<&str>, kind: CauseKind) -> Cause {
        Cause {
            request: RequestId::parse(request).unwrap(),
            credential: credential.map(|name| CredentialId::parse(name).unwrap()),
            kind,
        }
    }

    #[test]
    fn a_cause_is_written_in_its_short_form() {
        let uuid = "0199c3a7-15be-7aaa-8bbb-0123456789ab";
        let written = |cause: &Cause| of_resource("0123456789ab", cause);
        let user = cause(uuid, Some("5f0c9a1e7d3b2846"), CauseKind::Scim2);
        assert_eq!(
            written(&user),
            "89ab25f0c9a1e7d3b2846~AZnDpxW-eqqLuwEjRWeJqw"
        );
        let own = cause(uuid, None, CauseKind::Repair);
        assert_eq!(written(&own), "89abr~AZnDpxW-eqqLuwEjRWeJqw");
        let named = cause("Root=1-6789", Some("a"), CauseKind::Bulk);
        assert_eq!(written(&named), "89abba!Root=1-6789");
    }

    #[test]
    fn the_cause_of_an_earlier_write_is_not_read() {
        let by = of_resource("0123456789ab", &cause("r", None, CauseKind::Scim1));
        assert!(resource_cause("0123456789ab", &by).is_some());
        for rid in ["0123456789aB", "AaIZbPulclC8YHD85Hxz2g", "9ab", ""] {
            assert_eq!(resource_cause(rid, &by), None, "{rid}");
        }
    }

    #[test]
    fn other_texts_are_no_causes() {
        let long = format!("2{}!r", "a".repeat(33));
        let texts = [
            "", "2", "2a", "2!", "2~", "2~AZnD", "?!r", "é!r", "2A!r", "2!a b", "2é!r", &long,
        ];
        for text in texts {
            assert_eq!(member_cause(text), None, "{text}");
            assert_eq!(
                resource_cause("0123", &format!("0123{text}")),
                None,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_cause_is_read_as_it_was_written(
            request in "[A-Za-z0-9_.:+/=-]{1,36}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9A-Fa-f]{12}",
            credential in proptest::option::of("[a-z0-9]{1,32}"),
            kind in proptest::sample::select(KINDS.as_slice()),
            rid in "[A-Za-z0-9_-]{12}",
        ) {
            let cause = cause(&request, credential.as_deref(), kind);
            let by = of_resource(&rid, &cause);
            prop_assert!(by.len() <= 4 + 1 + 32 + 1 + 36);
            prop_assert_eq!(resource_cause(&rid, &by), Some(cause.clone()));
            prop_assert_eq!(member_cause(&of_member(&cause)), Some(cause));
        }

        #[test]
        fn any_text_can_be_read(rid in ".{0,12}", by in ".{0,60}") {
            for cause in [resource_cause(&rid, &by), member_cause(&by)].into_iter().flatten() {
                prop_assert_eq!(member_cause(&of_member(&cause)), Some(cause));
            }
        }
    }
}
