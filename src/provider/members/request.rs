//! What a request wants of a group's members.

use crate::protocol::patch::MemberOp;
use crate::protocol::resource;

/// What a request wants of the members.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::provider) enum MemberRequest {
    /// Nothing.
    #[default]
    Keep,
    /// No members, unless there are more than the client could have seen.
    ClearVisible,
    /// Exactly these members.
    Exactly(Vec<resource::MemberValue>),
    /// These operations in order.
    Operations(Vec<MemberOp>),
}

impl MemberRequest {
    /// What a PUT wants: the list it gives, or none (RFC 7644 §3.5.1).
    pub(in crate::provider) fn replace(members: Option<Vec<resource::MemberValue>>) -> Self {
        members.map_or(Self::ClearVisible, Self::Exactly)
    }

    /// Every member that the request would add.
    pub(super) fn added(&self) -> impl Iterator<Item = &resource::MemberValue> {
        let (listed, operations): (&[resource::MemberValue], &[MemberOp]) = match self {
            Self::Keep | Self::ClearVisible => (&[], &[]),
            Self::Exactly(members) => (members, &[]),
            Self::Operations(operations) => (&[], operations),
        };
        let added = operations.iter().flat_map(|operation| match operation {
            MemberOp::Add(members) | MemberOp::ReplaceAll(members) => members.as_slice(),
            MemberOp::Remove(_) | MemberOp::RemoveMatching(_) | MemberOp::Clear => &[],
        });
        listed.iter().chain(added)
    }
}
