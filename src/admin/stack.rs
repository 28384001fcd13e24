//! `stack.status`: where a deployment is, and what in it needs a look.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::{About, Admin, Asked, Failure, Operation, Time};
use crate::identity::TenantId;
use crate::protocol::error::Result;

/// The number of tenants whose journals one request looks at.
const TENANTS: usize = 100;
/// The number of journals that are read side by side.
const PARALLEL: usize = 10;

/// A deployment by its names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deployment {
    /// The stack's name.
    pub stack: String,
    /// The names of its other functions, if the process knows them.
    pub functions: Vec<String>,
    /// The URL at which clients reach it, without a path of a protocol; `None` if only its gateway knows that.
    pub origin: Option<String>,
}

/// Asks where the deployment is, and which changes are unfinished.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShowStack {
    /// Look at the journals of the tenants after this one: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<TenantId>,
}

/// The answer of `stack.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackStatus {
    /// The stack's name.
    pub stack: String,
    /// The version of the service that answers.
    pub version: String,
    /// The ARN of the table.
    pub table: String,
    /// The AWS account of the table; `None` if its ARN has none.
    pub account: Option<String>,
    /// The region of the table.
    pub region: Option<String>,
    /// The names of the functions that share the table; none if the one that answers does not know them.
    pub functions: Vec<String>,
    /// Whether the secrets of tenants can be read.
    pub secrets_in_reach: bool,
    /// When the sweep last wrote its heartbeat, which it does every 15 minutes while it runs; `None` if it never has.
    pub swept: Option<Time>,
    /// The tenants with unfinished changes, in the order of their names.
    pub unfinished: Vec<UnfinishedChanges>,
    /// The tenant after which the next part of `unfinished` begins; `None` at the end.
    pub next: Option<TenantId>,
}

/// The unfinished changes of a tenant. Most are finished within seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedChanges {
    /// The tenant.
    pub tenant: TenantId,
    /// The number of entries in its journal.
    pub entries: usize,
    /// The number of those that should have been finished by now, or that this version cannot finish.
    pub overdue: usize,
}

impl Operation for ShowStack {
    const NAME: &'static str = "stack.status";
    type Answer = StackStatus;

    fn about(&self) -> About<'_> {
        About::default()
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<StackStatus, Failure> {
        let table = admin.store.arn().await?;
        let stack = admin.stack_store();
        let page = stack
            .tenant_list()
            .names(self.after.as_ref(), TENANTS)
            .await?;
        let looks: Vec<_> = page
            .tenants
            .iter()
            .map(|tenant| admin.unfinished_of(tenant, asked))
            .collect();
        let looks = stream::iter(looks).buffered(PARALLEL);
        let unfinished: Vec<UnfinishedChanges> = looks.try_collect().await?;
        let beat = stack.sweep_progress().await?.beat;
        // arn:{partition}:{service}:{region}:{account}:{resource}
        let part = |number: usize| {
            let part = table.split(':').nth(number)?;
            (!part.is_empty()).then(|| part.to_owned())
        };
        Ok(StackStatus {
            stack: admin.deployment.stack.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            account: part(4),
            region: part(3),
            functions: admin.deployment.functions.clone(),
            secrets_in_reach: admin.reaches_secrets(page.tenants.first()).await?,
            swept: (beat > 0).then_some(Time(beat)),
            unfinished: unfinished
                .into_iter()
                .filter(|changes| changes.entries > 0)
                .collect(),
            next: page.next,
            table,
        })
    }
}

impl Admin {
    async fn unfinished_of(&self, tenant: &TenantId, asked: &Asked) -> Result<UnfinishedChanges> {
        let store = self.tenant_store(tenant, asked);
        let entries = store.journal().unfinished().await?;
        let overdue = entries
            .iter()
            .filter(|entry| entry.is_overdue || !entry.is_known);
        Ok(UnfinishedChanges {
            tenant: tenant.clone(),
            overdue: overdue.count(),
            entries: entries.len(),
        })
    }

    /// Whether a tenant's secret can be read. Without a tenant it looks for one that does not exist.
    async fn reaches_secrets(&self, tenant: Option<&TenantId>) -> Result<bool> {
        let tenant = match tenant {
            Some(tenant) => tenant.clone(),
            None => TenantId::parse("0")?,
        };
        // Whatever the failure is, the answer is to say that there is one. The log has its causes.
        Ok(match self.credentials.read(&tenant).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(cause = %error, "the secret of a tenant cannot be read");
                false
            }
        })
    }
}
