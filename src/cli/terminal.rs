//! The terminal that a command prints to, if it prints to one.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

use super::CommandError;

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

/// Prints to stdout.
///
/// # Errors
/// If the text could not be written, which may have a secret that is never shown again. A pipe whose reader has
/// closed it is no error: the reader has seen what it wanted.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::new(format!(
            "The answer could not be written: {error}"
        ))),
        _ => Ok(()),
    }
}
