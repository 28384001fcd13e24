//! The first page: what the service is, and where its parts are.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// The style of the page. It is in the page, so that the page needs no other file.
const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}\
     dt{font-weight:600;margin-top:1rem}dd{margin:0;overflow-wrap:anywhere}";
/// The hash by which a content security policy permits the style.
pub const STYLE_HASH: &str = "sha256-1PgEEzeLHN20CTKx2lNeY2cVT74SalZ77BoOG81eOVg=";

/// The URLs of the service, of which some may be paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The base URL of SCIM 2.0.
    pub scim2: String,
    /// The base URL of SCIM 1.1.
    pub scim1: String,
    /// The feed of changes.
    pub events: String,
    /// The interactive documentation and the document that it shows, unless they are switched off.
    pub docs: Option<(String, String)>,
}

impl Links {
    /// The links as JSON.
    ///
    /// **Shape**: `{"name":"scim-lambda","version":"0.1.0","scim2":"…","scim1":"…","events":"…","docs":"…",
    /// "openapi":"…"}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "scim2": self.scim2,
            "scim1": self.scim1,
            "events": self.events,
        });
        if let Some((docs, openapi)) = &self.docs {
            json["docs"] = json!(docs);
            json["openapi"] = json!(openapi);
        }
        json
    }

    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let texts = [
            ("SCIM 2.0 base URL", &self.scim2),
            ("SCIM 1.1 base URL", &self.scim1),
            ("Feed of changes", &self.events),
        ];
        let mut list = String::new();
        for (name, url) in texts {
            // Writing into a string cannot fail.
            let _ = write!(
                list,
                "<dt>{name}</dt><dd><code>{}</code></dd>",
                escaped(url)
            );
        }
        if let Some((docs, openapi)) = &self.docs {
            let (docs, openapi) = (escaped(docs), escaped(openapi));
            let _ = write!(
                list,
                "<dt>Try it</dt><dd><a href=\"{docs}\">Interactive documentation</a>, \
                 <a href=\"{openapi}\">OpenAPI document</a></dd>"
            );
        }
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>SCIM service</title>\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"><style>{STYLE}</style>\
             <h1>SCIM service</h1><p>Identity providers create, change and remove users and groups here. \
             Every request needs a token of a tenant.</p><dl>{list}</dl></html>\n"
        )
    }
}

/// A text in which no character begins markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            plain => out.push(plain),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    use super::*;

    fn links(docs: Option<(String, String)>) -> Links {
        Links {
            scim2: "https://a.example/x<y/scim/v2".to_owned(),
            scim1: "https://a.example/scim/v1".to_owned(),
            events: "https://a.example/events".to_owned(),
            docs,
        }
    }

    #[test]
    fn the_policy_permits_the_style_of_the_page() {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        assert_eq!(STYLE_HASH, format!("sha256-{hash}"));
    }

    #[test]
    fn a_url_cannot_begin_markup() {
        let html = links(None).to_html();
        assert!(
            html.contains("x&lt;y/scim/v2") && !html.contains("x<y"),
            "{html}"
        );
    }

    #[test]
    fn documentation_is_linked_if_it_is_there() {
        let with = links(Some(("/docs".to_owned(), "/openapi.json".to_owned())));
        assert!(with.to_html().contains("href=\"/docs\""));
        assert_eq!(with.to_json()["openapi"], "/openapi.json");
        assert!(!links(None).to_html().contains("<a "));
        assert_eq!(links(None).to_json().get("docs"), None);
    }
}
