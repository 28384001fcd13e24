use super::*;
use crate::clock::manual::ManualClock;
use crate::tenant::SecretsFile;

const DAY: u64 = 24 * 60 * 60;

struct Fixture {
    clock: Arc<ManualClock>,
    file: Arc<SecretsFile>,
    secrets: WebhookSecrets,
    id: SubscriptionId,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = Arc::new(SecretsFile::new(directory.path().join("secrets.json")));
        file.create_if_missing().unwrap();
        let clock = Arc::new(ManualClock::at_seconds(1_767_225_600));
        Self {
            secrets: WebhookSecrets::new(file.clone(), "dev", clock.clone()),
            clock,
            file,
            id: SubscriptionId::parse("5f0c9a1e7d3b2846").unwrap(),
            _directory: directory,
        }
    }

    async fn rotate(&self, request: &str, rotation: Rotation) -> Result<RotatedSecret> {
        self.secrets
            .rotate(&self.id, &named(request), rotation)
            .await
    }

    /// The texts of the secrets that sign now.
    async fn signing(&self) -> Vec<String> {
        let found = self.secrets.signing(&self.id).await.unwrap().unwrap();
        let all = [Some(found.current), found.previous];
        all.into_iter()
            .flatten()
            .map(|secret| secret.to_text())
            .collect()
    }
}

fn named(request: &str) -> RequestId {
    RequestId::parse(request).unwrap()
}

#[tokio::test]
async fn a_secret_is_32_random_bytes_in_the_text_of_standard_webhooks() {
    let fixture = Fixture::new();
    let secret = fixture
        .secrets
        .create(&fixture.id, &named("r-1"))
        .await
        .unwrap();
    let text = secret.to_text();
    assert_eq!(
        STANDARD
            .decode(text.strip_prefix("whsec_").unwrap())
            .unwrap(),
        secret.key()
    );
    assert_eq!(SigningSecret::try_from(text).unwrap(), secret);
    assert_eq!(format!("{secret:?}"), "SigningSecret(..)");
    let other = SubscriptionId::parse("b").unwrap();
    let other = fixture.secrets.create(&other, &named("r-1")).await.unwrap();
    assert!(secret != other);
    let names = fixture.file.names("").await.unwrap();
    assert_eq!(names, ["dev/webhooks/5f0c9a1e7d3b2846", "dev/webhooks/b"]);
}

#[tokio::test]
async fn only_the_request_that_has_made_a_secret_gets_it_again() {
    let fixture = Fixture::new();
    let create = async |request| fixture.secrets.create(&fixture.id, &named(request)).await;
    let made = create("r-1").await.unwrap();
    assert_eq!(create("r-1").await.unwrap(), made);
    assert!(create("r-2").await.is_err());
    let rotated = fixture.rotate("r-2", Rotation::WithOverlap).await.unwrap();
    let again = fixture.rotate("r-2", Rotation::WithOverlap).await.unwrap();
    assert_eq!(again.secret, rotated.secret);
    assert_eq!(again.previous_until_millis, rotated.previous_until_millis);
    assert!(create("r-1").await.is_err());
    fixture.clock.advance_seconds(10 * 60);
    assert!(create("r-2").await.is_err());
}

#[tokio::test]
async fn the_previous_secret_signs_for_a_day() {
    let fixture = Fixture::new();
    let old = fixture
        .secrets
        .create(&fixture.id, &named("r-1"))
        .await
        .unwrap()
        .to_text();
    assert_eq!(fixture.signing().await, [old.as_str()]);
    let rotated = fixture.rotate("r-2", Rotation::WithOverlap).await.unwrap();
    let new = rotated.secret.to_text();
    assert_eq!(
        rotated.previous_until_millis,
        Some(fixture.clock.now_millis() + DAY * 1000)
    );
    assert_eq!(fixture.signing().await, [new.as_str(), old.as_str()]);
    fixture.clock.advance_seconds(DAY - 1);
    assert_eq!(fixture.signing().await, [new.as_str(), old.as_str()]);
    fixture.clock.advance_seconds(1);
    assert_eq!(fixture.signing().await, [new]);
}

#[tokio::test]
async fn a_second_rotation_waits_for_the_first_unless_it_is_at_once() {
    let fixture = Fixture::new();
    fixture
        .secrets
        .create(&fixture.id, &named("r-1"))
        .await
        .unwrap();
    fixture.rotate("r-2", Rotation::WithOverlap).await.unwrap();
    fixture.clock.advance_seconds(DAY - 1);
    let before = fixture.signing().await;
    assert!(fixture.rotate("r-3", Rotation::WithOverlap).await.is_err());
    assert_eq!(fixture.signing().await, before);
    let only = fixture.rotate("r-4", Rotation::AtOnce).await.unwrap();
    assert_eq!(only.previous_until_millis, None);
    assert_eq!(fixture.signing().await, [only.secret.to_text()]);
    let next = fixture.rotate("r-5", Rotation::WithOverlap).await.unwrap();
    assert_eq!(
        fixture.signing().await,
        [next.secret.to_text(), only.secret.to_text()]
    );
}

#[tokio::test]
async fn a_rotation_elsewhere_is_seen_within_a_minute() {
    let fixture = Fixture::new();
    fixture
        .secrets
        .create(&fixture.id, &named("r-1"))
        .await
        .unwrap();
    let before = fixture.signing().await;
    let elsewhere = WebhookSecrets::new(fixture.file.clone(), "dev", fixture.clock.clone());
    elsewhere
        .rotate(&fixture.id, &named("r-2"), Rotation::WithOverlap)
        .await
        .unwrap();
    fixture.clock.advance_seconds(59);
    assert_eq!(fixture.signing().await, before);
    fixture.clock.advance_seconds(1);
    let after = fixture.signing().await;
    assert_eq!(after[1..], before);
}

#[tokio::test]
async fn a_removed_secret_is_gone_and_a_lost_one_is_replaced() {
    let fixture = Fixture::new();
    let id = &fixture.id;
    fixture.secrets.create(id, &named("r-1")).await.unwrap();
    fixture.signing().await;
    fixture.secrets.remove(id).await.unwrap();
    fixture.secrets.remove(id).await.unwrap();
    assert!(fixture.secrets.signing(id).await.unwrap().is_none());
    let rotated = fixture.rotate("r-2", Rotation::WithOverlap).await.unwrap();
    assert_eq!(rotated.previous_until_millis, None);
    assert_eq!(fixture.signing().await, [rotated.secret.to_text()]);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_that_quotes_nothing() {
    let fixture = Fixture::new();
    let good = fixture
        .secrets
        .create(&fixture.id, &named("r-1"))
        .await
        .unwrap()
        .to_text();
    let name = "dev/webhooks/5f0c9a1e7d3b2846";
    for text in [
        String::new(),
        good.clone(),
        r#"{"version":1,"current":{"key":"whsec_c2hvcnQ=","made":1,"request":"r"}}"#.to_owned(),
        format!(r#"{{"version":2,"current":{{"key":"{good}","made":1,"request":"r"}}}}"#),
    ] {
        let version = fixture.file.get(name).await.unwrap().unwrap().version;
        fixture.file.put(name, &text, Some(&version)).await.unwrap();
        fixture.secrets.read.forget(&fixture.id);
        let error = fixture.secrets.signing(&fixture.id).await.unwrap_err();
        assert_eq!(error.status(), 500, "{text}");
        assert!(!format!("{error:?}").contains("whsec_"), "{error:?}");
        let rotated = fixture.rotate("r-2", Rotation::AtOnce).await;
        assert!(rotated.is_err(), "{text}");
    }
}
