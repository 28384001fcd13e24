//! `scim events`: the feed of a tenant's changes, for the operator.
//!
//! The operator sees every event with its values, also the events that the brake holds back, to judge them.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{number, printable};
use super::operator::Operator;
use super::progress::Progress;
use super::serve::end_signal;
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::event::{EventList, ForgetEvents, ForgottenEvents, ListEvents};
use crate::feed::read::After;
use crate::identity::TenantId;
use crate::protocol::resource::ResourceId;

/// The interval at which `tail` looks for events.
const TAIL_INTERVAL: Duration = Duration::from_secs(1);
/// How many events are read at once.
const AT_ONCE: u16 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Show a part of a tenant's feed, and the position after it
    #[command(after_help = "Examples:\n  \
        scim events list acme\n  \
        scim events list acme --type 'user.*' --limit 20 --json\n  \
        scim events list acme --resource 01a21a5b-21e5-751d-a49f-dc1cc6fcc0d9")]
    List(ListArgs),
    /// Follow a tenant's feed from now on
    #[command(after_help = "Example:\n  scim events tail acme --type 'group.member.*'")]
    Tail(FeedArgs),
    /// Print a tenant's feed from a position to its end, one JSON object per line
    #[command(after_help = "Example:\n  scim events replay acme > acme.ndjson")]
    Replay(ReplayArgs),
    /// Remove the values of one resource from all of its events; ids and numbers stay
    #[command(
        after_help = "Example:\n  scim events forget acme 01a21a5b-21e5-751d-a49f-dc1cc6fcc0d9"
    )]
    Forget(ForgetArgs),
}

/// A tenant's feed, and which of its events.
#[derive(Debug, Args)]
pub(super) struct FeedArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// Show only these types, such as user.created or group.member.*; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Show only what is about the resource with this id: its changes, and its memberships
    #[arg(long, value_name = "ID", value_parser = resource_id)]
    resource: Option<ResourceId>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Begin after this: a position, `beginning` or `now`
    #[arg(long, value_name = "POSITION", default_value = "beginning", value_parser = after)]
    after: After,
    /// The most events to show
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    #[command(flatten)]
    feed: FeedArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Begin after this: a position, or `beginning`
    #[arg(long, value_name = "POSITION", default_value = "beginning", value_parser = past)]
    after: After,
    #[command(flatten)]
    feed: FeedArgs,
}

#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The id of the resource
    #[arg(value_parser = resource_id)]
    id: ResourceId,
    #[command(flatten)]
    ask: AskArgs,
}

impl EventsCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::List(ListArgs { after, limit, feed }) => {
                let operator = feed.ask.operator().await?;
                let part = feed.read(&operator, after.to_string(), limit).await?;
                feed.ask.print(&part, |view| for_people(&part, view))
            }
            Self::Tail(feed) => {
                let operator = feed.ask.operator().await?;
                tokio::select! {
                    followed = feed.follow(&operator) => followed,
                    () = end_signal() => Ok(()),
                }
            }
            Self::Replay(replay) => replay.run().await,
            Self::Forget(forget) => forget.run().await,
        }
    }
}

impl FeedArgs {
    async fn read(
        &self,
        operator: &Operator,
        after: String,
        limit: u16,
    ) -> Result<EventList, CommandError> {
        let list = ListEvents {
            tenant: self.tenant.clone(),
            after: Some(after),
            limit: Some(limit.into()),
            types: self.types.clone(),
            resource: self.resource.as_ref().map(ToString::to_string),
        };
        operator.ask(&list).await
    }

    /// Prints new events until nothing reads stdout any more.
    async fn follow(&self, operator: &Operator) -> Result<(), CommandError> {
        let mut after = After::Now.to_string();
        loop {
            let part = self.read(operator, after, AT_ONCE).await?;
            let lines = part
                .events
                .iter()
                .map(|event| match self.ask.is_for_scripts() {
                    true => event.to_string(),
                    false => line(event),
                });
            if !print_lines(lines) {
                return Ok(());
            }
            if part.behind == 0 {
                tokio::time::sleep(TAIL_INTERVAL).await;
            }
            after = part.next;
        }
    }
}

impl ReplayArgs {
    async fn run(self) -> Result<(), CommandError> {
        let operator = self.feed.ask.operator().await?;
        let mut after = self.after.to_string();
        loop {
            let part = self.feed.read(&operator, after, AT_ONCE).await?;
            if !print_lines(part.events.iter().map(Value::to_string)) || part.behind == 0 {
                return Ok(());
            }
            after = part.next;
        }
    }
}

impl ForgetArgs {
    /// Goes through the whole feed, which the operation does part by part.
    async fn run(self) -> Result<(), CommandError> {
        let operator = self.ask.operator().await?;
        let mut forgotten = ForgottenEvents {
            events: 0,
            next: None,
        };
        let progress = Progress::without_end("events changed");
        loop {
            let forget = ForgetEvents {
                tenant: self.tenant.clone(),
                id: self.id.to_string(),
                after: forgotten.next,
            };
            let part = operator.ask(&forget).await?;
            progress.advance(part.events as u64);
            forgotten = ForgottenEvents {
                events: forgotten.events + part.events,
                next: part.next,
            };
            if forgotten.next.is_none() {
                break;
            }
        }
        drop(progress);
        let (id, events) = (&self.id, forgotten.events);
        self.ask.print(&forgotten, |_| {
            format!("Removed the values of {id} from {events} events\n")
        })
    }
}

fn after(text: &str) -> Result<After, String> {
    After::parse(text).ok_or_else(|| "not a position, `beginning` or `now`".to_owned())
}

/// The same for a command that ends at the end of the feed, where nothing would be behind `now`.
fn past(text: &str) -> Result<After, String> {
    let refused = || "not a position or `beginning`".to_owned();
    let after = After::parse(text).filter(|after| *after != After::Now);
    after.ok_or_else(refused)
}

fn resource_id(text: &str) -> Result<ResourceId, String> {
    ResourceId::parse(text).ok_or_else(|| "not the id of a resource".to_owned())
}

/// Prints lines. False if nothing reads stdout any more.
fn print_lines(lines: impl Iterator<Item = String>) -> bool {
    let mut out = io::stdout().lock();
    let mut lines = lines.map(|line| writeln!(out, "{line}"));
    lines.all(|written| written.is_ok()) && io::stdout().flush().is_ok()
}

fn for_people(part: &EventList, view: &View) -> String {
    let events = part.events.iter().map(|event| line(event) + "\n");
    let (behind, next, place) = (number(part.behind), &part.next, &view.place);
    let end = match part.behind {
        0 => format!("That is the end at present; later events come with --after {next}{place}\n"),
        _ => format!("{behind} more events; continue with --after {next}{place}\n"),
    };
    events.collect::<String>() + &end
}

/// One event as a line: number, time, type, ids of the resource and of the member, changes or details, and who made
/// the change.
fn line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (seq, time, event_type) = (&event["seq"], &event["time"], &event["type"]);
    let mut line = format!(
        "{:>6}  {}  {}",
        seq.to_string(),
        text(time),
        text(event_type)
    );
    let ids = [&event["resource"]["id"], &event["member"]["id"]];
    let ids = ids.into_iter().filter_map(Value::as_str).map(str::to_owned);
    let said = ["changes", "detail"].map(|name| event.get(name));
    let said = said.into_iter().flatten().map(Value::to_string);
    for part in ids.chain(said).chain(author(&event["cause"])) {
        line = line + "  " + &part;
    }
    printable(&line)
}

/// Who made a change, if that is known: `scim2 by token 36e619621594f5c6`, `command`.
fn author(cause: &Value) -> Option<String> {
    let kind = cause["kind"].as_str()?;
    Some(match cause["credential"].as_str() {
        Some(credential) => format!("{kind} by token {credential}"),
        None => kind.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_happened_to_whom_and_who_did_it() {
        let mut event = json!({"seq": 8, "type": "group.member.removed", "time": "2026-11-27T00:00:00.000Z",
            "resource": {"type": "Group", "id": "5"}, "member": {"type": "User", "id": "7"},
            "cause": {"request": "r-1", "credential": "36e619621594f5c6", "kind": "scim2"}});
        let expected = "     8  2026-11-27T00:00:00.000Z  group.member.removed  5  7  \
                        scim2 by token 36e619621594f5c6";
        assert_eq!(line(&event), expected);
        event["cause"] = json!({"request": "r-1", "kind": "command"});
        assert!(line(&event).ends_with("  5  7  command"));
        event["cause"] = Value::Null;
        assert!(line(&event).ends_with("  5  7"));
    }
}
