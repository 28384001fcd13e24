//! The answer to a query: rendered resources, and the position of the page (RFC 7644 §3.4.2, RFC 9865
//! §2; SCIM 1.1 API §3.2.2).

use std::fmt::Write as _;

use super::push_string;
use crate::urn;

/// The members of a list answer other than its resources.
///
/// **Shape**: `{"schemas":[…],"totalResults":2,"startIndex":1,"itemsPerPage":2,"Resources":[…]}`;
/// `Resources` is always present. A page that was asked for by cursor has `nextCursor` and
/// `previousCursor` instead of `startIndex`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListResponse {
    /// The number of all matches. In cursor paging it may be unknown, and is then left out.
    pub total_results: Option<u64>,
    /// The position of the page.
    pub paging: Paging,
}

/// The position of a page in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// By the 1-based position of the first resource.
    Index {
        /// The position of the first resource of this page.
        start_index: u64,
    },
    /// By opaque cursors (RFC 9865).
    Cursor {
        /// Leads to the next page; absent only on the last page.
        next: Option<String>,
        /// Leads to the previous page; always absent on the first page.
        previous: Option<String>,
    },
}

impl ListResponse {
    /// A complete list on one page.
    #[must_use]
    pub fn complete(count: usize) -> Self {
        Self {
            total_results: Some(count as u64),
            paging: Paging::Index { start_index: 1 },
        }
    }

    /// The SCIM 2.0 message with these resources, each the text of a JSON object.
    pub fn render<T: AsRef<str>>(&self, resources: &[T]) -> String {
        self.write(urn::LIST_RESPONSE, resources)
    }

    /// The SCIM 1.1 message with these resources, each the text of a JSON object.
    pub fn render_v1<T: AsRef<str>>(&self, resources: &[T]) -> String {
        self.write(urn::CORE_1_1, resources)
    }

    fn write<T: AsRef<str>>(&self, schema: &str, resources: &[T]) -> String {
        let length: usize = resources.iter().map(|text| text.as_ref().len() + 1).sum();
        let mut out = String::with_capacity(length + 256);
        out.push_str(r#"{"schemas":[""#);
        out.push_str(schema);
        out.push_str(r#""],"#);
        if let Some(total) = self.total_results {
            push_number(&mut out, "totalResults", total);
        }
        self.paging.write(&mut out);
        push_number(&mut out, "itemsPerPage", resources.len() as u64);
        out.push_str(r#""Resources":["#);
        for (position, text) in resources.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            out.push_str(text.as_ref());
        }
        out.push_str("]}");
        out
    }
}

impl Paging {
    fn write(&self, out: &mut String) {
        match self {
            Self::Index { start_index } => push_number(out, "startIndex", *start_index),
            Self::Cursor { next, previous } => {
                push_cursor(out, "nextCursor", next.as_deref());
                push_cursor(out, "previousCursor", previous.as_deref());
            }
        }
    }
}

fn push_number(out: &mut String, name: &str, number: u64) {
    // Writing into a string cannot fail.
    let _ = write!(out, r#""{name}":{number},"#);
}

fn push_cursor(out: &mut String, name: &str, cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        // Writing into a string cannot fail.
        let _ = write!(out, r#""{name}":"#);
        push_string(out, cursor);
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn resources_are_spliced_between_the_numbers() {
        let list = ListResponse {
            total_results: Some(7),
            paging: Paging::Index { start_index: 3 },
        };
        let texts = [r#"{"id":"a"}"#, r#"{"id":"b"}"#];
        assert_eq!(
            list.render(&texts),
            format!(
                r#"{{"schemas":["{}"],"totalResults":7,"startIndex":3,"itemsPerPage":2,"Resources":[{{"id":"a"}},{{"id":"b"}}]}}"#,
                urn::LIST_RESPONSE
            )
        );
    }

    #[test]
    fn an_empty_list_has_its_array() {
        let list = ListResponse::complete(0);
        assert_eq!(
            parse(&list.render::<&str>(&[])),
            json!({"schemas": [urn::LIST_RESPONSE], "totalResults": 0, "startIndex": 1,
                   "itemsPerPage": 0, "Resources": []})
        );
    }

    #[test]
    fn cursor_pages_have_no_start_index() {
        let check = |next: Option<&str>, previous: Option<&str>, expected: Value| {
            let list = ListResponse {
                total_results: None,
                paging: Paging::Cursor {
                    next: next.map(str::to_owned),
                    previous: previous.map(str::to_owned),
                },
            };
            assert_eq!(parse(&list.render(&["{}"])), expected);
        };
        let with = |cursors: Value| {
            let mut all =
                json!({"schemas": [urn::LIST_RESPONSE], "itemsPerPage": 1, "Resources": [{}]});
            all.as_object_mut()
                .unwrap()
                .extend(cursors.as_object().unwrap().clone());
            all
        };
        check(None, None, with(json!({})));
        check(Some("YWJj"), None, with(json!({"nextCursor": "YWJj"})));
        check(
            Some("n"),
            Some("p"),
            with(json!({"nextCursor": "n", "previousCursor": "p"})),
        );
    }

    #[test]
    fn the_older_form_names_the_core_schema() {
        let text = ListResponse::complete(1).render_v1(&[r#"{"userName":"jsmith"}"#]);
        assert_eq!(
            parse(&text),
            json!({"schemas": ["urn:scim:schemas:core:1.0"], "totalResults": 1, "startIndex": 1,
                   "itemsPerPage": 1, "Resources": [{"userName": "jsmith"}]})
        );
    }
}
