//! Writes what a verb returned: the stored body, the attributes stored outside it, and `meta`, with
//! absolute URLs and only the attributes that the client is shown.

use std::iter;

use serde_json::{Map, Value};

use crate::protocol::Result;
use crate::protocol::bulk::Method;
use crate::protocol::message::{self, Meta};
use crate::protocol::projection::project_text;
use crate::protocol::resource::{self, Resource};
use crate::protocol::schema::ResourceType;
use crate::provider::{Performed, Related, Rendered, Representation, Times};

/// The URL of a resource.
#[must_use]
pub fn location(base_url: &str, resource_type: &ResourceType, id: &str) -> String {
    resource::location(base_url, &resource_type.endpoint, id)
}

/// The URL of the list of a group's members, if the group has too many for the answer to show.
pub(super) fn members_location(base_url: &str, found: &Representation<'_>) -> Option<String> {
    let location = || location(base_url, found.resource_type, found.id());
    (found.related == Related::TooMany).then(|| format!("{}/members", location()))
}

/// The URL of the resource that an operation of a bulk request is on (RFC 7644 §3.7.3). `None` for a
/// failed creation. If the operation has no resource, the URL has the operation's path.
#[must_use]
pub fn operation_location(base_url: &str, performed: &Performed) -> Option<String> {
    let label = &performed.label;
    if performed.outcome.is_err() && label.method == Method::Post.name() {
        return None;
    }
    Some(match &performed.subject {
        Some(subject) => resource::location(base_url, &subject.endpoint, &subject.id),
        None => format!("{base_url}/{}", label.path.trim_matches('/')),
    })
}

/// The JSON text of a resource. A part of the body that is shown whole is copied without parsing.
///
/// # Errors
/// `Internal` if the stored text is not a resource.
pub fn text(found: &Representation<'_>, base_url: &str) -> Result<String> {
    let (body, projection) = (&found.stored.body, &found.projection);
    if projection.shows_all_of(body) {
        return with_meta(found, base_url, |meta| {
            message::render(body, found.beside(), meta.parts(), base_url)
        });
    }
    let body = project_text(projection, body)?;
    let beside = found.beside().and_then(|(name, value)| {
        let whole = Map::from_iter([(name.to_owned(), value.clone())]);
        projection
            .apply(whole)
            .shift_remove(name)
            .map(|value| (name, value))
    });
    let beside = beside.as_ref().map(|(name, value)| (*name, value));
    if !projection.wants("meta") {
        return Ok(message::render(&body, beside, iter::empty(), base_url));
    }
    with_meta(found, base_url, |meta| {
        let parts = meta.parts();
        let shown = parts.filter(|(name, _)| projection.wants_part("meta", name));
        message::render(&body, beside, shown, base_url)
    })
}

/// The text of a resource and its length, for a list.
///
/// # Errors
/// As [`text`].
pub fn listed_text(found: &Representation<'_>, base_url: &str) -> Result<Rendered<String>> {
    text(found, base_url).map(Rendered::text)
}

/// A resource as a JSON object.
///
/// # Errors
/// As [`text`].
pub fn object(found: &Representation<'_>, base_url: &str) -> Result<Map<String, Value>> {
    let body = Resource::from_text(&found.stored.body)?.into_body();
    let whole = with_meta(found, base_url, |meta| {
        message::render_object(body, found.beside(), meta, base_url)
    })?;
    if found.projection.shows_all_of(&found.stored.body) {
        return Ok(whole);
    }
    Ok(found.projection.apply(whole))
}

/// The text of one member of a group.
pub fn member_text(member: &Value, base_url: &str) -> String {
    message::with_absolute_references(member, base_url)
}

fn with_meta<T>(
    found: &Representation<'_>,
    base_url: &str,
    write: impl FnOnce(&Meta<'_>) -> T,
) -> Result<T> {
    let times = Times::of(&found.stored)?;
    Ok(write(&Meta {
        resource_type: &found.resource_type.name,
        created: &times.created,
        last_modified: &times.last_modified,
        location: &location(base_url, found.resource_type, found.id()),
        version: &found.version.to_string(),
    }))
}
