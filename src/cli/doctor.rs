//! `scim doctor`: checks index entries and counters against the resources, and finds changes that are
//! unfinished.

use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};

use super::CommandError;
use super::columns::number;
use super::deployment_args::DeploymentArgs;
use super::progress::Progress;
use super::tenant_arg::tenant_id;
use super::terminal::print;
use crate::identity::TenantId;
use crate::protocol::datetime::DateTime;
use crate::protocol::{Error, ErrorKind};
use crate::provider::{Findings, Provider, Repair};
use crate::stack::Stack;
use crate::store::{BuildingIndex, IndexEntries, TenantConfig, Unfinished};

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with code 3 if something remains to be repaired.\n\nExamples:\n  \
    scim doctor\n  \
    scim doctor acme --repair\n  \
    scim doctor --json | jq 'select(.well | not)'"
)]
pub(super) struct DoctorArgs {
    /// The tenant to check; without it, all tenants
    #[arg(value_parser = tenant_id)]
    tenant: Option<TenantId>,
    /// Finish unfinished changes, complete new indexes, write missing entries and remove entries that are left
    /// over
    #[arg(long)]
    repair: bool,
    /// Print a line of JSON for each tenant instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// The findings in one tenant's part of the table.
#[derive(Debug, Default)]
struct Examined {
    /// The entries that completing new indexes wrote and removed.
    built: Findings,
    /// The reason why indexes could not be completed.
    waiting: Option<String>,
    /// All other findings.
    found: Findings,
}

impl DoctorArgs {
    /// Prints the findings tenant by tenant. What remains to be repaired is told as an error of its own kind.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let opened = self.deployment.open().await?;
        self.run_on(opened.stack()).await
    }

    async fn run_on(&self, stack: &Stack) -> Result<(), CommandError> {
        let service = stack.service();
        let tenants = match &self.tenant {
            Some(tenant) => {
                // This fails if the tenant does not exist.
                stack.issuer().credentials(tenant).await?;
                vec![tenant.clone()]
            }
            None => stack.issuer().tenants().await?,
        };
        let mut ill = 0;
        for (number, tenant) in (1..).zip(&tenants) {
            let progress = Progress::without_end(match tenants.len() {
                1 => format!("{tenant}: resources"),
                all => format!("{tenant} ({number} of {all}): resources"),
            });
            let examined = self.examine(&service.provider, tenant, &progress).await?;
            drop(progress);
            let well = self.is_well(&examined);
            print(&match self.json {
                true => format!("{}\n", examined.to_json(tenant, well)),
                false => examined.describe(tenant.as_str()),
            })?;
            ill += u32::from(!well);
        }
        let place = self.deployment.to_text();
        match (ill, self.repair) {
            (0, _) => Ok(()),
            (_, false) => Err(CommandError::found(format!(
                "Tenants that need repair: {ill}; run scim doctor --repair{place}"
            ))),
            (_, true) => Err(CommandError::found(format!(
                "Tenants that could not be repaired: {ill}"
            ))),
        }
    }

    async fn examine(
        &self,
        provider: &Provider,
        tenant: &TenantId,
        progress: &Progress,
    ) -> Result<Examined, Error> {
        let tell = |read| progress.advance(read);
        let mut examined = Examined::default();
        if self.repair {
            match provider.build_indexes(tenant).await {
                Ok(built) => examined.built = built,
                // The indexes cannot be completed yet, for the reason in the error. Everything else is
                // repaired.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    examined.waiting = Some(error.detail().to_owned());
                }
                Err(error) => return Err(error),
            }
            examined.found = provider
                .examine_telling(tenant, Repair::Mend, &tell)
                .await?;
            return Ok(examined);
        }
        let config = provider.config(tenant).await?;
        examined.waiting = match config.index_version.entries() {
            IndexEntries::Complete | IndexEntries::Newer => to_complete(&config),
            IndexEntries::Earlier | IndexEntries::Rebuilding(_) => {
                Some("All index entries have to be rewritten".to_owned())
            }
        };
        examined.found = provider
            .examine_telling(tenant, Repair::Look, &tell)
            .await?;
        Ok(examined)
    }

    /// Whether nothing remains to be repaired.
    fn is_well(&self, examined: &Examined) -> bool {
        let is_mended = match self.repair {
            true => examined.found.is_mendable(),
            false => examined.found.is_clean(),
        };
        is_mended && examined.waiting.is_none()
    }
}

impl Examined {
    /// The findings for a script. Texts are those that people get.
    fn to_json(&self, tenant: &TenantId, well: bool) -> Value {
        let (built, found) = (&self.built, &self.found);
        let totals = found.totals.iter().map(|(resource_type, stored, counted)| {
            json!({"type": resource_type, "stored": stored, "counted": counted})
        });
        let members = found.members.iter().map(
            |(group, stored, counted)| json!({"group": group, "stored": stored, "counted": counted}),
        );
        json!({
            "tenant": tenant.as_str(),
            "well": well,
            "resources": found.resources,
            "missing": built.missing + found.missing,
            "stray": built.stray + found.stray,
            "withoutId": built.without_id + found.without_id,
            "earlier": built.earlier + found.earlier,
            "newer": found.newer,
            "finished": found.finished,
            "uncounted": found.uncounted,
            "unfinished": found.unfinished.iter().map(describe_entry).collect::<Vec<_>>(),
            "totals": totals.collect::<Vec<_>>(),
            "members": members.collect::<Vec<_>>(),
            "crowded": found.crowded,
            "conflicts": found.conflicts,
            "waiting": self.waiting,
        })
    }

    /// A line of numbers, then a line for each thing that has a name.
    fn describe(&self, tenant: &str) -> String {
        let missing = self.built.missing + self.found.missing;
        let stray = self.built.stray + self.found.stray;
        let [resources, missing, stray] = [self.found.resources, missing, stray].map(number);
        let mut text = format!(
            "{tenant}: {resources} resources, {missing} index entries missing, {stray} left over\n"
        );
        self.describe_counts(&mut text);
        self.describe_named(&mut text);
        text
    }

    /// A line for each kind of finding that has a number above 0.
    fn describe_counts(&self, text: &mut String) {
        let Findings {
            without_id,
            earlier,
            newer,
            finished,
            uncounted,
            ..
        } = &self.found;
        let counts = [
            (
                without_id + self.built.without_id,
                "resources stored without their id",
            ),
            (
                earlier + self.built.earlier,
                "resources with index entries of an earlier version",
            ),
            (*newer, "resources of a newer version, left as they are"),
            (*finished as u64, "unfinished changes that were finished"),
            (
                *uncounted,
                "users whose seat did not fit whether they are active",
            ),
        ];
        // Writing to a string cannot fail.
        for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
            let _ = writeln!(text, "  {what}: {count}");
        }
    }

    /// A line for each thing that has a name.
    fn describe_named(&self, text: &mut String) {
        let Findings {
            unfinished,
            totals,
            members,
            conflicts,
            crowded,
            ..
        } = &self.found;
        // Writing to a string cannot fail.
        for entry in unfinished {
            let _ = writeln!(text, "  {}", describe_entry(entry));
        }
        for (name, said, counted) in totals {
            let _ = writeln!(
                text,
                "  the counter of {name} had {said} instead of {counted}"
            );
        }
        for (group, said, counted) in members {
            let _ = writeln!(
                text,
                "  the group {group} has {counted} members; it had stored about {said}"
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
    }
}

/// The indexes and the count that have to be completed; `None` if all are complete.
fn to_complete(config: &TenantConfig) -> Option<String> {
    let name = |index: &BuildingIndex| format!("{} {}", index.resource_type, index.path);
    let names: Vec<_> = config.building.iter().map(name).collect();
    let indexes = (!names.is_empty()).then(|| format!("Indexes to complete: {}", names.join(", ")));
    let has_limit = config.rules.switches.max_active_users > 0;
    let is_counting = has_limit && config.seats.is_none_or(|count| !count.is_complete);
    let count = is_counting.then(|| "Active users have to be counted".to_owned());
    let all: Vec<String> = indexes.into_iter().chain(count).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// An entry of the journal: its work, its key, when it began, and its state.
fn describe_entry(entry: &Unfinished) -> String {
    let work = match entry.work.as_str() {
        "" => "work without a name",
        name => name,
    };
    let begun = entry.begun.and_then(|begun| i64::try_from(begun).ok());
    let begun = begun.and_then(DateTime::from_unix_milliseconds);
    let begun = begun.map_or("an unknown time".to_owned(), |time| time.to_string());
    let waits_for = match (entry.is_held, entry.is_known, entry.is_overdue) {
        (true, _, _) => "its writer is still working on it",
        (false, false, _) => "this version does not know how to finish it",
        (false, true, false) => "it will be finished soon",
        (false, true, true) => "overdue",
    };
    format!("unfinished: {work} {} of {begun}: {waits_for}", entry.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unfinished(work: &str) -> Unfinished {
        Unfinished {
            key: "7".to_owned(),
            work: work.to_owned(),
            is_known: !work.is_empty(),
            begun: Some(1_795_478_400_000),
            is_held: false,
            is_overdue: true,
        }
    }

    #[test]
    fn findings_are_printed_as_numbers_and_names() {
        let found = Findings {
            resources: 12,
            without_id: 3,
            earlier: 6,
            newer: 7,
            finished: 4,
            unfinished: ["Erase", ""].map(unfinished).to_vec(),
            missing: 1,
            stray: 2,
            totals: vec![("User".to_owned(), 9, 8)],
            members: vec![("5".to_owned(), 3, 2)],
            crowded: vec!["User emails.value 4".to_owned()],
            conflicts: vec!["Group displayName 7".to_owned()],
            uncounted: 5,
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
             resources with index entries of an earlier version: 6\n  \
             resources of a newer version, left as they are: 7\n  \
             unfinished changes that were finished: 4\n  \
             users whose seat did not fit whether they are active: 5\n  \
             unfinished: Erase 7 of 2026-11-24T00:00:00.000Z: overdue\n  \
             unfinished: work without a name 7 of 2026-11-24T00:00:00.000Z: \
             this version does not know how to finish it\n  \
             the counter of User had 9 instead of 8\n  \
             the group 5 has 2 members; it had stored about 3\n  \
             more values than an index holds: User emails.value 4\n  \
             a unique value is held twice: Group displayName 7\n  \
             Other processes may not know yet\n"
        );
    }
}
