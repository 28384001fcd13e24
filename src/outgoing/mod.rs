//! The one HTTP client for calls to servers that other people run, such as receivers of webhooks.
//!
//! A person who chooses a URL must not be able to make the service call servers that only the service can
//! reach: those of its network, the metadata service, its own process. So the client connects to public
//! addresses only ([`Reach`]), and it cannot be led around this rule:
//!
//! - Each request has a connection of its own. The client resolves the name once, checks every address,
//!   and connects to one of those very addresses. No pool keeps a connection for another request, and no
//!   connector of a library resolves the name again or skips the look-up for an address in a URL.
//! - It follows no redirects, uses no proxy, and speaks HTTP/1.1 only.
//! - One deadline holds for everything from the look-up of the name to the end of the answer. When it is
//!   over, the request is dropped with its connection: no task is left behind.
//! - It reads at most [`MAX_ANSWER_BYTES`] of an answer, its head included.
//!
//! A new connection for each request costs a handshake. In return, a server that has closed a kept
//! connection while a function was frozen is never taken for a server that is down.
//!
//! It must not know what is sent. The AWS SDK has connections of its own, in `aws`.

mod address;
mod connect;
mod exchange;
mod no_answer;
mod target;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::RootCertStore;

pub use address::Reach;
pub use connect::{Resolve, SystemResolver};
pub use exchange::MAX_ANSWER_BYTES;
pub use no_answer::NoAnswer;
pub use target::Target;

use http_body_util::Full;

use crate::tls;

/// The time of one request, from the look-up of the name to the end of the answer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What a [`Client`] needs to know.
pub struct Settings {
    /// Which addresses it may connect to.
    pub reach: Reach,
    /// The time of one request.
    pub deadline: Duration,
    /// Finds the addresses of a name.
    pub resolver: Arc<dyn Resolve>,
    /// Which certificates it trusts.
    pub roots: Roots,
}

/// The certificates that those of servers have to descend from.
pub enum Roots {
    /// Those of the machine, read when the first request needs them.
    OfMachine,
    /// These.
    Given(Arc<RootCertStore>),
}

/// Sends requests to servers that other people run.
pub struct Client {
    settings: Settings,
    tls: OnceLock<TlsConnector>,
}

impl Settings {
    /// The settings for production: the names and certificates that the machine knows, and [`DEADLINE`].
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self {
            reach,
            deadline: DEADLINE,
            resolver: Arc::new(SystemResolver),
            roots: Roots::OfMachine,
        }
    }
}

impl Client {
    /// A client with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            tls: OnceLock::new(),
        }
    }

    /// Which addresses the client may connect to, as [`Target::parse`] has to know.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.settings.reach
    }

    /// Posts `body` with these headers, and returns the status of the answer.
    ///
    /// Once the server has answered with a status, the request has succeeded, even if the rest of the
    /// answer is too long, late or broken. The client sets `Host`, `User-Agent` and `Content-Length` itself.
    ///
    /// # Errors
    /// If there was no answer, with the reason.
    pub async fn post(
        &self,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<StatusCode, NoAnswer> {
        let request = exchange::request(target, headers, body);
        let mut answered = None;
        let attempt = self.attempt(target, request, &mut answered);
        let ended = tokio::time::timeout(self.settings.deadline, attempt).await;
        match (answered, ended) {
            (Some(status), _) => Ok(status),
            (None, Ok(ended)) => Err(ended.err().unwrap_or(NoAnswer::NotHttp)),
            (None, Err(_)) => Err(NoAnswer::TimedOut(self.settings.deadline)),
        }
    }

    /// Makes the connection, sends the request and reads the answer. `answered` gets the status as soon as
    /// it has arrived.
    async fn attempt(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        answered: &mut Option<StatusCode>,
    ) -> Result<(), NoAnswer> {
        let stream =
            connect::connect(&*self.settings.resolver, self.settings.reach, target).await?;
        match target.server_name() {
            None => exchange::exchange(stream, request, answered).await,
            Some(name) => {
                let tls = self.tls().connect(name.clone(), stream).await;
                let stream = tls.map_err(|error| NoAnswer::of_handshake(&error))?;
                exchange::exchange(stream, request, answered).await
            }
        }
    }

    fn tls(&self) -> &TlsConnector {
        self.tls.get_or_init(|| {
            let roots = match &self.settings.roots {
                Roots::OfMachine => tls::roots_of_machine(),
                Roots::Given(roots) => Arc::clone(roots),
            };
            TlsConnector::from(Arc::new(tls::client(roots)))
        })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("reach", &self.settings.reach)
            .field("deadline", &self.settings.deadline)
            .finish_non_exhaustive()
    }
}
