//! Tables and times for people.

use crate::protocol::datetime::DateTime;

/// The blanks between two columns.
const GAP: &str = "  ";

/// A table: a header and rows, in columns that are as wide as their longest cell. The last column is not
/// filled up, so no line ends with blanks.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let lines = || std::iter::once(&header).chain(rows);
    let width = |column: usize| {
        let cells = lines().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines() {
        let cells = line.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
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

/// A time in milliseconds since the Unix epoch as text: `2026-11-24T00:00:00.000Z`.
pub(super) fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).ok();
    let time = millis.and_then(DateTime::from_unix_milliseconds);
    time.map_or_else(|| "?".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [["1", "a long one", "x"], ["22222", "b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let expected = "ID     NAME        Z\n1      a long one  x\n22222  b\n";
        assert_eq!(table(["ID", "NAME", "Z"], &rows), expected);
        assert_eq!(table(["ID", "NAME"], &[]), "ID  NAME\n");
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
    fn a_time_beyond_all_years_is_shown_as_unknown() {
        assert_eq!(time(1_795_478_400_000), "2026-11-24T00:00:00.000Z");
        assert_eq!(time(u64::MAX), "?");
    }
}
