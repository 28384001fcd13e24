//! `scim play`: sends what an identity provider sends on an ordinary day, so that a developer sees events arrive
//! without one.
//!
//! The requests are data: `scripts/` has a file for each provider, in the form of [`script::Script`].

mod client;
mod player;
mod script;

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::local::DEFAULT_LISTEN;
use super::opened::Opened;
use super::provider_arg::ProviderArg;
use super::serve::end_signal;
use super::tenant_arg::tenant_id;
use crate::http::PublicUrl;
use crate::identity::{CredentialId, TenantId};
use crate::tenant::{CredentialKind, NewCredential, Permissions, Token};
use client::Client;
use player::{Exchange, Player};

pub(super) use client::server_url;
use script::{Protocol, Script};

/// How long the token lasts that is made for a run: longer than the longest run takes. A run that is killed cannot
/// revoke its token.
const TOKEN_SECONDS: u64 = 2 * 3_600;
/// The longest wait between two requests, in seconds.
const MAX_PAUSE: f64 = 60.0;
/// The default wait between two requests. The feed reports memberships as they are when its reader looks, so one
/// that is added and removed without a wait may not appear.
const DEFAULT_PAUSE: &str = "0.25";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    scim play okta demo\n  \
    scim play entra acme --url https://id.example.com --token TOKEN --pause 2")]
pub(super) struct PlayArgs {
    /// Whose requests to send
    #[arg(value_enum)]
    provider: ProviderArg,
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The URL of the server, or the base URL that `scim serve` prints [default: where `scim serve` listens]
    #[arg(long, value_name = "URL", value_parser = server_url)]
    url: Option<PublicUrl>,
    /// Send this token of the tenant; without it one is made for the run, and revoked after it
    #[arg(long, value_name = "TOKEN", requires = "url")]
    token: Option<String>,
    /// The wait between two requests, 0 to 60 seconds
    #[arg(long, value_name = "SECONDS", default_value = DEFAULT_PAUSE, value_parser = pause)]
    pause: Duration,
    /// Leave users and groups in the tenant instead of deleting them at the end
    #[arg(long)]
    keep: bool,
    /// Print one JSON object per request, with the bodies
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// A token that was made for a run.
struct RunToken {
    opened: Opened,
    id: CredentialId,
    secret: String,
}

impl PlayArgs {
    /// Plays the script, deletes what it made, and revokes the token that was made for it. Fails if the server
    /// refuses a request, or does not find what the provider would look for.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let script = Script::parse(script::text(self.provider));
        self.check_token()?;
        let own_token = match self.token {
            Some(_) => None,
            None => Some(RunToken::issue(&self.deployment, &self.tenant).await?),
        };
        let played = self.play(&script, own_token.as_ref()).await;
        // The token is revoked whatever came of the run. The reason of the run is the more important one.
        let revoked = match own_token {
            Some(token) => token.revoke(&self.tenant).await,
            None => Ok(()),
        };
        played.and(revoked)
    }

    /// Refuses a token that names another tenant: the requests would work on that one.
    fn check_token(&self) -> Result<(), CommandError> {
        let named = self.token.as_deref().and_then(Token::tenant_named_in);
        match named {
            Some(other) if other != self.tenant => Err(CommandError::new(format!(
                "the token is one of tenant {other}, not of {}: name its own tenant, or send another token",
                self.tenant
            ))),
            _ => Ok(()),
        }
    }

    async fn play(&self, script: &Script, token: Option<&RunToken>) -> Result<(), CommandError> {
        let token = match token {
            Some(made) => &made.secret,
            None => self.token.as_deref().unwrap_or_default(),
        };
        let server = match &self.url {
            Some(url) => url.clone(),
            None => PublicUrl::parse(&format!("http://{DEFAULT_LISTEN}"))?,
        };
        let base_url = match script.protocol {
            Protocol::V2 => server.base_url(),
            Protocol::V1 => server.v1_base_url(),
        };
        let client = Client::new(&base_url, token, &script.headers)?;
        if !self.json {
            let (provider, tenant) = (&script.provider, &self.tenant);
            eprintln!("{provider} in tenant {tenant} at {base_url}");
        }
        let width = script.width();
        let show = |exchange: &Exchange| self.show(exchange, width);
        let mut player = Player::new(client, self.pause, show);
        let mut end = pin!(end_signal());
        let played = player.play(script, end.as_mut()).await;
        if self.keep {
            return played;
        }
        let cleaned = player.clean_up().await;
        played.and(cleaned)
    }

    /// Prints a request and its status.
    fn show(&self, exchange: &Exchange, width: usize) {
        let Exchange {
            does,
            method,
            path,
            body,
            status,
            answer,
        } = exchange;
        let line = match self.json {
            true => json!({
                "does": does, "method": method.as_str(), "path": path, "body": body,
                "status": status, "answer": answer,
            })
            .to_string(),
            false => {
                let path = without_values(path);
                format!("{does:width$}  {:6}  {status}  {path}", method.as_str())
            }
        };
        // A closed pipe is not an error: the run still has to clean up.
        let _ = writeln!(io::stdout(), "{line}");
    }
}

impl RunToken {
    /// Makes a token that may do everything in the tenant.
    async fn issue(deployment: &DeploymentArgs, tenant: &TenantId) -> Result<Self, CommandError> {
        let opened = deployment.open().await?;
        let issuer = opened.stack().issuer();
        // This fails if the tenant does not exist.
        issuer.credentials(tenant).await?;
        let new = NewCredential {
            kind: CredentialKind::Bearer,
            label: "scim play".to_owned(),
            lifetime_seconds: Some(TOKEN_SECONDS),
            permissions: Permissions::All,
            role: None,
            user: None,
            jwks: None,
        };
        let issued = issuer.create_credential(tenant, new).await?;
        Ok(Self {
            opened,
            id: issued.credential.id,
            secret: issued.secret,
        })
    }

    async fn revoke(self, tenant: &TenantId) -> Result<(), CommandError> {
        let issuer = self.opened.stack().issuer();
        issuer.revoke(tenant, &self.id).await?;
        Ok(())
    }
}

/// A path whose query ends before its first value, because filters are too long for a line.
fn without_values(path: &str) -> Cow<'_, str> {
    match path.split_once('=') {
        Some((beginning, _)) => Cow::Owned(format!("{beginning}=…")),
        None => Cow::Borrowed(path),
    }
}

fn pause(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.0..=MAX_PAUSE).contains(seconds));
    let seconds = seconds.ok_or_else(|| format!("seconds are a number from 0 to {MAX_PAUSE}"))?;
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_pause_is_bounded() {
        assert_eq!(pause("0"), Ok(Duration::ZERO));
        assert_eq!(pause("1.5"), Ok(Duration::from_millis(1_500)));
        for text in ["", "-1", "61", "NaN", "inf", "1s"] {
            assert!(pause(text).is_err(), "{text}");
        }
    }

    /// What all providers do, whatever their words for it.
    #[test]
    fn every_script_has_the_everyday_cases() {
        for provider in ProviderArg::value_variants() {
            let script = Script::parse(script::text(*provider));
            script.check();
            let has = |method: &str, start: &str| {
                let mut steps = script.steps.iter();
                steps.any(|step| step.method == method && step.path.starts_with(start))
            };
            assert!(has("POST", "/Users"), "{provider:?}");
            assert!(has("GET", "/Users?filter=userName eq "), "{provider:?}");
            let has_groups = !matches!(provider, ProviderArg::Google);
            assert_eq!(has("POST", "/Groups"), has_groups, "{provider:?}");
            let texts: BTreeSet<_> = script.steps.iter().map(|step| &step.does).collect();
            assert_eq!(texts.len(), script.steps.len(), "{provider:?}");
        }
    }
}
