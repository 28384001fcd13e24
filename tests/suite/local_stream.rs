//! The reader of the embedded table's stream in `scim serve`, through the real command.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scim_lambda::clock::SystemClock;
use scim_lambda::embedded::{DataDirectory, Embedded};
use scim_lambda::feed::Event;
use scim_lambda::feed::read::{After, Limits, read};
use scim_lambda::identity::TenantId;
use scim_lambda::store::{Meter, Store};

use crate::cli::{Running, answer};
use crate::support::cause;

/// Limits that no feed of these tests reaches.
const ALL: Limits = Limits {
    events: 10_000,
    bytes: 100_000_000,
};

/// How often the feed is read until it has the expected events.
const MAX_LOOKS: usize = 600;

/// The feed of the demo tenant as the data directory holds it, beside a server that may have it open.
async fn events(data: &Path) -> Vec<Event> {
    let table = Embedded::open(&DataDirectory::at(data).unwrap()).unwrap();
    let store = Store::new(&table.sdk_config(), "scim", Arc::new(SystemClock));
    let tenant = TenantId::parse("demo").unwrap();
    let store = store.for_tenant(&tenant, cause(), Meter::default(), Duration::from_secs(20));
    let from = After::Beginning;
    let part = read(&tenant, &store, &from, ALL, |_| true, None);
    part.await.unwrap().events
}

/// The feed once it ends with this number of events of this type.
async fn events_with(data: &Path, name: &str, count: usize) -> Vec<Event> {
    for _ in 0..MAX_LOOKS {
        let events = events(data).await;
        let is_of_type = |event: &&Event| event.body.event_type.as_str() == name;
        if events.iter().filter(is_of_type).count() >= count {
            return events;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the feed never has {count} events {name}");
}

fn serve(data: &Path) -> Running {
    let data = data.to_str().unwrap();
    Running::start(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--json"])
}

/// Sends requests that create users, and returns when the last one is answered.
fn create(server: &Running, names: impl Iterator<Item = String>) {
    let base = server.text("baseUrl");
    let (host, prefix) = base
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    for name in names {
        let body = format!(
            r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"{name}"}}"#
        );
        let answer = server.send(&format!(
            "POST /{prefix}/Users HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/scim+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            server.text("token"),
            body.len(),
        ));
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_nothing_out_of_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let server = serve(folder.path());
        create(
            &server,
            (0..5).map(|number| format!("user-{round}-{number}")),
        );
        // SIGKILL, while the reader is somewhere between the first change and the end of the stream.
        drop(server);
    }
    let _server = serve(folder.path());
    let events = events_with(folder.path(), "user.created", 20).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert!(numbers.iter().copied().eq(1..=21), "{numbers:?}");
    let started = events[0].to_json();
    assert_eq!(started["type"], "feed.started");
    let ids = events[1..]
        .iter()
        .map(|event| &event.body.resource.as_ref().unwrap().id);
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 20);
}

#[tokio::test]
async fn a_load_past_the_stream_is_a_gap_in_the_feed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    answer(&["generate", "--users", "10", "--data", data]);
    let events = events(folder.path()).await;
    let types: Vec<&str> = events
        .iter()
        .map(|event| event.body.event_type.as_str())
        .collect();
    assert_eq!(types, ["feed.started", "feed.gap"]);
    assert_eq!(events[0].to_json()["detail"]["complete"], false);
    assert!(events[1].to_json()["detail"]["since"].is_string());
    let status = answer(&["brake", "status", "demo", "--json", "--data", data]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["activeUsers"], 10);
}

#[tokio::test]
async fn what_a_command_writes_reaches_the_feed_of_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let file = folder.path().join("source.ndjson");
    let file = file.to_str().unwrap();
    answer(&[
        "generate", "--users", "3", "--tenant", "source", "--data", data,
    ]);
    answer(&["export", "source", file, "--data", data]);
    let _server = serve(folder.path());
    answer(&["import", "demo", file, "--data", data]);
    // Long before the server would look at its table for another reason, which it does every minute.
    let events = events_with(folder.path(), "user.created", 3).await;
    let created = events.iter().map(Event::to_json);
    let created = created.filter(|event| event["type"] == "user.created");
    assert!(
        created
            .into_iter()
            .all(|event| event["cause"]["kind"] == "import")
    );
}
