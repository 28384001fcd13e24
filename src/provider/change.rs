//! A change of an existing resource: read, decide, write on the condition that it is still what was
//! read; again when it is not.

use super::entries::{check_indexed, entries};
use super::members::{Kinds, MemberIntent};
use super::{Provider, Scope};
use crate::protocol::error::{Error, Result};
use crate::protocol::resource::{PasswordChange, Resource};
use crate::protocol::schema::{Membership, ResourceType};
use crate::protocol::version::Precondition;
use crate::store::{Backoff, BodyChange, Change, Entries, Guard, StoreError, Stored, Write};

/// What a request makes of a resource.
#[derive(Debug)]
pub(super) struct NewState {
    /// The body.
    pub(super) resource: Resource,
    /// What happens to the members.
    pub(super) members: MemberIntent,
    /// What happens to the password.
    pub(super) password: Option<PasswordChange>,
}

/// One attempt to write a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round<'r> {
    /// The resource's type.
    pub(super) resource_type: &'r ResourceType,
    /// The resource as it was read.
    pub(super) before: &'r Stored,
    /// The new body, if it changes.
    pub(super) body: Option<BodyChange<'r>>,
    /// What must not have changed since.
    pub(super) guard: Guard,
    /// The time of the change, in milliseconds since the Unix epoch.
    pub(super) now: u64,
}

/// Why a round did not succeed.
#[derive(Debug)]
pub(super) enum Setback {
    /// The store refused; another round may help.
    Store(StoreError),
    /// The request is wrong.
    Refused(Error),
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Provider {
    /// Changes a resource by what `make` makes of its present state. A change that changes nothing
    /// writes nothing: version and time stay.
    ///
    /// `size` is how many bytes the request works on, given the text of the present state.
    pub(super) async fn change(
        &self,
        scope: &Scope,
        resource_type: &ResourceType,
        id: &str,
        precondition: &Precondition,
        size: impl Fn(&str) -> usize,
        mut make: impl FnMut(&Resource) -> Result<NewState>,
    ) -> Result<Stored> {
        let (mut kinds, mut backoff) = (Kinds::default(), Backoff::default());
        loop {
            let before = scope.existing(resource_type, id).await?;
            precondition.check_write(&before.version())?;
            // Another process's clock may be ahead; a resource does not get younger.
            let now = self.now().max(before.last_modified());
            let outcome = || outcome(scope, resource_type, (id, &before), now, &mut make);
            let outcome = scope.compute.run(size(&before.body), outcome).await??;
            let guard = if precondition.has_if_match() {
                Guard::Whole
            } else {
                Guard::Changed
            };
            let round = Attempt {
                scope,
                resource_type,
                before: &before,
                outcome: &outcome,
                guard,
                now,
            };
            match self.attempt(round, &mut kinds).await {
                Ok(stored) => return Ok(stored),
                Err(Setback::Store(StoreError::VersionMismatch)) if guard == Guard::Whole => {
                    return Err(Error::version_mismatch(
                        "The resource has changed since it was read",
                    ));
                }
                Err(Setback::Store(StoreError::VersionMismatch)) => {
                    scope.store.pause(&mut backoff).await?;
                }
                Err(Setback::Store(StoreError::NoMember { id })) => {
                    kinds.infer(scope, &id, &outcome.state.members).await?;
                }
                Err(Setback::Store(StoreError::NotFound)) => {
                    return Err(super::get::no_such(resource_type, id));
                }
                Err(Setback::Store(error)) => return Err(error.into()),
                Err(Setback::Refused(error)) => return Err(error),
            }
        }
    }

    async fn attempt(&self, attempt: Attempt<'_>, kinds: &mut Kinds) -> Result<Stored, Setback> {
        let Attempt {
            scope,
            resource_type,
            before,
            outcome,
            guard,
            now,
        } = attempt;
        let state = &outcome.state;
        let new_password = self
            .password(scope, state.password.as_ref(), before.password.as_deref())
            .await?;
        let is_changed = outcome.text != before.body || new_password != before.password;
        let write = Write {
            body: &outcome.text,
            entries: &outcome.entries_after,
            password: new_password.as_deref(),
            now,
        };
        let body = is_changed.then_some(BodyChange {
            entries_before: &outcome.entries_before,
            write,
        });
        let round = Round {
            resource_type,
            before,
            body,
            guard,
            now,
        };
        if resource_type.membership == Some(Membership::Members) {
            return self.change_group(scope, round, &state.members, kinds).await;
        }
        if body.is_none() {
            return Ok(before.clone());
        }
        let change = Change {
            body,
            now,
            guard,
            ..Change::default()
        };
        Ok(scope.store.update(resource_type, before, change).await?)
    }
}

/// What one round works with.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    scope: &'a Scope,
    resource_type: &'a ResourceType,
    before: &'a Stored,
    outcome: &'a Outcome,
    guard: Guard,
    /// The time of the change, in milliseconds since the Unix epoch.
    now: u64,
}

/// What a request makes of a resource, with everything that follows from it.
struct Outcome {
    state: NewState,
    /// The new body as it is stored.
    text: String,
    entries_before: Entries,
    entries_after: Entries,
}

/// Works out a change, without any call to the table.
fn outcome(
    scope: &Scope,
    resource_type: &ResourceType,
    (id, before): (&str, &Stored),
    now: u64,
    make: &mut impl FnMut(&Resource) -> Result<NewState>,
) -> Result<Outcome> {
    let existing = Resource::from_text(&before.body)?;
    scope.grant().check_target(resource_type, id, &existing)?;
    let state = make(&existing)?;
    scope
        .grant()
        .check_change(resource_type, &existing, &state.resource)?;
    let rules = &scope.tenant.rules;
    let entries_before = entries(existing.body(), before.modified, resource_type, rules);
    let entries_after = entries(state.resource.body(), now, resource_type, rules);
    check_indexed(&entries_before, &entries_after)?;
    Ok(Outcome {
        text: state.resource.to_text(),
        state,
        entries_before,
        entries_after,
    })
}
