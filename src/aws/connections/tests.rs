use std::future::Future;

use http_body_util::BodyExt;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The port of a server that handles its connections one after the other, each with its number from 0 on.
async fn server<F: Future<Output = ()> + Send>(
    handle: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            handle(number, stream).await;
        }
    });
    port
}

/// The head of a request; empty if the client has closed the connection.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Writes the same answer to every request of a connection.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    while !request(&mut stream).await.is_empty() {
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn plain() -> SharedHttpConnector {
    connector(Arc::new(RootCertStore::empty()))
}

async fn get(connector: &SharedHttpConnector, uri: &str) -> Result<String, ConnectorError> {
    get_with(connector, HttpRequest::get(uri).unwrap()).await
}

async fn get_with(
    connector: &SharedHttpConnector,
    request: HttpRequest,
) -> Result<String, ConnectorError> {
    let answer = connector.call(request).await?;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// The failure of a request to a server that reads it, writes this and closes the connection.
async fn failure_after(text: &'static str) -> ConnectorError {
    let port = server(move |_, mut stream| async move {
        request(&mut stream).await;
        stream.write_all(text.as_bytes()).await.unwrap();
    });
    let uri = format!("http://127.0.0.1:{}/", port.await);
    get(&plain(), &uri).await.unwrap_err()
}

#[tokio::test]
async fn requests_share_a_connection_until_the_sdk_gives_it_up() {
    let port = server(|number, stream| async move {
        tokio::spawn(async move {
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
            answer(stream, &text).await;
        });
    });
    let uri = format!("http://127.0.0.1:{}/", port.await);
    let connector = plain();
    for _ in 0..2 {
        assert_eq!(get(&connector, &uri).await.unwrap(), "0");
    }
    let capture = CaptureSmithyConnection::new();
    let mut request = HttpRequest::get(&uri).unwrap();
    request.add_extension(capture.clone());
    assert_eq!(get_with(&connector, request).await.unwrap(), "0");
    capture.get().unwrap().poison();
    assert_eq!(get(&connector, &uri).await.unwrap(), "1");
}

#[tokio::test]
async fn a_server_that_refuses_the_connection_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let failure = get(&plain(), &uri).await.unwrap_err();
    assert!(failure.is_io(), "{failure:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_tried_again() {
    for text in ["", "HTTP/1.1 200"] {
        let failure = failure_after(text).await;
        let transient = Some(ErrorKind::TransientError);
        assert_eq!(failure.as_other(), transient, "{text:?}: {failure:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_not_tried_again() {
    let failure = failure_after("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    assert!(
        failure.is_other() && failure.as_other().is_none(),
        "{failure:?}"
    );
}

/// The clock goes on by itself when all tasks wait.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_during_the_handshake_times_out() {
    let port = server(|_, stream| async move {
        tokio::spawn(async move { answer(stream, "").await });
    });
    let uri = format!("https://127.0.0.1:{}/", port.await);
    let failure = get(&plain(), &uri).await.unwrap_err();
    assert!(failure.is_timeout(), "{failure:?}");
}

#[tokio::test]
async fn a_server_with_tls_needs_a_certificate_of_the_roots() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private);
    let mut tls = tls.unwrap();
    // Also a server that would rather speak HTTP/2 gets HTTP/1.1, which needs no name in the handshake.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let port = server(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            // The client that does not trust the certificate ends the handshake.
            if let Ok(stream) = acceptor.accept(stream).await {
                assert_eq!(stream.get_ref().1.alpn_protocol(), None);
                tokio::spawn(async move { answer(stream, OK).await });
            }
        }
    });
    let uri = format!("https://localhost:{}/", port.await);
    let failure = get(&plain(), &uri).await.unwrap_err();
    assert!(failure.is_io(), "{failure:?}");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let connector = connector(Arc::new(roots));
    assert_eq!(get(&connector, &uri).await.unwrap(), "ok");
}
