//! The operations `event.*`: the feed of a tenant's changes, as the operator sees it.
//!
//! The operator gets every event with its values, also the events that the brake holds back, to judge them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{About, Admin, Asked, Code, Failure, Operation};
use crate::feed::forget::forget;
use crate::feed::read::{After, Limits, ReadError, read};
use crate::feed::{Event, EventBody, Wanted, patterns};
use crate::identity::TenantId;
use crate::protocol::error::Error;
use crate::protocol::resource::ResourceId;
use crate::store::{Epoch, PageKey};

/// The largest number of events in one answer.
const MAX_EVENTS: usize = 1_000;
const USUAL_EVENTS: usize = 100;
/// The largest number of bytes of events in one answer. An answer of Lambda has at most 6 MB.
const MAX_BYTES: usize = 4_000_000;
/// The number of steps that one request makes, each over up to 50 pages of the feed.
const STEPS: usize = 10;

/// Asks for a part of a tenant's feed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListEvents {
    /// The tenant.
    pub tenant: TenantId,
    /// A position, `beginning` or `now`; `beginning` if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The largest number of events, 1 to 1,000; 100 if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The types of events, and patterns such as `user.*`, at most 50; none for all types.
    #[serde(default)]
    pub types: Vec<String>,
    /// Only the events about the resource with this id, and about its memberships.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// The answer of `event.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventList {
    /// The events, in order, as `GET /events` shows them. None of them does not mean that there are no more.
    pub events: Vec<Value>,
    /// The position to go on after.
    pub next: String,
    /// The number of events behind `next`, of whatever types and resources.
    pub behind: u64,
}

/// Removes the values of one resource from its events. Ids, numbers and the names of attributes stay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgetEvents {
    /// The tenant.
    pub tenant: TenantId,
    /// The id of the resource.
    pub id: String,
    /// Go on here: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The answer of `event.forget`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgottenEvents {
    /// The number of events from which this request has taken values.
    pub events: usize,
    /// Where to go on; `None` if the whole feed was looked through.
    pub next: Option<String>,
}

impl Operation for ListEvents {
    const NAME: &'static str = "event.list";
    type Answer = EventList;

    fn about(&self) -> About<'_> {
        About {
            name: self.resource.as_deref(),
            ..About::tenant(&self.tenant)
        }
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<EventList, Failure> {
        let after = self.after.as_deref().unwrap_or("beginning");
        let after = After::parse(after)
            .ok_or_else(|| Error::invalid_value("`after` is a position, `beginning` or `now`"))?;
        let events = self.limit.unwrap_or(USUAL_EVENTS);
        if !(1..=MAX_EVENTS).contains(&events) {
            let text = format!("`limit` is from 1 to {MAX_EVENTS}");
            return Err(Error::invalid_value(text).into());
        }
        patterns::check(&self.types)?;
        let resource = self.resource.as_deref();
        let resource = resource.map(|text| resource_id("resource", text));
        let resource = resource.transpose()?;
        admin.check_tenant(&self.tenant).await?;
        let store = admin.tenant_store(&self.tenant, asked);
        let view = admin.provider.tenants().get(&self.tenant, &store).await?;
        let types = self.types.iter().map(String::as_str);
        let wanted = Wanted::parse(types, &view.registry)?;
        let limits = Limits {
            events,
            bytes: MAX_BYTES,
        };
        let takes = |body: &EventBody| {
            let is_about = resource.as_ref().is_none_or(|id| concerns(body, id));
            is_about && wanted.takes(&body.event_type)
        };
        let part = match read(&self.tenant, &store, &after, limits, takes, None).await {
            Ok(part) => part,
            Err(ReadError::Failed(error)) => return Err(error.into()),
            // No reader can go on from there, so this is the caller's to know.
            Err(ReadError::Gone(gone)) => {
                let text = format!("{}. Begin with `after` `beginning`", gone.reason());
                return Err(Failure::new(Code::Unknown, text));
            }
        };
        Ok(EventList {
            events: part.events.iter().map(Event::to_json).collect(),
            next: part.next.to_string(),
            behind: part.behind,
        })
    }
}

impl Operation for ForgetEvents {
    const NAME: &'static str = "event.forget";
    type Answer = ForgottenEvents;

    fn about(&self) -> About<'_> {
        About {
            tenant: Some(&self.tenant),
            ..About::name(&self.id)
        }
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<ForgottenEvents, Failure> {
        let id = resource_id("id", &self.id)?;
        let mut after = match &self.after {
            Some(text) => Some(parse_page(text).ok_or_else(|| {
                Error::invalid_value("`after` is not the `next` of an earlier answer")
            })?),
            None => None,
        };
        admin.check_tenant(&self.tenant).await?;
        let mut events = 0;
        for _ in 0..STEPS {
            let store = admin.tenant_store(&self.tenant, asked);
            let step = forget(&self.tenant, &store, id.as_str(), after.as_ref()).await?;
            events += step.events;
            if step.is_done {
                return Ok(ForgottenEvents { events, next: None });
            }
            after = step.next;
        }
        let next = after.map(|page| format!("{}-{}", page.epoch.as_str(), page.first));
        Ok(ForgottenEvents { events, next })
    }
}

fn resource_id(argument: &str, text: &str) -> Result<ResourceId, Error> {
    let refused = || Error::invalid_value(format!("`{argument}` is not the id of a resource"));
    ResourceId::parse(text).ok_or_else(refused)
}

/// Whether an event is about a resource, or about a membership in it or of it. Those about the feed itself are, too:
/// they say that events of the resource may be missing.
fn concerns(body: &EventBody, id: &ResourceId) -> bool {
    if body.event_type.is_of_feed() {
        return true;
    }
    let resource = body.resource.as_ref().map(|resource| resource.id.as_str());
    let member = body.member.as_ref().map(|member| member.id.as_str());
    [resource, member].contains(&Some(id.as_str()))
}

/// Reads the key of a page from `{epoch}-{number of its first event}`.
fn parse_page(text: &str) -> Option<PageKey> {
    let (epoch, first) = text.split_once('-')?;
    Some(PageKey {
        epoch: Epoch::parse(epoch)?,
        first: first.parse().ok()?,
    })
}
