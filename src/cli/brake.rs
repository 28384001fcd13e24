//! `scim brake`: shows what the brake of a tenant's feed holds back, and releases it.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CommandError;
use super::columns::time;
use super::deployment_args::DeploymentArgs;
use super::rules::tenant_store;
use super::tenant::tenant_id;
use super::terminal::print;
use crate::feed::brake::{self, BrakeStatus};
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::store::{Due, Meter};

/// How long the calls about the stack's own items may take.
const BUDGET: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum BrakeCommand {
    /// Show how many users lost their access within an hour, and what is held back
    Status(StatusArgs),
    /// Let readers have the events that are held back
    Release(ReleaseArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

impl BrakeCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let (tenant, deployment) = match &self {
            Self::Status(status) => (&status.tenant, &status.deployment),
            Self::Release(release) => (&release.tenant, &release.deployment),
        };
        let opened = deployment.open().await?;
        let stack = opened.stack();
        // Fails if there is no such tenant.
        stack.issuer().credentials(tenant).await?;
        let store = tenant_store(stack, tenant);
        let provider = stack.provider();
        let configured = provider.tenants().get(tenant, &store).await?;
        let switches = &configured.rules.switches;
        let answer = match &self {
            Self::Status(StatusArgs { json, .. }) => {
                let status = brake::status(&store, switches, &configured.registry).await?;
                match json {
                    true => as_json(&status),
                    false => for_people(&status),
                }
            }
            Self::Release(_) => match brake::release(&store, switches).await? {
                true => {
                    // Deliveries that were held look again within a minute by themselves; this is sooner.
                    let due = Due::at_millis(store.feed().now(), Some(tenant.clone()));
                    let list = stack.store.for_stack(Meter::default(), BUDGET);
                    list.due().put(&due).await.map_err(Error::from)?;
                    format!("Released the feed of tenant {tenant}\n")
                }
                false => format!("The feed of tenant {tenant} was not held\n"),
            },
        };
        print(&answer)
    }
}

fn as_json(status: &BrakeStatus) -> String {
    let held = status.hold.map(|(hold, until)| {
        json!({"from": hold.from, "since": time(hold.tripped), "until": time(until)})
    });
    let shown = json!({
        "activeUsers": status.active,
        "leavers": status.leavers,
        "limit": status.limit,
        "held": held.unwrap_or(Value::Null),
    });
    format!("{shown}\n")
}

fn for_people(status: &BrakeStatus) -> String {
    let BrakeStatus {
        active,
        leavers,
        limit,
        hold,
    } = status;
    let mut text = format!(
        "  Active users  {active}\n  \
           Lost access   {leavers} within an hour; the brake trips at more than {limit}\n"
    );
    // Writing to a string does not fail.
    let _ = match hold {
        Some((hold, until)) => writeln!(
            text,
            "  Held          from event {} on, since {}, until {}",
            hold.from,
            time(hold.tripped),
            time(*until)
        ),
        None => writeln!(text, "  Held          nothing"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::brake::Hold;

    #[test]
    fn the_status_says_how_many_have_left_and_what_is_held_until_when() {
        let mut status = BrakeStatus {
            active: 70,
            leavers: 30,
            limit: 20,
            hold: None,
        };
        let text = for_people(&status);
        assert!(
            text.contains("30 within an hour; the brake trips at more than 20"),
            "{text}"
        );
        assert!(text.contains("Held          nothing"), "{text}");
        let hold = Hold {
            from: 8,
            tripped: 1_795_478_400_000,
        };
        status.hold = Some((hold, 1_795_564_800_000));
        let held =
            "from event 8 on, since 2026-11-24T00:00:00.000Z, until 2026-11-25T00:00:00.000Z";
        assert!(for_people(&status).contains(held));
        let json: Value = serde_json::from_str(&as_json(&status)).unwrap();
        assert_eq!(json["held"]["until"], "2026-11-25T00:00:00.000Z");
        assert_eq!(json["activeUsers"], 70);
    }
}
