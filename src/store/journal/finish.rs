//! Finishes what dead writers left in the journal.
//!
//! Whoever takes an entry over does so on the condition that its lease is the one that was seen, so
//! of two finishers one has it.

use tokio::time::Instant;

use super::{Stage, Step, Work, begun};
use crate::protocol::schema::Registry;
use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::item::{self, n, s};
use crate::store::key_range::KeyRange;
use crate::store::keys::SEPARATOR;
use crate::store::resources::token;
use crate::store::table::expression::Expression;

/// An entry that is overdue has waited for a finisher so long after its lease, in milliseconds: in
/// AWS the finisher comes within a minute, `scim serve` looks once a minute.
const OVERDUE_MILLIS: u64 = 5 * 60 * 1000;

/// The `kind` of the further parts of an entry.
const PART: &str = "JP";

/// The longest name of a kind of work that is repeated.
const MAX_NAME: usize = 40;

/// An entry as it is read back.
struct Entry {
    op: String,
    /// All its parts. They are complete if they can be parsed.
    text: String,
    /// Nothing where the entry is of a form that this version does not know.
    lease_until: Option<u64>,
    /// Whether this version knows the step it is at.
    has_known_step: bool,
}

/// An entry of the journal that is not finished yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The entry's key.
    pub key: String,
    /// What kind of work it is, such as `Erase`; empty if it does not say.
    pub work: String,
    /// Whether this version of the code can finish it.
    pub is_known: bool,
    /// When it was begun, in milliseconds since the Unix epoch.
    pub begun: Option<u64>,
    /// Whether a writer still holds its lease.
    pub is_held: bool,
    /// Whether it has waited longer than a finisher takes to come.
    pub is_overdue: bool,
}

/// What a look at the journal came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// How many changes were made that a dead writer had begun.
    pub changes: usize,
    /// The entries that this version cannot finish; they are left as they are.
    pub unknown: Vec<Unfinished>,
}

/// What became of one entry.
enum Outcome {
    /// A change that a dead writer had begun is made.
    Changed,
    /// There was only something to clean up, or another process has the entry.
    Other,
    /// This version does not know what the entry says.
    Unknown,
}

/// An entry that was taken over.
struct Taken {
    step: Step,
    stage: Stage,
    lease_until: u64,
}

impl TenantStore {
    /// Takes over an entry on the condition that its lease is the one that was seen; `None` when
    /// somebody else has it.
    async fn take_over(&self, op: &str, seen: u64) -> Result<Option<Taken>, StoreError> {
        let step = Step {
            op: op.to_owned(),
            owner: token(),
        };
        let lease_until = self.lease_end();
        let mut parts = Expression::new("leaseUntil = :seen", "rid = :rid", &step.owner);
        parts
            .set("#owner = :owner, leaseUntil = :until")
            .name("#owner", "owner");
        parts
            .value(":owner", s(&step.owner))
            .value(":until", n(lease_until))
            .value(":seen", n(seen));
        let update = self.journal_update(parts, &step)?;
        match self.update_item(update, &step.owner).await {
            Ok(head) => Ok(Some(Taken {
                step,
                stage: Stage::read(&head)?,
                lease_until,
            })),
            Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does what is left of every entry whose lease has run out, the oldest first. Entries of a kind
    /// that this version does not know are left as they are.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; what was not finished is left for the next call.
    pub async fn finish_journal(&self, types: &Registry) -> Result<Finished, StoreError> {
        let (mut finished, mut failed) = (Finished::default(), Ok(()));
        let (entries, orphans) = self.journal().await?;
        self.delete_journal(orphans).await?;
        for entry in entries {
            match self.finish(&entry, types).await {
                Ok(Outcome::Changed) => finished.changes += 1,
                Ok(Outcome::Other) => {}
                Ok(Outcome::Unknown) => finished.unknown.push(self.unfinished_entry(&entry)),
                // One entry that cannot be finished must not keep the others.
                Err(error) => failed = Err(error),
            }
        }
        failed.map(|()| finished)
    }

    /// Every entry of the journal that is not finished, the oldest first, whether a writer holds it or
    /// not.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let mut unfinished = Vec::new();
        let (entries, _) = self.journal().await?;
        for entry in entries {
            if entry.work().is_some() || self.is_still_there(&entry).await? {
                unfinished.push(self.unfinished_entry(&entry));
            }
        }
        Ok(unfinished)
    }

    fn unfinished_entry(&self, entry: &Entry) -> Unfinished {
        let (begun, now) = (begun(&entry.op), self.clock.now_millis());
        let lease_until = entry.lease_until.or(begun);
        Unfinished {
            key: entry.op.clone(),
            work: entry.name().to_owned(),
            is_known: entry.work().is_some(),
            begun,
            is_held: lease_until.is_some_and(|until| until >= now),
            is_overdue: lease_until.is_none_or(|until| until + OVERDUE_MILLIS < now),
        }
    }

    /// Finishes one entry, under as many leases as it takes.
    async fn finish(&self, entry: &Entry, types: &Registry) -> Result<Outcome, StoreError> {
        let now = self.clock.now_millis();
        if entry.lease_until.is_some_and(|until| until >= now) {
            return Ok(Outcome::Other);
        }
        // Read before it is taken over: what cannot be finished must not get another lease, with which
        // the stream would bring it again and again.
        let (Some(work), Some(mut seen)) = (entry.work(), entry.lease_until) else {
            return Ok(match self.is_still_there(entry).await? {
                true => Outcome::Unknown,
                false => Outcome::Other,
            });
        };
        loop {
            let Some(taken) = self.take_over(&entry.op, seen).await? else {
                return Ok(Outcome::Other);
            };
            let leased = self.leased_until(taken.lease_until);
            match leased.resume(&taken, &work, types).await {
                Err(StoreError::Unavailable(_))
                    if leased.deadline <= Instant::now() && Instant::now() < self.deadline =>
                {
                    seen = taken.lease_until;
                }
                result => {
                    let is_change = taken.stage == Stage::Begun && !matches!(work, Work::Sweep(_));
                    return result.map(|()| match is_change {
                        true => Outcome::Changed,
                        false => Outcome::Other,
                    });
                }
            }
        }
    }

    /// Whether an entry is as it was read. One that cannot be parsed may have lost its further parts
    /// because its writer was ending it while it was read.
    async fn is_still_there(&self, entry: &Entry) -> Result<bool, StoreError> {
        let head = self.get_item(self.keys.journal(), &entry.op).await?;
        Ok(head.is_some_and(|head| item::number(&head, "leaseUntil").ok() == entry.lease_until))
    }

    async fn resume(&self, taken: &Taken, work: &Work, types: &Registry) -> Result<(), StoreError> {
        let Taken { step, stage, .. } = taken;
        match work {
            Work::Fill(fill) => self.resume_fill(step, *stage, fill, types).await,
            Work::Delta(delta) => self.resume_delta(step, delta, types).await,
            Work::Erase(erasure) => self.resume_erasure(step, *stage, erasure, types).await,
            Work::Sweep(sweep) => self.finish_sweep(step, sweep).await,
        }
    }

    /// Every entry of the tenant, the oldest first; and the keys of orphans, which are parts of entries
    /// that were never written to the end and whose lease is over.
    async fn journal(&self) -> Result<(Vec<Entry>, Vec<String>), StoreError> {
        let mut entries = Vec::<Entry>::new();
        let mut orphans = Vec::new();
        let now = self.clock.now_millis();
        for mut item in self.journal_items(&KeyRange::all()).await? {
            let op = item::take_text(&mut item, "sk")?;
            let is_part = item::take_text(&mut item, "kind").is_ok_and(|kind| kind == PART);
            let text = item::take_text(&mut item, "work").unwrap_or_default();
            let lease_until = item::number(&item, "leaseUntil").ok();
            match entries.last_mut() {
                // The parts of an entry follow its head.
                Some(entry) if is_part_of(&op, entry) => entry.text.push_str(&text),
                _ if !is_part => entries.push(Entry {
                    op,
                    text,
                    lease_until,
                    has_known_step: Stage::read(&item).is_ok(),
                }),
                _ if lease_until.is_some_and(|until| until < now) => orphans.push(op),
                _ => {}
            }
        }
        entries.sort_by_cached_key(|entry| begun(&entry.op));
        Ok((entries, orphans))
    }
}

impl Entry {
    /// What is to be done, if this version knows it.
    fn work(&self) -> Option<Work> {
        let work = serde_json::from_str(&self.text).ok();
        work.filter(|_| self.has_known_step && self.lease_until.is_some())
    }

    /// The name of the kind of work, which is the one key of its JSON object; empty if there is no
    /// such name.
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
fn is_part_of(key: &str, entry: &Entry) -> bool {
    key.strip_prefix(&entry.op)
        .is_some_and(|rest| rest.starts_with(SEPARATOR))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_named_by_what_it_does_and_by_nothing_else() {
        let name = |text: &str| {
            let entry = Entry {
                op: String::new(),
                text: text.to_owned(),
                lease_until: Some(0),
                has_known_step: true,
            };
            (entry.name().to_owned(), entry.work().is_some())
        };
        let sweep = r#"{"Sweep":{"group":"g","set":{"member_revision":1,"member_stamp":1,"set":"s","shards":1}}}"#;
        assert_eq!(name(sweep), ("Sweep".to_owned(), true));
        assert_eq!(name(&sweep[..40]), ("Sweep".to_owned(), false));
        assert_eq!(name(r#"{"Merge":{}}"#), ("Merge".to_owned(), false));
        for other in ["", "x", r#"{"ada@example.com":1}"#, r#"["Sweep"]"#] {
            assert_eq!(name(other), (String::new(), false), "{other}");
        }
    }
}
