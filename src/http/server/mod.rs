//! The server of `scim serve`: connections in front of the router, HTTP/1.1 only.
//!
//! What reaches the router is the router's to answer. Here is what comes before: how long a head and a
//! body may take, requests whose target holds characters that a URI may not hold, and requests that
//! are no HTTP at all. Their answers are SCIM errors too.

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
use wire::{Turn, Wire};

/// The most headers of a request.
const MAX_HEADERS: usize = 100;
/// The longest head of a request: its first line and all headers, in bytes.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// How long a client may take to send a request, and to take its answer.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the connection, or the end of the answer before, to the end of the head; then the
    /// connection is closed.
    pub head: Duration,
    /// From the head to the end of the body; then the answer is 408.
    pub body: Duration,
    /// Without taking anything of an answer that is ready; then the connection is closed.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
        }
    }
}

/// Serves until `stop` ends, and then until every answer that was begun has been sent. Connections that
/// wait for a request are closed at once.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    patience: Patience,
    stop: impl Future<Output = ()>,
) {
    let (told, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            (socket, _) = listener.accept() => {
                let connection = connection(socket, router.clone(), patience, stopped.clone());
                connections.spawn(connection);
            }
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    // The receivers learn of it by the sender's end.
    drop(told);
    while connections.join_next().await.is_some() {}
}

/// How long the client had for a body, if that it took longer is why it could not be read.
pub(super) fn patience_that_ended(error: &axum::Error) -> Option<Duration> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(BodyTooSlow { patience }) = error.downcast_ref() {
            return Some(*patience);
        }
        cause = error.source();
    }
    None
}

/// Serves one connection to its end, or to the end of its current answer once `stopped` changes.
async fn connection(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    patience: Patience,
    mut stopped: watch::Receiver<()>,
) {
    let turn = Turn::default();
    let exchanges = Exchanges::new(router, turn.clone(), patience.body);
    let wire = Wire::new(socket, turn, patience.answer);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
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
        // The client went away, was too slow, or sent what is not HTTP. It has its answer.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
