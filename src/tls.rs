//! TLS of the connections that this process makes: its versions, its ciphers, and whom it trusts.
//!
//! It must not know who is connected to.

use std::sync::{Arc, LazyLock};

use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The certificates that the machine trusts. They are read once, when they are needed first, because that
/// takes milliseconds. The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
///
/// Without any, every certificate of a server is refused.
#[must_use]
pub fn roots_of_machine() -> Arc<RootCertStore> {
    static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let error = found.errors.first();
            tracing::error!(
                error = error.map(|error| error as &dyn std::error::Error),
                "the machine has no certificates to trust"
            );
        }
        Arc::new(roots)
    });
    Arc::clone(&ROOTS)
}

/// TLS 1.2 and 1.3 by ring, without certificates of the client.
///
/// # Panics
/// Never: ring has the ciphers of both versions.
#[must_use]
pub fn client(roots: Arc<RootCertStore>) -> ClientConfig {
    let ring = Arc::new(crypto::ring::default_provider());
    ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
