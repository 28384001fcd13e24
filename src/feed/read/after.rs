//! Where a reader of a feed begins.

use std::fmt;

use crate::feed::Position;

/// Where a reader begins. Displays as the text that the reader gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Behind what it has read before.
    Position(Position),
    /// At the oldest event that there still is.
    Beginning,
    /// Behind the newest event.
    Now,
}

impl After {
    /// The name of [`After::Beginning`].
    const BEGINNING: &str = "beginning";
    /// The name of [`After::Now`].
    const NOW: &str = "now";

    /// Reads what a reader sends; nothing if it is neither a position nor a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            Self::BEGINNING => Some(Self::Beginning),
            Self::NOW => Some(Self::Now),
            position => Position::parse(position).map(Self::Position),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::Beginning => f.write_str(Self::BEGINNING),
            Self::Now => f.write_str(Self::NOW),
        }
    }
}
