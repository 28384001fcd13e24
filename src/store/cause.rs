//! How an item says why it was written: the attribute `by`.
//!
//! ```text
//! by      = [ mark ] kind [ credential ] request
//! mark    = 4 characters       ; the last of the `rid` that the same write gave the item
//! kind    = 1 letter or digit
//! request = "~" 22 characters  ; a UUID in base64url
//!         / "!" 1*36 characters
//! ```
//!
//! Resources have the mark. A process of an earlier version gives an item another `rid` and leaves `by` as
//! it was; then the two do not belong together, and `by` says nothing of that write. Members and journal
//! entries have no mark: their `by` says who has added the member or begun the change, and every later
//! write leaves it.
//!
//! A UUID takes 22 characters in place of 36, because every byte of a resource is paid for with each read:
//! a user with the enterprise extension has to fit into 1,024 bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::identity::{Cause, CauseKind, CredentialId, RequestId};

/// The number of characters of the mark. Those of a `rid` are random: another write has the same ones in
/// one of 2^24 cases, and in one of 2^20 if an earlier version has made the `rid`.
const MARK: usize = 4;

/// Before a request's name that is a UUID in base64url.
const UUID: char = '~';
/// Before any other name of a request.
const TEXT: char = '!';

/// Why a resource's item was last written, from its attributes `rid` and `by`; `None` if the process that
/// wrote it did not say.
#[must_use]
pub fn resource_cause(rid: &str, by: &str) -> Option<Cause> {
    let (mark, cause) = by.split_at_checked(MARK)?;
    (mark == mark_of(rid)).then(|| member_cause(cause))?
}

/// Why a member was added, from the attribute `by` of its item; `None` if the process that added it did
/// not say in a way that this version knows.
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

/// The attribute `by` of a resource's item that is written with this `rid`.
pub(super) fn of_resource(rid: &str, cause: &Cause) -> String {
    format!("{}{}", mark_of(rid), of_member(cause))
}

/// The attribute `by` of a member's item, and of a journal entry.
pub(super) fn of_member(cause: &Cause) -> String {
    let kind = letter(cause.kind);
    let credential = cause.credential.as_ref().map_or("", CredentialId::as_str);
    let request = cause.request.as_str();
    match canonical_uuid(request) {
        Some(uuid) => format!("{kind}{credential}{UUID}{}", URL_SAFE_NO_PAD.encode(uuid)),
        None => format!("{kind}{credential}{TEXT}{request}"),
    }
}

/// The letter of a kind, which is stored.
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

fn mark_of(rid: &str) -> &str {
    let rest = rid.len().checked_sub(MARK);
    rest.and_then(|at| rid.get(at..)).unwrap_or_default()
}

fn read_request(text: &str) -> Option<RequestId> {
    if let Some(name) = text.strip_prefix(TEXT) {
        return RequestId::parse(name);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(UUID)?).ok()?;
    RequestId::parse(&Uuid::from_slice(&bytes).ok()?.to_string())
}

/// A UUID, if the text is what is made of it again: with hyphens and in small letters.
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
    fn a_cause_is_written_in_few_characters() {
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
    fn what_another_write_left_behind_does_not_count() {
        let by = of_resource("0123456789ab", &cause("r", None, CauseKind::Scim1));
        assert!(resource_cause("0123456789ab", &by).is_some());
        for rid in ["0123456789aB", "AaIZbPulclC8YHD85Hxz2g", "9ab", ""] {
            assert_eq!(resource_cause(rid, &by), None, "{rid}");
        }
    }

    #[test]
    fn what_is_no_cause_is_none() {
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
        fn no_text_is_too_strange_to_be_read(rid in ".{0,12}", by in ".{0,60}") {
            for cause in [resource_cause(&rid, &by), member_cause(&by)].into_iter().flatten() {
                prop_assert_eq!(member_cause(&of_member(&cause)), Some(cause));
            }
        }
    }
}
