//! `scim events`: the feed of a tenant's changes, for the operator.
//!
//! The operator sees every event with its values, also the events that the brake holds back, to judge them.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::rules::tenant_store;
use super::serve::end_signal;
use super::tenant::tenant_id;
use super::terminal::print;
use crate::feed::forget;
use crate::feed::read::{self, After, Limits, Part, ReadError};
use crate::feed::{Event, Wanted};
use crate::identity::TenantId;
use crate::protocol::resource::ResourceId;
use crate::stack::Stack;

/// The interval at which `tail` looks for events.
const TAIL_INTERVAL: Duration = Duration::from_secs(1);
/// How much is read at once.
const AT_ONCE: Limits = Limits {
    events: 1_000,
    bytes: 4_000_000,
};

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Show a part of a tenant's feed, and the position after it
    List(ListArgs),
    /// Follow a tenant's feed from now on
    Tail(TailArgs),
    /// Print a tenant's feed from a position to its end, one JSON object per line
    Replay(ReplayArgs),
    /// Remove the values of one resource from all of its events; ids and numbers stay
    Forget(ForgetArgs),
}

/// A tenant's feed, and which of its events.
#[derive(Debug, Args)]
struct FeedArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// Show only these types, such as user.created or group.member.*; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    feed: FeedArgs,
    /// Begin after this: a position, `beginning` or `now`
    #[arg(long, value_name = "POSITION", default_value = "beginning", value_parser = after)]
    after: After,
    /// The most events to show
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    feed: FeedArgs,
    /// Print each event as JSON instead of text for people
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    feed: FeedArgs,
    /// Begin after this: a position, or `beginning`
    #[arg(long, value_name = "POSITION", default_value = "beginning", value_parser = past)]
    after: After,
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
    deployment: DeploymentArgs,
}

/// A tenant's feed, opened.
struct TenantFeed<'s> {
    stack: &'s Stack,
    tenant: &'s TenantId,
    wanted: Wanted,
}

impl EventsCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let deployment = match &self {
            Self::List(list) => &list.feed.deployment,
            Self::Tail(tail) => &tail.feed.deployment,
            Self::Replay(replay) => &replay.feed.deployment,
            Self::Forget(forget) => &forget.deployment,
        };
        let opened = deployment.open().await?;
        let stack = opened.stack();
        match &self {
            Self::List(list) => list.run_on(stack).await,
            Self::Tail(tail) => tail.run_on(stack).await,
            Self::Replay(replay) => replay.run_on(stack).await,
            Self::Forget(forget) => forget.run_on(stack).await,
        }
    }
}

impl ListArgs {
    async fn run_on(&self, stack: &Stack) -> Result<(), CommandError> {
        let feed = TenantFeed::open(stack, &self.feed).await?;
        let limits = Limits {
            events: self.limit.into(),
            ..AT_ONCE
        };
        let part = feed.read(&self.after, limits).await?;
        print(&match self.json {
            true => as_json(&part),
            false => for_people(&part),
        })
    }
}

impl TailArgs {
    async fn run_on(&self, stack: &Stack) -> Result<(), CommandError> {
        let feed = TenantFeed::open(stack, &self.feed).await?;
        let following = feed.follow(|event| match self.json {
            true => event.to_json().to_string(),
            false => line(event),
        });
        tokio::select! {
            followed = following => followed,
            () = end_signal() => Ok(()),
        }
    }
}

impl ReplayArgs {
    async fn run_on(&self, stack: &Stack) -> Result<(), CommandError> {
        let feed = TenantFeed::open(stack, &self.feed).await?;
        let mut after = self.after.clone();
        loop {
            let part = feed.read(&after, AT_ONCE).await?;
            let texts = part.events.iter().map(|event| event.to_json().to_string());
            if !print_lines(texts) || part.behind == 0 {
                return Ok(());
            }
            after = part.next;
        }
    }
}

impl ForgetArgs {
    async fn run_on(&self, stack: &Stack) -> Result<(), CommandError> {
        check_exists(stack, &self.tenant).await?;
        let tenant = &self.tenant;
        let (mut emptied, mut after) = (0, None);
        loop {
            let store = tenant_store(stack, tenant);
            let id = self.id.as_str();
            let step = forget::forget(tenant, &store, id, after.as_ref()).await?;
            emptied += step.events;
            if step.is_done {
                break;
            }
            after = step.next;
        }
        print(&format!(
            "Removed the values of {} from {emptied} events\n",
            self.id
        ))
    }
}

impl<'s> TenantFeed<'s> {
    async fn open(stack: &'s Stack, args: &'s FeedArgs) -> Result<Self, CommandError> {
        let tenant = &args.tenant;
        check_exists(stack, tenant).await?;
        let provider = stack.provider();
        let view = provider
            .tenants()
            .get(tenant, &tenant_store(stack, tenant))
            .await?;
        let types = args.types.iter().map(String::as_str);
        Ok(Self {
            stack,
            tenant,
            wanted: Wanted::parse(types, &view.registry)?,
        })
    }

    async fn read(&self, after: &After, limits: Limits) -> Result<Part, CommandError> {
        let store = tenant_store(self.stack, self.tenant);
        let wanted = |event_type: &_| self.wanted.takes(event_type);
        let part = read::read(self.tenant, &store, after, limits, wanted, None).await;
        part.map_err(|error| match error {
            ReadError::Gone(gone) => {
                let reason = gone.reason();
                CommandError::new(format!("{reason}. Use --after beginning of list or replay"))
            }
            ReadError::Failed(error) => error.into(),
        })
    }

    /// Prints new events until nothing reads stdout any more.
    async fn follow(&self, text: impl Fn(&Event) -> String) -> Result<(), CommandError> {
        let mut after = After::Now;
        loop {
            let part = self.read(&after, AT_ONCE).await?;
            if !print_lines(part.events.iter().map(&text)) {
                return Ok(());
            }
            if part.behind == 0 {
                tokio::time::sleep(TAIL_INTERVAL).await;
            }
            after = part.next;
        }
    }
}

/// Fails if there is no such tenant.
async fn check_exists(stack: &Stack, tenant: &TenantId) -> Result<(), CommandError> {
    stack.issuer().credentials(tenant).await?;
    Ok(())
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

fn as_json(part: &Part) -> String {
    let events: Vec<Value> = part.events.iter().map(Event::to_json).collect();
    let next = part.next.to_string();
    format!(
        "{}\n",
        json!({"events": events, "next": next, "behind": part.behind})
    )
}

fn for_people(part: &Part) -> String {
    let mut text: String = part.events.iter().map(|event| line(event) + "\n").collect();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{} more events; continue with --after {}",
        part.behind, part.next
    );
    text
}

/// One event as a line: number, time, type, ids of the resource and of the member, changes or details.
fn line(event: &Event) -> String {
    let json = event.to_json();
    let (time, event_type) = (&json["time"], &json["type"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut line = format!("{:>6}  {}  {}", event.seq, text(time), text(event_type));
    let ids = [&json["resource"]["id"], &json["member"]["id"]];
    let ids = ids.into_iter().filter_map(Value::as_str).map(str::to_owned);
    let said = ["changes", "detail"].map(|name| json.get(name));
    let said = said.into_iter().flatten().map(Value::to_string);
    for part in ids.chain(said) {
        line = line + "  " + &part;
    }
    line
}
