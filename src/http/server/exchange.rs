//! One request and its answer. The body has a time limit, and the connection is kept only if the whole
//! body was read.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, EXPECT, HeaderValue};
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;

use super::wire::RequestBoundary;

/// The number of bytes that the router left unread and that are read and dropped to keep the
/// connection.
const MAX_DRAINED_BYTES: usize = 64 * 1024;
/// The time that an answer waits while the rest of a body is read and dropped.
const DRAIN_TIME: Duration = Duration::from_millis(100);

/// Answers the requests of one connection.
pub(super) struct Exchanges {
    router: Router,
    boundary: RequestBoundary,
    body_timeout: Duration,
}

impl Exchanges {
    pub(super) fn new(router: Router, boundary: RequestBoundary, body_timeout: Duration) -> Self {
        Self {
            router,
            boundary,
            body_timeout,
        }
    }
}

impl Service<Request<Incoming>> for Exchanges {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (router, boundary) = (self.router.clone(), self.boundary.clone());
        // Until the body has ended, the bytes that follow on the connection belong to it.
        boundary.set(false);
        let awaits_go_ahead = request.headers().contains_key(EXPECT);
        let (parts, body) = request.into_parts();
        let body = Timed::new(body, self.body_timeout);
        let rest = Arc::clone(&body.0);
        let request = Request::from_parts(parts, Body::new(body));
        Box::pin(async move {
            let answered = router.oneshot(request).await;
            // Reading on would make `hyper` ask the client for a body that is already refused.
            let is_whole = match awaits_go_ahead {
                true => lock(&rest).is_over(),
                false => drain(&rest).await,
            };
            boundary.set(is_whole);
            answered.map(|mut response| {
                if !is_whole {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                response
            })
        })
    }
}

/// The body did not arrive in time.
#[derive(Debug)]
pub(in crate::http) struct BodyTooSlow {
    /// The time that the client had.
    pub(in crate::http) timeout: Duration,
}

impl fmt::Display for BodyTooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body did not arrive within {:?}", self.timeout)
    }
}

impl Error for BodyTooSlow {}

/// A body with a time limit. The exchange keeps the other handle of it.
struct Timed(Arc<Mutex<Arriving>>);

struct Arriving {
    body: Incoming,
    timeout: Duration,
    deadline: Instant,
    /// Set when the body has to be waited for.
    timer: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
}

impl Timed {
    fn new(body: Incoming, timeout: Duration) -> Self {
        Self(Arc::new(Mutex::new(Arriving {
            body,
            timeout,
            deadline: Instant::now() + timeout,
            timer: None,
            has_ended: false,
        })))
    }
}

fn lock(arriving: &Mutex<Arriving>) -> MutexGuard<'_, Arriving> {
    // A panic of another holder leaves the body readable.
    arriving.lock().unwrap_or_else(PoisonError::into_inner)
}

type Next = Option<Result<Frame<Bytes>, Box<dyn Error + Send + Sync>>>;

impl Arriving {
    fn is_over(&self) -> bool {
        self.has_ended || self.body.is_end_stream()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.has_ended |= frame.is_none();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = self.deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(cx).map(|()| {
            let timeout = self.timeout;
            Some(Err(BodyTooSlow { timeout }.into()))
        })
    }
}

/// Reads and drops the rest of a body that is about to end; returns whether it has ended.
async fn drain(arriving: &Mutex<Arriving>) -> bool {
    let mut left = MAX_DRAINED_BYTES;
    let ended = poll_fn(|cx| {
        let mut arriving = lock(arriving);
        while left > 0 && !arriving.is_over() {
            let Some(Ok(frame)) = ready!(arriving.poll_frame(cx)) else {
                break;
            };
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
        }
        Poll::Ready(arriving.is_over())
    });
    tokio::time::timeout(DRAIN_TIME, ended)
        .await
        .unwrap_or(false)
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        lock(&self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).is_over()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.size_hint()
    }
}
