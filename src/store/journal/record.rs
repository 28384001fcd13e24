//! Journal entries as the table's stream brings them.

use aws_lambda_events::dynamodb::StreamRecord;
use serde_dynamo::{AttributeValue, Item};

use crate::identity::TenantId;
use crate::store::keys;

/// A record of the table's stream that is about an item of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// The tenant whose journal it is.
    pub tenant: TenantId,
    /// When the lease ends, in milliseconds since the Unix epoch; `None` if the item was removed, or keeps
    /// the lease that it had.
    pub lease_until: Option<u64>,
    /// Whether the change is that a finisher has taken over the entry. Such a record starts no
    /// further finisher, because the queue or the sweep that started this finisher starts it again
    /// if it fails.
    pub is_taken_over: bool,
}

impl JournalRecord {
    /// Reads a record of the stream; `None` if its item is not in a journal.
    #[must_use]
    pub fn read(record: &StreamRecord) -> Option<Self> {
        let AttributeValue::S(partition) = record.keys.get("pk")? else {
            return None;
        };
        Some(Self {
            tenant: keys::tenant_of_journal(partition)?,
            lease_until: new_lease(record),
            is_taken_over: is_taken_over(record),
        })
    }
}

/// A writer does not change the owner of its entry, and a finisher writes its own name there.
fn is_taken_over(record: &StreamRecord) -> bool {
    let (before, after) = (record.old_image.get("owner"), record.new_image.get("owner"));
    before.is_some() && after.is_some() && before != after
}

/// The lease, if it is another one than before. A holder that only writes down how far it is keeps its lease,
/// and a finisher is called for that one already.
fn new_lease(record: &StreamRecord) -> Option<u64> {
    let after = lease_until(&record.new_image);
    after.filter(|_| lease_until(&record.old_image) != after)
}

fn lease_until(item: &Item) -> Option<u64> {
    match item.get("leaseUntil")? {
        AttributeValue::N(digits) => digits.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(mut record: Value) -> Option<JournalRecord> {
        record["SizeBytes"] = 100.into();
        JournalRecord::read(&serde_json::from_value(record).unwrap())
    }

    #[test]
    fn a_record_names_its_tenant_and_lease() {
        let record = json!({
            "Keys": {"pk": {"S": "T#acme#J"}, "sk": {"S": "AZrx"}},
            "NewImage": {"pk": {"S": "T#acme#J"}, "kind": {"S": "J"}, "leaseUntil": {"N": "1750000000000"}},
        });
        let read = read(record).unwrap();
        assert_eq!(read.tenant.as_str(), "acme");
        assert_eq!(read.lease_until, Some(1_750_000_000_000));
        assert!(!read.is_taken_over);
    }

    #[test]
    fn an_entry_that_keeps_its_lease_has_no_new_one() {
        let image = |until: &str| json!({"kind": {"S": "J"}, "leaseUntil": {"N": until}});
        let lease = |before: &str| {
            let record = json!({
                "Keys": {"pk": {"S": "T#acme#J"}, "sk": {"S": "AZrx"}},
                "OldImage": image(before),
                "NewImage": image("1750000000000"),
            });
            read(record).unwrap().lease_until
        };
        assert_eq!(lease("1750000000000"), None);
        assert_eq!(lease("1740000000000"), Some(1_750_000_000_000));
    }

    #[test]
    fn a_take_over_by_a_finisher_is_recognised() {
        let is_taken_over = |before: &str, after: &str| {
            let image = |owner: &str| json!({"kind": {"S": "J"}, "owner": {"S": owner}});
            let record = json!({
                "Keys": {"pk": {"S": "T#acme#J"}, "sk": {"S": "AZrx"}},
                "OldImage": image(before),
                "NewImage": image(after),
            });
            read(record).unwrap().is_taken_over
        };
        assert!(is_taken_over("writer", "finisher"));
        assert!(!is_taken_over("writer", "writer"));
    }

    #[test]
    fn a_record_of_an_item_that_is_gone_has_no_lease() {
        let record = json!({"Keys": {"pk": {"S": "T#acme#J"}, "sk": {"S": "AZrx"}}});
        assert_eq!(read(record).unwrap().lease_until, None);
    }

    #[test]
    fn records_of_other_items_are_left_out() {
        for partition in ["T#acme#R#User#0", "T#acme", "T##J", "#J", ""] {
            let record = json!({"Keys": {"pk": {"S": partition}, "sk": {"S": "1"}}});
            assert_eq!(read(record), None, "{partition}");
        }
    }
}
