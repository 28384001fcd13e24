//! The journal: what a writer has begun and somebody else can finish.
//!
//! A change of more than one transaction is written down before it begins. Its writer holds a lease,
//! and past the lease every call of it is refused here ([`TenantStore::lease_is_over`]), so that a
//! thawed process cannot resume what somebody else has finished meanwhile. The transaction that makes
//! the change part of the directory advances the entry too, so that nobody makes the same change
//! twice.

use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Update};
use serde::{Deserialize, Serialize};

use super::TenantStore;
use super::batch::PlainWrite;
use super::erase::Erasure;
use super::error::StoreError;
use super::expression::Expression;
use super::fill::Fill;
use super::item::{self, Item, n, s};
use super::key_range::KeyRange;
use super::keys::SEPARATOR;
use super::meter::Account;
use super::range::Window;
use super::resource::token;
use crate::protocol::schema::Registry;

/// How long a writer may go on, in milliseconds: longer than any request.
pub const LEASE_MILLIS: u64 = 25_000;

/// The most text in one item of an entry; DynamoDB takes 400 KB.
const PART_BYTES: usize = 300_000;

/// A change that takes more than one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and it is written out at once"
)]
pub(super) enum Work {
    /// Many members are added, removed or replaced.
    Fill(Fill),
    /// A resource disappears with all its memberships.
    Erase(Erasure),
}

/// An entry of the journal, and the writer that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The entry's name.
    pub(super) op: String,
    /// The writer's name.
    pub(super) owner: String,
}

/// An entry as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) op: String,
    pub(super) work: Work,
    /// 0 until the change is part of the directory, 1 from then on.
    pub(super) step: u64,
    pub(super) lease_until: u64,
}

impl Entry {
    fn read(mut head: Item, work: &str) -> Result<Self, StoreError> {
        Ok(Self {
            work: serde_json::from_str(work).map_err(|error| StoreError::Backend(error.into()))?,
            step: item::number(&head, "step")?,
            lease_until: item::number(&head, "leaseUntil")?,
            op: item::take_text(&mut head, "sk")?,
        })
    }
}

/// Whether an item is a further part of the entry that begins with `head`.
fn is_part_of(item: &Item, head: &Item) -> bool {
    let key = |item: &Item| {
        item.get("sk")
            .and_then(|sk| sk.as_s().ok())
            .cloned()
            .unwrap_or_default()
    };
    key(item)
        .strip_prefix(&key(head))
        .is_some_and(|rest| rest.starts_with(SEPARATOR))
}

impl TenantStore {
    /// The items of a new entry, and the store to go on with under its lease.
    pub(super) fn journal_entry(
        &self,
        work: &Work,
    ) -> Result<(Step, TenantStore, Vec<Item>), StoreError> {
        let step = Step {
            op: token(),
            owner: token(),
        };
        let lease_until = self.clock.now_millis() + LEASE_MILLIS;
        let text =
            serde_json::to_string(work).map_err(|error| StoreError::Backend(error.into()))?;
        let mut parts = split(&text).enumerate();
        let first = parts.next().map_or("", |(_, part)| part);
        let mut items: Vec<Item> = parts
            .map(|(number, part)| {
                let mut item =
                    self.journal_item(&format!("{}{SEPARATOR}{number:03}", step.op), "JP");
                item.insert("work".to_owned(), s(part));
                item
            })
            .collect();
        let mut head = self.journal_item(&step.op, "J");
        head.insert("work".to_owned(), s(first));
        head.insert("step".to_owned(), n(0));
        head.insert("owner".to_owned(), s(&step.owner));
        head.insert("leaseUntil".to_owned(), n(lease_until));
        // The head comes last: an entry without it is nobody's, and is never half read.
        items.push(head);
        let leased = TenantStore {
            lease_until: Some(lease_until),
            ..self.clone()
        };
        Ok((step, leased, items))
    }

    fn journal_item(&self, sk: &str, kind: &str) -> Item {
        Item::from([
            ("pk".to_owned(), s(self.keys.journal())),
            ("sk".to_owned(), s(sk)),
            ("kind".to_owned(), s(kind)),
        ])
    }

    /// Writes an entry down.
    pub(super) async fn begin(&self, work: &Work) -> Result<(Step, TenantStore), StoreError> {
        let (step, leased, mut items) = self.journal_entry(work)?;
        let head = items.pop();
        self.write_all(items.into_iter().map(PlainWrite::Put).collect())
            .await?;
        self.write_all(head.into_iter().map(PlainWrite::Put).collect())
            .await?;
        Ok((step, leased))
    }

    /// The step of a transaction that says that the change is made.
    pub(super) fn journal_advance(&self, step: &Step) -> Result<Update, StoreError> {
        let mut parts = Expression::new(
            "#owner = :owner AND step = :zero",
            "rid = :rid",
            &step.owner,
        );
        parts
            .set("step = :one")
            .value(":zero", n(0))
            .value(":one", n(1));
        parts
            .value(":owner", s(&step.owner))
            .name("#owner", "owner");
        parts.update(&self.table, self.keys.journal(), &step.op)
    }

    /// Removes an entry whose work is done.
    pub(super) async fn end(&self, step: &Step) -> Result<(), StoreError> {
        let pk = self.keys.journal();
        let items = self.journal_items(&step.op).await?;
        let deletes = items.into_iter().filter_map(|mut item| {
            let sk = item::take_text(&mut item, "sk").ok()?;
            Some(PlainWrite::Delete { pk: pk.clone(), sk })
        });
        self.write_all(deletes.collect()).await
    }

    async fn journal_items(&self, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let window = Window {
                after: after.as_deref(),
                ..Window::default()
            };
            let output = self
                .query(self.keys.journal(), &KeyRange::prefix(prefix), window, None)
                .await?;
            after = super::range::last_key(&output);
            items.extend(output.items.unwrap_or_default());
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// Every entry of the tenant, oldest first.
    pub(super) async fn journal(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::<(Item, String)>::new();
        for mut item in self.journal_items("").await? {
            let part = item::take_text(&mut item, "work")?;
            match (item.contains_key("step"), entries.last_mut()) {
                (true, _) => entries.push((item, part)),
                // The parts of an entry follow its head; those of an entry without one are nobody's.
                (false, Some((head, text))) if is_part_of(&item, head) => text.push_str(&part),
                (false, _) => {}
            }
        }
        entries
            .into_iter()
            .map(|(head, text)| Entry::read(head, &text))
            .collect()
    }

    /// Takes over an entry whose lease has run out; `None` when somebody else has it.
    async fn take_over(&self, entry: &Entry) -> Result<Option<(Step, TenantStore)>, StoreError> {
        let now = self.clock.now_millis();
        if entry.lease_until >= now {
            return Ok(None);
        }
        let step = Step {
            op: entry.op.clone(),
            owner: token(),
        };
        let lease_until = now + LEASE_MILLIS;
        let mut parts = Expression::new("leaseUntil = :seen", "rid = :rid", &step.owner);
        parts
            .set("#owner = :owner, leaseUntil = :until")
            .name("#owner", "owner");
        parts
            .value(":owner", s(&step.owner))
            .value(":until", n(lease_until))
            .value(":seen", n(entry.lease_until));
        match self
            .update_item(
                parts.update(&self.table, self.keys.journal(), &step.op)?,
                &step.owner,
            )
            .await
        {
            Ok(()) => Ok(Some((
                step,
                TenantStore {
                    lease_until: Some(lease_until),
                    ..self.clone()
                },
            ))),
            Err(StoreError::NotFound | StoreError::VersionMismatch) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finishes what dead writers left: every entry whose lease has run out. Returns how many.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`; what was not finished is left for the next call.
    pub async fn finish_journal(&self, types: &Registry) -> Result<usize, StoreError> {
        let mut finished = 0;
        for entry in self.journal().await? {
            let Some((step, leased)) = self.take_over(&entry).await? else {
                continue;
            };
            match entry.work {
                Work::Fill(fill) => leased.finish_fill(&step, &fill, entry.step, types).await?,
                Work::Erase(erasure) => leased.finish_erasure(&step, &erasure, types).await?,
            }
            finished += 1;
        }
        Ok(finished)
    }

    /// The number of entries in the journal, whoever holds them.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn journal_len(&self) -> Result<usize, StoreError> {
        let pk = self.keys.journal();
        let attempt = || {
            self.client
                .query()
                .table_name(&*self.table)
                .key_condition_expression("pk = :pk")
                .filter_expression("kind = :head")
                .expression_attribute_values(":pk", s(&pk))
                .expression_attribute_values(":head", s("J"))
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        Ok(self.call(Account::Read, attempt).await?.items().len())
    }
}

/// Cuts a text into parts of at most [`PART_BYTES`], between characters.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, tail) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        rest = tail;
        Some(part)
    })
}
