//! Pages: events packed together, as many as fit an item.

use std::io::Read as _;
#[cfg(feature = "worker")]
use std::io::Write as _;

#[cfg(feature = "worker")]
use flate2::Compression;
use flate2::read::DeflateDecoder;
#[cfg(feature = "worker")]
use flate2::write::DeflateEncoder;

#[cfg(feature = "worker")]
use super::event::NewEvent;
use super::event::{Event, EventBody};
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result};
use crate::store::FeedPage;

/// The largest JSON text of a page's events, in bytes. A page that is longer when it is unpacked was not
/// written by this code.
const MAX_JSON_BYTES: usize = 1_000_000;
/// A page is filled with events up to this length of their JSON texts, in bytes. What is left is for an
/// event that the brake adds.
#[cfg(feature = "worker")]
const MAX_FILLED_BYTES: usize = 950_000;
/// The most events of a page.
#[cfg(feature = "worker")]
const MAX_EVENTS: usize = 1_000;
/// The largest page, in bytes; DynamoDB takes 400 KB.
#[cfg(feature = "worker")]
const MAX_PAGE_BYTES: usize = 300_000;
/// What a page takes besides its events and their ids: the key, and the names and values of the other
/// attributes, and an event that the brake adds.
#[cfg(feature = "worker")]
const OTHER_BYTES: usize = 4_000;
/// The longest JSON text of one event, in bytes. An event that would be longer has no values.
#[cfg(feature = "worker")]
pub(super) const MAX_EVENT_BYTES: usize = 200_000;

/// The events of one page.
#[cfg(feature = "worker")]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// The ids of the events, in order.
    pub(super) ids: Vec<String>,
    /// The text of the events, compressed.
    pub(super) events: Vec<u8>,
}

/// Packs the first of these events, as many as fit a page and at least one.
///
/// # Errors
/// `Internal` for an event that alone does not fit, which none of at most [`MAX_EVENT_BYTES`] is.
#[cfg(feature = "worker")]
pub(super) fn pack_first(events: &[NewEvent]) -> Result<Packed> {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    for event in events.iter().take(MAX_EVENTS) {
        let text = serde_json::to_string(&event.body).map_err(Error::internal)?;
        bytes += text.len();
        if bytes > MAX_FILLED_BYTES && !texts.is_empty() {
            break;
        }
        texts.push(text);
    }
    loop {
        let ids = events[..texts.len()].iter().map(|event| event.id.clone());
        let packed = Packed {
            ids: ids.collect(),
            events: compress(&texts)?,
        };
        if packed.bytes() <= MAX_PAGE_BYTES {
            return Ok(packed);
        }
        if texts.len() <= 1 {
            return Err(Error::internal("an event does not fit a page"));
        }
        // Such text hardly compresses. A part of it fits.
        texts.truncate(texts.len() / 2);
    }
}

/// Packs events of which is known that they fit a page.
///
/// # Errors
/// `Internal`, which no event leads to.
#[cfg(feature = "worker")]
pub(super) fn pack<'e>(events: impl Iterator<Item = &'e NewEvent> + Clone) -> Result<Packed> {
    let texts = events
        .clone()
        .map(|event| serde_json::to_string(&event.body));
    let texts = texts.collect::<std::result::Result<Vec<_>, _>>();
    Ok(Packed {
        ids: events.map(|event| event.id.clone()).collect(),
        events: compress(&texts.map_err(Error::internal)?)?,
    })
}

/// The form in which a page holds the JSON texts of its events.
#[cfg(feature = "worker")]
pub(super) fn compress(texts: &[String]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    let json = format!("[{}]", texts.join(","));
    encoder
        .write_all(json.as_bytes())
        .map_err(Error::internal)?;
    encoder.finish().map_err(Error::internal)
}

#[cfg(feature = "worker")]
impl Packed {
    /// An upper bound of the bytes that a page with it takes.
    fn bytes(&self) -> usize {
        // An element of a list takes a byte more than its text.
        let ids = self.ids.iter().map(|id| id.len() + 1);
        self.events.len() + ids.sum::<usize>() + OTHER_BYTES
    }
}

/// The events of a page.
///
/// # Errors
/// `Internal` for a page that this code did not write.
pub(super) fn unpack(tenant: &TenantId, page: &FeedPage) -> Result<Vec<Event>> {
    let mut json = Vec::new();
    let decoder = DeflateDecoder::new(page.events.as_slice());
    let mut bounded = decoder.take(MAX_JSON_BYTES as u64 + 1);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::feed::event::{Changed, Changes, EventType, Subject};
    use crate::store::{Epoch, PageKey};

    fn event(number: usize, value: &str) -> NewEvent {
        let mut body = EventBody::new(EventType::named("user.updated"), 7);
        body.resource = Some(Subject {
            type_name: "User".to_owned(),
            id: number.to_string(),
            version: Some(1),
            external_id: None,
        });
        let changed = Changed {
            before: None,
            after: Some(json!(value)),
        };
        body.changes = Some(Changes::from([("title".to_owned(), changed)]));
        NewEvent {
            id: format!("{number:032x}"),
            body,
            access: None,
        }
    }

    fn stored(first: u64, packed: Packed) -> FeedPage {
        FeedPage {
            key: PageKey {
                epoch: Epoch::after(None, 7),
                first,
            },
            last: first + packed.ids.len() as u64 - 1,
            time: 7,
            ids: packed.ids,
            events: packed.events,
            gap: 0,
            tally: String::new(),
            expires: 7,
            before: None,
            rewritten: 0,
        }
    }

    /// Text that hardly compresses.
    fn noise(length: usize) -> String {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let digits = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
            char::from(digits[(state >> 58) as usize])
        };
        (0..length).map(|_| next()).collect()
    }

    fn check(events: &[NewEvent]) {
        let tenant = TenantId::parse("acme").unwrap();
        let (mut rest, mut read) = (events, Vec::new());
        while !rest.is_empty() {
            let packed = pack_first(rest).unwrap();
            assert!(packed.bytes() <= MAX_PAGE_BYTES);
            rest = &rest[packed.ids.len()..];
            let page = stored(read.len() as u64 + 1, packed);
            read.extend(unpack(&tenant, &page).unwrap());
        }
        assert_eq!(read.len(), events.len());
        for (event, (seq, read)) in events.iter().zip((1..).zip(read)) {
            assert_eq!((&read.id, read.seq), (&event.id, seq));
            assert_eq!(read.body, event.body);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn events_are_read_as_they_were_packed(values in prop::collection::vec("\\PC{0,300}", 1..40)) {
            let events = values.iter().enumerate().map(|(number, value)| event(number, value));
            check(&events.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_page_is_never_too_large_for_its_item() {
        let events = |count, length| {
            let value = noise(length);
            (0..count)
                .map(|number| event(number, &value[number % 7..]))
                .collect::<Vec<_>>()
        };
        check(&events(3, MAX_EVENT_BYTES - 300));
        check(&events(40, 60_000));
        check(&events(2_500, 100));
        check(&events(5_000, 10));
    }

    #[test]
    fn what_no_code_of_ours_has_packed_is_refused() {
        let tenant = TenantId::parse("acme").unwrap();
        let refused = |page: &FeedPage| unpack(&tenant, page).is_err();
        let good = stored(1, pack_first(&[event(1, "a")]).unwrap());
        assert!(!refused(&good));
        let more_ids = FeedPage {
            ids: vec!["1".to_owned(), "2".to_owned()],
            ..good.clone()
        };
        assert!(refused(&more_ids));
        let long = format!("\"{}\"", "x".repeat(MAX_JSON_BYTES));
        for events in [Vec::new(), vec![1, 2, 3], compress(&[long]).unwrap()] {
            assert!(refused(&FeedPage {
                events,
                ..good.clone()
            }));
        }
    }
}
