//! What it takes to answer a request for a page.

use super::super::RequestScope;
use super::budget::ReadBudget;
use super::cursor::Cursors;
use crate::clock::Clock;

/// What the pages of one request are made with.
#[derive(Clone, Copy)]
pub(in super::super) struct QueryContext<'p> {
    /// Whose view of the directory is listed.
    pub(in super::super) scope: &'p RequestScope,
    /// How much may be read to find a page.
    pub(in super::super) read_budget: ReadBudget,
    /// Seals the cursors that lead to other pages.
    pub(in super::super) cursors: &'p Cursors,
    /// Tells when cursors and page marks expire.
    pub(in super::super) clock: &'p dyn Clock,
}
