//! What the texts for people depend on besides what they say.

use super::columns::{relative, time};
use super::deployment_args::DeploymentArgs;
use super::terminal;
use crate::admin::Time;
use crate::clock::{Clock as _, SystemClock};

/// How the answer of a command is shown to a person.
pub(super) struct View {
    /// The time, in milliseconds since the Unix epoch.
    pub(super) now: u64,
    /// The columns of the terminal; `None` for a pipe.
    pub(super) width: Option<usize>,
    /// The arguments that name the deployment in a further command, each with a blank before it.
    pub(super) place: String,
}

impl View {
    /// The view of a person at this terminal.
    pub(super) fn here(deployment: &DeploymentArgs) -> Self {
        Self {
            now: SystemClock.now_millis(),
            width: terminal::width(),
            place: deployment.to_text(),
        }
    }

    /// How far a time is from now: `3 minutes ago`.
    pub(super) fn relative(&self, at: Time) -> String {
        relative(at.0, self.now)
    }

    /// The same, or `-` for what has never been.
    pub(super) fn relative_or_never(&self, at: Option<Time>) -> String {
        at.map_or_else(|| "-".to_owned(), |at| self.relative(at))
    }

    /// A time with its distance from now: `2026-11-24T00:00:00.000Z (in 3 days)`.
    pub(super) fn exactly(&self, at: Time) -> String {
        format!("{} ({})", time(at.0), self.relative(at))
    }
}
