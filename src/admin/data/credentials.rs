//! The credentials in an import.

use super::super::Admin;
use super::ImportData;
use super::chunk::Numbered;
use super::imported::{Counts, ImportStep};
use crate::identity::CredentialId;
use crate::protocol::error::{Error, Result};
use crate::provider::IfExists;
use crate::tenant::{CredentialArchive, IfChanged, Returned, SealedCredential};

/// What became of the lines with credentials.
#[derive(Debug, Default)]
pub(super) struct BroughtBack {
    /// How many were brought back, and how many were not.
    pub(super) counts: Counts,
    /// Those that can be used again, or otherwise than before.
    pub(super) ids: Vec<CredentialId>,
    /// What could not be done, by line.
    pub(super) errors: Vec<(u64, Error)>,
}

/// The archive of the deployment's credentials.
pub(super) fn archive(admin: &Admin) -> CredentialArchive<'_> {
    CredentialArchive {
        keys: &admin.keys,
        credentials: &admin.credentials,
        now: admin.clock.now_seconds(),
    }
}

/// Brings the credentials of some lines back, if that is asked for.
pub(super) async fn bring_back(
    admin: &Admin,
    asked: &ImportData,
    lines: Vec<Numbered<SealedCredential>>,
) -> Result<BroughtBack> {
    let mut done = BroughtBack::default();
    if !asked.with_credentials {
        done.counts.credentials_left = lines.len() as u64;
        return Ok(done);
    }
    let (numbers, sealed): (Vec<u64>, Vec<_>) = lines.into_iter().unzip();
    let if_changed = match asked.if_exists {
        IfExists::Fail => IfChanged::Refuse,
        IfExists::Skip => IfChanged::Keep,
        IfExists::Replace => IfChanged::Replace,
    };
    let is_dry = asked.step != ImportStep::Write;
    let archive = archive(admin);
    let returned = archive.bring_back(&asked.tenant, &sealed, if_changed, is_dry);
    let counts = &mut done.counts;
    for (number, returned) in numbers.into_iter().zip(returned.await?) {
        match returned {
            Ok(Returned::Added(id)) => {
                counts.credentials_added += 1;
                done.ids.push(id);
            }
            Ok(Returned::Changed(id)) => {
                counts.credentials_changed += 1;
                done.ids.push(id);
            }
            Ok(Returned::Same) => counts.credentials_same += 1,
            Ok(Returned::Kept) => counts.credentials_kept += 1,
            Ok(Returned::Expired) => counts.credentials_left += 1,
            Ok(Returned::Foreign) => counts.credentials_foreign += 1,
            Err(error) => done.errors.push((number, error)),
        }
    }
    if is_dry {
        done.ids.clear();
    }
    Ok(done)
}
