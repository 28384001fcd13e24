//! The body of a token request, `application/x-www-form-urlencoded` (RFC 6749 §3.2, appendix B).

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;

use super::error::OAuthError;
use crate::http::body::read;
use crate::http::media_type::sole_content_type;
use crate::protocol::error::excerpt;
use crate::protocol::message::Parameters;

const FORM: &str = "application/x-www-form-urlencoded";
/// The largest body, in bytes: twice the longest assertion.
const MAX_BYTES: usize = 16 * 1024;

/// The parameters, each of them once.
pub(super) struct Form(Parameters);

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// `invalid_request` for another media type, a body that is too long or not UTF-8, and a parameter that
    /// comes twice.
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, OAuthError> {
        let media_type = sole_content_type(headers).unwrap_or_default();
        let name = media_type.split(';').next().unwrap_or_default();
        let is_form = name.trim().eq_ignore_ascii_case(FORM);
        if !is_form || headers.contains_key(CONTENT_ENCODING) {
            return Err(OAuthError::invalid_request(format!(
                "The body is not {FORM}"
            )));
        }
        let bytes = read(headers, body, MAX_BYTES).await?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| OAuthError::invalid_request("The body is not UTF-8"))?;
        let parameters = Parameters::parse(text)
            .map_err(|_| OAuthError::invalid_request("A parameter is not UTF-8"))?;
        let mut names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|two| two[0] == two[1]) {
            let name = excerpt(twice[0]);
            return Err(OAuthError::invalid_request(format!(
                "The parameter {name} comes more than once"
            )));
        }
        Ok(Self(parameters))
    }

    /// A parameter. One without a value counts as left out (RFC 6749 §3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(known, _)| *known == name);
        let (_, value) = named.next()?;
        Some(value).filter(|value| !value.is_empty())
    }
}
