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

/// Removes the records that DynamoDB would have removed after 24 hours. The last record stays,
/// because its number is needed.
const TRIM: &str = "DELETE FROM _stream_records \
                    WHERE created_at < unixepoch() - 86400 \
                    AND id < (SELECT MAX(id) FROM _stream_records)";

/// Adds the index to a table's file, and removes old records.
///
/// # Errors
/// The error of SQLite for a file that it cannot write, or that is no table.
pub(super) fn tend(file: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    connection.execute(INDEX, [])?;
    connection.execute(TRIM, [])?;
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

    #[test]
    fn old_records_are_removed_except_the_last_one() {
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
        tend(&file).unwrap();
        assert_eq!(numbers(&connection), ["9", "10"]);
    }
}
