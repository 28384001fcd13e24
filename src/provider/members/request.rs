//! What a request asks of a group's members.

use crate::protocol::patch::MemberOp;
use crate::protocol::resource;

/// What a request asks of a group's members.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::provider) enum MemberRequest {
    /// It does not change them.
    #[default]
    Keep,
    /// It removes all members, but only if no answer would have left them out: a client that was not
    /// shown them does not mean to remove them.
    ClearVisible,
    /// It sets exactly these members.
    Exactly(Vec<resource::MemberValue>),
    /// It carries out these operations, in order.
    Operations(Vec<MemberOp>),
}

impl MemberRequest {
    /// The request of a PUT with this list, or without one (RFC 7644 §3.5.1).
    pub(in crate::provider) fn replace(members: Option<Vec<resource::MemberValue>>) -> Self {
        members.map_or(Self::ClearVisible, Self::Exactly)
    }

    /// All members that the request would add.
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
