//! A change of an existing resource: it is read, changed in memory, and written on the condition
//! that it has not changed since. If it has, everything is done again.

use super::RequestScope;
use super::entries::{check_indexed, entries};
use super::get::{existing, no_such};
use super::limits::{self, Removal};
use super::members::{self, MemberRequest, MemberTypes};
use super::milestones;
use super::role::is_active;
use super::seats;
use super::write_context::WriteContext;
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::{PasswordChange, Resource, ResourceId};
use crate::protocol::schema::{MembershipAttribute, ResourceType};
use crate::protocol::version::{Precondition, changed_since_read};
use crate::store::{
    Backoff, BodyChange, ChangeAttempt, Entries, Guard, Milestones, SeatChange, StoreError, Stored,
    Write,
};

/// The state of a resource after a request.
#[derive(Debug)]
pub(super) struct NewState {
    /// The body.
    pub(super) resource: Resource,
    /// What the request does to the members.
    pub(super) members: MemberRequest,
    /// What the request does to the password.
    pub(super) password: Option<PasswordChange>,
}

/// Why an attempt did not succeed.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The store has refused the write. Another attempt may succeed.
    Store(StoreError),
    /// The request itself is refused. Another attempt would be refused too.
    Refused(Error),
}

impl From<StoreError> for AttemptError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for AttemptError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Changes a resource to the state that `make` returns for its present state. If that is the same
/// state, nothing is written, and version and time stay.
///
/// `size` returns the number of bytes that `make` works on, given the text of the present state.
pub(super) async fn change(
    context: &WriteContext<'_>,
    resource_type: &ResourceType,
    id: &ResourceId,
    precondition: &Precondition,
    size: impl Fn(&str) -> usize,
    mut make: impl FnMut(&Resource) -> Result<NewState>,
) -> Result<Stored> {
    let scope = context.scope;
    scope.tenant.check_write()?;
    let (mut types, mut backoff) = (MemberTypes::default(), Backoff::default());
    loop {
        let before = existing(scope, resource_type, id).await?;
        precondition.check_write(&before.version())?;
        before.check_write()?;
        // The clock of the process that wrote the resource last may be ahead. `lastModified` must
        // not go back.
        let now = context.now().max(before.last_modified());
        let prepare = || prepare(scope, resource_type, (id.as_str(), &before), now, &mut make);
        let prepared = scope.compute.run(size(&before.body), prepare).await??;
        if prepared.is_deactivated {
            limits::check_removal(scope, resource_type, id.as_str(), Removal::Deactivation).await?;
        }
        let guard = if precondition.has_if_match() {
            Guard::Whole
        } else {
            Guard::Changed
        };
        let attempt = ChangeAttempt {
            resource_type,
            before: &before,
            body: None,
            guard,
            now,
        };
        match make_attempt(context, attempt, &prepared, &types).await {
            Ok(stored) => {
                scope.reach(prepared.reached);
                return Ok(stored);
            }
            // The client has named the version that it wants to change.
            Err(AttemptError::Store(StoreError::VersionMismatch)) if guard == Guard::Whole => {
                return Err(changed_since_read());
            }
            // Another request has changed the resource in between. The change is applied to its new
            // state.
            Err(AttemptError::Store(StoreError::VersionMismatch)) => {
                scope.store.pause(&mut backoff).await?;
            }
            // The client did not say the member's type, and the assumed type may be wrong. The next
            // attempt looks it up.
            Err(AttemptError::Store(StoreError::NoMember { id })) => {
                types.infer(scope, &id, &prepared.state.members).await?;
            }
            // The resource was deleted since it was read.
            Err(AttemptError::Store(StoreError::NotFound)) => {
                return Err(no_such(resource_type, id.as_str()));
            }
            Err(AttemptError::Store(error)) => return Err(error.into()),
            Err(AttemptError::Refused(error)) => return Err(error),
        }
    }
}

/// Makes one attempt to write what was prepared.
async fn make_attempt(
    context: &WriteContext<'_>,
    attempt: ChangeAttempt<'_>,
    prepared: &Prepared,
    types: &MemberTypes,
) -> Result<Stored, AttemptError> {
    let (scope, before, state) = (context.scope, attempt.before, &prepared.state);
    let new_password = context
        .hasher
        .after(
            &scope.compute,
            scope.tenant.rules.switches.passwords,
            state.password.as_ref(),
            before.password.as_deref(),
        )
        .await?;
    let is_changed = prepared.text != before.body || new_password != before.password;
    let body = is_changed.then_some(BodyChange {
        entries_before: &prepared.entries_before,
        write: Write {
            body: &prepared.text,
            entries: &prepared.entries_after,
            password: new_password.as_deref(),
            seat: prepared.seat,
            now: attempt.now,
        },
    });
    if attempt.resource_type.membership == Some(MembershipAttribute::Members) {
        let plan = members::plan(scope, before, &state.members, types).await?;
        let reached = milestones::of_members(&plan);
        let attempt = ChangeAttempt { body, ..attempt };
        let groups = scope.store.groups();
        let changed = groups.change(attempt, plan, &scope.tenant.registry).await?;
        scope.reach(reached);
        return Ok(changed);
    }
    match body {
        Some(body) => {
            let resources = scope.store.resources();
            Ok(resources
                .update(attempt.resource_type, before, body)
                .await?)
        }
        None => Ok(before.clone()),
    }
}

/// The new state of a resource, with all that is derived from it.
struct Prepared {
    state: NewState,
    /// The new body as it is stored.
    text: String,
    entries_before: Entries,
    entries_after: Entries,
    /// The milestones that the change of the body reaches.
    reached: Milestones,
    /// What happens to the seat of a user.
    seat: SeatChange,
    /// Whether the resource was active and is not any more.
    is_deactivated: bool,
}

/// Computes a change, without a call to the table.
fn prepare(
    scope: &RequestScope,
    resource_type: &ResourceType,
    (id, before): (&str, &Stored),
    now: u64,
    make: &mut impl FnMut(&Resource) -> Result<NewState>,
) -> Result<Prepared> {
    let existing = Resource::from_text(&before.body)?;
    scope.grant().check_target(resource_type, id, &existing)?;
    let state = make(&existing)?;
    scope
        .grant()
        .check_change(resource_type, &existing, &state.resource)?;
    let rules = &scope.tenant.rules;
    let (old, new) = (existing.body(), state.resource.body());
    let domains = &rules.switches.email_domains;
    limits::check_addresses(resource_type, domains, Some(old), new)?;
    let entries_before = entries(existing.body(), before.modified, resource_type, rules);
    let entries_after = entries(state.resource.body(), now, resource_type, rules);
    check_indexed(&entries_before, &entries_after)?;
    let reached = milestones::of_change(resource_type, existing.body(), state.resource.body());
    Ok(Prepared {
        reached,
        seat: seats::of_change(&scope.tenant, resource_type, before, (old, new), now),
        is_deactivated: is_active(old) && !is_active(new),
        text: state.resource.to_text(),
        state,
        entries_before,
        entries_after,
    })
}
