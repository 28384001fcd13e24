//! `scim token`: create, list and revoke the credentials of a tenant.

use std::collections::BTreeSet;
use std::fmt::Write;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::Failure;
use super::deployment_args::DeploymentArgs;
use super::serve::print;
use super::tenant::tenant_id;
use crate::identity::{CredentialId, TenantId};
use crate::protocol::datetime::DateTime;
use crate::stack::Stack;
use crate::tenant::{Credential, CredentialKind, Issued, NewCredential, Permissions};

/// Seconds in a day.
const DAY: u64 = 86_400;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it, once
    Create(Create),
    /// List a tenant's tokens
    List(List),
    /// Revoke a token for good
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// What people call the token
    #[arg(long, default_value = "token")]
    label: String,
    /// How it is presented
    #[arg(long, value_enum, default_value_t = Kind::Bearer)]
    kind: Kind,
    /// How many days it is valid, up to a hundred years; for ever if left out
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// Permit this only, such as users:read; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// Permit what the role with this id permits
    #[arg(long, value_name = "ID")]
    role: Option<String>,
    /// The id of the user that /Me stands for; without --permission and --role the token may read and
    /// change this user at /Me, and nothing else
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    place: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The id that `scim token list` shows
    #[arg(value_parser = credential_id)]
    id: CredentialId,
    #[command(flatten)]
    place: DeploymentArgs,
}

/// How a credential is presented.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// As a bearer token
    Bearer,
    /// As user name and password
    Basic,
    /// As a signature of each request
    Mac,
}

impl TokenCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let place = match &self {
            Self::Create(create) => &create.place,
            Self::List(list) => &list.place,
            Self::Revoke(revoke) => &revoke.place,
        };
        let opened = place.open().await?;
        let answer = self.run_on(opened.stack()).await?;
        print(&answer);
        Ok(())
    }

    async fn run_on(&self, stack: &Stack) -> Result<String, Failure> {
        let issuer = stack.issuer();
        match self {
            Self::Create(create) => {
                // Only a tenant that exists has credentials to list, be it none.
                issuer.credentials(&create.tenant).await?;
                let new = create.credential();
                let service = stack.service()?;
                let check = service.provider.check_new_credential(&create.tenant, &new);
                check.await?;
                let issued = issuer.create_credential(&create.tenant, new).await?;
                Ok(if create.json {
                    as_json(&issued)
                } else {
                    for_people(&issued)
                })
            }
            Self::List(List { tenant, .. }) => {
                Ok(issuer.credentials(tenant).await?.iter().map(line).collect())
            }
            Self::Revoke(Revoke { tenant, id, .. }) => {
                issuer.revoke(tenant, id).await?;
                Ok(format!("Revoked token {id} of tenant {tenant}\n"))
            }
        }
    }
}

impl Create {
    fn credential(&self) -> NewCredential {
        let listed: BTreeSet<String> = self.permissions.iter().cloned().collect();
        NewCredential {
            kind: match self.kind {
                Kind::Bearer => CredentialKind::Bearer,
                Kind::Basic => CredentialKind::Basic,
                Kind::Mac => CredentialKind::Mac,
            },
            label: self.label.clone(),
            lifetime_seconds: self.days.map(|days| days * DAY),
            permissions: if listed.is_empty() {
                Permissions::All
            } else {
                Permissions::Only(listed)
            },
            role: self.role.clone(),
            user: self.user.clone(),
        }
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
    shown.insert("token".to_owned(), json!(issued.secret));
    format!("{}\n", Value::Object(shown))
}

fn for_people(issued: &Issued) -> String {
    let mut text = format!("  Id         {}\n", issued.credential.id);
    // Writing to a string does not fail.
    if let Some(user_name) = &issued.user_name {
        let _ = writeln!(text, "  User name  {user_name}");
    }
    let _ = writeln!(text, "  Token      {}", issued.secret);
    text.push_str("\n  The token is shown this once and kept nowhere.\n");
    text
}

/// One credential as a line: id, kind, validity, permissions, label.
fn line(credential: &Credential) -> String {
    let kind = credential.kind.name();
    let until = credential
        .expires
        .map_or_else(|| "for ever".to_owned(), day);
    let (id, created, label) = (&credential.id, day(credential.created), &credential.label);
    let permitted = match (credential.permissions(), &credential.role) {
        (_, Some(role)) => format!("role {role}"),
        (Permissions::All, None) => "everything".to_owned(),
        (Permissions::Only(listed), None) => listed.into_iter().collect::<Vec<_>>().join(","),
    };
    format!("{id}  {kind:<6}  {created} to {until}  {permitted}  {label}\n")
}

/// The day of a time in seconds since the Unix epoch.
fn day(seconds: u64) -> String {
    let milliseconds = seconds.checked_mul(1_000);
    milliseconds
        .and_then(|milliseconds| i64::try_from(milliseconds).ok())
        .and_then(DateTime::from_unix_milliseconds)
        .and_then(|time| time.to_string().get(..10).map(str::to_owned))
        .unwrap_or_else(|| "?".to_owned())
}
