//! The records of the embedded table's stream, which dynoxide keeps for ever and looks through at
//! every write.
//!
//! Each change of an item gets the number after the greatest one so far. Without an index, finding
//! that one reads every record with both of its images, so each write would cost more than the one
//! before it. With the index it costs the same whatever there is.

use std::path::Path;

use rusqlite::Connection;

/// Finds the greatest number of a table without a look at the records.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS _stream_records_by_number \
                     ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// DynamoDB keeps the records of a stream for 24 hours; the last one stays, for its number.
const TRIM: &str = "DELETE FROM _stream_records \
                    WHERE created_at < unixepoch() - 86400 \
                    AND id < (SELECT MAX(id) FROM _stream_records)";

/// Indexes the records in a table's file, and removes those that a stream would not have any more.
///
/// # Errors
/// Whatever SQLite says of a file that it cannot write, or that is no table.
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

    /// How dynoxide asks for the greatest number.
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
    fn a_write_looks_at_no_earlier_record() {
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
    fn old_records_go_and_the_last_number_stays() {
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
