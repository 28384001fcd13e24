//! One tenant's work does not keep others waiting: the work in the pool, the limit of running
//! requests, and requests whose time is over.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream;
use scim_lambda::http::{self, Admission, Service, render};
use scim_lambda::protocol::error::ErrorKind;
use scim_lambda::protocol::message::{Parameters, Query};
use scim_lambda::protocol::profile::{Passwords, Rules, Switches};
use scim_lambda::provider::Over;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::simulation::{Fault, World};
use crate::support::{Answer, Server};

/// A length beyond which text is processed in the pool.
const LARGE: usize = 140_000;
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// A server together with the service behind its router.
async fn start(rules: &Rules, change: impl FnOnce(&mut Service)) -> (Server, Arc<Service>) {
    let mut server = Server::with_rules(rules).await;
    let mut service = server.stack.service();
    change(Arc::get_mut(&mut service).unwrap());
    server.router = http::router(Arc::clone(&service));
    (server, service)
}

fn user(name: &str, title: usize) -> Value {
    json!({"schemas": [USER], "userName": name, "title": "t".repeat(title)})
}

fn patch(operations: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// The number of jobs that a request of each kind adds.
struct Counted<'s> {
    server: &'s Server,
    service: &'s Service,
}

impl Counted<'_> {
    async fn send(&self, expected: u64, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let before = self.service.provider.pool().jobs();
        let answer = self.server.send(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
        let jobs = self.service.provider.pool().jobs() - before;
        assert_eq!(jobs, expected, "jobs of {method} {path}");
        answer
    }

    async fn create(&self, expected: u64, path: &str, body: &Value) -> String {
        let created = self.send(expected, "POST", path, Some(body)).await;
        created.json["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn work_on_large_data_is_a_job_of_the_pool_and_other_work_is_not() {
    let (server, service) = start(&Rules::default(), |_| {}).await;
    let counted = Counted {
        server: &server,
        service: &service,
    };
    for (size, is_large) in [(10, 0), (LARGE, 1)] {
        let name = format!("user-{size}");
        // Parsed, read, rendered.
        let id = counted
            .create(3 * is_large, "/scim/v2/Users", &user(&name, size))
            .await;
        let path = format!("/scim/v2/Users/{id}");
        counted.send(is_large, "GET", &path, None).await;
        let replaced = user(&name, size + 1);
        counted
            .send(3 * is_large, "PUT", &path, Some(&replaced))
            .await;
        let title = json!([{"op": "replace", "path": "title", "value": "t".repeat(size)}]);
        let patched = patch(&title);
        // Parsed, read, applied, rendered.
        counted
            .send(4 * is_large, "PATCH", &path, Some(&patched))
            .await;
        // A small change of a large resource: applied, rendered.
        let small = patch(&json!([{"op": "replace", "path": "nickName", "value": "n"}]));
        counted
            .send(2 * is_large, "PATCH", &path, Some(&small))
            .await;
        let operation =
            json!({"method": "PUT", "path": format!("/Users/{id}"), "data": user(&name, size)});
        let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [operation]});
        // Parsed, read, planned. The operation is carried out, but its resource is not shown.
        counted
            .send(4 * is_large, "POST", "/scim/v2/Bulk", Some(&bulk))
            .await;
        let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": "title co \"t\"", "attributes": vec!["userName"; 2]});
        // Evaluated, rendered.
        counted
            .send(
                2 * is_large,
                "POST",
                "/scim/v2/Users/.search",
                Some(&search),
            )
            .await;
        let sorted = "/scim/v2/Users?sortBy=title&filter=title%20co%20%22t%22";
        // Evaluated, put in order, sorted, rendered.
        counted.send(4 * is_large, "GET", sorted, None).await;
        counted.send(is_large, "GET", "/scim/v2/Users", None).await;
        counted.send(is_large, "DELETE", &path, None).await;
    }
}

#[tokio::test]
async fn translating_large_data_of_1_1_is_a_job_of_the_pool() {
    let (server, service) = start(&Rules::default(), |_| {}).await;
    let counted = Counted {
        server: &server,
        service: &service,
    };
    for (size, is_large) in [(10, 0), (LARGE, 1)] {
        for base in ["/scim/v1", "/v2/acme/scim"] {
            let is_ionic = u64::from(base == "/v2/acme/scim");
            let name = format!("user-{size}");
            // Parsed, translated, read, rendered in the form of 1.1.
            let id = counted
                .create(4 * is_large, &format!("{base}/Users"), &user(&name, size))
                .await;
            let path = format!("{base}/Users/{id}");
            counted.send(is_large, "GET", &path, None).await;
            let replaced = user(&name, size + 1);
            // A PUT of the Ionic API is a PATCH, which is read before it is applied.
            let jobs = (4 + is_ionic) * is_large;
            counted.send(jobs, "PUT", &path, Some(&replaced)).await;
            let patched = json!({"title": "t".repeat(size)});
            // The Ionic API answers a PATCH without the resource.
            let jobs = (5 - is_ionic) * is_large;
            counted.send(jobs, "PATCH", &path, Some(&patched)).await;
            // Translated, written.
            counted
                .send(2 * is_large, "GET", &format!("{base}/Users"), None)
                .await;
            let operation =
                json!({"method": "PUT", "path": format!("/Users/{id}"), "data": user(&name, size)});
            let bulk = json!({"Operations": [operation]});
            let jobs = (4 + is_ionic) * is_large;
            counted
                .send(jobs, "POST", &format!("{base}/Bulk"), Some(&bulk))
                .await;
            counted.send(is_large, "DELETE", &path, None).await;
        }
    }
}

#[tokio::test]
async fn groups_of_large_lists_are_computed_in_the_pool() {
    let (server, service) = start(&Rules::default(), |_| {}).await;
    let counted = Counted {
        server: &server,
        service: &service,
    };
    let id = counted.create(0, "/scim/v2/Users", &user("ada", 10)).await;
    let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "d".repeat(LARGE), "members": [{"value": id}]});
    server.create("/scim/v2/Groups", &group).await;
    // Only the group's name is large: it is read for the user's groups.
    counted
        .send(1, "GET", &format!("/scim/v2/Users/{id}"), None)
        .await;
}

/// A request whose body never ends, and a signal that reading it has begun.
fn endless(server: &Server) -> (Request<Body>, oneshot::Receiver<()>) {
    let (begun, is_read) = oneshot::channel();
    let first = stream::once(async move {
        begun.send(()).unwrap();
        Ok::<_, axum::Error>(Bytes::from_static(b"{"))
    });
    let request = server.request("POST", "/scim/v2/Users");
    let request = request.header("Content-Type", "application/scim+json");
    let body = Body::from_stream(first.chain(stream::pending()));
    (request.body(body).unwrap(), is_read)
}

#[tokio::test]
async fn a_tenant_with_too_many_requests_is_refused_and_another_is_not() {
    let (mut server, _) = start(&Rules::default(), |service| {
        service.admission = Admission::new(2, Duration::from_millis(1));
    })
    .await;
    server.add_tenant("quiet", &Rules::default()).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let (request, is_read) = endless(&server);
        running.push(tokio::spawn(server.router.clone().oneshot(request)));
        is_read.await.unwrap();
    }
    let refused = server.send("GET", "/scim/v2/Users", None).await;
    refused.check_error(429, None);
    assert_eq!(refused.header("retry-after"), "2");
    for base in ["/scim/v1", "/v2/acme/scim"] {
        let refused = server.send("GET", &format!("{base}/Users"), None).await;
        assert_eq!(refused.status, 429, "{}", refused.text);
        assert_eq!(refused.header("retry-after"), "2");
        assert_eq!(refused.json["Errors"][0]["code"], "429", "{}", refused.text);
    }
    let noisy = std::mem::take(&mut server.token);
    server.token = server.issue("quiet", |_| {}).await;
    assert_eq!(server.send("GET", "/scim/v2/Users", None).await.status, 200);
    server.token = noisy;
    running.iter().for_each(tokio::task::JoinHandle::abort);
    join_all(running).await;
    // Requests that ended, even by a lost connection, do not count.
    assert_eq!(server.send("GET", "/scim/v2/Users", None).await.status, 200);
}

#[tokio::test]
async fn as_many_clients_as_a_provider_has_workers_are_not_refused() {
    let (server, _) = start(&Rules::default(), |_| {}).await;
    let clients = (0..32).map(async |number| {
        let (user, server) = (user(&format!("user-{number}"), 10), &server);
        server
            .send("POST", "/scim/v2/Users", Some(&user))
            .await
            .status
    });
    assert_eq!(join_all(clients).await, [201; 32]);
    let operation = |number: usize| {
        json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
            "data": user(&format!("bulk-{number}"), 10)})
    };
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": (0..100).map(operation).collect::<Vec<_>>()});
    let answer = server.send("POST", "/scim/v2/Bulk", Some(&bulk)).await;
    let operations = answer.json["Operations"].as_array().unwrap();
    assert_eq!(operations.len(), 100);
    assert!(
        operations.iter().all(|one| one["status"] == "201"),
        "{}",
        answer.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passwords_are_hashed_in_the_pool_in_reused_memory() {
    let rules = Rules {
        switches: Switches {
            passwords: Passwords::Hash,
            ..Switches::default()
        },
        ..Rules::default()
    };
    let (server, service) = start(&rules, |_| {}).await;
    let create = async |number: usize| {
        let mut user = user(&format!("user-{number}"), 10);
        user["password"] = json!("tr0ub4dor");
        let (path, server) = ("/scim/v2/Users", &server);
        assert_eq!(server.send("POST", path, Some(&user)).await.status, 201);
    };
    join_all((0..16).map(create)).await;
    let pool = service.provider.pool();
    assert_eq!(pool.jobs(), 16);
    let buffers = service.provider.hash_buffers();
    assert!((1..=pool.threads()).contains(&buffers), "{buffers} buffers");
}

#[tokio::test(start_paused = true)]
async fn work_that_would_begin_after_the_deadline_is_not_done() {
    let world = World::new().await;
    let process = world.process();
    process.users("user", 3).await;
    for (filter, attributes) in [
        ("filter=title%20pr&", ""),
        ("", "attributes=userName&"),
        ("", "excludedAttributes=groups&"),
    ] {
        let scope = process.scope().await.unwrap();
        let resource_type = scope.tenant.registry.resource_type("User").unwrap();
        let parameters = Parameters::parse(&format!("{filter}{attributes}cursor=")).unwrap();
        let query = Query::from_parameters(&parameters, &mut scope.reading()).unwrap();
        tokio::time::advance(Duration::from_secs(19)).await;
        let is_page = |body: &Value| body.to_string().contains("#R#User#");
        process
            .line
            .plan(move |call| is_page(&call.body).then_some(Fault::Freeze));
        let listed = process
            .provider
            .query(&scope, Over::Type(resource_type), &query, |found| {
                render::listed_text(found, "https://example.com")
            });
        let late = async {
            process.line.frozen().await;
            tokio::time::advance(Duration::from_secs(2)).await;
            process.line.thaw();
        };
        let (listed, ()) = join(listed, late).await;
        let error = listed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.detail().contains("out of time"), "{error}");
        process.line.plan(|_| None);
    }
}

#[test]
fn every_function_gives_large_blocks_of_memory_back() {
    let template = std::fs::read_to_string("template.yaml").unwrap();
    let globals = template.split("\nGlobals:\n").nth(1).unwrap();
    let globals = globals.split("\nResources:\n").next().unwrap();
    assert!(globals.contains("MALLOC_MMAP_THRESHOLD_: \"1048576\""));
    // A function that lists variables of its own has those of all functions besides.
    assert_eq!(template.matches("MALLOC_MMAP_THRESHOLD_").count(), 1);
}
