use proptest::prelude::*;

use crate::error::ErrorKind;
use crate::filter::*;
use crate::profile::{Profile, Rules, Tolerance};

fn parse(text: &str, profile: Profile) -> Result<Filter> {
    let rules = Rules {
        profile,
        ..Rules::default()
    };
    Filter::parse(text, &mut Reading::new(&rules))
}

/// The tree in a form in which every bracket shows.
fn tree(filter: &Filter) -> String {
    let join = |parts: &[Filter]| parts.iter().map(tree).collect::<Vec<_>>().join(" ");
    match filter {
        Filter::And(parts) => format!("(and {})", join(parts)),
        Filter::Or(parts) => format!("(or {})", join(parts)),
        Filter::Not(part) => format!("(not {})", tree(part)),
        Filter::ValuePath { path, filter } => format!("{path}[{}]", tree(filter)),
        leaf => leaf.to_string(),
    }
}

#[test]
fn brackets_bind_before_not_before_and_before_or() {
    let check = |text: &str, expected: &str| {
        let filter = parse(text, Profile::Strict).unwrap();
        assert_eq!(tree(&filter), expected, "{text}");
    };
    check("a pr", "a pr");
    check("a pr or b pr and c pr", "(or a pr (and b pr c pr))");
    check("(a pr or b pr) and c pr", "(and (or a pr b pr) c pr)");
    check("not (a pr) and b pr", "(and (not a pr) b pr)");
    check("NOT(a pr or b pr)", "(not (or a pr b pr))");
    check("a pr AND b pr And c pr", "(and a pr b pr c pr)");
    check("  (  a pr  )  ", "a pr");
    check("not pr", "not pr");
    check("and pr and or pr", "(and and pr or pr)");
    check(
        r#"emails[type eq "work" or not (primary eq true)]"#,
        r#"emails[(or type eq "work" (not primary eq true))]"#,
    );
    check(
        r#"emails[ type eq "a]b" ] or b pr"#,
        r#"(or emails[type eq "a]b"] b pr)"#,
    );
    check(
        r#"emails[type eq "work"].value eq "x""#,
        r#"emails[(and type eq "work" value eq "x")]"#,
    );
    check(
        r#"emails[a pr and b pr].value pr and c pr"#,
        "(and emails[(and a pr b pr value pr)] c pr)",
    );
}

#[test]
fn constants_are_json() {
    let check = |text: &str, expected: CompareValue| {
        let filter = parse(&format!("a eq {text}"), Profile::Strict).unwrap();
        let Filter::Compare { value, .. } = &filter else {
            panic!("{filter}");
        };
        assert_eq!(*value, expected, "{text}");
    };
    let string = |text: &str| CompareValue::String(text.to_owned());
    check("true", CompareValue::Boolean(true));
    check("false", CompareValue::Boolean(false));
    check("null", CompareValue::Null);
    check("-7", CompareValue::Number((-7).into()));
    check(
        "1.5e3",
        CompareValue::Number(Number::from_f64(1500.0).unwrap()),
    );
    check(
        "18446744073709551615",
        CompareValue::Number(u64::MAX.into()),
    );
    check(r#""""#, string(""));
    check(r#""Zoë O'Brien""#, string("Zoë O'Brien"));
    check(
        r#""a\u0062c\"\\\/\n\ud83d\ude00ë""#,
        string("abc\"\\/\n😀ë"),
    );
}

#[test]
fn operators_are_read_in_any_case() {
    for (op, name) in CompareOp::ALL {
        for spelling in [name.to_owned(), name.to_uppercase()] {
            let filter = parse(&format!(r#"a {spelling}"x""#), Profile::Strict).unwrap();
            assert!(matches!(filter, Filter::Compare { op: found, .. } if found == op));
        }
    }
    assert!(matches!(
        parse("a PR", Profile::Strict),
        Ok(Filter::Present(_))
    ));
}

#[test]
fn errors_in_the_grammar_are_refused_with_their_place() {
    let check = |text: &str, at: usize, part: &str| {
        let error = parse(text, Profile::Strict).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFilter);
        let detail = error.detail();
        assert!(
            detail.starts_with(&format!("At byte {at} of the filter: ")),
            "{text}: {detail}"
        );
        assert!(detail.contains(part), "{text}: {detail}");
    };
    check("", 0, "the filter ends");
    check("   ", 3, "an attribute path");
    check("userName", 8, "a blank and an operator");
    check("userName eq", 11, "a value");
    check("userName eq ", 12, "the filter ends");
    check(r#"userName = "x""#, 9, r#"found `= "x"`"#);
    check(r#"userName regex "x""#, 9, "found `regex");
    check("userName eq 'x'", 12, "double quotes");
    check("userName eq x", 12, "double quotes");
    check("userName eq TRUE", 12, "double quotes");
    check("userName eq 01", 12, "a number");
    check("userName eq 1e999", 12, "a number");
    check(r#"userName eq "x"#, 14, "double quote");
    check(r#"userName eq "\q""#, 12, "escapes");
    check(r#"userName eq "\ud800""#, 12, "escapes");
    check("userName eq \"a\tb\"", 14, "the rest of a string");
    check(r#"userName eq "x" y"#, 16, "`and`, `or`");
    check(r#"userName eq "x"and b pr"#, 15, "`and`, `or`");
    check("a pr and(b pr)", 8, "a blank after `and`");
    check("a pr and ", 9, "an attribute path");
    check("a pr andb pr", 5, "`and`, `or`");
    check("(a pr", 5, "`)`");
    check("a pr)", 4, "the end of the filter");
    check("not a pr", 4, "an operator");
    check("a[b pr", 6, "`]`");
    check("a[b[c pr]]", 3, "do not nest");
    check("a[]", 2, "an attribute path");
    check("a[b pr].", 8, "a sub-attribute");
    check("a[b pr]c", 7, "the end of the filter");
    check("a.b.c pr", 0, "an attribute path");
    check("naïve pr", 2, "a blank");
    check("a prx", 2, "an operator");
}

#[test]
fn errors_repeat_little_of_the_text() {
    let error = parse(&format!("a {}", "é".repeat(500)), Profile::Strict).unwrap_err();
    assert!(error.detail().len() < 200, "{error}");
}

#[test]
fn bare_words_are_strings_in_the_default_profile() {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let text = "(externalId eq jyoung or emails[value eq Zoë@x.org]) and active eq True";
    let filter = Filter::parse(text, &mut reading).unwrap();
    assert_eq!(
        filter.to_string(),
        r#"(externalId eq "jyoung" or emails[value eq "Zoë@x.org"]) and active eq "True""#
    );
    assert!(
        reading
            .used_tolerances()
            .contains(Tolerance::UnquotedFilterValues)
    );
    let long_id = "externalId eq 108204268033311374519";
    let filter = parse(long_id, Profile::Default).unwrap();
    assert_eq!(
        filter.to_string(),
        r#"externalId eq "108204268033311374519""#
    );
    assert!(parse(long_id, Profile::Strict).is_err());
    for text in ["a eq 'x'", "a eq ", "a eq )", "a eq x\"y", "a eq (x"] {
        assert!(parse(text, Profile::Default).is_err(), "{text}");
    }
}

#[test]
fn size_depth_and_terms_are_bounded() {
    let check = |text: String, allowed: bool| {
        let error = parse(&text, Profile::Strict).err();
        assert_eq!(error.is_none(), allowed, "{error:?}");
    };
    let nested = |depth: usize| format!("{}a pr{}", "(".repeat(depth), ")".repeat(depth));
    check(nested(32), true);
    check(nested(33), false);
    check(nested(4_000), false);
    check(nested(10_000), false);
    check(
        format!("{}a pr{}", "not (".repeat(32), ")".repeat(32)),
        true,
    );
    check(vec!["a pr"; 200].join(" or "), true);
    check(vec!["a pr"; 201].join(" or "), false);
    check(format!(r#"a eq "{}""#, "x".repeat(8_185)), true);
    check(format!(r#"a eq "{}""#, "x".repeat(8_186)), false);
}

#[test]
fn only_conjunctions_of_equalities_list_their_terms() {
    let check = |text: &str, expected: Option<&str>| {
        let filter = parse(text, Profile::Strict).unwrap();
        let terms = filter.equalities().map(|terms| {
            let terms = terms.iter().map(|(path, value)| format!("{path}={value}"));
            terms.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(terms.as_deref(), expected, "{text}");
    };
    check(r#"a eq "x""#, Some(r#"a="x""#));
    check(
        "a eq 1 and (b eq true and c eq null)",
        Some("a=1 b=true c=null"),
    );
    check("a eq 1 or b eq 2", None);
    check("a eq 1 and b ne 2", None);
    check("not (a eq 1)", None);
}

fn path() -> impl Strategy<Value = AttributePath> {
    let text = prop_oneof![
        "[a-zA-Z$][a-zA-Z0-9_$-]{1,6}",
        "[a-z]{1,6}\\.[a-z$][a-z]{1,4}",
        "urn:[a-z]{1,4}:2\\.0:[A-Z][a-z]{0,4}:[a-z]{1,4}(\\.[a-z]{1,4})?",
    ];
    text.prop_map(|text| AttributePath::parse(&text).unwrap())
}

fn leaf() -> impl Strategy<Value = Filter> {
    let value = prop_oneof![
        Just(CompareValue::Null),
        any::<bool>().prop_map(CompareValue::Boolean),
        any::<i64>().prop_map(|number| CompareValue::Number(number.into())),
        any::<f64>().prop_filter_map("finite", |number| {
            Number::from_f64(number).map(CompareValue::Number)
        }),
        any::<String>().prop_map(CompareValue::String),
    ];
    let op = (0..CompareOp::ALL.len()).prop_map(|position| CompareOp::ALL[position].0);
    prop_oneof![
        path().prop_map(Filter::Present),
        (path(), op, value).prop_map(|(path, op, value)| Filter::Compare { path, op, value }),
    ]
}

/// Trees over `leaves`, with every kind of node but value paths.
fn tree_of(leaves: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaves.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let value_path = (path(), tree_of(leaf())).prop_map(|(path, filter)| Filter::ValuePath {
        path,
        filter: Box::new(filter),
    });
    tree_of(prop_oneof![3 => leaf(), 1 => value_path])
}

proptest! {
    #[test]
    fn a_displayed_filter_reads_as_itself(filter in any_filter()) {
        let text = filter.to_string();
        prop_assume!(text.len() <= MAX_LENGTH);
        prop_assert_eq!(parse(&text, Profile::Strict).unwrap(), filter);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text, Profile::Default);
    }

    #[test]
    fn texts_of_filter_parts_are_read_or_refused(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "not", "and", "or", "eq", "pr", " ", " ", "(", ")", "[", "]", ".", "\"", "\\",
                "\\u", "d8", "0", "-", "ë", "\u{0}", "true", "urn:", ":",
            ]),
            0..40,
        )
    ) {
        let text = parts.concat();
        for profile in [Profile::Default, Profile::Strict] {
            if let Ok(filter) = parse(&text, profile) {
                prop_assert_eq!(parse(&filter.to_string(), Profile::Strict).unwrap(), filter);
            }
        }
    }
}
