//! Finishes what dead writers left in the journal.
//!
//! Whoever takes an entry over does so on the condition that its lease is the one that was seen, so
//! of two finishers one has it.

use tokio::time::Instant;

use super::TenantStore;
use super::error::StoreError;
use super::expression::Expression;
use super::item::{self, n, s};
use super::journal::{Stage, Step, Work};
use super::key_range::KeyRange;
use super::keys::SEPARATOR;
use super::resource::token;
use crate::protocol::schema::Registry;

/// An entry as it is read back.
struct Entry {
    op: String,
    /// All its parts. They are complete if the entry can still be taken over afterwards.
    text: String,
    lease_until: u64,
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

    /// Does what is left of every entry whose lease has run out. Returns how many changes there were
    /// among them that a dead writer had not made.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; what was not finished is left for the next call.
    pub async fn finish_journal(&self, types: &Registry) -> Result<usize, StoreError> {
        let (mut finished, mut failed) = (0, Ok(()));
        for entry in self.journal().await? {
            match self.finish(&entry, types).await {
                Ok(true) => finished += 1,
                Ok(false) => {}
                // One entry that cannot be finished must not keep the others.
                Err(error) => failed = Err(error),
            }
        }
        failed.map(|()| finished)
    }

    /// Finishes one entry, under as many leases as it takes; `false` when there was only something to
    /// clean up, or somebody else has it.
    async fn finish(&self, entry: &Entry, types: &Registry) -> Result<bool, StoreError> {
        let mut seen = entry.lease_until;
        if seen >= self.clock.now_millis() {
            return Ok(false);
        }
        loop {
            let Some(taken) = self.take_over(&entry.op, seen).await? else {
                return Ok(false);
            };
            let work: Work = serde_json::from_str(&entry.text)
                .map_err(|error| StoreError::Backend(error.into()))?;
            let leased = self.leased_until(taken.lease_until);
            match leased.resume(&taken, &work, types).await {
                Err(StoreError::Unavailable(_))
                    if leased.deadline <= Instant::now() && Instant::now() < self.deadline =>
                {
                    seen = taken.lease_until;
                }
                result => {
                    let is_change = taken.stage == Stage::Begun && !matches!(work, Work::Sweep(_));
                    return result.map(|()| is_change);
                }
            }
        }
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

    /// Every entry of the tenant, oldest first. Parts of entries that were never written to the end
    /// are removed.
    async fn journal(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::<Entry>::new();
        let mut orphans = Vec::new();
        let now = self.clock.now_millis();
        for mut item in self.journal_items(&KeyRange::all()).await? {
            let op = item::take_text(&mut item, "sk")?;
            let text = item::take_text(&mut item, "work")?;
            let lease_until = item::number(&item, "leaseUntil")?;
            match (item.contains_key("step"), entries.last_mut()) {
                (true, _) => entries.push(Entry {
                    op,
                    text,
                    lease_until,
                }),
                // The parts of an entry follow its head.
                (false, Some(entry)) if is_part_of(&op, entry) => entry.text.push_str(&text),
                (false, _) if lease_until < now => orphans.push(op),
                (false, _) => {}
            }
        }
        self.delete_journal(orphans).await?;
        Ok(entries)
    }
}

/// Whether a sort key is that of a further part of the entry.
fn is_part_of(key: &str, entry: &Entry) -> bool {
    key.strip_prefix(&entry.op)
        .is_some_and(|rest| rest.starts_with(SEPARATOR))
}
