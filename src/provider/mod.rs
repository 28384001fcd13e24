//! The service provider's operations, each for every resource type (RFC 7644 §3.2).
//!
//! Each verb has a file. A verb reads a request into the canonical form, checks it against the
//! tenant's schemas and rules, and asks the store for one atomic change.
//!
//! It must not know HTTP, which product the client is, or how the table is laid out.

mod administration;
mod binding;
mod bulk;
mod change;
mod compute;
mod create;
mod delete;
mod entries;
mod extension;
mod finish;
mod get;
mod grant;
mod import;
mod limits;
mod load;
mod members;
mod milestones;
mod pace;
mod password;
mod patch;
mod query;
mod registration;
mod related;
#[cfg(feature = "worker")]
mod removal;
mod repair;
mod replace;
mod representation;
mod request_scope;
mod role;
mod seats;
mod tenants;
mod times;
mod write_context;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

pub use bulk::{Done, OperationSubject, Performed};
pub use compute::{Compute, body_size};
pub use extension::ExtensionUse;
pub use finish::finish;
pub use get::Read;
pub use get::resource_id;
pub use grant::Grant;
pub use import::{
    Arrived, Arriving, ArrivingMembers, IfExists, ImportMode, Importer, MembersArrived, Removed,
    in_order,
};
pub use load::Loader;
pub use pace::CheckPlace;
pub use patch::Patched;
pub use query::{CURSOR_TIMEOUT_SECONDS, Cursors, List, Over, ReadBudget, Rendered};
pub use registration::Registered;
pub use related::{MEMBER_BYTES, Related};
pub use repair::{Checked, Findings, Repair};
pub use representation::Representation;
pub use request_scope::RequestScope;
pub use tenants::{Tenant, Tenants};
pub use times::Times;

use administration::Administration;
use binding::{Roles, roles};
use pace::Pace;
use password::Hasher;
use query::QueryContext;
use seats::TenantAge;
use write_context::WriteContext;

use crate::clock::Clock;
#[cfg(feature = "worker")]
use crate::identity::CredentialId;
use crate::identity::{Cause, CauseKind, TenantId};
use crate::pool::Pool;
use crate::protocol::bulk::BulkRequest;
use crate::protocol::error::Result;
use crate::protocol::message::{Query, Selection};
use crate::protocol::profile::Rules;
use crate::protocol::resource::ResourceId;
use crate::protocol::schema::ResourceType;
use crate::protocol::version::Precondition;
use crate::store::{Meter, PlainItem, SeatShards, Store, TenantConfig};
#[cfg(feature = "worker")]
use crate::tenant::Permissions;
use crate::tenant::{Caller, NewCredential};

/// The longest time that a request may take. API Gateway gives up after 29 seconds.
pub const REQUEST_BUDGET: Duration = Duration::from_secs(20);

/// Performs the operations of SCIM on the table.
pub struct Provider {
    store: Store,
    tenants: Tenants,
    clock: Arc<dyn Clock>,
    roles: Roles,
    cursors: Cursors,
    read_budget: ReadBudget,
    pool: Pool,
    hasher: Hasher,
}

impl Provider {
    /// A provider on this table that seals its cursors with this key.
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, cursors: Cursors) -> Self {
        let tenants = Tenants::new(store.clone(), Arc::clone(&clock));
        Self {
            store,
            tenants,
            roles: roles(Arc::clone(&clock)),
            clock,
            cursors,
            read_budget: ReadBudget::default(),
            pool: Pool::of_machine(),
            hasher: Hasher::default(),
        }
    }

    /// The same with another limit on what a query may read.
    #[must_use]
    pub fn with_read_budget(self, read_budget: ReadBudget) -> Self {
        Self {
            read_budget,
            ..self
        }
    }

    /// The pool for long work.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The number of memory blocks for password hashes in this process, each of 19 MiB.
    #[must_use]
    pub fn hash_buffers(&self) -> usize {
        self.hasher.buffers()
    }

    /// The tenants' configuration.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The table.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Begins a request of an authenticated caller. Its writes are stored with `cause`.
    ///
    /// # Errors
    /// `Unavailable` when the tenant's configuration, the caller's role or its user cannot be read;
    /// `Unauthorized` when that user does not exist or is not active; `Forbidden` when the tenant is
    /// suspended or deleted, or the caller has no permission at all.
    pub async fn scope(
        &self,
        caller: Caller,
        cause: Cause,
        base_url: String,
        meter: Meter,
    ) -> Result<RequestScope> {
        let store = self
            .store
            .for_tenant(&caller.tenant, cause, meter, REQUEST_BUDGET);
        let tenant = self.tenants.get(&caller.tenant, &store).await?;
        tenant.check_active()?;
        let mut scope = RequestScope::new(tenant, store, caller, base_url, &self.pool);
        binding::check_user(&self.store, &scope).await?;
        binding::grant_role(&self.roles, &self.store, &mut scope).await?;
        // After the role, because a narrowed token has nothing of the role beyond its scopes.
        if let Some(scopes) = scope.caller.scope.take() {
            let permissions = &mut scope.caller.permissions;
            permissions.narrow(scopes.iter().map(String::as_str));
        }
        scope.caller.permissions.check_access()?;
        Ok(scope)
    }

    /// Begins a look at a tenant in any state by an operator, who may read everything.
    ///
    /// # Errors
    /// `Unavailable` when the tenant's configuration cannot be read.
    #[cfg(feature = "worker")]
    pub async fn operator_scope(&self, tenant: &TenantId, cause: Cause) -> Result<RequestScope> {
        let store = self
            .store
            .for_tenant(tenant, cause, Meter::default(), REQUEST_BUDGET);
        let view = self.tenants.get(tenant, &store).await?;
        let caller = Caller {
            tenant: tenant.clone(),
            credential: CredentialId::parse("operator")?,
            permissions: Permissions::All,
            role: None,
            user: None,
            signature: None,
            scope: None,
            has_oauth: false,
        };
        Ok(RequestScope::new(
            view,
            store,
            caller,
            String::new(),
            &self.pool,
        ))
    }

    /// Creates a resource.
    ///
    /// # Errors
    /// `InvalidValue` and `InvalidSyntax` for a body that does not fit the type, `Uniqueness` when a
    /// unique value is taken, `Forbidden` for a role that would permit more than the caller may.
    pub async fn create<'r>(
        &self,
        scope: &RequestScope,
        resource_type: &'r ResourceType,
        body: Map<String, Value>,
        selection: &Selection,
    ) -> Result<Representation<'r>> {
        create::create(&self.write_context(scope), resource_type, body, selection).await
    }

    /// Replaces a resource. Attributes that the body leaves out are cleared, except those that no
    /// client can read.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `InvalidValue`, `InvalidSyntax`, `Mutability`, `Uniqueness`;
    /// `Forbidden` for what the caller must not change.
    pub async fn replace<'r>(
        &self,
        scope: &RequestScope,
        resource_type: &'r ResourceType,
        id: &ResourceId,
        body: Map<String, Value>,
        selection: &Selection,
        precondition: &Precondition,
    ) -> Result<Representation<'r>> {
        replace::replace(
            &self.write_context(scope),
            resource_type,
            id,
            body,
            selection,
            precondition,
        )
        .await
    }

    /// Applies a PatchOp message as a whole or not at all.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, and whatever an operation is refused for: `InvalidSyntax`,
    /// `InvalidPath`, `InvalidFilter`, `InvalidValue`, `NoTarget`, `Mutability`, `Uniqueness`,
    /// `Forbidden`.
    pub async fn patch<'r>(
        &self,
        scope: &RequestScope,
        resource_type: &'r ResourceType,
        id: &ResourceId,
        body: Map<String, Value>,
        selection: &Selection,
        precondition: &Precondition,
    ) -> Result<Patched<'r>> {
        patch::patch(
            &self.write_context(scope),
            resource_type,
            id,
            body,
            selection,
            precondition,
        )
        .await
    }

    /// Deletes a resource: afterwards it is in no group, list or index. If an earlier DELETE was
    /// interrupted, this finishes it.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`; `Forbidden` for a role that belongs to the service or that the
    /// caller is bound to.
    pub async fn delete(
        &self,
        scope: &RequestScope,
        resource_type: &ResourceType,
        id: &ResourceId,
        precondition: &Precondition,
    ) -> Result<()> {
        delete::delete(scope, resource_type, id, precondition).await
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// `NotFound`; `VersionMismatch` when `If-Match` does not hold.
    pub async fn get<'r>(
        &self,
        scope: &RequestScope,
        resource_type: &'r ResourceType,
        id: &ResourceId,
        selection: &Selection,
        precondition: &Precondition,
    ) -> Result<Read<'r>> {
        get::get(scope, resource_type, id, selection, precondition).await
    }

    /// Carries out a bulk request. Returns one result for each operation that was tried, in the
    /// order of the request. With `failOnErrors` no operation is tried after that number of errors.
    /// Without it all are tried. An operation that could not begin or end in time has `Unavailable`
    /// as its result.
    ///
    /// `size` is the size of the request's body in bytes.
    ///
    /// # Errors
    /// `Unavailable` if the request could not be planned in time; then nothing was changed.
    pub async fn bulk(
        &self,
        scope: &RequestScope,
        request: BulkRequest,
        size: usize,
    ) -> Result<Vec<Performed>> {
        bulk::bulk(&self.write_context(scope), request, size).await
    }

    /// Lists one page of the resources that match a query, each as `render` writes it. A page ends
    /// where the answer would be too long, so that nothing is read for the resources after it.
    ///
    /// # Errors
    /// `InvalidFilter`; `InvalidValue` for a `sortBy` that is no attribute; `TooMany` when finding
    /// the page would read more than the budget; `InvalidCursor`, `ExpiredCursor` and `InvalidCount`
    /// for a cursor.
    pub async fn query<T>(
        &self,
        scope: &RequestScope,
        over: Over<'_>,
        query: &Query,
        render: impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
    ) -> Result<List<T>> {
        query::list(&self.query_context(scope), over, query, render).await
    }

    /// One page of a group's members in order of their ids, without `totalResults`. `has_filter` is
    /// whether the request has a filter, for which it is refused.
    ///
    /// **Shape**: a member is `{"value":id,"$ref":"Users/…","type":"User"}`; its `$ref` is relative to
    /// the base URL.
    ///
    /// # Errors
    /// `NotFound`; `InvalidCursor` for a cursor of another list, `ExpiredCursor` for one that is too
    /// old or whose members were replaced meanwhile; `InvalidValue` for a filter, a sort or
    /// `startIndex`, which this list does not support.
    pub async fn member_page(
        &self,
        scope: &RequestScope,
        resource_type: &ResourceType,
        id: &str,
        query: &Query,
        has_filter: bool,
    ) -> Result<List<Value>> {
        let context = &self.query_context(scope);
        query::member_page(context, resource_type, id, query, has_filter).await
    }

    /// Registers a schema, or a later form of one that the tenant has registered. No resource uses a
    /// new schema until a resource type names it.
    ///
    /// If it is one of the service's own schemas, it may only add keywords that RFC 7643 does not
    /// define. The schema is then published for this tenant with these keywords.
    ///
    /// # Errors
    /// `InvalidValue` when it breaks RFC 7643 §7, when existing resources might not fit the later
    /// form, or when more than such keywords would change in a schema of the service;
    /// `PayloadTooLarge` when it, or the tenant's whole configuration, would be too large to be read
    /// at once.
    pub async fn add_schema(&self, tenant: &TenantId, schema: &Value) -> Result<Registered> {
        registration::add_schema(&self.administration(tenant, CauseKind::Command), schema).await
    }

    /// Registers a resource type, or further extensions of one that exists.
    ///
    /// # Errors
    /// `InvalidValue` naming what is missing, unknown or reserved, or an extension of the type that
    /// the new form leaves out; `Uniqueness` when the name or the endpoint belongs to another type,
    /// or to a built-in type that has resources; `PayloadTooLarge` as for a schema.
    pub async fn add_resource_type(&self, tenant: &TenantId, value: &Value) -> Result<Registered> {
        self.replace_resource_type(tenant, value, &[]).await
    }

    /// The same, but the new form may leave out the extensions with these URNs.
    ///
    /// # Errors
    /// As [`add_resource_type`](Self::add_resource_type).
    pub async fn replace_resource_type(
        &self,
        tenant: &TenantId,
        value: &Value,
        removed: &[String],
    ) -> Result<Registered> {
        registration::replace_resource_type(
            &self.administration(tenant, CauseKind::Command),
            value,
            removed,
        )
        .await
    }

    /// Removes a schema that the tenant has registered, by its URN. False if there is none.
    ///
    /// # Errors
    /// `Conflict` naming a resource type that uses it; `Unavailable` when the table is out of reach.
    #[cfg(feature = "worker")]
    pub async fn remove_schema(&self, tenant: &TenantId, urn: &str) -> Result<bool> {
        removal::remove_schema(&self.administration(tenant, CauseKind::Command), urn).await
    }

    /// Removes a resource type that the tenant has registered, by its name. False if there is none.
    ///
    /// # Errors
    /// `Conflict` if the tenant has resources of it; `Unavailable` when the table is out of reach.
    #[cfg(feature = "worker")]
    pub async fn remove_resource_type(&self, tenant: &TenantId, name: &str) -> Result<bool> {
        removal::remove_resource_type(&self.administration(tenant, CauseKind::Command), name).await
    }

    /// A tenant's profile and switches.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn rules(&self, tenant: &TenantId) -> Result<Rules> {
        Ok(self
            .administration(tenant, CauseKind::Command)
            .config()
            .await?
            .rules)
    }

    /// Changes a tenant's profile and switches. Returns the resource types whose index on the times
    /// of changes is switched on or off by it.
    ///
    /// Other processes read the change within a minute, one after the other. Until
    /// [`build_indexes`](Self::build_indexes) has ended, all processes maintain that index and no
    /// query uses it, both when it is switched on and when it is switched off. A limit of the active users is
    /// enforced when `build_indexes` has counted them; [`seats`](Self::seats) says whether it has.
    ///
    /// # Errors
    /// `InvalidValue` naming the switch that is out of its range; `Unavailable` when the table is out
    /// of reach.
    pub async fn set_rules(&self, tenant: &TenantId, rules: &Rules) -> Result<Vec<String>> {
        let admin = self.administration(tenant, CauseKind::Command);
        registration::set_rules(&admin, rules, TenantAge::InUse).await
    }

    /// Sets the rules of a new tenant. No process may have read its configuration yet, so nothing has to be
    /// built later.
    ///
    /// # Errors
    /// As [`set_rules`](Self::set_rules).
    pub async fn set_first_rules(&self, tenant: &TenantId, rules: &Rules) -> Result<()> {
        let admin = self.administration(tenant, CauseKind::Command);
        registration::set_rules(&admin, rules, TenantAge::New).await?;
        Ok(())
    }

    /// The seats of a tenant; `None` if the number of its active users has no limit. One call.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn seats(&self, tenant: &TenantId) -> Result<Option<SeatShards>> {
        let admin = self.administration(tenant, CauseKind::Command);
        Ok(admin.store().seats().read().await?)
    }

    /// Fails as the registration of these schemas would, and then that of these resource types. Writes nothing.
    ///
    /// # Errors
    /// As [`add_schema`](Self::add_schema) and [`add_resource_type`](Self::add_resource_type).
    pub async fn check_registrations(
        &self,
        tenant: &TenantId,
        schemas: &[&Value],
        resource_types: &[&Value],
    ) -> Result<()> {
        let admin = self.administration(tenant, CauseKind::Command);
        registration::check(&admin, schemas, resource_types).await
    }

    /// Everything that the table holds of a tenant except its resources.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn config(&self, tenant: &TenantId) -> Result<TenantConfig> {
        self.administration(tenant, CauseKind::Command)
            .config()
            .await
    }

    /// The extensions that this form of a resource type would leave out, with their use by the
    /// resources of the type. If there is such an extension, every resource of the type is read.
    ///
    /// # Errors
    /// As [`add_resource_type`](Self::add_resource_type), apart from the extensions.
    pub async fn omitted_extensions(
        &self,
        tenant: &TenantId,
        value: &Value,
    ) -> Result<Vec<ExtensionUse>> {
        extension::uses_of_omitted(&self.administration(tenant, CauseKind::Command), value).await
    }

    /// Begins to load a tenant's directory. It must be empty, because counters and unique values are
    /// written without a look at existing ones.
    ///
    /// # Errors
    /// `Conflict` when the tenant has resources already.
    pub async fn loader<'s>(
        &self,
        tenant: &TenantId,
        sink: impl FnMut(Vec<PlainItem>) -> Result<()> + Send + 's,
    ) -> Result<Loader<'s>> {
        load::loader(&self.administration(tenant, CauseKind::Import), sink).await
    }

    /// Begins to import resources that were exported, into a tenant that may have some already. The tenant's
    /// configuration is read anew.
    ///
    /// # Errors
    /// `Unavailable` when a newer version of the service has written the tenant's index entries, or the table is out
    /// of reach.
    pub async fn importer<'p>(
        &'p self,
        tenant: &'p TenantId,
        mode: ImportMode,
    ) -> Result<Importer<'p>> {
        import::importer(self.administration(tenant, CauseKind::Import), mode).await
    }

    /// Finishes every change of a tenant whose writer's lease is over, and returns their number. A
    /// change that only a newer version of the service can finish is named in the log and left as it
    /// is.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach; changes that were not finished are left for the
    /// next call.
    pub async fn finish(&self, tenant: &TenantId) -> Result<usize> {
        let cause = Cause::without_credential(CauseKind::Service);
        finish::finish(&self.tenants, tenant, cause).await
    }

    /// Checks that a new credential could be used: the tenant accepts its kind, and its role and its
    /// user exist. The tenant's configuration is read anew, so a switch counts as soon as it is set.
    ///
    /// # Errors
    /// `InvalidValue` naming the switch that is off; `NotFound` naming the role or the user that
    /// does not exist; `Unavailable` when the table is out of reach.
    pub async fn check_new_credential(&self, tenant: &TenantId, new: &NewCredential) -> Result<()> {
        binding::check_new_credential(&self.administration(tenant, CauseKind::Command), new).await
    }

    /// Creates the service's own roles in a tenant, except those whose names the tenant has already.
    /// Returns the names and ids of the created roles.
    ///
    /// # Errors
    /// `Unavailable` when the table is out of reach.
    pub async fn add_own_roles(&self, tenant: &TenantId) -> Result<Vec<(String, String)>> {
        role::add_own_roles(&self.administration(tenant, CauseKind::Command)).await
    }

    /// Writes the entries of every index that is being built, and lets queries use the complete
    /// ones. The entries of an index that was switched off are removed. If the tenant's entries may
    /// be those of an earlier version of the service, all of them are written anew. Where the number of active
    /// users is limited, all of them are counted.
    ///
    /// # Errors
    /// `Conflict` naming the time to wait, while processes may still run that do not know the index
    /// or write entries of an earlier version; `Unavailable` when a newer version has written the
    /// entries, or the table is out of reach. After any error it can be called again.
    pub async fn build_indexes(&self, tenant: &TenantId) -> Result<Findings> {
        let (admin, mut findings) = (self.repair(tenant), Findings::default());
        let built = repair::build_indexes(&admin, &mut findings).await;
        repair::without_pause(built).map(|()| findings)
    }

    /// Looks for unfinished changes, and compares index entries and counters with the resources.
    /// With [`Repair`] it also finishes the changes and corrects what is wrong.
    ///
    /// # Errors
    /// `Unavailable` when a newer version of the service has written the tenant's index entries, or the
    /// table is out of reach.
    pub async fn examine(&self, tenant: &TenantId, repair: Repair) -> Result<Findings> {
        let (admin, mut findings) = (self.repair(tenant), Findings::default());
        let examined = repair::examine(&admin, repair, &mut findings).await;
        repair::without_pause(examined).map(|()| findings)
    }

    /// Does both for a part of a tenant: from a place, or from the beginning, to the first page that ends after
    /// `until`. With [`Repair::Look`] it builds nothing, and says what has to be built.
    ///
    /// # Errors
    /// As [`examine`](Self::examine); `InvalidValue` for a place that the tenant does not have any more.
    pub async fn check(
        &self,
        tenant: &TenantId,
        repair: Repair,
        place: Option<CheckPlace>,
        until: Instant,
    ) -> Result<Checked> {
        repair::check(&mut self.repair(tenant), repair, (place, until)).await
    }

    fn repair<'a>(&'a self, tenant: &'a TenantId) -> Administration<'a> {
        self.administration(tenant, CauseKind::Repair)
    }

    fn administration<'a>(&'a self, tenant: &'a TenantId, kind: CauseKind) -> Administration<'a> {
        Administration {
            tenant,
            cause: Cause::without_credential(kind),
            table: &self.store,
            tenants: &self.tenants,
            clock: &*self.clock,
            pace: Pace::whole(),
        }
    }

    fn write_context<'w>(&'w self, scope: &'w RequestScope) -> WriteContext<'w> {
        WriteContext {
            scope,
            hasher: &self.hasher,
            clock: &*self.clock,
        }
    }

    fn query_context<'p>(&'p self, scope: &'p RequestScope) -> QueryContext<'p> {
        QueryContext {
            scope,
            read_budget: self.read_budget,
            cursors: &self.cursors,
            clock: &*self.clock,
        }
    }
}
