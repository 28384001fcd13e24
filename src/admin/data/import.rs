//! `data.import`: takes the lines of an export, part by part.
//!
//! A part is worked on in chunks of lines, each of which is done before the next begins. What a part has done and how
//! far it came is in its answer; the caller sends the other lines again. Every chunk may be sent again, too: what is
//! there already stays untouched.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Duration, Instant};

use super::super::{Admin, Code};
use super::ImportData;
use super::chunk::{Chunk, Lines, Numbered};
use super::configure::configure;
use super::credentials::bring_back;
use super::group_lines::{GroupLines, is_made_between};
use super::imported::{Counts, ImportPart, ImportStep, LineError};
use super::line::{End, Head, MembersLine, ResourceLine};
use super::order::{MembersBetween, sweep_resources};
use super::state::{Position, State};
use crate::identity::CredentialId;
use crate::protocol::error::{Error, ErrorKind, Result, excerpt};
use crate::provider::{Arrived, IfExists, ImportMode, Importer, MembersArrived};
use crate::tenant::SealedCredential;

/// A part ends once this time has passed and a chunk is done.
const PART_TIME: Duration = Duration::from_secs(20);
/// The number of groups that get members at the same time.
const GROUPS: usize = 8;
/// The largest number of lines of a part.
const MAX_LINES: usize = 20_000;
/// The largest number of errors that an answer names.
const MAX_ERRORS: usize = 100;

/// An import in the process that does a part of it.
struct Import<'p> {
    admin: &'p Admin,
    request: &'p ImportData,
    mode: ImportMode,
    state: State,
    counts: Counts,
    errors: Vec<LineError>,
    more_errors: u64,
    /// The credentials that were brought back.
    credentials: Vec<CredentialId>,
    ends: Instant,
}

/// Does one part of an import. Returns the credentials that it has brought back, too.
///
/// # Errors
/// `InvalidValue` for a state that no part has given, and for what makes it unsafe to go on: a file without head, and
/// lines out of order in a file that replaces the directory. `Unavailable` if the table is out of reach. Then nothing
/// is known of this part, and it can be sent again.
pub(super) async fn part(
    admin: &Admin,
    request: &ImportData,
) -> Result<(ImportPart, Vec<CredentialId>)> {
    if request.step == ImportStep::Remove && request.if_exists != IfExists::Replace {
        return Err(Error::invalid_value(
            "Only an import with `ifExists` `replace` removes resources",
        ));
    }
    let lines = request.text.lines().count();
    if lines > MAX_LINES {
        return Err(Error::payload_too_large(format!(
            "`text` has {lines} lines; at most {MAX_LINES} are taken in one part"
        )));
    }
    let mut import = Import {
        admin,
        request,
        mode: ImportMode {
            if_exists: request.if_exists,
            is_dry: request.step == ImportStep::Check,
            with_passwords: request.with_secrets,
        },
        state: request
            .state
            .as_deref()
            .map_or_else(|| Ok(State::default()), State::parse)?,
        counts: Counts::default(),
        errors: Vec::new(),
        more_errors: 0,
        credentials: Vec::new(),
        ends: Instant::now() + PART_TIME,
    };
    let first = import.state.line();
    let mut lines = Lines::new(first, &request.text);
    while let Some(chunk) = lines.next_chunk() {
        // A secret takes few changes. If there may be more credentials behind the text, the next part has all of them.
        let may_go_on = matches!(chunk, Chunk::Credentials(_)) && lines.is_over();
        if may_go_on && import.state.line() > first {
            break;
        }
        if !import.take(chunk).await? || Instant::now() >= import.ends {
            break;
        }
    }
    let Import {
        state,
        counts,
        errors,
        more_errors,
        credentials,
        ..
    } = import;
    let part = ImportPart {
        line: state.line(),
        done: state.is_over,
        state: state.to_text(),
        counts,
        errors,
        more_errors,
    };
    Ok((part, credentials))
}

impl<'p> Import<'p> {
    /// The importer, with the tenant's configuration as it is now.
    async fn importer(&self) -> Result<Importer<'p>> {
        let tenant = &self.request.tenant;
        self.admin.provider.importer(tenant, self.mode).await
    }

    /// Does a chunk. False if time has run out before its end: then its lines are not done.
    async fn take(&mut self, chunk: Chunk) -> Result<bool> {
        let is_head = matches!(chunk, Chunk::Head(_));
        if is_head != (self.state.lines == 0) {
            return Err(Error::invalid_value(match &chunk {
                Chunk::Head(_) => {
                    format!("Line {} is the head of another export", self.state.line())
                }
                Chunk::Unreadable(_, error) => format!("Line 1: {}", error.detail()),
                _ => "The first line is not the head of an export".to_owned(),
            }));
        }
        if self.state.is_over {
            return Err(Error::invalid_value(format!(
                "Line {} comes after the end of the export",
                self.state.line()
            )));
        }
        match chunk {
            Chunk::Unreadable(line, error) => {
                // It cannot be told which resource such a line would keep.
                self.refuse_order(line, &error)?;
                self.state.unread += 1;
                self.state.lines += 1;
                Ok(true)
            }
            Chunk::Head(head) => self.head(&head).await,
            Chunk::Resources(lines) => self.resources(lines).await,
            Chunk::Members(lines) => self.members(lines).await,
            Chunk::Credentials(lines) => self.credentials(lines).await,
            Chunk::End(end) => self.end(end).await,
        }
    }

    async fn head(&mut self, head: &Head) -> Result<bool> {
        self.state.exported = Some(head.exported.0);
        if self.request.step != ImportStep::Remove {
            let (provider, tenant) = (&self.admin.provider, &self.request.tenant);
            let configured = configure(provider, tenant, head, self.mode).await?;
            let conflicts = configured.conflicts.into_iter().map(Error::uniqueness);
            for error in conflicts.chain(configured.refused) {
                // Resources are read by the configuration. Without that of the file they may be others than were
                // exported.
                if !self.mode.is_dry {
                    return Err(Error::invalid_value(format!("Line 1: {}", error.detail())));
                }
                self.refuse(1, &error);
            }
            self.counts.settings += configured.changed;
            self.state.coming = configured.coming;
        }
        self.state.lines += 1;
        Ok(true)
    }

    async fn resources(&mut self, lines: Vec<Numbered<ResourceLine>>) -> Result<bool> {
        let (read, before) = (lines.len() as u64, self.state.last.clone());
        let mut last = before.clone();
        let mut taken = Vec::with_capacity(lines.len());
        let mut expected = 0_u64;
        for (number, line) in lines {
            expected = expected.saturating_add(line.members as u64);
            let position = Position::Resource(line.type_name.clone(), line.id.clone());
            match self.check_order(last.as_ref(), &position) {
                Ok(()) => taken.push((number, line)),
                Err(error) => self.refuse_order(number, &error)?,
            }
            last = Some(position);
        }
        if self.mode.if_exists == IfExists::Replace && self.request.step != ImportStep::Write {
            let keep = taken
                .iter()
                .map(|(_, line)| (line.type_name.clone(), line.id.clone()));
            let keep: BTreeSet<(String, String)> = keep.collect();
            let importer = self.importer().await?;
            let until = taken
                .last()
                .map(|(_, line)| (line.type_name.as_str(), line.id.as_str()));
            if until.is_some() {
                let swept =
                    sweep_resources(&importer, before.as_ref(), until, &keep, self.ends).await?;
                self.counts.removed += swept.removed;
                if swept.is_cut {
                    return Ok(false);
                }
            }
        }
        if self.request.step != ImportStep::Remove {
            self.arrive(taken).await?;
        }
        self.state.last = last;
        self.state.resources += read;
        self.state.expect_members(expected);
        self.state.lines += read;
        Ok(true)
    }

    /// Takes resources, each of which is in a line.
    async fn arrive(&mut self, lines: Vec<Numbered<ResourceLine>>) -> Result<()> {
        let (mut numbers, mut arriving) = (Vec::new(), Vec::new());
        for (number, line) in lines {
            // In a dry run a type that the file brings is not registered.
            if self.mode.is_dry && self.state.coming.contains(&line.type_name) {
                self.counts.created += 1;
                continue;
            }
            match line.arriving() {
                Ok(resource) => {
                    numbers.push(number);
                    arriving.push(resource);
                }
                Err(error) => self.refuse(number, &error),
            }
        }
        let arrived = self.importer().await?.resources(arriving).await?;
        for (number, arrived) in numbers.into_iter().zip(arrived) {
            match arrived {
                Ok(Arrived::Created) => self.counts.created += 1,
                Ok(Arrived::Changed) => self.counts.changed += 1,
                Ok(Arrived::Same) => self.counts.same += 1,
                Ok(Arrived::Kept) => self.counts.kept += 1,
                Err(error) => self.refuse(number, &error),
            }
        }
        Ok(())
    }

    async fn members(&mut self, lines: Vec<Numbered<MembersLine>>) -> Result<bool> {
        let read = lines.len() as u64;
        let memberships: u64 = lines.iter().map(|(_, line)| line.len()).sum();
        let (mut last, mut groups) = (self.state.last.clone(), Vec::<GroupLines>::new());
        let last_resource = last
            .clone()
            .filter(|last| matches!(last, Position::Resource(..)));
        for (number, line) in lines {
            let position = Position::of_members(&line);
            match self.check_order(last.as_ref(), &position) {
                Ok(()) => match groups.last_mut() {
                    Some(lines) if lines.is_of(&line) => lines.push(number, last.take(), line),
                    _ => groups.push(GroupLines::new(number, last.take(), line)),
                },
                Err(error) => self.refuse_order(number, &error)?,
            }
            last = Some(position);
        }
        if self.request.step != ImportStep::Remove {
            let importer = &self.importer().await?;
            let (is_exact, ends) = (self.mode.if_exists == IfExists::Replace, self.ends);
            let work = groups
                .iter()
                .map(|group| group.arrive(importer, is_exact, ends));
            let work: Vec<_> = work.collect();
            // The groups are changed at the same time, and the lines of one group one after the other.
            let done: Vec<_> = stream::iter(work).buffered(GROUPS).try_collect().await?;
            for done in done {
                self.counts.members_removed += done.removed;
                for (number, arrived) in done.arrived {
                    self.count_members(number, arrived);
                }
                if done.is_cut {
                    return Ok(false);
                }
            }
        }
        self.state.last = last;
        self.state.last_resource = last_resource.or(self.state.last_resource.take());
        self.state.memberships += memberships;
        self.state.lines += read;
        Ok(true)
    }

    fn count_members(&mut self, number: u64, arrived: Result<MembersArrived>) {
        match arrived {
            Ok(arrived) => {
                self.counts.members_added += arrived.added;
                self.counts.members_same += arrived.same;
                let exported = self.state.exported.unwrap_or_default();
                let now = self.admin.clock.now_millis();
                let (late, unknown): (Vec<_>, Vec<_>) = arrived
                    .unknown
                    .into_iter()
                    .partition(|id| is_made_between(id, exported, now));
                self.counts.members_late += late.len() as u64;
                if let Some(first) = unknown.first() {
                    let detail = format!(
                        "{} of the ids in the line are of no resource, such as {}; the others were taken",
                        unknown.len(),
                        excerpt(first)
                    );
                    self.refuse(number, &Error::not_found(detail));
                }
            }
            Err(error) => self.refuse(number, &error),
        }
    }

    async fn credentials(&mut self, lines: Vec<Numbered<SealedCredential>>) -> Result<bool> {
        let read = lines.len() as u64;
        if self.request.step != ImportStep::Remove {
            let done = bring_back(self.admin, self.request, lines).await?;
            self.counts.add(&done.counts);
            self.credentials.extend(done.ids);
            for (number, error) in done.errors {
                self.refuse(number, &error);
            }
        }
        self.state.credentials += read;
        self.state.lines += read;
        Ok(true)
    }

    async fn end(&mut self, (number, end): Numbered<End>) -> Result<bool> {
        let importer = self.importer().await?;
        let last = self.state.last.clone();
        let last = last.as_ref();
        if self.mode.if_exists == IfExists::Replace {
            // Resources are removed before anything is written, and members when all groups are there.
            if self.request.step != ImportStep::Write {
                let last = last.filter(|last| matches!(last, Position::Resource(..)));
                let after = last.or(self.state.last_resource.as_ref());
                let swept =
                    sweep_resources(&importer, after, None, &BTreeSet::new(), self.ends).await?;
                self.counts.removed += swept.removed;
                if swept.is_cut {
                    return Ok(false);
                }
            }
            if self.request.step != ImportStep::Remove {
                let between = MembersBetween::new(last, None);
                let swept = between.sweep(&importer, self.ends).await?;
                self.counts.members_removed += swept.removed;
                if swept.is_cut {
                    return Ok(false);
                }
            }
        }
        if let Err(error) = self.state.check_end(end) {
            self.refuse(number, &error);
        }
        self.state.lines += 1;
        self.state.is_over = true;
        Ok(true)
    }

    /// Checks that a line may come after the one before it. Only a file that replaces a directory has to be in order,
    /// because what lies between two of its lines is removed.
    fn check_order(&self, last: Option<&Position>, next: &Position) -> Result<()> {
        let is_phase = |position: &Position| matches!(position, Position::Member(..));
        let is_in_order = match self.mode.if_exists {
            IfExists::Replace => last.is_none_or(|last| last < next),
            IfExists::Fail | IfExists::Skip => {
                last.is_none_or(|last| is_phase(last) <= is_phase(next))
            }
        };
        match is_in_order {
            true => Ok(()),
            false => Err(Error::invalid_value(
                "The line is not in order: resources come before members, and in an import that replaces the \
                 directory both come in the order of types and ids, as they are exported",
            )),
        }
    }

    /// Notes an error that makes it unsafe to remove anything. It ends an import that removes.
    fn refuse_order(&mut self, line: u64, error: &Error) -> Result<()> {
        if self.mode.if_exists == IfExists::Replace && !self.mode.is_dry {
            return Err(Error::invalid_value(format!(
                "Line {line}: {}",
                error.detail()
            )));
        }
        self.refuse(line, error);
        Ok(())
    }

    fn refuse(&mut self, line: u64, error: &Error) {
        if self.errors.len() == MAX_ERRORS {
            self.more_errors += 1;
            return;
        }
        self.errors.push(LineError {
            line,
            code: match error.kind() {
                ErrorKind::Uniqueness => Code::Taken,
                kind => Code::of(kind),
            },
            detail: error.detail().to_owned(),
        });
    }
}
