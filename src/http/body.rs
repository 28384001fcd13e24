//! Request bodies: how much is read, and in which form.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::call::Call;
use super::media_type;
use crate::protocol::switch::MAX_BODY_BYTES;
use crate::protocol::{Error, Result, json};

/// The largest body of a request, in bytes.
pub(super) const MAX_RESOURCE_BYTES: usize = MAX_BODY_BYTES as usize;
/// The number of bytes that are read of any body. What exceeds the body's own limit is read up to here
/// and dropped: if the connection closed while the client was still sending, the client would lose the
/// answer with the reason.
const MAX_DRAINED_BYTES: usize = 8 * 1024 * 1024;

/// Reads the JSON object in a request's body.
///
/// # Errors
/// `UnsupportedMediaType`, `PayloadTooLarge` naming the limit, `RequestTimeout` when the body does not
/// arrive in time, `InvalidSyntax` when it is not a JSON object, `Unavailable` when there is no time left
/// to parse it.
pub(super) async fn read_object(call: &Call<'_>, body: Body) -> Result<Map<String, Value>> {
    read_object_up_to(call, body, MAX_RESOURCE_BYTES).await
}

/// Reads the JSON object in a request's body up to another limit, in bytes.
///
/// # Errors
/// As [`read_object`].
pub(super) async fn read_object_up_to(
    call: &Call<'_>,
    body: Body,
    limit: usize,
) -> Result<Map<String, Value>> {
    let headers = &call.headers;
    let mut reading = call.scope.reading();
    let checked = media_type::check_content_type(headers, &mut reading);
    call.scope.note(&reading);
    checked?;
    let bytes = read(headers, body, limit.min(MAX_DRAINED_BYTES)).await?;
    let parse = || json::parse_object(&bytes);
    call.scope.compute.run(bytes.len(), parse).await?
}

/// Reads a body of any media type up to a limit, in bytes.
///
/// # Errors
/// `PayloadTooLarge` naming the limit, `RequestTimeout` when the body does not arrive in time,
/// `InvalidSyntax` when it ends early.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes> {
    let too_large = || {
        Error::payload_too_large(format!(
            "The request body is larger than the limit of {limit} bytes"
        ))
    };
    if declared_length(headers).is_some_and(|length| length > MAX_DRAINED_BYTES) {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(broken)?;
        length += chunk.len();
        if length > MAX_DRAINED_BYTES {
            break;
        }
        if length <= limit {
            kept.extend_from_slice(&chunk);
        }
    }
    if length > limit {
        return Err(too_large());
    }
    Ok(kept.freeze())
}

/// The error of a body that could not be read to its end.
fn broken(error: axum::Error) -> Error {
    #[cfg(feature = "cli")]
    if let Some(timeout) = super::server::body_timeout_of(&error) {
        let seconds = timeout.as_secs_f64();
        return Error::request_timeout(format!(
            "The request body did not arrive within {seconds} seconds"
        ));
    }
    Error::invalid_syntax("The request body ended before it was complete").with_source(error)
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ErrorKind;

    async fn read_bytes(length: usize) -> Result<Bytes> {
        read(&HeaderMap::new(), Body::from(vec![b' '; length]), 10).await
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read() {
        assert_eq!(read_bytes(0).await.unwrap().len(), 0);
        assert_eq!(read_bytes(10).await.unwrap().len(), 10);
    }

    #[tokio::test]
    async fn a_larger_body_is_refused_with_the_limit() {
        for length in [11, MAX_DRAINED_BYTES, MAX_DRAINED_BYTES + 1] {
            let error = read_bytes(length).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
            assert!(error.detail().contains("10 bytes"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_body_declared_far_too_large_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, "99999999".parse().unwrap());
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Error>>());
        let error = read(&headers, never, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
    }
}
