//! The query string of a URL as names and values (RFC 7644 §3.4.2, RFC 3986 §3.4).

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result, excerpt};

/// The decoded parameters of a query string, in their order.
///
/// `+` is decoded to a blank, and `%2B` to a plus. A `%` that begins no escape stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes a raw query string, without its `?`.
    ///
    /// # Errors
    /// `InvalidValue` when a name or value is not UTF-8 once decoded.
    pub fn parse(query: &str) -> Result<Self> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)
                .ok_or_else(|| Error::invalid_value("A query parameter's name is not UTF-8"))?;
            let value = decode(value).ok_or_else(|| {
                Error::invalid_value(format!("Query parameter `{}` is not UTF-8", excerpt(&name)))
            })?;
            Ok((name, value))
        });
        decoded.collect::<Result<_>>().map(Self)
    }

    /// The value of a parameter; its name is compared without case. If it is repeated, the last one
    /// counts.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    /// All values of a parameter; its name is compared without case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The names of a comma-separated list; a repeated parameter continues the list.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let names = self.values(name).flat_map(|value| value.split(','));
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<'n> FromIterator<(&'n str, String)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (&'n str, String)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let check = |query: &str, expected: Option<&str>| {
            let parameters = Parameters::parse(query).unwrap();
            assert_eq!(parameters.get("filter"), expected, "{query}");
        };
        check("filter=a%20eq+%22b%2Bc%22", Some("a eq \"b+c\""));
        check("filter=%C3%A9", Some("é"));
        check("filter=%zz%4", Some("%zz%4"));
        check("filter=a=b", Some("a=b"));
        check("Filter=x", Some("x"));
        check("f%69lter=x", Some("x"));
        check("filter", Some(""));
        check("filter=1&filter=2", Some("2"));
        check("&&x=1&", None);
        check("", None);
    }

    #[test]
    fn parameters_that_are_not_utf8_are_refused_by_name() {
        let error = Parameters::parse("a=1&filter=%FF").unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.detail().contains("`filter`"));
        assert!(Parameters::parse("%C3=1").is_err());
    }

    #[test]
    fn lists_join_and_drop_empty_names() {
        let check = |query: &str, expected: &[&str]| {
            let parameters = Parameters::parse(query).unwrap();
            assert_eq!(parameters.list("attributes"), expected, "{query}");
        };
        check("attributes=a,%20b.c,,", &["a", "b.c"]);
        check("attributes=a&attributes=b", &["a", "b"]);
        check("attributes=", &[]);
        check("", &[]);
    }
}
