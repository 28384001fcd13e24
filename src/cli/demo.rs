//! The demo tenant of a local deployment, and its token, which is kept so that a restart shows the
//! same one.

use super::Failure;
use super::local::{Local, STACK};
use super::rules::RuleArguments;
use crate::protocol::{Error, ErrorKind};
use crate::tenant::{CredentialKind, NewCredential, Permissions, Secret, TenantId, Token};

/// The name of the demo tenant, and the label of its token.
const DEMO: &str = "demo";

/// The demo tenant with a token that works.
pub(super) struct Demo {
    pub(super) tenant: TenantId,
    pub(super) token: String,
}

impl Demo {
    /// Finds the demo tenant and its token, or makes them.
    pub(super) async fn prepare(local: &Local, rules: &RuleArguments) -> Result<Self, Failure> {
        let tenant = TenantId::parse(DEMO)?;
        match local.stack.issuer().create_tenant(&tenant).await {
            Ok(()) => rules.apply(&local.stack, &tenant).await?,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                rules.change(&local.stack, &tenant).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let token = token(local, &tenant).await?;
        Ok(Self { tenant, token })
    }
}

/// The kept token, unless it was revoked; else a new one.
async fn token(local: &Local, tenant: &TenantId) -> Result<String, Failure> {
    let name = format!("{STACK}/{DEMO}-token");
    let kept = local.stack.secrets.get(&name).await.map_err(Error::from)?;
    if let Some(kept) = &kept
        && is_valid(local, tenant, kept).await?
    {
        return Ok(kept.value.clone());
    }
    let new = NewCredential {
        kind: CredentialKind::Bearer,
        label: DEMO.to_owned(),
        lifetime_seconds: None,
        permissions: Permissions::All,
        role: None,
        user: None,
    };
    let issued = local.stack.issuer().create_credential(tenant, new).await?;
    let version = kept.as_ref().map(|kept| &kept.version);
    let put = local
        .stack
        .secrets
        .put(&name, &issued.secret, version)
        .await;
    put.map_err(Error::from)?;
    Ok(issued.secret)
}

async fn is_valid(local: &Local, tenant: &TenantId, kept: &Secret) -> Result<bool, Failure> {
    let Some(token) = Token::parse(&local.stack.secret, &kept.value) else {
        return Ok(false);
    };
    let credentials = local.stack.issuer().credentials(tenant).await?;
    Ok(credentials
        .iter()
        .any(|credential| credential.id == *token.credential()))
}
