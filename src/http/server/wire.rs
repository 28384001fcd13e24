//! The bytes of a connection between the socket and `hyper`. Request lines are repaired on their way
//! in, and a refusal of `hyper` becomes a SCIM error on its way out.
//!
//! No parser is needed to find the beginning of a request: the connection begins with one, and
//! [`RequestBoundary`] says when the previous request has been read to its end. Bytes that `hyper` has read
//! before that (pipelined requests) are not repaired.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::request_line::repaired;
use super::{MAX_HEAD_BYTES, refusal};

/// The number of bytes from a refused client that are read and dropped. A client whose data is not
/// read when the connection closes loses the answer.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;
/// The time for which data of a refused client is read and dropped.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// The number of bytes that are read from the socket at once while a request line is collected.
const CHUNK: usize = 8 * 1024;

/// Whether the next byte from the client begins a request. It is shared with the code that answers.
#[derive(Debug, Clone)]
pub(super) struct RequestBoundary(Arc<AtomicBool>);

impl Default for RequestBoundary {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl RequestBoundary {
    /// Sets whether the next byte begins a request or belongs to the current one.
    pub(super) fn set(&self, is_request: bool) {
        self.0.store(is_request, Ordering::Release);
    }

    fn is_request(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A socket whose requests are repaired and whose refusals are SCIM errors.
pub(super) struct Wire<S> {
    socket: S,
    boundary: RequestBoundary,
    /// Bytes that were read but not given to `hyper` yet: the beginning of a request line, or a
    /// repaired one.
    incoming: BytesMut,
    /// Whether `incoming` is ready for `hyper`.
    is_ready: bool,
    /// The bytes that are written instead of an answer of `hyper` itself.
    outgoing: BytesMut,
    /// Set once a request was refused: how long the client may go on sending.
    drain: Option<Drain>,
    /// The time for which the client may take nothing of an answer.
    timeout: Duration,
    /// Set while the client takes nothing: the end of that time.
    stalled: Option<Pin<Box<Sleep>>>,
}

struct Drain {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(socket: S, boundary: RequestBoundary, timeout: Duration) -> Self {
        Self {
            socket,
            boundary,
            incoming: BytesMut::new(),
            is_ready: false,
            outgoing: BytesMut::new(),
            drain: None,
            timeout,
            stalled: None,
        }
    }

    /// The result of a write, or an error if the client has taken nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.timeout;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Collects the first line of a request and repairs it. Empty lines may precede it.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut searched = 0;
        loop {
            let line_begins = self
                .incoming
                .iter()
                .position(|byte| !b"\r\n".contains(byte));
            let line_begins = line_begins.unwrap_or(self.incoming.len());
            let from = searched.max(line_begins);
            if let Some(at) = self.incoming[from..].iter().position(|byte| *byte == b'\n') {
                let rest = self.incoming.split_off(from + at + 1);
                let line = self.incoming.split_off(line_begins);
                self.incoming.extend_from_slice(&repaired(&line));
                self.incoming.unsplit(rest);
                break;
            }
            searched = self.incoming.len();
            // A head of this length is refused by `hyper`.
            if searched > MAX_HEAD_BYTES || ready!(self.poll_more(cx))? == 0 {
                break;
            }
        }
        self.boundary.set(false);
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    /// Reads the bytes that have arrived at the socket; 0 bytes mean that the client has closed it.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0; CHUNK];
        let mut read = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
        self.incoming.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Reads and drops what a refused client still sends.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(drain) = &mut self.drain else {
            return Poll::Ready(());
        };
        let mut chunk = [0; CHUNK];
        while drain.left > 0 && drain.until.as_mut().poll(cx).is_pending() {
            let mut read = ReadBuf::new(&mut chunk);
            let outcome = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read));
            if outcome.is_err() || read.filled().is_empty() {
                break;
            }
            drain.left = drain.left.saturating_sub(read.filled().len());
        }
        self.drain = None;
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !wire.is_ready && wire.boundary.is_request() {
            ready!(wire.poll_line(cx))?;
        }
        if !wire.is_ready || wire.incoming.is_empty() {
            wire.is_ready = false;
            return Pin::new(&mut wire.socket).poll_read(cx, into);
        }
        let length = into.remaining().min(wire.incoming.len());
        into.put_slice(&wire.incoming.split_to(length));
        wire.is_ready = !wire.incoming.is_empty();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let written = Pin::new(&mut self.socket).poll_write(cx, &self.outgoing);
            let written = ready!(self.unless_stalled(cx, written))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let own = refusal::beginning(bytes);
        if own == Some(0) {
            wire.outgoing
                .extend_from_slice(&refusal::in_place_of(bytes));
            wire.drain = Some(Drain {
                until: Box::pin(tokio::time::sleep(DRAIN_TIME)),
                left: MAX_DRAINED_BYTES,
            });
            return Poll::Ready(Ok(bytes.len()));
        }
        let before = &bytes[..own.unwrap_or(bytes.len())];
        let written = Pin::new(&mut wire.socket).poll_write(cx, before);
        wire.unless_stalled(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_outgoing(cx))?;
        let flushed = Pin::new(&mut wire.socket).poll_flush(cx);
        wire.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(wire.poll_outgoing(cx))?;
        ready!(Pin::new(&mut wire.socket).poll_shutdown(cx))?;
        ready!(wire.poll_drain(cx));
        Poll::Ready(Ok(()))
    }
}
