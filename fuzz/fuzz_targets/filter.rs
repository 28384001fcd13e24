//! A filter is read or refused. One that is read displays as itself, is bound or refused, and
//! evaluated.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scim_protocol::filter::{Filter, MAX_LENGTH};
use scim_protocol::profile::{Reading, Rules};
use scim_protocol::schema::Registry;

fuzz_target!(|text: &str| {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let Ok(filter) = Filter::parse(text, &mut reading) else {
        return;
    };
    let displayed = filter.to_string();
    if displayed.len() <= MAX_LENGTH {
        let again =
            Filter::parse(&displayed, &mut reading).expect("what was displayed is a filter");
        assert_eq!(again, filter);
    }
    for resource_type in Registry::builtin().resource_types() {
        if let Ok(bound) = filter.bind(resource_type, &mut reading) {
            let _ = bound.matches(&Default::default());
        }
    }
});
