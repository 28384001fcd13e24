//! Resources as clients read them: the stored text with `meta`, members and groups, projected.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::Scope;
use super::compute::size_of;
use crate::protocol::datetime::DateTime;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{Meta, render};
use crate::protocol::projection::Projection;
use crate::protocol::resource::{Resource, relative_reference};
use crate::protocol::schema::{Membership, ResourceType};
use crate::protocol::version::Version;
use crate::store::{Member, Stored};

/// The most that an answer holds of resources or of members, in bytes as [`sent_bytes`] counts them;
/// Lambda sends at most 6 MB.
pub(super) const MAX_ANSWER_BYTES: usize = 4_000_000;

/// The length of a text in the form in which Lambda hands an answer to the gateway, in bytes: inside a
/// JSON string, where `"`, `\` and some control characters take two bytes, and the others six.
pub(super) fn sent_bytes(text: &str) -> usize {
    let sent = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(sent).sum()
}

/// `display` of members is looked up for so many of them, and left out of larger groups.
pub(super) const MAX_DISPLAYS: usize = 100;

/// About as many bytes of JSON is one member or one group of a user.
pub(super) const MEMBER_BYTES: usize = 150;

/// A resource as it is sent.
#[derive(Debug)]
pub struct Answer {
    /// The JSON text, `meta` included.
    pub text: String,
    /// The entity tag.
    pub version: Version,
    /// The resource's URL.
    pub location: String,
    /// The URL of a group's members, if they are too many for the answer to show.
    pub members: Option<String>,
}

/// The text of a resource, and the version of all that it shows.
pub(super) struct Rendered {
    pub(super) text: String,
    pub(super) version: Version,
}

/// What is kept outside the bodies, by resource id, for the resources that show any; nothing where it
/// is too much to be shown.
type Detached = HashMap<String, Option<Value>>;

/// The texts of a resource's times.
struct Times {
    created: String,
    last_modified: String,
}

impl Scope {
    /// The URL of a resource.
    #[must_use]
    pub fn location(&self, resource_type: &ResourceType, id: &str) -> String {
        format!(
            "{}/{}",
            self.base_url,
            relative_reference(&resource_type.endpoint, id)
        )
    }

    /// One resource as an answer.
    pub(super) async fn answer(
        &self,
        resource_type: &ResourceType,
        stored: Stored,
        projection: &Projection<'_>,
    ) -> Result<Answer> {
        let resources = [stored];
        let detached = self.detached(resource_type, &resources, projection).await?;
        let [stored] = &resources;
        let detached = detached.get(&stored.id);
        let location = self.location(resource_type, &stored.id);
        let is_too_much = detached.is_some_and(Option::is_none);
        let value = detached.and_then(Option::as_ref);
        let size = stored.body.len() + about_members(value);
        let render = || self.render_one(resource_type, stored, value, projection);
        let Rendered { text, version } = self.compute(size, render).await??;
        Ok(Answer {
            text,
            version,
            members: is_too_much.then(|| format!("{location}/members")),
            location,
        })
    }

    /// A new resource as an answer: it is a member of nothing yet, so nobody has to look.
    pub(super) async fn answer_new(
        &self,
        resource_type: &ResourceType,
        stored: Stored,
        projection: &Projection<'_>,
    ) -> Result<Answer> {
        if resource_type.membership == Some(Membership::Members) {
            return self.answer(resource_type, stored, projection).await;
        }
        let render = || self.render_one(resource_type, &stored, None, projection);
        let Rendered { text, version } = self.compute(stored.body.len(), render).await??;
        Ok(Answer {
            text,
            version,
            location: self.location(resource_type, &stored.id),
            members: None,
        })
    }

    /// Many resources of one type as texts, in their order.
    pub(super) async fn render_many(
        &self,
        resource_type: &ResourceType,
        resources: Vec<Stored>,
        projection: &Projection<'_>,
    ) -> Result<Vec<String>> {
        let detached = self.detached(resource_type, &resources, projection).await?;
        let members = detached.values().map(Option::as_ref).map(about_members);
        let members: usize = members.sum();
        let render = |stored: &Stored| {
            self.check_time()?;
            let detached = detached.get(&stored.id).and_then(Option::as_ref);
            let rendered = self.render_one(resource_type, stored, detached, projection)?;
            Ok(rendered.text)
        };
        let texts = || resources.iter().map(render).collect();
        self.compute(size_of(&resources) + members, texts).await?
    }

    /// The value of the attribute that is kept outside the bodies.
    async fn detached(
        &self,
        resource_type: &ResourceType,
        resources: &[Stored],
        projection: &Projection<'_>,
    ) -> Result<Detached> {
        match resource_type.membership {
            Some(membership) if !projection.wants(membership.attribute()) => Ok(HashMap::new()),
            Some(Membership::Members) => self.members_values(resources, projection).await,
            Some(Membership::MemberOf) => {
                let groups = self.groups_values(resources).await?;
                let groups = groups.into_iter();
                Ok(groups.map(|(id, groups)| (id, Some(groups))).collect())
            }
            None => Ok(HashMap::new()),
        }
    }

    pub(super) fn render_one(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        detached: Option<&Value>,
        projection: &Projection<'_>,
    ) -> Result<Rendered> {
        let version = shown_version(resource_type, stored, detached, projection);
        let mut text = self.text(resource_type, stored, detached, &version)?;
        if !projection.shows_all_of(&stored.body) {
            let body = Resource::from_text(&text)?.into_body();
            text = Resource::from_canonical(projection.apply(body)).to_text();
        }
        Ok(Rendered { text, version })
    }

    /// The whole resource as filters and sorting see it, with what is kept outside its body if they
    /// ask for it.
    pub(super) fn complete(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        detached: Option<&Value>,
    ) -> Result<Map<String, Value>> {
        let text = self.text(resource_type, stored, detached, &stored.version())?;
        Ok(Resource::from_text(&text)?.into_body())
    }

    /// The text of the whole resource.
    fn text(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        detached: Option<&Value>,
        version: &Version,
    ) -> Result<String> {
        let (version, location) = (
            version.to_string(),
            self.location(resource_type, &stored.id),
        );
        let times = Times::of(stored)?;
        let meta = Meta {
            resource_type: Some(&resource_type.name),
            created: &times.created,
            last_modified: &times.last_modified,
            location: &location,
            version: &version,
        };
        let body = match (detached, resource_type.membership) {
            (Some(value), Some(membership)) => {
                with_member(&stored.body, membership.attribute(), value).into()
            }
            _ => Cow::Borrowed(stored.body.as_str()),
        };
        Ok(render(&body, &meta, &self.base_url))
    }

    /// `members` of each group, `[]` where it has none, unless there are more than the tenant shows
    /// inline. The names of all their members are looked up together.
    async fn members_values(
        &self,
        groups: &[Stored],
        projection: &Projection<'_>,
    ) -> Result<Detached> {
        let reads = groups.iter().map(|group| self.visible_members(group));
        let visible = try_join_all(reads).await?;
        let has_names = |members: &[Member]| members.len() <= MAX_DISPLAYS;
        let displays = match projection.wants_part("members", "display") {
            true => {
                let members = visible.iter().flatten();
                let members = members.filter(|members| has_names(members));
                let members: Vec<&Member> = members.flatten().collect();
                self.displays(&members).await?
            }
            false => HashMap::new(),
        };
        let value = |members: Vec<Member>| -> Value {
            let displays = Some(&displays).filter(|_| has_names(&members));
            let display = |member: &Member| displays?.get(&member.id);
            members
                .iter()
                .map(|member| self.member_value(member, display(member)))
                .collect()
        };
        let read: usize = visible.iter().flatten().map(Vec::len).sum();
        // An empty group shows `[]`: there are clients that add nobody to a group without `members`.
        let ids = groups.iter().map(|group| group.id.clone());
        let shown = ids.zip(visible);
        let values = || {
            let values = shown.map(|(id, members)| (id, members.map(value)));
            values.collect()
        };
        self.compute(read * MEMBER_BYTES, values).await
    }

    /// One member as clients read it.
    pub(super) fn member_value(&self, member: &Member, display: Option<&String>) -> Value {
        let mut value = Map::new();
        value.insert("value".to_owned(), json!(member.id));
        if let Some(resource_type) = self.tenant.registry.resource_type(&member.kind) {
            value.insert(
                "$ref".to_owned(),
                json!(relative_reference(&resource_type.endpoint, &member.id)),
            );
        }
        value.insert("type".to_owned(), json!(member.kind));
        if let Some(display) = member.display.as_ref().or(display) {
            value.insert("display".to_owned(), json!(display));
        }
        Value::Object(value)
    }

    /// The names for people of members that the client gave none, by id.
    pub(super) async fn displays(&self, members: &[&Member]) -> Result<HashMap<String, String>> {
        let mut by_kind = BTreeMap::<&str, BTreeSet<&str>>::new();
        for member in members.iter().filter(|member| member.display.is_none()) {
            by_kind.entry(&member.kind).or_default().insert(&member.id);
        }
        let mut displays = HashMap::new();
        for (kind, ids) in by_kind {
            let Some(resource_type) = self.tenant.registry.resource_type(kind) else {
                continue;
            };
            let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
            let found = self.store.get_many(resource_type, &ids).await?;
            let name = |stored: &Stored| {
                self.check_time()?;
                Ok(display(stored)?.map(|display| (stored.id.clone(), display)))
            };
            let names = || found.iter().filter_map(|stored| name(stored).transpose());
            let names = || names().collect::<Result<Vec<_>>>();
            displays.extend(self.compute(size_of(&found), names).await??);
        }
        Ok(displays)
    }
}

/// Whether an answer with this projection may show what the version of the stored resource does
/// not stand for, and what has to be read to know it.
pub(super) fn looks_up_more(
    resource_type: &ResourceType,
    stored: &Stored,
    projection: &Projection<'_>,
) -> bool {
    let about = stored.group.as_ref().map_or(0, |state| state.about);
    match resource_type.membership {
        Some(Membership::MemberOf) => projection.wants("groups"),
        // Who is in a group is part of its version. The count may be wrong by what dead writers
        // did, so it has to be twice too many for names.
        Some(Membership::Members) => {
            projection.wants_part("members", "display")
                && usize::try_from(about).is_ok_and(|about| about <= 2 * MAX_DISPLAYS)
        }
        None => false,
    }
}

/// The version of what an answer shows: that of the stored resource, and the groups of a user or the
/// names of a group's members as the answer shows them. All members are hashed with their names: a
/// writer that died may have changed them without counting it.
fn shown_version(
    resource_type: &ResourceType,
    stored: &Stored,
    detached: Option<&Value>,
    projection: &Projection<'_>,
) -> Version {
    let version = stored.version();
    let (Some(value), Some(membership)) = (detached, resource_type.membership) else {
        return version;
    };
    let attribute = membership.attribute();
    let is_looked_up = match membership {
        Membership::MemberOf => true,
        Membership::Members => {
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

/// About how many bytes a value is that is kept outside the bodies.
pub(super) fn about_members(value: Option<&Value>) -> usize {
    value.and_then(Value::as_array).map_or(0, Vec::len) * MEMBER_BYTES
}

/// A stored body with one more member, as text.
fn with_member(body: &str, name: &str, value: &Value) -> String {
    let open = body.strip_suffix('}').unwrap_or(body);
    format!("{open},{}:{value}}}", Value::from(name))
}

impl Times {
    fn of(stored: &Stored) -> Result<Self> {
        let text = |milliseconds: u64| {
            let time = i64::try_from(milliseconds)
                .ok()
                .and_then(DateTime::from_unix_milliseconds);
            time.map(|time| time.to_string())
                .ok_or_else(|| Error::internal("a stored time is out of range"))
        };
        Ok(Self {
            created: text(stored.created)?,
            last_modified: text(stored.last_modified())?,
        })
    }
}

/// A resource's name for people: `displayName`, else the first of the names it must have.
pub(super) fn display(stored: &Stored) -> Result<Option<String>> {
    let body = Resource::from_text(&stored.body)?.into_body();
    let name = ["displayName", "userName", "name"]
        .iter()
        .find_map(|name| body.get(*name).and_then(Value::as_str));
    Ok(name.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_as_the_json_string_that_it_is_sent_in() {
        let every_character: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "{\"a\":\"b\\\"c\"}", "\u{1f600}", &every_character] {
            let sent = Value::from(text).to_string();
            assert_eq!(sent_bytes(text), sent.len() - 2, "{text:?}");
        }
    }
}
