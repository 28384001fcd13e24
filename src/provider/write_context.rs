//! The values that a verb needs to write a resource.

use super::RequestScope;
use super::password::Hasher;
use crate::clock::Clock;

/// The values that a verb needs to write a resource.
#[derive(Clone, Copy)]
pub(super) struct WriteContext<'w> {
    /// The request.
    pub(super) scope: &'w RequestScope,
    /// Hashes passwords.
    pub(super) hasher: &'w Hasher,
    /// The clock that the time of the change is read from.
    pub(super) clock: &'w dyn Clock,
}

impl WriteContext<'_> {
    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now_millis()
    }
}
