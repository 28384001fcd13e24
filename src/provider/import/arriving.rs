//! A resource that arrives, and what is derived from it before it is written.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Importer;
use crate::protocol::error::{Error, Result, excerpt};
use crate::protocol::profile::Reading;
use crate::protocol::resource::{DraftKind, Resource};
use crate::protocol::schema::ResourceType;
use crate::provider::entries::{check_indexed, entries};
use crate::provider::password::check_hash;
use crate::provider::role::{check_scopes_of, is_role};
use crate::store::{Entries, StoreError, Stored};

/// How far the clock of the process that exported a resource may be ahead of this one, in milliseconds.
const MAX_AHEAD_MILLIS: u64 = 300_000;
/// How the name of a member begins that has the attributes of one schema. Answers recognise those of a lost schema by it.
const URN: &str = "urn:";
/// The longest id that is taken, in characters. The service's own ids have 36.
const MAX_ID_CHARACTERS: usize = 64;

/// A resource as it was exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Arriving {
    /// The name of its type.
    pub type_name: String,
    /// Its id: 1 to 64 of the characters A-Z, a-z, 0-9, `-`, `.`, `_` and `~`, by which clients can reach it.
    pub id: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created: u64,
    /// When it last changed, in milliseconds since the Unix epoch.
    pub modified: u64,
    /// The revision of its body.
    pub revision: u64,
    /// The hash of its password.
    pub password: Option<String>,
    /// Roughly the number of its members, if it is a group.
    pub members: usize,
    /// Its body, without `meta` and members.
    pub body: Map<String, Value>,
}

/// An arriving resource that was read, with all that is derived from it.
pub(super) struct Prepared {
    pub(super) resource_type: Arc<ResourceType>,
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) modified: u64,
    pub(super) revision: u64,
    pub(super) password: Option<String>,
    pub(super) members: usize,
    resource: Resource,
    pub(super) text: String,
    /// The index entries that it has if it is created.
    pub(super) entries: Entries,
}

impl Importer<'_> {
    /// Reads a resource and checks that it fits its type.
    pub(super) fn prepare(&self, arriving: Arriving) -> Result<Prepared> {
        let resource_type = self.of_name(&arriving.type_name)?;
        check_id(&arriving.id)?;
        check_id_of_body(&arriving)?;
        self.check_times(arriving.created, arriving.modified)?;
        let exported = Resource::from_canonical(arriving.body);
        check_body(&resource_type, exported.body())?;
        let verb = DraftKind::Import {
            id: &arriving.id,
            exported: &exported,
        };
        let mut reading = Reading::new(&self.rules);
        let registry = &self.view.registry;
        let body = exported.body().clone();
        let draft = Resource::from_request(body, &resource_type, registry, &mut reading, verb)?;
        if draft.members.is_some() || draft.password.is_some() {
            return Err(Error::invalid_value(
                "The body has `members` or `password`: members are lines of their own, and a password is only taken \
                 as `passwordHash`",
            ));
        }
        if is_role(&resource_type) {
            check_scopes_of(&draft.resource)?;
        }
        let password = arriving.password.filter(|_| self.mode.with_passwords);
        password.as_deref().map_or(Ok(()), check_hash)?;
        let rules = &self.view.rules;
        let entries = entries(
            draft.resource.body(),
            arriving.modified,
            &resource_type,
            rules,
        );
        check_indexed(&Entries::default(), &entries)?;
        Ok(Prepared {
            text: draft.resource.to_text(),
            resource: draft.resource,
            entries,
            password,
            resource_type,
            id: arriving.id,
            created: arriving.created,
            modified: arriving.modified,
            revision: arriving.revision,
            members: arriving.members,
        })
    }

    /// The resource type of this name.
    pub(super) fn of_name(&self, name: &str) -> Result<Arc<ResourceType>> {
        let found = self.view.registry.resource_type(name);
        found.cloned().ok_or_else(|| {
            let name = excerpt(&name);
            Error::not_found(format!("The tenant has no resource type {name}"))
        })
    }

    /// The index entries of a stored resource with this body.
    pub(super) fn entries_of(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        body: &Resource,
    ) -> Entries {
        let rules = &self.view.rules;
        entries(body.body(), stored.modified, resource_type, rules)
    }

    /// The index entries of an arriving resource that is written at this time.
    pub(super) fn entries_at(&self, prepared: &Prepared, now: u64) -> Entries {
        entries(
            prepared.body(),
            now,
            &prepared.resource_type,
            &self.view.rules,
        )
    }

    fn check_times(&self, created: u64, modified: u64) -> Result<()> {
        if created <= modified && modified <= self.admin.now() + MAX_AHEAD_MILLIS {
            return Ok(());
        }
        Err(Error::invalid_value(
            "`created` is after `lastModified`, or `lastModified` is in the future",
        ))
    }
}

/// The body of a stored resource. What was stored is JSON; anything else is a fault of the service.
pub(super) fn body_of(stored: &Stored) -> Result<Resource, StoreError> {
    let body = Resource::from_text(&stored.body);
    body.map_err(|error| StoreError::Backend(Box::new(error)))
}

impl Prepared {
    /// The body that is written.
    pub(super) fn body(&self) -> &Map<String, Value> {
        self.resource.body()
    }

    pub(super) fn is_of(&self, resource_type: &ResourceType) -> bool {
        self.resource_type.name == resource_type.name
    }

    /// The error of a unique value that another resource holds, if there is one. `holders` has the ids of the
    /// holders, by the index and the key.
    pub(super) fn taken(&self, holders: &HashMap<(String, String), String>) -> Option<Error> {
        let indexes = self
            .resource_type
            .indexes
            .iter()
            .filter(|index| index.unique);
        for index in indexes {
            let path = format!("{}:{}", self.resource_type.name, index.path());
            for entry in self.entries.iter().filter(|entry| entry.is_of(index)) {
                let holder = holders.get(&(path.clone(), entry.key.clone()));
                if holder.is_some_and(|holder| *holder != self.id) {
                    let attribute = index.path().to_owned();
                    return Some(StoreError::Taken { attribute }.into());
                }
            }
        }
        None
    }
}

/// Of each resource whether it has a unique value of one before it.
pub(super) fn repeated(prepared: &[Result<Prepared>]) -> Vec<bool> {
    let mut claims = BTreeSet::new();
    let repeats = prepared.iter().map(|prepared| {
        let mut is_repeated = false;
        for prepared in prepared.iter() {
            for claim in prepared.entries.iter().filter(|entry| entry.unique) {
                is_repeated |= !claims.insert((&prepared.resource_type.name, claim));
            }
        }
        is_repeated
    });
    repeats.collect()
}

/// Checks that an id can stand in a URL and in a key.
pub(super) fn check_id(id: &str) -> Result<()> {
    let is_allowed =
        |character: char| character.is_ascii_alphanumeric() || "-._~".contains(character);
    if !(1..=MAX_ID_CHARACTERS).contains(&id.len()) || !id.chars().all(is_allowed) {
        return Err(Error::invalid_value(format!(
            "`id` is `{}`; an id has 1 to {MAX_ID_CHARACTERS} of the characters A-Z, a-z, 0-9, -, ., _ and ~",
            excerpt(&id)
        )));
    }
    // Clients take `.` and `..` out of a URL, `.search` is an endpoint, the end of a path of SCIM 1.1 chooses the
    // format, and `bulkId` is reserved (RFC 7643 §3.1).
    let is_format = [".json", ".xml"].iter().any(|format| id.ends_with(format));
    match id.starts_with('.') || is_format || id == "bulkId" {
        true => Err(Error::invalid_value(format!(
            "`id` is `{id}`, by which no client could reach the resource: an id does not begin with a dot, does not \
             end with .json or .xml, and is not bulkId"
        ))),
        false => Ok(()),
    }
}

/// Checks that a body has no other id than its line.
fn check_id_of_body(arriving: &Arriving) -> Result<()> {
    match arriving.body.get("id") {
        Some(id) if *id != arriving.id.as_str() => Err(Error::invalid_value(
            "`id` of the body is not the `id` of the line",
        )),
        _ => Ok(()),
    }
}

/// Checks that a body has nothing that is stored elsewhere, and no attribute that its schemas do not define: answers would
/// show it, even one that was never returned where it comes from. Only the attributes of a schema that the type has lost
/// are kept. They are in a member with the URN of that schema, which no answer shows.
fn check_body(resource_type: &ResourceType, body: &Map<String, Value>) -> Result<()> {
    let outside = resource_type
        .membership
        .map(|membership| membership.attribute());
    let outside = outside.into_iter().chain(["meta"]);
    for name in outside {
        if body.contains_key(name) {
            return Err(Error::invalid_value(format!(
                "The body has `{name}`, which is no part of it: times and members are given beside it"
            )));
        }
    }
    for (name, value) in body {
        let unknown = match (resource_type.extension(name), value) {
            (Some(extension), Value::Object(values)) => {
                let schema = &extension.schema;
                let mut names = values.keys();
                names.find(|name| schema.attribute(name).is_none())
            }
            _ => {
                let is_known = resource_type.has_member(name) || name.starts_with(URN);
                (!is_known).then_some(name)
            }
        };
        if let Some(unknown) = unknown {
            return Err(Error::invalid_value(format!(
                "The body has `{}`, which no schema of {} defines in this tenant",
                excerpt(unknown),
                resource_type.name
            )));
        }
    }
    Ok(())
}
