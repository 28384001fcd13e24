//! `scim doctor`: checks index entries and counters against the resources, and finds changes that are
//! unfinished.

use std::fmt::Write;

use clap::Args;

use super::CommandError;
use super::ask_args::AskArgs;
use super::check::check;
use super::columns::{number, printable, time};
use super::operator::Operator;
use super::progress::Progress;
use super::tenant::list_all;
use super::tenant_arg::tenant_id;
use crate::admin::Time;
use crate::admin::data::{ChangeState, CheckedData, UnfinishedChange};
use crate::admin::tenant::StateName;
use crate::identity::TenantId;

#[derive(Debug, Args)]
#[command(
    after_help = "It ends with code 3 if something remains to be repaired.\n\nExamples:\n  \
    scim doctor\n  \
    scim doctor acme --repair\n  \
    scim doctor --stack acme-prod --via lambda\n  \
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
    #[command(flatten)]
    ask: AskArgs,
}

impl DoctorArgs {
    /// Prints the findings tenant by tenant. What remains to be repaired is told as an error of its own kind.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let operator = self.ask.operator().await?;
        let tenants = match &self.tenant {
            Some(tenant) => vec![tenant.clone()],
            None => self.tenants(&operator).await?,
        };
        let mut ill = 0;
        for (number, tenant) in (1..).zip(&tenants) {
            let progress = Progress::without_end(match tenants.len() {
                1 => format!("{tenant}: resources"),
                all => format!("{tenant} ({number} of {all}): resources"),
            });
            let checked = check(&operator, tenant, self.repair, &progress).await?;
            drop(progress);
            self.ask.print(&checked, |_| describe(&checked))?;
            ill += u32::from(!checked.well);
        }
        let place = self.ask.deployment.to_text();
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

    /// All tenants. A deleted one is not repaired, and of one that is being purged there is nothing to check.
    async fn tenants(&self, operator: &Operator) -> Result<Vec<TenantId>, CommandError> {
        let listed = list_all(operator).await?.tenants.into_iter();
        let is_wanted = |state| match state {
            StateName::Active | StateName::Suspended | StateName::Other => true,
            StateName::Deleting => !self.repair,
            StateName::Purging => false,
        };
        let wanted = listed.filter(|entry| is_wanted(entry.state));
        Ok(wanted.map(|entry| entry.tenant).collect())
    }
}

/// A line of numbers, then a line for each thing that has a name.
fn describe(checked: &CheckedData) -> String {
    let [resources, missing, stray] =
        [checked.resources, checked.missing, checked.stray].map(number);
    let mut text = format!(
        "{}: {resources} resources, {missing} index entries missing, {stray} left over\n",
        checked.tenant
    );
    describe_counts(checked, &mut text);
    describe_named(checked, &mut text);
    text
}

/// A line for each kind of finding that has a number above 0.
fn describe_counts(checked: &CheckedData, text: &mut String) {
    let counts = [
        (checked.without_id, "resources stored without their id"),
        (
            checked.earlier,
            "resources with index entries of an earlier version",
        ),
        (
            checked.newer,
            "resources of a newer version, left as they are",
        ),
        (checked.finished, "unfinished changes that were finished"),
        (
            checked.uncounted,
            "users whose seat did not fit whether they are active",
        ),
    ];
    // Writing to a string cannot fail.
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        let _ = writeln!(text, "  {what}: {count}");
    }
}

/// A line for each thing that has a name.
fn describe_named(checked: &CheckedData, text: &mut String) {
    let unfinished = checked.unfinished.iter().map(describe_entry);
    let totals = checked.totals.iter().map(|total| {
        let (name, stored, counted) = (&total.name, total.stored, total.counted);
        format!("the counter of {name} had {stored} instead of {counted}")
    });
    let members = checked.members.iter().map(|members| {
        let (group, stored, counted) = (&members.group, members.stored, members.counted);
        format!("the group {group} has {counted} members; it had stored about {stored}")
    });
    let crowded = checked.crowded.iter();
    let crowded = crowded.map(|crowd| format!("more values than an index holds: {crowd}"));
    let conflicts = checked.conflicts.iter();
    let conflicts = conflicts.map(|conflict| format!("a unique value is held twice: {conflict}"));
    let waiting = checked.waiting.iter().cloned();
    let lines = unfinished.chain(totals).chain(members);
    for line in lines.chain(crowded).chain(conflicts).chain(waiting) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", printable(&line));
    }
}

/// An entry of the journal: its work, its key, when it began, and its state.
fn describe_entry(entry: &UnfinishedChange) -> String {
    let work = match entry.work.as_str() {
        "" => "work without a name",
        name => name,
    };
    let begun = entry.begun.map(|Time(begun)| time(begun));
    let begun = begun.unwrap_or_else(|| "an unknown time".to_owned());
    let waits_for = match entry.state {
        ChangeState::Held => "its writer is still working on it",
        ChangeState::Unknown => "this version does not know how to finish it",
        ChangeState::Soon => "it will be finished soon",
        ChangeState::Overdue => "overdue",
    };
    format!("unfinished: {work} {} of {begun}: {waits_for}", entry.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::data::{WrongMembers, WrongTotal};

    fn unfinished(work: &str, state: ChangeState) -> UnfinishedChange {
        UnfinishedChange {
            key: "7".to_owned(),
            work: work.to_owned(),
            begun: Some(Time(1_795_478_400_000)),
            state,
        }
    }

    #[test]
    fn findings_are_printed_as_numbers_and_names() {
        let checked = CheckedData {
            tenant: TenantId::parse("acme").unwrap(),
            well: false,
            resources: 12,
            without_id: 3,
            earlier: 6,
            newer: 7,
            finished: 4,
            unfinished: vec![
                unfinished("Erase", ChangeState::Overdue),
                unfinished("", ChangeState::Unknown),
            ],
            missing: 4,
            stray: 2,
            totals: vec![WrongTotal {
                name: "User".to_owned(),
                stored: 9,
                counted: 8,
            }],
            members: vec![WrongMembers {
                group: "5".to_owned(),
                stored: 3,
                counted: 2,
            }],
            crowded: vec!["User emails.value 4".to_owned()],
            conflicts: vec!["Group displayName 7".to_owned()],
            uncounted: 5,
            waiting: Some("Other processes may not know yet".to_owned()),
            cursor: None,
        };
        assert_eq!(
            describe(&checked),
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
