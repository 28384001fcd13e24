//! A page of a list, whose resources are rendered.

use crate::protocol::message::ListResponse;

/// A page of a list.
#[derive(Debug)]
pub struct List<T> {
    /// Everything in the answer except the resources.
    pub head: ListResponse,
    /// The resources.
    pub resources: Vec<T>,
}
