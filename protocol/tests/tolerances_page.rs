//! Compares `docs/tolerances.md` with the catalogue of tolerances in the code that applies them.
//! `UPDATE=1 cargo test -p scim-protocol --test tolerances_page` writes the page again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use scim_protocol::profile::{Tolerance, ToleranceDescription};

const PAGE: &str = "docs/tolerances.md";

#[test]
fn the_page_equals_the_catalogue() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(PAGE);
    let page = page();
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "{PAGE} is out of date; UPDATE=1 cargo test -p scim-protocol --test tolerances_page writes it again"
    );
}

#[test]
fn every_tolerance_is_described_in_full() {
    for described in Tolerance::ALL {
        let ToleranceDescription {
            name,
            sent,
            by,
            read,
            strict,
            ..
        } = described;
        for text in [sent, by, read, strict] {
            assert!(!text.is_empty() && !text.ends_with('.'), "{name}: {text}");
            assert!(!text.contains('\n'), "{name}: {text}");
        }
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Tolerances\n\n\
         Requests that deviate from the RFCs, and how they are read.\n\
         A tenant's profile decides: `default` has every tolerance of this page; `strict` and `interop` have none, and the last column says what `strict` answers.\n\
         The log line of a request names the tolerances that were used, under `tolerances`.\n\
         Requests at the base URLs of SCIM 1.1 and of the Ionic API are always read by the `default` profile.\n\n\
         This page is written by `UPDATE=1 cargo test -p scim-protocol --test tolerances_page` from `protocol/src/profile/tolerance.rs`.\n\n\
         | name | what is sent | by | how it is read | where `strict` refuses it |\n|---|---|---|---|---|\n",
    );
    for described in Tolerance::ALL {
        let ToleranceDescription {
            name,
            sent,
            by,
            read,
            strict,
            ..
        } = described;
        writeln!(page, "| `{name}` | {sent} | {by} | {read} | {strict} |").unwrap();
    }
    page
}
