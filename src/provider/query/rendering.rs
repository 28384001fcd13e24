//! The matches of a page as texts.

use super::super::Scope;
use super::super::render::{MAX_ANSWER_BYTES, sent_bytes};
use super::position::Position;
use super::walk::Match;
use crate::protocol::error::Result;
use crate::protocol::message::Selection;
use crate::protocol::projection::Projection;
use crate::protocol::schema::{Membership, ResourceType};
use crate::store::Stored;

/// Groups are rendered together while they have no more members than this to be shown.
const MEMBERS_AT_A_TIME: usize = 20_000;
/// How many groups are rendered together where their members are shown.
const GROUPS_AT_A_TIME: usize = 100;
/// How many users are rendered together where their groups are shown. A user can be in many groups, and
/// a page ends where the answer is full, so the groups of users behind that are not looked up.
const USERS_AT_A_TIME: usize = 250;

/// The texts of a page, and where the page ends if it had to be cut short.
pub(super) struct Rendered {
    pub(super) texts: Vec<String>,
    pub(super) cut_at: Option<Position>,
}

/// Renders matches in their order until the page is as large as an answer can be.
pub(super) async fn render(
    scope: &Scope,
    selection: &Selection,
    matches: Vec<Match<'_>>,
) -> Result<Rendered> {
    let mut texts = Vec::with_capacity(matches.len());
    let (mut bytes, mut last) = (0, None);
    let mut left = matches.into_iter().peekable();
    while let Some(first) = left.next() {
        let resource_type = first.resource_type;
        let projection = projection(scope, selection, resource_type);
        let shown = resource_type
            .membership
            .filter(|membership| projection.wants(membership.attribute()));
        let shows_members = shown == Some(Membership::Members);
        let members = |group: &Stored| match shows_members {
            true => scope.members_to_read(group),
            false => 0,
        };
        let mut room = MEMBERS_AT_A_TIME.saturating_sub(members(&first.stored));
        let (mut positions, mut run) = (vec![first.position], vec![first.stored]);
        let most = match shown {
            Some(Membership::Members) => GROUPS_AT_A_TIME,
            Some(Membership::MemberOf) => USERS_AT_A_TIME,
            None => usize::MAX,
        };
        while run.len() < most
            && let Some(next) = left.next_if(|next| {
                std::ptr::eq(next.resource_type, resource_type) && members(&next.stored) <= room
            })
        {
            room -= members(&next.stored);
            positions.push(next.position);
            run.push(next.stored);
        }
        let rendered = scope.render_many(resource_type, run, &projection).await?;
        for (text, position) in rendered.into_iter().zip(positions) {
            bytes += sent_bytes(&text);
            if bytes > MAX_ANSWER_BYTES && !texts.is_empty() {
                return Ok(Rendered {
                    texts,
                    cut_at: last,
                });
            }
            texts.push(text);
            last = Some(position);
        }
    }
    Ok(Rendered {
        texts,
        cut_at: None,
    })
}

fn projection<'t>(
    scope: &Scope,
    selection: &Selection,
    resource_type: &'t ResourceType,
) -> Projection<'t> {
    let mut reading = scope.reading();
    let projection = Projection::new(selection, resource_type, &mut reading);
    scope.note(&reading);
    projection
}
