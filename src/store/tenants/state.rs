//! Whether a tenant's requests are answered.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::store::error::StoreError;

/// The sort key of the item that has the state, in the tenant's configuration. A tenant without this
/// item is active.
pub(in crate::store) const STATE_KEY: &str = "state";

/// Whether a tenant's requests are answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum TenantState {
    /// They are.
    #[default]
    Active,
    /// They are refused until an operator resumes the tenant. Its data and its feed stay.
    Suspended {
        /// Since when, in milliseconds since the Unix epoch.
        since: u64,
        /// Why, as a text for the people who run the service.
        reason: Option<String>,
    },
    /// They are refused, and everything of the tenant is removed unless an operator restores it before.
    Deleting {
        /// Since when, in milliseconds since the Unix epoch.
        since: u64,
        /// When the removal begins, in milliseconds since the Unix epoch.
        purge_at: u64,
    },
}

/// The item's JSON text.
///
/// **Shape**: `{"state":"suspended","since":1700000000000,"reason":"unpaid"}` or
/// `{"state":"deleting","since":1700000000000,"purgeAt":1700604800000}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    state: String,
    since: u64,
    reason: Option<String>,
    purge_at: Option<u64>,
}

const SUSPENDED: &str = "suspended";
const DELETING: &str = "deleting";

impl TenantState {
    /// The word for it: `active`, `suspended` or `deleting`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended { .. } => SUSPENDED,
            Self::Deleting { .. } => DELETING,
        }
    }

    /// Reads the item's text.
    ///
    /// # Errors
    /// `Backend` for another text. A state that only a later version knows is no reason to take the tenant for
    /// active.
    pub(in crate::store) fn parse(text: &str) -> Result<Self, StoreError> {
        let body: Body =
            serde_json::from_str(text).map_err(|error| StoreError::Backend(error.into()))?;
        match (body.state.as_str(), body.purge_at) {
            (SUSPENDED, _) => Ok(Self::Suspended {
                since: body.since,
                reason: body.reason,
            }),
            (DELETING, Some(purge_at)) => Ok(Self::Deleting {
                since: body.since,
                purge_at,
            }),
            _ => Err(StoreError::Backend("a tenant has an unknown state".into())),
        }
    }

    /// The item's text; `None` for an active tenant, which has no such item.
    pub(in crate::store) fn text(&self) -> Option<String> {
        let body: Value = match self {
            Self::Active => return None,
            Self::Suspended { since, reason } => {
                json!({"state": SUSPENDED, "since": since, "reason": reason})
            }
            Self::Deleting { since, purge_at } => {
                json!({"state": DELETING, "since": since, "purgeAt": purge_at})
            }
        };
        Some(body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_is_written() {
        let suspended = |reason: Option<&str>| TenantState::Suspended {
            since: 7,
            reason: reason.map(str::to_owned),
        };
        let deleting = TenantState::Deleting {
            since: 7,
            purge_at: 9,
        };
        for state in [
            suspended(None),
            suspended(Some("unpaid \"bill\"")),
            deleting,
        ] {
            let text = state.text().unwrap();
            assert_eq!(TenantState::parse(&text).unwrap(), state, "{text}");
        }
        assert_eq!(TenantState::Active.text(), None);
    }

    #[test]
    fn a_state_that_is_not_known_is_not_active() {
        for text in [
            "",
            "{}",
            r#"{"state":"frozen","since":1}"#,
            r#"{"state":"deleting","since":1}"#,
        ] {
            assert!(TenantState::parse(text).is_err(), "{text}");
        }
    }
}
