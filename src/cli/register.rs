//! `scim schema` and `scim resource-type`: what a tenant stores besides users and groups.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::Table;
use super::confirm::confirm;
use super::operator::Operator;
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::schema::{
    AddResourceType, AddSchema, ListResourceTypes, ListSchemas, ListedDefinition, LostExtension,
    Registered, RemoveResourceType, RemoveSchema, ResourceTypeLosses, ShowResourceType, ShowSchema,
};
use crate::identity::TenantId;

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Register schemas for a tenant's resource types, or register them again with more attributes
    #[command(after_help = "Example:\n  scim schema add --tenant acme badge.json")]
    Add(AddArgs),
    /// List the schemas that a tenant has registered
    #[command(after_help = "Example:\n  scim schema list --tenant acme")]
    List(TenantArgs),
    /// Show a schema as it was registered, as JSON
    #[command(
        after_help = "Example:\n  scim schema show --tenant acme urn:example:params:scim:schemas:Badge"
    )]
    Show(NamedArgs),
    /// Remove a schema that no resource type uses any more
    #[command(
        after_help = "Example:\n  scim schema remove --tenant acme urn:example:params:scim:schemas:Badge"
    )]
    Remove(NamedArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum ResourceTypeCommand {
    /// Register resource types for a tenant, or register them again with more extensions
    #[command(after_help = "Examples:\n  \
        scim resource-type add --tenant acme user-with-badge.json\n  \
        scim resource-type add --tenant acme user.json --remove-extension urn:example:params:scim:schemas:Badge")]
    Add(AddTypeArgs),
    /// List the resource types that a tenant has registered
    #[command(after_help = "Example:\n  scim resource-type list --tenant acme")]
    List(TenantArgs),
    /// Show a resource type as it was registered, as JSON
    #[command(after_help = "Example:\n  scim resource-type show --tenant acme Badge")]
    Show(NamedArgs),
    /// Remove a resource type of which there are no resources
    #[command(after_help = "Example:\n  scim resource-type remove --tenant acme Badge")]
    Remove(NamedArgs),
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
    ask: AskArgs,
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

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct NamedArgs {
    /// The tenant
    #[arg(long, value_name = "TENANT", value_parser = tenant_id)]
    tenant: TenantId,
    /// The URN of the schema, or the name of the resource type
    name: String,
    #[command(flatten)]
    ask: AskArgs,
}

impl SchemaCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(TenantArgs { tenant, ask }) => {
                let list = ask.operator().await?.ask(&ListSchemas { tenant }).await?;
                ask.print(&list, |view| list_text("schemas", &list.schemas, view))
            }
            Self::Show(NamedArgs {
                tenant,
                name: id,
                ask,
            }) => {
                let show = ShowSchema { tenant, id };
                let shown = ask.operator().await?.ask(&show).await?;
                ask.print(&shown, |_| format!("{:#}\n", shown.definition))
            }
            Self::Remove(NamedArgs {
                tenant,
                name: id,
                ask,
            }) => {
                let remove = RemoveSchema { tenant, id };
                let removed = ask.operator().await?.ask(&remove).await?;
                ask.print(&removed, |_| {
                    removal("schema", &removed.id, removed.existed)
                })
            }
        }
    }
}

impl ResourceTypeCommand {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        match self {
            Self::Add(add) => add.run().await,
            Self::List(TenantArgs { tenant, ask }) => {
                let list = ListResourceTypes { tenant };
                let list = ask.operator().await?.ask(&list).await?;
                ask.print(&list, |view| {
                    list_text("resource types", &list.resource_types, view)
                })
            }
            Self::Show(NamedArgs { tenant, name, ask }) => {
                let show = ShowResourceType { tenant, name };
                let shown = ask.operator().await?.ask(&show).await?;
                ask.print(&shown, |_| format!("{:#}\n", shown.definition))
            }
            Self::Remove(NamedArgs { tenant, name, ask }) => {
                let remove = RemoveResourceType { tenant, name };
                let removed = ask.operator().await?.ask(&remove).await?;
                ask.print(&removed, |_| {
                    removal("resource type", &removed.name, removed.existed)
                })
            }
        }
    }
}

impl AddTypeArgs {
    async fn run(self) -> Result<(), CommandError> {
        let objects = self.add.read()?;
        let (tenant, ask) = (&self.add.tenant, &self.add.ask);
        let operator = ask.operator().await?;
        if !self.removed.is_empty() {
            let losses = self.losses(&operator, &objects).await?;
            confirm(&losses.join(". "), self.yes)?;
        }
        for (file, object) in &objects {
            let add = AddResourceType {
                tenant: tenant.clone(),
                resource_type: object.clone(),
                remove_extensions: self.removed.clone(),
            };
            let registered = operator.ask(&add).await;
            let registered = registered.map_err(|error| error.at(&file.display()))?;
            ask.print(&registered, |view| {
                describe("resource type", &registered, tenant, view)
            })?;
        }
        Ok(())
    }

    /// The losses with each extension to remove, as sentences.
    async fn losses(
        &self,
        operator: &Operator,
        objects: &[(&Path, Value)],
    ) -> Result<Vec<String>, CommandError> {
        let mut omitted = Vec::new();
        for (file, object) in objects {
            let look = ResourceTypeLosses {
                tenant: self.add.tenant.clone(),
                resource_type: object.clone(),
            };
            let found = operator.ask(&look).await;
            let found = found.map_err(|error| error.at(&file.display()))?;
            omitted.extend(found.losses);
        }
        let mut losses = Vec::new();
        for urn in &self.removed {
            let is_it = |found: &&LostExtension| found.extension.eq_ignore_ascii_case(urn);
            let found = omitted.iter().find(is_it).ok_or_else(|| {
                CommandError::new(format!(
                    "None of these types has the extension {urn} and leaves it out of its new list"
                ))
            })?;
            losses.push(loss(found));
        }
        Ok(losses)
    }
}

impl AddArgs {
    async fn run(self) -> Result<(), CommandError> {
        let objects = self.read()?;
        let operator = self.ask.operator().await?;
        for (file, object) in &objects {
            let add = AddSchema {
                tenant: self.tenant.clone(),
                schema: object.clone(),
            };
            let registered = operator.ask(&add).await;
            let registered = registered.map_err(|error| error.at(&file.display()))?;
            self.ask.print(&registered, |view| {
                describe("schema", &registered, &self.tenant, view)
            })?;
        }
        Ok(())
    }

    /// Reads the objects of all files, each with its file. Nothing is registered before all are read.
    fn read(&self) -> Result<Vec<(&Path, Value)>, CommandError> {
        let mut objects = Vec::new();
        for file in &self.files {
            let fail =
                |error: &dyn Display| CommandError::new(format!("{}: {error}", file.display()));
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

fn loss(found: &LostExtension) -> String {
    let LostExtension {
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

fn describe(kind: &str, registered: &Registered, tenant: &TenantId, view: &View) -> String {
    let Registered { name, building } = registered;
    let text = format!("Registered {kind} {name}\n");
    if building.is_empty() {
        return text;
    }
    let (paths, place) = (building.join(", "), &view.place);
    text + &format!(
        "  The new indexes on {paths} are not used until they are complete: \
         wait two minutes, then run scim doctor {tenant} --repair{place}\n"
    )
}

fn list_text(kind: &str, listed: &[ListedDefinition], view: &View) -> String {
    if listed.is_empty() {
        return format!("The tenant has registered no {kind} of its own\n");
    }
    let mut table = Table::new(["NAME", "DESCRIPTION"]).may_cut("DESCRIPTION");
    for definition in listed {
        let description = definition.description.clone();
        table.row([definition.id.clone(), description.unwrap_or_default()]);
    }
    table.to_text(view.width)
}

fn removal(kind: &str, name: &str, existed: bool) -> String {
    match existed {
        true => format!("Removed {kind} {name}\n"),
        false => format!("There was no {kind} {name}\n"),
    }
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
        let view = View {
            now: 0,
            width: Some(80),
            place: " --stack prod".to_owned(),
        };
        let text = describe("resource type", &registered(&[]), &tenant, &view);
        assert_eq!(text, "Registered resource type User\n");
        let text = describe("schema", &registered(&["badge", "desk"]), &tenant, &view);
        assert!(text.contains("badge, desk"), "{text}");
        assert!(
            text.contains("scim doctor acme --repair --stack prod"),
            "{text}"
        );
    }
}
