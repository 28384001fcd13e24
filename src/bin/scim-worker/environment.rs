//! What the functions read from their environment:
//!
//! | variable | meaning | for |
//! |---|---|---|
//! | `SCIM_TABLE` | the table's name | every handler |
//! | `SCIM_FINISH_QUEUE` | the URL of the finisher's queue | `stream`, `sweep` |
//! | `SCIM_DELIVER_QUEUE` | the URL of the queue of deliveries | `stream`, `finish`, `sweep`, `deliver` |
//! | `SCIM_SET_ASIDE_QUEUE` | the URL of the queue for records that could not be read | `stream` |
//! | `SCIM_EVENT_BUS` | the name or ARN of the event bus, if there is one | `sweep`, `deliver` |
//! | `SCIM_STACK` | the stack's name, with which the names of secrets and the source of events begin | `sweep`, `deliver` |
//!
//! The handler `admin` reads what [`Config`](scim_lambda::stack::Config) says.
//!
//! Region, credentials and endpoints are the AWS SDK's own variables.

use std::env;
use std::fmt;

/// The variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The table's name.
    pub(crate) table: String,
    /// The URL of the finisher's queue; empty for a function that sends nothing there.
    pub(crate) finish_queue: String,
    /// The URL of the queue of deliveries; empty for a function that sends nothing there.
    pub(crate) deliver_queue: String,
    /// The URL of the queue for records that could not be read; empty for a function that sends nothing there.
    pub(crate) set_aside_queue: String,
    /// The name or ARN of the event bus.
    pub(crate) event_bus: Option<String>,
    /// The stack's name; empty for a function that does not need it.
    pub(crate) stack: String,
}

/// `SCIM_TABLE` is not set.
#[derive(Debug)]
pub(crate) struct NoTable;

impl Environment {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`NoTable`].
    pub(crate) fn read() -> Result<Self, NoTable> {
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let table = variable("SCIM_TABLE");
        if table.is_empty() {
            return Err(NoTable);
        }
        Ok(Self {
            table,
            finish_queue: variable("SCIM_FINISH_QUEUE"),
            deliver_queue: variable("SCIM_DELIVER_QUEUE"),
            set_aside_queue: variable("SCIM_SET_ASIDE_QUEUE"),
            event_bus: Some(variable("SCIM_EVENT_BUS")).filter(|bus| !bus.is_empty()),
            stack: variable("SCIM_STACK"),
        })
    }
}

impl fmt::Display for NoTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SCIM_TABLE is not set")
    }
}

impl std::error::Error for NoTable {}
