//! The stack's list of tenants: which there are, which of them are suspended or deleted, and when
//! something of a deleted one is to be removed.
//!
//! - The list says what the state of a tenant is. A change of it is one transaction of up to four items:
//!   the tenant on the list, the state in the tenant's own configuration, which requests read, and the old
//!   and the new entry of the purge.
//! - Each change is made on the condition that the tenant on the list is as it was read. So of two
//!   operators, or of an operator and the purge, one is refused and looks again.
//!
//! It must not know how a tenant is emptied.

mod state;

use super::error::StoreError;
use super::items::{self, ConfigurationItem, PurgeItem, TenantItem};
use super::key_range::{EVERY_KEY, KeyRange};
use super::keys::{ItemKey, Keys, SEPARATOR, StackKeys};
use super::projected_attributes::ProjectedAttributes;
use super::stored::{self, Item, n, random_id, s};
use super::table::query::{Query, Window};
use super::table::transaction::Transaction;
use super::table::write::{Condition, Delete, Put, Update};
use super::table::{Table, get};
use crate::identity::TenantId;
use crate::protocol::profile::Rules;

pub(super) use state::STATE_KEY;
pub use state::TenantState;

/// The `kind` of a tenant on the list.
pub(super) const TENANT_KIND: &str = "HT";
/// The `kind` of an entry of the purge.
const PURGE_KIND: &str = "HX";
/// The `kind` of the items of a configuration.
const CONFIGURATION_KIND: &str = "T";
/// The number of entries of the purge that one call reads.
const ENTRIES: usize = 25;
/// The largest number of entries of the purge that are looked at to find the tenants for one round.
const MAX_ENTRIES: usize = 1_000;
/// The `kind` of the item with the state, whose changes go into the feed.
const STATE_KIND: &str = "TS";

/// A tenant on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTenant {
    /// The name.
    pub id: TenantId,
    /// When it was created, in milliseconds since the Unix epoch; `None` if an early version created it.
    pub created: Option<u64>,
    /// The suspension, which stays while the tenant is deleted: a restored tenant is as it was before.
    pub suspension: Option<Suspension>,
    /// The deletion.
    pub deletion: Option<Deletion>,
    /// The number of changes; `None` for a tenant that is not on the list yet or was never changed.
    revision: Option<u64>,
    /// Whether it is on the list.
    is_listed: bool,
}

/// That a tenant's requests are refused until an operator resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suspension {
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Why, as a text for the people who run the service.
    pub reason: Option<String>,
}

/// That a tenant is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deletion {
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// When the purge begins, in milliseconds since the Unix epoch.
    pub purge_at: u64,
    /// How far the purge is.
    pub stage: PurgeStage,
    /// When the purge has to look at the tenant next, in milliseconds since the Unix epoch.
    pub due: u64,
}

/// How far the purge of a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PurgeStage {
    /// It has not begun: the tenant can be restored.
    Waiting,
    /// It has begun: the feed ends, and no process begins anything for the tenant.
    Begun,
    /// Everything but the state is removed, also the secret.
    Emptied,
}

/// Some tenants of the list, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPage<T> {
    /// The tenants.
    pub tenants: Vec<T>,
    /// The sort keys of the items between them that no version of the service has written. An operator has to mend
    /// or to remove them.
    pub unreadable: Vec<String>,
    /// The tenant to go on after, if the list has more.
    pub next: Option<TenantId>,
}

/// The deleted tenants that the purge has to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DuePurges {
    /// Those that have waited for longest, in this order.
    pub tenants: Vec<ListedTenant>,
    /// The sort keys of entries of the purge that have no name of a tenant, or whose tenant on the list cannot be
    /// read.
    pub unreadable: Vec<String>,
}

/// The stack's list of tenants.
#[derive(Clone, Copy)]
pub struct TenantList<'t> {
    table: &'t Table<StackKeys>,
}

impl ListedTenant {
    /// A tenant that is not on the list. A change of it puts it there, if it is not there by then.
    #[must_use]
    pub fn unlisted(id: TenantId) -> Self {
        Self {
            id,
            created: None,
            suspension: None,
            deletion: None,
            revision: None,
            is_listed: false,
        }
    }

    /// The same tenant with another suspension, or none.
    #[must_use]
    pub fn with_suspension(&self, suspension: Option<Suspension>) -> Self {
        Self {
            suspension,
            ..self.clone()
        }
    }

    /// The same tenant with another deletion, or none.
    #[must_use]
    pub fn with_deletion(&self, deletion: Option<Deletion>) -> Self {
        Self {
            deletion,
            ..self.clone()
        }
    }

    /// Whether its requests are answered.
    #[must_use]
    pub fn state(&self) -> TenantState {
        match (&self.deletion, &self.suspension) {
            (Some(deletion), _) => TenantState::Deleting {
                since: deletion.since,
                purge_at: deletion.purge_at,
            },
            (None, Some(suspension)) => TenantState::Suspended {
                since: suspension.since,
                reason: suspension.reason.clone(),
            },
            (None, None) => TenantState::Active,
        }
    }

    /// Whether the purge has to look at it at this [time](sort_time).
    fn is_due_at(&self, time: &str) -> bool {
        self.deletion
            .is_some_and(|deletion| sort_time(deletion.due) == time)
    }

    fn read(item: Item) -> Result<Self, StoreError> {
        let item: TenantItem = items::from_item(item)?;
        let purge = item.purge.as_deref();
        let stage = match purge {
            None => PurgeStage::Waiting,
            Some(name) => PurgeStage::named(name).ok_or_else(|| stored::malformed("purge"))?,
        };
        let deletion = item.deleted.zip(item.purge_at);
        Ok(Self {
            id: tenant(&item.sk)?,
            created: item.created,
            suspension: item.suspended.map(|since| Suspension {
                since,
                reason: item.reason,
            }),
            deletion: deletion.map(|(since, purge_at)| Deletion {
                since,
                purge_at,
                stage,
                due: item.due.unwrap_or(purge_at),
            }),
            revision: item.revision,
            is_listed: true,
        })
    }
}

impl PurgeStage {
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Emptied => "emptied",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let stages = [Self::Waiting, Self::Begun, Self::Emptied];
        stages.into_iter().find(|stage| stage.name() == name)
    }
}

impl<'t> TenantList<'t> {
    pub(super) fn new(table: &'t Table<StackKeys>) -> Self {
        Self { table }
    }

    /// The tenant of this name; `None` if it is not on the list. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn get(self, tenant: &TenantId) -> Result<Option<ListedTenant>, StoreError> {
        let item = get::one(self.table, &self.key(tenant)).await?;
        item.map(ListedTenant::read).transpose()
    }

    /// The tenants after one, in the order of their names: at most `limit`, and where to go on if there are
    /// more. One call.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn page(
        self,
        after: Option<&TenantId>,
        limit: usize,
    ) -> Result<TenantPage<ListedTenant>, StoreError> {
        self.part(after, limit, ListedTenant::read).await
    }

    /// The same by their names only, whatever else their items have.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn names(
        self,
        after: Option<&TenantId>,
        limit: usize,
    ) -> Result<TenantPage<TenantId>, StoreError> {
        let name = |item| tenant(stored::text(&item, "sk")?);
        self.part(after, limit, name).await
    }

    async fn part<T>(
        self,
        after: Option<&TenantId>,
        limit: usize,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<TenantPage<T>, StoreError> {
        let partition = self.table.keys().tenants();
        let mut after = after.map(|tenant| tenant.as_str().to_owned());
        let mut part = TenantPage {
            tenants: Vec::new(),
            unreadable: Vec::new(),
            next: None,
        };
        loop {
            let window = Window {
                after: after.as_deref(),
                limit: Some(limit),
                ..Window::default()
            };
            let query = Query::new(&partition, &EVERY_KEY, ProjectedAttributes::All).within(window);
            let page = query.page(self.table).await?;
            for item in page.items {
                let key = stored::text(&item, "sk")?.to_owned();
                match read(item) {
                    Ok(tenant) => part.tenants.push(tenant),
                    // The other tenants do not wait for an item that an operator has to mend.
                    Err(_) => part.unreadable.push(key),
                }
            }
            let Some(last) = page.next else {
                return Ok(part);
            };
            match TenantId::parse(&last) {
                Ok(next) => {
                    part.next = Some(next);
                    return Ok(part);
                }
                // The caller can go on after a tenant only, so the page ends with the next one.
                Err(_) => after = Some(last),
            }
        }
    }

    /// Puts a new tenant on the list, together with its rules. False if it is there already. One
    /// transaction.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether it was made; `Backend`.
    pub async fn create(
        self,
        tenant: &TenantId,
        rules: &Rules,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut listed = Update::unnamed(self.key(tenant));
        listed
            .require("attribute_not_exists(pk)")
            .set("#kind = :kind, created = :now, revision = :one")
            .name("#kind", "kind")
            .value(":kind", s(TENANT_KIND))
            .value(":now", n(now))
            .value(":one", n(1));
        let rules = serde_json::to_string(rules);
        let configuration = ConfigurationItem {
            sk: "config".to_owned(),
            kind: CONFIGURATION_KIND.to_owned(),
            body: rules.map_err(|error| StoreError::Backend(error.into()))?,
        };
        let partition = Keys::new(tenant).tenant();
        let mut transaction = Transaction::default();
        transaction.push(listed, ());
        transaction.push(
            Put::new(items::to_item(partition.as_str(), configuration)),
            (),
        );
        let committed = transaction.commit(self.table, &random_id()).await?;
        Ok(committed.is_ok())
    }

    /// Changes a tenant from `seen`, as it was read, to `next`. False if it was changed since. One
    /// transaction.
    ///
    /// # Errors
    /// `Unavailable`, after which it is not known whether it was changed; `Backend`.
    pub async fn change(
        self,
        seen: &ListedTenant,
        next: &ListedTenant,
    ) -> Result<bool, StoreError> {
        let mut transaction = Transaction::default();
        transaction.push(self.update(seen, next), ());
        let key = Keys::new(&seen.id).tenant().key(STATE_KEY);
        match next.state().text() {
            Some(text) => {
                let mut state = Update::unnamed(key);
                state
                    .set("#kind = :kind, body = :body")
                    .name("#kind", "kind")
                    .value(":kind", s(STATE_KIND))
                    .value(":body", s(text));
                transaction.push(state, ());
            }
            None => transaction.push(Delete::new(key), ()),
        }
        let due = |tenant: &ListedTenant| tenant.deletion.map(|deletion| deletion.due);
        let (before, after) = (due(seen), due(next));
        if let Some(due) = before.filter(|due| Some(*due) != after) {
            transaction.push(Delete::new(self.purge_key(due, &seen.id)), ());
        }
        if let Some(due) = after {
            transaction.push(self.put_purge(due, &seen.id), ());
        }
        let committed = transaction.commit(self.table, &random_id()).await?;
        Ok(committed.is_ok())
    }

    /// Takes a tenant that is emptied off the list, with its state and its entry of the purge. False if
    /// that was done before. One transaction.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn remove(self, seen: &ListedTenant) -> Result<bool, StoreError> {
        let mut transaction = Transaction::default();
        let listed = Delete::new(self.key(&seen.id));
        transaction.push(listed.when(as_seen(seen)), ());
        let state = Keys::new(&seen.id).tenant().key(STATE_KEY);
        transaction.push(Delete::new(state), ());
        if let Some(deletion) = &seen.deletion {
            transaction.push(Delete::new(self.purge_key(deletion.due, &seen.id)), ());
        }
        let committed = transaction.commit(self.table, &random_id()).await?;
        Ok(committed.is_ok())
    }

    /// The deleted tenants that the purge has to look at by `now`, in milliseconds since the Unix epoch: at
    /// most `limit`, those first that have waited for longest. One call, and one for each of them.
    ///
    /// Entries that lead to nothing are passed over, up to `MAX_ENTRIES`, so that no number of them up to that
    /// keeps other tenants waiting.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn due(self, now: u64, limit: usize) -> Result<DuePurges, StoreError> {
        let partition = self.table.keys().purges();
        let range = KeyRange::less(&sort_time(now + 1));
        let (mut due, mut after, mut rest) = (DuePurges::default(), None::<String>, MAX_ENTRIES);
        while rest > 0 {
            let window = Window {
                after: after.as_deref(),
                limit: Some(ENTRIES.min(rest)),
                ..Window::default()
            };
            let query = Query::new(&partition, &range, ProjectedAttributes::All).within(window);
            let page = query.page(self.table).await?;
            rest = rest.saturating_sub(page.items.len());
            for item in page.items {
                if due.tenants.len() == limit {
                    return Ok(due);
                }
                let key = stored::text(&item, "sk")?;
                let parts = key.split_once(SEPARATOR);
                let parts = parts.and_then(|(time, name)| Some((time, tenant(name).ok()?)));
                let Some((time, tenant)) = parts else {
                    due.unreadable.push(key.to_owned());
                    continue;
                };
                let listed = get::one(self.table, &self.key(&tenant)).await?;
                match listed.map(ListedTenant::read).transpose() {
                    // An entry of another time is left over from an item that was removed by hand.
                    Ok(listed) => due.tenants.extend(listed.filter(|it| it.is_due_at(time))),
                    // The other tenants do not wait for an item that an operator has to mend.
                    Err(_) => due.unreadable.push(key.to_owned()),
                }
            }
            match page.next {
                Some(last) => after = Some(last),
                None => return Ok(due),
            }
        }
        Ok(due)
    }

    fn update(self, seen: &ListedTenant, next: &ListedTenant) -> Update {
        let mut update = Update::unnamed(self.key(&seen.id));
        match (seen.is_listed, seen.revision) {
            (false, _) => update.require("attribute_not_exists(pk)"),
            (true, None) => {
                update.require("attribute_exists(pk) AND attribute_not_exists(revision)")
            }
            (true, Some(revision)) => update
                .require("revision = :seen")
                .value(":seen", n(revision)),
        };
        let (suspension, deletion) = (&next.suspension, next.deletion);
        let reason = suspension.as_ref().and_then(|it| it.reason.as_deref());
        let purge = deletion.filter(|deletion| deletion.stage != PurgeStage::Waiting);
        update
            .set("#kind = :kind, revision = :next")
            .name("#kind", "kind")
            .value(":kind", s(TENANT_KIND))
            .value(":next", n(seen.revision.unwrap_or(0) + 1))
            .set_or_remove("suspended", suspension.as_ref().map(|it| n(it.since)))
            .set_or_remove("reason", reason.map(s))
            .set_or_remove("deleted", deletion.map(|it| n(it.since)))
            .set_or_remove("purgeAt", deletion.map(|it| n(it.purge_at)))
            .set_or_remove("purge", purge.map(|it| s(it.stage.name())))
            .set_or_remove("due", deletion.map(|it| n(it.due)));
        update
    }

    fn put_purge(self, due: u64, tenant: &TenantId) -> Put {
        let item = PurgeItem {
            sk: purge_sort_key(due, tenant),
            kind: PURGE_KIND.to_owned(),
        };
        Put::new(items::to_item(self.table.keys().purges().as_str(), item))
    }

    fn purge_key(self, due: u64, tenant: &TenantId) -> ItemKey {
        self.table.keys().purges().key(purge_sort_key(due, tenant))
    }

    fn key(self, tenant: &TenantId) -> ItemKey {
        self.table.keys().tenants().key(tenant.as_str())
    }
}

/// The condition that a tenant on the list is as it was read.
fn as_seen(seen: &ListedTenant) -> Condition {
    match seen.revision {
        None => Condition::new("attribute_exists(pk) AND attribute_not_exists(revision)"),
        Some(revision) => Condition::new("revision = :seen").value(":seen", n(revision)),
    }
}

fn purge_sort_key(due: u64, tenant: &TenantId) -> String {
    format!("{}{SEPARATOR}{tenant}", sort_time(due))
}

/// Milliseconds since the Unix epoch with a fixed width, so that keys are in the order of the times.
fn sort_time(millis: u64) -> String {
    format!("{millis:015}")
}

fn tenant(name: &str) -> Result<TenantId, StoreError> {
    TenantId::parse(name).map_err(|error| StoreError::Backend(error.into()))
}
