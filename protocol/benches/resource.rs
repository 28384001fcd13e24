//! The cost of a request without the store: reading bodies, PATCH, projection and lists.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scim_protocol::json;
use scim_protocol::message::{ListResponse, Meta, Paging, Selection, render};
use scim_protocol::patch::PatchRequest;
use scim_protocol::profile::{Reading, Rules};
use scim_protocol::projection::{Projection, project_text};
use scim_protocol::resource::{DraftKind, Resource, pick};
use scim_protocol::schema::{Registry, ResourceType};

const USER: &str = include_str!("user.json");

/// The update that Entra ID sends most: six attributes by path.
const PATCH: &str = r#"{
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [
        {"op": "Replace", "path": "displayName", "value": "Pv"},
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "t@example.com"},
        {"op": "Replace", "path": "name.givenName", "value": "Gt"},
        {"op": "Replace", "path": "name.familyName", "value": "Pk"},
        {"op": "Replace", "path": "externalId", "value": "Eq"},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber", "value": "701"}
    ]
}"#;

const META: Meta<'static> = Meta {
    resource_type: "User",
    created: "2010-01-23T04:56:22.000Z",
    last_modified: "2011-05-13T04:42:34.000Z",
    location: "https://example.com/scim/v2/Users/2819c223-7f76-453a-919d-413861904646",
    version: r#"W/"7""#,
};

fn user() -> &'static ResourceType {
    let user = Registry::builtin().resource_type("User");
    user.expect("User is a built-in type")
}

fn stored() -> Resource {
    create(&mut Reading::new(&Rules::default())).expect("the body fits a User")
}

fn create(reading: &mut Reading<'_>) -> scim_protocol::Result<Resource> {
    let body = json::parse_object(USER.as_bytes())?;
    let verb = DraftKind::Create {
        id: "2819c223-7f76-453a-919d-413861904646",
    };
    let draft = Resource::from_request(body, user(), Registry::builtin(), reading, verb)?;
    Ok(draft.resource)
}

/// From the text of a request and of a stored body to the text to store.
fn patch(stored: &str, reading: &mut Reading<'_>) -> scim_protocol::Result<String> {
    let body = json::parse_object(PATCH.as_bytes())?;
    let request = PatchRequest::parse(&body, reading)?;
    let resource = Resource::from_text(stored)?;
    let patched = request.apply(&resource, user(), Registry::builtin(), reading)?;
    Ok(patched.resource.to_text())
}

fn bodies(criterion: &mut Criterion) {
    let rules = Rules::default();
    let text = stored().to_text();
    let mut group = criterion.benchmark_group("body");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| json::parse_object(black_box(USER.as_bytes())));
    });
    group.bench_function("create", |bencher| {
        bencher.iter(|| create(&mut Reading::new(&rules)).map(|resource| resource.to_text()));
    });
    group.bench_function("pick", |bencher| {
        let is_read = |name: &str| matches!(name, "id" | "userName");
        bencher.iter(|| pick(black_box(&text), is_read));
    });
    group.bench_function("patch", |bencher| {
        bencher.iter(|| patch(black_box(&text), &mut Reading::new(&rules)));
    });
    group.finish();
}

fn patches(criterion: &mut Criterion) {
    let rules = Rules::default();
    let body = json::parse_object(PATCH.as_bytes()).expect("the request is JSON");
    let request = PatchRequest::parse(&body, &mut Reading::new(&rules));
    let request = request.expect("the request is a PatchOp");
    let resource = stored();
    let mut group = criterion.benchmark_group("patch");
    group.throughput(Throughput::Elements(request.operations.len() as u64));
    group.bench_function("apply", |bencher| {
        bencher.iter(|| {
            let mut reading = Reading::new(&rules);
            request.apply(
                black_box(&resource),
                user(),
                Registry::builtin(),
                &mut reading,
            )
        });
    });
    group.finish();
}

fn projections(criterion: &mut Criterion) {
    let rules = Rules::default();
    let selection = Selection {
        attributes: ["userName", "emails.value", "name"]
            .map(str::to_owned)
            .into(),
        ..Selection::default()
    };
    let resource = stored();
    let mut group = criterion.benchmark_group("projection");
    group.bench_function("new", |bencher| {
        bencher.iter(|| Projection::new(&selection, user(), &mut Reading::new(&rules)));
    });
    let projection = Projection::new(&selection, user(), &mut Reading::new(&rules));
    group.bench_function("apply", |bencher| {
        bencher.iter_batched(
            || resource.body().clone(),
            |body| projection.apply(body),
            BatchSize::SmallInput,
        );
    });
    let text = resource.to_text();
    group.bench_function("text", |bencher| {
        bencher.iter(|| project_text(&projection, black_box(&text)));
    });
    group.finish();
}

fn lists(criterion: &mut Criterion) {
    let rules = Rules::default();
    let stored = vec![stored().to_text(); 100];
    let plain = Projection::new(&Selection::default(), user(), &mut Reading::new(&rules));
    let mut group = criterion.benchmark_group("list");
    group.throughput(Throughput::Elements(stored.len() as u64));
    group.bench_function("splice 100 users", |bencher| {
        bencher.iter(|| {
            let shown = stored.iter().filter(|text| plain.shows_all_of(text));
            let base = "https://example.com/scim/v2";
            let texts: Vec<_> = shown
                .map(|text| render(text, None, META.parts(), base))
                .collect();
            let list = ListResponse {
                total_results: Some(100),
                paging: Paging::Index { start_index: 1 },
            };
            list.render(&texts)
        });
    });
    group.finish();
}

criterion_group!(benches, bodies, patches, projections, lists);
criterion_main!(benches);
