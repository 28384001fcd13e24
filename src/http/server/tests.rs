use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::http::{answer, body};
use crate::protocol::json;

/// The number of bytes that a connection holds until the other side reads them.
const PIPE_BYTES: usize = 1024 * 1024;

/// Connections in memory, so that tests run in simulated time.
struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(pipe) => (pipe, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A running server.
struct Running {
    pipes: mpsc::UnboundedSender<DuplexStream>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

fn start() -> Running {
    let router = Router::new()
        .route("/echo", get(echo_query).post(echo_body))
        .route("/object", get(echo_query).post(read_object))
        .route("/unread", get(echo_query).post(refuse))
        .route("/large", get(large))
        .route("/slow", get(slow));
    let (pipes, accepted) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        let _ = stopped.await;
    };
    let server = serve(Pipes(accepted), router, Timeouts::default(), stopped);
    Running {
        pipes,
        stop,
        server: tokio::spawn(server),
    }
}

async fn echo_query(request: Request) -> String {
    request.uri().to_string()
}

async fn echo_body(body: String) -> String {
    body
}

async fn read_object(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, body::MAX_RESOURCE_BYTES).await;
    match bytes.and_then(|bytes| json::parse_object(&bytes)) {
        Ok(object) => Value::Object(object).to_string().into_response(),
        Err(error) => answer::error(&error),
    }
}

async fn refuse() -> (axum::http::StatusCode, &'static str) {
    (axum::http::StatusCode::FORBIDDEN, "no")
}

async fn large() -> String {
    "a".repeat(3 * PIPE_BYTES)
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(3)).await;
    "slow"
}

impl Running {
    fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        self.pipes.send(theirs).unwrap();
        Client(ours)
    }
}

/// The client's end of a connection.
struct Client(DuplexStream);

struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request with a body of known length, the body by itself and a second later.
    async fn post_in_two(&mut self, path: &str, body: &str) {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        self.send(head).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.send(body).await;
    }

    async fn answer(&mut self) -> Answered {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap_or("0").parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = String::from_utf8(body).unwrap();
        Answered { status, head, body }
    }

    /// What comes until the server closes the connection.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).await.unwrap();
        rest
    }

    async fn get(&mut self, target: &str) -> Answered {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        self.answer().await
    }
}

/// Sends a raw request and checks that it is understood.
async fn check_raw(client: &mut Client) {
    let answered = client.get("/echo?filter=a eq \"<b>\"").await;
    assert_eq!(answered.body, "/echo?filter=a%20eq%20%22%3Cb%3E%22");
    assert!(
        !answered.head.contains("connection: close"),
        "{}",
        answered.head
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_closed_after_ten_seconds() {
    let server = start();
    for head in ["", "GET /echo", "GET /echo HTTP/1.1\r\nHost: a\r\n"] {
        let begun = Instant::now();
        let mut client = server.connect();
        client.send(head).await;
        assert_eq!(client.rest().await, "");
        assert_eq!(begun.elapsed().as_secs(), 10, "{head:?}");
    }
    let mut client = server.connect();
    check_raw(&mut client).await;
    let begun = Instant::now();
    client.send("GET /ec").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_408() {
    let server = start();
    for framing in [
        "Content-Length: 9\r\n\r\n{\"a\"",
        "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n",
    ] {
        let begun = Instant::now();
        let mut client = server.connect();
        client
            .send(format!("POST /object HTTP/1.1\r\nHost: a\r\n{framing}"))
            .await;
        let answered = client.answer().await;
        assert_eq!(answered.status, 408);
        assert!(
            answered.body.contains("within 10 seconds"),
            "{}",
            answered.body
        );
        assert!(
            answered.head.contains("connection: close"),
            "{}",
            answered.head
        );
        assert_eq!(client.rest().await, "");
        assert_eq!(begun.elapsed().as_secs(), 10);
    }
    let mut client = server.connect();
    client.post_in_two("/object", "{\"a\":1}").await;
    assert_eq!(client.answer().await.body, "{\"a\":1}");
    check_raw(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_its_answer_loses_it_after_thirty_seconds() {
    let server = start();
    let request = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut patient = server.connect();
    patient
        .send("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(29)).await;
        let mut part = vec![0; PIPE_BYTES];
        patient.0.read_exact(&mut part).await.unwrap();
    }
    let rest = patient.rest().await.len();
    assert!((PIPE_BYTES..PIPE_BYTES + 500).contains(&rest), "{rest}");
    let mut client = server.connect();
    client.send(request).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(client.rest().await.len(), PIPE_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_is_400() {
    let server = start();
    let mut client = server.connect();
    client
        .send("POST /object HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        .await;
    client.0.shutdown().await.unwrap();
    let answered = client.answer().await;
    assert_eq!(answered.status, 400);
    assert!(answered.body.contains("ended before"), "{}", answered.body);
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_open_and_each_request_on_it_may_have_raw_characters() {
    let server = start();
    let mut client = server.connect();
    check_raw(&mut client).await;
    check_raw(&mut client).await;
    client.send("\r\n").await;
    check_raw(&mut client).await;
    for path in ["/echo", "/unread"] {
        let body = "{\"a\":1}";
        client
            .send(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n{body}"
            ))
            .await;
        client.answer().await;
        check_raw(&mut client).await;
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{body}\r\n0\r\n\r\n"))
            .await;
        client.answer().await;
        check_raw(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_in_pieces_is_understood() {
    let server = start();
    let mut client = server.connect();
    let request = "GET /echo?filter=a eq \"<b>\" HTTP/1.1\r\nHost: a\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(
        client.answer().await.body,
        "/echo?filter=a%20eq%20%22%3Cb%3E%22"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_looks_like_a_request_is_left_alone() {
    let server = start();
    let mut client = server.connect();
    let body = "GET /echo?\"\"\" HTTP/1.1\r\nHost: a\r\n\r\n";
    client.post_in_two("/echo", body).await;
    assert_eq!(client.answer().await.body, body);
    check_raw(&mut client).await;
    client.post_in_two("/echo", body).await;
    assert_eq!(client.answer().await.body, body);
    // The handler does not read this body. Its text is not taken for the next request.
    let head = format!(
        "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head).await;
    let refused = client.answer().await;
    assert_eq!((refused.status, refused.body.as_str()), (403, "no"));
    assert!(
        refused.head.contains("connection: close"),
        "{}",
        refused.head
    );
    // The server may have closed its end already.
    let _ = client.0.write_all(body.as_bytes()).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let server = start();
    let mut client = server.connect();
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let body = "GET /echo?\"\"\" HTTP/1.1\r\n\r\n";
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (first, second) = body.split_at(3);
    client
        .send(get("/echo?1") + &get("/echo?2") + &head + first)
        .await;
    assert_eq!(client.answer().await.body, "/echo?1");
    assert_eq!(client.answer().await.body, "/echo?2");
    client.send(second).await;
    assert_eq!(client.answer().await.body, body);
    client.send(get("/echo?3") + &get("/echo?\"")).await;
    assert_eq!(client.answer().await.body, "/echo?3");
    // It was read before the answer to the request before it, so it is not repaired. Its refusal is
    // still a SCIM error.
    check_refusal(&client.answer().await, 400);
}

fn check_refusal(answered: &Answered, status: u16) {
    let Answered { head, body, .. } = answered;
    assert_eq!(answered.status, status, "{head}");
    for line in [
        "content-type: application/scim+json",
        "connection: close",
        "x-request-id: ",
        "date: ",
    ] {
        assert!(head.contains(&format!("\r\n{line}")), "{head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], status.to_string());
    assert_eq!(
        body["schemas"][0],
        "urn:ietf:params:scim:api:messages:2.0:Error"
    );
    assert!(body["detail"].is_string());
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_http_are_refused_with_a_scim_error() {
    let server = start();
    let get = |rest: &str| format!("GET {rest}\r\n\r\n").into_bytes();
    let long = "a".repeat(70_000);
    let header = format!("/ HTTP/1.1\r\nX: {}", "a".repeat(MAX_HEAD_BYTES));
    let headers = format!("/ HTTP/1.1{}", "\r\nX: a".repeat(MAX_HEADERS + 1));
    let cases: Vec<(Vec<u8>, u16)> = vec![
        (get("/"), 400),
        (get("/\u{1} HTTP/1.1"), 400),
        (get("\" HTTP/1.1"), 400),
        (get("/ HTTP/1.1\r\nno header"), 400),
        (get("/ HTTP/1.1\r\nHost : a"), 400),
        (get("/ HTTP/1.1\r\nContent-Length: x"), 400),
        (
            get("/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2"),
            400,
        ),
        (get("/ HTTP/9.9"), 400),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n".to_vec(),
            400,
        ),
        (b"{\"schemas\": []}\r\n\r\n".to_vec(), 400),
        (get(&format!("/{long} HTTP/1.1")), 414),
        (get(&format!("/?{} HTTP/1.1", "\"".repeat(30_000))), 414),
        (get(&header), 431),
        (get(&headers), 431),
    ];
    for (request, status) in cases {
        let mut client = server.connect();
        check_raw(&mut client).await;
        client.send(&request).await;
        check_refusal(&client.answer().await, status);
        // What is still sent is read, so that the answer is not lost.
        client.send("x".repeat(10_000)).await;
        assert_eq!(client.rest().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_is_not_asked_to_continue() {
    let server = start();
    let mut client = server.connect();
    client
        .send(
            "POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        )
        .await;
    let refused = client.answer().await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.head.contains("connection: close"),
        "{}",
        refused.head
    );
    let mut client = server.connect();
    client
        .send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 100);
    client.send("ab").await;
    assert_eq!(client.answer().await.body, "ab");
    check_raw(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_answers_and_not_for_connections() {
    let Running {
        pipes,
        stop,
        server,
    } = start();
    let running = Running {
        pipes,
        stop: oneshot::channel().0,
        server: tokio::spawn(async {}),
    };
    let mut new = running.connect();
    let mut idle = running.connect();
    check_raw(&mut idle).await;
    let mut busy = running.connect();
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    stop.send(()).unwrap();
    assert_eq!(new.rest().await, "");
    assert_eq!(idle.rest().await, "");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(busy.answer().await.body, "slow");
    server.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn large_answers_pass_whole() {
    let running = start();
    let mut client = running.connect();
    let body = "\r\n".repeat(300_000);
    client
        .send(format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(client.answer().await.body, body);
}
