//! Reads resources by their keys: ids, unique values, and entries of indexes.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join_all;

use super::{Batch, BatchRequest, MAX_BY_ID};
use crate::protocol::error::{Error, Result};
use crate::protocol::key::unordered_prefix;
use crate::protocol::schema::{Index, ResourceType};
use crate::store::{IndexPage, KeyRange, Order, Range, Stored, TenantStore, Window};

/// The number of values that are looked up at the same time.
const PARALLEL: usize = 32;
/// The number of entries that are read of each value in addition to twice its share of a page.
const SPARE_SHARE: usize = 8;

/// The resources with those of these ids that come after `after`, in order of ids.
pub(super) async fn by_ids(
    store: &TenantStore,
    resource_type: &ResourceType,
    ids: &[String],
    after: Option<&str>,
) -> Result<Batch> {
    let is_left = |id: &&String| after.is_none_or(|after| id.as_str() > after);
    let ids = ids
        .iter()
        .filter(is_left)
        .map(|id| (id.clone(), id.clone()));
    fetch(store, resource_type, ids.collect()).await
}

/// The resources that hold those of these unique values that come after `after`.
pub(super) async fn by_claims(
    store: &TenantStore,
    resource_type: &ResourceType,
    index: &Index,
    texts: &[String],
    after: Option<&str>,
) -> Result<Batch> {
    let is_left = |text: &&String| after.is_none_or(|after| text.as_str() > after);
    let texts: Vec<String> = texts.iter().filter(is_left).cloned().collect();
    let held = match texts.as_slice() {
        [text] => {
            let claim = store.indexes().claimed(resource_type, index, text).await?;
            claim.map(|id| (text.clone(), id)).into_iter().collect()
        }
        texts => {
            store
                .indexes()
                .all_claimed(resource_type, index, texts)
                .await?
        }
    };
    let held = texts
        .into_iter()
        .filter_map(|text| Some((text.clone(), held.get(&text)?.clone())));
    fetch(store, resource_type, held.collect()).await
}

/// The next resources with one of these values, in order of texts and ids. Values are looked up a
/// few at a time until there are enough entries.
pub(super) async fn by_values(
    store: &TenantStore,
    resource_type: &ResourceType,
    index: &Index,
    texts: &[String],
    request: BatchRequest<'_>,
) -> Result<Batch> {
    let limit = request.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
    // `after` is the key of an entry, which begins with the entry's text and the separator.
    let is_left = |text: &&String| {
        let range = KeyRange::equal(text);
        request.after.is_none_or(|after| !range.is_before(after))
    };
    let texts: Vec<&String> = texts.iter().filter(is_left).collect();
    let (mut entries, mut next, mut items) = (Vec::new(), None, 0);
    let mut chunks = texts.chunks(PARALLEL).peekable();
    while let (Some(chunk), None) = (chunks.next(), &next) {
        // Each value's share of the page is read, and some more, because some values have more
        // entries than others. The first value that has even more is then read further by itself.
        let share = limit.min(2 * limit / chunk.len() + SPARE_SHARE);
        let reads = chunk
            .iter()
            .map(|text| values(store, resource_type, index, text, request.after, share));
        let mut more = false;
        for (text, page) in chunk.iter().zip(try_join_all(reads).await?) {
            items += page.entries.len();
            if next.is_some() || entries.len() >= limit {
                more |= !page.entries.is_empty();
                continue;
            }
            entries.extend(page.entries);
            next = page.next;
            if let Some(after) = next.clone()
                && let Some(left @ 1..) = limit.checked_sub(entries.len())
            {
                let rest = values(store, resource_type, index, text, Some(&after), left);
                let IndexPage {
                    entries: rest,
                    next: further,
                } = rest.await?;
                items += rest.len();
                entries.extend(rest);
                next = further;
            }
        }
        more |= chunks.peek().is_some();
        if entries.len() > limit || (entries.len() == limit && more && next.is_none()) {
            entries.truncate(limit);
            next = entries.last().map(|(key, _)| key.clone());
        }
    }
    let batch = fetch(store, resource_type, entries).await?;
    Ok(Batch {
        next,
        items,
        ..batch
    })
}

/// Some entries with this value. If `after` is the key of one of them, only entries after it.
async fn values(
    store: &TenantStore,
    resource_type: &ResourceType,
    index: &Index,
    text: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<IndexPage> {
    let range = KeyRange::equal(text);
    let window = Window {
        after: after.filter(|after| range.contains(after)),
        limit: Some(limit),
        order: Order::Ascending,
    };
    Ok(store
        .indexes()
        .page(resource_type, index, &range, window)
        .await?)
}

/// The resources with these ids, each with its key.
pub(super) async fn fetch(
    store: &TenantStore,
    resource_type: &ResourceType,
    entries: Vec<(String, String)>,
) -> Result<Batch> {
    // A resource may have two keys here. Which of them it is returned under is decided later by its
    // body, which may have changed since the entries were read.
    let (keys, ids): (Vec<String>, Vec<String>) = entries.into_iter().unzip();
    let distinct: Vec<String> = BTreeSet::from_iter(&ids).into_iter().cloned().collect();
    let stored = match distinct.as_slice() {
        [] => Vec::new(),
        [id] => Vec::from_iter(store.resources().get(resource_type, id).await?),
        distinct => store.resources().get_many(resource_type, distinct).await?,
    };
    let are_distinct = distinct.len() == ids.len();
    let mut stored: HashMap<String, Stored> = stored
        .into_iter()
        .map(|stored| (stored.id.clone(), stored))
        .collect();
    let mut take = |id: &String| match are_distinct {
        true => stored.remove(id),
        false => stored.get(id).cloned(),
    };
    let entries = keys.into_iter().zip(ids);
    Ok(Batch {
        found: entries
            .filter_map(|(key, id)| Some((key, take(&id)?)))
            .collect(),
        ..Batch::default()
    })
}

/// Some resources of a range, in the order of its keys. Entries whose values are too long for a key
/// end the batch, or are a batch of their own.
pub(super) async fn by_range(
    store: &TenantStore,
    resource_type: &ResourceType,
    range: &Range,
    request: BatchRequest<'_>,
) -> Result<Batch> {
    let window = Window {
        after: request.after,
        limit: Some(request.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID)),
        order: range.order,
    };
    let mut page = store
        .indexes()
        .page(resource_type, &range.index, &range.keys, window)
        .await?;
    let items = page.entries.len();
    if range.by_value
        && let Some((unordered, prefix)) = first_unordered(&page.entries)
    {
        if unordered == 0 {
            return all_tied(store, resource_type, range, &prefix, request).await;
        }
        // The entries before are in order. The next batch begins with those that are not.
        page.entries.truncate(unordered);
        page.next = page.entries.last().map(|(key, _)| key.clone());
    }
    let batch = fetch(store, resource_type, page.entries).await?;
    Ok(Batch {
        next: page.next,
        items,
        ..batch
    })
}

/// All resources after a key whose index texts begin with this prefix and are not in order.
///
/// # Errors
/// `TooMany` when there are more than may be read to put them in order.
pub(in super::super) async fn all_tied(
    store: &TenantStore,
    resource_type: &ResourceType,
    range: &Range,
    prefix: &str,
    request: BatchRequest<'_>,
) -> Result<Batch> {
    let keys = range.with_prefix(prefix);
    // A key before the range cannot be the start key: DynamoDB refuses start keys outside the range.
    let after = request.after.filter(|after| keys.contains(after));
    let (mut entries, mut next) = (Vec::new(), after.map(str::to_owned));
    loop {
        let window = Window {
            after: next.as_deref(),
            limit: Some(request.most + 1 - entries.len()),
            order: range.order,
        };
        let index = &range.index;
        let page = store
            .indexes()
            .page(resource_type, index, &keys, window)
            .await?;
        entries.extend(page.entries);
        next = page.next;
        if entries.len() > request.most {
            return Err(Error::too_many(format!(
                "More than {} values of `{}` share their first 640 bytes, which is more than can \
                 be put in order; sort by another attribute, or filter",
                request.most,
                index.path()
            )));
        }
        if next.is_none() {
            break;
        }
    }
    let items = entries.len();
    let last = entries.last().map(|(key, _)| key.clone());
    let batch = fetch(store, resource_type, entries).await?;
    Ok(Batch {
        next: last,
        items,
        tied: true,
        ..batch
    })
}

/// The position of the first entry that the index does not put in order, and the prefix of all texts
/// that are unordered together with it.
fn first_unordered(entries: &[(String, String)]) -> Option<(usize, String)> {
    let prefixes = entries
        .iter()
        .map(|(key, _)| unordered_prefix(KeyRange::text_of(key)));
    let mut unordered = prefixes
        .enumerate()
        .filter_map(|(position, prefix)| Some((position, prefix?.to_owned())));
    unordered.next()
}
