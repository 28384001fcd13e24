//! A deployment that is open.

use std::fmt;
use std::sync::Arc;

use super::external::External;
use super::local::{DEFAULT_LISTEN, Local};
use crate::admin::Admin;
use crate::delivery::WebhookSender;
use crate::embedded::{DataDirectory, Embedded};
use crate::http::PublicUrl;
use crate::outgoing::Reach;
use crate::provider::Provider;
use crate::stack::Stack;

/// A deployment that a command works on, or that `scim serve` serves.
pub(super) enum Opened {
    Local(Box<Local>),
    External(Box<External>),
}

impl Opened {
    pub(super) fn stack(&self) -> &Stack {
        match self {
            Self::Local(local) => &local.stack,
            Self::External(external) => &external.stack,
        }
    }

    /// The operations on it, for a process that answers requests by this provider.
    pub(super) fn admin(&self, provider: Arc<Provider>) -> Admin {
        self.stack().admin(self.reach(), provider)
    }

    /// What sends to its webhooks.
    pub(super) fn sender(&self) -> WebhookSender {
        self.stack().sender(self.reach())
    }

    /// Only the webhooks of local data may go to this machine.
    fn reach(&self) -> Reach {
        match self.is_local() {
            true => Reach::PublicAndLoopback,
            false => Reach::Public,
        }
    }

    /// Where clients reach it, if that is known here. `scim serve` serves local data, at its usual address.
    pub(super) fn public_url(&self) -> Option<PublicUrl> {
        match self {
            Self::Local(_) => PublicUrl::parse(&format!("http://{DEFAULT_LISTEN}")).ok(),
            Self::External(external) => external.stack.public_url().cloned(),
        }
    }

    /// The embedded table, whose stream `scim serve` reads. The stream of another table is for the functions
    /// of its deployment to read.
    pub(super) fn embedded(&self) -> Option<&Embedded> {
        match self {
            Self::Local(local) => Some(&local.table),
            Self::External(_) => None,
        }
    }

    /// The directory on this machine that has its secrets; `None` if it has none.
    pub(super) fn data_directory(&self) -> Option<&DataDirectory> {
        match self {
            Self::Local(local) => Some(&local.data),
            Self::External(external) => external.data.as_ref(),
        }
    }

    /// Whether its secrets are in a data directory of this machine. Then it is one of a developer: it gets a demo
    /// tenant, and its webhooks may go to this machine. A deployment that the environment describes has its
    /// own tenants, and a working token must not be printed at each start.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::External(external) => external.data.is_some(),
        }
    }
}

/// Displays which deployment it is: `local data /home/ada/.scim`, `stack acme-prod, table …, eu-west-1`.
impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(local) => write!(f, "local data {}", local.data),
            Self::External(external) => external.fmt(f),
        }
    }
}
