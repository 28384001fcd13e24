//! One process of the service: the shipped router, on a connection to the table that may fail.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use scim_lambda::http::{self, Admission, PublicUrl, RequestRates, Service, StatusLog};
use scim_lambda::identity::TenantId;
use scim_lambda::tenant::{
    Authenticator, Credentials, Issuer, SecretStore, SecretsFile, StackKeys,
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::simulation::{Call, Fault, Line, Process, World};
use crate::support::{bearer, stack_keys};

/// Where the tokens of two tenants are kept.
pub(crate) struct Secrets {
    folder: TempDir,
    keys: Arc<StackKeys>,
    /// Each tenant with a token that may do everything.
    pub(crate) tokens: Vec<(TenantId, String)>,
}

/// A process.
pub(crate) struct Node {
    pub(crate) service: Arc<Service>,
    pub(crate) line: Arc<Line>,
    router: Router,
}

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The number of seconds after which the request may be sent again, if the answer says it.
    pub(crate) retry_after: Option<u64>,
    pub(crate) json: Value,
}

impl Secrets {
    /// Makes the tenants and their tokens.
    pub(crate) async fn new(world: &World, tenants: &[&str]) -> Self {
        let mut secrets = Self {
            folder: tempfile::tempdir().unwrap(),
            keys: stack_keys(world.clock()),
            tokens: Vec::new(),
        };
        SecretsFile::new(secrets.path())
            .create_if_missing()
            .unwrap();
        let (keys, credentials) = (Arc::clone(&secrets.keys), secrets.credentials());
        let issuer = Issuer::new(keys, credentials, world.clock());
        for tenant in tenants {
            let tenant = TenantId::parse(tenant).unwrap();
            issuer.create_tenant(&tenant).await.unwrap();
            let new = bearer();
            let issued = issuer.create_credential(&tenant, new).await.unwrap();
            secrets.tokens.push((tenant, issued.secret));
        }
        secrets
    }

    /// One more process on this table.
    pub(crate) fn node(&self, world: &World) -> Node {
        self.node_with(world, RequestRates::default())
    }

    /// One more process that counts requests with `rates`.
    pub(crate) fn node_with(&self, world: &World, rates: RequestRates) -> Node {
        let Process { provider, line, .. } = world.process();
        let (keys, credentials) = (Arc::clone(&self.keys), self.credentials());
        let service = Arc::new(Service {
            provider: Arc::new(provider),
            authenticator: Authenticator::new(keys, credentials, world.clock()),
            admission: Admission::default(),
            status: StatusLog::new(world.clock()),
            rates,
            public_url: Some(PublicUrl::parse("https://directory.example.com").unwrap()),
            server_timing: false,
            docs: None,
        });
        let router = http::router(Arc::clone(&service));
        Node {
            service,
            line,
            router,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("secrets.json")
    }

    fn credentials(&self) -> Credentials {
        let file: Arc<dyn SecretStore> = Arc::new(SecretsFile::new(self.path()));
        Credentials::new(file, "test")
    }
}

impl Node {
    /// Sends a request, with a JSON body unless it is null.
    pub(crate) async fn send(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", format!("Bearer {token}"));
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request
                .header("Content-Type", "application/scim+json")
                .body(Body::from(body.to_string())),
        };
        let response = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Reply {
            status,
            retry_after,
            json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// May let one of the next calls fail: the process dies before or after it, or its request or answer is
    /// lost. In most cases no call fails. Some processes are also slow, so that others overtake them between
    /// any two calls.
    pub(crate) fn endanger(&self, calls: u64) {
        let fault = match fastrand::u8(..16) {
            0 | 1 => Some(Fault::Kill),
            2 | 3 => Some(Fault::KillAfter),
            4 => Some(Fault::LoseAnswer),
            5 => Some(Fault::LoseRequest),
            _ => None,
        };
        let unlucky = fastrand::u64(..calls);
        let slowness: u64 = [0, 0, 30, 300][fastrand::usize(..4)];
        self.line.plan(move |call: &Call| {
            let fault = fault.filter(|_| call.number == unlucky);
            let is_slow = slowness > 0 && fastrand::u8(..4) == 0;
            fault.or_else(|| is_slow.then(|| Fault::Slow(fastrand::u64(..slowness))))
        });
    }
}
