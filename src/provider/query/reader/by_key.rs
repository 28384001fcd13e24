//! Reads resources by their keys: ids, unique values, and entries of indexes.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::try_join_all;

use super::{Batch, BatchRequest, MAX_BY_ID};
use crate::protocol::error::{Error, Result};
use crate::protocol::key::unordered_prefix;
use crate::protocol::schema::{Index, ResourceType};
use crate::store::{IndexPage, KeyRange, Order, Range, Stored, TenantStore, Window};

/// Values that are looked up at once.
const PARALLEL: usize = 32;
/// What is read of a value beyond twice its share of a page.
const SPARE_SHARE: usize = 8;

/// The resources with these ids that come after one of them, in order of ids.
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

/// The holders of these unique values, from the text after a given one on.
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

/// Some entries with one of the values, in order of texts and ids: the values are looked up a few
/// at a time until there are enough.
pub(super) async fn by_values(
    store: &TenantStore,
    resource_type: &ResourceType,
    index: &Index,
    texts: &[String],
    request: BatchRequest<'_>,
) -> Result<Batch> {
    let limit = request.limit.unwrap_or(MAX_BY_ID).min(MAX_BY_ID);
    // A position is an entry's key, and an entry's key begins with its text and the separator.
    let is_left = |text: &&String| {
        let range = KeyRange::equal(text);
        request.after.is_none_or(|after| !range.is_before(after))
    };
    let texts: Vec<&String> = texts.iter().filter(is_left).collect();
    let (mut entries, mut next, mut items) = (Vec::new(), None, 0);
    let mut chunks = texts.chunks(PARALLEL).peekable();
    while let (Some(chunk), None) = (chunks.next(), &next) {
        // Each gives its share of the page, and a few more, for values differ in how many have
        // them; the first that has even more is read on by itself.
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

/// Some entries with one value, after a key if that is one of theirs.
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

/// The resources with these ids, under these keys.
pub(super) async fn fetch(
    store: &TenantStore,
    resource_type: &ResourceType,
    entries: Vec<(String, String)>,
) -> Result<Batch> {
    // One resource may be found under two keys here. Its body, which may have changed since, decides
    // later under which of them it is returned.
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

/// Some resources of a range, in the order of its keys. Values that are too long for a key end a batch,
/// or make one of their own.
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
        // These are in order; the next batch begins with those that are not.
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

/// All resources behind a key whose index texts begin with a prefix and are in no order.
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
    // A key before the range is no key to start from: DynamoDB refuses those outside it.
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

/// The first entry whose place an index does not tell, and what the texts of all those begin with that
/// are in no order together with it.
fn first_unordered(entries: &[(String, String)]) -> Option<(usize, String)> {
    let prefixes = entries
        .iter()
        .map(|(key, _)| unordered_prefix(KeyRange::text_of(key)));
    let mut unordered = prefixes
        .enumerate()
        .filter_map(|(position, prefix)| Some((position, prefix?.to_owned())));
    unordered.next()
}
