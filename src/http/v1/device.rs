//! The users that the Ionic API shows inside devices, on request.

use std::collections::{BTreeSet, HashMap};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Map, Value};

use super::representation::RepresentationV1;
use crate::http::call::Call;
use crate::protocol::message::Selection;
use crate::protocol::resource::ResourceId;
use crate::protocol::scopes::Permission;
use crate::protocol::v1::{Dialect, View, embed_user};
use crate::protocol::version::Precondition;
use crate::protocol::{Error, ErrorKind, Result};
use crate::provider::Read;

/// The number of users that are read at the same time.
const MAX_READING: usize = 8;

/// Puts into each device the user that it names. A device whose user no longer exists stays as it is.
///
/// # Errors
/// `Forbidden` without the permission to read users, `Unavailable`.
pub(super) async fn embed_users(
    call: &Call<'_>,
    dialect: Dialect,
    devices: &mut [RepresentationV1],
) -> Result<()> {
    let registry = &call.scope.tenant.registry;
    let Some(users) = registry.resource_type("User") else {
        return Ok(());
    };
    call.scope.grant().check(users, Permission::Read)?;
    let view = View {
        dialect,
        resource_type: users,
    };
    let wanted: BTreeSet<String> = devices
        .iter()
        .filter_map(user_id)
        .map(str::to_owned)
        .collect();
    let reads = stream::iter(wanted).map(|id| async move {
        let user = read(call, view, &id).await?;
        Ok::<_, Error>((id, user))
    });
    let found: HashMap<_, _> = reads.buffer_unordered(MAX_READING).try_collect().await?;
    for device in devices {
        let user = user_id(device).and_then(|id| found.get(id).cloned().flatten());
        if let Some(user) = user {
            device.version = embed_user(&mut device.object, &device.version, user);
        }
    }
    Ok(())
}

fn user_id(device: &RepresentationV1) -> Option<&str> {
    device.object.get("userId")?.as_str()
}

async fn read(call: &Call<'_>, view: View<'_>, id: &str) -> Result<Option<Map<String, Value>>> {
    let Some(id) = ResourceId::parse(id) else {
        return Ok(None);
    };
    let (selection, condition) = (Selection::default(), Precondition::default());
    let provider = &call.service.provider;
    let found = provider
        .get(&call.scope, view.resource_type, &id, &selection, &condition)
        .await;
    let user = match found {
        Ok(Read::Found(user)) => user,
        // A read without a condition is never answered with this.
        Ok(Read::NotModified(_)) => return Ok(None),
        // The user was deleted and the device still exists, so the device is shown alone.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let user = RepresentationV1::of(&user, view, &call.scope.base_url)?;
    Ok(Some(user.object))
}
