//! Queries: the parameters of a GET and a SearchRequest in one form (RFC 7644 §3.4.2, §3.4.3; RFC 9865
//! §2, §3).

use serde_json::{Map, Value};

use super::{Parameters, check_message};
use crate::error::{Error, Result};
use crate::filter::{self, Filter};
use crate::json;
use crate::profile::{Reading, Switches, Tolerance};
use crate::sort::SortOrder;
use crate::urn;

/// A query. All that can be checked without a resource type has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Which attributes the answer shows.
    pub selection: Selection,
    /// The resources that are asked for; without a filter, all.
    pub filter: Option<QueryFilter>,
    /// Whether the filter came in the URL, where it must not name sensitive attributes.
    pub exposed: bool,
    /// The attribute to sort by, as written; never blank.
    pub sort_by: Option<String>,
    /// Which end of the order comes first.
    pub sort_order: SortOrder,
    /// Where the page begins.
    pub page: PageStart,
    /// The number of resources that the page may hold, if the request names one; 0 to the tenant's
    /// maximum.
    pub count: Option<u32>,
}

/// The filter of a query, parsed where the request is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryFilter {
    /// The text as it was given. Cursors and page marks hold a hash of it. For a 1.1 filter, the text
    /// of the equal 2.0 filter.
    pub text: String,
    /// The parsed filter.
    pub filter: Filter,
}

/// The largest number of names in `attributes` or `excludedAttributes`, repeated ones included.
pub const MAX_NAMES: usize = 1_000;

/// The attributes that an answer shows, as the request names them (RFC 7644 §3.4.2.5, §3.9).
///
/// One of the two lists is empty. When both are, the default set is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The names to return.
    pub attributes: Vec<String>,
    /// The names to leave out.
    pub excluded_attributes: Vec<String>,
}

/// How a request says where its page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// By the position of its first resource: 1 or more, never larger than `i64::MAX`.
    Index(u64),
    /// By a cursor; `None` for the first page (RFC 9865 §2).
    Cursor(Option<String>),
}

impl Selection {
    /// The selection for an answer that does not show the resource. With it, attributes that are
    /// stored elsewhere, such as members and groups, are not read.
    #[must_use]
    pub fn id_only() -> Self {
        Self {
            attributes: vec!["id".to_owned()],
            ..Self::default()
        }
    }

    /// Reads the two parameters of any request that is answered with resources.
    ///
    /// # Errors
    /// `InvalidValue` when both are given, or one has more than [`MAX_NAMES`] names.
    pub fn from_parameters(parameters: &Parameters) -> Result<Self> {
        Self::new(
            parameters.list("attributes"),
            parameters.list("excludedAttributes"),
        )
    }

    fn new(attributes: Vec<String>, excluded_attributes: Vec<String>) -> Result<Self> {
        if !attributes.is_empty() && !excluded_attributes.is_empty() {
            return Err(Error::invalid_value(
                "`attributes` and `excludedAttributes` cannot be used together",
            ));
        }
        let names = [
            ("attributes", attributes.len()),
            ("excludedAttributes", excluded_attributes.len()),
        ];
        if let Some((parameter, count)) = names.iter().find(|(_, count)| *count > MAX_NAMES) {
            return Err(Error::invalid_value(format!(
                "`{parameter}` has {count} names; at most {MAX_NAMES} are allowed"
            )));
        }
        Ok(Self {
            attributes,
            excluded_attributes,
        })
    }
}

impl QueryFilter {
    /// Reads the text of a filter.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn parse(text: String, reading: &mut Reading<'_>) -> Result<Self> {
        let filter = Filter::parse(&text, reading)?;
        Ok(Self { text, filter })
    }

    /// The conjunction of filters that were built from other parameters, with its text; `None` for no
    /// filters.
    ///
    /// # Errors
    /// `InvalidFilter` where [`parse`](Self::parse) would refuse the text because of its size.
    pub(crate) fn all_of(mut parts: Vec<Filter>) -> Result<Option<Self>> {
        let text = match parts.as_slice() {
            [] => return Ok(None),
            [single] => single.to_string(),
            several => {
                let bracketed = several.iter().map(|part| format!("({part})"));
                bracketed.collect::<Vec<_>>().join(" and ")
            }
        };
        filter::check_size(&parts, &text)?;
        let filter = match parts.len() {
            1 => parts.remove(0),
            _ => Filter::And(parts),
        };
        Ok(Some(Self { text, filter }))
    }
}

impl Query {
    /// Reads the parameters of a GET. Unknown parameters are ignored. An empty `cursor` asks for the
    /// first page, an empty `filter` is an error (RFC 7644 §3.4.2.2); other empty parameters are
    /// ignored.
    ///
    /// # Errors
    /// `InvalidValue` naming the parameter and what it may hold; `InvalidFilter` if nothing else is
    /// wrong.
    pub fn from_parameters(parameters: &Parameters, reading: &mut Reading<'_>) -> Result<Self> {
        let query = Self::unfiltered(parameters, &reading.rules.switches)?;
        let filter = parameters.get("filter").map(str::to_owned);
        query.filtered(filter, reading)
    }

    /// Reads the parameters of a GET except `filter`: for a list that takes no filter, or whose filter
    /// is of another version of the protocol.
    ///
    /// # Errors
    /// `InvalidValue` naming the parameter and what it may hold.
    pub fn unfiltered(parameters: &Parameters, switches: &Switches) -> Result<Self> {
        let text = |name: &str| parameters.get(name).and_then(non_blank);
        let number = |name: &str| integer_parameter(parameters, name);
        RawQuery {
            selection: Selection::from_parameters(parameters)?,
            exposed: true,
            sort_by: text("sortBy"),
            sort_order: text("sortOrder"),
            start_index: number("startIndex")?,
            count: number("count")?,
            cursor: parameters.get("cursor").map(str::to_owned),
        }
        .check(switches)
    }

    /// Reads the body of a POST to `/.search`.
    ///
    /// **Shape**: `{"schemas":["urn:…:SearchRequest"],"filter":"…","attributes":["a"],"count":10}`.
    ///
    /// # Errors
    /// `InvalidSyntax` when the body is not a SearchRequest; `InvalidValue` naming the member and what
    /// it may hold; `InvalidFilter` if nothing else is wrong.
    pub fn from_search_request(
        request: &Map<String, Value>,
        reading: &mut Reading<'_>,
    ) -> Result<Self> {
        check_message(request, urn::SEARCH_REQUEST, reading)?;
        let text = |name: &str| text(request, name);
        let selection = Selection::new(
            names(request, "attributes", reading)?,
            names(request, "excludedAttributes", reading)?,
        )?;
        let filter = text("filter")?;
        let raw = RawQuery {
            selection,
            exposed: false,
            sort_by: text("sortBy")?.as_deref().and_then(non_blank),
            sort_order: text("sortOrder")?.as_deref().and_then(non_blank),
            start_index: number(request, "startIndex")?,
            count: number(request, "count")?,
            cursor: text("cursor")?,
        };
        raw.check(&reading.rules.switches)?
            .filtered(filter, reading)
    }

    fn filtered(mut self, text: Option<String>, reading: &mut Reading<'_>) -> Result<Self> {
        self.filter = match text {
            Some(text) => Some(QueryFilter::parse(text, reading)?),
            None => None,
        };
        Ok(self)
    }

    /// The number of resources that the page may hold.
    #[must_use]
    pub fn page_size(&self, switches: &Switches) -> u32 {
        self.count
            .unwrap_or(switches.default_count.min(switches.max_count))
    }
}

/// A query without its filter, before its parts are checked against each other.
struct RawQuery {
    selection: Selection,
    exposed: bool,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    cursor: Option<String>,
}

impl RawQuery {
    fn check(self, switches: &Switches) -> Result<Query> {
        let page = match (self.cursor, self.start_index) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid_value(
                    "`cursor` and `startIndex` cannot be used together (RFC 9865 section 2.4)",
                ));
            }
            (Some(cursor), None) => PageStart::Cursor(non_blank(&cursor)),
            (None, start_index) => PageStart::Index(start_index.unwrap_or(1).max(1).unsigned_abs()),
        };
        let capped = |count: i64| count.clamp(0, i64::from(switches.max_count));
        Ok(Query {
            selection: self.selection,
            filter: None,
            exposed: self.exposed,
            sort_by: self.sort_by,
            sort_order: sort_order(self.sort_order.as_deref())?,
            page,
            count: self
                .count
                .map(|count| u32::try_from(capped(count)).unwrap_or(switches.max_count)),
        })
    }
}

fn sort_order(text: Option<&str>) -> Result<SortOrder> {
    match text {
        None => Ok(SortOrder::Ascending),
        Some(text) if text.eq_ignore_ascii_case("ascending") => Ok(SortOrder::Ascending),
        Some(text) if text.eq_ignore_ascii_case("descending") => Ok(SortOrder::Descending),
        Some(_) => Err(Error::invalid_value(
            "`sortOrder` must be `ascending` or `descending`",
        )),
    }
}

fn non_blank(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The value of a numeric parameter; `None` if it is absent or empty.
pub(crate) fn integer_parameter(parameters: &Parameters, name: &str) -> Result<Option<i64>> {
    let text = parameters.get(name).and_then(non_blank);
    text.map(|text| integer(&text).ok_or_else(|| not_an_integer(name)))
        .transpose()
}

fn not_an_integer(name: &str) -> Error {
    Error::invalid_value(format!("`{name}` is not an integer"))
}

/// A decimal integer of any length. One that does not fit becomes the largest or smallest that does.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -size } else { size })
}

fn text(request: &Map<String, Value>, name: &str) -> Result<Option<String>> {
    match json::present(request, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::invalid_value(format!("`{name}` is not a string"))),
    }
}

fn number(request: &Map<String, Value>, name: &str) -> Result<Option<i64>> {
    let Some(value) = json::present(request, name) else {
        return Ok(None);
    };
    let whole = value.as_i64().or_else(|| {
        // Integers beyond 64 bits arrive as floating point. A smaller floating point number had a
        // fraction.
        let huge = value.as_f64().filter(|number| number.abs() >= 9.2e18)?;
        Some(if huge > 0.0 { i64::MAX } else { -i64::MAX })
    });
    whole.map(Some).ok_or_else(|| not_an_integer(name))
}

/// An array of attribute names. Where tolerated, also one string with commas, as in a URL.
fn names(
    request: &Map<String, Value>,
    name: &str,
    reading: &mut Reading<'_>,
) -> Result<Vec<String>> {
    let listed = match json::present(request, name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(listed)) => listed.iter().map(Value::as_str).collect(),
        Some(Value::String(one)) if reading.tolerates(Tolerance::UnwrappedMultiValue) => {
            Some(one.split(',').collect::<Vec<_>>())
        }
        Some(_) => None,
    };
    let listed = listed
        .ok_or_else(|| Error::invalid_value(format!("`{name}` is not an array of strings")))?;
    Ok(listed.into_iter().filter_map(non_blank).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;
    use crate::profile::{Profile, Rules};

    fn get(query: &str) -> Result<Query> {
        let rules = Rules::default();
        Query::from_parameters(&Parameters::parse(query)?, &mut Reading::new(&rules))
    }

    fn post(body: &Value, profile: Profile) -> Result<Query> {
        let rules = Rules {
            profile,
            ..Rules::default()
        };
        Query::from_search_request(body.as_object().unwrap(), &mut Reading::new(&rules))
    }

    #[test]
    fn numbers_are_brought_into_range() {
        let check = |query: &str, start: u64, count: Option<u32>| {
            let query = get(query).unwrap();
            assert_eq!((query.page, query.count), (PageStart::Index(start), count));
        };
        check("", 1, None);
        check("startIndex=0&count=-1", 1, Some(0));
        check("startIndex=-5&count=0", 1, Some(0));
        check("startIndex=11&count=%2B10", 11, Some(10));
        check("count=5000", 1, Some(1000));
        check("startIndex=&count=", 1, None);
        let huge = "1000000000000000000000000000000";
        check(&format!("count={huge}"), 1, Some(1000));
        check(&format!("count=-{huge}&startIndex=-{huge}"), 1, Some(0));
        check(&format!("startIndex={huge}"), i64::MAX.unsigned_abs(), None);
    }

    #[test]
    fn invalid_parameters_are_named() {
        let check = |query: &str, part: &str| {
            let error = get(query).unwrap_err();
            assert_eq!(error.kind().scim_type(), Some("invalidValue"));
            assert!(error.detail().contains(part), "{}", error.detail());
        };
        for number in ["ten", "1.5", "1e2", "0x10", "-", "1 2", "%E2%82%AC"] {
            check(&format!("count={number}"), "`count`");
            check(&format!("startIndex={number}"), "`startIndex`");
        }
        check("sortOrder=up", "`ascending` or `descending`");
        check(
            "attributes=a&excludedAttributes=b",
            "cannot be used together",
        );
        check("cursor=&startIndex=1", "cannot be used together");
    }

    #[test]
    fn a_cursor_even_an_empty_one_selects_cursor_paging() {
        let check = |query: &str, cursor: Option<&str>| {
            let page = PageStart::Cursor(cursor.map(str::to_owned));
            assert_eq!(get(query).unwrap().page, page, "{query}");
        };
        check("cursor", None);
        check("cursor=&count=2", None);
        check("cursor=YWJj-_~.&count=2", Some("YWJj-_~."));
    }

    #[test]
    fn texts_and_names_are_taken_as_written() {
        let query = get(
            "aadOptscim062020&filter=userName%20eq%20%22a%2Bb%22&sortBy=name.familyName&sortOrder=Descending&attributes=userName,emails",
        )
        .unwrap();
        assert_eq!(query.filter.as_ref().unwrap().text, "userName eq \"a+b\"");
        assert_eq!(query.sort_by.as_deref(), Some("name.familyName"));
        assert_eq!(query.sort_order, SortOrder::Descending);
        assert_eq!(query.selection.attributes, ["userName", "emails"]);
        assert_eq!(query.page_size(&Switches::default()), 100);
        assert_eq!(
            get("filter=%20").unwrap_err().kind(),
            ErrorKind::InvalidFilter
        );
    }

    /// RFC 7644 §3.4.3.
    #[test]
    fn a_search_request_equals_the_parameters_of_a_get() {
        let body = json!({
            "schemas": [urn::SEARCH_REQUEST],
            "attributes": ["displayName", "userName"],
            "filter": "displayName sw \"smith\"",
            "startIndex": 1,
            "count": 10
        });
        let in_url =
            get("attributes=displayName,userName&filter=displayName+sw+%22smith%22&startIndex=1&count=10")
                .unwrap();
        assert!(in_url.exposed);
        let expected = Query {
            exposed: false,
            ..in_url
        };
        for profile in [Profile::Default, Profile::Strict, Profile::Interop] {
            assert_eq!(post(&body, profile).unwrap(), expected);
        }
    }

    #[test]
    fn a_search_request_has_its_own_errors() {
        let with =
            |name: &str, value: Value| json!({"schemas": [urn::SEARCH_REQUEST], name: value});
        let check = |body: Value, scim_type: &str| {
            let error = post(&body, Profile::Strict).unwrap_err();
            assert_eq!(error.kind().scim_type(), Some(scim_type), "{body}");
        };
        check(json!({"count": 1}), "invalidSyntax");
        check(json!({"schemas": [urn::PATCH_OP]}), "invalidSyntax");
        check(with("count", json!("1")), "invalidValue");
        check(with("count", json!(1.5)), "invalidValue");
        check(with("filter", json!(["a"])), "invalidValue");
        check(with("attributes", json!("a,b")), "invalidValue");
        check(with("attributes", json!([1])), "invalidValue");
        check(with("cursor", json!(7)), "invalidValue");
        for name in ["attributes", "excludedAttributes"] {
            check(with(name, json!(vec!["a"; MAX_NAMES + 1])), "invalidValue");
            assert!(post(&with(name, json!(vec!["a"; MAX_NAMES])), Profile::Strict).is_ok());
        }
    }

    #[test]
    fn a_search_request_is_read_with_the_profiles_tolerance() {
        let body = json!({"Attributes": "a, b", "startIndex": 1e30, "count": -5, "cursor": null});
        let query = post(&body, Profile::Default).unwrap();
        assert_eq!(query.selection.attributes, ["a", "b"]);
        assert_eq!(query.page, PageStart::Index(i64::MAX.unsigned_abs()));
        assert_eq!(query.count, Some(0));
        let cursor = json!({"cursor": "", "count": 3});
        assert_eq!(
            post(&cursor, Profile::Default).unwrap().page,
            PageStart::Cursor(None)
        );
    }
}
