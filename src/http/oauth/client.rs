//! How a client authenticates at the token endpoint: in the `Authorization` header, by parameters, or by an
//! assertion (RFC 6749 §2.3.1, RFC 7523 §2.2).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::error::OAuthError;
use super::form::Form;
use crate::protocol::Error;
use crate::protocol::message::Parameters;
use crate::tenant::{ClientProof, basic_pair};

/// The type of an assertion that is a JWT (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client as it has named and proved itself.
pub(super) enum Presented {
    Secret { id: String, secret: String },
    Assertion { id: Option<String>, jwt: String },
}

impl Presented {
    /// Reads the one proof of a request. RFC 6749 §2.3 lets a client use one way only, but Entra can be set to
    /// send its secret both in the header and in the body. That is taken if both are the same.
    ///
    /// # Errors
    /// `invalid_client` if there is none that can be read, `invalid_request` if there are different ones.
    pub(super) fn read(headers: &HeaderMap, form: &Form) -> Result<Self, OAuthError> {
        let mut presented = headers.get_all(AUTHORIZATION).iter();
        let header = presented.next();
        let id = form.get("client_id");
        let (secret, jwt) = (form.get("client_secret"), form.get("client_assertion"));
        let is_by_secret = header.is_some() || secret.is_some();
        if (is_by_secret && jwt.is_some()) || presented.next().is_some() {
            return Err(OAuthError::invalid_request(
                "The client authenticates in more than one way; use one of the Authorization header, \
                 client_secret and client_assertion",
            ));
        }
        if let Some(header) = header {
            let (basic_id, basic_secret) = basic(header.to_str().unwrap_or_default())?;
            let own = [
                ("client_id", id, &basic_id),
                ("client_secret", secret, &basic_secret),
            ];
            let other = own
                .iter()
                .find(|(_, sent, in_header)| sent.is_some_and(|sent| sent != in_header.as_str()));
            if let Some((name, ..)) = other {
                return Err(OAuthError::invalid_request(format!(
                    "The parameter {name} is not that of the Authorization header"
                )));
            }
            return Ok(Self::Secret {
                id: basic_id,
                secret: basic_secret,
            });
        }
        match (id, secret, jwt) {
            (Some(id), Some(secret), _) => Ok(Self::Secret {
                id: id.to_owned(),
                secret: secret.to_owned(),
            }),
            (None, Some(_), _) => Err(OAuthError::invalid_request(
                "The parameter client_id is missing",
            )),
            (id, None, Some(jwt)) => {
                if form.get("client_assertion_type") != Some(JWT_BEARER) {
                    return Err(OAuthError::invalid_request(format!(
                        "The parameter client_assertion_type is not {JWT_BEARER}"
                    )));
                }
                Ok(Self::Assertion {
                    id: id.map(str::to_owned),
                    jwt: jwt.to_owned(),
                })
            }
            (_, None, None) => Err(Error::unauthorized(
                "The request does not authenticate a client: send client_id and client_secret, the same as \
                 HTTP Basic, or a client_assertion",
            )
            .into()),
        }
    }

    /// The same as the authenticator takes it.
    pub(super) fn as_proof(&self) -> ClientProof<'_> {
        match self {
            Self::Secret { id, secret } => ClientProof::Secret { id, secret },
            Self::Assertion { id, jwt } => ClientProof::Assertion {
                id: id.as_deref(),
                jwt,
            },
        }
    }
}

/// The client id and the secret of Basic credentials. Both were encoded as in a form before (RFC 6749
/// §2.3.1); a client that has left this out is read correctly, because neither has a character that it would
/// change.
fn basic(header: &str) -> Result<(String, String), OAuthError> {
    let pair = header.trim().split_once(' ').and_then(|(scheme, rest)| {
        let is_basic = scheme.eq_ignore_ascii_case("basic");
        is_basic.then(|| basic_pair(rest.trim_start()))?
    });
    let decoded = pair.and_then(|(id, secret)| Some((decoded(&id)?, decoded(&secret)?)));
    decoded.ok_or_else(|| {
        let detail =
            "The Authorization header is not of the form `Basic` with a client id and a secret";
        Error::unauthorized(detail).into()
    })
}

fn decoded(text: &str) -> Option<String> {
    // An ampersand is encoded in what was encoded, so this is one parameter.
    let parameters = Parameters::parse(&format!("v={text}")).ok()?;
    parameters.get("v").map(str::to_owned)
}
