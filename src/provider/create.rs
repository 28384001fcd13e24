//! POST: a new resource (RFC 7644 §3.3).

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Representation;
use super::compute::body_size;
use super::entries::{check_indexed, entries};
use super::limits::check_addresses;
use super::members::create_group;
use super::milestones;
use super::representation::represent_new;
use super::seats;
use super::write_context::WriteContext;
use crate::protocol::error::{Error, Result};
use crate::protocol::message::Selection;
use crate::protocol::projection::Projection;
use crate::protocol::resource::{DraftKind, Resource};
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::store::{Entries, New, Write};

/// Creates a resource, as [`Provider::create`](super::Provider::create) says.
pub(super) async fn create<'r>(
    context: &WriteContext<'_>,
    resource_type: &'r ResourceType,
    body: Map<String, Value>,
    selection: &Selection,
) -> Result<Representation<'r>> {
    let scope = context.scope;
    scope.tenant.check_write()?;
    let mut reading = scope.reading();
    let projection = Projection::new(selection, resource_type, &mut reading);
    let id = Uuid::now_v7().to_string();
    let (now, tenant, size) = (context.now(), &scope.tenant, body_size(&body));
    let read = || {
        let verb = DraftKind::Create { id: &id };
        let registry = &tenant.registry;
        let draft = Resource::from_request(body, resource_type, registry, &mut reading, verb)?;
        scope
            .grant()
            .check_creation(resource_type, &draft.resource)?;
        let domains = &tenant.rules.switches.email_domains;
        check_addresses(resource_type, domains, None, draft.resource.body())?;
        let entries = entries(draft.resource.body(), now, resource_type, &tenant.rules);
        check_indexed(&Entries::default(), &entries)?;
        let seat = seats::of_creation(tenant, resource_type, draft.resource.body(), now);
        let text = draft.resource.to_text();
        Ok::<_, Error>((draft, entries, seat, text))
    };
    let read = scope.compute.run(size, read).await;
    scope.note(&reading);
    let (draft, entries, seat, text) = read??;
    let password = context
        .hasher
        .after(
            &scope.compute,
            scope.tenant.rules.switches.passwords,
            draft.password.as_ref(),
            None,
        )
        .await?;
    let write = Write {
        body: &text,
        entries: &entries,
        password: password.as_deref(),
        seat,
        now,
    };
    let new = New { id: &id, write };
    let members = draft.members.unwrap_or_default();
    let reached = milestones::of_creation(resource_type, !members.is_empty());
    let stored = match resource_type.membership {
        Some(MembershipAttribute::Members) => {
            create_group(scope, resource_type, new, members).await?
        }
        Some(MembershipAttribute::MemberOf) | None => {
            scope.store.resources().create(resource_type, new).await?
        }
    };
    scope.reach(reached);
    let projection = projection.after_write(draft.written);
    represent_new(scope, resource_type, stored, projection).await
}
