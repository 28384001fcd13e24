//! Used signatures, so that each signature is accepted for one request only, also across processes.

use uuid::Uuid;

use super::error::StoreError;
use super::items::{self, SignatureItem};
use super::keys::SEPARATOR;
use super::stored::s;
use super::table::Table;
use super::table::write::{Condition, Put};
use crate::identity::CredentialId;

/// The used signatures of one tenant.
#[derive(Clone, Copy)]
pub struct Signatures<'t> {
    table: &'t Table,
}

impl<'t> Signatures<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table }
    }

    /// Stores that a signature of this credential is used. False if it was used before. The item may
    /// be removed after `expires`, in seconds since the Unix epoch. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn use_up(
        self,
        credential: &CredentialId,
        signature: &str,
        expires: u64,
    ) -> Result<bool, StoreError> {
        // If the answer of an attempt was lost, the next attempt meets the item of the first one,
        // and recognises it by this id.
        let rid = Uuid::now_v7().to_string();
        let item = SignatureItem {
            sk: format!("{}{SEPARATOR}{signature}", credential.as_str()),
            kind: "S".to_owned(),
            rid: rid.clone(),
            expires,
        };
        let partition = self.table.keys().signatures();
        let item = items::to_item(partition.as_str(), item);
        let is_new = Condition::new("attribute_not_exists(pk) OR rid = :rid");
        let put = Put::new(item).when(is_new.value(":rid", s(&rid)));
        put.send(self.table).await
    }
}
