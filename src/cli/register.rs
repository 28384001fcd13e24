//! `scim schema add` and `scim resource-type add`: types that a tenant stores besides users and groups.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::CommandError;
use super::deployment_args::DeploymentArgs;
use super::tenant::tenant_id;
use super::terminal::print;
use crate::http::Service;
use crate::identity::TenantId;
use crate::protocol::Error;
use crate::provider::{ExtensionUse, Provider, Registered};
use crate::stack::Stack;

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Register schemas for a tenant's resource types, or register them again with more attributes
    Add(AddArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum ResourceTypeCommand {
    /// Register resource types for a tenant, or register them again with more extensions
    Add(AddTypeArgs),
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = tenant_id)]
    tenant: TenantId,
    /// JSON files, each with one object or an array of objects
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct AddTypeArgs {
    #[command(flatten)]
    add: AddArgs,
    /// Remove this extension from its type; the new `schemaExtensions` must leave it out; may be repeated
    #[arg(long = "remove-extension", value_name = "URN")]
    removed: Vec<String>,
    /// Remove extensions without asking
    #[arg(long)]
    yes: bool,
}

impl SchemaCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let Self::Add(add) = self;
        add.run().await
    }
}

impl ResourceTypeCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let Self::Add(add) = self;
        add.run().await
    }
}

impl AddTypeArgs {
    async fn run(self) -> Result<(), CommandError> {
        let objects = self.add.read()?;
        let opened = self.add.deployment.open().await?;
        let provider = &self.add.service(opened.stack()).await?.provider;
        let tenant = &self.add.tenant;
        if !self.removed.is_empty() {
            let losses = self.losses(provider, &objects).await?;
            self.confirm(&losses)?;
        }
        for (file, object) in &objects {
            let registered = provider.replace_resource_type(tenant, object, &self.removed);
            let registered = registered.await.map_err(|error| at(file, error))?;
            print(&describe("resource type", &registered, tenant))?;
        }
        Ok(())
    }

    /// The losses with each extension to remove, as sentences.
    async fn losses(
        &self,
        provider: &Provider,
        objects: &[(&Path, Value)],
    ) -> Result<Vec<String>, CommandError> {
        let mut omitted = Vec::new();
        for (file, object) in objects {
            let found = provider.omitted_extensions(&self.add.tenant, object);
            omitted.extend(found.await.map_err(|error| at(file, error))?);
        }
        let mut losses = Vec::new();
        for urn in &self.removed {
            let is_it = |found: &&ExtensionUse| found.extension.eq_ignore_ascii_case(urn);
            let found = omitted.iter().find(is_it).ok_or_else(|| {
                CommandError::new(format!(
                    "None of these types has the extension {urn} and leaves it out of its new list"
                ))
            })?;
            losses.push(loss(found));
        }
        Ok(losses)
    }

    /// Asks on a terminal whether to go on. Without a terminal, `--yes` must be given.
    fn confirm(&self, losses: &[String]) -> Result<(), CommandError> {
        let text = losses.join(". ");
        if self.yes {
            return print(&format!("{text}\n"));
        }
        if !io::stdin().is_terminal() {
            return Err(CommandError::new(format!(
                "{text}. Nothing was changed; to go on, add --yes"
            )));
        }
        if is_agreed(&text, &mut io::stderr(), &mut io::stdin().lock()) {
            return Ok(());
        }
        Err(CommandError::new("Nothing was changed"))
    }
}

/// Asks, and reads the answer. Only `y` and `yes` agree.
fn is_agreed(text: &str, asks: &mut impl Write, answers: &mut impl BufRead) -> bool {
    let mut answer = String::new();
    let asked = write!(asks, "{text}. Go on? [y/N] ").and_then(|()| asks.flush());
    let read = asked.and_then(|()| answers.read_line(&mut answer));
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

fn loss(found: &ExtensionUse) -> String {
    let ExtensionUse {
        resource_type,
        extension,
        resources,
        attributes,
    } = found;
    format!(
        "{resource_type} without {extension}: {resources} resources lose {attributes} attributes, \
         which stay stored but are not shown"
    )
}

fn at(file: &Path, error: Error) -> CommandError {
    error.at(&file.display().to_string()).into()
}

impl AddArgs {
    async fn run(self) -> Result<(), CommandError> {
        let objects = self.read()?;
        let opened = self.deployment.open().await?;
        let service = self.service(opened.stack()).await?;
        for (file, object) in &objects {
            let registered = service.provider.add_schema(&self.tenant, object).await;
            let registered = registered.map_err(|error| at(file, error))?;
            print(&describe("schema", &registered, &self.tenant))?;
        }
        Ok(())
    }

    /// The service of the deployment. It fails if the tenant does not exist.
    async fn service(&self, stack: &Stack) -> Result<Arc<Service>, CommandError> {
        // This fails if the tenant does not exist.
        stack.issuer().credentials(&self.tenant).await?;
        Ok(stack.service())
    }

    /// Reads the objects of all files, each with its file. Nothing is registered before all are read.
    fn read(&self) -> Result<Vec<(&Path, Value)>, CommandError> {
        let mut objects = Vec::new();
        for file in &self.files {
            let fail = |error: &dyn std::fmt::Display| {
                CommandError::new(format!("{}: {error}", file.display()))
            };
            let text = fs::read_to_string(file).map_err(|error| fail(&error))?;
            match serde_json::from_str(&text).map_err(|error| fail(&error))? {
                Value::Array(listed) => {
                    objects.extend(listed.into_iter().map(|object| (file.as_path(), object)));
                }
                object => objects.push((file.as_path(), object)),
            }
        }
        Ok(objects)
    }
}

fn describe(kind: &str, registered: &Registered, tenant: &TenantId) -> String {
    let Registered { name, building } = registered;
    let mut text = format!("Registered {kind} {name}\n");
    if !building.is_empty() {
        let paths = building.join(", ");
        text.push_str(&format!(
            "  The new indexes on {paths} are not used until they are complete: \
             wait two minutes, then run scim doctor {tenant} --repair\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_that_have_to_be_built_are_named_with_the_command() {
        let tenant = TenantId::parse("acme").unwrap();
        let registered = |building: &[&str]| Registered {
            name: "User".to_owned(),
            building: building.iter().map(|&path| path.to_owned()).collect(),
        };
        let text = describe("resource type", &registered(&[]), &tenant);
        assert_eq!(text, "Registered resource type User\n");
        let text = describe("schema", &registered(&["badge", "desk"]), &tenant);
        assert!(text.contains("badge, desk"), "{text}");
        assert!(text.contains("scim doctor acme --repair"), "{text}");
    }

    #[test]
    fn only_yes_agrees() {
        fn check(answer: &str, expected: bool) {
            let mut asked = Vec::new();
            let agreed = is_agreed("User loses all", &mut asked, &mut answer.as_bytes());
            assert_eq!(agreed, expected, "{answer:?}");
            assert_eq!(asked, b"User loses all. Go on? [y/N] ");
        }
        check("y\n", true);
        check(" Yes\n", true);
        check("\n", false);
        check("", false);
        check("no\n", false);
        check("yesterday\n", false);
    }
}
