//! `scim import`: takes a file that `scim export` has written.
//!
//! A file is read once to see whether all of it can be taken, and again to take it. An import that replaces the
//! directory reads it once more in between, to remove what it lacks.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::CommandError;
use super::check::check;
use super::columns::printable;
use super::confirm::confirm;
use super::deployment_args::DeploymentArgs;
use super::export::is_stdio;
use super::import_file::{Lines, check_end};
use super::operator::Operator;
use super::progress::Progress;
use super::tenant_arg::tenant_id;
use super::terminal::print;
use crate::admin::data::{CheckedData, Counts, ImportData, ImportStep, LineError};
use crate::identity::TenantId;
use crate::provider::IfExists;

/// A round ends after this number of errors.
const MAX_ERRORS: usize = 1_000;

#[derive(Debug, Args)]
#[command(
    after_help = "Every resource keeps its id and its times. What is there already with the same content stays untouched, \
                  so an import that was interrupted is completed by the same command.\n\nExamples:\n  \
                  scim import acme acme.ndjson --dry-run\n  \
                  scim import acme acme.ndjson\n  \
                  scim import acme acme.ndjson --if-exists replace --yes"
)]
pub(super) struct ImportArgs {
    /// The tenant, which has to exist; create it with `scim tenant create`
    #[arg(value_parser = tenant_id)]
    tenant: TenantId,
    /// The file to read; - is stdin
    #[arg(value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// What happens to resources that are there with other content; `replace` also removes those that the file does not
    /// have
    #[arg(long, value_enum, default_value_t = IfExistsArg::Fail)]
    if_exists: IfExistsArg,
    /// Write nothing; say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Also take the hashes of passwords that the file has
    #[arg(long)]
    with_secrets: bool,
    /// Also bring back the credentials that the file has. Those that were revoked since the export can be used again
    #[arg(long)]
    with_credentials: bool,
    /// Remove what the file does not have without asking
    #[arg(long)]
    yes: bool,
    /// Print JSON instead of text for people
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// What happens to resources that are there with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IfExistsArg {
    /// They are errors, and stay as they are
    Fail,
    /// They stay as they are
    Skip,
    /// They get the content of the file
    Replace,
}

/// What a round through the file has come to.
#[derive(Debug, Default)]
struct Round {
    counts: Counts,
    errors: Vec<LineError>,
    more_errors: u64,
}

impl ImportArgs {
    /// Imports the file, and fails if a line could not be taken.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let is_file = !is_stdio(&self.file);
        if !is_file && self.if_exists == IfExistsArg::Replace {
            return Err(CommandError::usage(
                "--if-exists replace needs a FILE, because it is read several times",
            ));
        }
        if is_file {
            check_end(&self.file)?;
        }
        let operator = Operator::open(&self.deployment).await?;
        let mut removed = 0;
        if self.dry_run || is_file {
            let checked = self.round(&operator, ImportStep::Check, "checking").await?;
            if self.dry_run {
                self.tell(&checked, None)?;
                return checked.result();
            }
            if !checked.errors.is_empty() {
                checked.tell_errors();
                return Err(CommandError::new(format!(
                    "{} could not be taken; nothing was written",
                    lines(checked.number_of_errors())
                )));
            }
            removed = self.remove(&operator, &checked.counts).await?;
        }
        let mut written = self
            .round(&operator, ImportStep::Write, "importing")
            .await?;
        written.counts.removed += removed;
        let comparison = self.compare(&operator).await;
        self.tell(&written, comparison.as_ref())?;
        written.result()?;
        match comparison {
            Some(comparison) if !comparison.well => Err(CommandError::found(format!(
                "{}; run scim doctor {} --repair{}",
                comparison
                    .waiting
                    .as_deref()
                    .unwrap_or("Index entries or counters do not fit the resources"),
                self.tenant,
                self.deployment.to_text()
            ))),
            _ => Ok(()),
        }
    }

    /// Removes what the file does not have, once that is confirmed. Returns the number of removed resources.
    /// Memberships are removed when the file is written.
    async fn remove(&self, operator: &Operator, checked: &Counts) -> Result<u64, CommandError> {
        let (resources, members) = (checked.removed, checked.members_removed);
        if resources + members == 0 {
            return Ok(0);
        }
        let what = format!(
            "{resources} resources and {members} memberships of {} are not in the file and will be removed",
            self.tenant
        );
        if !self.yes {
            confirm(&what, self.yes)?;
        }
        if resources == 0 {
            return Ok(0);
        }
        let round = self.round(operator, ImportStep::Remove, "removing").await?;
        Ok(round.counts.removed)
    }

    /// Sends the whole file for one step.
    async fn round(
        &self,
        operator: &Operator,
        step: ImportStep,
        what: &'static str,
    ) -> Result<Round, CommandError> {
        let mut lines = match is_stdio(&self.file) {
            true => Lines::of_stdin(),
            false => Lines::of_file(&self.file)?,
        };
        let mut round = Round::default();
        let mut state = None;
        let progress = Progress::of_bytes(what, lines.length());
        loop {
            let text = lines.part()?;
            if text.is_empty() {
                return Err(CommandError::new(
                    "The file ends without its last line: it is no complete export. What it has was taken, and the \
                     whole file can be imported again",
                ));
            }
            let part = operator.ask(&self.part(step, text.clone(), state)).await?;
            round.add(&part.counts, part.errors, part.more_errors);
            if part.done {
                return Ok(round);
            }
            let done = lines.drop_before(part.line);
            progress.advance(done);
            if done == 0 {
                return Err(CommandError::new(format!(
                    "No line was done in the time of one request; line {} is next, and the same command goes on there",
                    part.line
                )));
            }
            if round.errors.len() >= MAX_ERRORS {
                return Ok(round);
            }
            state = Some(part.state);
        }
    }

    fn part(&self, step: ImportStep, text: String, state: Option<String>) -> ImportData {
        ImportData {
            tenant: self.tenant.clone(),
            step,
            if_exists: match self.if_exists {
                IfExistsArg::Fail => IfExists::Fail,
                IfExistsArg::Skip => IfExists::Skip,
                IfExistsArg::Replace => IfExists::Replace,
            },
            with_secrets: self.with_secrets,
            with_credentials: self.with_credentials,
            text,
            state,
        }
    }

    /// Compares index entries, counters and groups with the resources. What was imported is there, also if this fails.
    async fn compare(&self, operator: &Operator) -> Option<CheckedData> {
        let progress = Progress::without_end("comparing");
        let compared = check(operator, &self.tenant, false, &progress).await;
        drop(progress);
        let place = self.deployment.to_text();
        compared
            .inspect_err(|error| {
                eprintln!(
                    "Not compared: {error}; scim doctor {}{place} does it again",
                    self.tenant
                );
            })
            .ok()
    }

    fn tell(&self, round: &Round, comparison: Option<&CheckedData>) -> Result<(), CommandError> {
        if self.json {
            let json = json!({
                "tenant": self.tenant,
                "dryRun": self.dry_run,
                "counts": round.counts,
                "errors": round.errors,
                "moreErrors": round.more_errors,
                "comparison": comparison,
            });
            return print(&format!("{json}\n"));
        }
        round.tell_errors();
        let would = if self.dry_run {
            "Would import into"
        } else {
            "Imported into"
        };
        let mut text = format!("{would} {}: {}\n", self.tenant, describe(&round.counts));
        if let Some(comparison) = comparison.filter(|comparison| comparison.well) {
            let _ = writeln!(
                text,
                "Compared: index entries and counters fit {} resources",
                comparison.resources
            );
        }
        print(&text)
    }
}

impl Round {
    fn add(&mut self, counts: &Counts, errors: Vec<LineError>, more_errors: u64) {
        self.counts.add(counts);
        self.errors.extend(errors);
        self.more_errors += more_errors;
    }

    /// Writes each error to stderr.
    fn tell_errors(&self) {
        for LineError { line, detail, .. } in &self.errors {
            eprintln!("line {line}: {}", printable(detail));
        }
        if self.more_errors > 0 {
            eprintln!("and {} more", lines(self.more_errors));
        }
    }

    fn number_of_errors(&self) -> u64 {
        self.errors.len() as u64 + self.more_errors
    }

    /// Fails if a line could not be taken.
    fn result(&self) -> Result<(), CommandError> {
        match self.number_of_errors() {
            0 => Ok(()),
            errors => Err(CommandError::new(format!(
                "{} could not be taken; mend the file, and import it again",
                lines(errors)
            ))),
        }
    }
}

fn lines(number: u64) -> String {
    match number {
        1 => "1 line".to_owned(),
        number => format!("{number} lines"),
    }
}

/// The counts that are not zero, as one line.
fn describe(counts: &Counts) -> String {
    let parts = [
        (counts.settings, "settings changed"),
        (counts.created, "created"),
        (counts.changed, "changed"),
        (counts.same, "unchanged"),
        (counts.kept, "left as they are"),
        (counts.removed, "removed"),
        (counts.members_added, "memberships added"),
        (counts.members_same, "memberships unchanged"),
        (counts.members_removed, "memberships removed"),
        (counts.members_late, "memberships left to the feed"),
        (counts.credentials_added, "credentials brought back"),
        (counts.credentials_changed, "credentials changed"),
        (counts.credentials_same, "credentials unchanged"),
        (counts.credentials_kept, "credentials left as they are"),
        (counts.credentials_left, "credentials left out"),
        (
            counts.credentials_foreign,
            "credentials left out because they can never be used here",
        ),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(", "),
    }
}
