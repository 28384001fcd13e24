//! `scim tenant suspend`, `resume`, `delete` and `restore`, and `scim stack delete-tenants`: operations of
//! [`admin`](crate::admin) on the state of tenants. `--json` prints their answers as programs get them.

use std::io::{self, BufRead, IsTerminal as _, Write};

use clap::Args;

use super::CommandError;
use super::ask_args::AskArgs;
use super::columns::printable;
use super::operator::check_goes_on;
use super::progress::Progress;
use super::tenant_arg::tenant_id;
use super::view::View;
use crate::admin::tenant::{
    ChangedTenant, DeleteTenant, DeleteTenants, DeletedTenants, RestoreTenant, ResumeTenant,
    StateName, SuspendTenant,
};
use crate::identity::TenantId;

#[derive(Debug, Args)]
pub(super) struct SuspendArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// Why, for the people who run the service; no client learns it
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct DeleteArgs {
    /// The tenant
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The days in which it can be restored: 0 to 365, usually 7
    #[arg(long = "after-days", value_name = "DAYS", conflicts_with = "now")]
    delete_after_days: Option<u32>,
    /// Begin to remove everything in two minutes
    #[arg(long)]
    now: bool,
    /// The name of the tenant once more, which a terminal asks for
    #[arg(long, value_name = "TENANT", value_parser = tenant_id)]
    confirm: Option<TenantId>,
    #[command(flatten)]
    ask: AskArgs,
}

#[derive(Debug, Args)]
pub(super) struct DeleteTenantsArgs {
    /// The name of the stack, so that no other one is meant; that of local data is `local`
    name: String,
    #[command(flatten)]
    ask: AskArgs,
}

impl DeleteTenantsArgs {
    /// Deletes all tenants, a part with each request. The purges go on after the command.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let operator = self.ask.operator().await?;
        let progress = Progress::without_end("tenants deleted");
        let mut all = DeletedTenants {
            deleted: 0,
            unreadable: Vec::new(),
            next: None,
            done: false,
        };
        loop {
            let before = all.next.take();
            let part = DeleteTenants {
                stack: self.name.clone(),
                after: before.clone(),
            };
            let part = operator.ask(&part).await?;
            progress.advance(part.deleted as u64);
            all.deleted += part.deleted;
            check_goes_on(before.as_ref(), part.next.as_ref())?;
            all.unreadable.extend(part.unreadable);
            (all.next, all.done) = (part.next, part.done);
            if all.next.is_none() {
                break;
            }
        }
        drop(progress);
        self.ask.print(&all, |_| text_of_all(&all))
    }
}

fn text_of_all(all: &DeletedTenants) -> String {
    if !all.unreadable.is_empty() {
        let keys = printable(&all.unreadable.join(", "));
        return format!(
            "Tenants deleted: {}. Others are left, because their items of the list of tenants cannot be read: {keys}\n",
            all.deleted
        );
    }
    match all.done {
        true => "There are no tenants any more, and no secrets of tenants.\n".to_owned(),
        false => format!(
            "Tenants deleted: {}. Everything of them is removed within half an hour; run the command again until \
             it says that there are none.\n",
            all.deleted
        ),
    }
}

impl SuspendArgs {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let suspend = SuspendTenant {
            tenant: self.tenant,
            reason: self.reason,
        };
        let changed = self.ask.operator().await?.ask(&suspend).await?;
        self.ask.print(&changed, |view| text(&changed, view))
    }
}

impl StateArgs {
    pub(super) async fn resume(self) -> Result<(), CommandError> {
        let resume = ResumeTenant {
            tenant: self.tenant,
        };
        let changed = self.ask.operator().await?.ask(&resume).await?;
        self.ask.print(&changed, |view| text(&changed, view))
    }

    pub(super) async fn restore(self) -> Result<(), CommandError> {
        let restore = RestoreTenant {
            tenant: self.tenant,
        };
        let changed = self.ask.operator().await?.ask(&restore).await?;
        self.ask.print(&changed, |view| text(&changed, view))
    }
}

impl DeleteArgs {
    pub(super) async fn run(self) -> Result<(), CommandError> {
        // The deployment is found first: the line that names it comes before the question.
        let operator = self.ask.operator().await?;
        self.check_confirmed()?;
        let delete = DeleteTenant {
            tenant: self.tenant,
            delete_after_days: self.delete_after_days,
            now: self.now,
        };
        let changed = operator.ask(&delete).await?;
        self.ask.print(&changed, |view| text(&changed, view))
    }

    /// Checks that the name was given twice: as an argument, or as the answer on a terminal.
    fn check_confirmed(&self) -> Result<(), CommandError> {
        let tenant = &self.tenant;
        let answer = match &self.confirm {
            Some(again) => again.as_str().to_owned(),
            None if io::stdin().is_terminal() => {
                asked(tenant, &mut io::stderr(), &mut io::stdin().lock())
            }
            None => {
                return Err(CommandError::usage(format!(
                    "Nothing was changed; to delete the tenant, add --confirm {tenant}"
                )));
            }
        };
        match answer == tenant.as_str() {
            true => Ok(()),
            false => Err(CommandError::new(
                "Nothing was changed: the two names are not the same",
            )),
        }
    }
}

/// Asks for the name of the tenant, and reads the answer.
fn asked(tenant: &TenantId, asks: &mut impl Write, answers: &mut impl BufRead) -> String {
    let mut answer = String::new();
    let question = format!(
        "All users, groups, events and credentials of {tenant} will be removed.\nType its name to delete it: "
    );
    let written = asks
        .write_all(question.as_bytes())
        .and_then(|()| asks.flush());
    match written.and_then(|()| answers.read_line(&mut answer)) {
        Ok(_) => answer.trim().to_owned(),
        Err(_) => String::new(),
    }
}

/// What has become of the tenant, and what can be done about it.
fn text(changed: &ChangedTenant, view: &View) -> String {
    let ChangedTenant { entry, changed } = changed;
    let tenant = &entry.tenant;
    let before = if *changed { "" } else { " already" };
    let place = &view.place;
    match (entry.state, entry.purge_at) {
        (StateName::Suspended, _) => format!(
            "Tenant {tenant} is suspended{before}: within a minute its requests get 403. To end that: \
             scim tenant resume {tenant}{place}\n"
        ),
        (StateName::Deleting, Some(at)) => format!(
            "Tenant {tenant} is deleted{before}. Everything of it is removed after {}. To bring it back before: \
             scim tenant restore {tenant}{place}\n",
            view.exactly(at)
        ),
        (StateName::Purging, _) => format!("Tenant {tenant} is being removed{before}.\n"),
        _ if *changed => {
            format!("Tenant {tenant} is active: within a minute its requests are answered.\n")
        }
        _ => format!("Tenant {tenant} is active already; nothing was changed.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Time;
    use crate::admin::tenant::TenantEntry;

    #[test]
    fn only_the_name_of_the_tenant_agrees() {
        let acme = TenantId::parse("acme").unwrap();
        for (answer, expected) in [
            ("acme\n", "acme"),
            (" acme \n", "acme"),
            ("y\n", "y"),
            ("", ""),
        ] {
            let mut question = Vec::new();
            assert_eq!(
                asked(&acme, &mut question, &mut answer.as_bytes()),
                expected
            );
            let question = String::from_utf8(question).unwrap();
            assert!(question.ends_with("Type its name to delete it: "));
        }
    }

    #[test]
    fn a_person_learns_what_has_become_of_the_tenant_and_how_to_undo_it() {
        let view = View {
            now: 0,
            width: None,
            place: " --stack prod".to_owned(),
        };
        let text_of = |state, changed| {
            let entry = TenantEntry {
                tenant: TenantId::parse("acme").unwrap(),
                state,
                created: None,
                suspended: None,
                reason: None,
                deleted: None,
                purge_at: Some(Time(604_800_000)),
            };
            text(&ChangedTenant { entry, changed }, &view)
        };
        let suspended = text_of(StateName::Suspended, true);
        assert!(
            suspended.contains("scim tenant resume acme --stack prod"),
            "{suspended}"
        );
        let deleted = text_of(StateName::Deleting, true);
        assert!(deleted.contains("1970-01-08T00:00:00.000Z"), "{deleted}");
        assert!(
            deleted.contains("scim tenant restore acme --stack prod"),
            "{deleted}"
        );
        assert!(text_of(StateName::Active, false).contains("active already"));
    }
}
