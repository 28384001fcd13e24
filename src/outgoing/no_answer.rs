//! Why there was no answer.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio_rustls::rustls::{CertificateError, Error as TlsError};

/// Why a request had no answer.
///
/// The text completes a sentence that begins with the server: "The receiver did not answer within 10 seconds".
/// It has no URL, no address and nothing that the server has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The name of the server has no address, or the resolver could not say which one it has.
    Unresolved,
    /// One of the addresses of the server may not be connected to.
    Forbidden,
    /// The server did not take the connection.
    Unreachable,
    /// The certificate of the server is not trusted; the text says why.
    Untrusted(&'static str),
    /// The server does not speak TLS, or no version that is safe.
    NoTls,
    /// The server closed the connection before it had answered, or what it sent is not HTTP.
    NotHttp,
    /// There was no answer within this time.
    TimedOut(Duration),
}

impl NoAnswer {
    /// The failure of a TLS handshake.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|error| error.downcast_ref());
        match inner {
            Some(TlsError::InvalidCertificate(fault)) => Self::Untrusted(reason(fault)),
            _ => Self::NoTls,
        }
    }

    /// A short name for programs, such as `timeout`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unresolved => "name",
            Self::Forbidden => "address",
            Self::Unreachable => "connection",
            Self::Untrusted(_) => "certificate",
            Self::NoTls => "tls",
            Self::NotHttp => "answer",
            Self::TimedOut(_) => "timeout",
        }
    }
}

/// The library's own text may quote the names in a certificate.
fn reason(fault: &CertificateError) -> &'static str {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name"
        }
        CertificateError::UnknownIssuer => "its issuer is unknown",
        _ => "it is not valid",
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved => f.write_str("has a name whose address was not found"),
            Self::Forbidden => f.write_str("has an address that is not allowed"),
            Self::Unreachable => f.write_str("does not take connections"),
            Self::Untrusted(reason) => {
                write!(f, "has a certificate that is not trusted: {reason}")
            }
            Self::NoTls => f.write_str("does not speak TLS, or only an unsafe version of it"),
            Self::NotHttp => f.write_str("closed the connection, or its answer is not HTTP"),
            Self::TimedOut(limit) if limit.subsec_nanos() == 0 => {
                write!(f, "did not answer within {} seconds", limit.as_secs())
            }
            Self::TimedOut(limit) => {
                write!(f, "did not answer within {} ms", limit.as_millis())
            }
        }
    }
}

impl std::error::Error for NoAnswer {}
