//! `scim token`: create, list, rotate and revoke the credentials of a tenant.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{Table, facts};
use super::confirm::confirm;
use super::operator::Operator;
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::credential::{
    CreateCredential, IssuedCredential, ListCredentials, ListedCredential, RevokeAllCredentials,
    RevokeCredential, RotateCredential, RotatedCredential,
};
use crate::identity::{CredentialId, TenantId};
use crate::tenant::CredentialKind;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it; it is not shown again
    #[command(after_help = "Examples:\n  \
        scim token create acme --label okta\n  \
        scim token create acme --label reports --permission users:read --days 30\n  \
        scim token create acme --label entra --kind oauth")]
    Create(CreateArgs),
    /// List a tenant's tokens
    #[command(after_help = "Example:\n  scim token list acme")]
    List(ListArgs),
    /// Replace a token: print a new one like it, and let the old one end after some hours
    #[command(after_help = "Examples:\n  \
        scim token rotate acme 36e619621594f5c6\n  \
        scim token rotate acme 36e619621594f5c6 --grace-hours 72")]
    Rotate(RotateArgs),
    /// Revoke a token; it cannot be restored
    #[command(after_help = "Example:\n  scim token revoke acme 36e619621594f5c6")]
    Revoke(RevokeArgs),
    /// Revoke all tokens of a tenant
    #[command(after_help = "Example:\n  scim token revoke-all acme --yes")]
    RevokeAll(RevokeAllArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// A name for people, 1 to 100 bytes
    #[arg(long, default_value = "token", value_parser = label)]
    label: String,
    /// How clients send it
    #[arg(long, value_enum, default_value_t = KindArg::Bearer)]
    kind: KindArg,
    /// The file with the public keys of a client that signs assertions: a JWK set
    #[arg(long, value_name = "FILE", required_if_eq("kind", "oauth-jwt"))]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    lifetime: LifetimeArgs,
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
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
struct LifetimeArgs {
    /// The number of days that it is valid, up to 36500 [default: 365]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// Let it be valid until it is revoked
    #[arg(long, conflicts_with = "days")]
    never_expires: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The id that `scim token list` shows
    #[arg(value_parser = credential_id)]
    id: CredentialId,
    /// How many hours the old one stays valid, up to 720; with 0 it is revoked at once [default: 24]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(0..=720))]
    grace_hours: Option<u64>,
    /// A file with other public keys, for a client that signs assertions; without it, it keeps those that it has
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    lifetime: LifetimeArgs,
    #[command(flatten)]
    ask: AskArgs,
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
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct RevokeAllArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// Revoke them without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    ask: AskArgs,
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
        match self {
            Self::Create(create) => create.run().await,
            Self::List(ListArgs { tenant, ask }) => {
                let list = ListCredentials {
                    tenant: tenant.clone(),
                };
                let list = ask.operator().await?.ask(&list).await?;
                ask.print(&list, |view| list_text(&list.credentials, &tenant, view))
            }
            Self::Rotate(rotate) => rotate.run().await,
            Self::Revoke(RevokeArgs { tenant, id, ask }) => {
                let revoke = RevokeCredential {
                    tenant: tenant.clone(),
                    id: id.clone(),
                };
                let revoked = ask.operator().await?.ask(&revoke).await?;
                ask.print(&revoked, |_| match revoked.existed {
                    true => format!("Revoked token {id} of tenant {tenant}\n"),
                    // The command fails, and the line on stderr says why.
                    false => String::new(),
                })?;
                match revoked.existed {
                    true => Ok(()),
                    false => Err(CommandError::new(format!(
                        "The tenant {tenant} has no token {id}"
                    ))),
                }
            }
            Self::RevokeAll(revoke_all) => revoke_all.run().await,
        }
    }
}

impl CreateArgs {
    async fn run(self) -> Result<(), CommandError> {
        let create = CreateCredential {
            tenant: self.tenant,
            kind: self.kind.into(),
            label: self.label,
            days: self.lifetime.days,
            never_expires: self.lifetime.never_expires,
            permissions: self.permissions,
            role: self.role,
            user: self.user,
            jwks: self.jwks.as_deref().map(keys).transpose()?,
        };
        let issued = self.ask.operator().await?.ask(&create).await?;
        self.ask.print(&issued, |view| issued_text(&issued, view))
    }
}

impl RotateArgs {
    async fn run(self) -> Result<(), CommandError> {
        let rotate = RotateCredential {
            tenant: self.tenant,
            id: self.id,
            grace_hours: self.grace_hours,
            days: self.lifetime.days,
            never_expires: self.lifetime.never_expires,
            jwks: self.jwks.as_deref().map(keys).transpose()?,
        };
        let rotated = self.ask.operator().await?.ask(&rotate).await?;
        self.ask
            .print(&rotated, |view| rotated_text(&rotated, view))
    }
}

impl RevokeAllArgs {
    async fn run(self) -> Result<(), CommandError> {
        let Self { tenant, yes, ask } = self;
        let operator = ask.operator().await?;
        if !yes {
            confirm(&self::losses(&operator, &tenant).await?, yes)?;
        }
        let revoke = RevokeAllCredentials {
            tenant: tenant.clone(),
        };
        let answer = operator.ask(&revoke).await?;
        ask.print(&answer, |_| {
            format!("Revoked {} of tenant {tenant}\n", tokens(answer.revoked))
        })
    }
}

/// What a tenant loses with all of its tokens, as a sentence.
async fn losses(operator: &Operator, tenant: &TenantId) -> Result<String, CommandError> {
    let list = ListCredentials {
        tenant: tenant.clone(),
    };
    let list = operator.ask(&list).await?;
    let labels: Vec<&str> = list
        .credentials
        .iter()
        .map(|one| one.label.as_str())
        .collect();
    Ok(match labels.as_slice() {
        [] => format!("The tenant {tenant} has no tokens"),
        labels => format!(
            "The tenant {tenant} loses {} ({}), and no client of it can send requests any more",
            tokens(labels.len()),
            labels.join(", ")
        ),
    })
}

fn tokens(count: usize) -> String {
    match count {
        1 => "1 token".to_owned(),
        count => format!("{count} tokens"),
    }
}

impl From<KindArg> for CredentialKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Bearer => Self::Bearer,
            KindArg::Basic => Self::Basic,
            KindArg::Mac => Self::Mac,
            KindArg::OAuth => Self::OAuth,
            KindArg::OAuthJwt => Self::OAuthJwt,
        }
    }
}

fn credential_id(text: &str) -> Result<CredentialId, String> {
    CredentialId::parse(text).map_err(|error| error.detail().to_owned())
}

/// A label, checked before anything is asked. What a kind of credential requires of it besides, the operation checks.
fn label(text: &str) -> Result<String, String> {
    match (1..=100).contains(&text.len()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("a label has 1 to 100 bytes, none of them a control character".to_owned()),
    }
}

/// The public keys in a file. What keys a client may have, the operation checks.
fn keys(file: &Path) -> Result<Value, CommandError> {
    let fail = |error: &dyn Display| CommandError::new(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| fail(&error))?;
    serde_json::from_str(&text).map_err(|error| fail(&format!("this is no JSON: {error}")))
}

fn issued_text(issued: &IssuedCredential, view: &View) -> String {
    facts(&issued_facts(issued, view), view.width) + &copy(issued)
}

/// What to do with the secret, if there is one.
fn copy(issued: &IssuedCredential) -> String {
    match issued.token {
        Some(_) => format!(
            "\n  Copy the {} now. It is not stored and cannot be shown again.\n",
            secret_name(issued).to_lowercase()
        ),
        None => String::new(),
    }
}

/// What the administrator of an identity provider calls the secret of a credential.
fn secret_name(issued: &IssuedCredential) -> &'static str {
    match issued.credential.kind.as_str() {
        "oauth" => "Client secret",
        "basic" => "Password",
        "mac" => "Key",
        _ => "Token",
    }
}

fn issued_facts(issued: &IssuedCredential, view: &View) -> Vec<(&'static str, String)> {
    let expires = issued.credential.expires;
    let mut lines = vec![("Id", issued.credential.id.to_string())];
    let name = match issued.credential.kind.starts_with("oauth") {
        true => "Client id",
        false => "User name",
    };
    lines.extend(issued.user_name.clone().map(|value| (name, value)));
    let secret = issued.token.clone();
    lines.extend(secret.map(|secret| (secret_name(issued), secret)));
    lines.push((
        "Expires",
        expires.map_or_else(|| "never".to_owned(), |at| view.exactly(at)),
    ));
    lines
}

fn rotated_text(rotated: &RotatedCredential, view: &View) -> String {
    let mut lines = issued_facts(&rotated.issued, view);
    let previous = match rotated.previous_until {
        Some(until) => format!("valid until {}", view.exactly(until)),
        None => "revoked".to_owned(),
    };
    lines.push(("Old token", previous));
    facts(&lines, view.width) + &copy(&rotated.issued)
}

/// What a tenant without tokens needs.
pub(super) fn no_tokens(tenant: &TenantId, view: &View) -> String {
    let place = &view.place;
    format!("There are no tokens; scim token create {tenant}{place} creates one\n")
}

fn list_text(credentials: &[ListedCredential], tenant: &TenantId, view: &View) -> String {
    if credentials.is_empty() {
        return no_tokens(tenant, view);
    }
    let header = ["ID", "KIND", "CREATED", "EXPIRES", "MAY", "LABEL"];
    let mut table = Table::new(header).may_cut("MAY").may_cut("LABEL");
    for credential in credentials {
        let expires = credential.expires;
        table.row([
            credential.id.to_string(),
            credential.kind.clone(),
            view.relative(credential.created),
            expires.map_or_else(|| "never".to_owned(), |at| view.relative(at)),
            may(credential),
            credential.label.clone(),
        ]);
    }
    table.to_text(view.width)
}

/// What a credential permits, in a cell.
fn may(credential: &ListedCredential) -> String {
    let own = credential
        .permissions
        .as_ref()
        .map(|listed| listed.join(","));
    match (&credential.role, own) {
        (Some(role), Some(own)) => format!("role {role},{own}"),
        (Some(role), None) => format!("role {role}"),
        (None, Some(own)) => own,
        (None, None) => "everything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Time;

    #[test]
    fn a_list_of_tokens_fits_a_terminal() {
        let credential = |label: &str, permissions: &[&str]| ListedCredential {
            id: CredentialId::parse("36e619621594f5c6").unwrap(),
            kind: "bearer".to_owned(),
            label: label.to_owned(),
            created: Time(0),
            expires: Some(Time(31_536_000_000)),
            permissions: Some(permissions.iter().map(|&text| text.to_owned()).collect()),
            role: None,
            user: None,
            replaces: None,
            last_used: None,
        };
        let long = credential(
            "the connection of Okta in the headquarters",
            &["users:read", "groups:read"],
        );
        let tenant = TenantId::parse("acme").unwrap();
        let view = |width| View {
            now: 86_400_000,
            width,
            place: String::new(),
        };
        let wide = list_text(std::slice::from_ref(&long), &tenant, &view(Some(80)));
        assert!(
            wide.lines().all(|line| line.chars().count() <= 80),
            "{wide}"
        );
        assert!(
            wide.starts_with("ID                KIND    CREATED    EXPIRES      MAY "),
            "{wide}"
        );
        let narrow = list_text(std::slice::from_ref(&long), &tenant, &view(Some(40)));
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 40),
            "{narrow}"
        );
        assert!(narrow.contains("36e619621594f5c6"), "{narrow}");
        let piped = list_text(&[long], &tenant, &view(None));
        assert!(
            piped.contains("the connection of Okta in the headquarters"),
            "{piped}"
        );
    }
}
