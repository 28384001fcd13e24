//! The processor time of the most expensive requests, until they are done or refused: `cargo bench -p
//! scim-protocol --bench bounds` prints the table of docs/performance.md.

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use scim_protocol::bulk::{BulkRequest, plan};
use scim_protocol::filter::Filter;
use scim_protocol::json::parse_object;
use scim_protocol::message::{MAX_NAMES, Query};
use scim_protocol::patch::PatchRequest;
use scim_protocol::profile::{Profile, Reading, Rules};
use scim_protocol::projection::Projection;
use scim_protocol::resource::{DraftKind, Resource};
use scim_protocol::schema::{Registry, ResourceType};
use scim_protocol::sort::{SortBy, SortOrder};
use scim_protocol::v1::{self, Dialect, View};
use scim_protocol::work::WorkBudget;
use serde_json::{Map, Value, json};

/// The largest body of a request, in bytes.
const BODY: usize = 4 * 1024 * 1024;
/// The number of bytes that a query may read to find a page.
const READ: usize = 20_000_000;

const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

type Outcome = scim_protocol::Result<()>;

/// Runs a request three times and prints the shortest time. Building the request is not counted.
fn row(name: &str, run: impl Fn() -> Outcome) {
    let mut best = u64::MAX;
    let mut outcome = String::new();
    for _ in 0..3 {
        let begun = processor_time();
        let result = black_box(run());
        best = best.min(processor_time() - begun);
        outcome = match result {
            Ok(()) => "done".to_owned(),
            Err(error) => error.status().to_string(),
        };
    }
    let milliseconds = best / 1_000_000;
    println!("| {name} | {outcome} | {milliseconds} |");
}

/// Runs and prints a request with this body.
fn text_row(name: &str, text: &str, run: impl Fn(&str) -> Outcome) {
    let megabytes = text.len() as f64 / 1e6;
    row(&format!("{name} ({megabytes:.1} MB)"), || run(text));
}

/// The CPU time of this thread in nanoseconds, if the system reports it; else the time of day.
fn processor_time() -> u64 {
    let reported = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let reported = reported.and_then(|text| text.split(' ').next()?.parse().ok());
    reported.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_nanos() as u64)
    })
}

fn user() -> &'static ResourceType {
    let user = Registry::builtin().resource_type("User");
    user.expect("User is a built-in type")
}

/// An array of JSON texts with at most this many bytes.
fn filled(bytes: usize, element: impl Fn(usize) -> String) -> String {
    let mut text = String::from("[");
    for n in 0.. {
        let element = element(n);
        if text.len() + element.len() + 2 > bytes {
            break;
        }
        if n > 0 {
            text.push(',');
        }
        text.push_str(&element);
    }
    text + "]"
}

fn body(text: &str) -> scim_protocol::Result<Map<String, Value>> {
    parse_object(text.as_bytes())
}

fn create(text: &str) -> Outcome {
    let rules = Rules::default();
    let verb = DraftKind::Create { id: "1" };
    let mut reading = Reading::new(&rules);
    Resource::from_request(body(text)?, user(), Registry::builtin(), &mut reading, verb).map(
        |draft| {
            black_box(draft.resource.to_text());
        },
    )
}

fn patch(resource: &Resource, text: &str) -> Outcome {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let request = PatchRequest::parse(&body(text)?, &mut reading)?;
    let patched = request.apply(resource, user(), Registry::builtin(), &mut reading)?;
    black_box(patched.resource.to_text());
    Ok(())
}

fn operations(listed: &[Value]) -> String {
    json!({"schemas": [PATCH_OP], "Operations": listed}).to_string()
}

/// A user with as many e-mail addresses as fit.
fn crowded() -> Resource {
    let emails = filled(390_000, |n| format!(r#"{{"value":"n{n:05}"}}"#));
    let text = format!(r#"{{"schemas":[],"id":"1","userName":"u","emails":{emails}}}"#);
    Resource::from_text(&text).expect("the text is JSON")
}

fn parsing() {
    text_row(
        "POST, objects of 9,000 unknown names",
        &{
            let names: Vec<_> = (0..9_000).map(|n| format!("\"a{n:x}\":1")).collect();
            let object = format!("{{{}}}", names.join(","));
            let objects: Vec<_> = (0..40).map(|n| format!("\"x{n}\":{object}")).collect();
            format!("{{\"userName\":\"a\",{}}}", objects.join(","))
        },
        create,
    );
    text_row(
        "POST, 4 MiB of empty arrays",
        &{
            format!(
                r#"{{"userName":"a","x":{}}}"#,
                filled(BODY - 40, |_| "[]".into())
            )
        },
        create,
    );
    text_row(
        "POST, 4 MiB of e-mail addresses",
        &{
            format!(
                r#"{{"userName":"a","emails":{}}}"#,
                filled(BODY - 40, |n| format!("\"{n}\""))
            )
        },
        create,
    );
    text_row(
        "POST, 20,000 e-mail addresses, no two the same",
        &{
            let emails: Vec<_> = (0..20_000).map(|n| format!("{n:x}")).collect();
            json!({"userName": "a", "emails": emails}).to_string()
        },
        create,
    );
    text_row(
        "POST, 20,000 times the same address with 200 bytes",
        &{
            let emails = vec!["x".repeat(200); 20_000];
            json!({"userName": "a", "emails": emails}).to_string()
        },
        create,
    );
}

fn parsing_names() {
    text_row(
        "POST, roles whose values are JSON texts of many names",
        &{
            let names: Map<_, _> = (0..9_000).map(|n| (format!("n{n}"), json!(1))).collect();
            let mut inner = names.clone();
            inner.insert("value".into(), json!("v"));
            let mut role = names;
            role.insert("value".into(), json!(Value::Object(inner).to_string()));
            json!({"userName": "a", "roles": vec![role; 15]}).to_string()
        },
        create,
    );
    text_row(
        "POST, 4 MiB of URNs in `schemas`",
        &{
            format!(
                r#"{{"userName":"a","schemas":{}}}"#,
                filled(BODY - 40, |n| format!("\"urn:{n}\""))
            )
        },
        create,
    );
    text_row(
        "POST in 1.1, 4 MiB of URNs in `schemas`",
        &format!(
            r#"{{"userName":"a","schemas":{}}}"#,
            filled(BODY - 40, |n| format!("\"urn:{n}\""))
        ),
        |text| {
            let view = View {
                dialect: Dialect::Ionic,
                resource_type: user(),
            };
            black_box(v1::request(view, body(text)?)?);
            Ok(())
        },
    );
}

fn patching() {
    let crowded = crowded();
    let element = |n: usize| json!({"value": format!("n{n:05}"), "display": "d"});
    text_row(
        "PATCH, 1,000 `add` on 18,000 elements",
        &{
            operations(&(0..1_000)
            .map(|n| json!({"op": "add", "path": "emails", "value": [{"value": format!("n{n:05}")}]}))
            .collect::<Vec<_>>())
        },
        |text| patch(&crowded, text),
    );
    text_row(
        "PATCH, 1,000 `remove` with values of 18,000 elements",
        &{
            operations(
                &(0..1_000)
                    .map(|n| json!({"op": "remove", "path": "emails", "value": [element(n)]}))
                    .collect::<Vec<_>>(),
            )
        },
        |text| patch(&crowded, text),
    );
    text_row(
        "PATCH, 1,000 `remove` by filter of 18,000 elements",
        &{
            operations(&(0..1_000)
            .map(|n| json!({"op": "remove", "path": format!("emails[value eq \"n{n:05}\"]")}))
            .collect::<Vec<_>>())
        },
        |text| patch(&crowded, text),
    );
    text_row(
        "PATCH, 1,000 times `emails.type` of 18,000 elements",
        &{
            operations(&vec![
                json!({"op": "replace", "path": "emails.type", "value": "w"});
                1_000
            ])
        },
        |text| patch(&crowded, text),
    );
}

fn patching_more() {
    let crowded = crowded();
    text_row(
        "PATCH, filters of 200 expressions on 18,000 elements",
        &{
            let terms: Vec<_> = (0..200).map(|n| format!("value co \"x{n}\"")).collect();
            let path = format!("emails[{}]", terms.join(" or "));
            operations(&vec![json!({"op": "remove", "path": path}); 500])
        },
        |text| patch(&crowded, text),
    );
    text_row(
        "PATCH, 20,000 phone numbers and one `display` of 300 KB for all",
        &{
            let numbers: Vec<_> = (0..20_000)
                .map(|n| json!({"value": format!("{n:x}")}))
                .collect();
            operations(&[
                json!({"op": "replace", "path": "emails", "value": []}),
                json!({"op": "add", "path": "phoneNumbers", "value": numbers}),
                json!({"op": "add", "path": "phoneNumbers.display", "value": "x".repeat(300_000)}),
            ])
        },
        |text| patch(&crowded, text),
    );
    text_row(
        "PATCH, 4 MiB of paths as names of values",
        &{
            let values = (0..11).map(|value| {
                let names = (value * 9_000..(value + 1) * 9_000)
                    .map(|n| (format!("emails[value eq \"n{n:05}\"].type"), json!("w")));
                json!({"op": "add", "value": names.collect::<Map<_, _>>()})
            });
            operations(&values.collect::<Vec<_>>())
        },
        |text| patch(&crowded, text),
    );
}

fn patching_parts() {
    let crowded = crowded();
    let element = |n: usize| json!({"value": format!("n{n:05}"), "display": "d"});
    text_row(
        "PATCH, 1,000 times a part beside a text of 300 KB",
        &{
            let mut listed = vec![
                json!({"op": "replace", "path": "emails", "value": []}),
                json!({"op": "replace", "path": "name.formatted", "value": "\u{e9}".repeat(150_000)}),
            ];
            listed.resize(
                1_000,
                json!({"op": "replace", "path": "name.givenName", "value": "x"}),
            );
            operations(&listed)
        },
        |text| patch(&crowded, text),
    );
    text_row(
        "PATCH in 1.1, 400 elements merged into 18,000",
        &json!({"emails": (0..400).map(element).collect::<Vec<_>>()}).to_string(),
        |text| {
            let view = View {
                dialect: Dialect::General,
                resource_type: user(),
            };
            let rules = Rules::default();
            let message = v1::patch(view, body(text)?, &mut Reading::new(&rules))?;
            patch(&crowded, &Value::Object(message).to_string())
        },
    );
}

fn querying() {
    let rules = Rules::default();
    let crowded = crowded();
    let resources = READ / crowded.to_text().len();
    let matching = |text: &str, resource: &Resource, count: usize| -> Outcome {
        let mut reading = Reading::new(&rules);
        let filter = Filter::parse(text, &mut reading)?.bind(user(), &mut reading)?;
        for _ in 0..count {
            black_box(filter.matches_within(resource.body(), reading.work())?);
        }
        Ok(())
    };
    let either = |op: &str| {
        let terms: Vec<_> = (0..200).map(|n| format!("emails {op} \"x{n}\"")).collect();
        terms.join(" or ")
    };
    row("filter of 200 `eq` on 20 MB of elements", || {
        matching(&either("eq"), &crowded, resources)
    });
    row("filter of 200 `co` on 20 MB of elements", || {
        matching(&either("co"), &crowded, resources)
    });
    row("filter of one `co` on 20 MB of elements", || {
        matching("emails co \"x\"", &crowded, resources)
    });
    let long = json!({"id": "1", "userName": "u", "title": "\u{c9}".repeat(190_000)});
    let long = Resource::from_text(&long.to_string()).expect("the text is JSON");
    let terms: Vec<_> = (0..200).map(|n| format!("title co \"x{n}\"")).collect();
    row("filter of 200 `co` on texts of 380 KB beyond ASCII", || {
        matching(&terms.join(" or "), &long, resources)
    });
    row("20 MB sorted by texts of 380 KB beyond ASCII", || {
        let sort = SortBy::bind(
            "title",
            SortOrder::Ascending,
            user(),
            &mut Reading::new(&rules),
        )?;
        let work = WorkBudget::default();
        let keys = (0..resources).map(|_| sort.key_within(long.body(), &work));
        let mut keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        keys.sort();
        black_box(keys);
        Ok(())
    });
    row("20 MB of bodies read", || {
        let text = crowded.to_text();
        (0..resources).try_for_each(|_| {
            Resource::from_text(&text).map(|resource| {
                black_box(resource);
            })
        })
    });
}

fn showing() {
    let rules = Rules::default();
    let crowded = crowded();
    let resources = READ / crowded.to_text().len();
    for parameter in ["attributes", "excludedAttributes"] {
        for names in [MAX_NAMES, 190_000] {
            let known = [
                "emails.type",
                "emails.value",
                "name.givenName",
                "title",
                "nosuch",
            ];
            let listed: Vec<_> = (0..names).map(|n| known[n % known.len()]).collect();
            text_row(
                &format!("20 MB shown with {names} names in `{parameter}`"),
                &json!({ parameter: listed }).to_string(),
                |text| {
                    let mut reading = Reading::new(&rules);
                    let query = Query::from_search_request(&body(text)?, &mut reading)?;
                    let projection = Projection::new(&query.selection, user(), &mut reading);
                    for _ in 0..resources {
                        black_box(projection.apply(crowded.body().clone()));
                    }
                    Ok(())
                },
            );
        }
    }
}

/// A bulk request of these operations, planned.
fn bulk_row(name: &str, listed: &[Value]) {
    let message = json!({"schemas": [BULK_REQUEST], "Operations": listed});
    let rules = Rules::default();
    text_row(name, &message.to_string(), |text| {
        let request = BulkRequest::parse(&body(text)?, &mut Reading::new(&rules))?;
        black_box(plan(request, Registry::builtin(), &rules.switches));
        Ok(())
    });
    let name = name.replace("bulk of", "bulk in 1.1 of");
    let message = message.to_string().replace("bulkId:", "batchId:");
    text_row(&name, &message, |text| {
        let (registry, mut reading) = (Registry::builtin(), Reading::new(&rules));
        let translated = v1::bulk_request(body(text)?, registry, Dialect::General, &mut reading)?;
        black_box(plan(translated.request, registry, &rules.switches));
        Ok(())
    });
}

fn bulk() {
    let group = |n: usize, members: Vec<Value>| {
        json!({"method": "POST", "path": "/Groups", "bulkId": format!("g{n}"),
               "data": {"displayName": format!("g{n}"), "members": members}})
    };
    let refers = |n: usize| json!({"value": format!("bulkId:g{n}")});
    let groups = |members: &dyn Fn(usize) -> Vec<Value>| {
        (0..1_000).map(|n| group(n, members(n))).collect::<Vec<_>>()
    };
    bulk_row(
        "bulk of 1,000 groups, each in the next",
        &groups(&|n| vec![refers((n + 1) % 1_000)]),
    );
    bulk_row(
        "bulk of 1,000 groups, each in 100 others",
        &groups(&|n| (0..100).map(|m| refers((n + m * 7) % 1_000)).collect()),
    );
    bulk_row(
        "bulk of 1,000 groups with references to nothing",
        &groups(&|n| (0..130).map(|m| refers(1_000 + n * 130 + m)).collect()),
    );
    bulk_row(
        "bulk of one group with references to nothing",
        &[group(0, (1..130_000).map(refers).collect())],
    );
}

fn main() {
    assert_eq!(Rules::default().profile, Profile::Default);
    println!("| request | outcome | ms |\n|---|---|---|");
    parsing();
    parsing_names();
    patching();
    patching_more();
    patching_parts();
    querying();
    showing();
    bulk();
}
