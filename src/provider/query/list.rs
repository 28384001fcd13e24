//! A page of a list, whose resources the door has written.

use crate::protocol::message::ListResponse;

/// A page of a list.
#[derive(Debug)]
pub struct List<T> {
    /// What the answer says besides its resources.
    pub head: ListResponse,
    /// The resources.
    pub resources: Vec<T>,
}
