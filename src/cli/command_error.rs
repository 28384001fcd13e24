//! Why a command does not end with success: what people read, and the exit code that scripts read.

use std::fmt;
use std::process::ExitCode;

use super::causes;
use super::columns::printable;
use crate::admin::Failure;
use crate::embedded::EmbeddedError;
use crate::protocol::Error;

/// The reason why a command ends without success, as one line for people.
#[derive(Debug)]
pub(super) struct CommandError {
    text: String,
    kind: Kind,
}

/// What the exit code tells a script. The numbers are those that `scim help` lists.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The command was refused, or failed.
    Failed = 1,
    /// The arguments do not make a command. clap ends with the same code.
    Usage = 2,
    /// The doctor has found something.
    Found = 3,
}

impl CommandError {
    /// A command that was refused or failed.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self::of(Kind::Failed, text)
    }

    /// Arguments that do not make a command.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::of(Kind::Usage, text)
    }

    /// Something to be repaired, which is the result of a command that has done its work.
    pub(super) fn found(text: impl Into<String>) -> Self {
        Self::of(Kind::Found, text)
    }

    /// The same with another sentence behind it.
    pub(super) fn and(mut self, more: &str) -> Self {
        self.text = format!("{}; {more}", self.text);
        self
    }

    /// The same with the place of the fault before it.
    pub(super) fn at(mut self, place: &impl fmt::Display) -> Self {
        self.text = format!("{place}: {}", self.text);
        self
    }

    /// The code with which the process ends.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    fn of(kind: Kind, text: impl Into<String>) -> Self {
        // One line, whatever a library or a function has to say.
        let text = printable(&text.into().replace('\n', " "));
        Self { text, kind }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self::new(causes::in_words(error.detail(), &error.causes()))
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self::new(causes::in_words(&failure.detail, &failure.causes))
    }
}

impl From<EmbeddedError> for CommandError {
    fn from(error: EmbeddedError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Code;

    #[test]
    fn the_detail_of_a_function_cannot_move_the_cursor() {
        let failure = Failure::new(Code::Invalid, "a\nb\u{1b}[2J\u{202e}c\u{9b}d");
        assert_eq!(CommandError::from(failure).to_string(), "a b?[2J?c?d");
    }
}
