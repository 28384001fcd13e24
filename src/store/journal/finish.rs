//! Finishes journal entries whose writer has died.
//!
//! A finisher takes an entry over on the condition that its lease is the one that was read, so of
//! two finishers only one gets it.

use tokio::time::Instant;

use super::entry::{self, PART, begun};
use super::{Job, Lease, Stage, lease_end};
use crate::identity::Cause;
use crate::protocol::schema::Registry;
use crate::store::cause;
use crate::store::error::StoreError;
use crate::store::key_range::EVERY_KEY;
use crate::store::keys::SEPARATOR;
use crate::store::stored::{self, n, random_id, s};
use crate::store::table::write::Update;
use crate::store::table::{Table, get};

/// How long after the end of its lease an entry counts as overdue, in milliseconds. In AWS a
/// finisher comes within a minute, and `scim serve` looks once a minute.
const OVERDUE_MILLIS: u64 = 5 * 60 * 1000;

/// The longest name of a job that is shown to people, in bytes.
const MAX_NAME: usize = 40;

/// An entry as it is read back.
struct StoredEntry {
    key: String,
    /// The texts of all its parts. If they can be parsed, no part is missing.
    text: String,
    /// Why the entry was begun; `None` if its writer did not say.
    cause: Option<Cause>,
    /// `None` if the entry has a form that this version does not know.
    lease_until: Option<u64>,
    /// Whether this version knows the entry's `step`.
    has_known_step: bool,
}

/// An entry of the journal that is not finished yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The entry's key.
    pub key: String,
    /// The name of its job, such as `Erase`; empty if it has none.
    pub work: String,
    /// Whether this version of the service can finish it.
    pub is_known: bool,
    /// When it was begun, in milliseconds since the Unix epoch.
    pub begun: Option<u64>,
    /// Whether a writer still holds its lease.
    pub is_held: bool,
    /// Whether it has waited longer after its lease than it takes a finisher to come.
    pub is_overdue: bool,
}

/// The result of [`Journal::finish`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// The number of changes that this call made and a dead writer had begun.
    pub changes: usize,
    /// The entries that this version cannot finish; they are left as they are.
    pub unknown: Vec<Unfinished>,
}

/// What the finisher did with one entry.
enum Outcome {
    /// It made a change that a dead writer had begun.
    Changed,
    /// It only cleaned up, or another process has the entry.
    Other,
    /// It left the entry as it is, because this version does not know the job.
    Unknown,
}

/// An entry that was taken over.
pub(in crate::store) struct Taken {
    pub(in crate::store) lease: Lease,
    /// The text of its head.
    pub(in crate::store) text: String,
    stage: Stage,
    pub(in crate::store) lease_until: u64,
}

/// The journal of one tenant.
#[derive(Clone, Copy)]
pub struct Journal<'t> {
    table: &'t Table,
    /// Reads the job of an entry; `None` for a job that this version does not know.
    parse: fn(&str) -> Option<Box<dyn Job>>,
}

impl<'t> Journal<'t> {
    pub(in crate::store) fn new(table: &'t Table, parse: fn(&str) -> Option<Box<dyn Job>>) -> Self {
        Self { table, parse }
    }

    /// The number of entries, held by a writer or not.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn count(self) -> Result<usize, StoreError> {
        let items = entry::items(self.table, &EVERY_KEY).await?;
        let heads = items.iter().filter(|item| item.contains_key("step"));
        Ok(heads.count())
    }

    /// Finishes every entry whose lease is over, the oldest first. Entries with a job that this
    /// version does not know are left as they are.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; what was not finished is left for the next call.
    pub async fn finish(self, types: &Registry) -> Result<Finished, StoreError> {
        let (mut finished, mut failed) = (Finished::default(), Ok(()));
        let (entries, orphans) = self.entries().await?;
        entry::delete(self.table, orphans).await?;
        for entry in entries {
            match self.finish_entry(&entry, types).await {
                Ok(Outcome::Changed) => finished.changes += 1,
                Ok(Outcome::Other) => {}
                Ok(Outcome::Unknown) => finished.unknown.push(self.describe(&entry)),
                // An entry that cannot be finished must not hold up those after it. The error is
                // returned at the end.
                Err(error) => failed = Err(error),
            }
        }
        failed.map(|()| finished)
    }

    /// Every entry that is not finished, the oldest first, whether a writer holds it or not.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn unfinished(self) -> Result<Vec<Unfinished>, StoreError> {
        let mut unfinished = Vec::new();
        let (entries, _) = self.entries().await?;
        for entry in entries {
            if self.job(&entry).is_some() || self.is_still_there(&entry).await? {
                unfinished.push(self.describe(&entry));
            }
        }
        Ok(unfinished)
    }

    /// The keys and leases of the entries with a job of this name whose lease is over, the oldest first.
    /// Entries that this version cannot read are left out. No process may take them over: with each new
    /// lease the stream would bring them once more.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn waiting(
        self,
        name: &str,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let now = self.table.now_millis();
        let (entries, _) = self.entries().await?;
        let is_known = |entry: &StoredEntry| entry.name() == name && self.job(entry).is_some();
        let waiting = entries.into_iter().filter(is_known);
        let waiting = waiting.filter_map(|entry| Some((entry.key, entry.lease_until?)));
        Ok(waiting.filter(|(_, until)| *until < now).collect())
    }

    fn describe(self, entry: &StoredEntry) -> Unfinished {
        let (begun, now) = (begun(&entry.key), self.table.now_millis());
        let lease_until = entry.lease_until.or(begun);
        Unfinished {
            key: entry.key.clone(),
            work: entry.name().to_owned(),
            is_known: self.job(entry).is_some(),
            begun,
            is_held: lease_until.is_some_and(|until| until >= now),
            is_overdue: lease_until.is_none_or(|until| until + OVERDUE_MILLIS < now),
        }
    }

    /// Finishes one entry, under one lease after another if one is too short.
    async fn finish_entry(
        self,
        entry: &StoredEntry,
        types: &Registry,
    ) -> Result<Outcome, StoreError> {
        let now = self.table.now_millis();
        if entry.lease_until.is_some_and(|until| until >= now) {
            return Ok(Outcome::Other);
        }
        // The job is parsed before the entry is taken over. An entry that this version cannot finish
        // must not get a new lease: the stream would bring the changed entry, and the finisher would
        // come again and again.
        let (Some(job), Some(mut seen)) = (self.job(entry), entry.lease_until) else {
            return Ok(match self.is_still_there(entry).await? {
                true => Outcome::Unknown,
                false => Outcome::Other,
            });
        };
        if job.is_for_feed() {
            return Ok(Outcome::Other);
        }
        if self.is_about_newer(&*job, types).await? {
            return Ok(Outcome::Unknown);
        }
        // The rest of the job has the cause that the job began with, not the finisher's own.
        let table = match &entry.cause {
            Some(cause) => self.table.caused_by(cause.clone()),
            None => self.table.clone(),
        };
        loop {
            let Some(taken) = self.take_over(&entry.key, seen).await? else {
                return Ok(Outcome::Other);
            };
            let leased = taken.leased(&table);
            let resumed = job.resume(&leased, &taken.lease, taken.stage, types);
            match resumed.await {
                // The lease was too short for the rest of the job, and the finisher itself has more
                // time. So it takes over the entry from itself, with a new lease.
                Err(StoreError::Unavailable(_))
                    if leased.deadline() <= Instant::now()
                        && Instant::now() < self.table.deadline() =>
                {
                    seen = taken.lease_until;
                }
                result => {
                    let is_change = taken.stage == Stage::Begun && job.is_change();
                    return result.map(|()| match is_change {
                        true => Outcome::Changed,
                        false => Outcome::Other,
                    });
                }
            }
        }
    }

    /// Takes over an entry on the condition that its lease is the one that was read. `None` if
    /// another finisher has it.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub(in crate::store) async fn take_over(
        self,
        key: &str,
        seen: u64,
    ) -> Result<Option<Taken>, StoreError> {
        let lease = Lease {
            entry: key.to_owned(),
            owner: random_id(),
        };
        let lease_until = lease_end(self.table);
        let mut update = Update::new(entry::key(self.table, key), &lease.owner);
        update
            .require("leaseUntil = :seen")
            .set("#owner = :owner, leaseUntil = :until")
            .name("#owner", "owner")
            .value(":owner", s(&lease.owner))
            .value(":until", n(lease_until))
            .value(":seen", n(seen));
        match update.send(self.table, &lease.owner).await {
            Ok(mut head) => Ok(Some(Taken {
                lease,
                stage: Stage::read(&head)?,
                text: stored::take_text(&mut head, "work")?,
                lease_until,
            })),
            // Another finisher has taken the entry over, or has finished it.
            Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The job of an entry, if this version can finish it.
    fn job(self, entry: &StoredEntry) -> Option<Box<dyn Job>> {
        let is_known = entry.has_known_step && entry.lease_until.is_some();
        (self.parse)(&entry.text).filter(|_| is_known)
    }

    /// Whether a newer version of the service has written the resource that the job changes. Then
    /// that version has to finish the job.
    async fn is_about_newer(self, job: &dyn Job, types: &Registry) -> Result<bool, StoreError> {
        let Some((type_name, id)) = job.resource() else {
            return Ok(false);
        };
        let Some(resource_type) = types.resource_type(type_name) else {
            return Ok(false);
        };
        let key = self.table.keys().resources(resource_type).key(id);
        let item = get::one(self.table, &key).await?;
        Ok(item.is_some_and(|item| stored::is_newer(&item)))
    }

    /// Whether an entry is still as it was read. If an entry cannot be parsed, the reason may be
    /// that its writer was removing its parts while it was read.
    async fn is_still_there(self, entry: &StoredEntry) -> Result<bool, StoreError> {
        let head = get::one(self.table, &entry::key(self.table, &entry.key)).await?;
        Ok(head.is_some_and(|head| stored::number(&head, "leaseUntil").ok() == entry.lease_until))
    }

    /// Every entry, the oldest first; and the keys of orphans: parts without a head whose lease is
    /// over, because their writer died before it wrote the head.
    async fn entries(self) -> Result<(Vec<StoredEntry>, Vec<String>), StoreError> {
        let mut entries = Vec::<StoredEntry>::new();
        let mut orphans = Vec::new();
        let now = self.table.now_millis();
        for mut item in entry::items(self.table, &EVERY_KEY).await? {
            let key = stored::take_text(&mut item, "sk")?;
            let is_part = stored::take_text(&mut item, "kind").is_ok_and(|kind| kind == PART);
            let text = stored::take_text(&mut item, "work").unwrap_or_default();
            let lease_until = stored::number(&item, "leaseUntil").ok();
            let by = stored::take_text(&mut item, "by").ok();
            match entries.last_mut() {
                // The parts of an entry follow its head.
                Some(entry) if is_part_of(&key, entry) => entry.text.push_str(&text),
                _ if !is_part => entries.push(StoredEntry {
                    key,
                    text,
                    cause: by.and_then(|by| cause::member_cause(&by)),
                    lease_until,
                    has_known_step: Stage::read(&item).is_ok(),
                }),
                _ if lease_until.is_some_and(|until| until < now) => orphans.push(key),
                _ => {}
            }
        }
        entries.sort_by_cached_key(|entry| begun(&entry.key));
        Ok((entries, orphans))
    }
}

impl Taken {
    /// The table to go on with under the lease.
    pub(in crate::store) fn leased(&self, table: &Table) -> Table {
        entry::leased_until(table, self.lease_until)
    }
}

impl StoredEntry {
    /// The name of the job, which is the only key of its JSON object; empty if there is no such
    /// name.
    fn name(&self) -> &str {
        let name = self
            .text
            .strip_prefix("{\"")
            .and_then(|rest| rest.split('"').next());
        let is_name = |name: &&str| {
            name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        name.filter(is_name).unwrap_or_default()
    }
}

/// Whether a sort key is that of a further part of the entry.
fn is_part_of(key: &str, entry: &StoredEntry) -> bool {
    key.strip_prefix(&entry.key)
        .is_some_and(|rest| rest.starts_with(SEPARATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_job_is_shown_of_its_text() {
        let name = |text: &str| {
            let entry = StoredEntry {
                key: String::new(),
                text: text.to_owned(),
                cause: None,
                lease_until: Some(0),
                has_known_step: true,
            };
            entry.name().to_owned()
        };
        let sweep = r#"{"Sweep":{"group":"g"}}"#;
        assert_eq!(name(sweep), "Sweep");
        assert_eq!(name(&sweep[..12]), "Sweep");
        for other in ["", "x", r#"{"ada@example.com":1}"#, r#"["Sweep"]"#] {
            assert_eq!(name(other), "", "{other}");
        }
    }
}
