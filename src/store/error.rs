//! How a call to the store can fail, and the error that the client gets for it.

use crate::protocol::error::excerpt;
use crate::protocol::error::{BoxError, Error};

/// A failed call.
#[derive(Debug)]
pub enum StoreError {
    /// There is no such item, or it is being deleted.
    NotFound,
    /// The item has changed since it was read, so a write on that condition was refused.
    VersionMismatch,
    /// A unique value belongs to another resource.
    Taken {
        /// The index's path, such as `userName`.
        attribute: String,
    },
    /// There is no resource of the named type with a member's id.
    NoMember {
        /// The member's id, as the client gave it.
        id: String,
    },
    /// No seat is left for a user that would become active.
    NoSeat {
        /// The largest number of active users.
        limit: u64,
    },
    /// The item would be larger than DynamoDB takes (400 KB).
    TooLarge,
    /// More index entries would change than one transaction takes.
    TooManyEntries,
    /// A newer version of the service has written the resource, or the tenant's index entries. This
    /// version leaves them as they are.
    Newer,
    /// The table throttled the call, met conflicts, or could not be reached, until the deadline.
    Unavailable(BoxError),
    /// Any other failure: a fault of the service or of its installation.
    Backend(BoxError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found("The resource does not exist"),
            StoreError::VersionMismatch => {
                Self::conflict("The resource was changed at the same time; read it again and retry")
            }
            StoreError::Taken { attribute } => Self::uniqueness(format!(
                "The value of `{attribute}` already belongs to another resource"
            )),
            StoreError::NoMember { id } => Self::invalid_value(format!(
                "`members` names `{}`, which is not the id of a resource",
                excerpt(id)
            )),
            StoreError::NoSeat { limit } => Self::forbidden(format!(
                "All {limit} seats are taken, so no further user can be active; deactivate or remove users, or \
                 ask the application's administrators for more seats"
            )),
            StoreError::TooLarge => Self::payload_too_large(
                "The resource is larger than 400 KB, which is the most that can be stored",
            ),
            StoreError::TooManyEntries => Self::invalid_value(
                "The request changes more values of indexed attributes than can be changed at once; \
                 change some of them in a request of their own",
            ),
            StoreError::Newer => Self::unavailable(
                "A newer version of the service has written what the request would change, and this \
                 version leaves it as it is; retry later",
            ),
            StoreError::Unavailable(source) => {
                Self::unavailable("The directory is overloaded or out of reach; retry later")
                    .with_source(source)
            }
            StoreError::Backend(source) => Self::internal(source),
        }
    }
}
