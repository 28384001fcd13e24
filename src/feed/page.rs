//! Pages: events packed together, as many as fit an item.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::event::{Event, EventBody};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::store::FeedPage;

/// The largest JSON text of a page's events, in bytes. A page that is longer when it is unpacked was not
/// written by this code.
pub(super) const MAX_JSON_BYTES: u64 = 1_000_000;

/// The events as a page holds them.
///
/// # Errors
/// `Internal`, which no event leads to.
#[cfg(feature = "worker")]
pub(super) fn pack(events: &[&EventBody]) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(events).map_err(Error::internal)?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(Error::internal)?;
    encoder.finish().map_err(Error::internal)
}

/// The events of a page.
///
/// # Errors
/// `Internal` for a page that this code did not write.
pub(super) fn unpack(tenant: &TenantId, page: &FeedPage) -> Result<Vec<Event>> {
    let mut json = Vec::new();
    let decoder = DeflateDecoder::new(page.events.as_slice());
    let mut bounded = decoder.take(MAX_JSON_BYTES + 1);
    bounded.read_to_end(&mut json).map_err(Error::internal)?;
    // Cut text is no JSON, so a page that is too long is refused here.
    let bodies: Vec<EventBody> = serde_json::from_slice(&json).map_err(Error::internal)?;
    if bodies.len() != page.ids.len() {
        return Err(Error::internal(
            "a page of a feed has not as many ids as events",
        ));
    }
    let events = page.ids.iter().zip(bodies).zip(page.key.first..);
    let events = events.map(|((id, body), seq)| Event {
        id: id.clone(),
        seq,
        tenant: tenant.clone(),
        body,
    });
    Ok(events.collect())
}
