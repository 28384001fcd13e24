//! The directory of a local deployment: the table's files, and the secrets file beside them.
//!
//! Its files hold the data and the secrets of every tenant, so only their owner may read them,
//! whatever the permissions of a directory that was there before.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use dynoxide::Database;
use uuid::Uuid;

use super::{EmbeddedError, stream_records};

/// The file of the table inside a data directory.
const TABLE_FILE: &str = "table.sqlite";
/// What SQLite adds to the name of the table's file for the files that it keeps beside it.
const SQLITE_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The file of the secrets inside a data directory.
const SECRETS_FILE: &str = "secrets.json";
/// What is added to the name of the secrets file for the files that a write of it leaves beside it.
const SECRETS_SUFFIXES: [&str; 2] = [".lock", ".new"];

/// Where the data of a local deployment is kept.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// The table is in memory, and the directory is removed with this value.
    in_memory: bool,
}

impl DataDirectory {
    /// Uses a directory, which is made if it is missing, with mode 0700.
    ///
    /// The data files that are there get mode 0600.
    ///
    /// # Errors
    /// `Directory` if it cannot be made or written, or if one of its files belongs to another user.
    pub fn at(path: &Path) -> Result<Self, EmbeddedError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::open(path, false)
    }

    /// Uses memory for the table and a temporary directory for the secrets.
    ///
    /// # Errors
    /// `Directory` if the temporary directory cannot be made.
    pub fn in_memory() -> Result<Self, EmbeddedError> {
        let path = std::env::temp_dir().join(format!("scim-{}", Uuid::now_v7()));
        Self::open(path, true)
    }

    fn open(path: PathBuf, in_memory: bool) -> Result<Self, EmbeddedError> {
        let refused = |error| EmbeddedError::Directory(path.clone(), error);
        make_private(&path).map_err(refused)?;
        let data = Self { path, in_memory };
        data.close_to_others()?;
        Ok(data)
    }

    /// The file that holds the secrets.
    #[must_use]
    pub fn secrets_file(&self) -> PathBuf {
        self.path.join(SECRETS_FILE)
    }

    /// Whether there is a table in this directory, of a deployment that was here before.
    #[must_use]
    pub fn has_table(&self) -> bool {
        self.path.join(TABLE_FILE).exists()
    }

    /// Opens the table of this directory.
    ///
    /// # Errors
    /// `Table` if the file is damaged or no table.
    pub fn open_table(&self) -> Result<Database, EmbeddedError> {
        let path = self.path.join(TABLE_FILE);
        let broken = |error| EmbeddedError::Table(path.clone(), error);
        // SQLite gives the files that it makes beside the table's file the mode of that file.
        private()
            .create(true)
            .open(&path)
            .map_err(|error| broken(error.into()))?;
        let open = || Database::new(&path.to_string_lossy()).map_err(|error| broken(error.into()));
        // The first opening makes the tables that `tend` works on.
        drop(open()?);
        stream_records::tend(&path).map_err(|error| broken(error.into()))?;
        if !self.in_memory {
            return open();
        }
        let database = Database::memory().map_err(|error| broken(error.into()))?;
        let restored = database.restore_from(&path.to_string_lossy());
        restored.map_err(|error| broken(error.into()))?;
        Ok(database)
    }

    /// Takes the data files that are there from everyone but their owner.
    fn close_to_others(&self) -> Result<(), EmbeddedError> {
        let beside = |file: &str, suffixes: &[&str]| -> Vec<String> {
            let names = suffixes.iter().map(|suffix| format!("{file}{suffix}"));
            names.chain([file.to_owned()]).collect()
        };
        let mut names = beside(TABLE_FILE, &SQLITE_SUFFIXES);
        names.append(&mut beside(SECRETS_FILE, &SECRETS_SUFFIXES));
        for name in names {
            let file = self.path.join(name);
            match set_private(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(EmbeddedError::Directory(file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for DataDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_memory {
            return f.write_str("in memory, gone when this command ends");
        }
        write!(f, "{}", self.path.display())
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        if self.in_memory {
            // A directory that cannot be removed stays until the temporary directory is cleaned.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes the directory if it is missing, and checks that it can be written to.
fn make_private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    let probe = path.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

/// Opens a file for writing, one that it makes with mode 0600.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Gives a file mode 0600, unless others have no access to it already.
#[cfg(unix)]
fn set_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mut permissions = fs::metadata(path)?.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    permissions.set_mode(0o600);
    fs::set_permissions(path, permissions)
}

/// Files have no mode here; the directory is the user's.
#[cfg(not(unix))]
fn set_private(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn new_files_in_an_open_directory_are_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o777);
        let data = DataDirectory::at(folder.path()).unwrap();
        let database = data.open_table().unwrap();
        let files = files(folder.path());
        let is_wal = |file: &PathBuf| file.to_string_lossy().ends_with("-wal");
        assert!(files.iter().any(is_wal), "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        drop(database);
    }

    #[test]
    fn files_that_others_could_read_are_taken_from_them() {
        let folder = tempfile::tempdir().unwrap();
        drop(
            DataDirectory::at(folder.path())
                .unwrap()
                .open_table()
                .unwrap(),
        );
        let names = [
            "table.sqlite",
            "table.sqlite-wal",
            "table.sqlite-shm",
            "table.sqlite-journal",
            "secrets.json",
            "secrets.json.lock",
            "secrets.json.new",
        ];
        let other = folder.path().join("notes.txt");
        fs::write(&other, "").unwrap();
        set_mode(&other, 0o644);
        for name in names {
            let file = folder.path().join(name);
            private().create(true).open(&file).unwrap();
            set_mode(&file, 0o644);
        }
        DataDirectory::at(folder.path()).unwrap();
        for name in names {
            assert_eq!(mode(&folder.path().join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&other), 0o644, "it is no data file");
    }
}
