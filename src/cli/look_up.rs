//! `scim user find`, `scim group find` and `scim group members`: what support looks up in a tenant's directory.
//!
//! They show ids, times and states. Values of attributes are shown only with `--values`.

use clap::{Args, Subcommand};

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{Table, facts, printable};
use super::operator::{Operator, check_goes_on};
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::Operation;
use crate::admin::look_up::{
    FindGroups, FindUsers, FoundMembers, FoundResource, FoundResources, GroupMembers,
};
use crate::identity::TenantId;

/// The largest number of things in one answer of an operation.
const PART: u32 = 100;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Find users by an id, a user name, an external id or an e-mail address
    #[command(
        override_usage = "scim user find <TENANT> --id|--user-name|--external-id|--email <VALUE>"
    )]
    #[command(after_help = "Examples:\n  \
        scim user find acme --email ada@example.com\n  \
        scim user find acme --user-name ada --values\n  \
        scim user find acme --external-id 00u1a2b3 --json")]
    Find(FindUserArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum GroupCommand {
    /// Find groups by an id, a name or an external id
    #[command(override_usage = "scim group find <TENANT> --id|--name|--external-id <VALUE>")]
    #[command(after_help = "Examples:\n  \
        scim group find acme --name Sales\n  \
        scim group find acme --external-id 00g1a2b3 --values")]
    Find(FindGroupArgs),
    /// List the members of a group
    #[command(
        after_help = "Example:\n  scim group members acme 01a219ad-ed88-75ee-b36e-71d3c4a09dad --limit 1000"
    )]
    Members(MembersArgs),
}

#[derive(Debug, Args)]
pub(super) struct FindUserArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    by: UserArgs,
    #[command(flatten)]
    find: FindArgs,
}

/// What a user is found by.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct UserArgs {
    /// The user with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The user who logs in with this name, in any case
    #[arg(long, value_name = "NAME")]
    user_name: Option<String>,
    /// The users to whom the identity provider has given this id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// The users with this e-mail address, in any case
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct FindGroupArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    by: GroupArgs,
    #[command(flatten)]
    find: FindArgs,
}

/// What a group is found by.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct GroupArgs {
    /// The group with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The groups with this name, in any case
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The groups to which the identity provider has given this id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
}

#[derive(Debug, Args)]
struct FindArgs {
    /// Show the values of their attributes too, which are personal data
    #[arg(long)]
    values: bool,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct MembersArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The id of the group
    id: String,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    ask: AskArgs,
}

/// Which part of a list is shown.
#[derive(Debug, Args)]
struct PartArgs {
    /// The largest number to show
    #[arg(long, value_name = "NUMBER", default_value_t = PART, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Go on after an earlier answer: its `next`
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

/// An answer that is one part of a list.
trait Part {
    /// The number of its things.
    fn count(&self) -> usize;
    /// Where the next part begins.
    fn next(&self) -> Option<&String>;
    /// This part and the one behind it.
    fn followed_by(self, later: Self) -> Self;
}

impl Part for FoundResources {
    fn count(&self) -> usize {
        self.found.len()
    }

    fn next(&self) -> Option<&String> {
        self.next.as_ref()
    }

    fn followed_by(mut self, later: Self) -> Self {
        self.found.extend(later.found);
        Self {
            next: later.next,
            ..self
        }
    }
}

impl Part for FoundMembers {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn next(&self) -> Option<&String> {
        self.next.as_ref()
    }

    fn followed_by(mut self, later: Self) -> Self {
        self.members.extend(later.members);
        Self {
            next: later.next,
            ..self
        }
    }
}

impl PartArgs {
    /// Asks for one part after the other until there are as many things as are wanted. `operation` makes the request
    /// for a number of things after a place.
    async fn collect<O: Operation<Answer: Part>>(
        self,
        operator: &Operator,
        operation: impl Fn(Option<u32>, Option<String>) -> O,
    ) -> Result<O::Answer, CommandError> {
        let most = |missing: u32| Some(missing.min(PART));
        let first = operation(most(self.limit), self.after.clone());
        let mut all = operator.ask(&first).await?;
        let mut before = self.after;
        loop {
            let count = u32::try_from(all.count()).unwrap_or(u32::MAX);
            let missing = self.limit.saturating_sub(count);
            let next = all.next().cloned();
            if missing == 0 || next.is_none() {
                return Ok(all);
            }
            check_goes_on(before.as_ref(), next.as_ref())?;
            let part = operator
                .ask(&operation(most(missing), next.clone()))
                .await?;
            all = all.followed_by(part);
            before = next;
        }
    }
}

impl UserCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let Self::Find(FindUserArgs { tenant, by, find }) = self;
        let FindArgs { values, part, ask } = find;
        let operation = |limit, after| FindUsers {
            tenant: tenant.clone(),
            id: by.id.clone(),
            user_name: by.user_name.clone(),
            external_id: by.external_id.clone(),
            email: by.email.clone(),
            values,
            limit,
            after,
        };
        let found = part.collect(&ask.operator().await?, operation).await?;
        ask.print(&found, |view| found_text(&found, "user", &tenant, view))
    }
}

impl GroupCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Find(find) => find.run().await,
            Self::Members(members) => members.run().await,
        }
    }
}

impl FindGroupArgs {
    async fn run(self) -> Result<(), CommandError> {
        let Self { tenant, by, find } = self;
        let FindArgs { values, part, ask } = find;
        let operation = |limit, after| FindGroups {
            tenant: tenant.clone(),
            id: by.id.clone(),
            display_name: by.name.clone(),
            external_id: by.external_id.clone(),
            values,
            limit,
            after,
        };
        let found = part.collect(&ask.operator().await?, operation).await?;
        ask.print(&found, |view| found_text(&found, "group", &tenant, view))
    }
}

impl MembersArgs {
    async fn run(self) -> Result<(), CommandError> {
        let Self {
            tenant,
            id,
            part,
            ask,
        } = self;
        let operation = |limit, after| GroupMembers {
            tenant: tenant.clone(),
            id: id.clone(),
            limit,
            after,
        };
        let found = part.collect(&ask.operator().await?, operation).await?;
        ask.print(&found, |view| members_text(&found, view))
    }
}

fn found_text(found: &FoundResources, kind: &str, tenant: &TenantId, view: &View) -> String {
    if found.found.is_empty() {
        return format!("The tenant {tenant} has no such {kind}\n");
    }
    let has_values = found.found.iter().any(|each| each.resource.is_some());
    let text = match (has_values, kind) {
        (true, _) => with_values(&found.found, view),
        (false, "user") => users(&found.found, view),
        (false, _) => groups(&found.found, view),
    };
    text + &rest(found.next.as_ref())
}

fn users(found: &[FoundResource], view: &View) -> String {
    let mut table = Table::new(["ID", "STATE", "CREATED", "CHANGED"]);
    for each in found {
        table.row([
            each.id.clone(),
            state(each).unwrap_or_default().to_owned(),
            view.relative(each.created),
            view.relative(each.last_modified),
        ]);
    }
    table.to_text(view.width)
}

fn groups(found: &[FoundResource], view: &View) -> String {
    let mut table = Table::new(["ID", "CREATED", "CHANGED"]);
    for each in found {
        let times = [each.created, each.last_modified].map(|at| view.relative(at));
        let [created, changed] = times;
        table.row([each.id.clone(), created, changed]);
    }
    table.to_text(view.width)
}

/// Each resource as lines of names and values, with its attributes as JSON below.
fn with_values(found: &[FoundResource], view: &View) -> String {
    let blocks = found.iter().map(|each| {
        let mut lines = vec![("Id", each.id.clone())];
        lines.extend(state(each).map(|state| ("State", state.to_owned())));
        lines.push(("Created", view.exactly(each.created)));
        lines.push(("Changed", view.exactly(each.last_modified)));
        let json = each.resource.as_ref().map(|value| format!("{value:#}"));
        let json = json.unwrap_or_default();
        let json = json.lines().map(|line| printable(line) + "\n");
        facts(&lines, view.width) + &json.collect::<String>()
    });
    blocks.collect::<Vec<_>>().join("\n")
}

fn state(found: &FoundResource) -> Option<&'static str> {
    found.active.map(|active| match active {
        true => "active",
        false => "inactive",
    })
}

fn members_text(found: &FoundMembers, view: &View) -> String {
    if found.members.is_empty() {
        return "The group has no members\n".to_owned();
    }
    let mut table = Table::new(["ID", "TYPE"]);
    for member in &found.members {
        let name = member.resource_type.clone();
        table.row([member.id.clone(), name.unwrap_or_default()]);
    }
    table.to_text(view.width) + &rest(found.next.as_ref())
}

/// That there are more.
fn rest(next: Option<&String>) -> String {
    next.map_or_else(String::new, |next| {
        format!("There are more; continue with --after {next}, or show more with --limit\n")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::admin::Time;

    fn view() -> View {
        View {
            now: 86_400_000 * 400,
            width: Some(80),
            place: String::new(),
        }
    }

    fn found(active: Option<bool>, resource: Option<Value>) -> FoundResources {
        let found = FoundResource {
            id: "01a219ad-ed58-7352-a843-b4cca6ed4058".to_owned(),
            active,
            created: Time(86_400_000),
            last_modified: Time(86_400_000 * 400 - 59_000),
            resource,
        };
        FoundResources {
            found: vec![found],
            next: None,
        }
    }

    #[test]
    fn users_and_groups_fit_a_terminal() {
        let tenant = TenantId::parse("acme").unwrap();
        let text = found_text(&found(Some(false), None), "user", &tenant, &view());
        let expected = "ID                                    STATE     CREATED       CHANGED\n\
                        01a219ad-ed58-7352-a843-b4cca6ed4058  inactive  399 days ago  59 seconds ago\n";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.len() <= 80));
        let mut groups = found(None, None);
        groups.next = Some("abc".to_owned());
        let text = found_text(&groups, "group", &tenant, &view());
        assert!(
            text.starts_with("ID                                    CREATED "),
            "{text}"
        );
        assert!(
            text.ends_with("continue with --after abc, or show more with --limit\n"),
            "{text}"
        );
        let none = FoundResources {
            found: Vec::new(),
            next: None,
        };
        let text = found_text(&none, "user", &tenant, &view());
        assert_eq!(text, "The tenant acme has no such user\n");
    }

    #[test]
    fn values_are_shown_below_and_cannot_move_the_cursor() {
        let tenant = TenantId::parse("acme").unwrap();
        let value = json!({"displayName": "a\u{9b}31mb\u{202e}", "userName": "ada"});
        let text = found_text(&found(Some(true), Some(value)), "user", &tenant, &view());
        let expected = "  Id       01a219ad-ed58-7352-a843-b4cca6ed4058\n  State    active\n  \
                        Created  1970-01-02T00:00:00.000Z (399 days ago)\n  \
                        Changed  1971-02-04T23:59:01.000Z (59 seconds ago)\n\
                        {\n  \"displayName\": \"a?31mb?\",\n  \"userName\": \"ada\"\n}\n";
        assert_eq!(text, expected);
    }
}
