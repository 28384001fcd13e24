//! Queries: from a filter, an order and a page to a list of resources (RFC 7644 §3.4.2, RFC 9865).
//!
//! - A [`Search`] is the query bound to resource types and planned. Each of its branches has the
//!   keys that lead to resources, and the part of the filter that is still to be evaluated.
//! - A [`Scan`](scan::Scan) goes through the branches. Its [`Reader`](reader::Reader) reads batches
//!   of resources by the keys, and `evaluation` keeps those that match.
//! - A page is a part of a scan. A [`ScanPosition`](position::ScanPosition) is where it ends, and a page
//!   mark (`index_paging`) or a cursor (`cursor_paging`) keeps it for the next page.
//!
//! It must not know how the table is laid out, nor what a filter means.

mod budget;
mod candidate;
mod context;
mod count;
mod cursor;
mod cursor_paging;
mod evaluation;
mod index_paging;
mod list;
mod looked_up;
mod member_pages;
mod page;
mod position;
mod reader;
mod rendering;
mod scan;
mod search;
mod size;
mod total;

pub use budget::ReadBudget;
pub use cursor::Cursors;
pub use cursor_paging::CURSOR_TIMEOUT_SECONDS;
pub use list::List;
pub use rendering::Rendered;

pub(super) use context::QueryContext;
pub(super) use member_pages::member_page;

use super::Representation;
use crate::protocol::error::Result;
use crate::protocol::message::{PageStart, Query};
use crate::protocol::schema::ResourceType;
use cursor_paging::cursor_page;
use index_paging::index_page;
use search::Search;

/// The resources that a query is over.
#[derive(Debug, Clone, Copy)]
pub enum Over<'r> {
    /// The resources of one type.
    Type(&'r ResourceType),
    /// Every resource of the tenant.
    All,
}

/// Lists one page of the resources that match a query, each as `render` writes it. A page ends where
/// the answer would be too long, so that nothing is read for the resources after it.
///
/// # Errors
/// `InvalidFilter`; `InvalidValue` for a `sortBy` that is no attribute; `TooMany` when finding the
/// page would read more than the budget; `InvalidCursor`, `ExpiredCursor` and `InvalidCount` for a
/// cursor.
pub(super) async fn list<T>(
    context: &QueryContext<'_>,
    over: Over<'_>,
    query: &Query,
    render: impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
) -> Result<List<T>> {
    let scope = context.scope;
    let mut reading = scope.reading();
    let search = Search::bind(scope, over, query, &mut reading);
    scope.note(&reading);
    let search = search?;
    tracing::debug!(plan = %search, "planned a query");
    match &query.page {
        PageStart::Index(start) => index_page(context, &search, *start, &render).await,
        PageStart::Cursor(cursor) => {
            cursor_page(context, &search, cursor.as_deref(), &render).await
        }
    }
}
