//! The URL of a server, read and checked once.

use std::fmt;

use hyper::Uri;
use tokio_rustls::rustls::pki_types::ServerName;
use url::{Host, Url};

use super::address::Reach;
use crate::protocol::error::{Error, Result};

/// Where a request goes: the URL of a server that may be called.
///
/// **Shape**: `https://example.com/scim?key=1`. Any port but 0 is allowed, because the address of a server
/// says whose it is, and its port does not.
#[derive(Clone)]
pub struct Target {
    url: Url,
    /// The path and the query, as a request names them.
    uri: Uri,
    /// The name that the certificate has to be for; `None` for a connection without TLS.
    server_name: Option<ServerName<'static>>,
}

impl Target {
    /// The longest URL, in bytes.
    pub const MAX_BYTES: usize = 2048;

    /// Reads a URL, and checks all of it that can be checked without the network.
    ///
    /// # Errors
    /// `InvalidValue` if it is no `https` URL, has a user, a password, a fragment or port 0, is longer than
    /// [`MAX_BYTES`](Self::MAX_BYTES), or names an address that `reach` does not allow. With
    /// [`Reach::PublicAndLoopback`] an `http` URL of this machine is allowed too.
    pub fn parse(text: &str, reach: Reach) -> Result<Self> {
        let too_long = || refused(format!("has more than {} bytes", Self::MAX_BYTES));
        // The length is checked again below, because characters may be escaped when the URL is read.
        if text.len() > Self::MAX_BYTES {
            return Err(too_long());
        }
        let url = Url::parse(text).map_err(|error| refused(format!("cannot be read: {error}")))?;
        if url.as_str().len() > Self::MAX_BYTES {
            return Err(too_long());
        }
        let uri = url[url::Position::BeforePath..url::Position::AfterQuery].parse();
        let uri = uri.map_err(|_| refused("has characters that have to be escaped"))?;
        let server_name = check(&url, reach)?;
        Ok(Self {
            url,
            uri,
            server_name,
        })
    }

    /// The URL in its usual form, in which the name of a host has only ASCII characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The scheme, the host and the port. It may be logged: the path and the query of a webhook are often a
    /// secret.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.url.scheme(), self.authority())
    }

    pub(super) fn host(&self) -> Host<&str> {
        self.url
            .host()
            .expect("every URL of http or https has a host")
    }

    pub(super) fn port(&self) -> u16 {
        let port = self.url.port_or_known_default();
        port.expect("http and https have a default port")
    }

    pub(super) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host, with the port if it is not the usual one: the value of `Host`.
    pub(super) fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::AfterPort]
    }
}

/// Checks the parts of a URL, and returns the name that the certificate has to be for.
fn check(url: &Url, reach: Reach) -> Result<Option<ServerName<'static>>> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not have a user or a password"));
    }
    if url.fragment().is_some() {
        return Err(refused("must not have a fragment"));
    }
    if url.port() == Some(0) {
        return Err(refused("must not have port 0"));
    }
    match url.scheme() {
        "https" => check_host(url, reach).map(Some),
        "http" if is_plain_allowed(url, reach) => Ok(None),
        "http" => Err(refused(match reach {
            Reach::Public => "has to begin with https://",
            Reach::PublicAndLoopback => {
                "has to begin with https://; http:// is only for localhost, 127.0.0.1 and [::1]"
            }
        })),
        _ => Err(refused("has to begin with https://")),
    }
}

fn check_host(url: &Url, reach: Reach) -> Result<ServerName<'static>> {
    let address = match url.host() {
        Some(Host::Domain(name)) => {
            // Servers are not configured with such a name, and certificates have no such names.
            if name.ends_with('.') {
                return Err(refused("has a host that ends with a dot"));
            }
            let name = ServerName::try_from(name.to_owned());
            return name.map_err(|_| refused("has a host that is no name of a server"));
        }
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        None => return Err(refused("has no host")),
    };
    if reach.allows(address) {
        return Ok(ServerName::from(address));
    }
    Err(refused("has an address that is not public"))
}

fn is_plain_allowed(url: &Url, reach: Reach) -> bool {
    match url.host() {
        // What the name leads to is checked when it is resolved.
        Some(Host::Domain(name)) => name == "localhost" && reach == Reach::PublicAndLoopback,
        Some(Host::Ipv4(address)) => reach.allows_plain(address.into()),
        Some(Host::Ipv6(address)) => reach.allows_plain(address.into()),
        None => false,
    }
}

fn refused(fault: impl fmt::Display) -> Error {
    Error::invalid_value(format!("The URL {fault}"))
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}/..)", self.origin())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(url: &str, expected: Option<&str>) {
        let target = Target::parse(url, Reach::Public);
        let found = target.as_ref().ok().map(Target::as_str);
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn a_url_of_https_is_read_into_its_usual_form() {
        for (url, usual) in [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://EXAMPLE.com:443/a?b=c", "https://example.com/a?b=c"),
            (
                "https://example.com:8443/a b",
                "https://example.com:8443/a%20b",
            ),
            (
                "https://bücher.example/ü",
                "https://xn--bcher-kva.example/%C3%BC",
            ),
            ("https://ｅｘａｍｐｌｅ.com/", "https://example.com/"),
            ("https://1.1.1.1/", "https://1.1.1.1/"),
            ("https://0x01010101/", "https://1.1.1.1/"),
            (
                "https://[2606:4700::1111]:22/",
                "https://[2606:4700::1111]:22/",
            ),
        ] {
            check(url, Some(usual));
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for url in [
            "",
            "/path",
            "example.com",
            "https:",
            "https://",
            "http://example.com/",
            "http://localhost/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://:secret@example.com/",
            "https://example.com/#part",
            "https://example.com/#",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com./",
            "https://exa mple.com/",
            "https://-.example/",
            "https://a..b/",
        ] {
            check(url, None);
        }
    }

    #[test]
    fn an_address_that_is_not_public_is_refused_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "１２７.0.0.1",
            "①②⑦.0.0.1",
            "%31%32%37.0.0.1",
            "0",
            "10.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ] {
            check(&format!("https://{host}/"), None);
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_on_request() {
        let allows = |url: &str| Target::parse(url, Reach::PublicAndLoopback).is_ok();
        for url in [
            "http://localhost:3000/hook",
            "http://127.0.0.1:3000/",
            "http://[::1]:3000/",
            "https://127.0.0.1/",
            "https://example.com/",
        ] {
            assert!(allows(url), "{url}");
        }
        for url in [
            "http://example.com/",
            "http://localhost.example.com/",
            "http://localhost./",
            "http://1.1.1.1/",
            "http://192.168.0.1/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
            "https://192.168.0.1/",
        ] {
            assert!(!allows(url), "{url}");
        }
    }

    #[test]
    fn a_long_url_is_refused_whether_it_comes_long_or_becomes_so() {
        let with_path = |path: String| format!("https://example.com/{path}");
        let left = Target::MAX_BYTES - with_path(String::new()).len();
        check(&with_path("a".repeat(left + 1)), None);
        check(&with_path("ü".repeat(left / 3)), None);
        let longest = with_path("a".repeat(left));
        check(&longest, Some(&longest));
    }

    #[test]
    fn what_is_sent_has_no_more_than_its_parts() {
        let target = Target::parse("https://example.com:8443/a?b={c|d}", Reach::Public).unwrap();
        assert_eq!(target.authority(), "example.com:8443");
        assert_eq!(target.uri(), "/a?b={c|d}");
        assert_eq!(format!("{target:?}"), "Target(https://example.com:8443/..)");
        let bare = Target::parse("https://example.com", Reach::Public).unwrap();
        assert_eq!((bare.authority(), bare.port()), ("example.com", 443));
        assert_eq!(bare.uri(), "/");
    }

    proptest! {
        #[test]
        fn reading_any_text_keeps_to_the_rules(text in "(https?://)?[\\PC]{0,40}") {
            for reach in [Reach::Public, Reach::PublicAndLoopback] {
                let Ok(target) = Target::parse(&text, reach) else { continue };
                prop_assert!(target.server_name.is_some() || reach == Reach::PublicAndLoopback);
                prop_assert!(!target.authority().contains('@'));
                match target.host() {
                    Host::Ipv4(address) => prop_assert!(reach.allows(address.into())),
                    Host::Ipv6(address) => prop_assert!(reach.allows(address.into())),
                    Host::Domain(name) => prop_assert!(name.is_ascii()),
                }
                let again = Target::parse(target.as_str(), reach).unwrap();
                prop_assert_eq!(again.as_str(), target.as_str());
            }
        }

        #[test]
        fn every_spelling_of_a_loopback_address_is_refused(
            low in 0_u32..0x100_0000,
            form in 0..5_u8,
        ) {
            let address = 0x7f00_0000 | low;
            let [a, b, c, d] = address.to_be_bytes();
            let host = match form {
                0 => format!("{address}"),
                1 => format!("0x{address:x}"),
                2 => format!("{a}.{}", low),
                3 => format!("0{a:o}.{b}.0x{c:x}.{d}"),
                _ => format!("[::ffff:{a}.{b}.{c}.{d}]"),
            };
            let url = format!("https://{host}/");
            prop_assert!(Target::parse(&url, Reach::Public).is_err(), "{}", url);
        }
    }
}
