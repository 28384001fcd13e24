//! The `scim` command for people: a local server, tenants, their tokens and what they store.
//!
//! It owns the arguments and the printed texts. The work is done by the modules that also answer
//! requests. Results go to stdout, logs and errors to stderr.

mod ask_args;
mod background;
mod brake;
mod causes;
mod check;
mod columns;
mod command_error;
mod completions;
mod confirm;
mod deliveries;
mod demo;
mod deployment_args;
mod directory;
mod docs;
mod doctor;
mod events;
mod export;
mod external;
mod find_stack;
mod generate;
mod guide;
mod import;
mod import_file;
mod invoke;
mod job_list;
mod lifecycle;
mod local;
mod look_up;
mod openapi;
mod opened;
mod operator;
mod play;
mod progress;
mod provider_arg;
mod register;
mod rules;
mod serve;
mod serve_webhook;
mod stack;
mod table;
mod tenant;
mod tenant_arg;
mod terminal;
mod token;
mod view;
mod webhook;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::logs;
use command_error::CommandError;

/// A SCIM service provider for many tenants.
#[derive(Debug, Parser)]
#[command(name = "scim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service on this machine, on an embedded table with a demo tenant
    #[command(
        after_help = "Examples:\n  scim serve\n  scim serve --listen 127.0.0.1:8080 --webhook http://localhost:3000/hook\n  scim serve --rules strict --data :memory:"
    )]
    Serve(serve::ServeArgs),
    /// Run the embedded table alone, to try the Lambda binary on it
    #[command(after_help = "Example:\n  scim table --data :memory:")]
    Table(table::TableArgs),
    /// Fill a local table with made-up users, to try the service with many
    #[command(
        after_help = "Example:\n  scim generate --users 1000 --group-members 200 --tenant large --data .scim-large"
    )]
    Generate(generate::GenerateArgs),
    /// Create, list, show and change tenants
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Create, list, rotate and revoke the tokens of a tenant
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Find the users of a tenant
    #[command(subcommand)]
    User(look_up::UserCommand),
    /// Find the groups of a tenant, and list their members
    #[command(subcommand)]
    Group(look_up::GroupCommand),
    /// Show the state of a deployment, change its key, and empty it before its end
    #[command(subcommand)]
    Stack(stack::StackCommand),
    /// Register a tenant's own schemas
    #[command(subcommand)]
    Schema(register::SchemaCommand),
    /// Register a tenant's own resource types
    #[command(subcommand)]
    ResourceType(register::ResourceTypeCommand),
    /// Show, follow and replay the changes of a tenant's directory
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Send the events to URLs, and see how far that is
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Show and release what the brake holds back
    #[command(subcommand)]
    Brake(brake::BrakeCommand),
    /// Send what an identity provider sends, to see events arrive without one
    Play(play::PlayArgs),
    /// Say what to type where in an identity provider, so that it provisions a tenant
    Guide(guide::GuideArgs),
    /// Write the directory of a tenant to a file
    Export(export::ExportArgs),
    /// Take a directory from a file that was exported
    Import(import::ImportArgs),
    /// Print the OpenAPI document of the service, for programs
    #[command(
        after_help = "Examples:\n  scim openapi > openapi.json\n  scim openapi --tenant acme"
    )]
    Openapi(openapi::OpenapiArgs),
    /// Compare index entries and counters with the resources, and repair them
    Doctor(doctor::DoctorArgs),
    /// Print the completions of a shell for this command
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the process was started with, and returns its exit code: 0 for success, else that of the
/// error.
pub async fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Command::Serve(_) => logs::to_people_with_audit(),
        _ => logs::to_people(),
    }
    let outcome = match arguments.command {
        Command::Serve(serve) => serve.run().await,
        Command::Table(table) => table.run().await,
        Command::Generate(generate) => generate.run().await,
        Command::Tenant(command) => command.run().await,
        Command::Token(command) => command.run().await,
        Command::User(command) => command.run().await,
        Command::Group(command) => command.run().await,
        Command::Stack(command) => command.run().await,
        Command::Schema(command) => command.run().await,
        Command::ResourceType(command) => command.run().await,
        Command::Events(command) => command.run().await,
        Command::Webhook(command) => command.run().await,
        Command::Brake(command) => command.run().await,
        Command::Play(play) => play.run().await,
        Command::Guide(guide) => guide.run().await,
        Command::Export(export) => export.run().await,
        Command::Import(import) => import.run().await,
        Command::Openapi(openapi) => openapi.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Completions(completions) => completions.run(Arguments::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("scim: {failure}");
            failure.exit_code()
        }
    }
}
