//! `scim doctor`: whether index entries and counters say what the resources say.

use std::fmt::Write;

use clap::Args;

use super::Failure;
use super::place::Place;
use super::serve::print;
use super::tenant::tenant_id;
use crate::protocol::{Error, ErrorKind};
use crate::provider::{Findings, Provider, Repair};
use crate::stack::Stack;
use crate::tenant::TenantId;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The tenant to look at; every one if left out
    #[arg(value_parser = tenant_id)]
    tenant: Option<TenantId>,
    /// Complete new indexes, write what is missing and remove what is left over
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: Place,
}

/// What was found in one tenant's part of the table.
#[derive(Debug, Default)]
struct Examined {
    /// What building new indexes wrote and removed.
    built: Findings,
    /// Why new indexes could not be completed.
    waiting: Option<String>,
    /// Whatever else there was.
    found: Findings,
}

impl Doctor {
    /// Prints what was found, tenant by tenant, and fails if something remains to be done.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let opened = self.place.open().await?;
        let outcome = self.run_on(opened.stack()).await;
        outcome
    }

    async fn run_on(&self, stack: &Stack) -> Result<(), Failure> {
        let service = stack.service()?;
        let tenants = match &self.tenant {
            Some(tenant) => {
                // Only a tenant that exists has credentials to list, be it none.
                stack.issuer().credentials(tenant).await?;
                vec![tenant.clone()]
            }
            None => stack.issuer().tenants().await?,
        };
        let mut ill = 0;
        for tenant in tenants {
            let examined = self.examine(&service.provider, &tenant).await?;
            print(&examined.describe(tenant.as_str()));
            ill += u32::from(!self.is_well(&examined));
        }
        match (ill, self.repair) {
            (0, _) => Ok(()),
            (_, false) => Err(Failure(format!(
                "Tenants with something to mend: {ill}; scim doctor --repair mends it"
            ))),
            (_, true) => Err(Failure(format!("Tenants that could not be mended: {ill}"))),
        }
    }

    async fn examine(&self, provider: &Provider, tenant: &TenantId) -> Result<Examined, Error> {
        let mut examined = Examined::default();
        if self.repair {
            match provider.build_indexes(tenant).await {
                Ok(built) => examined.built = built,
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    examined.waiting = Some(error.detail().to_owned());
                }
                Err(error) => return Err(error),
            }
            examined.found = provider.examine(tenant, Repair::Mend).await?;
            return Ok(examined);
        }
        let building = provider.config(tenant).await?.building;
        let names: Vec<_> = building
            .iter()
            .map(|index| format!("{} {}", index.resource_type, index.path))
            .collect();
        examined.waiting =
            (!names.is_empty()).then(|| format!("Indexes to complete: {}", names.join(", ")));
        examined.found = provider.examine(tenant, Repair::Look).await?;
        Ok(examined)
    }

    /// Whether nothing remains to be done.
    fn is_well(&self, examined: &Examined) -> bool {
        let is_mended = match self.repair {
            true => examined.found.is_mendable(),
            false => examined.found.is_clean(),
        };
        is_mended && examined.waiting.is_none()
    }
}

impl Examined {
    /// A line of numbers, then a line for each thing that has a name.
    fn describe(&self, tenant: &str) -> String {
        let Findings {
            resources,
            without_id,
            totals,
            members,
            conflicts,
            crowded,
            ..
        } = &self.found;
        let missing = self.built.missing + self.found.missing;
        let stray = self.built.stray + self.found.stray;
        let mut text = format!(
            "{tenant}: {resources} resources, {missing} index entries missing, {stray} left over\n"
        );
        // Writing to a string cannot fail.
        let without_id = without_id + self.built.without_id;
        if without_id > 0 {
            let _ = writeln!(text, "  resources stored without their id: {without_id}");
        }
        for (name, said, counted) in totals {
            let _ = writeln!(text, "  the counter of {name} said {said} for {counted}");
        }
        for (group, said, counted) in members {
            let _ = writeln!(
                text,
                "  the group {group} said that it has {said} members and has {counted}"
            );
        }
        for crowd in crowded {
            let _ = writeln!(text, "  more values than an index holds: {crowd}");
        }
        for conflict in conflicts {
            let _ = writeln!(text, "  a unique value is held twice: {conflict}");
        }
        if let Some(waiting) = &self.waiting {
            let _ = writeln!(text, "  {waiting}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_in_numbers_and_by_name() {
        let found = Findings {
            resources: 12,
            without_id: 3,
            missing: 1,
            stray: 2,
            totals: vec![("User".to_owned(), 9, 8)],
            members: vec![("5".to_owned(), 3, 2)],
            crowded: vec!["User emails.value 4".to_owned()],
            conflicts: vec!["Group displayName 7".to_owned()],
        };
        let built = Findings {
            missing: 3,
            ..Findings::default()
        };
        let waiting = Some("Other processes may not know yet".to_owned());
        let examined = Examined {
            built,
            waiting,
            found,
        };
        assert_eq!(
            examined.describe("acme"),
            "acme: 12 resources, 4 index entries missing, 2 left over\n  \
             resources stored without their id: 3\n  \
             the counter of User said 9 for 8\n  \
             the group 5 said that it has 3 members and has 2\n  \
             more values than an index holds: User emails.value 4\n  \
             a unique value is held twice: Group displayName 7\n  \
             Other processes may not know yet\n"
        );
    }
}
