//! Lines that are done together.

use std::collections::VecDeque;

use super::line::{End, Head, Line, MembersLine, ResourceLine};
use crate::protocol::error::{Error, Result};
use crate::tenant::SealedCredential;

/// The number of resources that are compared and written together: several for each counter of a type, because those
/// of one counter share a transaction.
const RESOURCES: usize = 500;
/// The number of lines of members that are taken together.
const MEMBERS: usize = 64;
/// The number of credentials that are brought back by one change: more than a tenant has.
const CREDENTIALS: usize = 200;

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
    /// Credentials.
    Credentials(Vec<Numbered<SealedCredential>>),
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
            let is_next = |line| match line {
                Line::Resource(line) => Ok(*line),
                other => Err(other),
            };
            Chunk::Resources(following(lines, (number, *first), RESOURCES, is_next))
        }
        Ok(Line::Members(first)) => {
            let is_next = |line| match line {
                Line::Members(line) => Ok(line),
                other => Err(other),
            };
            Chunk::Members(following(lines, (number, first), MEMBERS, is_next))
        }
        Ok(Line::Credential(first)) => {
            let is_next = |line| match line {
                Line::Credential(line) => Ok(line),
                other => Err(other),
            };
            Chunk::Credentials(following(lines, (number, first), CREDENTIALS, is_next))
        }
    })
}

/// Takes the lines after a first one that are of its kind, up to a number of them.
fn following<T>(
    lines: &mut VecDeque<Numbered<Result<Line>>>,
    first: Numbered<T>,
    most: usize,
    of_kind: impl Fn(Line) -> std::result::Result<T, Line>,
) -> Vec<Numbered<T>> {
    let mut chunk = vec![first];
    while chunk.len() < most {
        let other = match lines.pop_front() {
            Some((number, Ok(line))) => match of_kind(line) {
                Ok(line) => {
                    chunk.push((number, line));
                    continue;
                }
                Err(other) => (number, Ok(other)),
            },
            Some(unreadable) => unreadable,
            None => break,
        };
        lines.push_front(other);
        break;
    }
    chunk
}
