//! Which keys answer a filter.
//!
//! A plan names the items that every matching resource is found by. It may find more: a query evaluates
//! the filter on what it reads by a plan, so that reading by keys is never a second semantics.
//! It must not know how pages are cut.

mod access;
mod planner;

use std::fmt;

pub use access::{Access, Range};

use crate::protocol::filter::BoundFilter;
use crate::protocol::schema::ResourceType;
use crate::protocol::sort::SortBy;
use planner::Planner;

/// How to find every resource of one type that matches a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to read, one after the other.
    pub branches: Vec<Branch>,
    /// Whether a resource may be found in more than one branch.
    pub overlapping: bool,
    /// Whether reading the branches in order gives the order that was asked for.
    pub in_order: bool,
    /// How the number of matches is found.
    pub total: Total,
}

/// One thing to read.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Where the resources are.
    pub access: Access,
    /// What is left to be evaluated of the filter.
    pub residual: BoundFilter,
}

/// How the number of matches is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Every resource of the type matches, and they are counted already.
    Counter,
    /// There are as many matches as resources with keys in the only branch.
    Keys,
    /// By looking at every resource that the branches find.
    Resources,
}

impl Plan {
    /// The cheapest way to find what matches a filter, in an order if there is one.
    #[must_use]
    pub fn new(filter: &BoundFilter, resource_type: &ResourceType, sort: Option<&SortBy>) -> Self {
        let planner = Planner {
            resource_type,
            filter,
        };
        let choice = planner.choose(filter);
        match sort {
            None => choice.into_plan(filter, true),
            Some(sort) => planner.sorted(choice, sort),
        }
    }
}

/// What will be read, without any value of the filter: `claim userName`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.branches.is_empty() {
            return f.write_str("nothing");
        }
        for (position, branch) in self.branches.iter().enumerate() {
            let separator = if position > 0 { " + " } else { "" };
            write!(f, "{separator}{}", branch.access)?;
            if !matches!(branch.residual, BoundFilter::Constant(true)) {
                f.write_str(" filter")?;
            }
        }
        f.write_str(if self.in_order { "" } else { " sort" })
    }
}

#[cfg(test)]
mod tests;
