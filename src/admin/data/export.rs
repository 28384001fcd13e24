//! `data.export`: the directory of a tenant as lines of JSON, part by part.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::super::{Admin, Time};
use super::line::{
    End, Head, MembersLine, write_credential, write_end, write_head, write_members, write_resource,
};
use super::state::MAX_NUMBER;
use super::{ExportData, credentials, written_bytes};
use crate::feed::read::{After, Limits, read};
use crate::identity::{Cause, CauseKind, TenantId};
use crate::protocol::error::{Error, Result};
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::provider::{Tenant, in_order};
use crate::store::{Member, Meter, Stored, TenantStore, Window};

/// A part ends once its text has this many bytes in an answer. One step adds at most 1 MB of the table, which may be
/// twice as long in an answer, and Lambda sends 6 MB.
const PART_BYTES: usize = 3_000_000;
/// A part ends after this time.
const PART_TIME: Duration = Duration::from_secs(10);
/// The time that one step may take at the table.
const STEP_BUDGET: Duration = Duration::from_secs(20);
/// The number of resources that are read at a time.
const RESOURCES: usize = 200;
/// The number of groups whose members are read at the same time.
const GROUPS: usize = 16;
/// The number of members of a line.
const MEMBERS: usize = 500;

/// A part of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportPart {
    /// Whole lines, each with its end.
    pub text: String,
    /// The number of lines with a resource so far, of this part and those before it.
    pub resources: u64,
    /// The number of memberships so far.
    pub memberships: u64,
    /// The number of credentials so far.
    pub credentials: u64,
    /// What the next part begins with. Without it, this is the last part, and its last line says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Where an export is. The caller keeps it as a text from one part to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// What comes next.
    #[serde(rename = "p")]
    phase: Phase,
    /// The resource type, by its name; the first one if there is none.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    /// The resource of this type that was written last, or the group whose last member was.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// The group that is next, and its member that was written last.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    within: Option<(String, String)>,
    #[serde(rename = "r")]
    resources: u64,
    #[serde(rename = "m")]
    memberships: u64,
    #[serde(rename = "c", default)]
    credentials: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    #[default]
    #[serde(rename = "h")]
    Head,
    #[serde(rename = "r")]
    Resources,
    #[serde(rename = "m")]
    Members,
    #[serde(rename = "c")]
    Credentials,
    #[serde(rename = "e")]
    End,
    #[serde(rename = "o")]
    Over,
}

/// An export of one tenant, in the process that makes a part of it.
struct Export<'p> {
    admin: &'p Admin,
    asked: &'p ExportData,
    tenant: Tenant,
    text: String,
    place: Place,
}

/// Makes one part of an export.
///
/// # Errors
/// `InvalidValue` for a cursor that no part has given; `Unavailable` if the table is out of reach.
pub(super) async fn part(admin: &Admin, asked: &ExportData) -> Result<ExportPart> {
    let ends = Instant::now() + PART_TIME;
    let config = admin.provider.config(&asked.tenant).await?;
    let cursor = asked.cursor.as_deref();
    let mut export = Export {
        admin,
        asked,
        tenant: Tenant::new(asked.tenant.clone(), config)?,
        text: String::new(),
        place: cursor.map_or_else(|| Ok(Place::default()), Place::parse)?,
    };
    while export.place.phase != Phase::Over {
        export.step().await?;
        if written_bytes(&export.text) >= PART_BYTES || Instant::now() >= ends {
            break;
        }
    }
    let Export { text, place, .. } = export;
    Ok(ExportPart {
        text,
        resources: place.resources,
        memberships: place.memberships,
        credentials: place.credentials,
        cursor: (place.phase != Phase::Over).then(|| place.to_text()),
    })
}

impl Export<'_> {
    async fn step(&mut self) -> Result<()> {
        match self.place.phase {
            Phase::Head => self.head().await,
            Phase::Resources => self.resources().await,
            Phase::Members => self.members().await,
            Phase::Credentials => self.credentials().await,
            Phase::End => {
                let end = End {
                    resources: self.place.resources,
                    memberships: self.place.memberships,
                    credentials: self.place.credentials,
                };
                self.place.phase = Phase::Over;
                write_end(&mut self.text, end)
            }
            Phase::Over => Ok(()),
        }
    }

    async fn head(&mut self) -> Result<()> {
        let store = self.store();
        // The end of the feed is read before the first resource: what changes later is behind it.
        let position = position(&self.tenant.id, &store).await?;
        let config = self.admin.provider.config(&self.tenant.id).await?;
        let now = Time(self.admin.clock.now_millis());
        let mut head = Head::new(self.tenant.id.clone(), now, position);
        let rules = serde_json::to_value(&config.rules).map_err(Error::internal)?;
        head.profile = rules.get("profile").cloned().unwrap_or_default();
        if let Some(Value::Object(switches)) = rules.get("switches") {
            head.switches = switches.clone();
        }
        head.schemas = config.schemas;
        head.resource_types = config.resource_types;
        head.with_secrets = self.asked.with_secrets;
        head.with_credentials = self.asked.with_credentials;
        for resource_type in in_order(self.tenant.registry.resource_types()) {
            let total = store.resources().total(&resource_type).await?;
            head.counts.insert(resource_type.name.clone(), total);
        }
        self.place.phase = Phase::Resources;
        write_head(&mut self.text, &head)
    }

    /// Writes the next resources of a type.
    async fn resources(&mut self) -> Result<()> {
        let Some(resource_type) = self.next_type(|_| true) else {
            self.begin(Phase::Members);
            return Ok(());
        };
        let store = self.store();
        let after = self.place.after.clone();
        let window = Window {
            after: after.as_deref(),
            limit: Some(RESOURCES),
            ..Window::default()
        };
        let page = match self.asked.with_secrets {
            true => {
                store
                    .resources()
                    .page_with_passwords(&resource_type, window)
                    .await?
            }
            false => store.resources().page(&resource_type, window).await?,
        };
        for stored in &page.resources {
            write_resource(&mut self.text, &resource_type.name, stored)?;
            self.place.resources += 1;
        }
        self.go_on(&resource_type, page.next);
        Ok(())
    }

    /// Writes members of the next groups of a type. A group without members has a line too.
    async fn members(&mut self) -> Result<()> {
        let Some(resource_type) = self.next_type(has_members) else {
            self.begin(match self.asked.with_credentials {
                true => Phase::Credentials,
                false => Phase::End,
            });
            return Ok(());
        };
        let store = self.store();
        if let Some((group, after)) = self.place.within.take() {
            // A group that was deleted meanwhile has no members.
            if let Some(group) = store.resources().get(&resource_type, &group).await? {
                self.members_after(&store, &resource_type, &group, &after)
                    .await?;
            }
            return Ok(());
        }
        let after = self.place.after.clone();
        let window = Window {
            after: after.as_deref(),
            limit: Some(GROUPS),
            ..Window::default()
        };
        let page = store.resources().page(&resource_type, window).await?;
        let store = &store;
        let reads: Vec<_> = page
            .resources
            .iter()
            .map(|group| first_members(store, group))
            .collect();
        let read = try_join_all(reads).await?;
        for (group, (members, more)) in page.resources.iter().zip(read) {
            let last = members.last().map(|member| member.id.clone());
            let line = MembersLine::new(&resource_type.name, &group.id, members);
            self.place.memberships += line.len();
            write_members(&mut self.text, &line)?;
            self.go_on(&resource_type, Some(group.id.clone()));
            if let (Some(last), true) = (last, more) {
                // The groups after it are read again when all members of this one are written.
                self.place.within = Some((group.id.clone(), last));
                return Ok(());
            }
        }
        self.go_on(&resource_type, page.next);
        Ok(())
    }

    /// Writes the next members of a large group.
    async fn members_after(
        &mut self,
        store: &TenantStore,
        resource_type: &ResourceType,
        group: &Stored,
        after: &str,
    ) -> Result<()> {
        let (members, more) = store.members().page(group, Some(after), MEMBERS).await?;
        let last = members.last().map(|member| member.id.clone());
        if let Some(last) = last {
            let line = MembersLine::new(&resource_type.name, &group.id, members);
            self.place.memberships += line.len();
            write_members(&mut self.text, &line)?;
            self.place.within = more.then(|| (group.id.clone(), last));
        }
        Ok(())
    }

    /// Writes all credentials, of which a tenant has few.
    async fn credentials(&mut self) -> Result<()> {
        let archive = credentials::archive(self.admin);
        for credential in archive.take_out(&self.tenant.id).await? {
            write_credential(&mut self.text, &credential)?;
            self.place.credentials += 1;
        }
        self.begin(Phase::End);
        Ok(())
    }

    /// The resource type at this place, or after it.
    fn next_type(&self, is_wanted: fn(&ResourceType) -> bool) -> Option<Arc<ResourceType>> {
        let types = in_order(self.tenant.registry.resource_types());
        let from = self.place.type_name.as_deref().unwrap_or_default();
        let mut types = types.into_iter().filter(|found| is_wanted(found));
        types.find(|found| found.name.as_str() >= from)
    }

    /// Goes on after a resource, or with the next type.
    fn go_on(&mut self, resource_type: &ResourceType, after: Option<String>) {
        // A name with a zero character is that of no type, and comes after this one and before all others.
        let next = || format!("{}\0", resource_type.name);
        self.place.type_name = Some(match after {
            Some(_) => resource_type.name.clone(),
            None => next(),
        });
        self.place.after = after;
    }

    fn begin(&mut self, phase: Phase) {
        self.place = Place {
            phase,
            resources: self.place.resources,
            memberships: self.place.memberships,
            credentials: self.place.credentials,
            ..Place::default()
        };
    }

    /// The tenant's part of the table for one step.
    fn store(&self) -> TenantStore {
        let cause = Cause::without_credential(CauseKind::Command);
        let (store, tenant) = (self.admin.provider.store(), &self.tenant.id);
        store.for_tenant(tenant, cause, Meter::default(), STEP_BUDGET)
    }
}

impl Place {
    fn parse(text: &str) -> Result<Self> {
        let read = || {
            let json = URL_SAFE_NO_PAD.decode(text).ok()?;
            let place: Self = serde_json::from_slice(&json).ok()?;
            // The caller may have made the text up.
            let numbers = [place.resources, place.memberships, place.credentials];
            let within = place
                .within
                .iter()
                .flat_map(|(group, member)| [group, member]);
            let has_empty = place.after.iter().chain(within).any(String::is_empty);
            let is_possible = !has_empty && numbers.iter().all(|number| *number <= MAX_NUMBER);
            is_possible.then_some(place)
        };
        read().ok_or_else(|| Error::invalid_value("`cursor` is not that of a part of an export"))
    }

    fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).expect("a place has texts and numbers only");
        URL_SAFE_NO_PAD.encode(json)
    }
}

/// The first members of a group, and whether it has more.
async fn first_members(store: &TenantStore, group: &Stored) -> Result<(Vec<Member>, bool)> {
    Ok(store.members().page(group, None, MEMBERS).await?)
}

fn has_members(resource_type: &ResourceType) -> bool {
    resource_type.membership == Some(MembershipAttribute::Members)
}

/// The end of the tenant's feed, also of what the brake holds back: the export has those changes.
async fn position(tenant: &TenantId, store: &TenantStore) -> Result<String> {
    let limits = Limits {
        events: 1,
        bytes: 1,
    };
    let end = read(tenant, store, &After::Now, limits, |_| false, None).await?;
    Ok(end.next.to_string())
}
