//! A query bound to resource types, and planned.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::super::RequestScope;
use super::Over;
use crate::protocol::error::{Error, Result};
use crate::protocol::filter::BoundFilter;
use crate::protocol::message::{Query, QueryFilter, Selection};
use crate::protocol::profile::Reading;
use crate::protocol::schema::{IndexState, ResourceType};
use crate::protocol::sort::{SortBy, SortOrder};
use crate::store::{Access, Plan, Total};

/// A query, with everything decided that can be decided without the table.
pub(super) struct Search<'r> {
    /// The branches, in the order in which they are read.
    pub(super) branches: Vec<SearchBranch<'r>>,
    /// The order, if the list has to be sorted in memory.
    pub(super) sorted: Option<SortOrder>,
    /// How the number of matches is found.
    pub(super) total: Total,
    /// The attributes that the answer shows.
    pub(super) selection: &'r Selection,
    /// The largest number of resources on a page.
    pub(super) size: usize,
    /// Whether the request has a `count`.
    pub(super) sized: bool,
    /// The name of the walk: of all pages of this list, one after the other. It is a hash of the
    /// caller and the query, from which neither can be read.
    pub(super) walk: String,
    types: Vec<&'r ResourceType>,
    plans: Vec<Plan>,
}

/// One branch of the plan of one resource type.
pub(super) struct SearchBranch<'r> {
    pub(super) resource_type: &'r ResourceType,
    pub(super) access: Access,
    pub(super) residual: BoundFilter,
    /// The order, if the list has to be sorted in memory.
    pub(super) sort: Option<SortBy>,
    /// The number of branches before this one that may find the same resources.
    pub(super) overlaps: usize,
}

impl<'r> Search<'r> {
    /// Binds a query to the types that it is over, and plans what to read.
    ///
    /// # Errors
    /// `InvalidFilter`; `InvalidValue` for a `sortBy` that is no attribute; `Sensitive` for a filter in a
    /// URL that names a sensitive attribute.
    pub(super) fn bind(
        scope: &'r RequestScope,
        over: Over<'r>,
        query: &'r Query,
        reading: &mut Reading<'_>,
    ) -> Result<Self> {
        let types: Vec<&ResourceType> = match over {
            Over::Type(resource_type) => vec![resource_type],
            Over::All => {
                let types = scope.tenant.registry.resource_types().iter();
                types.map(AsRef::as_ref).collect()
            }
        };
        let filters = match &query.filter {
            None => vec![BoundFilter::Constant(true); types.len()],
            Some(QueryFilter { filter, .. }) => {
                if query.exposed {
                    filter.check_exposable(&types, reading)?;
                }
                filter.bind_each(&types, reading)?
            }
        };
        let sorts = match &query.sort_by {
            None => vec![None; types.len()],
            Some(text) => {
                let sorts = SortBy::bind_each(text, query.sort_order, &types, reading)?;
                sorts.into_iter().map(Some).collect()
            }
        };
        let bound = types.into_iter().zip(filters).zip(sorts);
        let bound: Vec<_> = bound
            .filter(|((_, filter), _)| *filter != BoundFilter::Constant(false))
            .collect();
        Ok(Self::plan(scope, over, query, bound))
    }

    fn plan(
        scope: &'r RequestScope,
        over: Over<'_>,
        query: &'r Query,
        bound: Vec<((&'r ResourceType, BoundFilter), Option<SortBy>)>,
    ) -> Self {
        let is_alone = bound.len() == 1;
        let plan = |((resource_type, filter), sort): &((&ResourceType, BoundFilter), _)| {
            let sort: &Option<SortBy> = sort;
            Plan::new(filter, resource_type, sort.as_ref().filter(|_| is_alone))
        };
        let plans: Vec<Plan> = bound.iter().map(plan).collect();
        let in_order = is_alone && plans.iter().all(|plan| plan.in_order);
        let sorted = (query.sort_by.is_some() && !in_order).then_some(query.sort_order);
        let types = bound.iter().map(|((resource_type, _), _)| *resource_type);
        let switches = &scope.tenant.rules.switches;
        let mut search = Self {
            total: total(&plans),
            types: types.collect(),
            branches: Vec::new(),
            sorted,
            selection: &query.selection,
            size: query.page_size(switches) as usize,
            sized: query.count.is_some(),
            walk: String::new(),
            plans,
        };
        for (((resource_type, _), sort), plan) in bound.into_iter().zip(&search.plans) {
            let branches = plan.branches.iter().enumerate();
            search
                .branches
                .extend(branches.map(|(position, branch)| SearchBranch {
                    resource_type,
                    access: branch.access.clone(),
                    residual: branch.residual.clone(),
                    sort: sort.clone().filter(|_| sorted.is_some()),
                    overlaps: if plan.overlapping { position } else { 0 },
                }));
        }
        search.walk = search.name(scope, over, query);
        search
    }

    /// The name of the walk: a hash of the caller and the query. It covers the shape of the plans
    /// too, because positions refer to their branches.
    fn name(&self, scope: &RequestScope, over: Over<'_>, query: &Query) -> String {
        let endpoint = match over {
            Over::Type(resource_type) => resource_type.endpoint.as_str(),
            Over::All => "",
        };
        let filter = query.filter.as_ref().map(|filter| filter.text.clone());
        let parts = [
            scope.tenant.id.as_str().to_owned(),
            scope.caller.credential.as_str().to_owned(),
            endpoint.to_owned(),
            filter.unwrap_or_default(),
            query.sort_by.clone().unwrap_or_default(),
            format!("{:?}", query.sort_order),
            self.to_string(),
        ];
        let said = serde_json::Value::from(parts.to_vec()).to_string();
        URL_SAFE_NO_PAD.encode(digest(&SHA256, said.as_bytes()))
    }

    /// The resource types that can have matches, in order.
    pub(super) fn types(&self) -> &[&'r ResourceType] {
        &self.types
    }

    /// Whether all matches have to be read to be counted or sorted.
    pub(super) fn looks_at_all(&self) -> bool {
        self.sorted.is_some() || self.total == Total::Resources
    }

    /// The error of a query that reads too much. It says what would read less.
    pub(super) fn too_much(&self, way_out: &str) -> Error {
        let what = match self.sorted {
            Some(_) => "Sorting the matches",
            None => "Finding the page",
        };
        self.too_many(what, way_out)
    }

    /// The error of a query whose matches cost too much to count.
    pub(super) fn too_many_to_count(&self, way_out: &str) -> Error {
        self.too_many("Counting the matches for `totalResults`", way_out)
    }

    /// What the error of a list that is too large to be sorted in memory suggests: the attributes
    /// whose index is in their order. Multi-valued attributes have no such order.
    pub(super) fn sortable(&self) -> String {
        let sortable = |resource_type: &&ResourceType| {
            let paths = active_indexes(resource_type).filter(|path| {
                let index = resource_type.index(path);
                index.is_some_and(|index| !index.multi_valued)
            });
            let paths: Vec<_> = paths.collect();
            format!("{}: {}", resource_type.name, paths.join(", "))
        };
        let sortable: Vec<_> = self.types.iter().map(sortable).collect();
        format!(
            ", or sort by one with a single value ({})",
            sortable.join("; ")
        )
    }

    fn too_many(&self, what: &str, way_out: &str) -> Error {
        let indexed = |resource_type: &&ResourceType| {
            let paths: Vec<_> = active_indexes(resource_type).collect();
            format!("{}: id, {}", resource_type.name, paths.join(", "))
        };
        let indexed: Vec<_> = self.types.iter().map(indexed).collect();
        Error::too_many(format!(
            "{what} would read too much of the directory; filter by an attribute with an index \
             ({}){way_out}",
            indexed.join("; ")
        ))
    }
}

/// The attributes with an index that is complete.
fn active_indexes(resource_type: &ResourceType) -> impl Iterator<Item = &str> {
    let indexes = resource_type.indexes.iter();
    let active = indexes.filter(|index| index.state == IndexState::Active);
    active.map(|index| index.path())
}

fn total(plans: &[Plan]) -> Total {
    let all = |wanted: Total| plans.iter().all(|plan| plan.total == wanted);
    match plans {
        [plan] => plan.total,
        _ if all(Total::Counter) => Total::Counter,
        _ if all(Total::Keys) => Total::Keys,
        _ => Total::Resources,
    }
}

impl fmt::Display for Search<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (resource_type, plan)) in self.types.iter().zip(&self.plans).enumerate() {
            let separator = if position > 0 { "; " } else { "" };
            write!(f, "{separator}{}: {plan}", resource_type.name)?;
        }
        if self.types.is_empty() {
            return f.write_str("nothing");
        }
        let is_merged = self.sorted.is_some() && self.types.len() > 1;
        f.write_str(if is_merged { "; sorted" } else { "" })
    }
}
