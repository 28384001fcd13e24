//! The service provider's operations, each for every resource type (RFC 7644 §3.2).
//!
//! One verb, one file. A verb reads a request into the canonical form, decides with the tenant's
//! schemas and rules, and asks the store for one atomic change. It must not know HTTP, which client
//! is calling, or how the table is laid out.

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
mod load;
mod members;
mod password;
mod patch;
mod query;
mod registration;
mod related;
mod repair;
mod replace;
mod representation;
mod role;
mod scope;
mod tenants;
mod times;
mod write_context;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

pub use bulk::{Performed, Subject};
pub use compute::{Compute, body_size};
pub use extension::ExtensionUse;
pub use get::resource_id;
pub use grant::Grant;
pub use load::Loader;
pub use query::{CURSOR_TIMEOUT_SECONDS, Cursors, List, Over, ReadBudget, Rendered};
pub use registration::Registered;
pub use related::{MEMBER_BYTES, Related};
pub use repair::{Findings, Repair};
pub use representation::Representation;
pub use scope::Scope;
pub use tenants::{Tenant, Tenants};
pub use times::Times;

use password::Hasher;
use query::QueryContext;
use role::{Roles, roles};
use write_context::WriteContext;

use crate::clock::Clock;
use crate::pool::Pool;
use crate::protocol::bulk::BulkRequest;
use crate::protocol::error::Result;
use crate::protocol::message::{Query, Selection};
use crate::protocol::resource::ResourceId;
use crate::protocol::schema::ResourceType;
use crate::protocol::version::{Precondition, Version};
use crate::store::{Meter, Store};
use crate::tenant::Caller;

/// The longest a request may take; API Gateway gives up after 29 seconds.
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

/// What a PATCH answers with.
#[derive(Debug)]
pub enum Patched<'r> {
    /// The resource as it is now.
    Resource(Representation<'r>),
    /// Its new version only, which is the entity tag.
    NoContent(Version),
}

/// What a GET of one resource answers with.
#[derive(Debug)]
pub enum Read<'r> {
    /// The resource.
    Found(Representation<'r>),
    /// The client has this version already.
    NotModified(Version),
}

impl Provider {
    /// A provider on this table, whose cursors are sealed with these keys.
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

    /// The same with another budget for what a query may read.
    #[must_use]
    pub fn with_read_budget(self, read_budget: ReadBudget) -> Self {
        Self {
            read_budget,
            ..self
        }
    }

    /// The same with another pool for work that takes long.
    #[must_use]
    pub fn with_pool(self, pool: Pool) -> Self {
        Self { pool, ..self }
    }

    /// The pool for work that takes long.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The number of memory blocks for password hashes that exist, each of 19 MiB.
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

    /// Begins a request of an authenticated caller.
    ///
    /// # Errors
    /// `Unavailable` when the tenant's configuration, the caller's role or its user cannot be read;
    /// `Unauthorized` when that user is gone or not active; `Forbidden` when the caller may do nothing
    /// at all.
    pub async fn scope(&self, caller: Caller, base_url: String, meter: Meter) -> Result<Scope> {
        let store = self.store.for_tenant(&caller.tenant, meter, REQUEST_BUDGET);
        let tenant = self.tenants.get(&caller.tenant, &store).await?;
        let mut scope = Scope::new(tenant, store, caller, base_url, &self.pool);
        self.check_user(&scope).await?;
        self.grant_role(&mut scope).await?;
        scope.caller.permissions.check_access()?;
        Ok(scope)
    }

    /// Creates a resource.
    ///
    /// # Errors
    /// `InvalidValue` and `InvalidSyntax` for a body that does not fit the type, `Uniqueness` when a
    /// unique value is taken, `Forbidden` for a role that would permit more than the caller may.
    pub async fn create<'r>(
        &self,
        scope: &Scope,
        resource_type: &'r ResourceType,
        body: Map<String, Value>,
        selection: &Selection,
    ) -> Result<Representation<'r>> {
        create::create(&self.write_context(scope), resource_type, body, selection).await
    }

    /// Replaces a resource. What the body leaves out is cleared, apart from what no client can read.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, `InvalidValue`, `InvalidSyntax`, `Mutability`, `Uniqueness`;
    /// `Forbidden` for what the caller must not change.
    pub async fn replace<'r>(
        &self,
        scope: &Scope,
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

    /// Applies a PatchOp message, all of it or nothing.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`, and whatever an operation is refused for: `InvalidSyntax`,
    /// `InvalidPath`, `InvalidFilter`, `InvalidValue`, `NoTarget`, `Mutability`, `Uniqueness`,
    /// `Forbidden`.
    pub async fn patch<'r>(
        &self,
        scope: &Scope,
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

    /// Deletes a resource: afterwards it is in no group, list or index. A DELETE of what an earlier
    /// one left half deleted finishes that.
    ///
    /// # Errors
    /// `NotFound`, `VersionMismatch`; `Forbidden` for a role that belongs to the service or that the
    /// caller is bound to.
    pub async fn delete(
        &self,
        scope: &Scope,
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
        scope: &Scope,
        resource_type: &'r ResourceType,
        id: &ResourceId,
        selection: &Selection,
        precondition: &Precondition,
    ) -> Result<Read<'r>> {
        get::get(scope, resource_type, id, selection, precondition).await
    }

    /// Carries out a bulk request: one result for each operation that was tried, in the order of the
    /// request. With `failOnErrors` nothing is tried after so many errors; otherwise everything is,
    /// as far as there is time, and what is not has `Unavailable` as its result.
    ///
    /// `size` is the size of the request's body in bytes.
    ///
    /// # Errors
    /// `Unavailable` if the request could not be planned in time; then nothing was done.
    pub async fn bulk(
        &self,
        scope: &Scope,
        request: BulkRequest,
        size: usize,
    ) -> Result<Vec<Performed>> {
        bulk::bulk(&self.write_context(scope), request, size).await
    }

    /// Lists the resources that match a query, one page of them, each as `render` writes it. A page
    /// ends where the answer would be too long, so what belongs to further resources is not read.
    ///
    /// # Errors
    /// `InvalidFilter`; `InvalidValue` for a sort that is none; `TooMany` when finding the page would
    /// read more than the budget; `InvalidCursor`, `ExpiredCursor` and `InvalidCount` for a cursor.
    pub async fn query<T>(
        &self,
        scope: &Scope,
        over: Over<'_>,
        query: &Query,
        render: impl Fn(&Representation<'_>) -> Result<Rendered<T>>,
    ) -> Result<List<T>> {
        query::list(&self.query_context(scope), over, query, render).await
    }

    /// One page of a group's members in order of their ids, without `totalResults`.
    ///
    /// **Shape**: a member is `{"value":id,"$ref":"Users/…","type":"User"}`; its `$ref` is relative to
    /// the base URL.
    ///
    /// # Errors
    /// `NotFound`; `InvalidCursor` for a cursor of something else, `ExpiredCursor` for one that is too
    /// old or whose members were replaced meanwhile; `InvalidValue` for a filter, a sort or
    /// `startIndex`, which this list does not have.
    pub async fn member_page(
        &self,
        scope: &Scope,
        resource_type: &ResourceType,
        id: &str,
        query: &Query,
    ) -> Result<List<Value>> {
        query::member_page(&self.query_context(scope), resource_type, id, query).await
    }

    fn write_context<'w>(&'w self, scope: &'w Scope) -> WriteContext<'w> {
        WriteContext {
            scope,
            hasher: &self.hasher,
            clock: &*self.clock,
        }
    }

    fn query_context<'p>(&'p self, scope: &'p Scope) -> QueryContext<'p> {
        QueryContext {
            scope,
            read_budget: self.read_budget,
            cursors: &self.cursors,
            clock: &*self.clock,
        }
    }

    fn now(&self) -> u64 {
        self.clock.now_millis()
    }
}
