//! The answer to a bulk request (RFC 7644 §3.7.3; SCIM 1.1 API §3.5).

use crate::error::Error;
use crate::message::{error_response, push_string};
use crate::urn;

/// The result of one operation.
#[derive(Debug)]
pub struct BulkResult<'a> {
    /// The method as the client sent it.
    pub method: &'a str,
    /// The client's name for the resource, if it gave one.
    pub bulk_id: Option<&'a str>,
    /// The resource's URL; `None` for a POST that failed.
    pub location: Option<&'a str>,
    /// The resource's entity tag after the operation.
    pub version: Option<&'a str>,
    /// The status that the same request would have had outside a bulk request, or the error.
    pub status: Result<u16, &'a Error>,
}

/// The SCIM 2.0 message.
///
/// **Shape**: `{"schemas":[…],"Operations":[{"location":"…","method":"POST","bulkId":"qwerty",
/// "version":"W/\"1\"","status":"201"}]}`; a failed operation has the error message as `response`.
#[must_use]
pub fn render_response(outcomes: &[BulkResult<'_>]) -> String {
    render(urn::BULK_RESPONSE, outcomes, |outcome, out| {
        match outcome.status {
            Ok(status) => push_text(out, "status", &status.to_string()),
            Err(error) => {
                push_text(out, "status", &error.status().to_string());
                out.push_str(r#","response":"#);
                out.push_str(&error_response(error));
            }
        }
    })
}

/// The SCIM 1.1 message, in which `status` is an object and a deletion has the status 200.
#[must_use]
pub fn render_response_v1(outcomes: &[BulkResult<'_>]) -> String {
    render(urn::CORE_1_1, outcomes, |outcome, out| {
        let code = match outcome.status {
            Ok(204) => 200,
            Ok(status) => status,
            Err(error) => error.status(),
        };
        out.push_str(r#","status":{"code":""#);
        out.push_str(&code.to_string());
        out.push('"');
        if let Err(error) = outcome.status {
            push_text(out, "description", error.detail());
        }
        out.push('}');
    })
}

fn render(
    schema: &str,
    outcomes: &[BulkResult<'_>],
    push_status: impl Fn(&BulkResult<'_>, &mut String),
) -> String {
    let mut out = format!(r#"{{"schemas":["{schema}"],"Operations":["#);
    for (position, outcome) in outcomes.iter().enumerate() {
        out.push_str(if position > 0 { ",{" } else { "{" });
        out.push_str(r#""method":"#);
        push_string(&mut out, outcome.method);
        let members = [
            ("bulkId", outcome.bulk_id),
            ("location", outcome.location),
            ("version", outcome.version),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                push_text(&mut out, name, value);
            }
        }
        push_status(outcome, &mut out);
        out.push('}');
    }
    out.push_str("]}");
    out
}

fn push_text(out: &mut String, name: &str, value: &str) {
    out.push(',');
    push_string(out, name);
    out.push(':');
    push_string(out, value);
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::error::ErrorKind;

    const USERS: &str = "https://example.com/v2/Users/";

    /// The outcome that an example shows.
    fn outcomes<'a>(
        example: &'a Value,
        error: impl Fn(&'a Value) -> Option<&'a Error>,
    ) -> Vec<BulkResult<'a>> {
        let listed = example["Operations"].as_array().unwrap().iter();
        listed
            .map(|shown| {
                let status = &shown["status"];
                let code = status["code"].as_str().or(status.as_str()).unwrap();
                BulkResult {
                    method: shown["method"].as_str().unwrap(),
                    bulk_id: shown["bulkId"].as_str(),
                    location: shown["location"].as_str(),
                    version: shown["version"].as_str(),
                    status: error(shown).map_or(Ok(code.parse().unwrap()), Err),
                }
            })
            .collect()
    }

    fn check(example: &str, errors: &[Error], render: impl Fn(&[BulkResult<'_>]) -> String) {
        let example: Value = serde_json::from_str(example).unwrap();
        let error = |shown: &Value| {
            let code = shown["status"]["code"]
                .as_str()
                .or(shown["status"].as_str());
            errors
                .iter()
                .find(|error| Some(error.status().to_string().as_str()) == code)
        };
        let text = render(&outcomes(&example, error));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), example);
    }

    /// RFC 7644 §3.7.2 and §3.7.3, with errata 7916 and 8096.
    #[test]
    fn the_examples_are_written() {
        let errors = [
            Error::invalid_syntax(
                "Request is unparsable, syntactically incorrect, or violates schema.",
            ),
            Error::version_mismatch("Failed to update.  Resource changed on the server."),
            Error::not_found("Resource does not exist."),
        ];
        for example in [
            include_str!("../../tests/data/bulk/response-user-and-group.json"),
            include_str!("../../tests/data/bulk/response-every-method.json"),
            include_str!("../../tests/data/bulk/response-first-error.json"),
            include_str!("../../tests/data/bulk/response-all-failed.json"),
        ] {
            check(example, &errors, render_response);
        }
    }

    /// SCIM 1.1 API §3.5.
    #[test]
    fn the_examples_of_1_1_are_written() {
        let errors = [
            Error::invalid_syntax(
                "Request is unparseable, syntactically incorrect, or violates schema.",
            ),
            Error::version_mismatch(
                "Failed to update as user changed on the server since you last retrieved it.",
            ),
            Error::not_found("Specified resource; e.g., User, does not exist."),
        ];
        for example in [
            include_str!("../../tests/data/scim11/bulk-response.json"),
            include_str!("../../tests/data/scim11/bulk-response-first-error.json"),
            include_str!("../../tests/data/scim11/bulk-response-all-failed.json"),
            include_str!("../../tests/data/scim11/bulk-response-user-and-group.json"),
        ] {
            check(example, &errors, render_response_v1);
        }
    }

    #[test]
    fn a_deletion_is_a_200_in_1_1() {
        let location = format!("{USERS}7");
        let outcome = BulkResult {
            method: "DELETE",
            bulk_id: None,
            location: Some(&location),
            version: None,
            status: Ok(204),
        };
        assert!(render_response_v1(std::slice::from_ref(&outcome)).contains(r#""code":"200""#));
        assert!(render_response(std::slice::from_ref(&outcome)).contains(r#""status":"204""#));
    }

    #[test]
    fn the_cause_of_an_error_is_not_shown() {
        let error = Error::new(ErrorKind::Unavailable, "Later").with_source("secret");
        let outcome = BulkResult {
            method: "GET\"",
            bulk_id: Some("\""),
            location: None,
            version: None,
            status: Err(&error),
        };
        let text = render_response(std::slice::from_ref(&outcome));
        assert!(serde_json::from_str::<Value>(&text).is_ok());
        assert!(!text.contains("secret"));
    }
}
