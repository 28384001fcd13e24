//! The directory of a local deployment, with the table's files and the secrets file.
//!
//! Its files have the data and the secrets of every tenant, so only their owner may read them, even
//! in an existing directory with other permissions.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use dynoxide::Database;
use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::Uuid;

use super::{EmbeddedError, stream_records};

/// The file of the table inside a data directory.
const TABLE_FILE: &str = "table.sqlite";
/// The suffixes of further files that SQLite keeps for the table's file.
const SQLITE_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// The file of the secrets inside a data directory.
const SECRETS_FILE: &str = "secrets.json";
/// The file of the key with which backends reach the operations of `scim serve`.
const ADMIN_KEY_FILE: &str = "admin-key";
/// The suffixes of further files that writes of the secrets file use.
const SECRETS_SUFFIXES: [&str; 2] = [".lock", ".new"];

/// The directory of a local deployment.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Whether the table is in memory, and the directory is removed when this value is dropped.
    in_memory: bool,
}

impl DataDirectory {
    /// Uses a directory. If it does not exist, it is created with mode 0700.
    ///
    /// Existing data files get mode 0600.
    ///
    /// # Errors
    /// `Directory` if it cannot be created or written, or if one of its files belongs to another
    /// user.
    pub fn at(path: &Path) -> Result<Self, EmbeddedError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self::open(path, false)
    }

    /// Uses memory for the table and a temporary directory for the secrets.
    ///
    /// # Errors
    /// `Directory` if the temporary directory cannot be created.
    pub fn in_memory() -> Result<Self, EmbeddedError> {
        let path = std::env::temp_dir().join(format!("scim-{}", Uuid::now_v7()));
        Self::open(path, true)
    }

    /// Whether an earlier start has left a table or secrets in a directory. Creates nothing.
    #[must_use]
    pub fn is_used(path: &Path) -> bool {
        let mut files = [TABLE_FILE, SECRETS_FILE].into_iter();
        files.any(|file| path.join(file).exists())
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

    /// The key with which backends reach the operations of `scim serve`: 32 random hex digits, made by the first
    /// call and the same at every later one.
    ///
    /// # Errors
    /// `Directory` if it can be neither read nor made.
    pub fn admin_key(&self) -> Result<String, EmbeddedError> {
        let path = self.path.join(ADMIN_KEY_FILE);
        read_or_create_key(&path).map_err(|error| EmbeddedError::Directory(path, error))
    }

    /// Whether this directory has a table, which an earlier start has created.
    #[must_use]
    pub fn has_table(&self) -> bool {
        self.path.join(TABLE_FILE).exists()
    }

    /// Opens the table of this directory.
    ///
    /// # Errors
    /// `Table` if the file is damaged or is no table.
    pub fn open_table(&self) -> Result<Database, EmbeddedError> {
        let path = self.path.join(TABLE_FILE);
        let broken = |error| EmbeddedError::Table(path.clone(), error);
        // The file is created here with the right mode, because SQLite gives its further files the
        // mode of this one.
        private()
            .create(true)
            .open(&path)
            .map_err(|error| broken(error.into()))?;
        let open = || Database::new(&path.to_string_lossy()).map_err(|error| broken(error.into()));
        // The first opening creates the SQL table for which `index` makes an index.
        drop(open()?);
        stream_records::index(&path).map_err(|error| broken(error.into()))?;
        if !self.in_memory {
            return open();
        }
        let database = Database::memory().map_err(|error| broken(error.into()))?;
        let restored = database.restore_from(&path.to_string_lossy());
        restored.map_err(|error| broken(error.into()))?;
        Ok(database)
    }

    /// Removes the records of the table's stream that are older than a day, except those after
    /// `read`, the sequence number of the last record that the stream's reader has handled.
    ///
    /// # Errors
    /// `Table` if the file cannot be written.
    pub fn trim_stream(&self, read: Option<&str>) -> Result<(), EmbeddedError> {
        if self.in_memory {
            return Ok(());
        }
        let path = self.path.join(TABLE_FILE);
        let trimmed = stream_records::trim(&path, read);
        trimmed.map_err(|error| EmbeddedError::Table(path, error.into()))
    }

    /// Removes the permissions of other users from existing data files.
    fn close_to_others(&self) -> Result<(), EmbeddedError> {
        let beside = |file: &str, suffixes: &[&str]| -> Vec<String> {
            let names = suffixes.iter().map(|suffix| format!("{file}{suffix}"));
            names.chain([file.to_owned()]).collect()
        };
        let mut names = beside(TABLE_FILE, &SQLITE_SUFFIXES);
        names.append(&mut beside(SECRETS_FILE, &SECRETS_SUFFIXES));
        names.push(ADMIN_KEY_FILE.to_owned());
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
            // If the directory cannot be removed, it stays until the system cleans its temporary
            // files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Creates the directory if it does not exist, and checks that it can be written to.
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

/// Reads a key, or makes one if there is none. Another process that makes one at the same time gets the same one.
fn read_or_create_key(path: &Path) -> io::Result<String> {
    if !path.exists() {
        let mut random = [0; 16];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| io::Error::other("the system has no random numbers"))?;
        let key = format!("{:032x}", u128::from_be_bytes(random));
        // The file appears with its text, under a name that only one process can give it.
        let new = path.with_extension(format!("{}", std::process::id()));
        let mut file = private().create(true).truncate(true).open(&new)?;
        file.write_all(key.as_bytes())?;
        let linked = fs::hard_link(&new, path);
        fs::remove_file(&new)?;
        match linked {
            // Another process was first, and its key is read below.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => linked?,
        }
    }
    let key = fs::read_to_string(path)?;
    let is_whole = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "it has no key; remove it");
    is_whole.then_some(key).ok_or_else(broken)
}

/// Options to open a file for writing. A file that is created has mode 0600.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Gives a file mode 0600, unless other users have no access to it already.
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

/// Files have no mode on this system. They are in a directory of the user.
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
    fn only_the_owner_can_read_new_files_in_an_open_directory() {
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
    fn other_users_lose_access_to_existing_files() {
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
        assert_eq!(
            mode(&other),
            0o644,
            "the mode of a file that is no data file changes"
        );
    }
}
