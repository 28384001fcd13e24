//! A connection to a checked address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Host;

use super::address::Reach;
use super::no_answer::NoAnswer;
use super::target::Target;

/// The largest number of addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// The time after which the next address of a name is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// The addresses of `host`, in the order in which they are to be tried.
    ///
    /// # Errors
    /// If they cannot be found out.
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
///
/// A look-up that is given up goes on in a thread of its own, until the operating system gives it up too.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move {
            // The port is not resolved; it only completes the type.
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// Connects to the first address of a target that takes the connection. All its addresses have to be
/// allowed, so that a name with some that are not fails always, and not now and then.
pub(super) async fn connect(
    resolver: &dyn Resolve,
    reach: Reach,
    target: &Target,
) -> Result<TcpStream, NoAnswer> {
    let addresses = match target.host() {
        // The operating system's error does not reliably tell a name without an address from a resolver that is
        // down. Either way the next attempt asks again.
        Host::Domain(name) => resolver.resolve(name).await.unwrap_or_default(),
        Host::Ipv4(address) => vec![address.into()],
        Host::Ipv6(address) => vec![address.into()],
    };
    if addresses.is_empty() {
        return Err(NoAnswer::Unresolved);
    }
    let is_allowed = |address: &IpAddr| match target.server_name() {
        Some(_) => reach.allows(*address),
        None => reach.allows_plain(*address),
    };
    if !addresses.iter().all(is_allowed) {
        return Err(NoAnswer::Forbidden);
    }
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        // The address that was checked is the one that is connected to: nothing is resolved again.
        let connect = TcpStream::connect(SocketAddr::new(address, target.port()));
        // One that refuses and one that is silent are alike: the next one may answer.
        if let Ok(Ok(stream)) = timeout(ADDRESS_TIMEOUT, connect).await {
            // A failure costs a moment's delay of the request, and nothing else.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(NoAnswer::Unreachable)
}
