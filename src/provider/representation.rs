//! What the verbs return: a resource, and what was read in addition to show it.
//!
//! A verb decides what an answer shows, because that determines what has to be read. The HTTP layer
//! writes the answer.
//!
//! It must not know URLs or JSON text.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::RequestScope;
use super::related::members::MAX_DISPLAYS;
use super::related::{Related, related};
use crate::protocol::error::Result;
use crate::protocol::projection::Projection;
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::protocol::version::Version;
use crate::store::Stored;

/// A resource as a verb has read or written it, with what an answer shows of it.
#[derive(Debug)]
pub struct Representation<'r> {
    /// The type of the resource.
    pub resource_type: &'r ResourceType,
    /// The resource as it is stored.
    pub stored: Stored,
    /// The value of the attribute that is kept outside the body.
    pub related: Related,
    /// The version of what the answer shows, which is the entity tag.
    pub version: Version,
    /// Which attributes the client is shown.
    pub projection: Arc<Projection<'r>>,
}

impl<'r> Representation<'r> {
    fn new(
        resource_type: &'r ResourceType,
        stored: Stored,
        related: Related,
        projection: Arc<Projection<'r>>,
    ) -> Self {
        Self {
            resource_type,
            version: shown_version(resource_type, &stored, related.value(), &projection),
            stored,
            related,
            projection,
        }
    }

    /// The id of the resource.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.stored.id
    }

    /// The attribute that is kept outside the body, if it is shown: its name and its value.
    #[must_use]
    pub fn beside(&self) -> Option<(&'static str, &Value)> {
        let membership = self.resource_type.membership?;
        Some((membership.attribute(), self.related.value()?))
    }

    /// Roughly the size of the resource in bytes of JSON, for [`Compute::run`](super::Compute::run).
    #[must_use]
    pub fn size(&self) -> usize {
        self.stored.body.len() + self.related.size()
    }
}

/// One resource, with what is read to show it.
pub(super) async fn represent<'r>(
    scope: &RequestScope,
    resource_type: &'r ResourceType,
    stored: Stored,
    projection: Projection<'r>,
) -> Result<Representation<'r>> {
    let one = std::slice::from_ref(&stored);
    let mut related = related(scope, resource_type, one, &projection).await?;
    let related = related.remove(&stored.id).unwrap_or_default();
    represent_with(scope, resource_type, stored, related, projection).await
}

/// The same, if the attribute that is kept outside the body was read already.
pub(super) async fn represent_with<'r>(
    scope: &RequestScope,
    resource_type: &'r ResourceType,
    stored: Stored,
    related: Related,
    projection: Projection<'r>,
) -> Result<Representation<'r>> {
    let (size, projection) = (related.size(), Arc::new(projection));
    let represent = || Representation::new(resource_type, stored, related, projection);
    scope.compute.run(size, represent).await
}

/// A resource that was just created. It is in no group yet, so its groups are not read.
pub(super) async fn represent_new<'r>(
    scope: &RequestScope,
    resource_type: &'r ResourceType,
    stored: Stored,
    projection: Projection<'r>,
) -> Result<Representation<'r>> {
    if resource_type.membership == Some(MembershipAttribute::Members) {
        return represent(scope, resource_type, stored, projection).await;
    }
    let (related, projection) = (Related::Absent, Arc::new(projection));
    Ok(Representation::new(
        resource_type,
        stored,
        related,
        projection,
    ))
}

/// Many resources of one type in their order, with what is read to show them.
pub(super) async fn represent_all<'r>(
    scope: &RequestScope,
    resource_type: &'r ResourceType,
    resources: Vec<Stored>,
    projection: &Arc<Projection<'r>>,
) -> Result<Vec<Representation<'r>>> {
    let mut related = related(scope, resource_type, &resources, projection).await?;
    let size = related.values().map(Related::size).sum();
    let represent = |stored: Stored| {
        let related = related.remove(&stored.id).unwrap_or_default();
        Representation::new(resource_type, stored, related, Arc::clone(projection))
    };
    let represent = || resources.into_iter().map(represent).collect();
    scope.compute.run(size, represent).await
}

/// Whether an answer with this projection may show values that the version of the stored resource
/// does not cover. These values have to be read before the version of the answer is known.
pub(super) fn looks_up_more(
    resource_type: &ResourceType,
    stored: &Stored,
    projection: &Projection<'_>,
) -> bool {
    let about = stored.about_members();
    match resource_type.membership {
        Some(MembershipAttribute::MemberOf) => projection.wants("groups"),
        // The version of a group covers its members but not their names. Names are shown up to
        // `MAX_DISPLAYS` members. The approximate count may be wrong, so only twice that number is
        // taken for too many.
        Some(MembershipAttribute::Members) => {
            projection.wants_part("members", "display")
                && usize::try_from(about).is_ok_and(|about| about <= 2 * MAX_DISPLAYS)
        }
        None => false,
    }
}

/// The version of what an answer shows: that of the stored resource, followed by a hash of the
/// groups of a user or of the named members of a group, as far as the answer shows them. The hash
/// covers whole members and not only their names, because a writer that died may have changed
/// members without counting it in the group's version.
fn shown_version(
    resource_type: &ResourceType,
    stored: &Stored,
    related: Option<&Value>,
    projection: &Projection<'_>,
) -> Version {
    let version = stored.version();
    let (Some(value), Some(membership)) = (related, resource_type.membership) else {
        return version;
    };
    let attribute = membership.attribute();
    let is_looked_up = match membership {
        MembershipAttribute::MemberOf => true,
        MembershipAttribute::Members => {
            projection.wants_part(attribute, "display")
                && value
                    .as_array()
                    .is_some_and(|members| members.len() <= MAX_DISPLAYS)
        }
    };
    if !is_looked_up {
        return version;
    }
    let whole = Map::from_iter([(attribute.to_owned(), value.clone())]);
    match projection.apply(whole).get(attribute) {
        // An empty list has no names that could change.
        Some(Value::Array(shown)) if shown.is_empty() => version,
        Some(shown) => version.showing(&shown.to_string()),
        None => version,
    }
}
