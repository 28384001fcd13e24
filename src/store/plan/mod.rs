//! Plans: which keys have to be read to answer a filter.
//!
//! A plan finds every resource that matches the filter, and may find others too. A query therefore
//! evaluates the filter on each resource that it reads by a plan, and a filter has one meaning
//! however its matches are found.
//!
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
    /// What to read, in this order.
    pub branches: Vec<Branch>,
    /// Whether a resource may be found in more than one branch.
    pub overlapping: bool,
    /// Whether reading the branches in order returns the resources in the requested order.
    pub in_order: bool,
    /// How the number of matches is found.
    pub total: Total,
}

/// A part of what a plan reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Which resources it reads.
    pub access: Access,
    /// The part of the filter that is still to be evaluated.
    pub residual: BoundFilter,
}

/// How the number of matches is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// Every resource of the type matches, so the counters have the number.
    Counter,
    /// Every resource with a key in the only branch matches, so the keys are counted.
    Keys,
    /// Every resource that the branches find has to be read.
    Resources,
}

impl Plan {
    /// The cheapest way to find the resources that match a filter, in this order if there is one.
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

/// The accesses of the plan, without any value of the filter: `claim userName 1`.
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
