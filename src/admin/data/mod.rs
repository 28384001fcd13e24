//! The area `data`: the directory of a tenant as lines of JSON, out of one deployment and into another.
//!
//! Each operation takes many parts, because an answer of Lambda ends at 6 MB and an invocation after some time. What a
//! part has to know about those before it goes through the caller, as a text that the caller gives back.

mod check;
mod chunk;
mod configure;
mod credentials;
mod export;
mod group_lines;
mod import;
mod imported;
mod line;
mod order;
mod state;

use serde::{Deserialize, Serialize};

pub use check::{ChangeState, CheckData, CheckedData, UnfinishedChange, WrongMembers, WrongTotal};
pub use export::ExportPart;
pub use imported::{Counts, ImportPart, ImportStep, LineError};

use super::{About, Admin, Asked, Failure, Operation, audit};
use crate::identity::TenantId;
use crate::provider::IfExists;

/// The longest request of an import, in bytes: what Lambda takes in one invocation.
const MAX_REQUEST_BYTES: usize = 6 * 1024 * 1024;

/// `data.export`: the directory of a tenant as lines of JSON.
///
/// The first part begins with the head, and the last one ends with the line that says how many there are. Changes that
/// are made meanwhile may be in it or not; the tenant's feed has them behind the head's `position`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExportData {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether the hashes of passwords are in it. The same for every part.
    #[serde(default)]
    pub with_secrets: bool,
    /// Whether the tenant's credentials are in it, without what clients present. The same for every part.
    #[serde(default)]
    pub with_credentials: bool,
    /// The cursor of the part before; none for the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `data.import`: takes some lines of an export.
///
/// Every part can be sent again: what is there already with the same content stays untouched.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportData {
    /// The tenant, which has to exist. It may have another name than the one that was exported.
    pub tenant: TenantId,
    /// What this round through the file is for.
    pub step: ImportStep,
    /// What happens to a resource that is there already with other content.
    #[serde(default)]
    pub if_exists: IfExists,
    /// Whether the hashes of passwords are taken, too.
    #[serde(default)]
    pub with_secrets: bool,
    /// Whether credentials are brought back, too.
    #[serde(default)]
    pub with_credentials: bool,
    /// Whole lines, from the line on that the answer to the part before has named.
    pub text: String,
    /// The `state` of the answer to the part before; none for the first part of a round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Operation for ExportData {
    const NAME: &'static str = "data.export";
    type Answer = ExportPart;

    fn about(&self) -> About<'_> {
        about(&self.tenant, self.with_credentials)
    }

    async fn perform(&self, admin: &Admin, _asked: &Asked) -> Result<ExportPart, Failure> {
        admin.check_tenant(&self.tenant).await?;
        let part = export::part(admin, self).await?;
        admin.check_unpurged(&self.tenant).await?;
        Ok(part)
    }
}

impl Operation for ImportData {
    const NAME: &'static str = "data.import";
    const MAX_REQUEST_BYTES: usize = MAX_REQUEST_BYTES;
    type Answer = ImportPart;

    fn about(&self) -> About<'_> {
        about(&self.tenant, self.with_credentials)
    }

    async fn perform(&self, admin: &Admin, asked: &Asked) -> Result<ImportPart, Failure> {
        admin.check_kept(&self.tenant).await?;
        let (part, credentials) = import::part(admin, self).await?;
        // Each can do something in the tenant again, so each has a line of its own.
        for id in &credentials {
            let about = About::tenant(&self.tenant).and(About::credential(id));
            audit::log(Self::NAME, asked, about, Ok(()));
        }
        Ok(part)
    }
}

impl std::fmt::Debug for ImportData {
    /// Without the lines, which are people's data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportData")
            .field("tenant", &self.tenant)
            .field("step", &self.step)
            .field("if_exists", &self.if_exists)
            .finish_non_exhaustive()
    }
}

/// What an export or an import is about: a tenant, and its credentials if they are asked for.
fn about(tenant: &TenantId, with_credentials: bool) -> About<'_> {
    About {
        name: with_credentials.then_some("credentials"),
        ..About::tenant(tenant)
    }
}

/// The number of bytes of lines as a text in JSON. A line has none of the characters that JSON writes as `\u`.
fn written_bytes(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| b"\"\\\n".contains(byte)).count()
}
