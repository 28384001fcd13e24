//! `scim generate`: a local table filled with made-up users and a group of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use clap::Args;

use super::CommandError;
use super::demo::Demo;
use super::directory;
use super::local::{DEFAULT_DATA, Local, TABLE};
use super::progress::Progress;
use super::rules::RuleArgs;
use super::tenant_arg::tenant_id;
use super::terminal::print;
use crate::admin::Code;
use crate::clock::{Clock as _, SystemClock};
use crate::embedded::{EmbeddedError, Importer};
use crate::feed::append::Appender;
use crate::feed::gap;
use crate::identity::TenantId;
use crate::protocol::Error;
use crate::provider::{Loader, Tenants};
use crate::store::PlainItem;

/// The number of parts that may wait until the table takes them.
const WAITING_PARTS: usize = 4;

#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// The number of users to create
    #[arg(long, value_name = "N")]
    users: u64,
    /// Also create a group of the first M users
    #[arg(long, value_name = "M", default_value_t = 0)]
    group_members: u64,
    /// Load into this data directory; no server may have it open
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
    /// Load into this tenant, which must be empty; it is created if it is missing
    #[arg(long, value_name = "TENANT", default_value = "demo", value_parser = tenant_id)]
    tenant: TenantId,
}

impl GenerateArgs {
    /// Loads the directory and prints how long it took.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        if self.group_members > self.users {
            let detail = "--group-members must not be larger than --users, because the members are these users";
            return Err(CommandError::usage(detail));
        }
        let (begun, since) = (Instant::now(), SystemClock.now_millis());
        let local = Local::open(&self.data, None).await?;
        eprintln!("Deployment: local data {}", local.data);
        self.prepare(&local).await?;
        // A load goes past the stream, so the feed says first that it is not complete.
        let tenants = Tenants::new(local.stack.store.clone(), Arc::new(SystemClock));
        let appender = Appender::new(&local.stack.store, &tenants, Arc::new(SystemClock));
        gap::expect_load(&appender, &self.tenant).await?;
        self.load(&local).await?;
        gap::say_missing(&appender, &self.tenant, since).await?;
        let data = local.data.to_string();
        let group = match self.group_members {
            0 => String::new(),
            members => format!(" and a group of {members}"),
        };
        print(&format!(
            "Loaded {} users{group} of tenant {} into {data} in {:.1} s\n",
            self.users,
            self.tenant,
            begun.elapsed().as_secs_f64()
        ))
    }

    /// Makes the tenant if it is missing.
    async fn prepare(&self, local: &Local) -> Result<(), CommandError> {
        Demo::prepare(&local.stack, &RuleArgs::default()).await?;
        match RuleArgs::default().create(&local.stack, &self.tenant).await {
            Ok(_) => Ok(()),
            // The tenant exists already. The loader refuses it if it is not empty.
            Err(failure) if failure.code == Code::Taken => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn load(&self, local: &Local) -> Result<(), CommandError> {
        let service = local.stack.service();
        let (sender, parts) = sync_channel(WAITING_PARTS);
        let sink = move |items| {
            let sent = sender.send(items);
            sent.map_err(|_| Error::internal("the table takes no more items"))
        };
        let loader = service.provider.loader(&self.tenant, sink).await?;
        let importer = local.table.importer(TABLE)?;
        let writer = tokio::task::spawn_blocking(move || write(&importer, &parts));
        let filled = tokio::task::block_in_place(|| self.fill(loader));
        // The writer's error comes first: it is the reason why `fill` failed.
        writer.await.map_err(Error::internal)??;
        Ok(filled?)
    }

    fn fill(&self, mut loader: Loader<'_>) -> Result<(), Error> {
        let progress = Progress::of("users", self.users);
        for number in 0..self.users {
            let user = directory::user(number);
            let created = directory::created(number);
            loader.add("User", &directory::id(number), user, created)?;
            progress.advance(1);
        }
        if self.group_members > 0 {
            progress.name("group");
            let members = usize::try_from(self.group_members).unwrap_or(usize::MAX);
            let members = (0..members).map(|number| directory::id(number as u64));
            let (id, created) = (directory::id(self.users), directory::created(self.users));
            loader.add_group(&id, directory::everyone(), created, members)?;
        }
        loader.finish()
    }
}

fn write(importer: &Importer, parts: &Receiver<Vec<PlainItem>>) -> Result<(), EmbeddedError> {
    parts.iter().try_for_each(|part| importer.import(part))
}
