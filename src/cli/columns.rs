//! Tables, facts and times for people.

use std::iter;

use unicode_width::UnicodeWidthChar as _;

use crate::protocol::datetime::DateTime;

/// The blanks between two columns.
const GAP: &str = "  ";
/// A column is not cut below this width, in which one still recognises a text.
const LEAST_WIDTH: usize = 12;

/// Rows below a header, in columns that are as wide as their longest cell.
///
/// Where a terminal has no room for that, the columns that [may be cut](Self::may_cut) are, the widest first. If
/// that is not enough, each row becomes a block of lines, one for each cell. A pipe gets everything.
pub(super) struct Table<const N: usize> {
    header: [&'static str; N],
    cut: [bool; N],
    rows: Vec<Row<N>>,
}

struct Row<const N: usize> {
    cells: [String; N],
    /// The lines below it.
    notes: Vec<String>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(header: [&'static str; N]) -> Self {
        Self {
            header,
            cut: [false; N],
            rows: Vec::new(),
        }
    }

    /// Lets the column with this header be cut. Names and ids, which people copy, are never cut.
    pub(super) fn may_cut(mut self, header: &str) -> Self {
        let column = self.header.iter().position(|known| *known == header);
        self.cut[column.expect("the table has the column")] = true;
        self
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.row_with_notes(cells, []);
    }

    /// A row with lines below it.
    pub(super) fn row_with_notes(
        &mut self,
        cells: [String; N],
        notes: impl IntoIterator<Item = String>,
    ) {
        let cells = cells.map(|cell| printable(&cell));
        let notes = notes.into_iter().map(|note| printable(&note)).collect();
        self.rows.push(Row { cells, notes });
    }

    /// The text for a terminal of this number of columns, or for a pipe.
    pub(super) fn to_text(&self, terminal: Option<usize>) -> String {
        match self.widths(terminal) {
            Some(widths) => self.in_columns(&widths, terminal),
            None => self.in_blocks(terminal),
        }
    }

    /// The widths of the columns; `None` if the terminal has no room for them.
    fn widths(&self, terminal: Option<usize>) -> Option<[usize; N]> {
        let mut widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| width_of(&row.cells[column]));
            cells.fold(width_of(self.header[column]), usize::max)
        });
        let Some(room) = terminal else {
            return Some(widths);
        };
        let gaps = GAP.len() * N.saturating_sub(1);
        loop {
            let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
            if over == 0 {
                return Some(widths);
            }
            let may_cut = (0..N).filter(|&column| self.cut[column] && widths[column] > LEAST_WIDTH);
            let widest = may_cut.max_by_key(|&column| widths[column])?;
            widths[widest] -= 1;
        }
    }

    fn in_columns(&self, widths: &[usize; N], terminal: Option<usize>) -> String {
        let header = self.header.map(str::to_owned);
        let line = |cells: &[String; N]| {
            let cells = cells.iter().zip(widths);
            let cells: Vec<_> = cells.map(|(cell, width)| filled(cell, *width)).collect();
            // The last column is not filled up, so no line ends with blanks.
            cells.join(GAP).trim_end().to_owned() + "\n"
        };
        let rows = self.rows.iter().flat_map(|row| {
            let notes = row
                .notes
                .iter()
                .map(move |note| paragraph(note, GAP, terminal));
            iter::once(line(&row.cells)).chain(notes)
        });
        iter::once(line(&header)).chain(rows).collect()
    }

    fn in_blocks(&self, terminal: Option<usize>) -> String {
        let blocks = self.rows.iter().map(|row| {
            let cells = self.header.iter().zip(&row.cells);
            let lines = cells.map(|(name, cell)| (*name, cell.clone()));
            let lines: Vec<_> = lines.filter(|(_, cell)| !cell.is_empty()).collect();
            let notes = row.notes.iter().map(|note| paragraph(note, GAP, terminal));
            facts(&lines, terminal) + &notes.collect::<String>()
        });
        blocks.collect::<Vec<_>>().join("\n")
    }
}

/// A text in as many lines as the terminal makes necessary, each with this indent. It is broken between words.
pub(super) fn paragraph(text: &str, indent: &str, terminal: Option<usize>) -> String {
    hanging(text, indent, indent, terminal)
}

/// The same with another beginning of the first line.
pub(super) fn hanging(text: &str, first: &str, indent: &str, terminal: Option<usize>) -> String {
    let room = terminal.map_or(usize::MAX, |width| width.saturating_sub(width_of(indent)));
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && width_of(&line) + 1 + width_of(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let starts = iter::once(first).chain(iter::repeat(indent));
    let lines = starts
        .zip(lines)
        .map(|(start, line)| format!("{start}{line}"));
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// Names and values, the values below each other. A value that a terminal has no room for goes on in further lines.
pub(super) fn facts(lines: &[(&str, String)], terminal: Option<usize>) -> String {
    let width = lines.iter().map(|(name, _)| width_of(name)).max();
    // Values get at least half of the terminal, whatever the names are.
    let most = terminal.map_or(usize::MAX, |terminal| terminal / 2);
    let width = width.unwrap_or_default().min(most);
    let indent = " ".repeat(width + 2 * GAP.len());
    let line = |(name, value): &(&str, String)| {
        let value = printable(value);
        match width_of(name) <= width {
            true => hanging(
                &value,
                &format!("{GAP}{}{GAP}", filled(name, width)),
                &indent,
                terminal,
            ),
            false => paragraph(name, GAP, terminal) + &paragraph(&value, &indent, terminal),
        }
    };
    lines.iter().map(line).collect()
}

/// A text in at most this many columns. A longer one ends with `…`.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fitting = text.chars().take_while(|c| {
        let fits = c.width().unwrap_or(0) <= left;
        left = left.saturating_sub(c.width().unwrap_or(0));
        fits
    });
    fitting.chain(iter::once('…')).collect()
}

/// A text in exactly this many columns.
fn filled(text: &str, width: usize) -> String {
    let text = shortened(text, width);
    let blanks = width.saturating_sub(width_of(&text));
    text + &" ".repeat(blanks)
}

fn width_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A text without control characters, and without those that change the direction of the text around them. Labels,
/// names and the details of errors come from other people, and could move the cursor, change the colours of the
/// terminal, or make a line read as another one.
pub(super) fn printable(text: &str) -> String {
    let changes_direction =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(|c: char| c.is_control() || changes_direction(c), "?")
}

/// How far a time is from now, rounded in the largest unit that fits: `3 minutes ago`, `in 2 hours`. Both times are
/// in milliseconds since the Unix epoch.
pub(super) fn relative(millis: u64, now: u64) -> String {
    let units = [
        (86_400_000, "day"),
        (3_600_000, "hour"),
        (60_000, "minute"),
        (1_000, "second"),
    ];
    let distance = millis.abs_diff(now);
    // A unit also fits what the next smaller one would round up to it: 23 hours and 59 minutes are a day.
    let smaller = units.into_iter().skip(1).map(|(length, _)| length);
    let mut fitting = units.into_iter().zip(smaller.chain([0]));
    let fitting = fitting.find(|((length, _), smaller)| distance + smaller / 2 >= *length);
    let Some(((length, unit), _)) = fitting else {
        return "now".to_owned();
    };
    let count = (distance + length / 2) / length;
    let plural = if count == 1 { "" } else { "s" };
    match millis < now {
        true => format!("{count} {unit}{plural} ago"),
        false => format!("in {count} {unit}{plural}"),
    }
}

/// A number as people write it: `1,234,567`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// A time in milliseconds since the Unix epoch as text: `2026-11-24T00:00:00.000Z`.
pub(super) fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).ok();
    let time = millis.and_then(DateTime::from_unix_milliseconds);
    time.map_or_else(|| "?".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new(["ID", "LABEL", "STATE"]).may_cut("LABEL");
        for cells in [["1", "a long one for people", "x"], ["22222", "b", ""]] {
            table.row(cells.map(str::to_owned));
        }
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let expected = "ID     LABEL                  STATE\n\
                        1      a long one for people  x\n\
                        22222  b\n";
        for width in [None, Some(35)] {
            assert_eq!(table().to_text(width), expected);
        }
        let empty = Table::new(["ID", "NAME"]);
        assert_eq!(empty.to_text(Some(80)), "ID  NAME\n");
    }

    #[test]
    fn a_column_for_people_is_cut_where_there_is_no_room() {
        let expected = "ID     LABEL           STATE\n\
                        1      a long one fo…  x\n\
                        22222  b\n";
        assert_eq!(table().to_text(Some(28)), expected);
    }

    #[test]
    fn rows_become_blocks_where_columns_have_no_room() {
        let expected = "  ID     1\n  LABEL  a long one for\n         people\n  STATE  x\n\n  ID     22222\n  LABEL  b\n";
        assert_eq!(table().to_text(Some(24)), expected);
    }

    #[test]
    fn notes_are_below_their_row_and_are_never_cut() {
        let mut table = Table::new(["ID"]);
        table.row_with_notes(["1".to_owned()], ["0123456789 it has failed".to_owned()]);
        table.row(["2".to_owned()]);
        assert_eq!(
            table.to_text(None),
            "ID\n1\n  0123456789 it has failed\n2\n"
        );
        let narrow = "ID\n1\n  0123456789\n  it has\n  failed\n2\n";
        assert_eq!(table.to_text(Some(8)), narrow);
    }

    #[test]
    fn wide_characters_count_as_wide_as_they_are_and_control_characters_are_not_printed() {
        let mut table = Table::new(["LABEL", "X"]);
        table.row(["日本語".to_owned(), "1".to_owned()]);
        table.row(["\u{1b}[31mred".to_owned(), "2".to_owned()]);
        table.row(["a\u{202e}b\u{2066}c".to_owned(), "3".to_owned()]);
        assert_eq!(
            table.to_text(None),
            "LABEL     X\n日本語    1\n?[31mred  2\na?b?c     3\n"
        );
        assert_eq!(shortened("日本語", 5), "日本…");
        assert_eq!(shortened("日本語", 4), "日…");
    }

    #[test]
    fn facts_are_aligned() {
        let lines = [
            ("Id", "1".to_owned()),
            ("Label", "a\u{7}".to_owned()),
            ("X", String::new()),
        ];
        assert_eq!(facts(&lines, None), "  Id     1\n  Label  a?\n  X\n");
        let lines = [
            ("Id", "one two three".to_owned()),
            ("A long name of a field", "on".to_owned()),
        ];
        let narrow = "  Id          one\n              two\n              three\n  A long name of a\n  field\n              on\n";
        assert_eq!(facts(&lines, Some(20)), narrow);
    }

    #[test]
    fn times_are_rounded_in_the_largest_unit_that_fits() {
        let now = 1_000_000_000;
        let cases = [
            (0, "now"),
            (999, "now"),
            (1_000, "in 1 second"),
            (59_499, "in 59 seconds"),
            (59_500, "in 1 minute"),
            (60_000, "in 1 minute"),
            (89_999, "in 1 minute"),
            (90_000, "in 2 minutes"),
            (7_200_000, "in 2 hours"),
            (84_599_999, "in 23 hours"),
            (84_600_000, "in 1 day"),
            (86_399_990, "in 1 day"),
            (86_400_000, "in 1 day"),
            (-1_000, "1 second ago"),
            (-119_000, "2 minutes ago"),
            (-259_200_000, "3 days ago"),
        ];
        for (offset, expected) in cases {
            let time = now_plus(now, offset);
            assert_eq!(relative(time, now), expected, "{offset}");
        }
    }

    fn now_plus(now: u64, offset: i64) -> u64 {
        now.checked_add_signed(offset).unwrap()
    }

    #[test]
    fn numbers_have_commas() {
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn a_time_beyond_all_years_is_shown_as_unknown() {
        assert_eq!(time(1_795_478_400_000), "2026-11-24T00:00:00.000Z");
        assert_eq!(time(u64::MAX), "?");
    }
}
