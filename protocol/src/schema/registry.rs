//! The schemas and resource types of one tenant.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::builtin;
use super::index::{Index, IndexState, common_index, indexes};
use super::registration::{complete, endpoint, type_name};
use super::resource_type::{MembershipAttribute, ResourceType};
use super::vendor::with_vendor_keywords;
use super::{Extension, Schema};
use crate::error::{Error, Result};

/// The schemas by URN and the resource types by endpoint that a tenant can store.
#[derive(Debug, Clone)]
pub struct Registry {
    schemas: Vec<Arc<Schema>>,
    resource_types: Vec<Arc<ResourceType>>,
    by_endpoint: HashMap<String, usize>,
    memberships: MembershipSlots,
}

/// The positions of the types that groups and their members have.
#[derive(Debug, Clone, Default)]
struct MembershipSlots {
    /// The type whose resources have members.
    group: Option<usize>,
    /// The type of members whose `type` the client leaves out.
    default: Option<usize>,
    /// The types whose resources can be members, in order of registration.
    members: Vec<usize>,
}

impl MembershipSlots {
    fn of(types: &[Arc<ResourceType>]) -> Self {
        let first = |wanted| {
            types
                .iter()
                .position(|found| found.membership == Some(wanted))
        };
        let slots = types.iter().enumerate();
        let members = slots.filter(|(_, found)| found.membership.is_some());
        Self {
            group: first(MembershipAttribute::Members),
            default: first(MembershipAttribute::MemberOf),
            members: members.map(|(slot, _)| slot).collect(),
        }
    }
}

/// The properties of a resource type that its published form does not show.
struct Flags {
    indexed: Vec<String>,
    membership: Option<MembershipAttribute>,
    yields: bool,
}

static BUILTIN: LazyLock<Registry> = LazyLock::new(|| {
    Registry::load_builtin().expect("the embedded schemas are checked by this crate's tests")
});

impl Registry {
    /// The registry that every tenant starts with: User, Group, Device and Role with their extensions.
    #[must_use]
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    fn load_builtin() -> Result<Self> {
        let mut registry = Self {
            schemas: Vec::new(),
            resource_types: Vec::new(),
            by_endpoint: HashMap::new(),
            memberships: MembershipSlots::default(),
        };
        for schema in builtin::schemas() {
            registry.insert_schema(&schema?)?;
        }
        for entry in builtin::resource_types()? {
            let flags = Flags {
                membership: entry.membership(),
                indexed: entry.indexed,
                yields: entry.yields,
            };
            registry.insert_type(&entry.published, &flags)?;
        }
        Ok(registry)
    }

    /// A type that is described by a built-in schema but is not one of the resource types.
    pub(crate) fn described_type(name: &str, endpoint: &str, urn: &str) -> Option<ResourceType> {
        let schema = Self::builtin().schema(urn)?;
        Some(ResourceType {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            schema: Arc::clone(schema),
            extensions: Vec::new(),
            common: builtin::common_attributes(),
            indexes: Vec::new(),
            membership: None,
            yields: false,
            published: Map::new(),
        })
    }

    /// The built-in schema that a Schema resource publishes again, if it does.
    #[must_use]
    pub fn republished(value: &Value) -> Option<&'static Schema> {
        let id = value.get("id").and_then(Value::as_str)?;
        Self::builtin().schema(id).map(Arc::as_ref)
    }

    /// Adds a schema. A built-in schema that is published again gains the keywords of its publisher.
    ///
    /// # Errors
    /// `InvalidValue` when it violates RFC 7643 §7, or would change a built-in schema; `Uniqueness`
    /// when the URN is taken.
    pub fn add_schema(&mut self, value: &Value) -> Result<()> {
        match Self::republished(value) {
            Some(builtin) => self.publish(with_vendor_keywords(builtin, value)?),
            None => self.insert_schema(value)?,
        }
        Ok(())
    }

    fn insert_schema(&mut self, value: &Value) -> Result<()> {
        let schema = Schema::from_json(value)?;
        if self.schema(&schema.id).is_some() {
            return Err(Error::uniqueness(format!(
                "Schema {} is already registered",
                schema.id
            )));
        }
        self.schemas.push(Arc::new(schema));
        Ok(())
    }

    /// Replaces a schema by another publication of it, also in the resource types that have it.
    fn publish(&mut self, schema: Schema) {
        let schema = Arc::new(schema);
        let known = self.schemas.iter_mut();
        for known in known.filter(|known| known.id == schema.id) {
            *known = Arc::clone(&schema);
        }
        for resource_type in &mut self.resource_types {
            if !resource_type.has_schema(&schema.id) {
                continue;
            }
            let resource_type = Arc::make_mut(resource_type);
            let extensions = resource_type.extensions.iter_mut();
            let extended = extensions.map(|extension| &mut extension.schema);
            for known in std::iter::once(&mut resource_type.schema).chain(extended) {
                if known.id == schema.id {
                    *known = Arc::clone(&schema);
                }
            }
        }
    }

    /// Adds a resource type of the tenant. Its schemas must be registered before. A type with the
    /// name, endpoint and base schema of a registered one replaces it; this is how `User` gets another
    /// extension.
    ///
    /// The built-in Device may also be replaced by a type of its name and endpoint with another base
    /// schema, such as that of RFC 9944. The replaced type is then returned. Its resources would not
    /// fit the new one, so the caller must check that the tenant has none.
    ///
    /// **Shape**: `{"name": …, "endpoint": "/…", "schema": URN, "schemaExtensions": [{"schema": URN,
    /// "required": false}]}` (RFC 7643 §6).
    ///
    /// # Errors
    /// `InvalidValue` naming what is missing, unknown or reserved; `Uniqueness` when the name or the
    /// endpoint belongs to another type.
    pub fn add_resource_type(&mut self, value: &Value) -> Result<Option<Arc<ResourceType>>> {
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let schema = value
            .get("schema")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let same = self
            .resource_type(name)
            .filter(|existing| existing.schema.id.eq_ignore_ascii_case(schema));
        let flags = match same {
            Some(existing) => Flags {
                indexed: existing
                    .indexes
                    .iter()
                    .map(|index| index.path().to_owned())
                    .collect(),
                membership: existing.membership,
                yields: existing.yields,
            },
            None => Flags {
                indexed: vec!["externalId".to_owned()],
                membership: None,
                yields: false,
            },
        };
        self.insert_type(value, &flags)
    }

    fn insert_type(&mut self, value: &Value, flags: &Flags) -> Result<Option<Arc<ResourceType>>> {
        let published = value
            .as_object()
            .ok_or_else(|| Error::invalid_value("A resource type must be a JSON object"))?;
        let name = type_name(published)?;
        let endpoint = endpoint(published, &name)?;
        let schema = self.named_schema(published, "schema", &name)?;
        let extensions = self.extensions(published, &name)?;
        let common = builtin::common_attributes();
        let indexes = indexes(&common, &schema, &extensions, &flags.indexed);
        let published = complete(published, &name, &endpoint);
        let resource_type = ResourceType {
            name,
            endpoint,
            schema,
            extensions,
            common,
            indexes,
            membership: flags.membership,
            yields: flags.yields,
            published,
        };
        let old = self.place(resource_type)?;
        self.memberships = MembershipSlots::of(&self.resource_types);
        Ok(old)
    }

    /// Puts a type into the slot of the type that it replaces, or into a new one. Returns the replaced
    /// type if that had another base schema.
    fn place(&mut self, resource_type: ResourceType) -> Result<Option<Arc<ResourceType>>> {
        let taken = self.resource_types.iter().position(|other| {
            other.endpoint.eq_ignore_ascii_case(&resource_type.endpoint)
                || other.name.eq_ignore_ascii_case(&resource_type.name)
        });
        let Some(slot) = taken else {
            self.by_endpoint
                .insert(resource_type.endpoint.clone(), self.resource_types.len());
            self.resource_types.push(Arc::new(resource_type));
            return Ok(None);
        };
        let other = &self.resource_types[slot];
        let same_schema = other.schema.id == resource_type.schema.id;
        let replaces = other.name == resource_type.name
            && other.endpoint == resource_type.endpoint
            && (same_schema || other.yields);
        if !replaces {
            return Err(Error::uniqueness(format!(
                "Resource type {} at /{} conflicts with {} at /{}",
                resource_type.name, resource_type.endpoint, other.name, other.endpoint
            )));
        }
        let old = std::mem::replace(&mut self.resource_types[slot], Arc::new(resource_type));
        if same_schema {
            return Ok(None);
        }
        self.schemas.retain(|schema| schema.id != old.schema.id);
        Ok(Some(old))
    }

    /// Adds the index on the times of the last changes to the types for which `wanted` is true. A type
    /// whose resources change without a change of their bodies never has it.
    pub fn index_last_modified(&mut self, wanted: impl Fn(&ResourceType) -> bool) {
        for slot in &mut self.resource_types {
            let has_it = slot.indexes.iter().any(|index| index.is_by_hour());
            if slot.changes_by_body() && !has_it && wanted(slot) {
                let index = common_index(&slot.common, Index::LAST_MODIFIED);
                Arc::make_mut(slot).indexes.extend(index);
            }
        }
    }

    /// Marks an index as incomplete: not every resource has its entries yet. An index that does not
    /// exist is ignored.
    pub fn mark_building(&mut self, resource_type: &str, path: &str) {
        let Some(slot) = self
            .resource_types
            .iter_mut()
            .find(|other| other.name == resource_type)
        else {
            return;
        };
        for index in Arc::make_mut(slot)
            .indexes
            .iter_mut()
            .filter(|index| index.path() == path)
        {
            Arc::make_mut(index).state = IndexState::Building;
        }
    }

    /// The paths of the indexes of a type, and of those that it would have with each of the schemas as an
    /// extension, which it may have had before.
    #[must_use]
    pub fn conceivable_indexes(&self, resource_type: &ResourceType) -> Vec<String> {
        let extensions = self.schemas.iter().map(|schema| Extension {
            schema: Arc::clone(schema),
            required: false,
        });
        let extensions: Vec<Extension> = extensions.collect();
        let with_all = indexes(
            &resource_type.common,
            &resource_type.schema,
            &extensions,
            &[],
        );
        let own = resource_type.indexes.iter().chain(&with_all);
        own.map(|index| index.path().to_owned()).collect()
    }

    /// Marks every index as incomplete.
    pub fn mark_all_building(&mut self) {
        for slot in &mut self.resource_types {
            for index in &mut Arc::make_mut(slot).indexes {
                Arc::make_mut(index).state = IndexState::Building;
            }
        }
    }

    fn named_schema(
        &self,
        source: &Map<String, Value>,
        key: &str,
        owner: &str,
    ) -> Result<Arc<Schema>> {
        let urn = source.get(key).and_then(Value::as_str).unwrap_or_default();
        self.schema(urn).cloned().ok_or_else(|| {
            Error::invalid_value(format!(
                "`{key}` of {owner} is `{urn}`, which is not a registered schema"
            ))
        })
    }

    fn extensions(&self, source: &Map<String, Value>, name: &str) -> Result<Vec<Extension>> {
        let listed = match source.get("schemaExtensions") {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(listed) => listed
                .as_array()
                .and_then(|all| all.iter().map(Value::as_object).collect::<Option<Vec<_>>>()),
        };
        let listed = listed.ok_or_else(|| {
            Error::invalid_value(format!(
                "`schemaExtensions` of {name} is not an array of objects"
            ))
        })?;
        listed
            .into_iter()
            .map(|entry| {
                let required = entry
                    .get("required")
                    .and_then(Value::as_bool)
                    .unwrap_or(false);
                Ok(Extension {
                    schema: self.named_schema(entry, "schema", name)?,
                    required,
                })
            })
            .collect()
    }

    /// The schema with that URN, in any case.
    #[must_use]
    pub fn schema(&self, urn: &str) -> Option<&Arc<Schema>> {
        self.schemas
            .iter()
            .find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// All schemas in order of registration.
    #[must_use]
    pub fn schemas(&self) -> &[Arc<Schema>] {
        &self.schemas
    }

    /// The resource type of that name, in the exact case of its `id`.
    #[must_use]
    pub fn resource_type(&self, name: &str) -> Option<&Arc<ResourceType>> {
        self.resource_types
            .iter()
            .find(|resource_type| resource_type.name == name)
    }

    /// The resource type at this path segment, in any case: no two endpoints differ by case alone. The
    /// caller decides whether another spelling than the endpoint's own is tolerated.
    #[must_use]
    pub fn at_endpoint(&self, endpoint: &str) -> Option<&Arc<ResourceType>> {
        let exact = self.by_endpoint.get(endpoint);
        let exact = exact.and_then(|slot| self.resource_types.get(*slot));
        let mut types = self.resource_types.iter();
        exact.or_else(|| types.find(|found| found.endpoint.eq_ignore_ascii_case(endpoint)))
    }

    /// The type whose resources have members.
    #[must_use]
    pub fn group_type(&self) -> Option<&ResourceType> {
        self.in_slot(self.memberships.group?)
    }

    /// The types whose resources can be members of a group.
    pub fn member_types(&self) -> impl Iterator<Item = &ResourceType> {
        let slots = self.memberships.members.iter();
        slots.filter_map(|slot| self.in_slot(*slot))
    }

    /// The type of members whose `type` the client leaves out.
    #[must_use]
    pub fn default_member_type(&self) -> Option<&ResourceType> {
        self.in_slot(self.memberships.default?)
    }

    fn in_slot(&self, slot: usize) -> Option<&ResourceType> {
        self.resource_types.get(slot).map(AsRef::as_ref)
    }

    /// All resource types in order of registration.
    #[must_use]
    pub fn resource_types(&self) -> &[Arc<ResourceType>] {
        &self.resource_types
    }
}

#[cfg(test)]
mod tests;
