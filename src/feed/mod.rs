//! The feed: every change of a tenant's directory as an event, in one order.
//!
//! The table's stream brings each change of an item as a record. [`stream::handle`] makes events of the
//! records and appends them to the feed of their tenant, page by page. Readers follow the feed from a
//! [`Position`] on.
//!
//! - An event has the id of its record, and a page has the ids of its events. So a record that comes twice
//!   gives one event.
//! - A page is appended on the condition that no other process has appended one since the tail was read.
//!   Whatever was derived or read for a page that was refused is derived and read again.
//!
//! It must not know HTTP, nor keys or attributes of items beyond the `pk` and `sk` of a record.

#[cfg(feature = "worker")]
pub mod append;
pub mod brake;
mod event;
#[cfg(feature = "worker")]
pub mod forget;
#[cfg(feature = "worker")]
pub mod gap;
#[cfg(feature = "worker")]
pub mod keep;
#[cfg(feature = "worker")]
pub mod lifecycle;
#[cfg(feature = "worker")]
mod members;
#[cfg(feature = "worker")]
mod next_page;
mod page;
pub mod patterns;
mod position;
pub mod read;
#[cfg(feature = "worker")]
pub mod record;
#[cfg(feature = "worker")]
mod resource_events;
#[cfg(feature = "worker")]
pub mod stream;
#[cfg(feature = "worker")]
mod tail;
#[cfg(feature = "worker")]
mod tenant_state;
mod wanted;

pub use event::{
    AccessChange, Changed, Changes, Event, EventBody, EventType, EventVerb, MemberRef, NewEvent,
    Subject, time_text,
};
#[cfg(feature = "worker")]
pub use members::Announcer;
pub use position::Position;
pub use wanted::Wanted;
