//! The token endpoint: a client gets an access token for its own rights (RFC 6749 §4.4).

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::HeaderName;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::json;

use super::TOKEN_PATH;
use super::client::Presented;
use super::error::OAuthError;
use super::form::Form;
use crate::http::open::{admit, noted};
use crate::http::public_url::Mount;
use crate::http::status::Observed;
use crate::http::{Service, answer, observe};
use crate::identity::{Cause, CauseKind, RequestId};
use crate::protocol::Error;
use crate::protocol::scopes::{Permissions, check_scopes};
use crate::provider::REQUEST_BUDGET;
use crate::store::Meter;

/// The one grant type.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Issues an access token.
///
/// **Shape**: `{"access_token":"scimat_…","token_type":"Bearer","expires_in":3600}`, and `"scope":"…"` if the
/// client has asked for scopes.
///
/// # Errors
/// Those of RFC 6749 §5.2. A request is refused in this order: for its form, its grant type, its client, and
/// its scopes.
pub(super) async fn token(
    service: &Service,
    mount: Mount<'_>,
    mut parts: Parts,
    body: Body,
    observed: &Observed,
) -> Result<Response, OAuthError> {
    let form = Form::read(&parts.headers, body).await?;
    check_grant_type(&form)?;
    let presented = Presented::read(&parts.headers, &form)?;
    let issuer = mount.service_url().unwrap_or_default();
    let audiences = [format!("{issuer}{TOKEN_PATH}"), issuer];
    let authenticator = &service.authenticator;
    let client = authenticator.authenticate_client(presented.as_proof(), &audiences);
    let client = client.await.map_err(|refusal| noted(refusal, observed))?;
    let caller = client.caller.clone();
    observe::note_caller(&caller.tenant, &caller.credential);
    observed.note_tenant(&caller.tenant);
    let meter = parts.extensions.remove::<Meter>().unwrap_or_default();
    let request = parts.extensions.remove::<RequestId>();
    let cause = Cause {
        request: request.unwrap_or_else(RequestId::random),
        credential: Some(caller.credential.clone()),
        kind: CauseKind::Scim2,
    };
    let provider = &service.provider;
    let store = provider.store();
    let store = store.for_tenant(&caller.tenant, cause.clone(), meter.clone(), REQUEST_BUDGET);
    let _turn = admit(service, &caller.tenant, &store).await?;
    let base_url = mount.base_url("");
    let scope = provider.scope(caller, cause, base_url, meter).await?;
    let narrowed = narrowed(&form, &scope.caller.permissions)?;
    if let Some(assertion) = &client.assertion {
        // Only now: a request that is refused for another reason does not use the assertion up.
        let (name, until) = (assertion.as_str(), assertion.remembered_until());
        let signatures = scope.store.signatures();
        let is_first = signatures.use_up(&client.caller.credential, name, until);
        if !is_first.await.map_err(Error::from)? {
            let detail = "The assertion was used before; sign another one, with another jti";
            return Err(Error::unauthorized(detail).into());
        }
    }
    let text = narrowed.as_ref().map(|scopes| {
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        scopes.join(" ")
    });
    let issued = authenticator.issue_access(&client, narrowed);
    let mut message = json!({
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.seconds,
    });
    if let Some(text) = text {
        message["scope"] = text.into();
    }
    let mut response = answer::plain_json(message.to_string());
    // `Cache-Control: no-store` is on every answer.
    answer::set(&mut response, HeaderName::from_static("pragma"), "no-cache");
    Ok(response)
}

fn check_grant_type(form: &Form) -> Result<(), OAuthError> {
    match form.get("grant_type") {
        Some(CLIENT_CREDENTIALS) => Ok(()),
        Some(_) => Err(OAuthError::unsupported_grant_type(format!(
            "The grant type is not {CLIENT_CREDENTIALS}, which is the one that is served"
        ))),
        None => Err(OAuthError::invalid_request(format!(
            "The parameter grant_type is missing; it is {CLIENT_CREDENTIALS}"
        ))),
    }
}

/// The scopes that the client asks for. Without any it gets all that it has.
fn narrowed(
    form: &Form,
    permissions: &Permissions,
) -> Result<Option<BTreeSet<String>>, OAuthError> {
    let asked = form.get("scope").unwrap_or_default().split(' ');
    let asked: BTreeSet<String> = asked
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if asked.is_empty() {
        return Ok(None);
    }
    let names = || asked.iter().map(String::as_str);
    check_scopes(names()).map_err(|error| OAuthError::invalid_scope(error.detail()))?;
    if let Some(missing) = names().find(|scope| permissions.check_grant([*scope]).is_err()) {
        return Err(OAuthError::invalid_scope(format!(
            "The client does not have the scope {missing}"
        )));
    }
    Ok(Some(asked))
}
