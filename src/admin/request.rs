//! An operation as it is asked for, and its answer, as JSON.
//!
//! **Shape** of a request: `{"op":"webhook.add","url":"https://example.com/hook","tenant":"acme",
//! "actor":"billing-service","requestId":"0199c3a7-15be-7aaa-8bbb-0123456789ab"}`.
//! Of its answer: `{"ok":{…}}` or `{"error":{"code":"invalid","detail":"…"}}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::webhook::{
    AddWebhook, AddedWebhook, ListWebhooks, RemoveWebhook, RemovedWebhook, ResumeWebhook,
    ResumedWebhook, RotateSecret, RotatedSecret, ShowWebhook, ShownWebhook, TestWebhook,
    TestedWebhook, WebhookList,
};
use crate::identity::RequestId;
use crate::protocol::error::{Error, ErrorKind, Result, excerpt};

/// The longest request, in bytes: room for the longest URL and the largest number of patterns.
const MAX_REQUEST_BYTES: usize = 32 * 1024;
/// The longest name of an actor, in characters.
const MAX_ACTOR_CHARACTERS: usize = 100;

/// An operation, who asks for it, and the name of the request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is to be done.
    pub operation: Operation,
    /// Who asks, as the caller says. It is logged and decides nothing.
    pub actor: Actor,
    /// The name of the request. A caller that repeats a request repeats its name.
    pub request_id: RequestId,
}

/// Who asks for an operation: 1 to 100 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Actor(String);

/// What can be asked for, with its arguments.
#[derive(Debug, Clone)]
pub enum Operation {
    /// `webhook.add`
    AddWebhook(AddWebhook),
    /// `webhook.list`
    ListWebhooks(ListWebhooks),
    /// `webhook.show`
    ShowWebhook(ShowWebhook),
    /// `webhook.test`
    TestWebhook(TestWebhook),
    /// `webhook.rotate`
    RotateSecret(RotateSecret),
    /// `webhook.resume`
    ResumeWebhook(ResumeWebhook),
    /// `webhook.remove`
    RemoveWebhook(RemoveWebhook),
}

/// The result of an operation. It is written as the value of `ok`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of `webhook.add`.
    AddedWebhook(AddedWebhook),
    /// Of `webhook.list`.
    WebhookList(WebhookList),
    /// Of `webhook.show`.
    ShownWebhook(ShownWebhook),
    /// Of `webhook.test`.
    TestedWebhook(TestedWebhook),
    /// Of `webhook.rotate`.
    RotatedSecret(RotatedSecret),
    /// Of `webhook.resume`.
    ResumedWebhook(ResumedWebhook),
    /// Of `webhook.remove`.
    RemovedWebhook(RemovedWebhook),
}

/// The kinds of errors that a program can distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request has a fault. Sent again, it is refused again.
    Invalid,
    /// What it names does not exist.
    Unknown,
    /// It does not fit the present state, or the number of such things is at its limit.
    Refused,
    /// The service is overloaded or out of reach. The same request may succeed later.
    Later,
    /// The service itself is at fault.
    Failed,
}

/// The names by which a caller gives the parts that every request has.
const OP: &str = "op";
const ACTOR: &str = "actor";
const REQUEST_ID: &str = "requestId";

impl Request {
    /// A request of the person who has started a command.
    #[must_use]
    pub fn of_command(operation: Operation) -> Self {
        Self {
            operation,
            actor: Actor("scim".to_owned()),
            request_id: RequestId::random(),
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// `InvalidSyntax` for what is no JSON object, `InvalidValue` for anything else that is wrong,
    /// `PayloadTooLarge` for more than 32 KB.
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_REQUEST_BYTES {
            return Err(Error::payload_too_large(format!(
                "A request has at most {MAX_REQUEST_BYTES} bytes"
            )));
        }
        let mut members: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
            Error::invalid_syntax(format!("The request is not a JSON object: {error}"))
        })?;
        let op = members.remove(OP);
        let actor = members.remove(ACTOR).ok_or_else(|| {
            Error::invalid_value("`actor` is missing: it names who asks, such as billing-service")
        })?;
        let request_id = match members.remove(REQUEST_ID) {
            Some(id) => read(REQUEST_ID, id)?,
            None => RequestId::random(),
        };
        Ok(Self {
            operation: Operation::parse(op.as_ref(), members)?,
            actor: read(ACTOR, actor)?,
            request_id,
        })
    }
}

impl Operation {
    /// The names of all operations.
    const NAMES: [&str; 7] = [
        "webhook.add",
        "webhook.list",
        "webhook.show",
        "webhook.test",
        "webhook.rotate",
        "webhook.resume",
        "webhook.remove",
    ];

    /// The name by which a request asks for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let [add, list, show, test, rotate, resume, remove] = Self::NAMES;
        match self {
            Self::AddWebhook(_) => add,
            Self::ListWebhooks(_) => list,
            Self::ShowWebhook(_) => show,
            Self::TestWebhook(_) => test,
            Self::RotateSecret(_) => rotate,
            Self::ResumeWebhook(_) => resume,
            Self::RemoveWebhook(_) => remove,
        }
    }

    fn parse(op: Option<&Value>, arguments: Map<String, Value>) -> Result<Self> {
        let [add, list, show, test, rotate, resume, remove] = Self::NAMES;
        let name = op.and_then(Value::as_str).unwrap_or_default();
        let arguments = Value::Object(arguments);
        Ok(match name {
            _ if name == add => Self::AddWebhook(read(name, arguments)?),
            _ if name == list => Self::ListWebhooks(read(name, arguments)?),
            _ if name == show => Self::ShowWebhook(read(name, arguments)?),
            _ if name == test => Self::TestWebhook(read(name, arguments)?),
            _ if name == rotate => Self::RotateSecret(read(name, arguments)?),
            _ if name == resume => Self::ResumeWebhook(read(name, arguments)?),
            _ if name == remove => Self::RemoveWebhook(read(name, arguments)?),
            _ => {
                return Err(Error::invalid_value(format!(
                    "`op` is `{}`; it takes {}",
                    excerpt(name),
                    Self::NAMES.join(", ")
                )));
            }
        })
    }
}

impl Actor {
    /// Reads the name of an actor.
    ///
    /// # Errors
    /// `InvalidValue` for anything but 1 to 100 characters without control characters.
    pub fn parse(text: &str) -> Result<Self> {
        let is_long_enough = (1..=MAX_ACTOR_CHARACTERS).contains(&text.chars().count());
        if is_long_enough && !text.chars().any(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::invalid_value(format!(
            "`actor` has 1 to {MAX_ACTOR_CHARACTERS} characters, none of them a control character"
        )))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Actor {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl Code {
    /// The code of an error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Unknown,
            ErrorKind::Conflict | ErrorKind::Uniqueness | ErrorKind::TooMany => Self::Refused,
            ErrorKind::Unavailable | ErrorKind::TooManyRequests | ErrorKind::RequestTimeout => {
                Self::Later
            }
            ErrorKind::Internal | ErrorKind::NotImplemented => Self::Failed,
            _ => Self::Invalid,
        }
    }

    /// The code as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Failed => "failed",
        }
    }
}

/// The answer to a request, as the caller gets it.
#[must_use]
pub fn render(outcome: &Result<Answer>) -> Value {
    match outcome {
        Ok(answer) => json!({"ok": answer}),
        Err(error) => {
            json!({"error": {"code": Code::of(error).as_str(), "detail": error.detail()}})
        }
    }
}

/// Reads a part of a request. `name` says which part, for the error.
fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::invalid_value(format!("{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(text: &str) -> String {
        let error = Request::parse(text.as_bytes()).unwrap_err();
        assert_eq!(Code::of(&error), Code::Invalid, "{text}");
        error.detail().to_owned()
    }

    #[test]
    fn a_request_names_operation_actor_and_itself() {
        let text = r#"{"op":"webhook.remove","id":"5f0c9a1e7d3b2846","actor":"billing","requestId":"r-1"}"#;
        let request = Request::parse(text.as_bytes()).unwrap();
        assert_eq!(request.operation.name(), "webhook.remove");
        assert_eq!(request.actor.as_str(), "billing");
        assert_eq!(request.request_id.as_str(), "r-1");
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
            (r#"{"actor":"a"}"#, "`op` is ``; it takes webhook.add, "),
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
}
