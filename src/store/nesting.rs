//! Groups inside groups.
//!
//! Which groups were ever made members of which group is written down apart from the members, so that
//! readers find inner groups without reading all members of a large group. What is written down is
//! only where to look: whether an inner group is a member is told by the member items.

use std::collections::HashSet;

use super::TenantStore;
use super::batch::PlainWrite;
use super::error::StoreError;
use super::item::{self, Item, Stored, s};
use super::key_range::KeyRange;
use super::keys::{self, SEPARATOR};
use super::range::Window;
use crate::protocol::schema::ResourceType;

impl TenantStore {
    /// Remembers that these groups are going to be members of a group: readers look for indirect
    /// membership from now on, and find inner groups without reading all members. It is never
    /// forgotten: that costs readers a look, and forgetting too early would cost truth.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn mark_nested(&self, group: &str, inner: &[&str]) -> Result<(), StoreError> {
        let (pk, mark) = self.keys.nested();
        let edges = inner.iter().map(|inner| keys::entry(group, inner));
        let item = |sk: String| {
            Item::from([
                ("pk".to_owned(), s(&pk)),
                ("sk".to_owned(), s(sk)),
                ("kind".to_owned(), s("N")),
            ])
        };
        let items = edges.chain([mark]).map(item);
        self.write_all(items.map(PlainWrite::Put).collect()).await
    }

    /// The ids of the groups that are members of a group.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn inner_groups(&self, group: &Stored) -> Result<HashSet<String>, StoreError> {
        let range = KeyRange::prefix(&keys::entry(&group.id, ""));
        let (pk, _) = self.keys.nested();
        let mut marked = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let window = Window {
                after: after.as_deref(),
                ..Window::default()
            };
            let output = self.query(pk.clone(), &range, window, None).await?;
            after = super::range::last_key(&output);
            for mut item in output.items.unwrap_or_default() {
                let edge = item::take_text(&mut item, "sk")?;
                marked.extend(
                    edge.split_once(SEPARATOR)
                        .map(|(_, inner)| inner.to_owned()),
                );
            }
            if after.is_none() {
                return self
                    .members_among(std::slice::from_ref(group), &marked)
                    .await;
            }
        }
    }

    /// The groups with these ids that exist, and whether the tenant has groups in groups: one call
    /// for up to 99 groups.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn groups(
        &self,
        resource_type: &ResourceType,
        ids: &[String],
    ) -> Result<(Vec<Stored>, bool), StoreError> {
        let resources = self.keys.resources(resource_type);
        let nested = self.keys.nested();
        let groups = ids.iter().map(|id| (resources.clone(), id.clone()));
        let items = self
            .get_keys(groups.chain([nested.clone()]).collect())
            .await?;
        let is_mark = |item: &Item| {
            item.get("kind")
                .and_then(|kind| kind.as_s().ok())
                .is_some_and(|kind| kind == "N")
        };
        let has_nested = items.iter().any(is_mark);
        let groups = items
            .into_iter()
            .filter(|item| !is_mark(item) && !item::is_deleted(item));
        Ok((
            groups.map(Stored::from_item).collect::<Result<_, _>>()?,
            has_nested,
        ))
    }
}
