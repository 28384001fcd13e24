//! The kinds of work on groups that the journal holds, by their stored names.

use futures_util::future::{BoxFuture, FutureExt as _};
use serde::Deserialize;

use super::announcement::Announcement;
use super::delete::{self, DeleteJob};
use super::edit_set::{self, EditSetJob};
use super::replace_set::{self, ReplaceSetJob};
use super::sweep_set::{self, SweepSetJob};
use crate::protocol::schema::Registry;
use crate::store::error::StoreError;
use crate::store::journal::{Job, Lease, Stage};
use crate::store::table::Table;

/// The work of one journal entry. The serialized names are part of the stored form.
#[derive(Debug, PartialEq, Deserialize)]
enum GroupJob {
    /// A set of many members is filled, and then made a group's current set.
    #[serde(rename = "Fill")]
    ReplaceSet(ReplaceSetJob),
    /// Many members are added to and removed from a group's current set.
    #[serde(rename = "Delta")]
    EditSet(EditSetJob),
    /// A resource is deleted with all its memberships.
    #[serde(rename = "Erase")]
    Delete(DeleteJob),
    /// A set that no request reads any more is removed.
    #[serde(rename = "Sweep")]
    SweepSet(SweepSetJob),
    /// The feed reports the members of a set.
    #[serde(rename = "Announce")]
    Announce(Announcement),
}

/// Reads the text of an entry. Returns `None` if this version of the service cannot finish it.
pub(in crate::store) fn parse(text: &str) -> Option<Box<dyn Job>> {
    let job: GroupJob = serde_json::from_str(text).ok()?;
    let is_newer = matches!(&job, GroupJob::ReplaceSet(job) if job.is_newer());
    (!is_newer).then(|| Box::new(job) as Box<dyn Job>)
}

impl Job for GroupJob {
    fn is_change(&self) -> bool {
        !matches!(self, Self::SweepSet(_) | Self::Announce(_))
    }

    fn is_for_feed(&self) -> bool {
        matches!(self, Self::Announce(_))
    }

    fn resource(&self) -> Option<(&str, &str)> {
        match self {
            Self::ReplaceSet(job) => Some((&job.resource_type, &job.group)),
            Self::EditSet(job) => Some((&job.resource_type, &job.group)),
            Self::Delete(job) => Some((&job.resource_type, &job.id)),
            Self::SweepSet(_) | Self::Announce(_) => None,
        }
    }

    fn resume<'w>(
        &'w self,
        table: &'w Table,
        lease: &'w Lease,
        stage: Stage,
        types: &'w Registry,
    ) -> BoxFuture<'w, Result<(), StoreError>> {
        match self {
            Self::ReplaceSet(job) => replace_set::resume(table, lease, stage, job, types).boxed(),
            Self::EditSet(job) => edit_set::resume(table, lease, job, types).boxed(),
            Self::Delete(job) => delete::resume_job(table, lease, stage, job, types).boxed(),
            Self::SweepSet(job) => sweep_set::resume(table, lease, job).boxed(),
            // Only `feed` makes announcements: `Job::is_for_feed` keeps this entry from being resumed here.
            Self::Announce(_) => std::future::ready(Ok(())).boxed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::groups::member::Member;
    use crate::store::stored::GroupState;

    #[test]
    fn entries_of_earlier_versions_are_read_and_others_are_not() {
        let set = r#"{"member_revision":1,"member_stamp":1,"set":"s","shards":1}"#;
        let sweep = format!(r#"{{"Sweep":{{"group":"g","set":{set}}}}}"#);
        let erase = r#"{"Erase":{"resource_type":"User","id":"u","set":null}}"#;
        let delta = format!(
            r#"{{"Delta":{{"resource_type":"Group","group":"g","set":{set},"change":{{"add":{{"u":{{"id":"u","kind":"User"}}}},"remove":["v"]}},"now":7}}}}"#
        );
        let fill = format!(
            r#"{{"Fill":{{"resource_type":"Group","group":"g","fresh":{set},"replaced":{{"revision":2,"old":{set}}},"members":{{}},"body":{{"text":"{{}}","entries_before":[],"entries":[{{"path":"displayName","key":"g","unique":false}}]}},"now":7}}}}"#
        );
        for text in [sweep.as_str(), erase, &delta, &fill] {
            let job = parse(text);
            assert_eq!(
                job.map(|job| job.is_change()),
                Some(text != sweep),
                "{text}"
            );
        }
        // An entry of this version can be read by an earlier one.
        let state: GroupState = serde_json::from_str(set).unwrap();
        let written = serde_json::to_value(state).unwrap();
        assert_eq!(written["member_stamp"], 1);
        let member: Member = serde_json::from_str(r#"{"id":"u","kind":"User"}"#).unwrap();
        let written = serde_json::to_value(member).unwrap();
        assert_eq!(written["kind"], "User");
        // The feed does it, and the finisher does not count it as a change of the directory.
        let announce = format!(r#"{{"Announce":{{"group":"g","set":{set}}}}}"#);
        let work = parse(&announce).unwrap();
        assert!(work.is_for_feed() && !work.is_change());
        for text in [&sweep[..40], r#"{"Merge":{}}"#, ""] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
