//! A request whose caller is known. Both protocol versions work with it.
//!
//! It must not know what the request asks for.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::Service;
use crate::pool::Turn;
use crate::protocol::Result;
use crate::protocol::message::Parameters;
use crate::protocol::profile::Reading;
use crate::protocol::version::Precondition;
use crate::provider::RequestScope;

/// A request whose caller is known.
pub(super) struct Call<'s> {
    pub(super) service: &'s Service,
    pub(super) scope: RequestScope,
    pub(super) headers: HeaderMap,
    pub(super) parameters: Parameters,
    /// Whether the gateway passes on answers that are not text.
    pub(super) passes_bytes: bool,
    /// Counts the request among those of its tenant until it is dropped.
    pub(super) _turn: Turn,
}

impl Call<'_> {
    /// The conditions of `If-Match` and `If-None-Match` on the resource's version (RFC 7644 §3.14).
    pub(super) fn precondition(&self) -> Precondition {
        let joined = |name: HeaderName| {
            let values = self.headers.get_all(name).iter();
            // A value that is not text is read as a tag that no version has.
            let texts: Vec<_> = values
                .map(|value| value.to_str().unwrap_or("\u{fffd}"))
                .collect();
            (!texts.is_empty()).then(|| texts.join(","))
        };
        let (if_match, if_none_match) = (joined(IF_MATCH), joined(IF_NONE_MATCH));
        Precondition::parse(if_match.as_deref(), if_none_match.as_deref())
    }

    /// Reads a body or parameters of this size, in bytes, under the tenant's rules, and notes the
    /// tolerances that were used.
    ///
    /// # Errors
    /// `Unavailable` when there is no time left to read them. The result of `read` is the value.
    pub(super) async fn read<T>(
        &self,
        size: usize,
        read: impl FnOnce(&mut Reading<'_>) -> T,
    ) -> Result<T> {
        let mut reading = self.scope.reading();
        let result = self.scope.compute.run(size, || read(&mut reading)).await;
        self.scope.note(&reading);
        result
    }
}
