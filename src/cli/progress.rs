//! What a long command shows of its progress: one line on a terminal, and nothing elsewhere.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line of a work without a known end moves.
const TICK: Duration = Duration::from_millis(120);
const KNOWN: &str = "{msg} [{wide_bar}] {human_pos}/{human_len} {eta}";
const BYTES: &str = "{msg} [{wide_bar}] {bytes}/{total_bytes} {eta}";
const UNKNOWN: &str = "{spinner} {msg} {human_pos}";
const UNKNOWN_BYTES: &str = "{spinner} {msg} {bytes}";

/// The progress of a command, on stderr, so that it never gets into the answer on stdout. The line is removed when
/// this is dropped, also when the command fails.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of a work on this number of things: `users [=====>   ] 1,200/5,000 3s`.
    pub(super) fn of(what: impl Into<Cow<'static, str>>, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_style(style(KNOWN).progress_chars("=> "));
        Self(bar.with_message(what))
    }

    /// Of a work on a file of this length: `importing [=====>   ] 3.2 MiB/10.0 MiB 3s`, or `⠋ importing 3.2 MiB` if the
    /// length is not known.
    pub(super) fn of_bytes(what: impl Into<Cow<'static, str>>, length: Option<u64>) -> Self {
        let bar = match length {
            Some(length) => ProgressBar::new(length).with_style(style(BYTES).progress_chars("=> ")),
            None => {
                let bar = ProgressBar::no_length().with_style(style(UNKNOWN_BYTES));
                bar.enable_steady_tick(TICK);
                bar
            }
        };
        Self(bar.with_message(what))
    }

    /// Of a work whose size is not known before its end: `⠋ resources 1,200`.
    pub(super) fn without_end(what: impl Into<Cow<'static, str>>) -> Self {
        let bar = ProgressBar::no_length().with_style(style(UNKNOWN));
        bar.enable_steady_tick(TICK);
        Self(bar.with_message(what))
    }

    /// This number of further things is done.
    pub(super) fn advance(&self, count: u64) {
        self.0.inc(count);
    }

    /// What is being done now.
    pub(super) fn name(&self, what: impl Into<Cow<'static, str>>) {
        self.0.set_message(what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of this file are valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_can_be_drawn() {
        // A template with a fault, or bars with characters of several widths, would panic here.
        let known = Progress::of("users", 10);
        known.advance(3);
        for length in [Some(1_000), None] {
            Progress::of_bytes("importing", length).advance(3);
        }
        let unknown = Progress::without_end("resources");
        unknown.advance(3);
        unknown.name("groups");
        assert_eq!((known.0.position(), unknown.0.position()), (3, 3));
    }
}
