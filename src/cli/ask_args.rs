//! What every command takes that asks for an operation.

use clap::Args;
use serde::Serialize;

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::operator::Operator;
use super::terminal::print;
use super::view::View;
use crate::protocol::Error;

#[derive(Debug, Default, Args)]
pub(super) struct AskArgs {
    /// Print JSON for scripts: the answer that programs get
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) deployment: DeploymentArgs,
}

impl AskArgs {
    /// Who does the operations.
    pub(super) async fn operator(&self) -> Result<Operator, CommandError> {
        Operator::open(&self.deployment).await
    }

    /// Prints an answer: as JSON, or as the text for people.
    pub(super) fn print<A: Serialize>(
        &self,
        answer: &A,
        text: impl FnOnce(&View) -> String,
    ) -> Result<(), CommandError> {
        if self.json {
            let json = serde_json::to_string(answer).map_err(Error::internal)?;
            return print(&format!("{json}\n"));
        }
        print(&text(&View::here(&self.deployment)))
    }

    /// Whether the answer is for a script.
    pub(super) fn is_for_scripts(&self) -> bool {
        self.json
    }
}
