//! `scim schema add` and `scim resource-type add`: what a tenant stores besides users and groups.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Failure;
use super::deployment_args::DeploymentArgs;
use super::serve::print;
use super::tenant::tenant_id;
use crate::http::Service;
use crate::identity::TenantId;
use crate::protocol::Error;
use crate::provider::{ExtensionUse, Provider, Registered};
use crate::stack::Stack;

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Register schemas for a tenant, to be used by its resource types, or later forms of them
    Add(Add),
}

#[derive(Debug, Subcommand)]
pub(super) enum ResourceTypeCommand {
    /// Register resource types for a tenant, or more extensions for those that are there
    Add(AddType),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = tenant_id)]
    tenant: TenantId,
    /// Files of JSON, each with one object or an array of them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: DeploymentArgs,
}

#[derive(Debug, Args)]
pub(super) struct AddType {
    #[command(flatten)]
    add: Add,
    /// Take this extension away from the type that has it and whose new list leaves it out; may be
    /// repeated
    #[arg(long = "remove-extension", value_name = "URN")]
    removed: Vec<String>,
    /// Remove extensions without asking
    #[arg(long)]
    yes: bool,
}

impl SchemaCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self::Add(add) = self;
        add.run().await
    }
}

impl ResourceTypeCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self::Add(add) = self;
        add.run().await
    }
}

impl AddType {
    async fn run(self) -> Result<(), Failure> {
        let objects = self.add.read()?;
        let opened = self.add.place.open().await?;
        let provider = &self.add.service(opened.stack()).await?.provider;
        let tenant = &self.add.tenant;
        if !self.removed.is_empty() {
            let losses = self.losses(provider, &objects).await?;
            self.confirm(&losses)?;
        }
        for (file, object) in &objects {
            let registered = provider.replace_resource_type(tenant, object, &self.removed);
            let registered = registered.await.map_err(|error| at(file, error))?;
            print(&describe("resource type", &registered, tenant));
        }
        Ok(())
    }

    /// What is lost with each of the extensions to remove, as sentences.
    async fn losses(
        &self,
        provider: &Provider,
        objects: &[(&Path, Value)],
    ) -> Result<Vec<String>, Failure> {
        let mut omitted = Vec::new();
        for (file, object) in objects {
            let found = provider.omitted_extensions(&self.add.tenant, object);
            omitted.extend(found.await.map_err(|error| at(file, error))?);
        }
        let mut losses = Vec::new();
        for urn in &self.removed {
            let is_it = |found: &&ExtensionUse| found.extension.eq_ignore_ascii_case(urn);
            let found = omitted.iter().find(is_it).ok_or_else(|| {
                Failure(format!(
                    "No type of these files has the extension {urn} and leaves it out now"
                ))
            })?;
            losses.push(loss(found));
        }
        Ok(losses)
    }

    /// Asks on a terminal whether that may be lost; anywhere else it has to be said beforehand.
    fn confirm(&self, losses: &[String]) -> Result<(), Failure> {
        let text = losses.join(". ");
        if self.yes {
            print(&format!("{text}\n"));
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure(format!("{text}. Nothing is changed without --yes")));
        }
        if is_agreed(&text, &mut io::stderr(), &mut io::stdin().lock()) {
            return Ok(());
        }
        Err(Failure("Nothing is changed".to_owned()))
    }
}

/// Asks, and reads the answer; anything but yes, and no answer at all, is a no.
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
         which stay stored and are not shown"
    )
}

fn at(file: &Path, error: Error) -> Failure {
    error.at(&file.display().to_string()).into()
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let objects = self.read()?;
        let opened = self.place.open().await?;
        let service = self.service(opened.stack()).await?;
        for (file, object) in &objects {
            let registered = service.provider.add_schema(&self.tenant, object).await;
            let registered = registered.map_err(|error| at(file, error))?;
            print(&describe("schema", &registered, &self.tenant));
        }
        Ok(())
    }

    /// The service of the deployment, which has to have the tenant.
    async fn service(&self, stack: &Stack) -> Result<Arc<Service>, Failure> {
        // Only a tenant that exists has credentials to list, be it none.
        stack.issuer().credentials(&self.tenant).await?;
        Ok(stack.service()?)
    }

    /// Every object of the files with the file it is in, before anything is registered.
    fn read(&self) -> Result<Vec<(&Path, Value)>, Failure> {
        let mut objects = Vec::new();
        for file in &self.files {
            let fail =
                |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", file.display()));
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
            "  Queries do without the new indexes on {paths} until they are built: \
             wait two minutes, then scim doctor {tenant} --repair\n"
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
    fn only_a_yes_is_one() {
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
