//! The values that a list needs to read its pages.

use super::super::RequestScope;
use super::budget::ReadBudget;
use super::cursor::Cursors;
use crate::clock::Clock;

/// The values that a list needs to read its pages.
#[derive(Clone, Copy)]
pub(in super::super) struct QueryContext<'p> {
    /// The request.
    pub(in super::super) scope: &'p RequestScope,
    /// Limits on what may be read to find a page.
    pub(in super::super) read_budget: ReadBudget,
    /// Seals and opens cursors.
    pub(in super::super) cursors: &'p Cursors,
    /// The time, for the expiry of cursors and page marks.
    pub(in super::super) clock: &'p dyn Clock,
}
