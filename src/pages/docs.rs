//! The files of the interactive documentation.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use ring::digest::{SHA256, digest};

/// The name of the page among the files.
const PAGE: &str = "index.html";
/// The end of the name of a file that is compressed.
const COMPRESSED: &str = ".gz";

/// The files that are served, with their media types. No other file of the folder is read.
const FILES: [(&str, &str); 5] = [
    (PAGE, "text/html; charset=utf-8"),
    ("init.js", "text/javascript; charset=utf-8"),
    ("favicon.svg", "image/svg+xml"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
];

/// A file as it is sent.
#[derive(Debug, Clone)]
pub struct File {
    /// Its media type.
    pub media_type: &'static str,
    /// Its entity tag, which does not depend on the compression: `W/"…"`.
    pub version: String,
    /// The compressed bytes (gzip).
    compressed: Bytes,
    /// The bytes themselves, once a client has needed them.
    unpacked: OnceLock<Bytes>,
}

impl File {
    /// Compresses a file.
    ///
    /// # Errors
    /// None that can happen: the bytes are in memory.
    pub fn compress(media_type: &'static str, bytes: Bytes) -> io::Result<Self> {
        let mut compressed = Vec::new();
        GzEncoder::new(&bytes[..], Compression::default()).read_to_end(&mut compressed)?;
        Ok(Self {
            unpacked: bytes.into(),
            ..Self::of_compressed(media_type, compressed.into())
        })
    }

    fn of_compressed(media_type: &'static str, compressed: Bytes) -> Self {
        let hash = digest(&SHA256, &compressed);
        let start = hash.as_ref().iter().take(8);
        let hex: String = start.map(|byte| format!("{byte:02x}")).collect();
        Self {
            media_type,
            version: format!("W/\"{hex}\""),
            compressed,
            unpacked: OnceLock::new(),
        }
    }

    /// The compressed bytes, in the format gzip.
    #[must_use]
    pub fn compressed(&self) -> Bytes {
        self.compressed.clone()
    }

    /// The bytes themselves. They are kept, because unpacking the largest file takes longer than all else that
    /// a request for it does, and every client of a REST API needs them.
    ///
    /// # Errors
    /// If the compressed bytes are not of the format gzip.
    pub fn bytes(&self) -> io::Result<Bytes> {
        if let Some(bytes) = self.unpacked.get() {
            return Ok(bytes.clone());
        }
        let mut bytes = Vec::new();
        GzDecoder::new(&self.compressed[..]).read_to_end(&mut bytes)?;
        // Another request may have unpacked the same file meanwhile. Either is right.
        Ok(self.unpacked.get_or_init(|| bytes.into()).clone())
    }
}

/// The interactive documentation of a deployment that has it.
pub struct Docs {
    folder: PathBuf,
    files: [OnceLock<Arc<File>>; FILES.len()],
    /// The document for everyone, and the URL of the service that it was written for. One gateway in front
    /// of the function has one URL, so one document is kept.
    description: Mutex<Option<(String, Arc<File>)>>,
}

impl Docs {
    /// The documentation whose files are in this folder.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self {
            folder,
            files: Default::default(),
            description: Mutex::default(),
        }
    }

    /// The page.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn page(&self) -> io::Result<Option<Arc<File>>> {
        self.kept(PAGE)
    }

    /// A file that the page uses, by its name; `None` if there is none of this name.
    ///
    /// # Errors
    /// If the folder does not have the file, or it cannot be read.
    pub fn file(&self, name: &str) -> io::Result<Option<Arc<File>>> {
        match name {
            // The page names its files relative to its own path, so under another one it would find none.
            PAGE => Ok(None),
            name => self.kept(name),
        }
    }

    fn kept(&self, name: &str) -> io::Result<Option<Arc<File>>> {
        let mut all = FILES.iter().zip(&self.files);
        let Some(((name, media_type), slot)) = all.find(|((known, _), _)| *known == name) else {
            return Ok(None);
        };
        if let Some(file) = slot.get() {
            return Ok(Some(Arc::clone(file)));
        }
        let file = self.read(name, media_type)?;
        // Another request may have read the same file meanwhile. Either is right.
        Ok(Some(Arc::clone(slot.get_or_init(|| Arc::new(file)))))
    }

    fn read(&self, name: &str, media_type: &'static str) -> io::Result<File> {
        let compressed = self.folder.join(format!("{name}{COMPRESSED}"));
        match fs::read(&compressed) {
            Ok(bytes) => Ok(File::of_compressed(media_type, bytes.into())),
            // The files that are written by hand are not compressed in the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::compress(media_type, fs::read(self.folder.join(name))?.into())
            }
            Err(error) => Err(error),
        }
    }

    /// The description of the service at a URL. `write` writes it, unless it was written for this URL last
    /// time.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn description(
        &self,
        server_url: &str,
        write: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        let kept = || {
            self.description
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((url, file)) = kept().as_ref()
            && url == server_url
        {
            return Ok(Arc::clone(file));
        }
        // The lock is not held: other requests need not wait for the writing.
        let file = Arc::new(write()?);
        *kept() = Some((server_url.to_owned(), Arc::clone(&file)));
        Ok(file)
    }
}

impl fmt::Debug for Docs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = &self.folder;
        f.debug_struct("Docs")
            .field("folder", folder)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Docs {
        Docs::in_folder(concat!(env!("CARGO_MANIFEST_DIR"), "/layer/docs").into())
    }

    #[test]
    fn every_file_is_in_the_folder_and_is_read_and_unpacked_once() {
        let docs = shipped();
        for (name, media_type) in FILES {
            let file = docs.kept(name).unwrap().unwrap();
            assert_eq!(file.media_type, media_type);
            let bytes = file.bytes().unwrap();
            assert!(!bytes.is_empty(), "{name}");
            assert_eq!(bytes.as_ptr(), file.bytes().unwrap().as_ptr(), "{name}");
            let again = docs.kept(name).unwrap().unwrap();
            assert!(Arc::ptr_eq(&file, &again), "{name}");
        }
    }

    #[test]
    fn only_known_names_lead_to_files() {
        let docs = shipped();
        for name in [
            "",
            "..",
            "../Cargo.toml",
            "LICENSE",
            "swagger-ui.css.gz",
            "INDEX.html",
            PAGE,
        ] {
            assert!(docs.file(name).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn a_folder_without_files_is_an_error() {
        let docs = Docs::in_folder("/nowhere".into());
        assert_eq!(docs.page().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_description_is_written_again_only_for_another_url() {
        let docs = shipped();
        let file = |text: &str| {
            File::compress("application/json", Bytes::copy_from_slice(text.as_bytes()))
        };
        let first = docs.description("https://a", || file("1")).unwrap();
        let again = docs
            .description("https://a", || panic!("written again"))
            .unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = docs.description("https://b", || file("2")).unwrap();
        assert_eq!(other.bytes().unwrap(), "2");
        assert_ne!(first.version, other.version);
    }
}
