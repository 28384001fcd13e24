//! Whether the service is well: `GET /healthz`.
//!
//! Without parameters it says that the process answers, and calls nothing. With `deep=1` it looks whether the
//! table and the secrets are in reach. Each look costs a call of both, so it takes a credential.

use std::time::Duration;

use axum::response::Response;

use crate::http::answer;
use crate::http::call::Call;
use crate::protocol::error::excerpt;
use crate::protocol::message::Parameters;
use crate::protocol::{Error, Result};

/// How long a look at the table or at the secrets may take.
const LOOK_BUDGET: Duration = Duration::from_secs(5);

/// The answer of a process that runs.
pub(super) fn well() -> Response {
    answer::plain_json(r#"{"status":"ok"}"#.to_owned())
}

/// Whether the request asks for a look at what the service needs.
///
/// # Errors
/// `InvalidValue` for another value than `0` and `1`.
pub(super) fn is_deep(parameters: &Parameters) -> Result<bool> {
    match parameters.get("deep") {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(Error::invalid_value(format!(
            "`deep` is 0 or 1, not `{}`",
            excerpt(other)
        ))),
    }
}

/// Looks whether the table and the secrets are in reach.
///
/// # Errors
/// `Forbidden` naming `stack:health`; `Unavailable` naming what is out of reach.
pub(super) async fn check(call: &Call<'_>) -> Result<Response> {
    let scope = &call.scope;
    scope.caller.permissions.check_health()?;
    let table = call.service.provider.store().warm_up();
    let secrets = call.service.authenticator.look_at_secrets(&scope.tenant.id);
    let (table, secrets) =
        tokio::join!(check_reach("table", table), check_reach("secrets", secrets));
    table.and(secrets)?;
    let text = r#"{"status":"ok","table":"ok","secrets":"ok"}"#;
    Ok(answer::plain_json(text.to_owned()))
}

async fn check_reach<E: Into<Error>>(
    what: &str,
    look: impl Future<Output = Result<(), E>>,
) -> Result<()> {
    let unavailable = || Error::unavailable(format!("The service does not reach its {what}"));
    match tokio::time::timeout(LOOK_BUDGET, look).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(unavailable().with_source(cause.into())),
        Err(late) => Err(unavailable().with_source(late)),
    }
}
