//! The lines of an export. Each is one JSON object with one member, whose name says what the line is.
//!
//! ```json
//! {"head":{"format":"scim-lambda","version":1,"tenant":"acme","exported":"2026-11-24T00:00:00.000Z", …}}
//! {"resource":{"type":"User","id":"019…","version":"W/\"3\"","created":"…","lastModified":"…","body":{…}}}
//! {"members":{"type":"Group","group":"019…","of":[{"id":"019…","type":"User"}]}}
//! {"credential":{"seal":"…","stored":{"id":"5f0c9a1e7d3b2846","kind":"bearer", …}}}
//! {"end":{"resources":2003,"memberships":2000}}
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::Time;
use crate::identity::TenantId;
use crate::protocol::error::{Error, Result, excerpt};
use crate::protocol::json;
use crate::provider::{Arriving, ArrivingMembers};
use crate::store::{Member, Stored};
use crate::tenant::SealedCredential;

/// The name of the format, which no other one has.
const FORMAT: &str = "scim-lambda";
/// The version of the format that this version of the service writes and reads.
const VERSION: u32 = 1;
/// The longest line that is read, in bytes: room for the whole configuration of a tenant, or for the largest resource.
const MAX_LINE_BYTES: usize = 1_500_000;
/// The largest number of members that one line names.
const MAX_MEMBERS: usize = 1_000;

/// Revisions that are taken are smaller: more than any resource gets by changes, and far from the end of the numbers.
const MAX_REVISION: u64 = 1 << 52;

/// A line that was read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Line {
    /// The first line.
    Head(Box<Head>),
    /// A resource.
    Resource(Box<ResourceLine>),
    /// Some members of a group.
    Members(MembersLine),
    /// A credential.
    Credential(SealedCredential),
    /// The last line.
    End(End),
}

/// The first line: what was exported, and the tenant's configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    format: String,
    version: u32,
    /// The tenant that was exported.
    pub(super) tenant: TenantId,
    /// When the export began.
    pub(super) exported: Time,
    /// The end of the tenant's feed before the first resource was read.
    pub(super) position: String,
    /// The tenant's profile.
    pub(super) profile: Value,
    /// The tenant's switches.
    pub(super) switches: Map<String, Value>,
    /// The schemas that the tenant has registered.
    pub(super) schemas: Vec<Value>,
    /// The resource types that the tenant has registered.
    pub(super) resource_types: Vec<Value>,
    /// The number of resources when the export began, by type.
    #[serde(default)]
    pub(super) counts: BTreeMap<String, u64>,
    /// Whether the lines have the hashes of passwords.
    #[serde(default)]
    pub(super) with_secrets: bool,
    /// Whether there are lines with credentials.
    #[serde(default)]
    pub(super) with_credentials: bool,
}

/// A resource.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResourceLine {
    /// The name of its type.
    #[serde(rename = "type")]
    pub(super) type_name: String,
    /// Its id.
    pub(super) id: String,
    version: String,
    created: Time,
    last_modified: Time,
    #[serde(default)]
    pub(super) members: usize,
    password_hash: Option<String>,
    /// It is read by the bounds of the body of a request.
    body: Box<RawValue>,
}

/// Some members of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MembersLine {
    /// The name of the group's type.
    #[serde(rename = "type")]
    pub(super) type_name: String,
    /// The group's id.
    pub(super) group: String,
    of: Vec<MemberOfLine>,
}

/// A member.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberOfLine {
    id: String,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display: Option<String>,
}

/// The last line, by which an export that was cut off is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// The number of lines with a resource.
    pub(super) resources: u64,
    /// The number of members in all lines.
    pub(super) memberships: u64,
    /// The number of lines with a credential.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) credentials: u64,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// `PayloadTooLarge` for a line that is too long, or names too many members; `InvalidSyntax` for anything that is
    /// no line of this version of the format.
    pub(super) fn read(text: &str) -> Result<Self> {
        if text.len() > MAX_LINE_BYTES {
            return Err(Error::payload_too_large(format!(
                "The line has {} bytes; at most {MAX_LINE_BYTES} are read",
                text.len()
            )));
        }
        let line: Self = serde_json::from_str(text).map_err(|error| {
            Error::invalid_syntax(format!("The line cannot be read: {}", fault(&error)))
        })?;
        match &line {
            Self::Head(head) => head.check()?,
            Self::Members(line) if line.of.len() > MAX_MEMBERS => {
                return Err(Error::payload_too_large(format!(
                    "The line names {} members; at most {MAX_MEMBERS} are read",
                    line.of.len()
                )));
            }
            Self::Resource(_) | Self::Members(_) | Self::Credential(_) | Self::End(_) => {}
        }
        Ok(line)
    }
}

/// What serde found wrong, without the values that it may quote: they may be a person's data.
fn fault(error: &serde_json::Error) -> String {
    let at = error.column();
    match error.classify() {
        serde_json::error::Category::Data => {
            let text = error.to_string();
            let names_a_member = [
                "missing field",
                "unknown field",
                "unknown variant",
                "duplicate field",
            ];
            match names_a_member
                .iter()
                .any(|beginning| text.starts_with(beginning))
            {
                // The name of the member is the file's, of any length and with any characters.
                true => excerpt(&text).to_string(),
                false => format!(
                    "a member has a value of another type than it may have, before column {at}"
                ),
            }
        }
        _ => format!("it is no JSON, at column {at}"),
    }
}

impl Head {
    /// The head of an export that begins now.
    pub(super) fn new(tenant: TenantId, exported: Time, position: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            tenant,
            exported,
            position,
            profile: Value::Null,
            switches: Map::new(),
            schemas: Vec::new(),
            resource_types: Vec::new(),
            counts: BTreeMap::new(),
            with_secrets: false,
            with_credentials: false,
        }
    }

    fn check(&self) -> Result<()> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(Error::invalid_syntax(format!(
                "The file is not of format {FORMAT} in version {VERSION}, which this version of the service reads"
            )));
        }
        Ok(())
    }
}

impl ResourceLine {
    /// The resource as it arrives.
    ///
    /// # Errors
    /// `InvalidValue` for a version that does not begin with a number; those of [`json::parse_object`] for the body.
    pub(super) fn arriving(self) -> Result<Arriving> {
        let digits = self.version.trim_start_matches("W/").trim_matches('"');
        let revision = digits
            .split(['.', '-'])
            .next()
            .and_then(|digits| digits.parse().ok());
        let revision = revision.filter(|revision| *revision < MAX_REVISION);
        Ok(Arriving {
            type_name: self.type_name,
            id: self.id,
            created: self.created.0,
            modified: self.last_modified.0,
            revision: revision.ok_or_else(|| {
                Error::invalid_value("`version` does not begin with the number of a version")
            })?,
            password: self.password_hash,
            members: self.members,
            body: json::parse_object(self.body.get().as_bytes())?,
        })
    }
}

impl MembersLine {
    /// A line with some members of a group.
    pub(super) fn new(type_name: &str, group: &str, members: Vec<Member>) -> Self {
        let of = members.into_iter().map(|member| MemberOfLine {
            id: member.id,
            type_name: member.type_name,
            display: member.display,
        });
        Self {
            type_name: type_name.to_owned(),
            group: group.to_owned(),
            of: of.collect(),
        }
    }

    /// The number of members in the line.
    pub(super) fn len(&self) -> u64 {
        self.of.len() as u64
    }

    /// The greatest id of a member in the line.
    pub(super) fn last(&self) -> Option<&str> {
        self.of.iter().map(|member| member.id.as_str()).max()
    }

    /// The members as they arrive.
    ///
    /// # Errors
    /// `InvalidValue` if a member is in the line twice.
    pub(super) fn arriving(&self) -> Result<ArrivingMembers> {
        let members = self.of.iter().cloned().map(|member| Member {
            id: member.id,
            type_name: member.type_name,
            display: member.display,
        });
        let members: BTreeMap<_, _> = members.map(|member| (member.id.clone(), member)).collect();
        if members.len() < self.of.len() {
            return Err(Error::invalid_value("The line names a member twice"));
        }
        Ok(ArrivingMembers {
            type_name: self.type_name.clone(),
            group: self.group.clone(),
            members,
        })
    }
}

/// A resource as it is written. Its body is written as it is stored.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceOut<'r> {
    #[serde(rename = "type")]
    type_name: &'r str,
    id: &'r str,
    version: String,
    created: Time,
    last_modified: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_hash: Option<&'r str>,
    body: &'r RawValue,
}

/// Writes a line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum LineOut<'l> {
    Head(&'l Head),
    Resource(ResourceOut<'l>),
    Members(&'l MembersLine),
    Credential(&'l SealedCredential),
    End(End),
}

/// Adds the line of a head to a text.
pub(super) fn write_head(text: &mut String, head: &Head) -> Result<()> {
    write(text, &LineOut::Head(head))
}

/// Adds the line of a resource to a text.
pub(super) fn write_resource(text: &mut String, type_name: &str, stored: &Stored) -> Result<()> {
    let body = RawValue::from_string(stored.body.clone()).map_err(Error::internal)?;
    write(
        text,
        &LineOut::Resource(ResourceOut {
            type_name,
            id: &stored.id,
            version: stored.version().to_string(),
            created: Time(stored.created),
            last_modified: Time(stored.last_modified()),
            members: Some(stored.about_members()).filter(|members| *members > 0),
            password_hash: stored.password.as_deref(),
            body: &body,
        }),
    )
}

/// Adds a line of members to a text.
pub(super) fn write_members(text: &mut String, line: &MembersLine) -> Result<()> {
    write(text, &LineOut::Members(line))
}

/// Adds the line of a credential to a text.
pub(super) fn write_credential(text: &mut String, credential: &SealedCredential) -> Result<()> {
    write(text, &LineOut::Credential(credential))
}

/// Adds the last line to a text.
pub(super) fn write_end(text: &mut String, end: End) -> Result<()> {
    write(text, &LineOut::End(end))
}

fn write(text: &mut String, line: &LineOut<'_>) -> Result<()> {
    text.push_str(&serde_json::to_string(line).map_err(Error::internal)?);
    text.push('\n');
    Ok(())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
