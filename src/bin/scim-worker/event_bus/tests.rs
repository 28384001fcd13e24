use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use proptest::prelude::*;
use scim_lambda::aws;
use scim_lambda::feed::{Changed, EventBody, EventType};
use scim_lambda::identity::TenantId;
use serde_json::{Value, json};

use super::*;

const AFTER: Option<&str> = Some("018bcfe5680089abcdef.1.0.abcdef");

/// What EventBridge answers to the entries of a call; `None` if it never answers.
type Answer = dyn Fn(&[Value]) -> Option<(u16, Value)> + Send + Sync;

/// An EventBridge in this process, which keeps the entries of each call.
#[derive(Clone)]
struct FakeEventBridge {
    answer: Arc<Answer>,
    calls: Arc<Mutex<Vec<Vec<Value>>>>,
}

impl FakeEventBridge {
    fn new(answer: impl Fn(&[Value]) -> Option<(u16, Value)> + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            calls: Arc::default(),
        }
    }

    /// One that refuses an entry with the code that `refuse` returns for it, and accepts the others.
    fn refusing(refuse: impl Fn(&Value) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        Self::new(move |entries| {
            let results = entries.iter().map(|entry| match refuse(entry) {
                Some(code) => json!({"ErrorCode": code, "ErrorMessage": "It quotes a secret."}),
                None => json!({"EventId": "1"}),
            });
            let results: Vec<Value> = results.collect();
            Some((200, json!({"FailedEntryCount": 0, "Entries": results})))
        })
    }

    /// One that refuses each of these events as often as it says, and accepts it afterwards.
    fn refusing_first(times: &[(u64, usize)]) -> Self {
        let left = Mutex::new(times.iter().copied().collect::<BTreeMap<u64, usize>>());
        Self::refusing(move |entry| {
            let mut left = left.lock().unwrap();
            let times = left.get_mut(&seq(entry))?;
            *times = times.checked_sub(1)?;
            Some("InternalFailure")
        })
    }

    fn bus(&self) -> EventBus {
        EventBus::new(&aws::in_process(self.clone()), "directory", "prod")
    }

    /// The numbers of the events of each call.
    fn sent(&self) -> Vec<Vec<u64>> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .map(|entries| entries.iter().map(seq).collect())
            .collect()
    }

    fn last_detail(&self) -> Value {
        let calls = self.calls.lock().unwrap();
        detail(calls.last().unwrap().last().unwrap())
    }
}

impl fmt::Debug for FakeEventBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeEventBridge")
    }
}

impl HttpClient for FakeEventBridge {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FakeEventBridge {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        assert_eq!(
            request.headers().get("x-amz-target"),
            Some("AWSEvents.PutEvents")
        );
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let entries = body["Entries"].as_array().unwrap().clone();
        let answer = (self.answer)(&entries);
        self.calls.lock().unwrap().push(entries);
        HttpConnectorFuture::new(async move {
            let Some((status, body)) = answer else {
                return std::future::pending().await;
            };
            let body = SdkBody::from(body.to_string());
            Ok(HttpResponse::new(status.try_into().unwrap(), body))
        })
    }
}

fn detail(entry: &Value) -> Value {
    serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap()
}

fn seq(entry: &Value) -> u64 {
    detail(entry)["seq"].as_u64().unwrap()
}

fn event(seq: u64) -> Event {
    Event {
        id: format!("e{seq}"),
        seq,
        tenant: TenantId::parse("acme").unwrap(),
        body: EventBody::new(EventType::named("user.updated"), 1_710_263_045_500),
    }
}

/// An event with a value of this length.
fn long_event(seq: u64, bytes: usize) -> Event {
    let mut event = event(seq);
    let title = Changed {
        before: None,
        after: Some("x".repeat(bytes).into()),
    };
    event.body.changes = Some([("title".to_owned(), title)].into());
    event
}

fn events(count: u64) -> Vec<Event> {
    (1..=count).map(event).collect()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_an_entry_of_its_type_and_time() {
    let fake = FakeEventBridge::refusing(|_| None);
    fake.bus().put(&events(1), AFTER).await.unwrap();
    let mut entry = fake.calls.lock().unwrap()[0][0].clone();
    assert_eq!(detail(&entry), event(1).to_json());
    entry["Detail"] = Value::Null;
    let expected = json!({
        "EventBusName": "directory",
        "Source": "scim.prod",
        "DetailType": "user.updated",
        "Detail": null,
        "Time": 1_710_263_045.5,
    });
    assert_eq!(entry, expected);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_ten_entries_at_most_in_the_order_of_the_feed() {
    let fake = FakeEventBridge::refusing(|_| None);
    fake.bus().put(&events(25), AFTER).await.unwrap();
    let sent = fake.sent();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(sent.concat(), (1..=25).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn only_refused_entries_are_sent_again_and_before_later_ones() {
    let fake = FakeEventBridge::refusing_first(&[(3, 1), (6, 2), (11, 1)]);
    fake.bus().put(&events(12), AFTER).await.unwrap();
    let sent = fake.sent();
    let expected: [&[u64]; 4] = [
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        &[3, 6, 11, 12],
        &[6, 11],
        &[],
    ];
    assert_eq!(sent, expected[..3]);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_throttles_is_asked_less_and_less_and_then_the_attempt_ends() {
    let fake = FakeEventBridge::refusing(|_| Some("ThrottlingException"));
    let began = Instant::now();
    let refusal = fake.bus().put(&events(3), AFTER).await.unwrap_err();
    assert_eq!(refusal.code, "ThrottlingException");
    assert!(began.elapsed() < ATTEMPT, "{:?}", began.elapsed());
    // After 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 seconds.
    assert_eq!(fake.sent().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_throttles_a_part_gets_everything_in_the_end() {
    let refused: Vec<(u64, usize)> = (1..=100)
        .map(|seq| (seq, usize::from(seq % 3 == 0)))
        .collect();
    let fake = FakeEventBridge::refusing_first(&refused);
    fake.bus().put(&events(100), AFTER).await.unwrap();
    let mut sent = fake.sent().concat();
    assert_eq!(sent.len(), 133);
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent, (1..=100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_bus_does_not_take_goes_by_reference() {
    let is_whole = |entry: &Value| detail(entry).get("reference").is_none();
    let fake = FakeEventBridge::refusing(move |entry| {
        (seq(entry) == 2 && is_whole(entry)).then_some("MalformedDetail")
    });
    fake.bus().put(&events(3), AFTER).await.unwrap();
    assert_eq!(fake.sent(), [vec![1, 2, 3], vec![2]]);
    let expected = json!({
        "id": "e2",
        "seq": 2,
        "type": "user.updated",
        "time": "2024-03-12T17:04:05.500Z",
        "tenant": "acme",
        "reference": {"after": AFTER},
    });
    assert_eq!(fake.last_detail(), expected);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_even_by_reference_ends_the_attempt() {
    let fake = FakeEventBridge::refusing(|_| Some("MalformedDetail"));
    let refusal = fake.bus().put(&events(1), AFTER).await.unwrap_err();
    assert_eq!(
        (refusal.code.as_str(), fake.sent().len()),
        ("MalformedDetail", 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_refuses_this_stack_is_asked_once() {
    let fake = FakeEventBridge::refusing(|_| Some("NotAuthorizedForSourceException"));
    let refusal = fake.bus().put(&events(3), AFTER).await.unwrap_err();
    assert_eq!(refusal.code, "NotAuthorizedForSourceException");
    assert_eq!(fake.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn long_events_have_calls_of_their_own_and_too_long_ones_are_references() {
    let fake = FakeEventBridge::refusing(|_| None);
    let long = [
        long_event(1, 200_000),
        long_event(2, 100_000),
        long_event(3, 100_000),
        long_event(4, MAX_DETAIL),
    ];
    fake.bus().put(&long, AFTER).await.unwrap();
    assert_eq!(fake.sent(), [vec![1], vec![2, 3, 4]]);
    assert_eq!(fake.last_detail()["reference"]["after"], json!(AFTER));
}

/// A value of this length makes an event too long for a call.
const MAX_DETAIL: usize = 256_000;

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_as_a_whole_says_why() {
    let cases = [
        (
            400,
            json!({"__type": "ResourceNotFoundException", "message": "no"}),
            "ResourceNotFoundException",
        ),
        (
            403,
            json!({"__type": "com.amazon#AccessDeniedException"}),
            "AccessDeniedException",
        ),
        (
            200,
            json!({"FailedEntryCount": 0, "Entries": []}),
            "IncompleteAnswer",
        ),
        (502, json!("<html>"), "Unreachable"),
    ];
    for (status, body, code) in cases {
        let fake = FakeEventBridge::new(move |_| Some((status, body.clone())));
        let refusal = fake.bus().put(&events(1), AFTER).await.unwrap_err();
        assert_eq!(refusal.code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_hangs_holds_an_attempt_for_ten_seconds() {
    let fake = FakeEventBridge::new(|_| None);
    let began = Instant::now();
    let refusal = fake.bus().put(&events(1), AFTER).await.unwrap_err();
    assert_eq!(refusal.code, "Timeout");
    assert_eq!(began.elapsed(), ATTEMPT);
}

#[test]
fn the_code_of_a_refusal_is_short_and_plain() {
    let long = "a b\n<c>\"".repeat(100);
    assert_eq!(Refusal::new(&long).code, "abc".repeat(22)[..64]);
}

proptest! {
    #[test]
    fn no_call_is_longer_than_the_bus_takes(lengths in prop::collection::vec(0..300_000_usize, 1..30)) {
        let numbered = (1..).zip(&lengths);
        let entries: Vec<Entry> = numbered
            .map(|(seq, bytes)| Entry::new(&long_event(seq, *bytes), AFTER))
            .collect();
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let (call, later) = rest.split_at(fitting(rest));
            let details = call.iter().map(|entry| entry.to_sdk("directory", "scim.prod"));
            let bytes: usize = details.map(|entry| {
                let texts = [entry.source(), entry.detail_type(), entry.detail()];
                14 + texts.iter().flatten().map(|text| text.len()).sum::<usize>()
            }).sum();
            prop_assert!(call.len() <= 10 && bytes <= 256 * 1024, "{bytes}");
            rest = later;
        }
    }
}
