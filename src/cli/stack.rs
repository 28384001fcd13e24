//! `scim stack`: what belongs to a deployment as a whole.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::{Table, facts, number};
use super::lifecycle::DeleteTenantsArgs;
use super::operator::{Operator, check_goes_on};
use super::progress::Progress;
use super::view::View;
use crate::admin::stack::{ShowStack, StackStatus};
use crate::admin::stack_key::{ListedStackKey, RotateStackKey, StackKeyList};
use crate::tenant::KeyId;

#[derive(Debug, Subcommand)]
pub(super) enum StackCommand {
    /// Show where the deployment is, and which changes of tenants are unfinished
    #[command(after_help = "Examples:\n  \
        scim stack status --stack acme-prod\n  \
        scim stack status --stack acme-prod --via lambda --json")]
    Status(StatusArgs),
    /// Change the key under which credentials are made
    ///
    /// The new key signs two minutes later. What was made under an earlier key goes on working until that key is
    /// retired.
    #[command(
        after_help = "Examples:\n  scim stack rotate-key\n  scim stack rotate-key --retire 0"
    )]
    RotateKey(RotateKeyArgs),
    /// Delete every tenant, before the stack is removed: their secrets belong to no stack of CloudFormation
    #[command(after_help = "Example:\n  scim stack delete-tenants acme-prod --stack acme-prod")]
    DeleteTenants(DeleteTenantsArgs),
}

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct RotateKeyArgs {
    /// Remove the key of this number instead: everything that was made under it becomes invalid
    #[arg(long, value_name = "NUMBER")]
    retire: Option<u32>,
    /// Remove it although credentials, cursors or access tokens that were made under it are in use
    #[arg(long, requires = "retire")]
    yes: bool,
    #[command(flatten)]
    ask: AskArgs,
}

impl StackCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Status(StatusArgs { ask }) => {
                let status = status(&ask.operator().await?).await?;
                ask.print(&status, |view| status_text(&status, view))
            }
            Self::RotateKey(rotate) => rotate.run().await,
            Self::DeleteTenants(delete) => delete.run().await,
        }
    }
}

impl RotateKeyArgs {
    async fn run(self) -> Result<(), CommandError> {
        let rotate = RotateStackKey {
            retire: self.retire.map(KeyId::from),
            even_if_used: self.yes,
        };
        let rotated = self.ask.operator().await?.ask(&rotate).await?;
        self.ask.print(&rotated, |view| keys_text(&rotated, view))
    }
}

/// The status with the unfinished changes of all tenants, which the operation looks at part by part.
async fn status(operator: &Operator) -> Result<StackStatus, CommandError> {
    let mut status = operator.ask(&ShowStack { after: None }).await?;
    let progress = Progress::without_end("tenants with unfinished changes");
    while let Some(after) = status.next.take() {
        let next = ShowStack {
            after: Some(after.clone()),
        };
        let part = operator.ask(&next).await?;
        check_goes_on(Some(&after), part.next.as_ref())?;
        progress.advance(part.unfinished.len() as u64);
        status.unfinished.extend(part.unfinished);
        status.next = part.next;
    }
    Ok(status)
}

fn status_text(status: &StackStatus, view: &View) -> String {
    let secrets = match status.secrets_in_reach {
        true => "in reach",
        false => "out of reach: see the log, and the rights of who reads them",
    };
    let mut lines = vec![
        ("Stack", status.stack.clone()),
        ("Version", status.version.clone()),
        ("Table", status.table.clone()),
    ];
    lines.extend(status.account.clone().map(|account| ("Account", account)));
    lines.extend(status.region.clone().map(|region| ("Region", region)));
    if !status.functions.is_empty() {
        lines.push(("Functions", status.functions.join(", ")));
    }
    lines.push(("Secrets", secrets.to_owned()));
    let swept = status.swept.map(|at| view.relative(at));
    lines.push(("Last sweep", swept.unwrap_or_else(|| "never".to_owned())));
    if status.unfinished.is_empty() {
        lines.push(("Unfinished", "nothing".to_owned()));
        return facts(&lines, view.width);
    }
    let mut table = Table::new(["TENANT", "UNFINISHED CHANGES", "OVERDUE"]);
    for changes in &status.unfinished {
        let counts = [changes.entries, changes.overdue].map(|count| number(count as u64));
        let [entries, overdue] = counts;
        table.row([changes.tenant.to_string(), entries, overdue]);
    }
    facts(&lines, view.width) + "\n" + &table.to_text(view.width)
}

fn keys_text(list: &StackKeyList, view: &View) -> String {
    let mut table = Table::new(["KEY", "SIGNS FROM", ""]);
    for key in &list.keys {
        let from = key.signs_from.map(|time| view.relative(time));
        let from = from.unwrap_or_else(|| "the beginning".to_owned());
        let signs = if key.is_signing { "signs now" } else { "" };
        table.row([key.id.to_string(), from, signs.to_owned()]);
    }
    let mut text = table.to_text(view.width);
    if let Some(waiting) = list.keys.last().filter(|key| !key.is_signing) {
        let ListedStackKey { id, .. } = waiting;
        // Writing to a string does not fail.
        let _ = writeln!(text, "\nKey {id} signs two minutes after it was added.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Time;
    use crate::admin::stack::UnfinishedChanges;
    use crate::identity::TenantId;

    #[test]
    fn the_status_fits_a_terminal_and_names_what_is_overdue() {
        let mut status = StackStatus {
            stack: "acme-prod".to_owned(),
            version: "1.2.3".to_owned(),
            table: "arn:aws:dynamodb:eu-west-1:123456789012:table/acme-prod-Table-1ABCDEFGHIJKL"
                .to_owned(),
            account: Some("123456789012".to_owned()),
            region: Some("eu-west-1".to_owned()),
            functions: vec![
                "acme-prod-Function".to_owned(),
                "acme-prod-Stream".to_owned(),
            ],
            secrets_in_reach: true,
            swept: Some(Time(60_000)),
            unfinished: Vec::new(),
            next: None,
        };
        let view = View {
            now: 90_000,
            width: Some(80),
            place: String::new(),
        };
        let text = status_text(&status, &view);
        for line in [
            "  Stack       acme-prod\n",
            "  Functions   acme-prod-Function, acme-prod-Stream\n",
            "  Secrets     in reach\n",
            "  Last sweep  30 seconds ago\n",
            "  Unfinished  nothing\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        status.unfinished = vec![UnfinishedChanges {
            tenant: TenantId::parse("globex").unwrap(),
            entries: 1_200,
            overdue: 3,
        }];
        (status.swept, status.secrets_in_reach) = (None, false);
        let text = status_text(&status, &view);
        assert!(text.contains("  Last sweep  never\n"), "{text}");
        assert!(text.contains("out of reach"), "{text}");
        let table = "\nTENANT  UNFINISHED CHANGES  OVERDUE\nglobex  1,200               3\n";
        assert!(text.ends_with(table), "{text}");
    }
}
