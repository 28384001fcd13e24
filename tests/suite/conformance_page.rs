//! Compares `docs/conformance.md` with `requirements.tsv`, and that with the tests it names.
//!
//! Each line of `requirements.tsv` is one requirement: its id, its source, the requirement, and how it
//! is shown. It is shown by `exchange:` with a path below `tests/exchanges/`, and by `test:` with a
//! file and the name of a test in it, each as often as needed; or else by `documented:` or `not met:`
//! with a sentence. `UPDATE=1 cargo test --test suite conformance_page::` writes the page anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

/// The documents: the beginning of their ids, the number of requirements, and the name.
const DOCUMENTS: [(&str, usize, &str); 8] = [
    ("7643", 119, "RFC 7643: schemas"),
    ("7644", 223, "RFC 7644: protocol"),
    ("9865", 30, "RFC 9865: cursors"),
    (
        "INT",
        14,
        "The interop profile (draft-zollner-scim-interop-profile-01)",
    ),
    ("V11", 69, "SCIM 1.1 (drafts -01)"),
    ("EVT", 5, "RFC 9967: events"),
    ("RE", 1, "Roles and entitlements (draft)"),
    ("DEV", 1, "RFC 9944: devices"),
];

const PAGE: &str = "docs/conformance.md";

struct Requirement {
    id: String,
    section: String,
    statement: String,
    how: How,
}

enum How {
    /// It is met, as these exchanges and tests show.
    Shown(Vec<Reference>),
    /// It is met, but no test can show it.
    Documented(String),
    /// It is not met, for this reason.
    NotMet(String),
}

enum Reference {
    Exchange(String),
    Test { file: String, name: String },
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn requirements() -> Vec<Requirement> {
    let text = fs::read_to_string(root().join("tests/requirements.tsv")).unwrap();
    text.lines().map(requirement).collect()
}

fn requirement(line: &str) -> Requirement {
    let fields: Vec<&str> = line.split('\t').collect();
    let [id, section, statement, how] = fields.as_slice() else {
        panic!("not four fields: {line}");
    };
    let how = if let Some(sentence) = how.strip_prefix("documented: ") {
        How::Documented(sentence.to_owned())
    } else if let Some(reason) = how.strip_prefix("not met: ") {
        How::NotMet(reason.to_owned())
    } else {
        How::Shown(how.split(' ').map(reference).collect())
    };
    Requirement {
        id: (*id).to_owned(),
        section: (*section).to_owned(),
        statement: (*statement).to_owned(),
        how,
    }
}

fn reference(text: &str) -> Reference {
    match text.split_once(':') {
        Some(("exchange", path)) => Reference::Exchange(path.to_owned()),
        Some(("test", test)) => {
            let (file, name) = test.split_once('#').unwrap();
            Reference::Test {
                file: file.to_owned(),
                name: name.to_owned(),
            }
        }
        _ => panic!("no reference: {text}"),
    }
}

#[test]
fn every_requirement_is_there_once_and_in_order() {
    let found: Vec<String> = requirements().into_iter().map(|one| one.id).collect();
    let ids: BTreeSet<&String> = found.iter().collect();
    assert_eq!(ids.len(), found.len());
    for (prefix, count, _) in DOCUMENTS {
        let expected: Vec<String> = (1..=count)
            .map(|number| format!("{prefix}-{number:03}"))
            .collect();
        let of_it = |id: &&String| id.starts_with(&format!("{prefix}-"));
        let listed: Vec<&String> = found.iter().filter(of_it).collect();
        assert_eq!(listed, expected.iter().collect::<Vec<_>>());
    }
    let counted: usize = DOCUMENTS.iter().map(|(_, count, _)| count).sum();
    assert_eq!(found.len(), counted);
}

#[test]
fn every_reference_leads_to_an_exchange_or_a_test() {
    let mut sources = BTreeMap::<PathBuf, String>::new();
    let mut missing = Vec::new();
    for requirement in requirements() {
        let How::Shown(references) = &requirement.how else {
            continue;
        };
        for reference in references {
            let exists = match reference {
                Reference::Exchange(path) => root().join("tests/exchanges").join(path).is_file(),
                Reference::Test { file, name } => {
                    let source = sources
                        .entry(root().join(file))
                        .or_insert_with_key(|path| fs::read_to_string(path).unwrap_or_default());
                    has_test(source, name)
                }
            };
            if !exists {
                missing.push(format!("{}: {}", requirement.id, shown(reference)));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Whether a function of this name has an attribute that makes it a test.
fn has_test(source: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let mut is_test = false;
    for line in source.lines().map(str::trim_start) {
        if line.contains(&function) {
            return is_test;
        }
        is_test = line.starts_with("#[test]")
            || line.starts_with("#[tokio::test")
            || (is_test && (line.starts_with("#[") || line.starts_with("///")));
    }
    false
}

#[test]
fn the_page_equals_the_list() {
    let path = root().join(PAGE);
    let page = page(&requirements());
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "{PAGE} is out of date; UPDATE=1 cargo test --test suite conformance_page:: writes it again"
    );
}

fn page(requirements: &[Requirement]) -> String {
    let mut page = String::from(
        "# Conformance\n\n\
         The requirements of the RFCs and drafts, one line each, and how each is shown to be met.\n\
         This page is written by `UPDATE=1 cargo test --test suite conformance_page::` from `tests/requirements.tsv`; \
         a test fails if the page, the list and the tests do not agree.\n\n\
         Exchanges are requests and answers kept as data below `tests/exchanges/`; `cargo test --test suite exchanges::` plays them.\n\
         Other requirements are shown by a Rust test, or explained.\n\
         Where the profiles differ, `default` accepts what identity providers send, `strict` follows the RFCs to the letter, \
         and `interop` follows the interop profile.\n\n",
    );
    write_counts(&mut page, requirements);
    for (prefix, _, name) in DOCUMENTS {
        write!(
            page,
            "\n## {name}\n\n| id | section | requirement | shown by |\n|---|---|---|---|\n"
        )
        .unwrap();
        let of_it = |one: &&Requirement| one.id.starts_with(&format!("{prefix}-"));
        for requirement in requirements.iter().filter(of_it) {
            write_row(&mut page, requirement);
        }
    }
    page
}

fn write_counts(page: &mut String, requirements: &[Requirement]) {
    page.push_str(
        "| document | requirements | shown | documented | not met |\n|---|---|---|---|---|\n",
    );
    for (prefix, count, name) in DOCUMENTS {
        let of_it = |one: &&Requirement| one.id.starts_with(&format!("{prefix}-"));
        let (mut shown, mut documented, mut not_met) = (0, 0, 0);
        for requirement in requirements.iter().filter(of_it) {
            match requirement.how {
                How::Shown(_) => shown += 1,
                How::Documented(_) => documented += 1,
                How::NotMet(_) => not_met += 1,
            }
        }
        writeln!(
            page,
            "| {name} | {count} | {shown} | {documented} | {not_met} |"
        )
        .unwrap();
    }
}

fn write_row(page: &mut String, requirement: &Requirement) {
    let Requirement {
        id,
        section,
        statement,
        how,
    } = requirement;
    let how = match how {
        How::Shown(references) => {
            let references: Vec<String> = references.iter().map(shown).collect();
            references.join(", ")
        }
        How::Documented(sentence) => sentence.clone(),
        How::NotMet(reason) => format!("**Not met**: {reason}"),
    };
    writeln!(page, "| {id} | {section} | {statement} | {how} |").unwrap();
}

/// A link from the page to an exchange or a test.
fn shown(reference: &Reference) -> String {
    match reference {
        Reference::Exchange(path) => {
            let name = path.strip_suffix(".json").unwrap_or(path);
            format!("[{name}](../tests/exchanges/{path})")
        }
        Reference::Test { file, name } => {
            let words = name.replace('_', " ");
            format!("[{}: {words}](../{file})", module(file))
        }
    }
}

/// The name of the module in a file; for `mod.rs` and `tests.rs` that of the folder.
fn module(file: &str) -> &str {
    let path = file
        .trim_end_matches("/mod.rs")
        .trim_end_matches("/tests.rs")
        .trim_end_matches(".rs");
    path.rsplit('/').next().unwrap_or(path)
}
