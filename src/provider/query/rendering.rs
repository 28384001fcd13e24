//! The matches of a page as texts.

use super::super::Scope;
use super::super::groups::Spread;
use super::super::render::{MAX_ANSWER_BYTES, sent_bytes};
use super::position::Position;
use super::search::Search;
use super::walk::Match;
use crate::protocol::error::Result;
use crate::protocol::projection::Projection;
use crate::protocol::schema::{Membership, ResourceType};
use crate::store::{Access, Stored, Total};

/// Groups are rendered together while they have no more members than this to be shown.
const MEMBERS_AT_A_TIME: usize = 20_000;
/// Groups whose members are shown are rendered so many at a time.
const GROUPS_AT_A_TIME: usize = 100;

/// The texts of a page, and where the page ends if it had to be cut short.
pub(super) struct Rendered {
    pub(super) texts: Vec<String>,
    pub(super) cut_at: Option<Position>,
}

impl Search<'_> {
    /// Renders matches in their order until the page is as large as an answer can be.
    pub(super) async fn render(&self, scope: &Scope, matches: Vec<Match<'_>>) -> Result<Rendered> {
        let mut texts = Vec::with_capacity(matches.len());
        let (mut bytes, mut last) = (0, None);
        let spread = self.spread();
        let mut left = matches.into_iter().peekable();
        while let Some(first) = left.next() {
            let resource_type = first.resource_type;
            let projection = self.projection(scope, resource_type);
            let shows_members = resource_type.membership == Some(Membership::Members)
                && projection.wants("members");
            let members = |group: &Stored| match shows_members {
                true => scope.members_to_read(group),
                false => 0,
            };
            let mut room = MEMBERS_AT_A_TIME.saturating_sub(members(&first.stored));
            let (mut positions, mut run) = (vec![first.position], vec![first.stored]);
            let most = if shows_members {
                GROUPS_AT_A_TIME
            } else {
                usize::MAX
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
            let rendered = scope
                .render_many(resource_type, run, &projection, spread)
                .await?;
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

    fn projection<'t>(&self, scope: &Scope, resource_type: &'t ResourceType) -> Projection<'t> {
        let mut reading = scope.reading();
        let projection = Projection::new(self.selection, resource_type, &mut reading);
        scope.note(&reading);
        projection
    }

    /// Pages of an unfiltered list hold all resources from the first to the last.
    fn spread(&self) -> Spread {
        let in_order = self.parts.iter().all(|part| part.access == Access::All);
        match in_order && self.sorted.is_none() && self.total == Total::Counter {
            true => Spread::Contiguous,
            false => Spread::Scattered,
        }
    }
}
