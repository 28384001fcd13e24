//! Requests and answers as JSON.
//!
//! **Shape** of a request: `{"op":"webhook.add","url":"https://example.com/hook","tenant":"acme",
//! "actor":"billing-service","requestId":"0199c3a7-15be-7aaa-8bbb-0123456789ab"}`.
//! Of its answer: `{"ok":{…}}` or `{"error":{"code":"invalid","detail":"…"}}`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::arguments::{Arguments, read};
use super::operations::{Entry, OPERATIONS, names};
use super::{Asked, Code, Failure, Operation};
use crate::identity::RequestId;
use crate::protocol::error::{Error, Result, excerpt};

/// The names by which a caller gives the parts that every request has.
const OP: &str = "op";
const ACTOR: &str = "actor";
const REQUEST_ID: &str = "requestId";

/// A request whose operation is known, and whose arguments are not read yet.
pub(super) struct Request<'r> {
    /// The operation.
    pub(super) entry: &'static Entry,
    /// Who asks.
    pub(super) asked: Asked,
    /// The arguments.
    pub(super) arguments: Arguments<'r>,
}

/// The answer to a request, as it comes over the wire.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer<T> {
    Ok(T),
    Error(Failure),
}

impl<'r> Request<'r> {
    /// Reads a request. Before anything is kept of it, its length is compared with what its operation allows.
    ///
    /// # Errors
    /// `InvalidSyntax` for what is no JSON object, `InvalidValue` for anything else that is wrong,
    /// `PayloadTooLarge` for more bytes than the operation allows.
    pub(super) fn parse(text: &'r [u8]) -> Result<Self> {
        let largest = OPERATIONS.iter().map(|entry| entry.max_request_bytes);
        check_length(text, largest.max().unwrap_or_default())?;
        let mut members: BTreeMap<String, &RawValue> =
            serde_json::from_slice(text).map_err(|error| no_object(&error))?;
        let op = members.remove(OP).map(RawValue::get);
        let op = op.and_then(|op| serde_json::from_str::<String>(op).ok());
        let entry = find(op.as_deref())?;
        check_length(text, entry.max_request_bytes)?;
        let actor = members.remove(ACTOR).ok_or_else(|| {
            Error::invalid_value("`actor` is missing: it names who asks, such as billing-service")
        })?;
        let request_id = match members.remove(REQUEST_ID) {
            Some(id) => read(REQUEST_ID, id)?,
            None => RequestId::random(),
        };
        let actor = read(ACTOR, actor)?;
        Ok(Self {
            entry,
            asked: Asked { actor, request_id },
            arguments: Arguments(members),
        })
    }
}

/// An operation as a request in JSON, to send it to where [`Admin::answer`](super::Admin::answer) is.
///
/// # Errors
/// `Internal` if the arguments are no JSON object.
pub fn write_request<O: Operation>(operation: &O, asked: &Asked) -> Result<Vec<u8>> {
    let mut request = serde_json::to_value(operation).map_err(Error::internal)?;
    let members = request
        .as_object_mut()
        .ok_or_else(|| Error::internal(format!("{} is no object", O::NAME)))?;
    members.insert(OP.to_owned(), json!(O::NAME));
    members.insert(ACTOR.to_owned(), json!(asked.actor));
    members.insert(REQUEST_ID.to_owned(), json!(asked.request_id));
    serde_json::to_vec(&request).map_err(Error::internal)
}

/// The answer to a request that [`write_request`] has written.
///
/// # Errors
/// The failure that it has; `Failed` for what is no answer to this operation.
pub fn read_answer<O: Operation>(text: &[u8]) -> Result<O::Answer, Failure> {
    match serde_json::from_slice(text) {
        Ok(Answer::Ok(answer)) => Ok(answer),
        Ok(Answer::Error(failure)) => Err(failure),
        Err(error) => {
            let detail = format!(
                "The answer to {} is of another version of the service; update the stack or the command, whichever is \
                 older",
                O::NAME
            );
            let causes = error.to_string();
            Err(Failure {
                causes,
                ..Failure::new(Code::Failed, detail)
            })
        }
    }
}

/// The answer to a request, as the caller gets it.
pub(super) fn render(outcome: &Result<Value, Failure>) -> Value {
    match outcome {
        Ok(answer) => json!({"ok": answer}),
        Err(failure) => json!({"error": failure}),
    }
}

fn find(op: Option<&str>) -> Result<&'static Entry> {
    let op = op.unwrap_or_default();
    let found = OPERATIONS.iter().find(|entry| entry.name == op);
    found.ok_or_else(|| {
        let known: Vec<_> = names().collect();
        let (op, known) = (excerpt(op), known.join(", "));
        Error::invalid_value(format!("`op` is `{op}`; it takes {known}"))
    })
}

fn check_length(text: &[u8], max: usize) -> Result<()> {
    match text.len() <= max {
        true => Ok(()),
        false => Err(Error::payload_too_large(format!(
            "A request has at most {max} bytes"
        ))),
    }
}

fn no_object(error: &serde_json::Error) -> Error {
    Error::invalid_syntax(format!("The request is not a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::webhook::{AddWebhook, Begin, ListWebhooks, ShowWebhook};

    /// Reads a request, with its arguments if they are those of `webhook.add`, `webhook.list` or `webhook.show`.
    fn parse(text: &str) -> Result<Request<'_>> {
        let request = Request::parse(text.as_bytes())?;
        let arguments = request.arguments.clone();
        match request.entry.name {
            AddWebhook::NAME => arguments.read::<AddWebhook>().map(drop)?,
            ListWebhooks::NAME => arguments.read::<ListWebhooks>().map(drop)?,
            ShowWebhook::NAME => arguments.read::<ShowWebhook>().map(drop)?,
            _ => {}
        }
        Ok(request)
    }

    fn detail(text: &str) -> String {
        let Err(error) = parse(text) else {
            panic!("{text} is read");
        };
        assert_eq!(Code::of(error.kind()), Code::Invalid, "{text}");
        error.detail().to_owned()
    }

    #[test]
    fn a_request_names_operation_actor_and_itself() {
        let text = r#"{"op":"webhook.remove","id":"5f0c9a1e7d3b2846","actor":"billing","requestId":"r-1"}"#;
        let request = parse(text).unwrap();
        assert_eq!(request.entry.name, "webhook.remove");
        assert_eq!(request.asked.actor.as_str(), "billing");
        assert_eq!(request.asked.request_id.as_str(), "r-1");
    }

    #[test]
    fn a_fault_is_named() {
        let cases = [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            (r#"{"op":"webhook.list"}"#, "`actor` is missing"),
            (r#"{"op":"webhook.list","actor":""}"#, "1 to 100 characters"),
            (
                r#"{"op":"webhook.list","actor":"a\nb"}"#,
                "control character",
            ),
            (r#"{"op":"webhook.list","actor":7}"#, "actor: invalid type"),
            (
                r#"{"actor":"a"}"#,
                "`op` is ``; it takes credential.create, ",
            ),
            (r#"{"op":"webhook.ad","actor":"a"}"#, "`op` is `webhook.ad`"),
            (r#"{"op":"webhook.show","actor":"a"}"#, "missing field `id`"),
            (
                r#"{"op":"webhook.list","actor":"a","url":"x"}"#,
                "unknown field `url`",
            ),
            (
                r#"{"op":"webhook.list","actor":"a","requestId":"a b"}"#,
                "requestId: no name",
            ),
            (
                r#"{"op":"webhook.add","actor":"a","url":"https://a.example","tenant":"A"}"#,
                "A tenant name has 1 to 40",
            ),
            (
                r#"{"op":"webhook.add","actor":"a","url":"https://a.example","from":"then"}"#,
                "unknown variant `then`, expected `beginning` or `now`",
            ),
        ];
        for (text, expected) in cases {
            let detail = detail(text);
            assert!(detail.contains(expected), "{text}: {detail}");
        }
    }

    #[test]
    fn a_request_that_is_too_long_is_not_read() {
        let text = format!(
            r#"{{"op":"webhook.list","actor":"{}"}}"#,
            "a".repeat(40_000)
        );
        assert!(detail(&text).contains("at most 32768 bytes"));
    }

    #[test]
    fn a_written_request_is_read_as_what_was_asked() {
        let add = AddWebhook {
            url: "https://a.example".to_owned(),
            tenant: None,
            types: vec!["user.*".to_owned()],
            from: Begin::Beginning,
        };
        let asked = Asked::by_command();
        let written = write_request(&add, &asked).unwrap();
        let request = Request::parse(&written).unwrap();
        assert_eq!(
            (request.entry.name, &request.asked),
            (AddWebhook::NAME, &asked)
        );
        let arguments: AddWebhook = request.arguments.read().unwrap();
        assert_eq!(json!(arguments), json!(add));
    }

    #[test]
    fn an_answer_is_read_with_members_that_it_does_not_know() {
        let text = br#"{"ok":{"webhooks":[],"later":1}}"#;
        assert!(
            read_answer::<ListWebhooks>(text)
                .unwrap()
                .webhooks
                .is_empty()
        );
        let text = br#"{"error":{"code":"unknown","detail":"There is no webhook 1"}}"#;
        let failure = read_answer::<ShowWebhook>(text).unwrap_err();
        assert_eq!(
            failure,
            Failure::new(Code::Unknown, "There is no webhook 1")
        );
        for text in [&b""[..], b"{}", b"null", br#"{"ok":7}"#, br#"{"ok":{}}"#] {
            let failure = read_answer::<ListWebhooks>(text).unwrap_err();
            assert_eq!(failure.code, Code::Failed);
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
