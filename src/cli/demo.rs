//! The demo tenant of a local deployment, and its token. The token is stored, so that it is the same after a
//! restart.

use super::CommandError;
use super::rules::RuleArgs;
use crate::admin::Code;
use crate::identity::TenantId;
use crate::protocol::Error;
use crate::stack::Stack;
use crate::tenant::{CredentialKind, NewCredential, Permissions, Secret, Token};

/// The name of the demo tenant, and the label of its token.
const DEMO: &str = "demo";

/// The demo tenant with a token that works.
pub(super) struct Demo {
    pub(super) tenant: TenantId,
    pub(super) token: String,
}

impl Demo {
    /// Finds the demo tenant and its token, or creates them.
    pub(super) async fn prepare(stack: &Stack, rules: &RuleArgs) -> Result<Self, CommandError> {
        let tenant = TenantId::parse(DEMO)?;
        match rules.create(stack, &tenant).await {
            Ok(_) => {}
            // The tenant exists already, so only the given rules are changed.
            Err(failure) if failure.code == Code::Taken => rules.change(stack, &tenant).await?,
            Err(failure) => return Err(failure.into()),
        }
        let token = token(stack, &tenant).await?;
        Ok(Self { tenant, token })
    }
}

/// The stored token, or a new one if that was revoked.
async fn token(stack: &Stack, tenant: &TenantId) -> Result<String, CommandError> {
    let name = format!("{}/{DEMO}-token", stack.name());
    let kept = stack.secrets.get(&name).await.map_err(Error::from)?;
    if let Some(kept) = &kept
        && is_valid(stack, tenant, kept).await?
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
        jwks: None,
    };
    let issued = stack.issuer().create_credential(tenant, new).await?;
    let version = kept.as_ref().map(|kept| &kept.version);
    let put = stack.secrets.put(&name, &issued.secret, version).await;
    put.map_err(Error::from)?;
    Ok(issued.secret)
}

async fn is_valid(stack: &Stack, tenant: &TenantId, kept: &Secret) -> Result<bool, CommandError> {
    let Ok(token) = Token::parse(&stack.keys.known(), &kept.value) else {
        return Ok(false);
    };
    let credentials = stack.issuer().credentials(tenant).await?;
    Ok(credentials
        .iter()
        .any(|credential| credential.id == *token.credential()))
}
