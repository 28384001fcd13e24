//! `GET /Groups/{id}/members`: the members of a group, page by page.
//!
//! A group with more members than the tenant's switch allows inline is shown without `members`, and
//! they are listed here. The list is a ListResponse of the values that `members` would have, walked
//! by cursor (RFC 9865).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::get::existing;
use super::super::related::members::member_value;
use super::CURSOR_TIMEOUT_SECONDS;
use super::context::QueryContext;
use super::cursor::trail;
use super::list::List;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{ListResponse, PageStart, Paging, Query};
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::provider::resource_id;
use crate::store::MemberListId;

/// What a cursor holds.
#[derive(Serialize, Deserialize)]
struct MemberCursor {
    /// The id of the last member before the page; `None` for the first page.
    #[serde(rename = "a")]
    after: Option<String>,
    /// The same of the pages before it, the nearest last.
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<Option<String>>,
    /// The list that is walked. The cursor is invalid once another list has replaced it.
    #[serde(rename = "s")]
    list: MemberListId,
    /// When the cursor expires, in seconds since the Unix epoch.
    #[serde(rename = "e")]
    expires: u64,
}

/// One page of a group's members in order of their ids, without `totalResults`. `has_filter` is
/// whether the request has a filter, for which it is refused.
///
/// **Shape**: a member is `{"value":id,"$ref":"Users/…","type":"User"}`; its `$ref` is relative to the
/// base URL.
///
/// # Errors
/// `NotFound`; `InvalidCursor` for a cursor of another list, `ExpiredCursor` for one that is too old
/// or whose members were replaced meanwhile; `InvalidValue` for a filter, a sort or `startIndex`,
/// which this list does not support.
pub(in super::super) async fn member_page(
    context: &QueryContext<'_>,
    resource_type: &ResourceType,
    id: &str,
    query: &Query,
    has_filter: bool,
) -> Result<List<Value>> {
    if resource_type.membership != Some(MembershipAttribute::Members) {
        return Err(Error::not_found("There is no such endpoint"));
    }
    let cursor = cursor_of(query, has_filter)?;
    let scope = context.scope;
    let known = resource_id(resource_type, id)?;
    let group = existing(scope, resource_type, &known).await?;
    let list = group.member_list_id();
    let binding = format!(
        "{}\n{}\nmembers of {id}",
        scope.tenant.id, scope.caller.credential
    );
    let from = cursor
        .map(|cursor| open(context, cursor, &binding, &list))
        .transpose()?;
    let size = query.page_size(&scope.tenant.rules.switches) as usize;
    let (after, behind) = match &from {
        Some(state) => (state.after.clone(), state.behind.as_slice()),
        None => (None, &[][..]),
    };
    let (members, more) = match size {
        0 => (Vec::new(), false),
        size => {
            let after = after.as_deref();
            scope.store.members().page(&group, after, size).await?
        }
    };
    let seal = |after: Option<String>, behind: Vec<Option<String>>| {
        let expires = context.clock.now_seconds() + u64::from(CURSOR_TIMEOUT_SECONDS);
        let state = MemberCursor {
            after,
            behind,
            list: list.clone(),
            expires,
        };
        let payload = serde_json::to_vec(&state).map_err(Error::internal)?;
        context.cursors.seal(payload, binding.as_bytes())
    };
    let previous = behind
        .split_last()
        .map(|(previous, behind)| seal(previous.clone(), behind.to_vec()));
    let last = members.last().filter(|_| more);
    let next = last.map(|last| seal(Some(last.id.clone()), trail(behind, after)));
    let values = members.iter();
    let values = values.map(|member| member_value(&scope.tenant.registry, member, None));
    Ok(List {
        head: ListResponse {
            total_results: None,
            paging: Paging::Cursor {
                next: next.transpose()?,
                previous: previous.transpose()?,
            },
        },
        resources: values.collect(),
    })
}

fn open(
    context: &QueryContext<'_>,
    cursor: &str,
    binding: &str,
    list: &MemberListId,
) -> Result<MemberCursor> {
    let payload = context.cursors.open(cursor, binding.as_bytes());
    let state: Option<MemberCursor> =
        payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    let state = state.ok_or_else(|| {
        Error::invalid_cursor(
            "The cursor was not given out for this list; begin with an empty cursor",
        )
    })?;
    if state.expires <= context.clock.now_seconds() || state.list != *list {
        return Err(Error::expired_cursor(
            "The cursor is too old, or the members were replaced meanwhile; begin with an empty cursor",
        ));
    }
    Ok(state)
}

/// The cursor of the request; `None` begins the walk. A missing cursor and an empty one mean the
/// same here.
fn cursor_of(query: &Query, has_filter: bool) -> Result<Option<&str>> {
    if has_filter || query.sort_by.is_some() {
        return Err(Error::invalid_value(
            "The members of a group are listed without `filter` and `sortBy`",
        ));
    }
    match &query.page {
        PageStart::Cursor(cursor) => Ok(cursor.as_deref()),
        PageStart::Index(1) => Ok(None),
        PageStart::Index(_) => Err(Error::invalid_value(
            "The members of a group are listed by `cursor`, not by `startIndex`",
        )),
    }
}
