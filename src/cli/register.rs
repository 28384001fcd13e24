//! `scim schema add` and `scim resource-type add`: what a tenant stores besides users and groups.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Failure;
use super::place::Place;
use super::serve::print;
use super::tenant::tenant_id;
use crate::protocol::Result;
use crate::provider::{Provider, Registered};
use crate::stack::Stack;
use crate::tenant::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Register schemas for a tenant, to be used by its resource types, or later forms of them
    Add(Add),
}

#[derive(Debug, Subcommand)]
pub(super) enum ResourceTypeCommand {
    /// Register resource types for a tenant, or new lists of extensions for those that are there
    Add(Add),
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
    place: Place,
}

/// What is being registered.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Schema,
    ResourceType,
}

impl SchemaCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self::Add(add) = self;
        add.run(Kind::Schema).await
    }
}

impl ResourceTypeCommand {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self::Add(add) = self;
        add.run(Kind::ResourceType).await
    }
}

impl Add {
    async fn run(self, kind: Kind) -> Result<(), Failure> {
        let objects = self.read()?;
        let opened = self.place.open().await?;
        let outcome = self.register(opened.stack(), kind, &objects).await;
        outcome
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

    /// Registers one object after the other, and says so of each. One that is refused ends it.
    async fn register(
        &self,
        stack: &Stack,
        kind: Kind,
        objects: &[(&Path, Value)],
    ) -> Result<(), Failure> {
        // Only a tenant that exists has credentials to list, be it none.
        stack.issuer().credentials(&self.tenant).await?;
        let service = stack.service()?;
        for (file, object) in objects {
            let registered = kind.register(&service.provider, &self.tenant, object).await;
            let registered = registered.map_err(|error| error.at(&file.display().to_string()))?;
            print(&registered);
        }
        Ok(())
    }
}

impl Kind {
    async fn register(
        self,
        provider: &Provider,
        tenant: &TenantId,
        object: &Value,
    ) -> Result<String> {
        match self {
            Self::Schema => {
                let registered = provider.add_schema(tenant, object).await?;
                Ok(describe("schema", &registered, tenant))
            }
            Self::ResourceType => {
                let registered = provider.add_resource_type(tenant, object).await?;
                Ok(describe("resource type", &registered, tenant))
            }
        }
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
}
