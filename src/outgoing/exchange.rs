//! One request and its answer, on one connection.

use std::pin::pin;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, join, split};

use super::no_answer::NoAnswer;
use super::target::Target;

/// The largest part of an answer that is read, in bytes, its head included.
pub const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// The largest number of headers in an answer.
const MAX_HEADERS: usize = 128;

/// The value of `User-Agent`.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("scim-lambda/", env!("CARGO_PKG_VERSION")));

/// The request that posts `body` to a target.
pub(super) fn request(target: &Target, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::post(target.uri().clone())
        .body(Full::new(body))
        .expect("a request of a valid URI is valid");
    let host = HeaderValue::from_str(target.authority());
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    headers.insert(
        HOST,
        host.expect("a host of a URL has ASCII characters only"),
    );
    headers.insert(USER_AGENT, AGENT);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    request
}

/// Sends a request, and reads its answer. `answered` gets the status as soon as it has arrived.
///
/// The rest of the answer is read and dropped, because some servers take a connection that ends during their
/// answer for an aborted request.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send,
    request: Request<Full<Bytes>>,
    answered: &mut Option<StatusCode>,
) -> Result<(), NoAnswer> {
    // The limit is below HTTP, so that it covers interim answers and headers too. Where it is reached, the
    // stream seems to end.
    let (read, write) = split(stream);
    let stream = join(read.take(MAX_ANSWER_BYTES), write);
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| NoAnswer::NotHttp)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let response = sender.send_request(request).await;
        let response = response.map_err(|_| NoAnswer::NotHttp)?;
        *answered = Some(response.status());
        drain(response).await;
        Ok(())
    });
    // The connection works only while it is polled, and no other task does that.
    tokio::select! {
        biased;
        ended = &mut answer => ended,
        // The answer, or the error in its place, is ready when the connection has ended.
        _ = &mut connection => answer.await,
    }
}

async fn drain(response: Response<Incoming>) {
    let mut body = response.into_body();
    while let Some(Ok(_dropped)) = body.frame().await {}
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::outgoing::Reach;

    /// The number of bytes that are in the stream between its ends.
    const BUFFER_BYTES: usize = 1000;

    fn sample() -> Request<Full<Bytes>> {
        let target = Target::parse("https://example.com:8443/hook?a=b", Reach::Public).unwrap();
        request(&target, HeaderMap::new(), Bytes::from_static(b"{}"))
    }

    /// The outcome of an exchange with a server that writes `head`, and then `part` until its client is
    /// gone, and how many bytes the client took.
    async fn with_server(
        head: &str,
        part: &str,
    ) -> (Option<StatusCode>, Result<(), NoAnswer>, u64) {
        let (client, server) = duplex(BUFFER_BYTES);
        let written = AtomicU64::new(0);
        let mut answered = None;
        let exchange = exchange(client, sample(), &mut answered);
        let (outcome, ()) = tokio::join!(exchange, serve(server, head, part, &written));
        (answered, outcome, written.into_inner())
    }

    async fn serve(mut server: DuplexStream, head: &str, part: &str, written: &AtomicU64) {
        let mut request = [0; 1024];
        let _ = server.read(&mut request).await.unwrap();
        let mut next = head;
        while !next.is_empty() && server.write_all(next.as_bytes()).await.is_ok() {
            written.fetch_add(next.len() as u64, Ordering::SeqCst);
            next = part;
        }
    }

    fn is_bounded(written: u64, part: &str) {
        let most = MAX_ANSWER_BYTES + (BUFFER_BYTES + part.len()) as u64;
        assert!(
            (MAX_ANSWER_BYTES / 2..=most).contains(&written),
            "{written}"
        );
    }

    #[tokio::test]
    async fn the_request_names_its_host_and_closes_the_connection() {
        let (client, mut server) = duplex(BUFFER_BYTES);
        let mut answered = None;
        let exchange = exchange(client, sample(), &mut answered);
        let serve = async {
            let mut request = vec![0; 1024];
            let length = server.read(&mut request).await.unwrap();
            server
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            request.truncate(length);
            String::from_utf8(request).unwrap()
        };
        let (outcome, request) = tokio::join!(exchange, serve);
        assert_eq!((outcome, answered), (Ok(()), Some(StatusCode::NO_CONTENT)));
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "POST /hook?a=b HTTP/1.1\r\nhost: example.com:8443\r\nuser-agent: scim-lambda/{version}\r\n\
             connection: close\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        assert_eq!(request, expected);
    }

    #[tokio::test]
    async fn of_a_body_without_end_a_part_is_read_and_the_status_counts() {
        let part = "x".repeat(100);
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        let (answered, outcome, written) = with_server(head, &part).await;
        assert_eq!((answered, outcome), (Some(StatusCode::OK), Ok(())));
        is_bounded(written, &part);
    }

    #[tokio::test]
    async fn of_headers_without_end_a_part_is_read() {
        let part = format!("name: {}\r\n", "x".repeat(5000));
        let (answered, outcome, written) = with_server("HTTP/1.1 200 OK\r\n", &part).await;
        assert_eq!((answered, outcome), (None, Err(NoAnswer::NotHttp)));
        is_bounded(written, &part);
    }

    #[tokio::test]
    async fn of_interim_answers_without_end_a_part_is_read() {
        let part = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        let (answered, outcome, written) = with_server(part, part).await;
        assert_eq!((answered, outcome), (None, Err(NoAnswer::NotHttp)));
        is_bounded(written, part);
    }

    #[tokio::test]
    async fn what_is_not_http_is_no_answer() {
        for head in [
            "SSH-2.0-OpenSSH_9.6\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/0.9 200 OK\r\n\r\n",
            "<html>",
            "HTTP/1.1 200 OK\r\nname",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "\0",
        ] {
            let (answered, outcome, _) = with_server(head, "").await;
            assert_eq!(
                (answered, outcome),
                (None, Err(NoAnswer::NotHttp)),
                "{head:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_after_its_status_is_an_answer() {
        for body in [
            "",
            "content-length: 10\r\n\r\nshort",
            "transfer-encoding: chunked\r\n\r\nxyz",
        ] {
            let head = format!("HTTP/1.1 410 Gone\r\n{body}\r\n");
            let (answered, outcome, _) = with_server(&head, "").await;
            assert_eq!(
                (answered, outcome),
                (Some(StatusCode::GONE), Ok(())),
                "{body:?}"
            );
        }
    }
}
