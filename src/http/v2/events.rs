//! The feed of changes: `GET /events`, an extension of this service.

use axum::response::Response;
use serde_json::json;

use crate::feed::read::{self, After, Limits, Part};
use crate::feed::{Event, EventBody, Wanted};
use crate::http::answer;
use crate::http::call::Call;
use crate::protocol::error::excerpt;
use crate::protocol::message::Parameters;
use crate::protocol::scopes::Permission;
use crate::protocol::{Error, Result};

/// The number of events in an answer to a request without `limit`.
const DEFAULT_LIMIT: usize = 100;
/// The largest number of events in an answer.
const MAX_LIMIT: usize = 1_000;
/// The largest size of the events in an answer, in bytes of JSON; a single event may be longer. Lambda passes
/// an answer to the gateway inside a JSON string of at most 6 MB, where each quotation mark counts twice.
const MAX_BYTES: usize = 2_500_000;
/// One byte of a page, in which events are compressed, becomes about this many bytes of JSON.
const JSON_PER_PACKED: usize = 8;
/// The parameters that a request can have.
const PARAMETERS: [&str; 3] = ["after", "limit", "types"];

/// Answers with the events after a position.
///
/// **Shape**: `{"events":[…],"next":"…","behind":0}`, and `"held":true` while the brake holds events back.
///
/// # Errors
/// `Forbidden` without the permission to read events, `InvalidValue` for a parameter, `Gone` for a position
/// that the feed no longer has; `Unavailable` when the table is out of reach.
pub(super) async fn events(call: &Call<'_>) -> Result<Response> {
    let scope = &call.scope;
    scope.grant().check_events()?;
    check_names(&call.parameters)?;
    let after = after(&call.parameters)?;
    let limits = Limits {
        events: limit(&call.parameters)?,
        bytes: MAX_BYTES,
    };
    let types = types(&call.parameters)?;
    let wanted = Wanted::parse(types.iter().map(String::as_str), &scope.tenant.registry)?;
    let switches = &scope.tenant.rules.switches;
    let mut found = read::find(&scope.store, &after, limits, Some(switches)).await?;
    let takes = |body: &EventBody| wanted.takes(&body.event_type);
    let size = found.packed_bytes() * JSON_PER_PACKED;
    let answered = scope.compute.run(size, || {
        let part = found.texts(&scope.tenant.id, limits, takes, |event| text(call, event))?;
        Ok::<_, Error>(render(&part))
    });
    Ok(answer::plain_json(answered.await??))
}

/// Refuses unknown parameters, and a second `after` or `limit`. A misspelt parameter would be ignored, and so
/// would one of two values; the reader would then get other events than it asked for.
fn check_names(parameters: &Parameters) -> Result<()> {
    let mut names = parameters.iter().map(|(name, _)| name);
    let unknown = names.find(|name| {
        !PARAMETERS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    });
    if let Some(name) = unknown {
        return Err(Error::invalid_value(format!(
            "`{}` is not a parameter of this path; its parameters are {}",
            excerpt(name),
            PARAMETERS.join(", ")
        )));
    }
    let repeated = ["after", "limit"]
        .into_iter()
        .find(|name| parameters.values(name).nth(1).is_some());
    repeated.map_or(Ok(()), |name| {
        Err(Error::invalid_value(format!(
            "`{name}` is given more than once"
        )))
    })
}

fn after(parameters: &Parameters) -> Result<After> {
    let allowed = "the `next` of an earlier answer, `beginning` or `now`";
    let Some(text) = parameters.get("after") else {
        return Err(Error::invalid_value(format!(
            "`after` is missing: {allowed}"
        )));
    };
    After::parse(text).ok_or_else(|| {
        Error::invalid_value(format!("`after` is {allowed}, not `{}`", excerpt(text)))
    })
}

/// The types and patterns that the reader lists. An empty list is refused, because it would stand for all
/// types.
fn types(parameters: &Parameters) -> Result<Vec<String>> {
    let types = parameters.list("types");
    if types.is_empty() && parameters.get("types").is_some() {
        return Err(Error::invalid_value(
            "`types` names no type: leave it out for all types",
        ));
    }
    Ok(types)
}

fn limit(parameters: &Parameters) -> Result<usize> {
    let Some(text) = parameters.get("limit") else {
        return Ok(DEFAULT_LIMIT);
    };
    let number = text.parse().ok();
    number
        .filter(|number| (1..=MAX_LIMIT).contains(number))
        .ok_or_else(|| {
            Error::invalid_value(format!(
                "`limit` is a number from 1 to {MAX_LIMIT}, not `{}`",
                excerpt(text)
            ))
        })
}

/// The JSON text of an event, without values of a resource that the reader may not read.
fn text(call: &Call<'_>, event: &Event) -> String {
    if is_readable(call, event) {
        return event.to_json().to_string();
    }
    let mut event = event.clone();
    event.body.forget_values();
    event.to_json().to_string()
}

fn is_readable(call: &Call<'_>, event: &Event) -> bool {
    let Some(resource) = &event.body.resource else {
        return true;
    };
    let types = &call.scope.tenant.registry;
    // A type that the tenant has no longer is treated like its other custom types.
    let endpoint = types
        .resource_type(&resource.type_name)
        .map_or("", |resource_type| resource_type.endpoint.as_str());
    let permissions = &call.scope.caller.permissions;
    permissions.check(endpoint, Permission::Read).is_ok()
}

fn render(part: &Part<String>) -> String {
    let next = json!(part.next.to_string());
    let held = match part.held {
        Some(_) => r#","held":true"#,
        None => "",
    };
    format!(
        r#"{{"events":[{}],"next":{next},"behind":{}{held}}}"#,
        part.events.join(","),
        part.behind
    )
}
