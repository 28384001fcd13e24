//! A PATCH path is read or refused; one that is read displays as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use scim_protocol::filter::MAX_LENGTH;
use scim_protocol::patch_path::PatchPath;
use scim_protocol::profile::{Reading, Rules};

fuzz_target!(|text: &str| {
    let rules = Rules::default();
    let mut reading = Reading::new(&rules);
    let Ok(path) = PatchPath::parse(text, &mut reading) else {
        return;
    };
    let displayed = path.to_string();
    if displayed.len() <= MAX_LENGTH {
        let again =
            PatchPath::parse(&displayed, &mut reading).expect("what was displayed is a path");
        assert_eq!(again, path);
    }
});
