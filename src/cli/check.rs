//! The check of one tenant, which the operation makes part by part.

use super::CommandError;
use super::operator::{Operator, check_goes_on};
use super::progress::Progress;
use crate::admin::data::{CheckData, CheckedData};
use crate::identity::TenantId;

/// The findings of a tenant. With `repair`, what can be mended is mended.
pub(super) async fn check(
    operator: &Operator,
    tenant: &TenantId,
    repair: bool,
    progress: &Progress,
) -> Result<CheckedData, CommandError> {
    let part = |cursor| CheckData {
        tenant: tenant.clone(),
        repair,
        cursor,
    };
    let mut checked = operator.ask(&part(None)).await?;
    progress.advance(checked.resources);
    while let Some(cursor) = checked.cursor.take() {
        let next = operator.ask(&part(Some(cursor.clone()))).await?;
        check_goes_on(Some(&cursor), next.cursor.as_ref())?;
        progress.advance(next.resources);
        checked = checked.followed_by(next);
    }
    Ok(checked)
}
