//! `scim table`: the embedded table alone, to try the Lambda binary on it.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::CommandError;
use super::demo::Demo;
use super::local::{DEFAULT_DATA, Local};
use super::rules::RuleArgs;
use super::serve::{GRACE, end_signal};
use super::terminal::print;
use crate::embedded::Port;

#[derive(Debug, Args)]
pub(super) struct TableArgs {
    /// Listen on this address and port; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8000")]
    listen: String,
    /// Keep the data in this directory, or `:memory:`
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
    /// Print one line of JSON when ready, instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: RuleArgs,
}

impl TableArgs {
    /// Runs the table until the process gets a signal to end.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        self.rules.check()?;
        let local = Local::open(&self.data, None).await?;
        let port = local.table.listen(&self.listen).await?;
        let demo = Demo::prepare(&local.stack, &self.rules).await?;
        let environment = environment(&local, &port);
        print(&if self.json {
            as_json(&local, &port, &demo, &environment)
        } else {
            for_people(&local, &port, &demo, &environment)
        })?;
        end_signal().await;
        // A client that keeps a call open does not keep the process running.
        let _ = tokio::time::timeout(GRACE, port.close()).await;
        Ok(())
    }
}

/// The environment variables that the Lambda binary needs.
fn environment(local: &Local, port: &Port) -> Map<String, Value> {
    let config = &local.config;
    let secrets_file = local.data.secrets_file();
    let variables = [
        ("SCIM_TABLE", config.table.as_str()),
        ("SCIM_STACK", &config.stack),
        ("SCIM_SECRETS_FILE", &secrets_file.to_string_lossy()),
        ("AWS_ENDPOINT_URL_DYNAMODB", port.endpoint()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", port.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ];
    let docs = config.docs.as_ref().map(|folder| folder.to_string_lossy());
    let docs = docs.as_deref().map(|folder| ("SCIM_DOCS", folder));
    let pairs = variables.into_iter().chain(docs);
    pairs
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

fn as_json(local: &Local, port: &Port, demo: &Demo, environment: &Map<String, Value>) -> String {
    let ready = json!({
        "endpoint": port.endpoint(),
        "table": local.config.table,
        "secretsFile": local.data.secrets_file(),
        "env": environment,
        "tenant": demo.tenant.as_str(),
        "token": demo.token,
    });
    format!("{ready}\n")
}

fn for_people(local: &Local, port: &Port, demo: &Demo, environment: &Map<String, Value>) -> String {
    let mut text = format!(
        "\n  DynamoDB endpoint  {}\n  Tenant             {}\n  Token              {}\n  \
         Data               {}\n\n  Export this for the Lambda binary:\n\n",
        port.endpoint(),
        demo.tenant,
        demo.token,
        local.data,
    );
    for (name, value) in environment {
        let value = value.as_str().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''"));
    }
    text.push_str("\n  Press Ctrl-C to stop.\n\n");
    text
}
