//! A connection's bytes between the socket and `hyper`: request lines are repaired on their way in,
//! and what `hyper` refuses gets a SCIM error on its way out.
//!
//! Where a request begins is known without a parser of our own: the connection begins with one, and
//! [`Turn`] says when the one before has been read to its end. Bytes that `hyper` has read by then
//! already (pipelined requests) are not repaired.

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

/// How much of what a refused client still sends is read and dropped, in bytes. A client whose data is
/// not read when the connection closes loses the answer.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;
/// How long data of a refused client is read and dropped.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// How much is read from the socket at once while a request line is collected, in bytes.
const CHUNK: usize = 8 * 1024;

/// Whether the next byte from the client begins a request; shared with what answers the requests.
#[derive(Debug, Clone)]
pub(super) struct Turn(Arc<AtomicBool>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Turn {
    /// Says whether what follows is a request, or still belongs to one.
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
    turn: Turn,
    /// What was read and `hyper` has not got yet: the beginning of a request line, or what is ready.
    incoming: BytesMut,
    /// Whether `incoming` is ready for `hyper`.
    is_ready: bool,
    /// What is written in place of an answer of `hyper`'s own.
    outgoing: BytesMut,
    /// Set once a request was refused: until when the client may go on sending.
    drain: Option<Drain>,
    /// For how long the client may take nothing of an answer.
    patience: Duration,
    /// Set while it takes nothing: when that has been too long.
    stalled: Option<Pin<Box<Sleep>>>,
}

struct Drain {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(socket: S, turn: Turn, patience: Duration) -> Self {
        Self {
            socket,
            turn,
            incoming: BytesMut::new(),
            is_ready: false,
            outgoing: BytesMut::new(),
            drain: None,
            patience,
            stalled: None,
        }
    }

    /// The outcome of a write, or a failure where the client has taken nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Collects the first line of a request and repairs it. Empty lines may stand before it.
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
            // Longer than `hyper` takes a head, which says so.
            if searched > MAX_HEAD_BYTES || ready!(self.poll_more(cx))? == 0 {
                break;
            }
        }
        self.turn.set(false);
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
        if !wire.is_ready && wire.turn.is_request() {
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
