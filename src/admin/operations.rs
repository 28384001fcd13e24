//! The table of all operations, by which a request in JSON finds its own.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::arguments::Arguments;
use super::brake::{ReleaseBrake, ShowBrake};
use super::credential::{
    CreateCredential, ListCredentials, RevokeAllCredentials, RevokeCredential, RotateCredential,
};
use super::data::{CheckData, ExportData, ImportData};
use super::event::{ForgetEvents, ListEvents};
use super::look_up::{FindGroups, FindUsers, GroupMembers};
use super::schema::{
    AddOwnRoles, AddResourceType, AddSchema, ListResourceTypes, ListSchemas, RemoveResourceType,
    RemoveSchema, ResourceTypeLosses, ShowResourceType, ShowSchema,
};
use super::stack::ShowStack;
use super::stack_key::RotateStackKey;
use super::tenant::{
    CreateTenant, DeleteTenant, DeleteTenants, ListTenants, RestoreTenant, ResumeTenant, SetTenant,
    ShowTenant, SuspendTenant,
};
use super::webhook::{
    AddWebhook, ListWebhooks, RemoveWebhook, ResumeWebhook, RotateSecret, ShowWebhook, TestWebhook,
};
use super::{Admin, Asked, Failure, Operation};
use crate::protocol::error::Error;

/// Every operation.
pub(super) const OPERATIONS: &[Entry] = &[
    Entry::of::<CreateCredential>(),
    Entry::of::<ListCredentials>(),
    Entry::of::<RevokeCredential>(),
    Entry::of::<RevokeAllCredentials>(),
    Entry::of::<RotateCredential>(),
    Entry::of::<AddSchema>(),
    Entry::of::<ListSchemas>(),
    Entry::of::<ShowSchema>(),
    Entry::of::<RemoveSchema>(),
    Entry::of::<AddResourceType>(),
    Entry::of::<ResourceTypeLosses>(),
    Entry::of::<ListResourceTypes>(),
    Entry::of::<ShowResourceType>(),
    Entry::of::<RemoveResourceType>(),
    Entry::of::<AddOwnRoles>(),
    Entry::of::<FindUsers>(),
    Entry::of::<FindGroups>(),
    Entry::of::<GroupMembers>(),
    Entry::of::<ListEvents>(),
    Entry::of::<ForgetEvents>(),
    Entry::of::<ShowBrake>(),
    Entry::of::<ReleaseBrake>(),
    Entry::of::<CreateTenant>(),
    Entry::of::<ListTenants>(),
    Entry::of::<ShowTenant>(),
    Entry::of::<SetTenant>(),
    Entry::of::<SuspendTenant>(),
    Entry::of::<ResumeTenant>(),
    Entry::of::<DeleteTenant>(),
    Entry::of::<RestoreTenant>(),
    Entry::of::<ExportData>(),
    Entry::of::<ImportData>(),
    Entry::of::<CheckData>(),
    Entry::of::<AddWebhook>(),
    Entry::of::<ListWebhooks>(),
    Entry::of::<ShowWebhook>(),
    Entry::of::<TestWebhook>(),
    Entry::of::<RotateSecret>(),
    Entry::of::<ResumeWebhook>(),
    Entry::of::<RemoveWebhook>(),
    Entry::of::<ShowStack>(),
    Entry::of::<DeleteTenants>(),
    Entry::of::<RotateStackKey>(),
];

/// How an operation is asked for in JSON.
pub(super) struct Entry {
    /// The name of the operation.
    pub(super) name: &'static str,
    /// The longest request, in bytes.
    pub(super) max_request_bytes: usize,
    /// Reads the arguments, does the operation, and returns the value of `ok`.
    pub(super) ask: Ask,
}

type Ask = for<'a> fn(&'a Admin, Arguments<'a>, &'a Asked) -> BoxFuture<'a, Result<Value, Failure>>;

/// The names of all operations, in the order of their areas.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|entry| entry.name)
}

impl Entry {
    const fn of<O: Operation>() -> Self {
        Self {
            name: O::NAME,
            max_request_bytes: O::MAX_REQUEST_BYTES,
            ask: |admin, arguments, asked| ask::<O>(admin, arguments, asked).boxed(),
        }
    }
}

async fn ask<O: Operation>(
    admin: &Admin,
    arguments: Arguments<'_>,
    asked: &Asked,
) -> Result<Value, Failure> {
    let operation: O = arguments.read()?;
    let answer = admin.ask(&operation, asked).await?;
    Ok(serde_json::to_value(answer).map_err(Error::internal)?)
}
