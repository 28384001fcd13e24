//! Signatures that were used, so that none is good for a second request in any process.

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use uuid::Uuid;

use super::TenantStore;
use super::error::StoreError;
use super::item::{n, s};
use super::keys::SEPARATOR;
use super::table::call::Failure;
use super::table::meter::Account;
use crate::tenant::CredentialId;

impl TenantStore {
    /// Remembers that a signature by this credential is used now, until `expires` in seconds since the
    /// Unix epoch, when the table may forget it. False if it was used before. One call, one write unit.
    ///
    /// # Errors
    /// `Unavailable`, `Backend`.
    pub async fn use_signature(
        &self,
        credential: &CredentialId,
        signature: &str,
        expires: u64,
    ) -> Result<bool, StoreError> {
        let key = format!("{}{SEPARATOR}{signature}", credential.as_str());
        // An attempt whose answer was lost meets its own item, which it knows by this.
        let token = Uuid::now_v7().to_string();
        let attempt = || {
            self.client
                .put_item()
                .table_name(&*self.table)
                .item("pk", s(self.keys.signatures()))
                .item("sk", s(&key))
                .item("kind", s("S"))
                .item("rid", s(&token))
                .item("expires", n(expires))
                .condition_expression("attribute_not_exists(pk) OR rid = :rid")
                .expression_attribute_values(":rid", s(&token))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        match self.call(Account::Write, attempt).await {
            Ok(output) => {
                self.meter
                    .capacity(Account::Write, output.consumed_capacity());
                Ok(true)
            }
            // The condition refuses it: another request was first.
            Err(Failure::Refused(error)) if error.is_conditional_check_failed_exception() => {
                Ok(false)
            }
            Err(failure) => Err(failure.into()),
        }
    }
}
