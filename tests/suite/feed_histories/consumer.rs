//! A consumer that follows the rules of `docs/events.md`, and the directory that it has to rebuild.

use std::collections::{BTreeMap, BTreeSet};

use scim_lambda::feed::Event;
use scim_lambda::feed::read::After;
use serde_json::{Map, Value, json};

use super::badges;
use crate::simulation::World;

/// The attributes of a resource by the names that events give them.
type Attributes = BTreeMap<String, Value>;

/// What a consumer has for a value that an event did not tell.
const UNTOLD: &str = "the event had only the name";

/// What a consumer knows of a directory.
#[derive(Default)]
pub(super) struct Consumer {
    resources: BTreeMap<Key, Resource>,
    /// Group and member.
    pairs: BTreeSet<(String, String)>,
    seq: u64,
    ids: BTreeSet<String>,
    /// Where it could go on after each part that it has read, and the number of the last event before that.
    pub(super) positions: Vec<(u64, After)>,
    /// Every event as text. It is printed if the test fails.
    log: Vec<String>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log.join("\n"));
        }
    }
}

/// The name of a resource's type in lower case, and its id.
type Key = (String, String);

#[derive(Debug, Default, Clone, PartialEq)]
struct Resource {
    version: u64,
    attributes: Attributes,
}

impl Resource {
    /// Makes the changes that an event tells.
    #[track_caller]
    fn change(&mut self, event: &Value) {
        let changes = event["changes"].as_object();
        for (name, change) in changes.into_iter().flatten() {
            if change.as_object().unwrap().is_empty() {
                self.attributes.insert(name.clone(), json!(UNTOLD));
                continue;
            }
            let (before, known) = (change.get("before"), self.attributes.get(name));
            let is_told = known.is_none_or(|known| known != UNTOLD);
            assert!(!is_told || known == before, "{name}: {event}");
            assert_ne!(before, change.get("after"), "{name}: {event}");
            match change.get("after") {
                Some(value) => self.attributes.insert(name.clone(), value.clone()),
                None => self.attributes.remove(name),
            };
        }
    }
}

/// A directory as clients see it.
#[derive(Debug, PartialEq)]
pub(super) struct Directory {
    resources: BTreeMap<Key, Resource>,
    pairs: BTreeSet<(String, String)>,
}

impl Consumer {
    /// A consumer that has listed a directory, and follows its feed behind the event with this number.
    pub(super) fn listed(directory: Directory, seq: u64) -> Self {
        let mut consumer = Self::default();
        consumer.resources = directory.resources;
        consumer.pairs = directory.pairs;
        consumer.seq = seq;
        consumer
    }

    /// Checks that no event is about one of these resources.
    #[track_caller]
    pub(super) fn check_lacks(&self, ids: &BTreeSet<String>) {
        let is_about = |event: &&String| ids.iter().any(|id| event.contains(id.as_str()));
        assert_eq!(self.log.iter().find(is_about), None);
    }

    /// The number of events.
    pub(super) fn events(&self) -> u64 {
        self.seq
    }

    /// Takes the next event of the feed.
    pub(super) fn apply(&mut self, event: &Event) {
        self.seq += 1;
        assert_eq!(event.seq, self.seq, "`seq` has no gap: {event:?}");
        assert!(
            self.ids.insert(event.id.clone()),
            "an id comes twice: {event:?}"
        );
        let json = event.to_json();
        self.log.push(json.to_string());
        let shown = self.log.last().unwrap();
        assert!(!shown.contains(badges::HIDDEN), "{shown}");
        let name = json["type"].as_str().unwrap();
        let subject = &json["resource"];
        let of_tenant = ["feed", "tenant"];
        let named = name.split_once('.');
        let Some((kind, verb)) = named.filter(|(kind, _)| !of_tenant.contains(kind)) else {
            assert_ne!(name, "feed.gap", "nothing is missing: {json}");
            return;
        };
        let id = text(&subject["id"]);
        if let Some(verb) = verb.strip_prefix("member.") {
            let pair = (id, text(&json["member"]["id"]));
            match verb {
                "added" => self.pairs.insert(pair),
                "removed" => self.pairs.remove(&pair),
                other => panic!("{other}"),
            };
            return;
        }
        let key = (kind.to_owned(), id);
        let version = subject["version"].as_u64().unwrap();
        if verb == "deleted" {
            let known = self.resources.remove(&key).expect("it was created");
            assert!(
                version > known.version,
                "a deletion has a version of its own: {json}"
            );
            self.pairs
                .retain(|(group, member)| *group != key.1 && *member != key.1);
            return;
        }
        assert_eq!(
            verb == "created",
            !self.resources.contains_key(&key),
            "{json}"
        );
        let resource = self.resources.entry(key).or_default();
        assert!(
            version > resource.version,
            "every version comes once and in order: {json}"
        );
        resource.version = version;
        resource.change(&json);
    }

    /// The directory that the consumer has rebuilt. A membership counts while both resources exist.
    pub(super) fn directory(&self) -> Directory {
        let ids: BTreeSet<&String> = self.resources.keys().map(|(_, id)| id).collect();
        let exist = |pair: &&(String, String)| ids.contains(&pair.0) && ids.contains(&pair.1);
        Directory {
            pairs: self.pairs.iter().filter(exist).cloned().collect(),
            resources: self.resources.clone(),
        }
    }
}

impl Resource {
    /// Whether this is what a consumer has. It knows the values of which the newest event had any.
    fn is_as_told(&self, told: &Self) -> bool {
        let mut names = self.attributes.keys().chain(told.attributes.keys());
        let agree = |name: &String| {
            let there = told.attributes.get(name);
            there.is_some_and(|value| value == UNTOLD) || self.attributes.get(name) == there
        };
        self.version == told.version && names.all(agree)
    }
}

impl Directory {
    /// What the table holds of a tenant.
    pub(super) fn of(world: &World, tenant: &str) -> Self {
        let (mut resources, mut sets) = (BTreeMap::new(), BTreeMap::new());
        let items = world.items();
        for item in &items {
            let prefix = format!("T#{tenant}#R#");
            let Some(rest) = item["pk"]["S"].as_str().unwrap().strip_prefix(&prefix) else {
                continue;
            };
            assert!(item.get("del").is_none(), "no tombstone is left: {item}");
            let kind = rest.split('#').next().unwrap().to_lowercase();
            let id = text(&item["sk"]["S"]);
            let resource = Resource {
                version: item["v"]["N"].as_str().unwrap().parse().unwrap(),
                attributes: attributes(item["body"]["S"].as_str().unwrap()),
            };
            if let Some(set) = item["set"]["S"].as_str() {
                sets.insert(id.clone(), set.to_owned());
            }
            resources.insert((kind, id), resource);
        }
        let mut pairs = BTreeSet::new();
        for item in &items {
            let prefix = format!("T#{tenant}#M#");
            let Some(rest) = item["pk"]["S"].as_str().unwrap().strip_prefix(&prefix) else {
                continue;
            };
            let mut parts = rest.split('#');
            let (group, set) = (parts.next().unwrap(), parts.next().unwrap());
            if sets.get(group).is_some_and(|current| current == set) {
                pairs.insert((group.to_owned(), text(&item["sk"]["S"])));
            }
        }
        Self { resources, pairs }
    }

    /// Checks that this is what a consumer has rebuilt.
    #[track_caller]
    pub(super) fn check(&self, rebuilt: &Self) {
        let differ = |key: &&Key| {
            let both = (self.resources.get(*key), rebuilt.resources.get(*key));
            !matches!(both, (Some(here), Some(there)) if here.is_as_told(there))
        };
        let mut keys = self.resources.keys().chain(rebuilt.resources.keys());
        if let Some(key) = keys.find(differ) {
            let (here, there) = (self.resources.get(key), rebuilt.resources.get(key));
            panic!("{key:?} is {here:?}, and the feed says {there:?}");
        }
        self.check_memberships(rebuilt);
    }

    /// Checks that the memberships are those that a consumer has rebuilt.
    #[track_caller]
    pub(super) fn check_memberships(&self, rebuilt: &Self) {
        let missing: Vec<_> = self.pairs.difference(&rebuilt.pairs).collect();
        let wrong: Vec<_> = rebuilt.pairs.difference(&self.pairs).collect();
        assert!(
            missing.is_empty() && wrong.is_empty(),
            "memberships that the feed lacks: {missing:?}; and that only the feed has: {wrong:?}"
        );
    }

    /// The number of users that have access.
    pub(super) fn active_users(&self) -> u64 {
        let users = self.resources.iter().filter(|(key, _)| key.0 == "user");
        let active = users.filter(|(_, user)| user.attributes.get("active") != Some(&json!(false)));
        active.count() as u64
    }

    /// The number of memberships.
    pub(super) fn memberships(&self) -> usize {
        self.pairs.len()
    }
}

/// The attributes of a stored resource. Each attribute of an extension is one of them, with the URN in its
/// name.
fn attributes(body: &str) -> Attributes {
    let body: Map<String, Value> = serde_json::from_str(body).unwrap();
    let mut attributes = Attributes::new();
    for (name, value) in body {
        match value {
            Value::Object(extension) if name.starts_with("urn:") => {
                let names = extension.into_iter();
                attributes.extend(names.map(|(of, value)| (format!("{name}:{of}"), value)));
            }
            _ if name == "id" || name == badges::HIDDEN => {}
            value => {
                attributes.insert(name, value);
            }
        }
    }
    attributes
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
