//! How the process writes its log: JSON for machines, text for people.
//!
//! Events of this service are written from the level in `SCIM_LOG` on, events of libraries only from
//! the level `warn` on. Of a panic only the place in the code is logged, because its message may
//! quote a client's data.

use std::env;
use std::io;
use std::panic;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

/// The target of the lines that say who has asked for which operation of the administration. A person who runs a
/// command reads its answer, so they are written for machines and by servers only.
pub const AUDIT: &str = "audit";

/// The beginning of the targets of the SDK's own lines.
const SDK: &str = "aws_";

/// Writes JSON lines to stdout, from where Lambda takes them.
pub fn to_machines() {
    let layer = fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false);
    start(layer, LevelFilter::INFO, LevelFilter::WARN);
}

/// Writes text to stderr, because stdout is for the output of commands.
pub fn to_people() {
    as_text(LevelFilter::OFF);
}

/// The same for a server, whose operations are asked for by programs: with the lines that say who has asked.
pub fn to_people_with_audit() {
    as_text(LevelFilter::INFO);
}

fn as_text(audit: LevelFilter) {
    let layer = fmt::layer()
        .compact()
        .with_target(false)
        .with_writer(io::stderr);
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    // What the SDK warns about has Debug forms. A command says in words why a call has failed.
    start(layer.with_ansi(colours), audit, LevelFilter::OFF);
}

/// Starts the log. `audit` and `sdk` are the levels from which on the lines of operations and those of the SDK are
/// written.
fn start(
    layer: impl tracing_subscriber::Layer<Registry> + Send + Sync,
    audit: LevelFilter,
    sdk: LevelFilter,
) {
    let own = level();
    let targets = Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target(AUDIT, audit)
        .with_target(SDK, sdk)
        .with_target(env!("CARGO_CRATE_NAME"), own);
    // A second start fails and leaves the first one in place. That happens in tests only.
    let _ = tracing_subscriber::registry()
        .with(layer)
        .with(targets)
        .try_init();
    panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        tracing::error!(place, "panicked at {place}");
    }));
}

fn level() -> LevelFilter {
    let level = env::var("SCIM_LOG").ok();
    level
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO)
}
