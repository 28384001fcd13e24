//! How the process writes its log: JSON for machines, text for people.
//!
//! Our own events are written from the level in `SCIM_LOG` on, everybody else's only as warnings.
//! A panic is logged by its place alone, because its message may quote a client's data.

use std::env;
use std::io;
use std::panic;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

/// Writes JSON lines to stdout, where Lambda picks them up.
pub fn to_machines() {
    let layer = fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false);
    start(layer);
}

/// Writes text to stderr, so that stdout is left for what a command answers.
pub fn to_people() {
    let layer = fmt::layer()
        .compact()
        .with_target(false)
        .with_writer(io::stderr);
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    start(layer.with_ansi(colours));
}

fn start(layer: impl tracing_subscriber::Layer<Registry> + Send + Sync) {
    let own = level();
    let targets = Targets::new()
        .with_default(own.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), own);
    // A second start, as in tests, keeps the first.
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
