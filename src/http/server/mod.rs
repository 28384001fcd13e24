//! The server of `scim serve`: connections in front of the router, HTTP/1.1 only.
//!
//! The router answers what reaches it. This module handles what comes before: how long a head and a
//! body may take, targets with characters that a URI may not hold, and requests that are not HTTP. Its
//! answers are SCIM errors too.

mod exchange;
mod refusal;
mod request_line;
mod wire;

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use exchange::{BodyTooSlow, Exchanges};
use wire::{RequestBoundary, Wire};

/// The largest number of headers of a request.
const MAX_HEADERS: usize = 100;
/// The longest head of a request: its first line and all headers, in bytes.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// The time that a client may take to send a request and to take its answer.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the beginning of the connection, or the end of the previous answer, to the end of the
    /// head. Then the connection is closed.
    pub head: Duration,
    /// From the head to the end of the body. Then the answer is 408.
    pub body: Duration,
    /// Without taking anything of an answer that is ready. Then the connection is closed.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
        }
    }
}

/// Serves until `stop` ends, and then until every answer that was begun has been sent. Connections
/// that wait for a request are closed at once.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    timeouts: Timeouts,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            (socket, _) = listener.accept() => {
                let connection = connection(socket, router.clone(), timeouts, stopped.clone());
                connections.spawn(connection);
            }
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    // Dropping the sender notifies the receivers.
    drop(stopping);
    while connections.join_next().await.is_some() {}
}

/// The time that the client had for a body, if the body could not be read because it took longer.
pub(super) fn body_timeout_of(error: &axum::Error) -> Option<Duration> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(BodyTooSlow { timeout }) = error.downcast_ref() {
            return Some(*timeout);
        }
        cause = error.source();
    }
    None
}

/// Serves one connection to its end, or to the end of its current answer once `stopped` changes.
async fn connection(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    timeouts: Timeouts,
    mut stopped: watch::Receiver<()>,
) {
    let boundary = RequestBoundary::default();
    let exchanges = Exchanges::new(router, boundary.clone(), timeouts.body);
    let wire = Wire::new(socket, boundary, timeouts.answer);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(wire), exchanges);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // The client closed the connection, was too slow, or did not send HTTP. Its answer has been
        // sent.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
