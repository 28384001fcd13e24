//! Reads the whole table, and checks that its items are consistent.

use std::collections::{BTreeMap, BTreeSet};

use scim_lambda::provider::Repair;
use serde_json::Value;

use super::{World, tenant};

/// Separates the parts of a sort key.
const SEPARATOR: char = '\u{1f}';

/// The items of groups and their members.
#[derive(Default)]
struct Table {
    /// For every resource, whether it is a tombstone.
    resources: BTreeMap<String, bool>,
    /// For every group, its current set.
    groups: BTreeMap<String, String>,
    /// For the group, set and member of every member item, its partition.
    members: BTreeMap<(String, String, String), String>,
    /// The same for every membership item.
    memberships: BTreeMap<(String, String, String), String>,
    journal: Vec<String>,
}

/// The findings of an audit other than errors.
#[derive(Debug, PartialEq)]
pub(crate) struct Audit {
    /// Items of sets that no request reads.
    pub(crate) garbage: usize,
    /// Groups whose stored number of members differs from the real one.
    pub(crate) miscounted: usize,
}

impl World {
    /// Checks the table while no process is working.
    pub(crate) async fn audit(&self) -> Audit {
        let process = self.process();
        let findings = process.provider.examine(&tenant(), Repair::Look).await;
        let mut findings = findings.unwrap();
        let miscounted = std::mem::take(&mut findings.members).len();
        assert!(findings.is_clean(), "{findings:?}");
        let table = self.table();
        assert_eq!(table.journal, Vec::<String>::new(), "the journal is empty");
        for (id, is_tombstone) in &table.resources {
            assert!(!is_tombstone, "{id} is a tombstone");
        }
        let is_current = |key: &&(String, String, String)| {
            let current = table.groups.get(&key.0);
            current.is_some_and(|set| *set == key.1)
        };
        for key in table.members.keys().filter(is_current) {
            let (group, _, member) = key;
            assert!(
                table.resources.contains_key(member),
                "{member} is in {group} and does not exist"
            );
            assert_eq!(
                table.memberships.get(key),
                table.members.get(key),
                "the member item and the membership item of {member} in {group} agree"
            );
        }
        for key in table.memberships.keys().filter(is_current) {
            let (group, _, member) = key;
            assert!(
                table.members.contains_key(key),
                "{member} has a membership item but no member item of {group}"
            );
        }
        let dead = |keys: BTreeSet<&(String, String, String)>| {
            keys.into_iter().filter(|key| !is_current(key)).count()
        };
        Audit {
            garbage: dead(table.members.keys().collect())
                + dead(table.memberships.keys().collect()),
            miscounted,
        }
    }

    /// Checks the table, and that it has no garbage and no wrong count.
    pub(crate) async fn check(&self) {
        let clean = Audit {
            garbage: 0,
            miscounted: 0,
        };
        assert_eq!(self.audit().await, clean);
    }

    fn table(&self) -> Table {
        let mut table = Table::default();
        self.items().iter().for_each(|item| table.add(item));
        table
    }
}

impl Table {
    fn add(&mut self, item: &Value) {
        let (pk, sk) = (text(&item["pk"]), text(&item["sk"]));
        let mut parts = pk.strip_prefix("T#acme").unwrap().split('#').skip(1);
        let part = |part: Option<&str>| part.unwrap().to_owned();
        match parts.next() {
            Some("R") => {
                let is_tombstone = !item["del"].is_null();
                self.resources.insert(sk.clone(), is_tombstone);
                if !item["set"].is_null() {
                    self.groups.insert(sk, text(&item["set"]));
                }
            }
            Some("M") => {
                let (group, set, shard) = (parts.next(), parts.next(), parts.next());
                self.members
                    .insert((part(group), part(set), sk), part(shard));
            }
            Some("B") => {
                let mut parts = sk.split(SEPARATOR);
                let (member, group, set) = (parts.next(), parts.next(), parts.next());
                let shard = item["shard"]["N"].as_str().unwrap().to_owned();
                self.memberships
                    .insert((part(group), part(set), part(member)), shard);
            }
            Some("J") => self.journal.push(sk),
            _ => {}
        }
    }
}

fn text(value: &Value) -> String {
    value["S"].as_str().unwrap().to_owned()
}
