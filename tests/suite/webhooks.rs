//! Webhooks on real sockets: what the sender shows receivers, and what bad receivers do to it.

mod delivery;
mod receiver;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all, ready};
use scim_lambda::clock::SystemClock;
use scim_lambda::delivery::{
    Message, Outcome, Rotation, Sender, Subscription, WebhookSecrets, WebhookSender,
};
use scim_lambda::identity::{RequestId, SubscriptionId, TenantId};
use scim_lambda::outgoing::{Client, Reach, Resolve, Roots, Settings};
use scim_lambda::tenant::SecretsFile;
use standardwebhooks::Webhook;
use tokio_rustls::rustls::RootCertStore;

use crate::support::webhook;
use receiver::{Authority, Behaviour, NAME, TestReceiver};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// A part of every URL, which no failure may show.
const PATH: &str = "hooks/8c1f0e";
/// The id of the message.
const ID: &str = "msg_9f86d081884c7d659a2feaa0c55ad015";
/// The body of the message.
const BODY: &str = r#"{"type":"scim.events","timestamp":"2026-01-01T00:00:00.000Z","data":{}}"#;

/// A resolver that answers each look-up with the next of its answers, and the last one from then on.
struct Names {
    answers: Vec<Vec<IpAddr>>,
    lookups: AtomicUsize,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn new(answers: &[&[IpAddr]]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.iter().map(|answer| answer.to_vec()).collect(),
            lookups: AtomicUsize::new(0),
            asked: Mutex::default(),
        })
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let turn = self.lookups.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(turn).or(self.answers.last()).unwrap();
        ready(Ok(answer.clone())).boxed()
    }
}

/// One webhook, with what sends to it.
struct Fixture {
    sender: WebhookSender,
    secrets: WebhookSecrets,
    subscription: Subscription,
    secret: String,
    _directory: tempfile::TempDir,
}

impl Fixture {
    async fn new(url: String, settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = SecretsFile::new(directory.path().join("secrets.json"));
        file.create_if_missing().unwrap();
        let clock = Arc::new(SystemClock);
        let secrets = WebhookSecrets::new(Arc::new(file), "dev", clock.clone());
        let id = SubscriptionId::parse("5f0c9a1e7d3b2846").unwrap();
        let secret = secrets.create(&id, &RequestId::random()).await.unwrap();
        Self {
            sender: WebhookSender::new(Client::new(settings), secrets.clone(), clock),
            secrets,
            secret: secret.to_text(),
            subscription: Subscription {
                id,
                ..webhook(&url)
            },
            _directory: directory,
        }
    }

    /// A webhook at a receiver on this machine, without TLS.
    async fn at(receiver: &TestReceiver) -> Self {
        Self::within(receiver, Duration::from_secs(10)).await
    }

    /// The same with another deadline.
    async fn within(receiver: &TestReceiver, deadline: Duration) -> Self {
        let settings = Settings {
            deadline,
            ..Settings::new(Reach::PublicAndLoopback)
        };
        let url = format!("http://127.0.0.1:{}/{PATH}", receiver.port);
        Self::new(url, settings).await
    }

    async fn send(&self) -> Outcome {
        self.send_body(Bytes::from_static(BODY.as_bytes())).await
    }

    async fn send_body(&self, body: Bytes) -> Outcome {
        let tenant = TenantId::parse("acme").unwrap();
        let message = Message {
            subscription: &self.subscription,
            tenant: &tenant,
            id: ID,
            after: None,
            events: &[],
            body,
        };
        self.sender.send(&message).await
    }

    /// Sends, and returns the code and the text of the failure.
    async fn fail(&self) -> (String, String) {
        let Outcome::Failed(failure) = self.send().await else {
            panic!("no failure");
        };
        assert!(!failure.text.contains(PATH), "{failure:?}");
        assert!(!failure.text.contains(receiver::ANSWER), "{failure:?}");
        (failure.code, failure.text)
    }
}

/// Settings with a resolver and one trusted authority, for a receiver with TLS on this machine.
fn trusting(authority: &Authority, names: Arc<Names>) -> Settings {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate()).unwrap();
    Settings {
        resolver: names,
        roots: Roots::Given(Arc::new(roots)),
        ..Settings::new(Reach::PublicAndLoopback)
    }
}

fn answer(status: &str) -> Behaviour {
    let body = receiver::ANSWER;
    let length = body.len();
    Behaviour::Answers(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

#[tokio::test]
async fn a_message_is_posted_signed_and_accepted_with_any_2xx() {
    for status in [
        "200 OK",
        "201 Created",
        "202 Accepted",
        "204 No Content",
        "299 Fine",
    ] {
        let receiver = TestReceiver::start([answer(status)]).await;
        let fixture = Fixture::at(&receiver).await;
        assert_eq!(fixture.send().await, Outcome::Accepted, "{status}");
        let received = receiver.received();
        let [request] = &received[..] else {
            panic!("{received:?}")
        };
        assert_eq!(request.line, format!("POST /{PATH} HTTP/1.1"));
        assert_eq!(request.headers["content-type"], "application/json");
        let agent = concat!("scim-lambda/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.headers["user-agent"], agent);
        assert_eq!(request.headers["webhook-id"], ID);
        assert_eq!(request.body, BODY.as_bytes());
        let webhook = Webhook::new(&fixture.secret).unwrap();
        webhook.verify(&request.body, &request.headers).unwrap();
        let other = Webhook::new(&"a".repeat(44)).unwrap();
        assert!(other.verify(&request.body, &request.headers).is_err());
        assert!(webhook.verify(b"{}", &request.headers).is_err());
    }
}

#[tokio::test]
async fn a_rotation_between_two_attempts_changes_nothing_but_the_signature() {
    let behaviours = [answer("500 Internal Server Error"), answer("200 OK")];
    let receiver = TestReceiver::start(behaviours).await;
    let fixture = Fixture::at(&receiver).await;
    assert_eq!(fixture.fail().await.0, "status");
    let (id, request) = (&fixture.subscription.id, RequestId::random());
    let rotated = fixture
        .secrets
        .rotate(id, &request, Rotation::WithOverlap)
        .await;
    let new = rotated.unwrap().secret.to_text();
    assert_eq!(fixture.send().await, Outcome::Accepted);
    let received = receiver.received();
    let [first, second] = &received[..] else {
        panic!("{received:?}")
    };
    assert_eq!(first.body, second.body);
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    let verifies = |secret: &str, request: &receiver::Received| {
        let webhook = Webhook::new(secret).unwrap();
        webhook.verify(&request.body, &request.headers).is_ok()
    };
    assert!(verifies(&fixture.secret, first) && !verifies(&new, first));
    assert!(verifies(&fixture.secret, second) && verifies(&new, second));
    let signatures = second.headers["webhook-signature"].to_str().unwrap();
    assert_eq!(signatures.split(' ').count(), 2);
}

#[tokio::test]
async fn a_receiver_that_does_not_accept_fails_with_its_status_and_410_ends_the_subscription() {
    for (status, code) in [
        ("500 Internal Server Error", "status"),
        ("503 Service Unavailable", "status"),
        ("400 Bad Request", "status"),
        ("404 Not Found", "status"),
        ("429 Too Many Requests", "status"),
        ("304 Not Modified", "redirect"),
    ] {
        let receiver = TestReceiver::start([answer(status)]).await;
        let (found, text) = Fixture::at(&receiver).await.fail().await;
        assert_eq!(found, code, "{status}");
        assert!(text.starts_with(&format!(
            "The receiver answered with status {}",
            &status[..3]
        )));
    }
    let receiver = TestReceiver::start([answer("410 Gone")]).await;
    assert_eq!(Fixture::at(&receiver).await.send().await, Outcome::Gone);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = TestReceiver::start([answer("200 OK")]).await;
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("http://127.0.0.1:{}/", other.port);
        let text =
            format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let receiver = TestReceiver::start([Behaviour::Answers(text)]).await;
        let (code, text) = Fixture::at(&receiver).await.fail().await;
        assert_eq!(code, "redirect");
        let status = &status[..3];
        assert_eq!(
            text,
            format!("The receiver answered with status {status}, and redirects are not followed")
        );
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_receiver_without_a_status_is_given_up_at_the_deadline() {
    let head = "HTTP/1.1 200 OK\r\n";
    let deadline = Duration::from_millis(500);
    let attempts = [
        Behaviour::Hangs(String::new()),
        Behaviour::Hangs("HTTP/1.1 20".to_owned()),
        Behaviour::Hangs("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned()),
        Behaviour::Hangs(format!("{head}content-length: 2\r\n")),
        Behaviour::Drips(head.to_owned()),
        Behaviour::ReadsNothing,
    ];
    join_all(attempts.map(async |behaviour| {
        let what = format!("{behaviour:?}");
        let notices = !matches!(behaviour, Behaviour::ReadsNothing);
        let receiver = TestReceiver::start([behaviour]).await;
        let fixture = Fixture::within(&receiver, deadline).await;
        let (code, text) = fixture.fail().await;
        assert_eq!(code, "timeout", "{what}");
        assert_eq!(text, "The receiver did not answer within 500 ms");
        if notices {
            // The connection is closed with the attempt.
            receiver.wait_until_closed().await;
        }
    }))
    .await;
}

#[tokio::test]
async fn a_receiver_that_never_ends_its_answer_has_accepted_when_its_status_says_so() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
    let deadline = Duration::from_secs(2);
    let attempts = [
        Behaviour::Hangs(head.to_owned()),
        Behaviour::Hangs(format!("{head}{{")),
        Behaviour::Drips(head.to_owned()),
        Behaviour::Answers(head.to_owned()),
        Behaviour::Answers("HTTP/1.1 200 OK\r\n\r\n".to_owned()),
    ];
    join_all(attempts.map(async |behaviour| {
        let what = format!("{behaviour:?}");
        let receiver = TestReceiver::start([behaviour]).await;
        let fixture = Fixture::within(&receiver, deadline).await;
        assert_eq!(fixture.send().await, Outcome::Accepted, "{what}");
        receiver.wait_until_closed().await;
    }))
    .await;
}

#[tokio::test]
async fn of_a_gigabyte_a_small_part_is_read() {
    let receiver = TestReceiver::start([Behaviour::Floods]).await;
    let fixture = Fixture::at(&receiver).await;
    assert_eq!(fixture.send().await, Outcome::Accepted);
    receiver.wait_until_closed().await;
    // What the receiver could write is what was read, and what the buffers of both sockets hold.
    assert!(receiver.written() < 16 << 20, "{}", receiver.written());
}

#[tokio::test]
async fn a_receiver_that_closes_or_does_not_speak_http_has_not_answered() {
    for text in [
        "",
        "HTTP/1.1 200",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\u{15}\u{3}\u{1}",
    ] {
        let receiver = TestReceiver::start([Behaviour::Answers(text.to_owned())]).await;
        let (code, text) = Fixture::at(&receiver).await.fail().await;
        assert_eq!(code, "answer");
        assert_eq!(
            text,
            "The receiver closed the connection, or its answer is not HTTP"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_takes_no_connections() {
    let receiver = TestReceiver::start([answer("200 OK")]).await;
    let fixture = Fixture::at(&receiver).await;
    receiver.stop().await;
    let (code, text) = fixture.fail().await;
    assert_eq!(
        (&*code, &*text),
        ("connection", "The receiver does not take connections")
    );
}

#[tokio::test]
async fn a_receiver_with_tls_is_reached_by_its_name() {
    let authority = Authority::new("trusted");
    let tls = authority.server(NAME);
    let receiver = TestReceiver::with_tls(tls, [answer("200 OK")]).await;
    // The first address takes no connections, and the second one does.
    let unused = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let names = Names::new(&[&[unused, LOOPBACK]]);
    let url = format!("https://{NAME}:{}/{PATH}", receiver.port);
    let fixture = Fixture::new(url, trusting(&authority, names.clone())).await;
    assert_eq!(fixture.send().await, Outcome::Accepted);
    let host = format!("{NAME}:{}", receiver.port);
    assert_eq!(receiver.received()[0].headers["host"], host);
    assert_eq!(*names.asked.lock().unwrap(), [NAME]);
}

#[tokio::test]
async fn a_certificate_that_is_not_for_the_receiver_is_not_trusted() {
    let authority = Authority::new("trusted");
    let stranger = Authority::new("stranger");
    for (tls, reason) in [
        (authority.server("other.example"), "it is for another name"),
        (authority.expired_server(NAME), "it has expired"),
        (stranger.server(NAME), "its issuer is unknown"),
    ] {
        let receiver = TestReceiver::with_tls(tls, [answer("200 OK")]).await;
        let url = format!("https://{NAME}:{}/{PATH}", receiver.port);
        let settings = trusting(&authority, Names::new(&[&[LOOPBACK]]));
        let (code, text) = Fixture::new(url, settings).await.fail().await;
        assert_eq!(code, "certificate");
        assert_eq!(
            text,
            format!("The receiver has a certificate that is not trusted: {reason}")
        );
        assert!(receiver.received().is_empty());
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_gets_nothing() {
    let authority = Authority::new("trusted");
    let receiver = TestReceiver::start([Behaviour::AnswersAtOnce]).await;
    let url = format!("https://{NAME}:{}/{PATH}", receiver.port);
    let settings = trusting(&authority, Names::new(&[&[LOOPBACK]]));
    let (code, text) = Fixture::new(url.clone(), settings).await.fail().await;
    assert_eq!(code, "tls");
    assert_eq!(
        text,
        "The receiver does not speak TLS, or only an unsafe version of it"
    );
    // One that takes the connection and is silent is given up at the deadline.
    let silent = TestReceiver::start([Behaviour::ReadsNothing]).await;
    let url = url.replace(&receiver.port.to_string(), &silent.port.to_string());
    let settings = Settings {
        deadline: Duration::from_millis(200),
        ..trusting(&authority, Names::new(&[&[LOOPBACK]]))
    };
    assert_eq!(Fixture::new(url, settings).await.fail().await.0, "timeout");
}

#[tokio::test]
async fn a_name_that_leads_to_a_forbidden_address_is_not_connected_to() {
    let authority = Authority::new("trusted");
    let receiver = TestReceiver::with_tls(authority.server(NAME), [answer("200 OK")]).await;
    let v6: IpAddr = "::ffff:169.254.169.254".parse().unwrap();
    for answer in [
        &[METADATA][..],
        &[LOOPBACK, METADATA],
        &[METADATA, LOOPBACK],
        &[v6],
    ] {
        let url = format!("https://{NAME}:{}/{PATH}", receiver.port);
        let names = Names::new(&[answer]);
        let fixture = Fixture::new(url, trusting(&authority, names)).await;
        let (code, text) = fixture.fail().await;
        assert_eq!(code, "address");
        assert_eq!(text, "The receiver has an address that is not allowed");
    }
    // In production this machine is as forbidden as the metadata service.
    let url = format!("https://{NAME}:{}/{PATH}", receiver.port);
    let settings = Settings {
        reach: Reach::Public,
        ..trusting(&authority, Names::new(&[&[LOOPBACK]]))
    };
    assert_eq!(Fixture::new(url, settings).await.fail().await.0, "address");
    // Without TLS nothing but this machine is allowed, whatever `localhost` leads to.
    let url = format!("http://localhost:{}/{PATH}", receiver.port);
    let public = "1.1.1.1".parse().unwrap();
    let settings = trusting(&authority, Names::new(&[&[public]]));
    assert_eq!(Fixture::new(url, settings).await.fail().await.0, "address");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_connected_to_the_address_that_was_checked() {
    let authority = Authority::new("trusted");
    let receiver = TestReceiver::with_tls(authority.server(NAME), [answer("200 OK")]).await;
    let names = Names::new(&[&[LOOPBACK], &[METADATA]]);
    let url = format!("https://{NAME}:{}/{PATH}", receiver.port);
    let fixture = Fixture::new(url, trusting(&authority, names.clone())).await;
    assert_eq!(fixture.send().await, Outcome::Accepted);
    assert_eq!(names.lookups.load(Ordering::SeqCst), 1);
    assert_eq!(receiver.received().len(), 1);
    // The next request asks again, and no connection is left that it could use.
    assert_eq!(fixture.fail().await.0, "address");
    assert_eq!(names.lookups.load(Ordering::SeqCst), 2);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_name_without_an_address_says_so() {
    let settings = trusting(&Authority::new("trusted"), Names::new(&[&[]]));
    let fixture = Fixture::new(format!("https://{NAME}/{PATH}"), settings).await;
    let (code, text) = fixture.fail().await;
    assert_eq!(
        (&*code, &*text),
        (
            "name",
            "The receiver has a name whose address was not found"
        )
    );
}

#[tokio::test]
async fn an_address_in_the_url_of_a_stored_webhook_is_checked_too() {
    let receiver = TestReceiver::start([answer("200 OK")]).await;
    for url in [
        format!("http://127.0.0.1:{}/{PATH}", receiver.port),
        format!("https://127.0.0.1:{}/{PATH}", receiver.port),
        format!("https://2130706433:{}/{PATH}", receiver.port),
        format!("https://[::ffff:127.0.0.1]:{}/{PATH}", receiver.port),
    ] {
        let fixture = Fixture::new(url, Settings::new(Reach::Public)).await;
        assert_eq!(fixture.fail().await.0, "url");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn without_a_secret_nothing_is_sent() {
    let receiver = TestReceiver::start([answer("200 OK")]).await;
    let fixture = Fixture::at(&receiver).await;
    fixture
        .secrets
        .remove(&fixture.subscription.id)
        .await
        .unwrap();
    assert_eq!(fixture.fail().await.0, "secret");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_large_message_arrives_whole() {
    let receiver = TestReceiver::start([answer("200 OK")]).await;
    let fixture = Fixture::at(&receiver).await;
    let body = Bytes::from("x".repeat(1 << 20));
    assert_eq!(fixture.send_body(body.clone()).await, Outcome::Accepted);
    let request = receiver.received().remove(0);
    assert_eq!(request.body, body);
    let webhook = Webhook::new(&fixture.secret).unwrap();
    webhook.verify(&request.body, &request.headers).unwrap();
}
