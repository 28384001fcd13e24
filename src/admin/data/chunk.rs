//! Lines that are done together.

use std::collections::VecDeque;

use super::line::{End, Head, Line, MembersLine, ResourceLine};
use crate::protocol::error::{Error, Result};

/// The number of resources that are compared and written at the same time.
const RESOURCES: usize = 100;
/// The number of lines of members that are taken together.
const MEMBERS: usize = 64;

/// A line with its number.
pub(super) type Numbered<T> = (u64, T);

/// Lines that are done together.
pub(super) enum Chunk {
    /// A line that cannot be read.
    Unreadable(u64, Error),
    /// The first line.
    Head(Box<Head>),
    /// Resources.
    Resources(Vec<Numbered<ResourceLine>>),
    /// Members.
    Members(Vec<Numbered<MembersLine>>),
    /// The last line.
    End(Numbered<End>),
}

/// Takes the next lines of one kind.
pub(super) fn next_chunk(lines: &mut VecDeque<Numbered<Result<Line>>>) -> Option<Chunk> {
    let (number, line) = lines.pop_front()?;
    Some(match line {
        Err(error) => Chunk::Unreadable(number, error),
        Ok(Line::Head(head)) => Chunk::Head(head),
        Ok(Line::End(end)) => Chunk::End((number, end)),
        Ok(Line::Resource(first)) => {
            let mut chunk = vec![(number, *first)];
            while chunk.len() < RESOURCES {
                match lines.pop_front() {
                    Some((number, Ok(Line::Resource(line)))) => chunk.push((number, *line)),
                    Some(other) => {
                        lines.push_front(other);
                        break;
                    }
                    None => break,
                }
            }
            Chunk::Resources(chunk)
        }
        Ok(Line::Members(first)) => {
            let mut chunk = vec![(number, first)];
            while chunk.len() < MEMBERS {
                match lines.pop_front() {
                    Some((number, Ok(Line::Members(line)))) => chunk.push((number, line)),
                    Some(other) => {
                        lines.push_front(other);
                        break;
                    }
                    None => break,
                }
            }
            Chunk::Members(chunk)
        }
    })
}
