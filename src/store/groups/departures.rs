//! Which members have left a group lately, and why: what a group's item says of removals.
//!
//! A member's item is removed, so nothing is left of it that could say who has removed it. The update
//! of the group that counts the removal follows it, or is in the same transaction. It adds an entry to
//! the attribute `gone` of the group:
//!
//! ```text
//! gone    = entry *( ";" entry )        ; the newest first
//! entry   = settled "," cause 1*( "," member )
//! settled = a revision of the members
//! cause   = as in `by` of a member
//! member  = 11 characters               ; a hash of the set and the member's id, in base64url
//! ```
//!
//! The same resource may be removed, added and removed again by requests that run at the same time, so
//! an entry that names a member need not belong to the removal that a reader of the stream asks about.
//! It must never be taken for a later one. So an entry says which revision was *settled*: the group had
//! reached it [`SETTLED_MILLIS`] or more before the remover read the group. Each item of a member has
//! the revision that its writer had read (`stamp`), and a writer writes soon after it has read. An item
//! with an earlier stamp than `settled` was therefore in the set before the remover read the group, and
//! what the remover has removed is this item, or one that came after it.
//!
//! An entry may be lost: another update may overwrite it, or the writer may die before its update. Then
//! the cause of the removal is not known.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity::Cause;
use crate::store::cause;
use crate::store::keys::{SEPARATOR, stable_hash};
use crate::store::stored::GroupState;

/// A revision of the members is settled when the group has had it, or later ones, for this long, in
/// milliseconds. No write is made so long after the read that it is based on: a request takes half a
/// minute at most, and clocks are less than two minutes apart.
const SETTLED_MILLIS: u64 = 5 * 60 * 1000;

/// The most members that one entry names. An update that removes more has no entry, because the item of
/// a group is paid for by its size.
const MAX_MEMBERS: usize = 12;
/// The longest text, in bytes. The oldest entries are left out.
const MAX_BYTES: usize = 280;

/// The attribute after an update that counts the removal of these members from a group's current set.
/// The update is based on `group`, as it was read, and is made at `now`, in milliseconds since the Unix
/// epoch. `None` if the attribute stays as it is.
pub(super) fn with_removal(
    group: &GroupState,
    now: u64,
    cause: &Cause,
    removed: &[&String],
) -> Option<String> {
    if removed.is_empty() || removed.len() > MAX_MEMBERS {
        return None;
    }
    let mut text = format!("{},{}", settled(group, now)?, cause::of_member(cause));
    for member in removed {
        text.push(',');
        text.push_str(&name(&group.set, member));
    }
    for entry in group.gone.split(';').filter(|entry| !entry.is_empty()) {
        if text.len() + 1 + entry.len() > MAX_BYTES {
            break;
        }
        text.push(';');
        text.push_str(entry);
    }
    Some(text)
}

/// The cause of the removal of a member whose item, with this stamp, was in this set; or of a later
/// removal of the same member. `None` if it is not known.
pub(super) fn cause_of(gone: &str, set: &str, member: &str, stamp: u64) -> Option<Cause> {
    let wanted = name(set, member);
    gone.split(';').find_map(|entry| {
        let mut parts = entry.split(',');
        let (settled, cause) = (parts.next()?.parse::<u64>().ok()?, parts.next()?);
        let is_named = parts.any(|name| name == wanted);
        (is_named && stamp < settled).then(|| cause::member_cause(cause))?
    })
}

/// A revision that was settled when the group was read. `None` if no such revision is known.
fn settled(group: &GroupState, now: u64) -> Option<u64> {
    // A large change adds members with the stamp of its beginning until it is closed.
    let is_quiet = now >= group.members_modified.saturating_add(SETTLED_MILLIS);
    if is_quiet && group.open == 0 {
        return Some(group.member_revision);
    }
    // What was settled for an earlier remover is settled for this one.
    group.gone.split(',').next()?.parse().ok()
}

/// The name of a member in an entry.
fn name(set: &str, member: &str) -> String {
    let hash = stable_hash(&format!("{set}{SEPARATOR}{member}"));
    URL_SAFE_NO_PAD.encode(hash.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{CauseKind, CredentialId, RequestId};

    const NOW: u64 = 1_700_000_000_000;

    fn cause(request: &str) -> Cause {
        Cause {
            request: RequestId::parse(request).unwrap(),
            credential: Some(CredentialId::parse("5f0c9a1e7d3b2846").unwrap()),
            kind: CauseKind::Scim2,
        }
    }

    /// A group whose members last changed this long ago, in milliseconds.
    fn group(revision: u64, ago: u64) -> GroupState {
        GroupState {
            set: "t.one".to_owned(),
            member_revision: revision,
            members_modified: NOW - ago,
            ..GroupState::default()
        }
    }

    fn removed(group: &GroupState, request: &str, members: &[&str]) -> Option<String> {
        let members: Vec<String> = members.iter().map(|id| (*id).to_owned()).collect();
        let members: Vec<&String> = members.iter().collect();
        with_removal(group, NOW, &cause(request), &members)
    }

    fn found(gone: &str, member: &str, stamp: u64) -> Option<String> {
        let cause = cause_of(gone, "t.one", member, stamp)?;
        assert_eq!(cause.kind, CauseKind::Scim2);
        Some(cause.request.as_str().to_owned())
    }

    #[test]
    fn a_removal_from_a_quiet_group_is_found_by_items_from_before() {
        let gone = removed(&group(7, SETTLED_MILLIS), "r=1/a", &["ada", "bob"]).unwrap();
        for member in ["ada", "bob"] {
            assert_eq!(found(&gone, member, 6).as_deref(), Some("r=1/a"));
            assert_eq!(found(&gone, member, 7), None, "added since");
        }
        assert_eq!(found(&gone, "eve", 0), None);
        assert_eq!(cause_of(&gone, "t.two", "ada", 0), None, "of another set");
        assert_eq!(cause_of("", "t.one", "ada", 0), None);
    }

    #[test]
    fn nothing_is_settled_while_members_change() {
        assert_eq!(removed(&group(7, SETTLED_MILLIS - 1), "r", &["ada"]), None);
        let open = GroupState {
            open: 1,
            ..group(7, SETTLED_MILLIS)
        };
        assert_eq!(removed(&open, "r", &["ada"]), None);
    }

    /// One request after the other removes a member.
    #[test]
    fn removals_that_follow_a_settled_one_are_found_until_newer_ones_need_the_room() {
        let mut gone = removed(&group(7, SETTLED_MILLIS), "r-0", &["m-0"]).unwrap();
        for number in 1..9_u64 {
            let state = GroupState {
                gone: gone.clone(),
                ..group(7 + number, 1)
            };
            let (request, member) = (format!("r-{number}"), format!("m-{number}"));
            gone = removed(&state, &request, &[&member]).unwrap();
            assert!(gone.len() <= MAX_BYTES, "{gone}");
            assert_eq!(found(&gone, &member, 6), Some(request));
            assert_eq!(found(&gone, &member, 7), None);
        }
        assert!(found(&gone, "m-5", 6).is_some(), "{gone}");
        assert_eq!(found(&gone, "m-0", 6), None, "{gone}");
    }

    #[test]
    fn a_removal_of_many_members_has_no_entry() {
        let ids: Vec<String> = (0..=MAX_MEMBERS).map(|number| number.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let quiet = group(7, SETTLED_MILLIS);
        let gone = removed(&quiet, &"r".repeat(36), &ids[1..]).unwrap();
        assert!(gone.len() <= MAX_BYTES, "{gone}");
        assert_eq!(removed(&quiet, "r", &ids), None);
        assert_eq!(removed(&quiet, "r", &[]), None);
    }
}
