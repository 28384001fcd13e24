//! Bulk requests, without carrying them out: parsing, references between operations, and an order that
//! keeps the client's intent (RFC 7644 §3.7).
//!
//! [`BulkRequest::parse`] reads the envelope. A fault in one operation becomes the result of that
//! operation; the request as a whole goes on. [`plan`](plan()) decides which operation waits for
//! which. The caller limits the size of the body, checks permissions and carries the operations out.

mod claim;
mod plan;
mod reference;
mod response;
mod site;

pub use plan::{BulkPlan, BulkStep, plan};
#[cfg(test)]
pub(crate) use reference::references;
pub use reference::resolve;
pub(crate) use reference::respell;
pub use response::{BulkResult, render_response, render_response_v1};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::error::{Error, Result, excerpt};
use crate::json;
use crate::message::check_message;
use crate::profile::Reading;
use crate::urn;

/// A bulk request as it was sent.
#[derive(Debug)]
pub struct BulkRequest {
    /// The number of errors after which the request stops; 1 or more.
    pub(crate) fail_on_errors: Option<u32>,
    /// The operations, in the order of the request.
    pub(crate) entries: Vec<BulkEntry>,
}

/// One operation of a bulk request.
#[derive(Debug)]
pub(crate) struct BulkEntry {
    /// The parts of the operation that its result repeats.
    pub(crate) label: OperationLabel,
    /// The operation, or why it cannot be read.
    pub(crate) operation: Result<BulkOperation>,
    /// Operations that complete the resource which a POST creates, such as those that make it a member
    /// of groups. They have no results of their own: if one fails, its error is the result of the POST.
    pub(crate) completions: Vec<BulkOperation>,
}

/// The parts of an operation that its result repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLabel {
    /// The method in capitals, or as it was sent if no method has this name.
    pub method: String,
    /// The client's name for the resource that a POST creates.
    pub bulk_id: Option<String>,
    /// The path as it was sent.
    pub path: String,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkOperation {
    /// The method.
    pub method: Method,
    /// The endpoint: `Users`. Whether it exists is not known here.
    pub endpoint: String,
    /// The resource that the operation is on.
    pub target: OperationTarget,
    /// The entity tag that the resource must have: `W/"…"`.
    pub version: Option<String>,
    /// The body; empty for DELETE.
    pub data: Map<String, Value>,
}

/// The methods of bulk operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Create.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Delete.
    Delete,
}

impl Method {
    const ALL: [(&'static str, Self); 4] = [
        ("POST", Self::Post),
        ("PUT", Self::Put),
        ("PATCH", Self::Patch),
        ("DELETE", Self::Delete),
    ];

    /// The name in capitals.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        let found = all.find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, method)| *method)
    }
}

/// The resource that an operation is on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OperationTarget {
    /// The resource that it creates; the client calls it by this name.
    New(String),
    /// The existing resource with this id.
    Id(String),
    /// The resource that another operation creates under this name.
    BulkId(String),
}

impl BulkRequest {
    /// Reads a bulk request.
    ///
    /// **Shape**: `{"schemas":["urn:…:BulkRequest"],"failOnErrors":1,"Operations":[{"method":"POST",
    /// "path":"/Users","bulkId":"qwerty","data":{…}}]}`.
    ///
    /// # Errors
    /// `PayloadTooLarge` naming the limit when there are more operations than the tenant's switch
    /// allows; `InvalidSyntax` when the body is not a BulkRequest; `InvalidValue` when `failOnErrors`
    /// is not a positive integer.
    pub fn parse(body: &Map<String, Value>, reading: &mut Reading<'_>) -> Result<Self> {
        let operations = json::present(body, "Operations").and_then(Value::as_array);
        check_count(operations.map_or(0, Vec::len), reading)?;
        check_message(body, urn::BULK_REQUEST, reading)?;
        let operations =
            operations.ok_or_else(|| Error::invalid_syntax("`Operations` must be an array"))?;
        let mut entries = Vec::<BulkEntry>::with_capacity(operations.len());
        let mut names = std::collections::HashSet::new();
        for operation in operations {
            let mut entry = BulkEntry::parse(operation);
            let label = &entry.label;
            let name = label.bulk_id.clone().filter(|_| label.method == "POST");
            if let Some(name) = name
                && !names.insert(name.clone())
            {
                entry.operation = Err(Error::invalid_value(format!(
                    "`bulkId` {} is not unique in the request",
                    excerpt(name)
                )));
            }
            entries.push(entry);
        }
        Ok(Self {
            fail_on_errors: fail_on_errors(body)?,
            entries,
        })
    }
}

/// Refuses too many operations. This comes before every other check (RFC 7644 §3.7.4).
fn check_count(operations: usize, reading: &Reading<'_>) -> Result<()> {
    let limit = reading.rules.switches.bulk_max_operations;
    if usize::try_from(limit).is_ok_and(|limit| operations > limit) {
        return Err(Error::payload_too_large(format!(
            "The request has {operations} operations; at most {limit} are allowed"
        )));
    }
    Ok(())
}

fn fail_on_errors(body: &Map<String, Value>) -> Result<Option<u32>> {
    let Some(value) = json::present(body, "failOnErrors") else {
        return Ok(None);
    };
    let number = value.as_u64().filter(|number| *number > 0);
    let number =
        number.ok_or_else(|| Error::invalid_value("`failOnErrors` must be a positive integer"))?;
    Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
}

impl BulkEntry {
    fn parse(value: &Value) -> Self {
        let empty = Map::new();
        let operation = value.as_object().unwrap_or(&empty);
        let text = |name: &str| json::present(operation, name)?.as_str().map(str::to_owned);
        let sent = text("method").unwrap_or_default();
        let method = Method::parse(&sent);
        let bulk_id = text("bulkId");
        let path = text("path").unwrap_or_default();
        let operation = BulkOperation::parse(operation, method, bulk_id.as_deref(), &path);
        let label = OperationLabel {
            method: method.map_or(sent, |method| method.name().to_owned()),
            bulk_id,
            path,
        };
        Self {
            label,
            operation,
            completions: Vec::new(),
        }
    }
}

impl BulkOperation {
    /// The name of the resource that the operation creates.
    pub(crate) fn made_name(&self) -> Option<&str> {
        match &self.target {
            OperationTarget::New(name) => Some(name),
            OperationTarget::Id(_) | OperationTarget::BulkId(_) => None,
        }
    }

    fn parse(
        source: &Map<String, Value>,
        method: Option<Method>,
        bulk_id: Option<&str>,
        path: &str,
    ) -> Result<Self> {
        let method = method
            .ok_or_else(|| Error::invalid_syntax("`method` must be POST, PUT, PATCH or DELETE"))?;
        let (endpoint, id) = split_path(path)?;
        let target = match (method, id) {
            (Method::Post, Some(_)) => {
                return Err(Error::invalid_value(format!(
                    "The `path` of a POST must be an endpoint such as `/Users`, not `{}`",
                    excerpt(path)
                )));
            }
            (Method::Post, None) => OperationTarget::New(
                bulk_id
                    .filter(|name| !name.is_empty())
                    .ok_or_else(|| Error::invalid_value("A POST needs a `bulkId`"))?
                    .to_owned(),
            ),
            (_, Some(id)) => match id.strip_prefix(reference::PREFIX) {
                Some(name) => OperationTarget::BulkId(name.to_owned()),
                None => OperationTarget::Id(id),
            },
            (_, None) => {
                return Err(Error::invalid_value(format!(
                    "`path` must name one resource, such as `/Users/ID`, not `{}`",
                    excerpt(path)
                )));
            }
        };
        let data = json::present(source, "data")
            .and_then(Value::as_object)
            .cloned();
        let data = match (method, data) {
            (Method::Delete, _) => Map::new(),
            (_, Some(data)) => data,
            (_, None) => {
                return Err(Error::invalid_syntax(
                    "The operation needs an object `data`",
                ));
            }
        };
        let version = json::present(source, "version").and_then(Value::as_str);
        Ok(Self {
            method,
            endpoint,
            target,
            version: version.map(str::to_owned),
            data,
        })
    }
}

/// The endpoint, and the id if there is one.
fn split_path(path: &str) -> Result<(String, Option<String>)> {
    let unfit = || {
        Error::invalid_value(format!(
            "`path` must have the form `/Users` or `/Users/ID`, not `{}`",
            excerpt(path)
        ))
    };
    let decoded = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| unfit())?;
    let mut segments = decoded.trim_matches('/').split('/');
    let endpoint = segments.next().filter(|endpoint| !endpoint.is_empty());
    let (id, more) = (segments.next(), segments.next());
    let fits = more.is_none() && id.is_none_or(|id| !id.is_empty()) && !path.contains('?');
    let endpoint = endpoint.filter(|_| fits).ok_or_else(unfit)?;
    Ok((endpoint.to_owned(), id.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{Profile, Rules, Switches};

    fn parse(body: &Value, profile: Profile) -> Result<BulkRequest> {
        let rules = Rules {
            profile,
            ..Rules::default()
        };
        BulkRequest::parse(body.as_object().unwrap(), &mut Reading::new(&rules))
    }

    /// RFC 7644 §3.7.3, its PATCH as corrected by erratum 5050.
    #[test]
    fn every_method_is_read() {
        let text = include_str!("../../tests/data/bulk/every-method.json");
        let request = parse(&serde_json::from_str(text).unwrap(), Profile::Strict).unwrap();
        assert_eq!(request.fail_on_errors, Some(1));
        let operations = request.entries.iter();
        let operations: Vec<_> = operations
            .map(|entry| entry.operation.as_ref().unwrap())
            .collect();
        let targets: Vec<_> = operations
            .iter()
            .map(|operation| (operation.method, &operation.target))
            .collect();
        let id = |id: &str| OperationTarget::Id(id.to_owned());
        assert_eq!(
            targets,
            [
                (Method::Post, &OperationTarget::New("qwerty".into())),
                (Method::Put, &id("b7c14771-226c-4d05-8860-134711653041")),
                (Method::Patch, &id("5d8d29d3-342c-4b5f-8683-a3cb6763ffcc")),
                (Method::Delete, &id("e9025315-6bea-44e1-899c-1e07454e468b")),
            ]
        );
        assert!(
            operations
                .iter()
                .all(|operation| operation.endpoint == "Users")
        );
        assert_eq!(
            operations[1].version.as_deref(),
            Some(r#"W/"3694e05e9dff591""#)
        );
        assert_eq!(operations[0].data["userName"], "Alice");
        assert!(operations[3].data.is_empty());
    }

    #[test]
    fn a_fault_in_one_operation_is_its_result() {
        let check = |operation: Value, part: &str| {
            let good = json!({"method": "DELETE", "path": "/Users/7"});
            let body = json!({"schemas": [urn::BULK_REQUEST], "Operations": [operation, good]});
            let request = parse(&body, Profile::Strict).unwrap();
            let error = request.entries[0].operation.as_ref().unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.detail().contains(part), "{}", error.detail());
            assert!(request.entries[1].operation.is_ok());
        };
        let data = json!({"userName": "a"});
        check(json!(7), "`method`");
        check(json!({"method": "GET", "path": "/Users/7"}), "`method`");
        check(
            json!({"method": "POST", "path": "/Users", "data": data}),
            "needs a `bulkId`",
        );
        check(
            json!({"method": "POST", "path": "/Users/7", "bulkId": "a", "data": data}),
            "must be an endpoint",
        );
        check(
            json!({"method": "POST", "path": "/Users", "bulkId": "a"}),
            "needs an object `data`",
        );
        check(
            json!({"method": "PUT", "path": "/Users", "data": data}),
            "one resource",
        );
        for path in [
            "",
            "/",
            "/Users/7/8",
            "/Users//",
            "/Users/7?x",
            "/Users/%FF",
        ] {
            check(
                json!({"method": "PATCH", "path": path, "data": data}),
                "`path`",
            );
        }
    }

    #[test]
    fn a_bulk_id_is_unique() {
        let post = json!({"method": "post", "path": "Users/", "bulkId": "a", "data": {}});
        let body = json!({"schemas": [urn::BULK_REQUEST], "Operations": [post, post]});
        let request = parse(&body, Profile::Strict).unwrap();
        assert_eq!(request.entries[0].label.method, "POST");
        assert!(request.entries[0].operation.is_ok());
        let error = request.entries[1].operation.as_ref().unwrap_err();
        assert!(error.detail().contains("not unique"));
    }

    #[test]
    fn the_limit_on_operations_is_named() {
        let rules = Rules {
            switches: Switches {
                bulk_max_operations: 2,
                ..Switches::default()
            },
            ..Rules::default()
        };
        let parse = |count: usize| {
            let operations = vec![json!({"method": "DELETE", "path": "/Users/7"}); count];
            let body = json!({"Operations": operations, "failOnErrors": 0});
            BulkRequest::parse(body.as_object().unwrap(), &mut Reading::new(&rules)).unwrap_err()
        };
        assert_eq!(parse(2).status(), 400);
        let error = parse(3);
        assert_eq!(error.status(), 413);
        assert!(error.detail().contains("at most 2"), "{}", error.detail());
    }

    #[test]
    fn the_envelope_is_checked() {
        let check = |body: Value, scim_type: &str| {
            let error = parse(&body, Profile::Strict).unwrap_err();
            assert_eq!(error.kind().scim_type(), Some(scim_type), "{body}");
        };
        check(json!({"Operations": []}), "invalidSyntax");
        check(json!({"schemas": [urn::BULK_REQUEST]}), "invalidSyntax");
        let with = |limit: Value| json!({"schemas": [urn::BULK_REQUEST], "failOnErrors": limit, "Operations": []});
        for limit in [json!(0), json!(-1), json!("1"), json!(1.5)] {
            check(with(limit), "invalidValue");
        }
        assert_eq!(
            parse(&with(Value::Null), Profile::Strict)
                .unwrap()
                .fail_on_errors,
            None
        );
        assert!(parse(&json!({"operations": []}), Profile::Default).is_ok());
    }
}
