//! Where the interactive documentation of a service on this machine has its files.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The folder of the sources that this program was built from.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/layer/docs");

/// The folder that `SCIM_DOCS` names; without that, the folder of the sources, if it is still there. An empty
/// `SCIM_DOCS` switches the documentation off.
pub(super) fn folder() -> Option<PathBuf> {
    chosen(env::var_os("SCIM_DOCS").as_deref(), Path::new(SHIPPED))
}

fn chosen(named: Option<&OsStr>, shipped: &Path) -> Option<PathBuf> {
    match named {
        Some(named) => (!named.is_empty()).then(|| named.into()),
        None => shipped.is_dir().then(|| shipped.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_before_the_sources() {
        let check = |named: Option<&str>, shipped: &str, expected: Option<&str>| {
            let found = chosen(named.map(OsStr::new), Path::new(shipped));
            assert_eq!(found.as_deref(), expected.map(Path::new));
        };
        check(None, SHIPPED, Some(SHIPPED));
        check(None, "/nowhere", None);
        check(Some("/opt/docs"), SHIPPED, Some("/opt/docs"));
        check(Some(""), SHIPPED, None);
    }
}
