//! The members of groups: who is in which group, and how that changes.

pub(in crate::store) mod delta;
pub(in crate::store) mod erase;
pub(in crate::store) mod fill;
pub(in crate::store) mod member;
pub(in crate::store) mod member_write;
mod members;
mod memberships;
mod nesting;
pub(in crate::store) mod sweep;
