//! The first line of a request, with raw characters in its target percent-encoded.

use std::borrow::Cow;

use super::super::uri::encoded_target;

/// The beginnings of a target that has a path, alone or in a whole URL (RFC 9112 §3.2).
const FORMS: [&[u8]; 3] = [b"/", b"http://", b"https://"];

/// A request line (RFC 9112 §3) whose target holds only what a URI may hold.
///
/// Blanks in the target are encoded too: the method ends at the first blank, and the version begins
/// after the last. A line that does not look like a request line is returned as it is. So is a target
/// with control characters, which have no meaning in a URI.
pub(super) fn repaired(line: &[u8]) -> Cow<'_, [u8]> {
    encoded(line).map_or(Cow::Borrowed(line), Cow::Owned)
}

fn encoded(line: &[u8]) -> Option<Vec<u8>> {
    let text = line.strip_suffix(b"\n")?;
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let method = text.iter().position(|byte| *byte == b' ')?;
    let version = text.iter().rposition(|byte| *byte == b' ')?;
    let target = text.get(method + 1..version)?;
    let is_request_line = text[..method].iter().all(|byte| is_token(*byte))
        && text[version..].starts_with(b" HTTP/1.")
        && FORMS.iter().any(|form| target.starts_with(form));
    if !is_request_line || target.iter().any(u8::is_ascii_control) {
        return None;
    }
    let encoded = encoded_target(target);
    (encoded.as_bytes() != target)
        .then(|| [&line[..=method], encoded.as_bytes(), &line[version..]].concat())
}

/// Whether a method may hold this byte (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_characters_of_a_target_are_encoded() {
        fn check(line: &[u8], expected: &[u8]) {
            assert_eq!(
                repaired(line).escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
        check(
            b"GET /Users?filter=userName eq \"<a>\" HTTP/1.1\r\n",
            b"GET /Users?filter=userName%20eq%20%22%3Ca%3E%22 HTTP/1.1\r\n",
        );
        check(
            b"GET /a?b={|}^`\\#c HTTP/1.0\n",
            b"GET /a?b=%7B%7C%7D%5E%60%5C%23c HTTP/1.0\n",
        );
        check(
            b"GET http://[::1]:9/a?b=\" HTTP/1.1\r\n",
            b"GET http://[::1]:9/a?b=%22 HTTP/1.1\r\n",
        );
        check(
            b"GET /\xc3\xb6?\xff HTTP/1.1\r\n",
            b"GET /%C3%B6?%FF HTTP/1.1\r\n",
        );
        check(
            b"M-SEARCH / /\" HTTP/1.1\r\n",
            b"M-SEARCH /%20/%22 HTTP/1.1\r\n",
        );
    }

    #[test]
    fn other_lines_and_valid_request_lines_stay() {
        let lines: [&[u8]; 12] = [
            b"",
            b"\r\n",
            b"GET\r\n",
            b"GET /\"\r\n",
            b"GET / HTTP/1.1\r\n",
            b"GET /\" HTTP/2.0\r\n",
            b"GET \" HTTP/1.1\r\n",
            b"GET a.example/\" HTTP/1.1\r\n",
            b"GET /\"\x01 HTTP/1.1\r\n",
            b"GET /\"\r HTTP/1.1\r\n",
            b"X-Note: /\" HTTP/1.1\r\n",
            b"GET /\" HTTP/1.1",
        ];
        for line in lines {
            assert_eq!(repaired(line), line, "{}", line.escape_ascii());
        }
    }
}
