//! Lists of resources (SCIM 1.1 API §3.2.2).

use axum::response::Response;

use super::device;
use super::representation::RepresentationV1;
use crate::http::answer;
use crate::http::call::Call;
use crate::protocol::Result;
use crate::protocol::scopes::Permission;
use crate::protocol::v1::{self, View};
use crate::provider::{List, Over, Rendered, Representation, body_size};

/// Answers a list.
///
/// # Errors
/// `Forbidden` without the permission to list; `InvalidFilter` and `InvalidValue` for a parameter;
/// those of the provider.
pub(super) async fn list(call: &Call<'_>, view: View<'_>) -> Result<Response> {
    call.scope
        .grant()
        .check(view.resource_type, Permission::List)?;
    let mut reading = call.scope.reading();
    let queried = v1::query(view, &call.parameters, &mut reading);
    call.scope.note(&reading);
    let queried = queried?;
    let over = Over::Type(view.resource_type);
    let provider = &call.service.provider;
    let scope = &call.scope;
    let translate = |found: &Representation<'_>| {
        let RepresentationV1 { object, version } =
            RepresentationV1::of(found, view, &scope.base_url)?;
        let Rendered {
            value: object,
            bytes,
        } = Rendered::object(object);
        Ok(Rendered {
            value: RepresentationV1 { object, version },
            bytes,
        })
    };
    let list = provider.query(scope, over, &queried.query, translate);
    let List {
        head,
        mut resources,
    } = list.await?;
    if queried.embeds_user {
        device::embed_users(call, view.dialect, &mut resources).await?;
    }
    let sizes = resources.iter().map(|shown| body_size(&shown.object));
    let size = sizes.sum();
    let write = || {
        let texts: Vec<_> = resources
            .into_iter()
            .map(RepresentationV1::into_text)
            .collect();
        head.render_v1(&texts)
    };
    Ok(answer::message(scope.compute.run(size, write).await?))
}
