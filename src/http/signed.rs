//! The checks of a signed request that need more than its head: whether the body is the signed
//! one, and whether the signature was used before.

use axum::body::Body;
use axum::http::HeaderMap;

use super::body::{MAX_RESOURCE_BYTES, read};
use crate::protocol::Result;
use crate::store::TenantStore;
use crate::tenant::{Caller, unauthorized};

/// Returns the body. The body of a signed request is first read and compared with the signature. Then
/// the signature is recorded as used. In this order, a request with a wrong body does not use up a
/// signature.
///
/// # Errors
/// `Unauthorized` for a body that was not signed, and for a signature that was used before;
/// `PayloadTooLarge` naming the limit; `Unavailable`.
pub(super) async fn admit(
    store: &TenantStore,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Body> {
    let Some(signature) = &caller.signature else {
        return Ok(body);
    };
    let bytes = read(headers, body, MAX_RESOURCE_BYTES).await?;
    if !signature.covers(&bytes) {
        return Err(unauthorized());
    }
    let (text, until) = (signature.as_str(), signature.remembered_until());
    let is_first = store
        .signatures()
        .use_up(&caller.credential, text, until)
        .await?;
    match is_first {
        true => Ok(Body::from(bytes)),
        false => Err(unauthorized()),
    }
}
