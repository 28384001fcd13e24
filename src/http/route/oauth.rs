//! The paths of the OAuth 2.0 authorization server, which clients get their access tokens from.

use super::segments::decode;

/// The segments of the document by which clients find the authorization server (RFC 8414 §3).
const METADATA: [&str; 2] = [".well-known", "oauth-authorization-server"];

/// An endpoint of the authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum OAuthEndpoint {
    /// `/oauth/token` (RFC 6749 §3.2).
    Token,
    /// `/.well-known/oauth-authorization-server` (RFC 8414 §3).
    Metadata {
        /// What follows, with its slash. It is the path of the issuer if the client has built the URL by the
        /// RFC, and nothing if it has added the well-known part at the end of the issuer.
        issuer_path: String,
    },
}

impl OAuthEndpoint {
    /// The endpoint that a path leads to, if it leads to one.
    pub(in crate::http) fn at(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let decoded: Option<Vec<String>> = path.split('/').skip(1).map(decode).collect();
        let decoded = decoded?;
        let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["oauth", "token"] => Some(Self::Token),
            [one, two, rest @ ..] if [*one, *two] == METADATA => Some(Self::Metadata {
                issuer_path: rest.iter().map(|segment| format!("/{segment}")).collect(),
            }),
            _ => None,
        }
    }

    /// Its form for logs.
    pub(in crate::http) fn template(&self) -> &'static str {
        match self {
            Self::Token => "/oauth/token",
            Self::Metadata { .. } => "/.well-known/oauth-authorization-server",
        }
    }
}
