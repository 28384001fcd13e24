use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserializer, Visitor, value};
use serde::forward_to_deserialize_any;

use super::*;
use crate::identity::{Cause, CauseKind};
use crate::store::cause;
use crate::store::stored::{self, Stored};

type Item = HashMap<String, AttributeValue>;

/// A table with every kind of item, as the service wrote it before it had these types. It was
/// filled by requests of every kind, and by processes that were killed while they changed or
/// deleted a large group.
const RECORDED: &str = include_str!("../../../tests/data/recorded-table.json");
/// A table with every kind of item that has the cause of its write. It was filled in the same
/// way. The killed processes had been changing or deleting a large group, a user and a role.
const WITH_CAUSES: &str = include_str!("../../../tests/data/recorded-table-with-causes.json");
/// The items of feeds and deliveries, one for each set of attributes that the service has written. They
/// are from many tables: of brakes that held, of receivers that failed, hung or were gone, of processes
/// that died while they sent, and of events that had expired.
const FEEDS: &str = include_str!("../../../tests/data/recorded-feeds.json");
/// A table made by hand, with attributes and kinds of items that only a later version knows.
const LATER: &str = include_str!("../../../tests/data/later-table.json");
const STORED_FORM: &str = include_str!("../../../docs/stored-form.md");

fn table(text: &str) -> Vec<Item> {
    let items: Vec<serde_dynamo::Item> = serde_json::from_str(text).unwrap();
    items.into_iter().map(Into::into).collect()
}

fn again<T: DeserializeOwned + Serialize>(partition: &str, item: &Item) -> Item {
    to_item(partition, from_item::<T>(item.clone()).unwrap())
}

/// The item after it was read into its type and written again; `None` for a kind that this
/// version does not know.
fn rewritten(item: &Item) -> Option<Item> {
    let partition = item["pk"].as_s().unwrap();
    let kind = item.get("kind").map(|kind| kind.as_s().unwrap().as_str());
    let rewrite = match kind {
        Some("HT") => again::<TenantItem>,
        Some("H") => again::<HeartbeatItem>,
        Some("HS") => again::<StreamProgressItem>,
        Some("HW") => again::<SweepProgressItem>,
        Some("HB") => again::<SubscriptionItem>,
        Some("HN") => again::<SubscriptionSetItem>,
        Some("HD") => again::<DueItem>,
        Some("HX") => again::<PurgeItem>,
        Some("D") => again::<DeliveryItem>,
        _ => return rewritten_of_tenant(partition, item),
    };
    Some(rewrite(partition, item))
}

fn rewritten_of_tenant(partition: &str, item: &Item) -> Option<Item> {
    let rewrite = match partition.split('#').nth(2) {
        None => again::<ConfigurationItem>,
        Some("R") => again::<ResourceItem>,
        Some("I") => again::<IndexItem>,
        Some("M") => again::<MemberItem>,
        Some("B") => again::<MembershipItem>,
        Some("C") => again::<CounterItem>,
        Some("N") => again::<NestingItem>,
        Some("J") if item.contains_key("work") => again::<JournalItem>,
        Some("P") => again::<MarkItem>,
        Some("S") => again::<SignatureItem>,
        Some("U") if item.contains_key("n") => again::<RefusalsItem>,
        Some("U") => again::<StatusItem>,
        Some("K") => again::<UsedIndexItem>,
        Some("O") => again::<OccasionItem>,
        Some("A") => again::<SeatItem>,
        Some("L") => again::<RequestPeriodItem>,
        Some("E") if item.contains_key("events") => again::<FeedPageItem>,
        Some("E") => again::<FeedHeadItem>,
        Some(_) => return None,
    };
    Some(rewrite(partition, item))
}

#[test]
fn items_of_earlier_versions_are_read_and_written_unchanged() {
    let items = table(RECORDED);
    for item in items.iter().chain(&table(WITH_CAUSES)) {
        assert_eq!(rewritten(item).as_ref(), Some(item));
    }
    let kind = |item: &Item| {
        item["pk"]
            .as_s()
            .unwrap()
            .split('#')
            .nth(2)
            .map(str::to_owned)
    };
    let kinds: BTreeSet<_> = items.iter().map(kind).collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
}

#[test]
fn items_of_feeds_and_deliveries_are_read_and_written_unchanged() {
    let mut recorded = BTreeMap::<String, BTreeSet<String>>::new();
    for item in table(FEEDS) {
        assert_eq!(rewritten(&item).as_ref(), Some(&item));
        let kind = item["kind"].as_s().unwrap().clone();
        recorded.entry(kind).or_default().extend(item.into_keys());
    }
    // The table has every attribute of each kind, except for the sweep, which was between two rounds.
    assert!(recorded.remove("HW").is_some());
    let kinds = [
        ("EH", attributes::<FeedHeadItem>()),
        ("E", attributes::<FeedPageItem>()),
        ("D", attributes::<DeliveryItem>()),
        ("HB", attributes::<SubscriptionItem>()),
        ("HN", attributes::<SubscriptionSetItem>()),
        ("HD", attributes::<DueItem>()),
        ("HT", attributes::<TenantItem>()),
        ("HX", attributes::<PurgeItem>()),
        ("K", attributes::<UsedIndexItem>()),
        ("H", attributes::<HeartbeatItem>()),
        ("HS", attributes::<StreamProgressItem>()),
    ];
    let text = |(kind, names): (&str, BTreeSet<&str>)| {
        (
            kind.to_owned(),
            names.into_iter().map(str::to_owned).collect(),
        )
    };
    assert_eq!(recorded, kinds.into_iter().map(text).collect());
}

#[test]
fn the_cause_of_every_recorded_write_is_read() {
    let text = |item: &Item, name: &str| item[name].as_s().unwrap().clone();
    let mut kinds = BTreeSet::new();
    for item in table(WITH_CAUSES) {
        let cause = match item.get("kind").map(|kind| kind.as_s().unwrap().as_str()) {
            Some("R") => stored::cause(&item),
            Some("M" | "J") => cause::member_cause(&text(&item, "by")),
            _ => continue,
        };
        let cause = cause.unwrap();
        let credential = cause.credential.unwrap();
        assert_eq!((credential.as_str(), cause.kind), ("1", CauseKind::Scim2));
        kinds.insert((text(&item, "kind"), item.contains_key("del")));
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    // As if an earlier version had written the same resource since, and had left `by` as it was.
    let written = table(WITH_CAUSES).into_iter();
    for mut item in written.filter(|item| item.contains_key("v")) {
        item.insert(
            "rid".to_owned(),
            AttributeValue::S("AaIZBZT7c0W9WyZmrJ5Eog".to_owned()),
        );
        assert_eq!(stored::cause(&item), None);
    }
}

#[test]
fn a_resource_is_read_by_hand_as_serde_reads_it() {
    let resources = table(RECORDED).into_iter().chain(table(WITH_CAUSES));
    let resources = resources.filter(|item| item["pk"].as_s().unwrap().contains("#R#"));
    for item in resources {
        let typed: ResourceItem = from_item(item.clone()).unwrap();
        let stored = Stored::from_item(item).unwrap();
        let rid = typed.rid.clone().unwrap();
        let group = stored.group.as_ref();
        assert_eq!(stored.is_inner(), typed.inner.is_some());
        assert_eq!(group.map_or(0, |group| group.open), typed.open.unwrap_or(0));
        let again = ResourceItem {
            by: typed.by.clone(),
            del: typed.del.clone(),
            inner: typed.inner,
            open: typed.open,
            ..stored.to_item(&rid, &Cause::without_credential(CauseKind::Import))
        };
        assert_eq!(again, typed);
    }
}

#[test]
fn attributes_and_items_of_a_later_version_are_ignored() {
    let mut unknown = 0;
    for mut item in table(LATER) {
        let Some(known) = rewritten(&item) else {
            unknown += 1;
            continue;
        };
        item.retain(|name, _| !name.starts_with("later"));
        assert_eq!(known, item);
    }
    assert_eq!(unknown, 2);
}

#[test]
fn the_error_of_an_unreadable_item_does_not_contain_its_values() {
    let mut item = table(RECORDED).swap_remove(0);
    item.insert("body".to_owned(), AttributeValue::N("4711".to_owned()));
    let StoreError::Backend(error) = from_item::<ConfigurationItem>(item).unwrap_err() else {
        panic!("the error is not `Backend`");
    };
    assert_eq!(error.to_string(), "an item is no ConfigurationItem");
}

/// Collects the names of a type's attributes: the type hands them to its deserializer.
struct Fields<'f>(&'f mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("only the names"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only the names"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn attributes<T: DeserializeOwned + fmt::Debug>() -> BTreeSet<&'static str> {
    let mut fields: &'static [&'static str] = &[];
    T::deserialize(Fields(&mut fields)).unwrap_err();
    fields.iter().copied().chain(["pk"]).collect()
}

/// The attributes that `docs/stored-form.md` lists, by the heading of each kind.
fn listed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let sections = STORED_FORM.split("\n## ").skip(1);
    let listed = sections.map(|section| {
        let (heading, text) = section.split_once('\n').unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = names.map(|line| line.split_once('`').unwrap().0);
        (heading, names.collect())
    });
    listed.collect()
}

#[test]
fn the_page_lists_every_attribute() {
    let types = BTreeMap::from([
        ("Resource", attributes::<ResourceItem>()),
        ("Claim and index entry", attributes::<IndexItem>()),
        ("Member", attributes::<MemberItem>()),
        ("Membership", attributes::<MembershipItem>()),
        ("Counter", attributes::<CounterItem>()),
        ("Nesting", attributes::<NestingItem>()),
        ("Journal", attributes::<JournalItem>()),
        ("Page mark", attributes::<MarkItem>()),
        ("Used signature", attributes::<SignatureItem>()),
        ("Occasion", attributes::<OccasionItem>()),
        ("Seats", attributes::<SeatItem>()),
        ("Request period", attributes::<RequestPeriodItem>()),
        ("Configuration", attributes::<ConfigurationItem>()),
        ("Status", attributes::<StatusItem>()),
        ("Refusals", attributes::<RefusalsItem>()),
        ("Tenant", attributes::<TenantItem>()),
        ("Used index", attributes::<UsedIndexItem>()),
        ("Purge", attributes::<PurgeItem>()),
        ("Heartbeat", attributes::<HeartbeatItem>()),
        ("Progress of the stream", attributes::<StreamProgressItem>()),
        ("Progress of the sweep", attributes::<SweepProgressItem>()),
        ("Position in the stream", attributes::<StreamPositionItem>()),
        ("Subscription", attributes::<SubscriptionItem>()),
        (
            "Revision of the subscriptions",
            attributes::<SubscriptionSetItem>(),
        ),
        ("Due", attributes::<DueItem>()),
        ("Delivery", attributes::<DeliveryItem>()),
        ("Feed head", attributes::<FeedHeadItem>()),
        ("Feed page", attributes::<FeedPageItem>()),
    ]);
    assert_eq!(listed(), types);
}
