//! Resources as clients read them: the stored text with `meta`, members and groups, projected.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};

use super::Scope;
use super::groups::Spread;
use crate::protocol::datetime::DateTime;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::{Meta, render};
use crate::protocol::projection::Projection;
use crate::protocol::resource::{Resource, relative_reference};
use crate::protocol::schema::{Membership, ResourceType};
use crate::protocol::version::Version;
use crate::store::{Member, Stored};

/// The most that an answer holds of resources or of members, in bytes; Lambda sends at most 6 MB.
pub(super) const MAX_ANSWER_BYTES: usize = 4_000_000;

/// `display` of members is looked up for so many of them, and left out of larger groups.
pub(super) const MAX_DISPLAYS: usize = 100;

/// A resource as it is sent.
#[derive(Debug)]
pub struct Answer {
    /// The JSON text, `meta` included.
    pub text: String,
    /// The entity tag.
    pub version: Version,
    /// The resource's URL.
    pub location: String,
}

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
        let version = stored.version();
        let location = self.location(resource_type, &stored.id);
        let mut texts = self
            .render_many(resource_type, vec![stored], projection, Spread::Scattered)
            .await?;
        let text = texts
            .pop()
            .ok_or_else(|| Error::internal("rendering lost the resource"))?;
        Ok(Answer {
            text,
            version,
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
        let text = self.render_one(resource_type, &stored, None, projection)?;
        Ok(Answer {
            text,
            version: stored.version(),
            location: self.location(resource_type, &stored.id),
        })
    }

    /// Many resources of one type as texts, in their order.
    pub(super) async fn render_many(
        &self,
        resource_type: &ResourceType,
        resources: Vec<Stored>,
        projection: &Projection<'_>,
        spread: Spread,
    ) -> Result<Vec<String>> {
        let detached = self
            .detached(resource_type, &resources, projection, spread)
            .await?;
        resources
            .iter()
            .map(|stored| {
                self.render_one(resource_type, stored, detached.get(&stored.id), projection)
            })
            .collect()
    }

    /// The value of the attribute that is kept outside the bodies, by resource id, for those that
    /// have one.
    async fn detached(
        &self,
        resource_type: &ResourceType,
        resources: &[Stored],
        projection: &Projection<'_>,
        spread: Spread,
    ) -> Result<HashMap<String, Value>> {
        match resource_type.membership {
            Some(membership) if !projection.wants(membership.attribute()) => Ok(HashMap::new()),
            Some(Membership::Members) => self.members_values(resources, projection).await,
            Some(Membership::MemberOf) => self.groups_values(resources, spread).await,
            None => Ok(HashMap::new()),
        }
    }

    pub(super) fn render_one(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        detached: Option<&Value>,
        projection: &Projection<'_>,
    ) -> Result<String> {
        let text = self.text(resource_type, stored, detached)?;
        if projection.shows_all_of(&stored.body) {
            return Ok(text);
        }
        let body = Resource::from_text(&text)?.into_body();
        Ok(Resource::from_canonical(projection.apply(body)).to_text())
    }

    /// The whole resource as filters and sorting see it, with what is kept outside its body if they
    /// ask for it.
    pub(super) fn complete(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        detached: Option<&Value>,
    ) -> Result<Map<String, Value>> {
        let text = self.text(resource_type, stored, detached)?;
        Ok(Resource::from_text(&text)?.into_body())
    }

    /// The text of the whole resource.
    fn text(
        &self,
        resource_type: &ResourceType,
        stored: &Stored,
        detached: Option<&Value>,
    ) -> Result<String> {
        let (version, location) = (
            stored.version().to_string(),
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

    /// `members` of each group that has any, by its id, unless there are more than the tenant shows
    /// inline. The names of all their members are looked up together.
    async fn members_values(
        &self,
        groups: &[Stored],
        projection: &Projection<'_>,
    ) -> Result<HashMap<String, Value>> {
        let reads = groups.iter().map(|group| self.visible_members(group));
        let visible = try_join_all(reads).await?;
        let visible: Vec<(&Stored, Vec<Member>)> = groups
            .iter()
            .zip(visible)
            .filter_map(|(group, members)| Some((group, members?)))
            .filter(|(_, members)| !members.is_empty())
            .collect();
        let has_names = |members: &[Member]| members.len() <= MAX_DISPLAYS;
        let displays = match projection.wants_part("members", "display") {
            true => {
                let members = visible.iter().filter(|(_, members)| has_names(members));
                self.displays(members.flat_map(|(_, members)| members))
                    .await?
            }
            false => HashMap::new(),
        };
        let value = |members: &[Member]| -> Value {
            let display = |member: &Member| match has_names(members) {
                true => displays.get(&member.id),
                false => None,
            };
            members
                .iter()
                .map(|member| self.member_value(member, display(member)))
                .collect()
        };
        let values = visible.iter();
        Ok(values
            .map(|(group, members)| (group.id.clone(), value(members)))
            .collect())
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
    pub(super) async fn displays(
        &self,
        members: impl Iterator<Item = &Member>,
    ) -> Result<HashMap<String, String>> {
        let mut by_kind = BTreeMap::<&str, BTreeSet<&str>>::new();
        for member in members.filter(|member| member.display.is_none()) {
            by_kind.entry(&member.kind).or_default().insert(&member.id);
        }
        let mut displays = HashMap::new();
        for (kind, ids) in by_kind {
            let Some(resource_type) = self.tenant.registry.resource_type(kind) else {
                continue;
            };
            let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
            for stored in self.store.get_many(resource_type, &ids).await? {
                if let Some(display) = display(&stored)? {
                    displays.insert(stored.id, display);
                }
            }
        }
        Ok(displays)
    }
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
