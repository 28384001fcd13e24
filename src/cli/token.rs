//! `scim token`: create, list and revoke the credentials of a tenant.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::CommandError;
use super::columns::Table;
use super::deployment_args::DeploymentArgs;
use super::tenant::tenant_id;
use super::terminal::print;
use super::view::View;
use crate::admin::Time;
use crate::identity::{CredentialId, TenantId};
use crate::stack::Stack;
use crate::tenant::{
    Credential, CredentialKind, DEFAULT_LIFETIME_DAYS, Issued, Jwks, NewCredential, Permissions,
};

/// Seconds in a day.
const DAY: u64 = 86_400;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it; it is not shown again
    Create(CreateArgs),
    /// List a tenant's tokens
    List(ListArgs),
    /// Revoke a token; it cannot be restored
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// A name for people, 1 to 100 bytes
    #[arg(long, default_value = "token")]
    label: String,
    /// How clients send it
    #[arg(long, value_enum, default_value_t = KindArg::Bearer)]
    kind: KindArg,
    /// The public keys of an oauth-jwt client: a file with a JWK set
    #[arg(long, value_name = "FILE", required_if_eq("kind", "oauth-jwt"))]
    jwks: Option<PathBuf>,
    /// The number of days that it is valid, up to 36500
    #[arg(long, value_name = "DAYS", default_value_t = DEFAULT_LIFETIME_DAYS)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: u64,
    /// Let it be valid until it is revoked
    #[arg(long, conflicts_with = "days")]
    never_expires: bool,
    /// Permit only this, such as users:read; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// Permit what the role with this id permits
    #[arg(long, value_name = "ID")]
    role: Option<String>,
    /// The id of the user that the token belongs to; without --permission and --role it may read and change
    /// this user at /Me, and nothing else
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The id that `scim token list` shows
    #[arg(value_parser = credential_id)]
    id: CredentialId,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// How clients send a credential.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    /// As a bearer token
    Bearer,
    /// As user name and password
    Basic,
    /// As a signature of each request
    Mac,
    /// As client id and secret, for access tokens from /oauth/token
    #[value(name = "oauth")]
    OAuth,
    /// As a signed JWT, for access tokens from /oauth/token
    #[value(name = "oauth-jwt")]
    OAuthJwt,
}

impl TokenCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let deployment = match &self {
            Self::Create(create) => &create.deployment,
            Self::List(list) => &list.deployment,
            Self::Revoke(revoke) => &revoke.deployment,
        };
        let opened = deployment.open().await?;
        let answer = self.run_on(opened.stack()).await?;
        print(&answer)
    }

    async fn run_on(&self, stack: &Stack) -> Result<String, CommandError> {
        let issuer = stack.issuer();
        match self {
            Self::Create(create) => {
                // This fails if the tenant does not exist.
                issuer.credentials(&create.tenant).await?;
                let new = create.credential()?;
                let service = stack.service();
                let check = service.provider.check_new_credential(&create.tenant, &new);
                check.await?;
                let issued = issuer.create_credential(&create.tenant, new).await?;
                Ok(if create.json {
                    as_json(&issued)
                } else {
                    for_people(&issued)
                })
            }
            Self::List(ListArgs { tenant, deployment }) => {
                let credentials = issuer.credentials(tenant).await?;
                Ok(list_text(&credentials, tenant, &View::here(deployment)))
            }
            Self::Revoke(RevokeArgs { tenant, id, .. }) => {
                if !issuer.revoke(tenant, id).await? {
                    return Err(CommandError::new(format!(
                        "The tenant {tenant} has no credential {id}"
                    )));
                }
                Ok(format!("Revoked token {id} of tenant {tenant}\n"))
            }
        }
    }
}

impl CreateArgs {
    fn credential(&self) -> Result<NewCredential, CommandError> {
        let listed: BTreeSet<String> = self.permissions.iter().cloned().collect();
        let jwks = match &self.jwks {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|error| CommandError::new(format!("{}: {error}", path.display())))?;
                Some(Jwks::parse(&text)?)
            }
            None => None,
        };
        Ok(NewCredential {
            kind: match self.kind {
                KindArg::Bearer => CredentialKind::Bearer,
                KindArg::Basic => CredentialKind::Basic,
                KindArg::Mac => CredentialKind::Mac,
                KindArg::OAuth => CredentialKind::OAuth,
                KindArg::OAuthJwt => CredentialKind::OAuthJwt,
            },
            label: self.label.clone(),
            lifetime_seconds: (!self.never_expires).then_some(self.days * DAY),
            permissions: if listed.is_empty() {
                Permissions::All
            } else {
                Permissions::Only(listed)
            },
            role: self.role.clone(),
            user: self.user.clone(),
            jwks,
        })
    }
}

fn credential_id(text: &str) -> Result<CredentialId, String> {
    CredentialId::parse(text).map_err(|error| error.detail().to_owned())
}

fn as_json(issued: &Issued) -> String {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(issued.credential.id.as_str()));
    if let Some(user_name) = &issued.user_name {
        shown.insert("userName".to_owned(), json!(user_name));
    }
    if !issued.secret.is_empty() {
        shown.insert("token".to_owned(), json!(issued.secret));
    }
    format!("{}\n", Value::Object(shown))
}

fn for_people(issued: &Issued) -> String {
    let mut text = format!("  Id         {}\n", issued.credential.id);
    // Writing to a string does not fail.
    let is_client = issued.credential.kind.is_client();
    if let Some(user_name) = &issued.user_name {
        let name = if is_client { "Client id" } else { "User name" };
        let _ = writeln!(text, "  {name}  {user_name}");
    }
    let name = if is_client { "Secret   " } else { "Token    " };
    if issued.secret.is_empty() {
        text.push_str(
            "\n  The client signs its assertions with its own key, so there is no secret.\n",
        );
        return text;
    }
    let _ = writeln!(text, "  {name}  {}", issued.secret);
    let name = name.trim_end().to_lowercase();
    let _ = writeln!(
        text,
        "\n  Copy the {name} now. It is not stored and cannot be shown again."
    );
    text
}

fn list_text(credentials: &[Credential], tenant: &TenantId, view: &View) -> String {
    if credentials.is_empty() {
        let place = &view.place;
        return format!("There are no tokens; scim token create {tenant}{place} creates one\n");
    }
    let header = ["ID", "KIND", "CREATED", "EXPIRES", "MAY", "LABEL"];
    let mut table = Table::new(header).may_cut("MAY").may_cut("LABEL");
    for credential in credentials {
        let at = |seconds: u64| view.relative(Time(seconds.saturating_mul(1_000)));
        let may = match (credential.permissions(), &credential.role) {
            (_, Some(role)) => format!("role {role}"),
            (Permissions::All, None) => "everything".to_owned(),
            (Permissions::Only(listed), None) => listed.into_iter().collect::<Vec<_>>().join(","),
        };
        table.row([
            credential.id.to_string(),
            credential.kind.name().to_owned(),
            at(credential.created),
            credential.expires.map_or_else(|| "never".to_owned(), at),
            may,
            credential.label.clone(),
        ]);
    }
    table.to_text(view.width)
}
