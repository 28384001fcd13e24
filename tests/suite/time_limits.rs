//! The time-outs of the functions in `template.yaml`, compared with how long their work may take.

use std::time::Duration;

use scim_lambda::delivery::LONGEST_JOB;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// The time-out of the function with this handler.
fn time_out(handler: &str) -> Duration {
    let line = format!("Handler: {handler}");
    let mut lines = TEMPLATE.lines().map(str::trim);
    assert!(lines.any(|found| found == line), "{handler}");
    let seconds = lines.find_map(|line| line.strip_prefix("Timeout: "));
    Duration::from_secs(seconds.unwrap().parse().unwrap())
}

/// The jobs of a batch are done side by side, so the batch takes as long as the longest of them. What comes on
/// top is the start of the process, and the jobs that are left for later.
#[test]
fn the_deliverer_ends_its_jobs_before_lambda_ends_it() {
    assert!(LONGEST_JOB + Duration::from_secs(30) <= time_out("deliver"));
}
