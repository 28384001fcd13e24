//! Signatures that were used, so that each is accepted for one request only, in whichever process.

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

    /// Remembers that a signature by this credential is used now, until `expires` in seconds since the
    /// Unix epoch, when the table may forget it. False if it was used before. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn use_up(
        self,
        credential: &CredentialId,
        signature: &str,
        expires: u64,
    ) -> Result<bool, StoreError> {
        // An attempt whose answer was lost meets its own item, which it knows by this.
        let token = Uuid::now_v7().to_string();
        let item = SignatureItem {
            sk: format!("{}{SEPARATOR}{signature}", credential.as_str()),
            kind: "S".to_owned(),
            rid: token.clone(),
            expires,
        };
        let partition = self.table.keys().signatures();
        let item = items::to_item(partition.as_str(), item);
        let is_new = Condition::new("attribute_not_exists(pk) OR rid = :rid");
        let put = Put::new(item).when(is_new.value(":rid", s(&token)));
        put.send(self.table).await
    }
}
