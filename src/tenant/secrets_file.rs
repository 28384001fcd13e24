//! Secrets in a local JSON file, for development and for hosts without Secrets Manager.
//!
//! ```json
//! {"version": 1, "secrets": {"dev/stack": {"version": 1, "value": "…"}}}
//! ```
//!
//! A missing file is an error. If it counted as a deployment without tenants, every token would be
//! refused as if it were revoked. A new deployment creates its file first.
//!
//! Only its owner can read the file. A writer writes a complete new file and renames it over the old
//! one, so readers never see a part of a file. Writers hold a lock on a second file, which the
//! operating system releases if a writer dies. Reading and writing block the thread for the
//! microseconds that a small local file takes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use futures_util::future::{BoxFuture, FutureExt, ready};
use serde::{Deserialize, Serialize};

use super::secrets::{Secret, SecretError, SecretStore, SecretVersion, broken_json};

/// The version of the file that this release reads and writes.
const VERSION: u32 = 1;

/// A [`SecretStore`] in one file.
#[derive(Debug)]
pub struct SecretsFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    secrets: BTreeMap<String, StoredSecret>,
}

#[derive(Serialize, Deserialize)]
struct StoredSecret {
    version: u64,
    value: String,
}

impl SecretsFile {
    /// The store in the file at `path`. The file has to exist when the store is used.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Creates the file, without secrets, unless it exists. Its directory must exist.
    ///
    /// # Errors
    /// `Backend` naming the file that cannot be created.
    pub fn create_if_missing(&self) -> Result<(), SecretError> {
        let _held_until_written = self.lock()?;
        let exists = fs::exists(&self.path).map_err(|error| out_of_reach(&self.path, error))?;
        if exists {
            return Ok(());
        }
        self.write(&Document::default())
            .map_err(|error| out_of_reach(&self.path, error))
    }

    fn lock(&self) -> Result<File, SecretError> {
        let lock = self.beside("lock");
        lock_exclusively(&lock).map_err(|error| out_of_reach(&lock, error))
    }

    fn read(&self) -> Result<Document, SecretError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) => return Err(out_of_reach(&self.path, error)),
        };
        let document: Document = serde_json::from_str(&text)
            .map_err(|error| SecretError::malformed(shown(&self.path), broken_json(&error)))?;
        if document.version == VERSION {
            return Ok(document);
        }
        let reason = format!("version {} is not {VERSION}", document.version);
        Err(SecretError::malformed(shown(&self.path), reason))
    }

    fn replace(
        &self,
        name: &str,
        value: &str,
        expected: Option<&SecretVersion>,
    ) -> Result<SecretVersion, SecretError> {
        let _held_until_written = self.lock()?;
        let mut document = self.read()?;
        let found = document.secrets.get(name).map_or(0, |entry| entry.version);
        if version_of(found) != expected.cloned() {
            return Err(SecretError::Conflict);
        }
        let entry = StoredSecret {
            version: found + 1,
            value: value.to_owned(),
        };
        document.secrets.insert(name.to_owned(), entry);
        self.write(&document)
            .map_err(|error| out_of_reach(&self.path, error))?;
        Ok(SecretVersion((found + 1).to_string()))
    }

    #[cfg(feature = "worker")]
    fn delete(&self, name: &str) -> Result<(), SecretError> {
        let _held_until_written = self.lock()?;
        let mut document = self.read()?;
        if document.secrets.remove(name).is_none() {
            return Ok(());
        }
        self.write(&document)
            .map_err(|error| out_of_reach(&self.path, error))
    }

    fn write(&self, document: &Document) -> io::Result<()> {
        let new = self.beside("new");
        let mut text = serde_json::to_vec_pretty(document)?;
        text.push(b'\n');
        // A writer that died may have left this file. No other writer is using it, because this one
        // holds the lock.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = owner_only().create_new(true).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }

    /// The file's path with one more extension.
    fn beside(&self, extension: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(extension);
        path.into()
    }
}

impl SecretStore for SecretsFile {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, SecretError>> {
        let found = self.read().map(|mut document| {
            let entry = document.secrets.remove(name)?;
            Some(Secret {
                version: version_of(entry.version)?,
                value: entry.value,
            })
        });
        ready(found).boxed()
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        expected: Option<&'a SecretVersion>,
    ) -> BoxFuture<'a, Result<SecretVersion, SecretError>> {
        ready(self.replace(name, value, expected)).boxed()
    }

    #[cfg(feature = "worker")]
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SecretError>> {
        ready(self.delete(name)).boxed()
    }

    fn names<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<String>, SecretError>> {
        let names = self.read().map(|document| {
            let names = document.secrets.into_keys();
            names.filter(|name| name.starts_with(prefix)).collect()
        });
        ready(names).boxed()
    }
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: VERSION,
            secrets: BTreeMap::new(),
        }
    }
}

/// The version of a secret; 0 means that the secret does not exist.
fn version_of(version: u64) -> Option<SecretVersion> {
    (version > 0).then(|| SecretVersion(version.to_string()))
}

fn lock_exclusively(path: &Path) -> io::Result<File> {
    let file = owner_only().create(true).open(path)?;
    file.lock()?;
    Ok(file)
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn out_of_reach(path: &Path, error: io::Error) -> SecretError {
    SecretError::backend(shown(path), error)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_in(directory: &tempfile::TempDir) -> SecretsFile {
        let file = SecretsFile::new(directory.path().join("secrets.json"));
        file.create_if_missing().unwrap();
        file
    }

    #[tokio::test]
    async fn a_missing_file_is_an_error_and_stays_missing() {
        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        let version = file.put("a", "1", None).await.unwrap();
        file.create_if_missing().unwrap();
        assert_eq!(file.get("a").await.unwrap().unwrap().value, "1");
        fs::remove_file(&file.path).unwrap();
        let named = |error: SecretError| assert!(error.to_string().contains("secrets.json"));
        named(file.get("a").await.unwrap_err());
        named(file.names("").await.unwrap_err());
        named(file.put("b", "1", None).await.unwrap_err());
        named(file.put("a", "2", Some(&version)).await.unwrap_err());
        assert!(!file.path.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        let version = file.put("a", "1", None).await.unwrap();
        file.put("a", "2", Some(&version)).await.unwrap();
        let mode = fs::metadata(&file.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn the_files_of_a_dead_writer_do_not_hinder_the_next_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = file_in(&directory);
        fs::write(file.beside("new"), "half a docu").unwrap();
        fs::write(file.beside("lock"), "").unwrap();
        file.put("a", "1", None).await.unwrap();
        assert_eq!(file.get("a").await.unwrap().unwrap().value, "1");
    }

    #[test]
    fn of_many_writers_with_one_version_one_wins() {
        let directory = tempfile::tempdir().unwrap();
        let path = file_in(&directory).path;
        let write = |value: String| SecretsFile::new(&path).replace("a", &value, None).is_ok();
        let wins = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|n| scope.spawn(move || write(n.to_string())))
                .collect();
            let outcomes = writers.into_iter().map(|writer| writer.join().unwrap());
            outcomes.filter(|won| *won).count()
        });
        assert_eq!(wins, 1);
    }

    #[tokio::test]
    async fn a_broken_file_is_malformed_and_left_alone() {
        async fn check(text: &str) {
            let directory = tempfile::tempdir().unwrap();
            let file = file_in(&directory);
            fs::write(&file.path, text).unwrap();
            let read = file.get("a").await;
            assert!(matches!(read, Err(SecretError::Malformed { .. })), "{text}");
            assert!(file.put("a", "1", None).await.is_err(), "{text}");
            assert_eq!(fs::read_to_string(&file.path).unwrap(), text);
        }
        check("").await;
        check("{").await;
        check(r#"{"version":9,"secrets":{}}"#).await;
    }

    #[tokio::test]
    async fn an_unwritable_place_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = SecretsFile::new(directory.path().join("missing").join("secrets.json"));
        for error in [
            file.create_if_missing().unwrap_err(),
            file.put("a", "1", None).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains("missing"), "{error}");
        }
    }
}
