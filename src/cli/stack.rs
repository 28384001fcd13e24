//! `scim stack`: what belongs to a deployment as a whole.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::Table;
use super::lifecycle::DeleteTenantsArgs;
use super::view::View;
use crate::admin::stack_key::{ListedStackKey, RotateStackKey, StackKeyList};
use crate::tenant::KeyId;

#[derive(Debug, Subcommand)]
pub(super) enum StackCommand {
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
        let args = match self {
            Self::RotateKey(args) => args,
            Self::DeleteTenants(delete) => return delete.run().await,
        };
        let operator = args.ask.operator().await?;
        let rotated = operator
            .ask(&RotateStackKey {
                retire: args.retire.map(KeyId::from),
                even_if_used: args.yes,
            })
            .await?;
        args.ask.print(&rotated, |view| text(&rotated, view))
    }
}

fn text(list: &StackKeyList, view: &View) -> String {
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
