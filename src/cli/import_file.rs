//! The lines of a file, in the parts in which they are imported.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::CommandError;

/// A part ends with the line that makes it longer than this, in bytes. A function takes requests of 6 MB, in which
/// each quotation mark has two bytes.
const PART_BYTES: usize = 1_000_000;
/// The largest number of lines of a part.
const PART_LINES: usize = 1_000;
/// The longest line that is read, in bytes. Those that the service takes are shorter.
const MAX_LINE_BYTES: u64 = 2_000_000;
/// The number of bytes at the end of a file in which its last line has to be.
const TAIL_BYTES: u64 = 10_000;

/// The lines of a file or of stdin from one on.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    /// The lines that were read and are not done, each with its end.
    waiting: VecDeque<String>,
    /// The number of the first line that waits.
    next: u64,
    /// The length in bytes; `None` if it is not known before the end.
    length: Option<u64>,
}

impl Lines {
    /// The lines of stdin.
    pub(super) fn of_stdin() -> Self {
        Self::new(Box::new(BufReader::new(io::stdin())), None)
    }

    /// The lines of a file.
    pub(super) fn of_file(path: &Path) -> Result<Self, CommandError> {
        let file = File::open(path).map_err(|error| unread(path, &error))?;
        let length = file.metadata().map_err(|error| unread(path, &error))?.len();
        Ok(Self::new(Box::new(BufReader::new(file)), Some(length)))
    }

    fn new(reader: Box<dyn BufRead>, length: Option<u64>) -> Self {
        Self {
            reader,
            waiting: VecDeque::new(),
            next: 1,
            length,
        }
    }

    /// The length in bytes; `None` if it is not known before the end.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next part; empty at the end of the file.
    pub(super) fn part(&mut self) -> Result<String, CommandError> {
        let mut bytes: usize = self.waiting.iter().map(String::len).sum();
        while bytes < PART_BYTES && self.waiting.len() < PART_LINES {
            let Some(line) = self.read()? else {
                break;
            };
            bytes += line.len();
            self.waiting.push_back(line);
        }
        Ok(self.waiting.iter().map(String::as_str).collect())
    }

    /// Drops the lines before the one with this number, which are done. Returns how many bytes they have.
    pub(super) fn drop_before(&mut self, line: u64) -> u64 {
        let done = usize::try_from(line.saturating_sub(self.next)).unwrap_or(usize::MAX);
        let done = done.min(self.waiting.len());
        self.next += done as u64;
        let dropped = self.waiting.drain(..done);
        dropped.map(|line| line.len() as u64).sum()
    }

    fn read(&mut self) -> Result<Option<String>, CommandError> {
        let number = self.next + self.waiting.len() as u64;
        let mut line = Vec::new();
        let read = self
            .reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line);
        let read = read.map_err(|error| {
            CommandError::new(format!("Line {number} could not be read: {error}"))
        })?;
        if read as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            return Err(CommandError::new(format!(
                "Line {number} is longer than {MAX_LINE_BYTES} bytes, which no line of an export is"
            )));
        }
        if read == 0 {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        let line = String::from_utf8(line);
        line.map(Some)
            .map_err(|_| CommandError::new(format!("Line {number} is not in UTF-8")))
    }
}

/// Checks that a file ends as an export does. It costs nothing and finds a file that was cut off before anything is
/// done with it.
pub(super) fn check_end(path: &Path) -> Result<(), CommandError> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(String::from_utf8_lossy(&tail).into_owned())
    };
    let tail = read().map_err(|error| unread(path, &error))?;
    match tail
        .lines()
        .next_back()
        .is_some_and(|line| line.starts_with(r#"{"end":"#))
    {
        true => Ok(()),
        false => Err(CommandError::new(format!(
            "{} is no complete export: its last line does not say that it is the end",
            path.display()
        ))),
    }
}

fn unread(path: &Path, error: &io::Error) -> CommandError {
    CommandError::new(format!("{} could not be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static str) -> Lines {
        Lines::new(Box::new(text.as_bytes()), None)
    }

    #[test]
    fn lines_that_are_not_done_come_again() {
        let mut lines = lines("a\nb\nc");
        assert_eq!(lines.part().unwrap(), "a\nb\nc\n");
        assert_eq!(lines.drop_before(3), 4);
        assert_eq!(lines.part().unwrap(), "c\n");
        assert_eq!(lines.drop_before(3), 0);
        assert_eq!(lines.drop_before(100), 2);
        assert_eq!(lines.part().unwrap(), "");
    }

    #[test]
    fn a_part_is_bounded_and_so_is_a_line() {
        let text: &'static str = Box::leak("x\n".repeat(2_500).into_boxed_str());
        let mut lines = lines(text);
        assert_eq!(lines.part().unwrap().len(), 2_000);
        assert_eq!(lines.drop_before(1_001), 2_000);
        assert_eq!(lines.part().unwrap().len(), 2_000);
        let text: &'static str = Box::leak("x".repeat(2_000_001).into_boxed_str());
        let error = Lines::new(Box::new(text.as_bytes()), None)
            .part()
            .unwrap_err();
        assert!(error.to_string().contains("Line 1 is longer"), "{error}");
        let error = Lines::new(Box::new(&b"{\"a\":\"\xff\"}\n"[..]), None)
            .part()
            .unwrap_err();
        assert_eq!(error.to_string(), "Line 1 is not in UTF-8");
    }
}
