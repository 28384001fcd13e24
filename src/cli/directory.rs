//! A made-up directory. A number always gives the same user, so the directory is the same each time.

use serde_json::{Map, Value, json};
use uuid::Builder;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// The time at which the first user was created, in milliseconds since the Unix epoch. Each further user was
/// created a second later.
const FIRST: u64 = 1_735_689_600_000;
/// The number of users that each manager has.
const REPORTS: u64 = 8;

const GIVEN: [&str; 20] = [
    "Ada",
    "Alan",
    "Amina",
    "Barbara",
    "Carlos",
    "Chinua",
    "Dorothy",
    "Edsger",
    "Farah",
    "Grace",
    "Hedy",
    "Ines",
    "Jun",
    "Katherine",
    "Linus",
    "Margaret",
    "Niklaus",
    "Olga",
    "Rosalind",
    "Sven",
];
const FAMILY: [&str; 20] = [
    "Almeida",
    "Bauer",
    "Chen",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Garcia",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalska",
    "Lindqvist",
    "Moreau",
    "Nakamura",
    "Okafor",
    "Patel",
    "Quinn",
    "Rossi",
    "Schneider",
    "Tanaka",
];
const DEPARTMENTS: [(&str, &str); 6] = [
    ("Engineering", "Software Engineer"),
    ("Finance", "Controller"),
    ("Marketing", "Campaign Manager"),
    ("Operations", "Service Manager"),
    ("People", "HR Business Partner"),
    ("Sales", "Account Executive"),
];

/// When the user with this number was created, in milliseconds since the Unix epoch.
pub(super) fn created(number: u64) -> u64 {
    FIRST + number * 1000
}

/// The id of the resource with this number: a UUID in order of creation.
pub(super) fn id(number: u64) -> String {
    let mut random = [0; 10];
    for (byte, mixed) in random.iter_mut().zip(mix(number).to_be_bytes()) {
        *byte = mixed;
    }
    Builder::from_unix_timestamp_millis(created(number), &random)
        .into_uuid()
        .to_string()
}

/// The user with this number, as an identity provider would send it.
pub(super) fn user(number: u64) -> Map<String, Value> {
    let chosen = mix(number);
    let (given, family) = (pick(&GIVEN, chosen), pick(&FAMILY, chosen >> 8));
    let (department, title) = pick(&DEPARTMENTS, chosen >> 16);
    let address = format!("{given}.{family}.{number}@example.com").to_lowercase();
    let phone = format!(
        "+1-555-{:03}-{:04}",
        number / 10_000 % 1000,
        number % 10_000
    );
    let mut enterprise = json!({
        "employeeNumber": format!("E{number:07}"),
        "costCenter": format!("{}", 4100 + chosen % 60),
        "organization": "Example Corporation",
        "department": department,
    });
    if number >= REPORTS {
        enterprise["manager"] = json!({ "value": id(number / REPORTS) });
    }
    object(json!({
        "schemas": [USER, ENTERPRISE_USER],
        "externalId": format!("00u{chosen:016x}{number:x}"),
        "userName": address,
        "name": { "givenName": given, "familyName": family },
        "displayName": format!("{given} {family}"),
        "title": title,
        "active": !chosen.is_multiple_of(20),
        "emails": [{ "value": address, "type": "work", "primary": true }],
        "phoneNumbers": [{ "value": phone, "type": "work" }],
        ENTERPRISE_USER: enterprise,
    }))
}

/// The group that the users are members of.
pub(super) fn everyone() -> Map<String, Value> {
    object(json!({ "schemas": [GROUP], "displayName": "Everyone" }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn pick<T: Copy, const N: usize>(from: &[T; N], chosen: u64) -> T {
    let position = usize::try_from(chosen % N as u64).unwrap_or(0);
    from[position]
}

/// Maps each number to a different one, spread over all of `u64`: the finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
