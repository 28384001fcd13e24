//! The records of the embedded table's stream. dynoxide never removes them, and reads them at every
//! write.
//!
//! Each record gets the greatest number so far plus one. Without an index dynoxide reads every
//! record with both of its images to find that number, so each write would cost more than the one
//! before. With an index a write costs the same, however many records there are.

use std::path::Path;

use rusqlite::Connection;

/// An index by which the greatest number of a table is found without reading the records.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS _stream_records_by_number \
                     ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// Removes the records that DynamoDB would have removed after 24 hours, except the last one, because
/// its number is needed, and except those that the stream's reader has not handled yet.
const TRIM: &str = "DELETE FROM _stream_records \
                    WHERE created_at < unixepoch() - 86400 \
                    AND CAST(sequence_number AS INTEGER) <= ?1 \
                    AND id < (SELECT MAX(id) FROM _stream_records)";

/// The number that dynoxide adds to the numbers of records in its API, so that they have as many
/// digits as those of DynamoDB.
const FIRST_SHOWN: u128 = 100_000_000_000_000_000_000;

/// The number of a record as dynoxide stores it, from the sequence number that its API shows; `None` for any
/// other text.
pub(super) fn stored_number(shown: &str) -> Option<i64> {
    let number = shown.parse::<u128>().ok()?.checked_sub(FIRST_SHOWN)?;
    i64::try_from(number).ok()
}

/// Adds the index to a table's file.
///
/// # Errors
/// The error of SQLite for a file that it cannot write, or that is no table.
pub(super) fn index(file: &Path) -> rusqlite::Result<()> {
    Connection::open(file)?.execute(INDEX, [])?;
    Ok(())
}

/// Removes the records from a table's file that are older than a day, except those after `read`, the
/// sequence number of the last record that the stream's reader has handled. `None` if the stream has
/// no reader.
///
/// # Errors
/// As [`index`].
pub(super) fn trim(file: &Path, read: Option<&str>) -> rusqlite::Result<()> {
    // If `read` is no sequence number of this table, no record is removed.
    let read = read.map_or(i64::MAX, |shown| stored_number(shown).unwrap_or(0));
    Connection::open(file)?.execute(TRIM, [read])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::DataDirectory;
    use super::*;

    /// The query by which dynoxide finds the next number.
    const GREATEST: &str = "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 \
                            FROM _stream_records WHERE table_name = 'scim'";

    fn plan(connection: &Connection) -> String {
        let explain = format!("EXPLAIN QUERY PLAN {GREATEST}");
        let plan = connection.query_row(&explain, [], |row| row.get(3));
        plan.unwrap()
    }

    fn numbers(connection: &Connection) -> Vec<String> {
        let sql = "SELECT sequence_number FROM _stream_records ORDER BY id";
        let mut statement = connection.prepare(sql).unwrap();
        let numbers = statement.query_map([], |row| row.get(0)).unwrap();
        numbers.map(Result::unwrap).collect()
    }

    #[test]
    fn a_write_reads_no_earlier_record() {
        let folder = tempfile::tempdir().unwrap();
        for in_memory in [false, true] {
            let path = folder.path().join(in_memory.to_string());
            let data = match in_memory {
                true => DataDirectory::in_memory().unwrap(),
                false => DataDirectory::at(&path).unwrap(),
            };
            let copy = folder.path().join(format!("copy-{in_memory}.sqlite"));
            let database = data.open_table().unwrap();
            database.vacuum_into(&copy.to_string_lossy()).unwrap();
            let plan = plan(&Connection::open(copy).unwrap());
            assert!(plan.contains("_stream_records_by_number"), "{plan}");
        }
    }

    /// The numbers that stay of three records: an old one, a new one, and an old one at the end.
    fn left_after(read: Option<&str>) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::at(folder.path()).unwrap();
        drop(data.open_table().unwrap());
        let file = folder.path().join("table.sqlite");
        let connection = Connection::open(&file).unwrap();
        let add = |number: &str, created: &str| {
            let sql = format!(
                "INSERT INTO _stream_records \
                 (table_name, event_name, keys_json, sequence_number, shard_id, created_at) \
                 VALUES ('scim', 'INSERT', '{{}}', '{number}', 'shard', {created})"
            );
            connection.execute(&sql, []).unwrap();
        };
        add("8", "0");
        add("9", "unixepoch()");
        add("10", "0");
        trim(&file, read).unwrap();
        numbers(&connection)
    }

    #[test]
    fn old_records_are_removed_except_the_last_one() {
        assert_eq!(left_after(None), ["9", "10"]);
        assert_eq!(left_after(Some("100000000000000000010")), ["9", "10"]);
    }

    #[test]
    fn old_records_that_the_reader_has_not_handled_stay() {
        assert_eq!(left_after(Some("100000000000000000008")), ["9", "10"]);
        assert_eq!(left_after(Some("100000000000000000007")), ["8", "9", "10"]);
        assert_eq!(left_after(Some("of another table")), ["8", "9", "10"]);
    }
}
