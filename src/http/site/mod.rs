//! What is beside the protocols: the first page, the interactive documentation, the description of the
//! service, and whether it is well. Most of it needs no credential.
//!
//! It must not know the table, or what the files of the documentation say.

mod content;
mod health;
mod openapi;

pub use openapi::document;

use std::io;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::api::{V1_PATH, V2_PATH};
use super::call::Call;
use super::media_type::{check_accept, prefers_html};
use super::public_url::Mount;
use super::route::{Site, no_such_endpoint};
use super::{Gateway, Service, answer};
use crate::pages::{File, Links, STYLE_HASH};
use crate::protocol::message::Parameters;
use crate::protocol::{Error, Result};

/// What a page of the documentation may do: use its own files, and call the service that it is from.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// How long browsers and caches may use the first page and the description for everyone.
const FIVE_MINUTES: &str = "public, max-age=300";
/// Caches ask each time whether the files of the documentation are still the same, so that an update of the
/// service never mixes old files with new ones.
const ALWAYS_ASK: &str = "public, no-cache";

/// Whether the service has what is at this path. What it does not have is answered like any path that leads
/// nowhere.
pub(super) fn is_served(service: &Service, site: &Site) -> bool {
    match site {
        Site::Docs | Site::DocsFile(_) | Site::OpenApi => service.docs.is_some(),
        Site::Home | Site::Health => true,
    }
}

/// Whether the answer depends on who asks, so that the request must have a valid credential.
///
/// # Errors
/// `InvalidValue` for parameters that cannot be read.
pub(super) fn needs_caller(site: &Site, parts: &Parts) -> Result<bool> {
    Ok(match site {
        Site::OpenApi => parts.headers.contains_key(AUTHORIZATION),
        Site::Health => health::is_deep(&parameters(parts)?)?,
        Site::Home | Site::Docs | Site::DocsFile(_) => false,
    })
}

/// Answers a request that needs no credential.
///
/// # Errors
/// `NotFound` for a file that there is none of; `NotAcceptable`; `Internal` if the files of the
/// documentation are not where they should be.
pub(super) fn for_anyone(service: &Service, parts: &Parts, site: &Site) -> Result<Response> {
    let gateway = parts.extensions.get::<Gateway>();
    let mount = Mount {
        configured: service.public_url.as_ref(),
        gateway,
    };
    let headers = &parts.headers;
    let has_bytes = gateway.is_none_or(Gateway::passes_bytes);
    let encoding = content::Encoding::of(headers, has_bytes);
    match (site, &service.docs) {
        (Site::Home, docs) => home(headers, mount, docs.is_some()),
        (Site::Health, _) => {
            check_accept(headers)?;
            Ok(health::well())
        }
        // The page names its files relative to a path without a slash at its end.
        (Site::Docs, Some(_)) if parts.uri.path().ends_with('/') => Ok(elsewhere("../docs")),
        (Site::Docs, Some(docs)) => of_docs(docs.page(), headers, encoding),
        (Site::DocsFile(name), Some(docs)) => of_docs(docs.file(name), headers, encoding),
        (Site::OpenApi, Some(docs)) => {
            check_accept(headers)?;
            let server_url = mount.base_url("");
            let write = || openapi::file(&openapi::for_everyone(&server_url));
            let file = docs
                .description(&server_url, write)
                .map_err(Error::internal)?;
            let response = content::response(headers, encoding, &file)?;
            Ok(varying(cached(response, FIVE_MINUTES)))
        }
        (Site::Docs | Site::DocsFile(_) | Site::OpenApi, None) => Err(no_such_endpoint()),
    }
}

/// Answers a request whose caller is known.
///
/// # Errors
/// As [`for_anyone`]; `Forbidden` without the permission; `Unavailable` if something is out of reach.
pub(super) async fn for_caller(call: &Call<'_>, site: &Site) -> Result<Response> {
    match site {
        Site::Health => health::check(call).await,
        Site::OpenApi => {
            let encoding = content::Encoding::of(&call.headers, call.passes_bytes);
            let response = openapi::for_tenant(call, encoding).await?;
            Ok(varying(cached(response, "private, no-cache")))
        }
        Site::Home | Site::Docs | Site::DocsFile(_) => Err(no_such_endpoint()),
    }
}

fn parameters(parts: &Parts) -> Result<Parameters> {
    Parameters::parse(parts.uri.query().unwrap_or_default())
}

fn home(headers: &HeaderMap, mount: Mount<'_>, has_docs: bool) -> Result<Response> {
    let docs = || (mount.base_url("/docs"), mount.base_url("/openapi.json"));
    let links = Links {
        scim2: mount.base_url(V2_PATH),
        scim1: mount.base_url(V1_PATH),
        events: mount.base_url("/events"),
        docs: has_docs.then(docs),
    };
    let mut response = if prefers_html(headers) {
        let policy = format!(
            "default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'none'"
        );
        let mut page = answer::with_type(content::HTML, links.to_html());
        answer::set(&mut page, CONTENT_SECURITY_POLICY, &policy);
        page
    } else {
        check_accept(headers)?;
        answer::plain_json(links.to_json().to_string())
    };
    answer::set(&mut response, VARY, "accept");
    Ok(cached(response, FIVE_MINUTES))
}

/// The page of the documentation, or a file of it. All have the policy: a browser that is given the address
/// of a picture shows it as a page.
fn of_docs(
    found: io::Result<Option<Arc<File>>>,
    headers: &HeaderMap,
    encoding: content::Encoding,
) -> Result<Response> {
    let file = found.map_err(Error::internal)?;
    let file = file.ok_or_else(no_such_endpoint)?;
    let mut response = content::response(headers, encoding, &file)?;
    answer::set(&mut response, CONTENT_SECURITY_POLICY, DOCS_POLICY);
    Ok(cached(response, ALWAYS_ASK))
}

fn elsewhere(path: &str) -> Response {
    let mut response = answer::empty(StatusCode::PERMANENT_REDIRECT);
    answer::set(&mut response, LOCATION, path);
    cached(response, FIVE_MINUTES)
}

fn cached(mut response: Response, how: &str) -> Response {
    answer::set(&mut response, CACHE_CONTROL, how);
    response
}

/// Says that the answer depends on the credential.
fn varying(mut response: Response) -> Response {
    answer::set(&mut response, VARY, "authorization, accept-encoding");
    response
}
