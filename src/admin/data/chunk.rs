//! Lines that are done together.

use std::iter::Zip;
use std::ops::RangeFrom;

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

/// The lines of a text, each read when it is taken: JSON that was read takes many times as much memory as its text.
pub(super) struct Lines<'t> {
    rest: Zip<RangeFrom<u64>, std::str::Lines<'t>>,
    /// A line that was read and belongs to the next chunk.
    back: Option<Numbered<Result<Line>>>,
}

impl<'t> Lines<'t> {
    /// The lines of a text. The first one has this number.
    pub(super) fn new(first: u64, text: &'t str) -> Self {
        Self {
            rest: (first..).zip(text.lines()),
            back: None,
        }
    }

    /// Whether all lines are taken.
    pub(super) fn is_over(&self) -> bool {
        self.back.is_none() && self.rest.clone().next().is_none()
    }

    /// Takes the next lines of one kind.
    pub(super) fn next_chunk(&mut self) -> Option<Chunk> {
        let (number, line) = self.next()?;
        Some(match line {
            Err(error) => Chunk::Unreadable(number, error),
            Ok(Line::Head(head)) => Chunk::Head(head),
            Ok(Line::End(end)) => Chunk::End((number, end)),
            Ok(Line::Resource(first)) => {
                let is_next = |line| match line {
                    Line::Resource(line) => Ok(*line),
                    other => Err(other),
                };
                Chunk::Resources(self.following((number, *first), RESOURCES, is_next))
            }
            Ok(Line::Members(first)) => {
                let is_next = |line| match line {
                    Line::Members(line) => Ok(line),
                    other => Err(other),
                };
                Chunk::Members(self.following((number, first), MEMBERS, is_next))
            }
            Ok(Line::Credential(first)) => {
                let is_next = |line| match line {
                    Line::Credential(line) => Ok(line),
                    other => Err(other),
                };
                Chunk::Credentials(self.following((number, first), CREDENTIALS, is_next))
            }
        })
    }

    fn next(&mut self) -> Option<Numbered<Result<Line>>> {
        self.back.take().or_else(|| {
            let (number, text) = self.rest.next()?;
            Some((number, Line::read(text)))
        })
    }

    /// Takes the lines after a first one that are of its kind, up to a number of them.
    fn following<T>(
        &mut self,
        first: Numbered<T>,
        most: usize,
        of_kind: impl Fn(Line) -> std::result::Result<T, Line>,
    ) -> Vec<Numbered<T>> {
        let mut chunk = vec![first];
        while chunk.len() < most
            && let Some((number, line)) = self.next()
        {
            match line.map(&of_kind) {
                Ok(Ok(line)) => chunk.push((number, line)),
                Ok(Err(other)) => {
                    self.back = Some((number, Ok(other)));
                    break;
                }
                Err(unreadable) => {
                    self.back = Some((number, Err(unreadable)));
                    break;
                }
            }
        }
        chunk
    }
}
