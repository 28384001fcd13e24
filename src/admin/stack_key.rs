//! `stack.rotateKey`: the keys under which credentials, cursors and access tokens are made.

use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::{About, Admin, Asked, Code, Failure, Operation, Time};
use crate::identity::TenantId;
use crate::tenant::{Credential, KeyId, KeyState};

/// The number of tenants whose secrets are read before the next part of their list.
const TENANTS: usize = 100;
/// The number of secrets that are read side by side.
const PARALLEL: usize = 10;
/// The number of credentials that a refusal names.
const NAMED: usize = 20;

/// Adds a key, or removes an earlier one. A key that was added signs after two minutes; until then the same
/// request adds no other one. To remove a key that was removed already does nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateStackKey {
    /// The number of the key to remove; without it a key is added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire: Option<KeyId>,
    /// Whether a key is removed although live credentials were made under it, or clients may hold cursors and
    /// access tokens that were. All of these become invalid.
    #[serde(default)]
    pub even_if_used: bool,
}

/// The answer of `stack.rotateKey`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StackKeyList {
    /// The keys that the stack has now, the earliest first.
    pub keys: Vec<ListedStackKey>,
}

/// A key of the stack, without its material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedStackKey {
    /// Its number.
    pub id: KeyId,
    /// Since when it signs, or when it begins to; `None` for the key that the stack was made with.
    pub signs_from: Option<Time>,
    /// Whether it is the one that signs now.
    pub is_signing: bool,
}

impl Operation for RotateStackKey {
    const NAME: &'static str = "stack.rotateKey";
    type Answer = StackKeyList;

    fn about(&self) -> About<'_> {
        About::default()
    }

    async fn perform(&self, admin: &Admin, _asked: &Asked) -> Result<StackKeyList, Failure> {
        let keys = match self.retire {
            None => admin.keys.rotate().await?,
            Some(key) => {
                let states = admin.keys.states().await?;
                let mut others = states.iter().filter(|state| !state.is_signing);
                // The key that signs is refused below, and its credentials are not named: replaced now, they would be
                // made under it again. A key that was removed before takes nothing with it.
                if others.any(|state| state.id == key) && !self.even_if_used {
                    check_unused(admin, key).await?;
                }
                admin.keys.retire(key, self.even_if_used).await?
            }
        };
        Ok(StackKeyList {
            keys: keys.iter().map(ListedStackKey::from).collect(),
        })
    }
}

/// Fails if a live credential was made under a key, and names such credentials. Takes one read for each tenant.
async fn check_unused(admin: &Admin, key: KeyId) -> Result<(), Failure> {
    let now = admin.clock.now_seconds();
    let is_live = |credential: &Credential| credential.key == key && !credential.is_expired(now);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = admin
            .stack_store()
            .tenant_list()
            .names(after.as_ref(), TENANTS)
            .await?;
        let reads: Vec<_> = page
            .tenants
            .iter()
            .map(async |tenant| (tenant, admin.credentials.read(tenant).await))
            .collect();
        let mut reads = stream::iter(reads).buffered(PARALLEL);
        while let Some((tenant, read)) = reads.next().await {
            let secret = read?.unwrap_or_default();
            let live = secret.credentials().filter(|known| is_live(known));
            found.extend(live.map(|credential| named(tenant, credential)));
        }
        after = page.next;
        // The rest would not be named.
        if after.is_none() || found.len() > NAMED {
            break;
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let more = if found.len() > NAMED {
        ", and more"
    } else {
        ""
    };
    found.truncate(NAMED);
    Err(Failure::new(
        Code::Refused,
        format!(
            "Credentials that were made under key {key} would become invalid; replace them first: {}{more}",
            found.join(", ")
        ),
    ))
}

fn named(tenant: &TenantId, credential: &Credential) -> String {
    let (id, kind) = (&credential.id, credential.kind.name());
    format!("{id} of tenant {tenant} ({kind})")
}

impl From<&KeyState> for ListedStackKey {
    fn from(state: &KeyState) -> Self {
        Self {
            id: state.id,
            signs_from: (state.signs > 0).then(|| Time(state.signs.saturating_mul(1_000))),
            is_signing: state.is_signing,
        }
    }
}
