//! The journal: what a writer has begun and somebody else can finish.
//!
//! A change of more than one transaction is written down before it begins. Its writer holds a lease,
//! and past the lease every call of it is refused here ([`TenantStore::lease_is_over`]), so that a
//! thawed process cannot resume what somebody else has finished meanwhile. The transaction that makes
//! the change part of the directory says so in the entry too, so that nobody makes the same change
//! twice.

pub(in crate::store) mod finish;
#[cfg(feature = "worker")]
pub(in crate::store) mod record;

use std::time::Duration;

use aws_sdk_dynamodb::types::builders::DeleteBuilder;
use aws_sdk_dynamodb::types::{Delete, Put, Update};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::TenantStore;
use crate::store::error::StoreError;
use crate::store::groups::delta::Delta;
use crate::store::groups::erase::Erasure;
use crate::store::groups::fill::Fill;
use crate::store::groups::sweep::Sweep;
use crate::store::item::{self, Item, n, s};
use crate::store::key_range::KeyRange;
use crate::store::keys::SEPARATOR;
use crate::store::resources::{broken, token};
use crate::store::table::batch::PlainWrite;
use crate::store::table::expression::Expression;
use crate::store::table::meter::Account;
use crate::store::table::range::Shown;
use crate::store::table::transaction::{Refusal, Transaction};

/// How long a writer may go on, in milliseconds: longer than any request.
pub const LEASE_MILLIS: u64 = 25_000;

/// A writer stops so long before its lease ends, longer than one call takes: its last call is over
/// before somebody else begins.
const LAST_CALL: Duration = Duration::from_secs(5);

/// The most text in one item of an entry; DynamoDB takes 400 KB.
const PART_BYTES: usize = 300_000;

/// A change that takes more than one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) enum Work {
    /// A set of many members is made, and takes the place of another.
    Fill(Fill),
    /// Many members are added to and removed from a set that is in use.
    Delta(Delta),
    /// A resource disappears with all its memberships.
    Erase(Erasure),
    /// A set that nobody reads any more is removed.
    Sweep(Sweep),
}

/// An entry of the journal, and the writer that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Step {
    /// The entry's name.
    pub(in crate::store) op: String,
    /// The writer's name.
    pub(in crate::store) owner: String,
}

/// How far the change of an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Stage {
    /// It is not part of the directory yet.
    Begun,
    /// It is part of the directory; what is left nobody sees.
    Made,
    /// It never will be part of the directory; what was prepared is to be removed.
    Refused,
}

impl Stage {
    fn number(self) -> u64 {
        match self {
            Self::Begun => 0,
            Self::Made => 1,
            Self::Refused => 2,
        }
    }

    pub(in crate::store) fn read(head: &Item) -> Result<Self, StoreError> {
        match item::number(head, "step")? {
            0 => Ok(Self::Begun),
            1 => Ok(Self::Made),
            2 => Ok(Self::Refused),
            other => Err(StoreError::Backend(
                format!("a journal entry is at step {other}").into(),
            )),
        }
    }
}

/// An entry that is not written yet.
#[derive(Debug, Clone)]
pub(in crate::store) struct NewEntry {
    pub(in crate::store) step: Step,
    lease_until: u64,
    head: Item,
    parts: Vec<Item>,
}

/// What a transaction says in the journal.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Note<'n> {
    /// A change begins, or something is left to do.
    Begin(&'n NewEntry),
    /// The change is made.
    Made(&'n Step),
    /// Nothing is left to do.
    End(&'n Step),
    /// The tombstone is gone, whoever removed it; its set is left.
    Gone(&'n Step),
    /// The tombstone is gone, whoever removed it; nothing is left.
    Drop(&'n Step),
}

impl TenantStore {
    /// An entry for this work, whose writer's lease begins now.
    pub(in crate::store) fn new_entry(&self, work: &Work) -> Result<NewEntry, StoreError> {
        let step = Step {
            op: entry_key(),
            owner: token(),
        };
        let lease_until = self.lease_end();
        let text =
            serde_json::to_string(work).map_err(|error| StoreError::Backend(error.into()))?;
        let mut texts = split(&text).enumerate();
        let first = texts.next().map_or("", |(_, part)| part);
        let item = |sk: &str, kind: &str, work: &str| {
            Item::from([
                ("pk".to_owned(), s(self.keys.journal())),
                ("sk".to_owned(), s(sk)),
                ("kind".to_owned(), s(kind)),
                ("work".to_owned(), s(work)),
                ("leaseUntil".to_owned(), n(lease_until)),
            ])
        };
        let mut head = item(&step.op, "J", first);
        head.insert("step".to_owned(), n(Stage::Begun.number()));
        head.insert("owner".to_owned(), s(&step.owner));
        let parts = texts
            .map(|(number, part)| item(&part_key(&step.op, number), "JP", part))
            .collect();
        Ok(NewEntry {
            step,
            lease_until,
            head,
            parts,
        })
    }

    pub(in crate::store) fn lease_end(&self) -> u64 {
        self.clock.now_millis() + LEASE_MILLIS
    }

    /// The store to go on with under the lease of an entry.
    pub(in crate::store) fn under_lease(&self, entry: &NewEntry) -> Self {
        self.leased_until(entry.lease_until)
    }

    pub(in crate::store) fn leased_until(&self, lease_until: u64) -> Self {
        let longest = Duration::from_millis(LEASE_MILLIS) - LAST_CALL;
        Self {
            lease_until: Some(lease_until),
            deadline: self.deadline.min(Instant::now() + longest),
            ..self.clone()
        }
    }

    /// Writes an entry down, all but its head, without which it is nobody's and does nothing.
    pub(in crate::store) async fn write_parts(&self, entry: &NewEntry) -> Result<(), StoreError> {
        let parts = entry.parts.iter().cloned().map(PlainWrite::Put);
        self.write_all(parts.collect()).await
    }

    /// Removes the parts of an entry whose head was refused.
    pub(in crate::store) async fn drop_parts(&self, entry: &NewEntry) -> Result<(), StoreError> {
        let parts = (1..=entry.parts.len()).map(|number| part_key(&entry.step.op, number));
        self.delete_journal(parts.collect()).await
    }

    /// Writes an entry down.
    pub(in crate::store) async fn begin(&self, entry: &NewEntry) -> Result<(), StoreError> {
        self.write_parts(entry).await?;
        self.write_all(vec![PlainWrite::Put(entry.head.clone())])
            .await
    }

    /// Adds to a transaction what it says in the journal.
    pub(in crate::store) fn note(
        &self,
        transaction: &mut Transaction,
        note: Note<'_>,
        token: &str,
    ) -> Result<(), StoreError> {
        match note {
            Note::Begin(entry) => {
                let put = Put::builder()
                    .table_name(&*self.table)
                    .set_item(Some(entry.head.clone()));
                transaction.put(put.build().map_err(broken)?, Refusal::Never);
            }
            Note::Made(step) => {
                let mut parts = Self::held(step, token);
                // Whoever sweeps waits until no reader can be in the middle of what is swept.
                parts
                    .set("step = :made, leaseUntil = :until")
                    .value(":made", n(Stage::Made.number()))
                    .value(":until", n(self.lease_end()));
                transaction.update(self.journal_update(parts, step)?, Refusal::Journal);
            }
            Note::Gone(step) => {
                let mut parts = Expression::new("attribute_exists(pk)", "rid = :rid", token);
                parts
                    .set("step = :made")
                    .value(":made", n(Stage::Made.number()));
                transaction.update(self.journal_update(parts, step)?, Refusal::Journal);
            }
            Note::End(step) => {
                let delete = self
                    .journal_delete(step)
                    .condition_expression("#owner = :owner")
                    .expression_attribute_names("#owner", "owner")
                    .expression_attribute_values(":owner", s(&step.owner));
                transaction.delete(delete.build().map_err(broken)?, Refusal::Journal);
            }
            Note::Drop(step) => {
                let delete = self.journal_delete(step);
                transaction.delete(delete.build().map_err(broken)?, Refusal::Never);
            }
        }
        Ok(())
    }

    /// An update of an entry that this writer holds and that nobody has decided about.
    fn held(step: &Step, token: &str) -> Expression {
        let mut parts = Expression::new("#owner = :owner AND step = :begun", "rid = :rid", token);
        parts
            .value(":owner", s(&step.owner))
            .name("#owner", "owner")
            .value(":begun", n(Stage::Begun.number()));
        parts
    }

    pub(in crate::store) fn journal_update(
        &self,
        parts: Expression,
        step: &Step,
    ) -> Result<Update, StoreError> {
        parts.update(&self.table, self.keys.journal(), &step.op)
    }

    fn journal_delete(&self, step: &Step) -> DeleteBuilder {
        Delete::builder()
            .table_name(&*self.table)
            .key("pk", s(self.keys.journal()))
            .key("sk", s(&step.op))
    }

    /// Says that a change will not be made, so that nobody makes it any more.
    pub(in crate::store) async fn refuse(&self, step: &Step) -> Result<(), StoreError> {
        let token = token();
        let mut parts = Self::held(step, &token);
        parts
            .set("step = :refused")
            .value(":refused", n(Stage::Refused.number()));
        match self
            .update_item(self.journal_update(parts, step)?, &token)
            .await
        {
            Ok(_) => Ok(()),
            Err(StoreError::NotFound | StoreError::VersionMismatch) => Err(lost()),
            Err(error) => Err(error),
        }
    }

    /// Removes an entry whose work is done: the head first, so that nobody reads it in part.
    pub(in crate::store) async fn end(&self, step: &Step) -> Result<(), StoreError> {
        self.delete_journal(vec![step.op.clone()]).await?;
        self.end_parts(step).await
    }

    /// Removes what is left of an entry whose head is gone.
    pub(in crate::store) async fn end_parts(&self, step: &Step) -> Result<(), StoreError> {
        let range = KeyRange::prefix(&format!("{}{SEPARATOR}", step.op));
        let items = self.journal_items(&range).await?;
        let parts = items
            .into_iter()
            .filter_map(|mut item| item::take_text(&mut item, "sk").ok());
        self.delete_journal(parts.collect()).await
    }

    pub(in crate::store) async fn delete_journal(
        &self,
        keys: Vec<String>,
    ) -> Result<(), StoreError> {
        let deletes = keys.into_iter().map(|sk| PlainWrite::Delete {
            pk: self.keys.journal(),
            sk,
        });
        self.write_all(deletes.collect()).await
    }

    pub(in crate::store) async fn journal_items(
        &self,
        range: &KeyRange,
    ) -> Result<Vec<Item>, StoreError> {
        self.all_items(Account::Read, &self.keys.journal(), range, Shown::All)
            .await
    }

    /// The number of entries in the journal, whoever holds them.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn journal_len(&self) -> Result<usize, StoreError> {
        let items = self.journal_items(&KeyRange::all()).await?;
        Ok(items
            .iter()
            .filter(|item| item.contains_key("step"))
            .count())
    }
}

/// Somebody else finishes, or has finished, what this writer began.
pub(in crate::store) fn lost() -> StoreError {
    StoreError::Unavailable("the lease of a journal entry is lost".into())
}

/// The sort key of a new entry: a UUIDv7 in hexadecimal digits, which are in order of time as texts.
fn entry_key() -> String {
    Uuid::now_v7().simple().to_string()
}

/// When the entry with this key was begun, in milliseconds since the Unix epoch. Earlier versions wrote
/// the UUID in base64url, in which texts are in no order of time.
pub(in crate::store) fn begun(key: &str) -> Option<u64> {
    let uuid = Uuid::try_parse(key).ok().or_else(|| {
        let bytes = URL_SAFE_NO_PAD.decode(key).ok()?;
        Uuid::from_slice(&bytes).ok()
    })?;
    let (seconds, nanoseconds) = uuid.get_timestamp()?.to_unix();
    Some(seconds * 1000 + u64::from(nanoseconds) / 1_000_000)
}

/// The sort key of a further part of an entry.
fn part_key(op: &str, number: usize) -> String {
    format!("{op}{SEPARATOR}{number:03}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_of_time() {
        let keys: Vec<String> = (0..1000).map(|_| entry_key()).collect();
        assert!(keys.is_sorted_by(|one, next| one < next));
        assert!(begun(&keys[0]) <= begun(&keys[999]));
    }

    #[test]
    fn both_forms_of_a_key_tell_when_the_entry_was_begun() {
        let uuid = Uuid::parse_str("0199c3a7-15be-7aaa-8bbb-0123456789ab").unwrap();
        let millis = Some(0x0199_c3a7_15be);
        assert_eq!(begun(&uuid.simple().to_string()), millis);
        let earlier = URL_SAFE_NO_PAD.encode(uuid.as_bytes());
        assert_eq!((earlier.len(), begun(&earlier)), (22, millis));
        assert_eq!(begun("no key of an entry"), None);
    }
}
