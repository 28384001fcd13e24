//! The resource types of members (RFC 7643 §4.2): as they were found in the table, otherwise as the
//! request says, otherwise the default type.

use std::collections::{BTreeMap, HashMap};

use super::super::RequestScope;
use super::super::related::members::MAX_MEMBERS;
use super::request::MemberRequest;
use crate::protocol::error::excerpt;
use crate::protocol::error::{Error, Result};
use crate::protocol::resource;
use crate::protocol::schema::{Registry, ResourceType};
use crate::store::{Member, StoreError};

/// The longest `display` of a member that is stored, in bytes.
const MAX_DISPLAY_BYTES: usize = 256;

/// The types of members that were looked up in the table, by id.
#[derive(Debug, Default)]
pub(in crate::provider) struct MemberTypes {
    known: HashMap<String, String>,
}

impl MemberTypes {
    /// The members to add, by id, each with its type: as found in the table, otherwise as given,
    /// otherwise the default type.
    pub(super) fn additions<'m>(
        &self,
        scope: &RequestScope,
        group: &str,
        members: impl IntoIterator<Item = &'m resource::MemberValue>,
    ) -> Result<BTreeMap<String, Member>> {
        let mut add = BTreeMap::new();
        for member in members {
            let id = member.value.as_str();
            if id == group {
                return Err(Error::invalid_value("`members` names the group itself"));
            }
            if add.len() == MAX_MEMBERS {
                return Err(Error::payload_too_large(format!(
                    "A request may name at most {MAX_MEMBERS} members"
                )));
            }
            let given = member
                .kind
                .as_ref()
                .map(|kind| named_type(&scope.tenant.registry, kind));
            let given = given.transpose()?.map(|kind| &kind.name);
            let type_name = match (self.known.get(id), given) {
                (Some(known), Some(given)) if known != given => {
                    return Err(Error::invalid_value(format!(
                        "`members` says that `{}` is a {given}, and it is a {known}",
                        excerpt(id)
                    )));
                }
                (Some(known), _) => known.clone(),
                (None, Some(given)) => given.clone(),
                (None, None) => default_type(&scope.tenant.registry)?.name.clone(),
            };
            add.insert(
                id.to_owned(),
                Member {
                    id: id.to_owned(),
                    type_name,
                    display: kept_display(member),
                },
            );
        }
        Ok(add)
    }

    /// Looks up the types of members after the store has refused one: `missing` does not exist with
    /// the type that it was assumed to have.
    ///
    /// # Errors
    /// `InvalidValue` naming a member that is no resource of the tenant. The answer for an id of
    /// another tenant is the same.
    pub(in crate::provider) async fn infer(
        &mut self,
        scope: &RequestScope,
        missing: &str,
        request: &MemberRequest,
    ) -> Result<()> {
        let ids: Vec<String> = request
            .added()
            .map(|member| member.value.as_str().to_owned())
            .collect();
        self.look_up(scope, missing, &ids).await
    }

    pub(super) async fn look_up(
        &mut self,
        scope: &RequestScope,
        missing: &str,
        ids: &[String],
    ) -> Result<()> {
        let unknown = || {
            StoreError::NoMember {
                id: missing.to_owned(),
            }
            .into()
        };
        if self.known.contains_key(missing) {
            return Err(unknown());
        }
        for resource_type in scope.tenant.registry.member_types() {
            for id in scope.store.resources().existing(resource_type, ids).await? {
                self.known.insert(id, resource_type.name.clone());
            }
        }
        if self.known.contains_key(missing) {
            Ok(())
        } else {
            Err(unknown())
        }
    }
}

/// The type of members for which none is given.
fn default_type(registry: &Registry) -> Result<&ResourceType> {
    let found = registry.default_member_type();
    found.ok_or_else(|| Error::internal("no resource type can be a member"))
}

/// The type that a member's `type` names; the case of letters does not matter.
fn named_type<'r>(registry: &'r Registry, name: &str) -> Result<&'r ResourceType> {
    let mut types = registry.member_types();
    let found = types.find(|found| found.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let types = registry.member_types();
        let allowed: Vec<_> = types.map(|allowed| allowed.name.as_str()).collect();
        Error::invalid_value(format!(
            "`members.type` is `{}`; allowed are {}",
            excerpt(name),
            allowed.join(", ")
        ))
    })
}

/// The `display` that a client gives a member, unless it is blank or too long.
fn kept_display(member: &resource::MemberValue) -> Option<String> {
    let fits = |name: &&String| !name.trim().is_empty() && name.len() <= MAX_DISPLAY_BYTES;
    member.display.as_ref().filter(fits).cloned()
}
