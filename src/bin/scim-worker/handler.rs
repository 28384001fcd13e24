//! The functions of this binary, by the name of their handler in `template.yaml`.

use std::env;
use std::fmt;

/// A function of this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// Reads the table's stream.
    Stream,
    /// Finishes the changes that dead processes left unfinished, for the tenants that a queue names.
    Finish,
    /// Delivers events to receivers, for the tenants that a queue names.
    Deliver,
    /// Looks every minute for changes that were left behind, gives jobs to the tenants whose deliveries are due,
    /// and keeps the subscription of the event bus.
    Sweep,
    /// Does what a program that invokes it asks for.
    Admin,
}

/// The name of each handler.
const NAMES: [(&str, Handler); 5] = [
    ("stream", Handler::Stream),
    ("finish", Handler::Finish),
    ("deliver", Handler::Deliver),
    ("sweep", Handler::Sweep),
    ("admin", Handler::Admin),
];

impl Handler {
    /// The handler that Lambda names in `_HANDLER`.
    ///
    /// # Errors
    /// [`UnknownHandler`] if the variable is not set or names no handler.
    pub(crate) fn from_environment() -> Result<Self, UnknownHandler> {
        Self::named(&env::var("_HANDLER").unwrap_or_default())
    }

    fn named(name: &str) -> Result<Self, UnknownHandler> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, handler)| *handler)
            .ok_or_else(|| UnknownHandler(name.to_owned()))
    }
}

/// The function's handler has a name that this binary does not know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownHandler(String);

impl fmt::Display for UnknownHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.map(|(name, _)| name).join(", ");
        write!(
            f,
            "scim-worker has no handler {:?}; the function's Handler must be one of: {names}",
            self.0
        )
    }
}

impl std::error::Error for UnknownHandler {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_found_by_its_name() {
        let expected = [
            ("stream", Handler::Stream),
            ("finish", Handler::Finish),
            ("deliver", Handler::Deliver),
            ("sweep", Handler::Sweep),
            ("admin", Handler::Admin),
        ];
        for (name, handler) in expected {
            assert_eq!(Handler::named(name), Ok(handler));
        }
    }

    #[test]
    fn an_unknown_handler_is_named_with_those_that_are_known() {
        for name in ["", "http", "Stream"] {
            let error = Handler::named(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
            assert!(
                error.ends_with("one of: stream, finish, deliver, sweep, admin"),
                "{error}"
            );
        }
    }
}
