//! Random large bodies against the bounds on work and memory. The allocator of this program counts, so
//! it holds one test only: others running beside it would be counted too.

use peak_alloc::PeakAlloc;
use proptest::collection::vec;
use proptest::prelude::*;
use scim_protocol::json::parse_object;
use scim_protocol::patch::PatchRequest;
use scim_protocol::profile::{Reading, Rules};
use scim_protocol::resource::{DraftKind, MAX_BYTES, Resource};
use scim_protocol::schema::Registry;
use scim_protocol::work::{MAX_STEPS, WorkBudget};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a request may hold of memory for each byte of its body and of the resource. A parsed element of
/// 14 bytes takes some 300, its index some 400 more, and twice that while the index grows.
const BYTES_FOR_EACH: usize = 128;
/// What any request holds, however small: tables that are made when they are first used, and the least
/// room of every map and list.
const BYTES_FOR_ANY: usize = 256 * 1024;

/// A resource, and PATCH operations that make a large result of a small request.
#[derive(Debug, Clone)]
struct Attack {
    elements: usize,
    operations: Vec<(u8, usize, usize)>,
}

fn attacks() -> impl Strategy<Value = Attack> {
    let operation = (0..8u8, 1..8_000usize, 0..40_000usize);
    (0..12_000usize, vec(operation, 1..6)).prop_map(|(elements, operations)| Attack {
        elements,
        operations,
    })
}

fn operations(attack: &Attack) -> Value {
    let each = attack.operations.iter();
    let listed = each.map(|&(kind, count, length)| {
        let text = "x".repeat(length);
        let values: Vec<_> = (0..count).map(|n| json!({"value": format!("n{n}")})).collect();
        match kind {
            0 => json!({"op": "add", "path": "emails", "value": values}),
            1 => json!({"op": "add", "path": "emails.display", "value": text}),
            2 => json!({"op": "replace", "path": "emails[value sw \"n1\"].display", "value": text}),
            3 => json!({"op": "replace", "path": "emails[value pr]", "value": {"display": text}}),
            4 => json!({"op": "remove", "path": "emails", "value": values}),
            5 => json!({"op": "replace", "path": "emails", "value": values}),
            6 => json!({"op": "add", "value": {"emails.type": text, "title": text, "name.formatted": text}}),
            _ => json!({"op": "remove", "path": format!("emails[type ne \"{text:.50}\"]")}),
        }
    });
    listed.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn work_and_memory_stay_in_bounds(attack in attacks()) {
        let registry = Registry::builtin();
        let user = registry.resource_type("User").unwrap();
        let rules = Rules::default();
        let emails: Vec<_> = (0..attack.elements).map(|n| json!({"value": format!("n{n}")})).collect();
        let body = json!({"schemas": [], "id": "1", "userName": "u", "emails": emails}).to_string();
        let message = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": operations(&attack)}).to_string();
        drop(emails);
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let work = WorkBudget::default();
        let mut reading = Reading::within(&rules, work.clone());
        let resource = Resource::from_text(&body).unwrap();
        let parsed = parse_object(message.as_bytes()).unwrap();
        let request = PatchRequest::parse(&parsed, &mut reading).unwrap();
        match request.apply(&resource, user, registry, &mut reading) {
            Ok(patched) => {
                prop_assert!(patched.resource.to_text().len() <= MAX_BYTES.max(body.len()));
                prop_assert!(!work.is_used_up());
                let verb = DraftKind::Replace { existing: &resource };
                let sent = patched.resource.into_body();
                prop_assert!(Resource::from_request(sent, user, registry, &mut reading, verb).is_ok());
            }
            Err(error) => prop_assert!(matches!(error.status(), 400 | 413), "{}", error),
        }
        let peak = ALLOCATOR.peak_usage() - before;
        let given = body.len() + message.len();
        prop_assert!(peak <= BYTES_FOR_ANY + given * BYTES_FOR_EACH, "{} bytes for {}", peak, given);
        prop_assert!(work.left() <= MAX_STEPS);
    }
}
