//! An error as the client reads it (RFC 7644 §3.12; SCIM 1.1 API §3.9).

use super::push_string;
use crate::error::Error;
use crate::urn;

/// The SCIM 2.0 error message.
///
/// **Shape**: `{"schemas":[…],"status":"400","scimType":"invalidFilter","detail":"…"}`. The status is
/// a string. `scimType` is present only for causes that have one.
#[must_use]
pub fn error_response(error: &Error) -> String {
    let mut out = format!(
        r#"{{"schemas":["{}"],"status":"{}""#,
        urn::ERROR,
        error.status()
    );
    if let Some(scim_type) = error.kind().scim_type() {
        out.push_str(r#","scimType":""#);
        out.push_str(scim_type);
        out.push('"');
    }
    out.push_str(r#","detail":"#);
    push_string(&mut out, error.detail());
    out.push('}');
    out
}

/// The SCIM 1.1 error message.
///
/// **Shape**: `{"Errors":[{"description":"…","code":"404"}],"detail":"…"}`. `detail` repeats the
/// description: SCIM 1.1 does not define it, but Okta's test of a 1.1 service reads it.
#[must_use]
pub fn error_response_v1(error: &Error) -> String {
    let mut out = String::from(r#"{"Errors":[{"description":"#);
    push_string(&mut out, error.detail());
    out.push_str(&format!(r#","code":"{}"}}],"detail":"#, error.status()));
    push_string(&mut out, error.detail());
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_error_names_status_type_and_detail() {
        let check = |error: &Error, expected: Value| {
            assert_eq!(parse(&error_response(error)), expected, "{error}");
        };
        check(
            &Error::mutability("Attribute 'id' is readOnly"),
            json!({"schemas": [urn::ERROR], "status": "400", "scimType": "mutability",
                   "detail": "Attribute 'id' is readOnly"}),
        );
        check(
            &Error::not_found("Resource \"2819\" not\nfound"),
            json!({"schemas": [urn::ERROR], "status": "404", "detail": "Resource \"2819\" not\nfound"}),
        );
        check(
            &Error::sensitive("No"),
            json!({"schemas": [urn::ERROR], "status": "403", "scimType": "sensitive", "detail": "No"}),
        );
    }

    #[test]
    fn a_cause_for_the_log_is_never_written() {
        let error = Error::internal("table scim-prod is on fire");
        assert!(!error_response(&error).contains("fire"));
        assert!(!error_response_v1(&error).contains("fire"));
    }

    #[test]
    fn the_older_form_has_description_code_and_detail() {
        let error = Error::not_found("Resource 2819c223-7f76-453a-919d-413861904646 not found");
        assert_eq!(
            parse(&error_response_v1(&error)),
            json!({"Errors": [{"description": "Resource 2819c223-7f76-453a-919d-413861904646 not found",
                               "code": "404"}],
                   "detail": "Resource 2819c223-7f76-453a-919d-413861904646 not found"})
        );
    }
}
