//! The terminal that a command prints to, if it prints to one.

use std::env;
use std::io::{self, IsTerminal as _};

/// The width of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;
/// The least width that is believed. Some terminals say 0.
const LEAST_WIDTH: usize = 20;

/// The columns of the terminal that stdout is; `None` if it is a file or a pipe, whose lines have no end.
///
/// `COLUMNS` decides if it is set, as for other commands.
pub(super) fn width() -> Option<usize> {
    io::stdout().is_terminal().then(|| {
        let named = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        let asked = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = named.or_else(asked).unwrap_or(USUAL_WIDTH);
        if width == 0 {
            USUAL_WIDTH
        } else {
            width.max(LEAST_WIDTH)
        }
    })
}
