//! What a verb that writes works with.

use super::RequestScope;
use super::password::Hasher;
use crate::clock::Clock;

/// What a verb that writes works with.
#[derive(Clone, Copy)]
pub(super) struct WriteContext<'w> {
    /// The request.
    pub(super) scope: &'w RequestScope,
    /// Hashes passwords.
    pub(super) hasher: &'w Hasher,
    /// Tells the time of the change.
    pub(super) clock: &'w dyn Clock,
}

impl WriteContext<'_> {
    /// The time, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now_millis()
    }
}
