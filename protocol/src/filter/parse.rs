//! Reads filter texts (RFC 7644 §3.4.2.2, Figure 1, with errata 4690, 7319 and 7322).
//!
//! ```abnf
//! filter    = *SP orExpr *SP
//! orExpr    = andExpr *( 1*SP "or" 1*SP andExpr )
//! andExpr   = notExpr *( 1*SP "and" 1*SP notExpr )
//! notExpr   = [ "not" *SP ] "(" filter ")" / attrExp / valuePath
//! attrExp   = attrPath 1*SP ( "pr" / compareOp *SP compValue )
//! valuePath = attrPath "[" valFilter "]" [ "." ATTRNAME attrTail ]
//! valFilter = filter                  ; in which no valuePath occurs
//! attrTail  = 1*SP ( "pr" / compareOp *SP compValue )
//! compareOp = "eq" / "ne" / "co" / "sw" / "ew" / "gt" / "ge" / "lt" / "le"
//! compValue = false / null / true / number / string          ; JSON, RFC 8259
//! attrPath  = [URI ":"] ATTRNAME *1subAttr
//! ATTRNAME  = ( ALPHA / "$" ) *( ALPHA / DIGIT / "-" / "_" / "$" )
//! ```
//!
//! Two of these rules are not in Figure 1. Clients send `emails[type eq "work"].value eq "x"`; it is
//! read as `emails[type eq "work" and value eq "x"]`. And the blank before a quote may be missing,
//! because an example of the RFC itself leaves it out (§3.5.2.2). Before any other constant it is
//! needed to end the operator.

use serde_json::Number;

use super::{CompareOp, CompareValue, Filter};
use crate::error::{Error, Result};
use crate::name::is_name_byte;
use crate::path::{AttributePath, is_path_byte};
use crate::profile::{Reading, Tolerance};

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 8_192;
/// The number of levels to which brackets of both kinds may nest.
pub const MAX_DEPTH: u8 = 32;
/// The largest number of attribute expressions of a filter.
pub const MAX_TERMS: u16 = 200;

/// The number of characters of a text that an error repeats.
const EXCERPT: usize = 20;

/// See [`Filter::parse`].
pub(super) fn filter(text: &str, reading: &mut Reading<'_>) -> Result<Filter> {
    let mut parser = Parser::new(text, "filter", reading);
    parser.check_length()?;
    parser.skip_blanks();
    let filter = parser.disjunction()?;
    parser.skip_blanks();
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.expected("`and`, `or` or the end of the filter")),
    }
}

/// A position in a text that is a filter or holds one.
pub(crate) struct Parser<'t, 'p, 'r> {
    text: &'t str,
    /// The name of the text in error messages.
    called: &'static str,
    at: usize,
    depth: u8,
    terms: u16,
    in_value_path: bool,
    reading: &'p mut Reading<'r>,
}

impl<'t, 'p, 'r> Parser<'t, 'p, 'r> {
    /// Begins at the start of a text.
    pub(crate) fn new(text: &'t str, called: &'static str, reading: &'p mut Reading<'r>) -> Self {
        Self {
            text,
            called,
            at: 0,
            depth: 0,
            terms: 0,
            in_value_path: false,
            reading,
        }
    }

    /// Refuses a text beyond [`MAX_LENGTH`].
    pub(crate) fn check_length(&self) -> Result<()> {
        check_length(self.text, self.called)
    }

    /// The next byte.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Passes the next byte if it is this one; returns whether it is.
    pub(crate) fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes blanks; returns whether there were any.
    pub(crate) fn skip_blanks(&mut self) -> bool {
        !self.take_while(|byte| byte == b' ').is_empty()
    }

    /// Passes and returns the longest run of bytes for which `wanted` is true. `wanted` must give the
    /// same result for all bytes of a character beyond ASCII.
    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !wanted(byte));
        let run = rest.get(..length.unwrap_or(rest.len())).unwrap_or("");
        self.at += run.len();
        run
    }

    /// Parses the longest run of wanted bytes. If `parse` refuses it, the run is not passed.
    pub(crate) fn take_as<T>(
        &mut self,
        wanted: fn(u8) -> bool,
        parse: fn(&str) -> Option<T>,
    ) -> Option<T> {
        let start = self.at;
        let parsed = parse(self.take_while(wanted));
        if parsed.is_none() {
            self.at = start;
        }
        parsed
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The error at the current position, where something else was expected.
    pub(crate) fn expected(&self, what: &str) -> Error {
        Error::invalid_filter(self.explain(what))
    }

    /// The sentence of [`expected`](Self::expected).
    pub(crate) fn explain(&self, what: &str) -> String {
        let rest = self.rest();
        let end = rest.char_indices().nth(EXCERPT).map(|(end, _)| end);
        let excerpt = rest.get(..end.unwrap_or(rest.len())).unwrap_or("");
        let found = match excerpt {
            "" => format!("the {} ends", self.called),
            _ => format!("found `{}`", excerpt.replace(char::is_control, "\u{fffd}")),
        };
        format!(
            "At byte {} of the {}: expected {what}, {found}",
            self.at, self.called
        )
    }

    /// `orExpr`; blanks before it have been passed.
    fn disjunction(&mut self) -> Result<Filter> {
        let first = self.conjunction()?;
        if !self.takes_word("or")? {
            return Ok(first);
        }
        let mut parts = vec![first, self.conjunction()?];
        while self.takes_word("or")? {
            parts.push(self.conjunction()?);
        }
        Ok(Filter::Or(parts))
    }

    /// `andExpr`.
    fn conjunction(&mut self) -> Result<Filter> {
        let first = self.term()?;
        if !self.takes_word("and")? {
            return Ok(first);
        }
        let mut parts = vec![first, self.term()?];
        while self.takes_word("and")? {
            parts.push(self.term()?);
        }
        Ok(Filter::And(parts))
    }

    /// `1*SP word 1*SP`; passed only if this word comes next.
    fn takes_word(&mut self, word: &str) -> Result<bool> {
        if self.peek() != Some(b' ') {
            return Ok(false);
        }
        let before = self.at;
        self.skip_blanks();
        let found = self.take_while(|byte| byte.is_ascii_alphabetic());
        if !found.eq_ignore_ascii_case(word) {
            self.at = before;
            return Ok(false);
        }
        if !self.skip_blanks() {
            return Err(self.expected(&format!("a blank after `{word}`")));
        }
        Ok(true)
    }

    /// `notExpr`.
    fn term(&mut self) -> Result<Filter> {
        if self.peek() == Some(b'(') {
            return self.group();
        }
        if self.takes_not() {
            return Ok(Filter::Not(Box::new(self.group()?)));
        }
        let path = self
            .take_as(is_path_byte, AttributePath::parse)
            .ok_or_else(|| self.expected("an attribute path, `not` or `(`"))?;
        match self.peek() {
            Some(b'[') => self.value_path(path),
            _ => self.expression(path),
        }
    }

    /// `"not" *SP`; passed only if a bracket follows, because `not` may also be the name of an
    /// attribute.
    fn takes_not(&mut self) -> bool {
        if !matches!(self.peek(), Some(b'n' | b'N')) {
            return false;
        }
        let start = self.at;
        let is_not = self
            .take_while(|byte| byte.is_ascii_alphabetic())
            .eq_ignore_ascii_case("not");
        self.skip_blanks();
        let found = is_not && self.peek() == Some(b'(');
        if !found {
            self.at = start;
        }
        found
    }

    /// `"(" filter ")"`.
    fn group(&mut self) -> Result<Filter> {
        self.enclosed(b')', "`and`, `or` or `)`")
    }

    /// A filter between brackets. The opening bracket comes next.
    fn enclosed(&mut self, close: u8, expected: &str) -> Result<Filter> {
        if self.depth == MAX_DEPTH {
            return Err(self.expected(&format!("at most {MAX_DEPTH} levels of brackets")));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        let filter = self.disjunction()?;
        self.skip_blanks();
        if !self.takes(close) {
            return Err(self.expected(expected));
        }
        self.depth -= 1;
        Ok(filter)
    }

    /// `"[" valFilter "]"`. The opening bracket comes next.
    pub(crate) fn value_filter(&mut self) -> Result<Filter> {
        if self.in_value_path {
            return Err(self.expected("an operator (value filters do not nest)"));
        }
        self.in_value_path = true;
        let filter = self.enclosed(b']', "`and`, `or` or `]`")?;
        self.in_value_path = false;
        Ok(filter)
    }

    /// The rest of `valuePath`.
    fn value_path(&mut self, path: AttributePath) -> Result<Filter> {
        let mut filter = self.value_filter()?;
        if self.takes(b'.') {
            let sub_attribute = self
                .take_as(is_name_byte, AttributePath::parse)
                .ok_or_else(|| self.expected("a sub-attribute"))?;
            let expression = self.expression(sub_attribute)?;
            filter = match filter {
                Filter::And(mut parts) => {
                    parts.push(expression);
                    Filter::And(parts)
                }
                other => Filter::And(vec![other, expression]),
            };
        }
        let filter = Box::new(filter);
        Ok(Filter::ValuePath { path, filter })
    }

    /// The part of an `attrExp` after its path.
    fn expression(&mut self, path: AttributePath) -> Result<Filter> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.expected(&format!("at most {MAX_TERMS} expressions")));
        }
        if !self.skip_blanks() {
            return Err(self.expected("a blank and an operator"));
        }
        let start = self.at;
        let word = self.take_while(|byte| !matches!(byte, b' ' | b'"' | b'(' | b')' | b'[' | b']'));
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(path));
        }
        let Some(op) = operator(word) else {
            self.at = start;
            return Err(self.expected("an operator (eq, ne, co, sw, ew, gt, ge, lt, le or pr)"));
        };
        if !self.skip_blanks() && self.peek() != Some(b'"') {
            return Err(self.expected("a blank and a value"));
        }
        let value = self.value()?;
        Ok(Filter::Compare { path, op, value })
    }

    /// `compValue`.
    fn value(&mut self) -> Result<CompareValue> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let start = self.at;
        let word = self.take_while(|byte| !matches!(byte, b' ' | b'"' | b'(' | b')' | b'[' | b']'));
        match word {
            "true" => return Ok(CompareValue::Boolean(true)),
            "false" => return Ok(CompareValue::Boolean(false)),
            "null" => return Ok(CompareValue::Null),
            _ => {}
        }
        if let Some(number) = number(word) {
            return Ok(CompareValue::Number(number));
        }
        let ends = matches!(self.peek(), None | Some(b' ' | b')' | b']'));
        let is_word = ends && !word.is_empty() && !word.starts_with('\'');
        if is_word && self.reading.tolerates(Tolerance::UnquotedFilterValues) {
            return Ok(CompareValue::String(word.to_owned()));
        }
        self.at = start;
        Err(self.expected("a string in double quotes, a number, true, false or null"))
    }

    /// A JSON string. The opening quote comes next.
    fn string(&mut self) -> Result<CompareValue> {
        let start = self.at;
        self.at += 1;
        let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
        if self.takes(b'"') {
            return Ok(CompareValue::String(plain.to_owned()));
        }
        while self.takes(b'\\') {
            // The character after a backslash is passed too, so an escaped `"` does not end the
            // string.
            self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            self.take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
        }
        if !self.takes(b'"') {
            return Err(self.expected("the rest of a string and a double quote"));
        }
        let literal = self.text.get(start..self.at).unwrap_or("");
        serde_json::from_str(literal)
            .map(CompareValue::String)
            .map_err(|_| {
                self.at = start;
                self.expected("a string with the escapes of JSON")
            })
    }
}

/// Refuses the conjunction of filters that were built from other requests, if its text would be
/// refused as too large.
///
/// # Errors
/// `InvalidFilter`, naming [`MAX_LENGTH`], [`MAX_DEPTH`] or [`MAX_TERMS`].
pub(crate) fn check_size(parts: &[Filter], text: &str) -> Result<()> {
    check_length(text, "filter")?;
    // Several parts are each put into brackets.
    let around = usize::from(parts.len() > 1);
    if parts
        .iter()
        .any(|part| around + levels(part) > usize::from(MAX_DEPTH))
    {
        return Err(Error::invalid_filter(format!(
            "The filter has more than {MAX_DEPTH} levels of brackets"
        )));
    }
    if parts.iter().map(expressions).sum::<usize>() > usize::from(MAX_TERMS) {
        return Err(Error::invalid_filter(format!(
            "The filter has more than {MAX_TERMS} expressions"
        )));
    }
    Ok(())
}

fn check_length(text: &str, called: &str) -> Result<()> {
    if text.len() <= MAX_LENGTH {
        return Ok(());
    }
    Err(Error::invalid_filter(format!(
        "The {called} has {} bytes; at most {MAX_LENGTH} are allowed",
        text.len()
    )))
}

/// The depth to which brackets nest in the text of a filter.
fn levels(filter: &Filter) -> usize {
    match filter {
        Filter::Compare { .. } | Filter::Present(_) => 0,
        Filter::ValuePath { filter, .. } | Filter::Not(filter) => 1 + levels(filter),
        Filter::And(parts) | Filter::Or(parts) => {
            let within = |part: &Filter| match part {
                Filter::And(_) | Filter::Or(_) => 1 + levels(part),
                _ => levels(part),
            };
            parts.iter().map(within).max().unwrap_or(0)
        }
    }
}

/// The number of attribute expressions in the text of a filter.
fn expressions(filter: &Filter) -> usize {
    match filter {
        Filter::Compare { .. } | Filter::Present(_) => 1,
        Filter::ValuePath { filter, .. } | Filter::Not(filter) => expressions(filter),
        Filter::And(parts) | Filter::Or(parts) => parts.iter().map(expressions).sum(),
    }
}

/// The operator with this name, in any case.
fn operator(word: &str) -> Option<CompareOp> {
    let &[first, second] = word.as_bytes() else {
        return None;
    };
    Some(match &[first | 0x20, second | 0x20] {
        b"eq" => CompareOp::Eq,
        b"ne" => CompareOp::Ne,
        b"co" => CompareOp::Co,
        b"sw" => CompareOp::Sw,
        b"ew" => CompareOp::Ew,
        b"gt" => CompareOp::Gt,
        b"ge" => CompareOp::Ge,
        b"lt" => CompareOp::Lt,
        b"le" => CompareOp::Le,
        _ => return None,
    })
}

/// The JSON number that a word spells, if it fits 64 bits.
fn number(word: &str) -> Option<Number> {
    let starts = word
        .bytes()
        .next()
        .is_some_and(|byte| byte == b'-' || byte.is_ascii_digit());
    let number: Number = starts.then(|| serde_json::from_str(word).ok()).flatten()?;
    // An integer beyond 64 bits would be rounded. Unquoted ids may be that long, so it is not a
    // number.
    let is_rounded = number.is_f64() && !word.contains(['.', 'e', 'E']);
    (!is_rounded).then_some(number)
}
