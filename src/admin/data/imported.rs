//! What is asked of a part of an import, and what it answers.

use serde::{Deserialize, Serialize};

use super::super::Code;

/// What a part of an import is for. An import that replaces a directory needs three rounds through the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportStep {
    /// Compares the lines with the directory, and writes nothing.
    Check,
    /// Removes the resources that the file does not have.
    Remove,
    /// Creates and changes what the lines say.
    Write,
}

/// What a part of an import has done, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportPart {
    /// What the next part has to give back.
    pub state: String,
    /// The number of the line with which the next part begins. Lines are counted from 1.
    pub line: u64,
    /// Whether the last line of the file is done.
    pub done: bool,
    /// What was done in this part.
    pub counts: Counts,
    /// What could not be done, in the order of the lines; at most a hundred of them.
    pub errors: Vec<LineError>,
    /// The number of further errors.
    pub more_errors: u64,
}

/// What became of the lines of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Resources that were created.
    pub created: u64,
    /// Resources that were there with other content, and have that of the file.
    pub changed: u64,
    /// Resources that were there with the same content.
    pub same: u64,
    /// Resources that were there with other content, and stay as they were.
    pub kept: u64,
    /// Resources that the file does not have, and that were removed.
    pub removed: u64,
    /// Members that were added to groups.
    pub members_added: u64,
    /// Members that were there already.
    pub members_same: u64,
    /// Members that the file does not have, and that were removed.
    pub members_removed: u64,
    /// Memberships of resources that were made after the export had begun, and are not in the file. The feed has them.
    pub members_late: u64,
    /// Settings, schemas and resource types of the tenant that were changed.
    pub settings: u64,
    /// Credentials that were brought back.
    pub credentials_added: u64,
    /// Credentials that were there in another state, and have that of the file.
    pub credentials_changed: u64,
    /// Credentials that were there already.
    pub credentials_same: u64,
    /// Credentials that were there in another state, and stay as they were.
    pub credentials_kept: u64,
    /// Credentials that were left out, because they have expired or were not asked for.
    pub credentials_left: u64,
    /// Credentials that were left out because they can never be used here: another stack made them, or they are of a
    /// tenant of another name, or the key that they were made under is gone, or they were changed in the file.
    pub credentials_foreign: u64,
}

impl Counts {
    /// Adds those of another part.
    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.changed += other.changed;
        self.same += other.same;
        self.kept += other.kept;
        self.removed += other.removed;
        self.members_added += other.members_added;
        self.members_same += other.members_same;
        self.members_removed += other.members_removed;
        self.members_late += other.members_late;
        self.settings += other.settings;
        self.credentials_added += other.credentials_added;
        self.credentials_changed += other.credentials_changed;
        self.credentials_same += other.credentials_same;
        self.credentials_kept += other.credentials_kept;
        self.credentials_left += other.credentials_left;
        self.credentials_foreign += other.credentials_foreign;
    }
}

/// Why a line was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineError {
    /// The number of the line.
    pub line: u64,
    /// The kind of the error.
    pub code: Code,
    /// What is wrong with it.
    pub detail: String,
}
