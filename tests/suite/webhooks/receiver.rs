//! A receiver of webhooks that behaves as a test wants it to, on a port of this machine.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

/// The name of a receiver with TLS.
pub(crate) const NAME: &str = "receiver.example";
/// The body of an answer, which no failure may show.
pub(crate) const ANSWER: &str = "an answer of the receiver";

const GIGABYTE: u64 = 1 << 30;

/// What a receiver does on one connection.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Reads the request, writes this and closes the connection.
    Answers(String),
    /// Writes an answer without a request, and closes the connection.
    AnswersAtOnce,
    /// Reads the request, writes this and goes on waiting.
    Hangs(String),
    /// Reads the request, writes this and then one byte at a time.
    Drips(String),
    /// Reads the request, and answers with 1 GB.
    Floods,
    /// Takes the connection and does nothing.
    ReadsNothing,
}

/// A request as it has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What a receiver has seen.
struct Seen {
    connections: AtomicUsize,
    received: Mutex<Vec<Received>>,
    written: AtomicU64,
    /// The number of requests that have arrived.
    arrived: watch::Sender<usize>,
    /// The number of connections that have ended.
    closed: watch::Sender<usize>,
}

pub(crate) struct TestReceiver {
    pub(crate) port: u16,
    seen: Arc<Seen>,
    behaviours: Arc<Mutex<Vec<Behaviour>>>,
    accepting: JoinHandle<()>,
}

impl TestReceiver {
    /// A receiver that behaves on each connection as the next of `behaviours` says, and as the last one from
    /// then on.
    pub(crate) async fn start<const N: usize>(behaviours: [Behaviour; N]) -> Self {
        Self::with(None, behaviours.to_vec()).await
    }

    /// The same with TLS.
    pub(crate) async fn with_tls<const N: usize>(
        tls: TlsAcceptor,
        behaviours: [Behaviour; N],
    ) -> Self {
        Self::with(Some(tls), behaviours.to_vec()).await
    }

    async fn with(tls: Option<TlsAcceptor>, behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen {
            connections: AtomicUsize::new(0),
            received: Mutex::default(),
            written: AtomicU64::new(0),
            arrived: watch::Sender::new(0),
            closed: watch::Sender::new(0),
        });
        let behaviours = Arc::new(Mutex::new(behaviours));
        let accepting = accept(listener, tls, Arc::clone(&behaviours), Arc::clone(&seen));
        Self {
            port,
            seen,
            behaviours,
            accepting: tokio::spawn(accepting),
        }
    }

    /// The requests that have arrived.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.seen.received.lock().unwrap().clone()
    }

    /// The number of connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// The number of bytes that its socket took from a [`Behaviour::Floods`].
    pub(crate) fn written(&self) -> u64 {
        self.seen.written.load(Ordering::SeqCst)
    }

    /// Behaves like this from the next connection on.
    pub(crate) fn turn(&self, behaviour: Behaviour) {
        *self.behaviours.lock().unwrap() = vec![behaviour];
    }

    /// Waits until this number of requests have arrived.
    pub(crate) async fn wait_for(&self, count: usize) {
        let mut arrived = self.seen.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= count).await.unwrap();
    }

    /// Waits until the first connection has ended, which a receiver that hangs leaves to the sender.
    pub(crate) async fn wait_until_closed(&self) {
        let mut closed = self.seen.closed.subscribe();
        closed.wait_for(|closed| *closed > 0).await.unwrap();
    }

    /// Takes no more connections.
    pub(crate) async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    behaviours: Arc<Mutex<Vec<Behaviour>>>,
    seen: Arc<Seen>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let behaviour = {
            let mut left = behaviours.lock().unwrap();
            match left.len() {
                1 => left[0].clone(),
                _ => left.remove(0),
            }
        };
        tokio::spawn(connection(
            stream,
            tls.clone(),
            behaviour,
            Arc::clone(&seen),
        ));
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    behaviour: Behaviour,
    seen: Arc<Seen>,
) {
    match tls {
        None => behave(stream, behaviour, &seen).await,
        Some(tls) => {
            // A sender that does not trust the certificate ends the handshake.
            if let Ok(mut stream) = tls.accept(stream).await {
                behave(&mut stream, behaviour, &seen).await;
                let _ = stream.shutdown().await;
            }
        }
    }
    seen.closed.send_modify(|closed| *closed += 1);
}

/// Whatever is written may fail, because the sender may be gone.
async fn behave(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    behaviour: Behaviour,
    seen: &Seen,
) {
    match &behaviour {
        Behaviour::AnswersAtOnce => {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            return until_closed(stream).await;
        }
        Behaviour::ReadsNothing => return std::future::pending().await,
        _ => {}
    }
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    seen.received.lock().unwrap().push(request);
    seen.arrived.send_modify(|arrived| *arrived += 1);
    match behaviour {
        Behaviour::Answers(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Behaviour::Hangs(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            until_closed(stream).await;
        }
        Behaviour::Drips(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            drip(stream).await;
        }
        Behaviour::Floods => flood(stream, seen).await,
        Behaviour::AnswersAtOnce | Behaviour::ReadsNothing => unreachable!("handled above"),
    }
}

/// Reads a request with a `Content-Length`. `None` if the sender closes the connection before its end.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        read_more(stream, &mut bytes).await?;
    };
    let body_start = head_end + 4;
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: HeaderMap = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    while bytes.len() < body_start + length {
        read_more(stream, &mut bytes).await?;
    }
    let body = bytes.split_off(body_start);
    Some(Received {
        line,
        headers,
        body,
    })
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

async fn until_closed(mut stream: impl AsyncRead + Unpin) {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

/// Writes a byte now and then, until the sender is gone.
async fn drip(mut stream: impl AsyncWrite + Unpin) {
    let mut turns = tokio::time::interval(Duration::from_millis(20));
    loop {
        turns.tick().await;
        if stream.write_all(b"x").await.is_err() {
            return;
        }
    }
}

/// Answers with 1 GB, or with as much of it as the sender takes.
async fn flood(mut stream: impl AsyncWrite + Unpin, seen: &Seen) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {GIGABYTE}\r\n\r\n");
    let part = vec![b'x'; 1 << 16];
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    while seen.written.load(Ordering::SeqCst) < GIGABYTE {
        match stream.write(&part).await {
            Ok(written) => seen.written.fetch_add(written as u64, Ordering::SeqCst),
            Err(_) => return,
        };
    }
}

/// An authority that signs the certificates of receivers.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self {
            certificate: params.self_signed(&key).unwrap().into(),
            issuer: Issuer::new(params, key),
        }
    }

    /// What a sender has to trust.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// TLS with a certificate for `name`.
    pub(crate) fn server(&self, name: &str) -> TlsAcceptor {
        self.sign(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    /// The same with a certificate that was valid once.
    pub(crate) fn expired_server(&self, name: &str) -> TlsAcceptor {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.into()], key)
                .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
