//! `scim brake`: shows what the brake of a tenant's feed holds back, and releases it.

use clap::{Args, Subcommand};

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{facts, number};
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::brake::{ReleaseBrake, ShowBrake, ShownBrake};
use crate::identity::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum BrakeCommand {
    /// Show how many users lost their access within an hour, and what is held back
    #[command(after_help = "Example:\n  scim brake status acme")]
    Status(BrakeArgs),
    /// Let readers have the events that are held back
    #[command(after_help = "Example:\n  scim brake release acme")]
    Release(BrakeArgs),
}

#[derive(Debug, Args)]
pub(super) struct BrakeArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    ask: AskArgs,
}

impl BrakeCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Status(BrakeArgs { tenant, ask }) => {
                let status = ask.operator().await?.ask(&ShowBrake { tenant }).await?;
                ask.print(&status, |view| text(&status, view))
            }
            Self::Release(BrakeArgs { tenant, ask }) => {
                let release = ReleaseBrake {
                    tenant: tenant.clone(),
                };
                let answer = ask.operator().await?.ask(&release).await?;
                ask.print(&answer, |_| match answer.released {
                    true => format!("Released the feed of tenant {tenant}\n"),
                    false => format!("The feed of tenant {tenant} was not held\n"),
                })
            }
        }
    }
}

fn text(status: &ShownBrake, view: &View) -> String {
    let (leavers, limit) = (number(status.leavers), number(status.limit));
    let held = status.held.as_ref().map(|held| {
        let (since, until) = (view.relative(held.since), view.exactly(held.until));
        format!("from event {} on, since {since}, until {until}", held.from)
    });
    facts(
        &[
            ("Active users", number(status.active_users)),
            (
                "Lost access",
                format!("{leavers} within an hour; the brake trips at more than {limit}"),
            ),
            ("Held", held.unwrap_or_else(|| "nothing".to_owned())),
        ],
        view.width,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Time;
    use crate::admin::brake::Held;

    #[test]
    fn the_status_says_how_many_have_left_and_what_is_held_until_when() {
        let mut status = ShownBrake {
            active_users: 70,
            leavers: 30,
            limit: 20,
            held: None,
        };
        let view = View {
            now: 1_795_478_460_000,
            width: None,
            place: String::new(),
        };
        let expected = "  Active users  70\n  Lost access   30 within an hour; the brake trips at more than 20\n  \
                        Held          nothing\n";
        assert_eq!(text(&status, &view), expected);
        status.held = Some(Held {
            from: 8,
            since: Time(1_795_478_400_000),
            until: Time(1_795_564_800_000),
        });
        let held = "from event 8 on, since 1 minute ago, until 2026-11-25T00:00:00.000Z (in 1 day)";
        assert!(text(&status, &view).contains(held));
    }
}
