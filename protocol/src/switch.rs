//! The switches of a tenant as a table: the name, the allowed values and the meaning of each.
//!
//! Their values and defaults are fields of [`Switches`] in `profile`. A new switch takes a field there
//! with its default, a row in `SWITCHES`, and the same row in the README's table. Tests compare the
//! three.

use std::fmt;

use serde_json::{Map, Value};

use crate::error::{Error, Result, excerpt};
use crate::profile::Switches;

/// The largest body of any request, in bytes. It lets a client put a group back as it read it. Lambda
/// takes 6 MB, of which base64 uses a third.
pub const MAX_BODY_BYTES: u32 = 4 * 1024 * 1024;

/// One switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// The name, as in `--set NAME=VALUE` and in the stored configuration.
    pub name: &'static str,
    /// The values that it takes.
    pub range: SwitchValues,
    /// What it does, in Markdown.
    pub meaning: &'static str,
}

/// The values that a switch takes. Displays them for people: `1 to 10,000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchValues {
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number from the first to the second, both included.
    Number(u32, u32),
    /// Texts of this kind, up to a number of them.
    List(Listed, usize),
}

/// The kind of the texts that a switch lists. Displays in the plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Names of domains, such as `example.com`.
    Domains,
    /// Ids of resources.
    Ids,
}

/// The largest number of texts that a switch lists. Each request that writes a user looks at all of them.
const MAX_LISTED: usize = 100;
/// The longest name of a domain, in bytes (RFC 1035 §2.3.4). The UTF-8 of a name is seldom longer than its
/// form in ASCII.
const MAX_DOMAIN_BYTES: usize = 253;
/// The longest id, in bytes. Those of this service have 36.
const MAX_ID_BYTES: usize = 64;

/// Every switch, in the order of the README.
pub(crate) const SWITCHES: [Switch; 21] = [
    Switch {
        name: "uniqueGroupDisplayName",
        range: SwitchValues::Flag,
        meaning: "two groups may not share a name (409); after switching it on, `cargo scim doctor \
                  --repair` claims the names that exist",
    },
    Switch {
        name: "lastModifiedIndex",
        range: SwitchValues::Flag,
        meaning: "filters on `meta.lastModified` of everything but groups read only the hours they \
                  ask for; a resource's first change in an hour then costs six write units instead \
                  of one; after switching it on or off for a tenant in use, wait two minutes and run \
                  `cargo scim doctor --repair`",
    },
    Switch {
        name: "groupPatchAnswers",
        range: SwitchValues::Choice(&["200", "204"]),
        meaning: "`200` answers a PATCH of a group with the group, `204` without it",
    },
    Switch {
        name: "unknownFilterAttributes",
        range: SwitchValues::Choice(&["refuse", "empty"]),
        meaning: "a filter on an unknown attribute is refused with 400; with `empty` it matches nothing",
    },
    Switch {
        name: "inlineMemberCap",
        // The number of members that a request can name, so that a group that is shown whole can be
        // put back.
        range: SwitchValues::Number(1, 20_000),
        meaning: "the largest number of members that a group shows inline; larger groups, and those \
                  whose members would not fit an answer of 4 MB, are answered without `members` and \
                  with a `Link` to `GET /Groups/{id}/members`, which lists them page by page",
    },
    Switch {
        name: "putKeepsUnnamedExtensions",
        range: SwitchValues::Flag,
        meaning: "a PUT that does not list an extension leaves it alone",
    },
    Switch {
        name: "passwords",
        range: SwitchValues::Choice(&["discard", "hash"]),
        meaning: "`discard` drops the passwords that clients send, `hash` stores their argon2id hash",
    },
    Switch {
        name: "defaultCount",
        range: SwitchValues::Number(1, 10_000),
        meaning: "the page size of a request that names none, at most `maxCount`",
    },
    Switch {
        name: "maxCount",
        // The number of resources that one list may read.
        range: SwitchValues::Number(1, 10_000),
        meaning: "the largest page size",
    },
    Switch {
        name: "basic",
        range: SwitchValues::Flag,
        meaning: "HTTP Basic credentials can be created and are accepted",
    },
    Switch {
        name: "mac",
        range: SwitchValues::Flag,
        meaning: "keys to sign requests can be created, and signed requests are accepted",
    },
    Switch {
        name: "bulkMaxOperations",
        range: SwitchValues::Number(1, 1_000),
        meaning: "the largest number of operations of a bulk request",
    },
    Switch {
        name: "bulkMaxPayloadSize",
        range: SwitchValues::Number(1_024, MAX_BODY_BYTES),
        meaning: "the largest body of a bulk request, in bytes",
    },
    Switch {
        name: "eventDays",
        range: SwitchValues::Number(2, 365),
        meaning: "how many days an event stays in the [feed](docs/events.md)",
    },
    Switch {
        name: "eventValues",
        range: SwitchValues::Choice(&["all", "names"]),
        meaning: "`names` leaves values out of events, which then name the attributes that changed",
    },
    Switch {
        name: "brake",
        range: SwitchValues::Choice(&["off", "warn", "hold"]),
        meaning: "when more than a tenth of the active users, and more than 20, are deactivated or \
                  deleted within an hour: `warn` reports it in the feed and in the log, `hold` also \
                  stops the feed before them",
    },
    Switch {
        name: "brakeHours",
        range: SwitchValues::Number(1, 168),
        meaning: "how many hours `hold` lasts, at most half of `eventDays`, unless it is \
                  released before",
    },
    Switch {
        name: "requestsPerSecond",
        range: SwitchValues::Number(0, 10_000),
        meaning: "how many requests a second are answered, as a mean over ten seconds and over all \
                  processes; further ones get 429; 0 for any number ([limits](docs/limits.md))",
    },
    Switch {
        name: "maxActiveUsers",
        range: SwitchValues::Number(0, 10_000_000),
        meaning: "the largest number of users that are active: a request that would make one more \
                  active gets 403; 0 for any number; after switching it on for a tenant in use, \
                  wait two minutes and run `cargo scim doctor --repair`",
    },
    Switch {
        name: "emailDomains",
        range: SwitchValues::List(Listed::Domains, MAX_LISTED),
        meaning: "the domains that the `userName` of a user, if it is an address, and its primary \
                  e-mail address must be of; others get 400",
    },
    Switch {
        name: "protectedUsers",
        range: SwitchValues::List(Listed::Ids, MAX_LISTED),
        meaning: "users that no client can deactivate or delete; it gets 403, and the feed \
                  `user.protected`",
    },
];

impl Switch {
    /// The switch with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SWITCHES.iter().find(|switch| switch.name == name)
    }

    /// The default value, as people read it.
    pub(crate) fn default_text(&self) -> String {
        match &members(&Switches::default())[self.name] {
            Value::String(word) => format!("`{word}`"),
            Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
            Value::Array(_) => "none".to_owned(),
            other => format!("`{other}`"),
        }
    }

    /// Its row in the README's table.
    #[must_use]
    pub fn row(&self) -> String {
        let (name, range, default, meaning) =
            (self.name, self.range, self.default_text(), self.meaning);
        format!("| `{name}` | {range} | {default} | {meaning} |")
    }
}

/// Checks that every number and every list is in its range.
///
/// # Errors
/// `InvalidValue` naming the switch, its value and its range; of a list, the first text that it does not
/// take.
pub fn check(switches: &Switches) -> Result<()> {
    let members = members(switches);
    for Switch { name, range, .. } in SWITCHES {
        if let Some(refused) = range.refused(&members[name]) {
            return Err(Error::invalid_value(format!(
                "The switch {name} takes {refused}"
            )));
        }
    }
    Ok(())
}

/// The same switches, each number out of range replaced by the nearest one in range. A configuration
/// that was stored before its switch had a range is read this way.
#[must_use]
pub fn within_range(switches: &Switches) -> Switches {
    let mut members = members(switches);
    for Switch { name, range, .. } in SWITCHES {
        if let Some(number) = members[name].as_u64() {
            members[name] = range.nearest(number).into();
        }
    }
    serde_json::from_value(members.into()).expect("a switch keeps its kind of value")
}

impl SwitchValues {
    /// The nearest number in the range; the number itself if the range is not one of numbers.
    fn nearest(self, number: u64) -> u64 {
        match self {
            Self::Number(least, most) => number.clamp(least.into(), most.into()),
            Self::Flag | Self::Choice(_) | Self::List(..) => number,
        }
    }

    /// What it takes, and the part of the value that it does not take: the value itself, an element of a list,
    /// or the number of elements. Serde has checked what kind of JSON the value is.
    fn refused(self, value: &Value) -> Option<String> {
        match (self, value) {
            (Self::List(_, most), Value::Array(texts)) if texts.len() > most => {
                Some(format!("{self}, not {}", texts.len()))
            }
            (Self::List(listed, _), Value::Array(texts)) => {
                let mut texts = texts.iter().filter_map(Value::as_str);
                let refused = texts.find(|text| !listed.takes(text))?;
                let refused = excerpt(format!("`{refused}`"));
                Some(format!("{}, not {refused}", listed.form()))
            }
            (_, Value::Number(number)) => {
                let number = number.as_u64()?;
                (self.nearest(number) != number).then(|| format!("{self}, not {number}"))
            }
            _ => None,
        }
    }
}

impl Listed {
    /// Whether a text has the form of this kind. It need not exist.
    fn takes(self, text: &str) -> bool {
        let is_plain = |c: char| c.is_alphanumeric() || c == '-';
        match self {
            // A name with one label, such as `localhost`, is no domain of addresses.
            Self::Domains => {
                let is_label = |label: &str| !label.is_empty() && label.chars().all(is_plain);
                text.len() <= MAX_DOMAIN_BYTES
                    && text.contains('.')
                    && text.split('.').all(is_label)
            }
            Self::Ids => {
                let fits = |c: char| c.is_ascii() && (is_plain(c) || c == '_' || c == '.');
                (1..=MAX_ID_BYTES).contains(&text.len()) && text.chars().all(fits)
            }
        }
    }

    /// What a text of this kind looks like.
    fn form(self) -> String {
        match self {
            Self::Domains => "domains such as `example.com`".to_owned(),
            Self::Ids => {
                format!("ids of up to {MAX_ID_BYTES} ASCII letters, digits and characters of `-_.`")
            }
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Domains => "domains",
            Self::Ids => "ids",
        })
    }
}

impl fmt::Display for SwitchValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("`true`, `false`"),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                f.write_str(&words.join(", "))
            }
            Self::Number(least, most) => {
                let (least, most) = (grouped((*least).into()), grouped((*most).into()));
                write!(f, "{least} to {most}")
            }
            Self::List(listed, most) => write!(f, "up to {most} {listed}"),
        }
    }
}

/// The switches as the members of the stored configuration.
fn members(switches: &Switches) -> Map<String, Value> {
    match serde_json::to_value(switches) {
        Ok(Value::Object(members)) => members,
        other => unreachable!("switches are an object of plain values, not {other:?}"),
    }
}

/// A number with a comma before each three digits: `4,194,304`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(name: &str, value: Value) -> Switches {
        let mut members = members(&Switches::default());
        members[name] = value;
        serde_json::from_value(members.into()).unwrap()
    }

    #[test]
    fn every_switch_is_in_the_table_once_with_its_values() {
        let members = members(&Switches::default());
        let mut names: Vec<_> = SWITCHES.iter().map(|switch| switch.name).collect();
        names.sort_unstable();
        let mut stored: Vec<_> = members.keys().map(String::as_str).collect();
        stored.sort_unstable();
        assert_eq!(names, stored);
        for Switch { name, range, .. } in SWITCHES {
            let values: Vec<Value> = match range {
                SwitchValues::Flag => vec![true.into(), false.into()],
                SwitchValues::Choice(words) => words.iter().map(|word| (*word).into()).collect(),
                SwitchValues::Number(least, most) => vec![least.into(), most.into()],
                SwitchValues::List(_, most) => vec![vec!["a.example"; most].into(), json!([])],
            };
            assert!(
                values.iter().any(|value| value.is_number()) || values.contains(&members[name])
            );
            for value in values {
                let switches = with(name, value);
                assert!(check(&switches).is_ok(), "{name}");
                assert_eq!(within_range(&switches), switches, "{name}");
            }
        }
        assert!(check(&Switches::default()).is_ok());
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range_and_read_as_the_nearest() {
        for Switch { name, range, .. } in SWITCHES {
            let SwitchValues::Number(least, most) = range else {
                continue;
            };
            let below = (least > 0).then(|| [(0, least), (least - 1, least)]);
            let beyond = [(most + 1, most), (u32::MAX, most)];
            for (value, nearest) in below.into_iter().flatten().chain(beyond) {
                let switches = with(name, value.into());
                let refused = check(&switches).unwrap_err();
                assert_eq!(refused.status(), 400);
                let said = format!("The switch {name} takes {range}, not {value}");
                assert_eq!(refused.detail(), said);
                assert_eq!(within_range(&switches), with(name, nearest.into()));
            }
        }
    }

    #[test]
    fn a_text_that_is_no_domain_or_no_id_is_refused_and_named() {
        fn check_one(name: &str, text: &str, is_taken: bool) {
            let checked = check(&with(name, json!(["a.example", text])));
            assert_eq!(checked.is_ok(), is_taken, "{name} {text}");
            if let Err(refused) = checked {
                assert_eq!(refused.status(), 400);
                let said = refused.detail();
                assert!(
                    said.ends_with(&format!("not {}", excerpt(format!("`{text}`")))),
                    "{said}"
                );
            }
        }
        for domain in [
            "example.com",
            "EXAMPLE.com",
            "bücher.example",
            "xn--bcher-kva.example",
        ] {
            check_one("emailDomains", domain, true);
        }
        let long = format!("{}.example", "a".repeat(MAX_DOMAIN_BYTES));
        for other in [
            "",
            "localhost",
            "@example.com",
            "a@example.com",
            ".example.com",
            "example.com.",
        ] {
            check_one("emailDomains", other, false);
        }
        for other in [
            "*.example.com",
            "a b.example",
            "a..example",
            "a/b.example",
            &long,
        ] {
            check_one("emailDomains", other, false);
        }
        check_one(
            "protectedUsers",
            "0190f2c3-7d1a-7b00-8000-000000000000",
            true,
        );
        for other in ["", "a b", "a/b", "ü", &"a".repeat(MAX_ID_BYTES + 1)] {
            check_one("protectedUsers", other, false);
        }
        let many = with("emailDomains", vec!["a.example"; MAX_LISTED + 1].into());
        let refused = check(&many).unwrap_err();
        assert_eq!(
            refused.detail(),
            "The switch emailDomains takes up to 100 domains, not 101"
        );
    }

    #[test]
    fn the_readme_lists_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let head = "| switch | range | default | meaning |\n|---|---|---|---|\n";
        let table = readme.split_once(head).expect("the table of switches").1;
        let listed: Vec<_> = table
            .lines()
            .take_while(|line| line.starts_with('|'))
            .collect();
        let rows: Vec<_> = SWITCHES.iter().map(Switch::row).collect();
        assert_eq!(listed, rows);
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (1, "1"),
            (999, "999"),
            (1_024, "1,024"),
            (4_194_304, "4,194,304"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
