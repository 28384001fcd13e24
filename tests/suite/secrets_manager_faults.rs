//! Faults of Secrets Manager in production that no emulator has.
//!
//! A few lines of HTTP stand in for Secrets Manager: its JSON protocol is one POST with the
//! operation in `X-Amz-Target`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use scim_lambda::aws;
use scim_lambda::protocol::{Error, ErrorKind};
use scim_lambda::tenant::{SecretError, SecretStore, SecretsManager};
use serde_json::{Value, json};

/// The behaviour of the stand-in at the call that moves `AWSCURRENT`.
#[derive(Clone, Copy, PartialEq)]
enum Move {
    /// Carries it out and loses the answer. The retry is then refused.
    LosesAnswer,
    /// Finds that another writer came first.
    FindsOther,
    /// Refuses it and leaves everything as it was.
    Refuses,
}

struct StandIn {
    on_move: Move,
    current: Mutex<String>,
}

#[tokio::test]
async fn a_move_whose_answer_was_lost_has_succeeded() {
    let outcome = replace(Move::LosesAnswer).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn a_move_after_another_writer_is_a_conflict() {
    let outcome = replace(Move::FindsOther).await;
    assert!(matches!(outcome, Err(SecretError::Conflict)), "{outcome:?}");
}

#[tokio::test]
async fn a_move_refused_for_another_reason_is_no_conflict() {
    let outcome = replace(Move::Refuses).await;
    assert!(
        matches!(outcome, Err(SecretError::Backend { .. })),
        "{outcome:?}"
    );
}

/// Replaces a secret at a stand-in.
async fn replace(on_move: Move) -> Result<(), SecretError> {
    let stand_in = Arc::new(StandIn {
        on_move,
        current: Mutex::new("read-version-0000000000000000000".to_owned()),
    });
    let router = Router::new().route("/", post(answer)).with_state(stand_in);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let store = SecretsManager::new(&aws::emulator(&endpoint));
    let read = store.get("name").await?.unwrap();
    let outcome = store.put("name", "value", Some(&read.version)).await;
    server.abort();
    outcome.map(|_| ())
}

async fn answer(
    State(stand_in): State<Arc<StandIn>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let request: Value = serde_json::from_str(&body).unwrap();
    let (status, answer) = match target {
        "secretsmanager.GetSecretValue" => {
            let current = stand_in.current.lock().unwrap().clone();
            (200, json!({"VersionId": current, "SecretString": "{}"}))
        }
        "secretsmanager.PutSecretValue" => {
            (200, json!({"VersionId": request["ClientRequestToken"]}))
        }
        _ => stand_in.update_version_stage(&request),
    };
    (StatusCode::from_u16(status).unwrap(), answer.to_string())
}

impl StandIn {
    fn update_version_stage(&self, request: &Value) -> (u16, Value) {
        let mut current = self.current.lock().unwrap();
        let refusal = (400, json!({"__type": "InvalidParameterException"}));
        if request["RemoveFromVersionId"] != current.as_str() {
            return refusal;
        }
        match self.on_move {
            Move::LosesAnswer => {
                *current = request["MoveToVersionId"].as_str().unwrap().to_owned();
                (500, json!({"__type": "InternalServiceError"}))
            }
            Move::FindsOther => {
                *current = "other-version-000000000000000000".to_owned();
                refusal
            }
            Move::Refuses => refusal,
        }
    }
}

/// A proxy that answers a number of calls with a page for people before it lets calls pass.
struct InTheWay {
    status: u16,
    left: Mutex<u32>,
    seen: Mutex<Vec<String>>,
}

/// A store whose first `faults` calls are answered with this status and no JSON.
async fn behind(status: u16, faults: u32) -> (SecretsManager, Arc<InTheWay>) {
    let in_the_way = Arc::new(InTheWay {
        status,
        left: Mutex::new(faults),
        seen: Mutex::default(),
    });
    let router = Router::new().route("/", post(pass_or_not));
    let router = router.with_state(Arc::clone(&in_the_way));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(1));
    let config = aws::emulator(&endpoint).into_builder();
    let config = config.retry_config(retries).build();
    (SecretsManager::new(&config), in_the_way)
}

async fn pass_or_not(
    State(in_the_way): State<Arc<InTheWay>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    in_the_way.seen.lock().unwrap().push(target.to_owned());
    let mut left = in_the_way.left.lock().unwrap();
    if *left > 0 {
        *left -= 1;
        let page = ["", "<html><body>Out of reach</body></html>"][*left as usize % 2];
        return (
            StatusCode::from_u16(in_the_way.status).unwrap(),
            page.to_owned(),
        );
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    let version = "read-version-0000000000000000000";
    let answer = match target {
        "secretsmanager.GetSecretValue" => json!({"VersionId": version, "SecretString": "{}"}),
        "secretsmanager.ListSecrets" => json!({"SecretList": [{"Name": "name"}]}),
        _ => json!({"VersionId": request["ClientRequestToken"]}),
    };
    (StatusCode::OK, answer.to_string())
}

#[tokio::test]
async fn a_status_without_json_is_tried_again() {
    for status in [500, 501, 502, 503, 504, 507, 429] {
        let (store, in_the_way) = behind(status, 2).await;
        let read = store.get("name").await.unwrap().unwrap();
        assert_eq!(read.value, "{}");
        assert_eq!(in_the_way.seen.lock().unwrap().len(), 3, "{status}");
        let (store, _) = behind(status, 1).await;
        assert_eq!(store.names("na").await.unwrap(), ["name"]);
        let (store, _) = behind(status, 1).await;
        store.put("name", "{}", None).await.unwrap();
        let (store, _) = behind(status, 1).await;
        store.put("name", "{}", Some(&read.version)).await.unwrap();
    }
}

#[tokio::test]
async fn a_lasting_status_is_unavailable_and_never_internal() {
    for status in [500, 501, 502, 503, 507] {
        let (store, in_the_way) = behind(status, u32::MAX).await;
        let read = store.get("name").await.unwrap_err();
        assert!(in_the_way.seen.lock().unwrap().len() > 1, "{status}");
        assert_eq!(Error::from(read).kind(), ErrorKind::Unavailable);
        let names = store.names("name").await.unwrap_err();
        assert_eq!(Error::from(names).kind(), ErrorKind::Unavailable);
        let put = store.put("name", "{}", None).await.unwrap_err();
        assert_eq!(Error::from(put).kind(), ErrorKind::Unavailable);
    }
}
