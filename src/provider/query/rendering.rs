//! Renders the matches of a page.

use std::io;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::related::MAX_ANSWER_BYTES;
use super::super::related::members::members_to_read;
use super::super::representation::represent_all;
use super::super::{Representation, RequestScope};
use super::position::ScanPosition;
use super::scan::Match;
use crate::protocol::error::Result;
use crate::protocol::json::length_in_string;
use crate::protocol::message::Selection;
use crate::protocol::projection::Projection;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::store::Stored;

/// The largest number of members to be shown of all groups that are rendered together.
const MEMBERS_AT_A_TIME: usize = 20_000;
/// The largest number of groups that are rendered together, if their members are shown.
const GROUPS_AT_A_TIME: usize = 100;
/// The largest number of users that are rendered together, if their groups are shown. A user can be
/// in many groups, and a page ends where the answer is full, so the groups of later users should not
/// have been looked up by then.
const USERS_AT_A_TIME: usize = 250;

/// A rendered resource.
#[derive(Debug)]
pub struct Rendered<T> {
    /// The resource.
    pub value: T,
    /// Its length in the answer, in bytes as Lambda sends them.
    pub bytes: usize,
}

impl Rendered<String> {
    /// A resource that is written as this text.
    #[must_use]
    pub fn text(text: String) -> Self {
        Self {
            bytes: length_in_string(text.as_bytes()),
            value: text,
        }
    }
}

impl Rendered<Map<String, Value>> {
    /// A resource that is written as this object.
    #[must_use]
    pub fn object(object: Map<String, Value>) -> Self {
        let mut counter = SentBytes(0);
        // Neither can fail: the counter accepts every write, and an object of JSON values can be
        // serialized.
        let _ = serde_json::to_writer(&mut counter, &object);
        Self {
            value: object,
            bytes: counter.0,
        }
    }
}

/// A writer that only counts, in bytes as Lambda sends them.
struct SentBytes(usize);

impl io::Write for SentBytes {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0 += length_in_string(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The rendered resources of a page, and where the page ends if the answer was full before its end.
pub(super) struct RenderedPage<T> {
    pub(super) resources: Vec<T>,
    pub(super) cut_at: Option<ScanPosition>,
}

/// Renders matches in their order, until the answer is full.
pub(super) async fn rendered_page<T>(
    scope: &RequestScope,
    selection: &Selection,
    matches: Vec<Match<'_>>,
    render: &impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
) -> Result<RenderedPage<T>> {
    let mut resources = Vec::with_capacity(matches.len());
    let (mut bytes, mut last) = (0, None);
    let mut left = matches.into_iter().peekable();
    while let Some(first) = left.next() {
        let resource_type = first.resource_type;
        let projection = Arc::new(projection(scope, selection, resource_type));
        let shown = resource_type
            .membership
            .filter(|membership| projection.wants(membership.attribute()));
        let shows_members = shown == Some(MembershipAttribute::Members);
        let members = |group: &Stored| match shows_members {
            true => members_to_read(scope, group),
            false => 0,
        };
        let mut room = MEMBERS_AT_A_TIME.saturating_sub(members(&first.stored));
        let (mut positions, mut run) = (vec![first.position], vec![first.stored]);
        let most = match shown {
            Some(MembershipAttribute::Members) => GROUPS_AT_A_TIME,
            Some(MembershipAttribute::MemberOf) => USERS_AT_A_TIME,
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
        let run = represent_all(scope, resource_type, run, &projection).await?;
        let size = run.iter().map(Representation::size).sum();
        let render = |found: &Representation<'_>| {
            scope.compute.check_time()?;
            render(found)
        };
        let rendered = || run.iter().map(render).collect::<Result<Vec<_>>>();
        let rendered = scope.compute.run(size, rendered).await??;
        for (resource, position) in rendered.into_iter().zip(positions) {
            bytes += resource.bytes;
            if bytes > MAX_ANSWER_BYTES && !resources.is_empty() {
                return Ok(RenderedPage {
                    resources,
                    cut_at: last,
                });
            }
            resources.push(resource.value);
            last = Some(position);
        }
    }
    Ok(RenderedPage {
        resources,
        cut_at: None,
    })
}

fn projection<'t>(
    scope: &RequestScope,
    selection: &Selection,
    resource_type: &'t ResourceType,
) -> Projection<'t> {
    let mut reading = scope.reading();
    let projection = Projection::new(selection, resource_type, &mut reading);
    scope.note(&reading);
    projection
}
