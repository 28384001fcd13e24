//! The items of the table: one type for each kind of item that `docs/stored-form.md` lists.
//!
//! A type has every attribute of its kind except `pk`, under the name that serde gives it. Whole
//! items are read and put through these types. Later changes are updates of single attributes, so
//! attributes that only a newer version of the service knows stay as they are.
//!
//! An optional attribute may be missing in an item: because it does not apply, because an early
//! version of the service did not write it, or because the read did not ask for it.
//!
//! This module must not know what the attributes are for.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::error::StoreError;

/// The item of a resource. Only a group has the attributes from `mv` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResourceItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) body: String,
    pub(super) v: u64,
    pub(super) created: u64,
    pub(super) modified: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ix: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) del: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mv: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) n: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inner: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<String>,
}

/// A claim on a unique value, or an index entry, which has no `rid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexItem {
    pub(super) sk: String,
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rid: Option<String>,
}

/// A member of a group's set, under the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MemberItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) display: Option<String>,
}

/// A membership in a group's set, under the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MembershipItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) shard: u64,
}

/// One of the counters of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CounterItem {
    pub(super) sk: String,
    pub(super) n: i64,
}

/// The flag that there are groups inside groups, or an edge from one group to a group inside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NestingItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
}

/// The head of a journal entry, or a further part, which has neither `step` nor `owner`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JournalItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) work: String,
    pub(super) lease_until: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rid: Option<String>,
}

/// A page mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MarkItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) after: String,
    pub(super) total: u64,
    pub(super) expires: u64,
}

/// A used signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignatureItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) rid: String,
    pub(super) expires: u64,
}

/// The status of a tenant: what has happened in it, each with the first time or the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) first_request: u64,
    pub(super) last_request: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_user: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_group: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_membership: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_deactivation: Option<u64>,
    /// The time of the last use of each credential, by its id.
    pub(super) used: HashMap<String, u64>,
}

/// The number of requests that were refused with one status in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefusalsItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) rid: String,
    pub(super) n: u64,
    pub(super) expires: u64,
}

/// How much of a tenant's budget of requests is taken in one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RequestPeriodItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) parts: u64,
    pub(super) expires: u64,
}

impl RequestPeriodItem {
    /// The `kind` of these items.
    pub(super) const KIND: &str = "L";
}

/// What has happened without a change of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OccasionItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) event: String,
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) id: String,
    pub(super) what: String,
    pub(super) by: String,
    pub(super) expires: u64,
}

impl OccasionItem {
    /// The `kind` of these items. The filter of the stream's event source names it.
    pub(super) const KIND: &str = "O";
}

/// A part of a tenant's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConfigurationItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) body: String,
}

/// A tenant in the stack's list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TenantItem {
    pub(super) sk: String,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suspended: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purge_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<u64>,
}

/// A tenant of which something is to be removed at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PurgeItem {
    pub(super) sk: String,
    pub(super) kind: String,
}

/// The heartbeat, which goes through the table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeartbeatItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) at: u64,
}

/// The progress of the reader of the table's stream, and its last gap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct StreamProgressItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) heard: Option<u64>,
    #[serde(default)]
    pub(super) gap: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) raised: Option<u64>,
}

/// The progress of the sweep of the tenants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SweepProgressItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) beat: u64,
    pub(super) journals_began: u64,
    pub(super) journals_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) journals_after: Option<String>,
    pub(super) feeds_began: u64,
    pub(super) feeds_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) feeds_after: Option<String>,
    /// Early versions wrote none of the deliveries.
    #[serde(default)]
    pub(super) deliveries_began: u64,
    #[serde(default)]
    pub(super) deliveries_before: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deliveries_after: Option<String>,
    /// Without a round through the credentials there is none of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials_began: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credentials_after: Option<String>,
}

/// The position of the reader of the embedded table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StreamPositionItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) sequence: String,
}

/// A subscription to events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SubscriptionItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) receiver: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    pub(super) types: Vec<String>,
    pub(super) from: String,
    pub(super) created: u64,
    pub(super) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) resumed: u64,
}

/// The revision of the set of subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SubscriptionSetItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) revision: u64,
}

/// A tenant that has to get a job at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DueItem {
    pub(super) sk: String,
    pub(super) kind: String,
}

/// The delivery of one subscription's events of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) revision: u64,
    pub(super) after: String,
    pub(super) reached: u64,
    pub(super) resumed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gap_noticed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gap_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) succeeded: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failing_since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failing_last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lease_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) again: Option<bool>,
}

/// A part of the seats of a tenant that are not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeatItem {
    pub(super) sk: String,
    pub(super) kind: String,
    pub(super) since: u64,
    pub(super) most: u64,
    pub(super) unused: i64,
    pub(super) state: String,
}

impl SeatItem {
    /// The `kind` of these items.
    pub(super) const KIND: &str = "A";
}

/// The head of a tenant's feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FeedHeadItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) generation: u64,
    pub(super) since: u64,
    pub(super) epoch: String,
    pub(super) complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) released: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) purged: Option<u64>,
}

/// An index that the tenant has ever had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UsedIndexItem {
    pub(super) sk: String,
    pub(super) kind: String,
}

/// A page of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FeedPageItem {
    pub(super) sk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) kind: String,
    pub(super) last: u64,
    pub(super) time: u64,
    pub(super) ids: Vec<String>,
    pub(super) events: ByteBuf,
    pub(super) gap: u64,
    pub(super) tally: String,
    pub(super) expires: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rewritten: Option<u64>,
}

/// An item in this partition, in the form of the SDK.
pub(super) fn to_item(partition: &str, item: impl Serialize) -> HashMap<String, AttributeValue> {
    let item = serde_dynamo::to_item(item);
    let mut item: HashMap<String, AttributeValue> =
        item.expect("serde_dynamo writes every type of the fields above");
    item.insert("pk".to_owned(), AttributeValue::S(partition.to_owned()));
    item
}

/// Reads an item. Attributes that its type does not have are ignored.
///
/// # Errors
/// `Backend` for an item that lacks an attribute, or that has one of another type.
pub(super) fn from_item<T: DeserializeOwned>(
    item: HashMap<String, AttributeValue>,
) -> Result<T, StoreError> {
    // The error of serde is dropped, because it may quote a value, and values must not reach the
    // log.
    serde_dynamo::from_item(item).map_err(|_| {
        let name = std::any::type_name::<T>().rsplit("::").next();
        StoreError::Backend(format!("an item is no {}", name.unwrap_or_default()).into())
    })
}

#[cfg(test)]
mod tests;
