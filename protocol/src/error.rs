//! The one error type of the project, and its two translations to the wire (RFC 7644 §3.12).
//!
//! An [`Error`] keeps the text that the client reads (`detail`) apart from the cause that only the log
//! shows (`source`). It is made where the fault is found; on its way it may be given the place of the
//! fault, but keeps its kind; and it is logged once, where the response is built.

use std::fmt::{self, Write as _};

/// The cause of an error. It is logged and never sent to a client.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of everything that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed request: its kind for the program, a sentence for the client, and a cause for the log.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    detail: String,
    /// How many bytes at the beginning of the detail name the place of the fault.
    place_bytes: usize,
    /// The number of seconds after which the client may send the request again, if that is known.
    retry_seconds: Option<u64>,
    source: Option<BoxError>,
}

/// Every cause of failure that an answer can name.
///
/// [`status`](ErrorKind::status) and [`scim_type`](ErrorKind::scim_type) are the only places that
/// turn a cause into something on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The filter does not parse, names an unknown attribute or compares what cannot be compared.
    InvalidFilter,
    /// Answering would read or return more than is allowed.
    TooMany,
    /// The body is not JSON, or not the message that belongs here.
    InvalidSyntax,
    /// A PATCH path does not parse or names an unknown attribute.
    InvalidPath,
    /// A PATCH path selects nothing, or a `remove` has no path.
    NoTarget,
    /// A value is missing, or does not fit its attribute.
    InvalidValue,
    /// The requested protocol version does not exist.
    InvalidVers,
    /// The change would break an attribute's mutability.
    Mutability,
    /// The filter of a GET names an attribute whose values must not appear in a URL.
    Sensitive,
    /// The cursor was not issued by this service for this query (RFC 9865 §2.1).
    InvalidCursor,
    /// The cursor is older than cursors may get (RFC 9865 §2.1).
    ExpiredCursor,
    /// The `count` differs from the one that the cursor was issued for (RFC 9865 §2.1).
    InvalidCount,
    /// No credential, or none that is valid.
    Unauthorized,
    /// The credential does not permit the operation.
    Forbidden,
    /// The resource or endpoint does not exist, or the caller may not learn that it exists.
    NotFound,
    /// The endpoint exists but does not take this method.
    MethodNotAllowed,
    /// No representation fits the `Accept` header.
    NotAcceptable,
    /// A unique value is taken.
    Uniqueness,
    /// Other requests kept changing the same resource until this one gave up.
    Conflict,
    /// The position that the request continues from is no longer kept.
    Gone,
    /// `If-Match` or `If-None-Match` does not hold.
    VersionMismatch,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The request is larger than a limit.
    PayloadTooLarge,
    /// Path and query are longer than a limit.
    UriTooLong,
    /// There are more headers, or larger ones, than a limit allows (RFC 6585 §5).
    HeadersTooLarge,
    /// The body's media type is not JSON.
    UnsupportedMediaType,
    /// The caller sends more requests than it may.
    TooManyRequests,
    /// The service itself is at fault.
    Internal,
    /// The service does not support the operation.
    NotImplemented,
    /// The store is overloaded or out of reach; the same request may succeed later.
    Unavailable,
}

impl ErrorKind {
    /// The HTTP status of this cause (RFC 7644 §3.12, Table 8).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidFilter
            | Self::TooMany
            | Self::InvalidSyntax
            | Self::InvalidPath
            | Self::NoTarget
            | Self::InvalidValue
            | Self::InvalidVers
            | Self::Mutability
            | Self::InvalidCursor
            | Self::ExpiredCursor
            | Self::InvalidCount => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::Sensitive => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::RequestTimeout => 408,
            Self::Uniqueness | Self::Conflict => 409,
            Self::Gone => 410,
            Self::VersionMismatch => 412,
            Self::PayloadTooLarge => 413,
            Self::UriTooLong => 414,
            Self::UnsupportedMediaType => 415,
            Self::TooManyRequests => 429,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
        }
    }

    /// The `scimType` of this cause, where one is defined (RFC 7644 §3.12, Table 9; RFC 9865 §2.1).
    #[must_use]
    pub fn scim_type(self) -> Option<&'static str> {
        match self {
            Self::InvalidFilter => Some("invalidFilter"),
            Self::TooMany => Some("tooMany"),
            Self::InvalidSyntax => Some("invalidSyntax"),
            Self::InvalidPath => Some("invalidPath"),
            Self::NoTarget => Some("noTarget"),
            Self::InvalidValue => Some("invalidValue"),
            Self::InvalidVers => Some("invalidVers"),
            Self::Mutability => Some("mutability"),
            Self::Sensitive => Some("sensitive"),
            Self::InvalidCursor => Some("invalidCursor"),
            Self::ExpiredCursor => Some("expiredCursor"),
            Self::InvalidCount => Some("invalidCount"),
            Self::Uniqueness => Some("uniqueness"),
            Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::NotAcceptable
            | Self::Conflict
            | Self::Gone
            | Self::VersionMismatch
            | Self::RequestTimeout
            | Self::PayloadTooLarge
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::UnsupportedMediaType
            | Self::TooManyRequests
            | Self::Internal
            | Self::NotImplemented
            | Self::Unavailable => None,
        }
    }
}

impl Error {
    /// An error of any kind. The client reads `detail`.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            place_bytes: 0,
            retry_seconds: None,
            source: None,
        }
    }

    /// The same error with a cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, its sentence preceded by the place of the fault: `Operations[2]: …`.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        let place = format!("{place}: ");
        self.detail.insert_str(0, &place);
        self.place_bytes += place.len();
        self
    }

    /// The same error without the places that [`at`](Self::at) has put before its sentence.
    #[must_use]
    pub(crate) fn without_place(mut self) -> Self {
        self.detail.drain(..self.place_bytes);
        self.place_bytes = 0;
        self
    }

    /// The same error with its detail rewritten.
    #[must_use]
    pub(crate) fn reworded(mut self, reword: impl FnOnce(String) -> String) -> Self {
        let place = self.detail.drain(..self.place_bytes).collect::<String>();
        self.detail = place + &reword(self.detail);
        self
    }

    /// The same error of a request that may be sent again after this number of seconds.
    #[must_use]
    pub fn retrying_after(self, seconds: u64) -> Self {
        Self {
            retry_seconds: Some(seconds),
            ..self
        }
    }

    /// The number of seconds after which the client may send the request again, if that is known.
    #[must_use]
    pub fn retry_seconds(&self) -> Option<u64> {
        self.retry_seconds
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence that the client reads.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The HTTP status, see [`ErrorKind::status`].
    #[must_use]
    pub fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The messages of the chain of causes, for the log. Debug forms are left out, because they may
    /// hold whole items.
    #[must_use]
    pub fn causes(&self) -> String {
        let mut chain = Vec::new();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            chain.push(source.to_string());
            cause = source.source();
        }
        chain.join(": ")
    }

    /// A 500 whose cause is logged and never shown.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(
            ErrorKind::Internal,
            "The service failed to process the request",
        )
        .with_source(source)
    }
}

/// The number of characters of a client's text that an error repeats at most.
const EXCERPT: usize = 100;

/// The beginning of a client's text for use in an error: 100 characters, followed by `…` if the text
/// is longer. Control characters are replaced, so that a text cannot forge a line of a log.
pub fn excerpt(text: impl fmt::Display) -> impl fmt::Display {
    Excerpt(text)
}

/// The text that [`excerpt`] displays.
struct Excerpt<T>(T);

impl<T: fmt::Display> fmt::Display for Excerpt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cut = ExcerptWriter {
            out: f,
            left: EXCERPT,
            is_cut: false,
        };
        let written = write!(cut, "{}", self.0);
        match cut.is_cut {
            true => f.write_str("…"),
            false => written,
        }
    }
}

/// Writes up to a number of characters and then fails, which ends the formatting of a longer text.
struct ExcerptWriter<'o, 'f> {
    out: &'o mut fmt::Formatter<'f>,
    left: usize,
    is_cut: bool,
}

impl fmt::Write for ExcerptWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                self.is_cut = true;
                return Err(fmt::Error);
            }
            self.left -= 1;
            self.out.write_char(match character.is_control() {
                true => char::REPLACEMENT_CHARACTER,
                false => character,
            })?;
        }
        Ok(())
    }
}

/// Defines a constructor for each kind of error whose detail the caller writes, and the list of all kinds.
macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl ErrorKind {
            /// Every kind.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[Self::Internal, $(Self::$kind),*];
        }

        impl Error {
            $(
                #[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
                pub fn $name(detail: impl Into<String>) -> Self {
                    Self::new(ErrorKind::$kind, detail)
                }
            )*
        }
    };
}

constructors! {
    invalid_filter => InvalidFilter,
    too_many => TooMany,
    invalid_syntax => InvalidSyntax,
    invalid_path => InvalidPath,
    no_target => NoTarget,
    invalid_value => InvalidValue,
    invalid_vers => InvalidVers,
    mutability => Mutability,
    sensitive => Sensitive,
    invalid_cursor => InvalidCursor,
    expired_cursor => ExpiredCursor,
    invalid_count => InvalidCount,
    unauthorized => Unauthorized,
    forbidden => Forbidden,
    not_found => NotFound,
    method_not_allowed => MethodNotAllowed,
    not_acceptable => NotAcceptable,
    uniqueness => Uniqueness,
    conflict => Conflict,
    gone => Gone,
    version_mismatch => VersionMismatch,
    request_timeout => RequestTimeout,
    payload_too_large => PayloadTooLarge,
    uri_too_long => UriTooLong,
    headers_too_large => HeadersTooLarge,
    unsupported_media_type => UnsupportedMediaType,
    too_many_requests => TooManyRequests,
    not_implemented => NotImplemented,
    unavailable => Unavailable,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_a_hundred_characters() {
        let check = |text: &str, expected: &str| assert_eq!(excerpt(text).to_string(), expected);
        check("", "");
        check("a\nb\u{0}", "a\u{fffd}b\u{fffd}");
        check(&"é".repeat(100), &"é".repeat(100));
        check(&"é".repeat(101), &format!("{}…", "é".repeat(100)));
        let parts = format!("{}.{}", "a".repeat(99), "b".repeat(9));
        assert_eq!(excerpt(parts).to_string(), format!("{}.…", "a".repeat(99)));
    }
}
