//! One contract for every store of secrets.
//!
//! It runs on the secrets file, and on any Secrets Manager endpoint that `SECRETS_MANAGER_ENDPOINT`
//! names, such as `http://127.0.0.1:5000` of `moto_server`.

use std::io::Write;
use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use scim_lambda::aws;
use scim_lambda::clock::SystemClock;
use scim_lambda::identity::TenantId;
use scim_lambda::tenant::{
    Authenticator, CredentialKind, Credentials, Issuer, NewCredential, Permissions, RequestHead,
    SecretError, SecretStore, SecretsFile, SecretsManager, StackKeys,
};

#[tokio::test]
async fn the_secrets_file_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secrets.json");
    let [one, two] = [(); 2].map(|()| Arc::new(SecretsFile::new(&path)));
    one.create_if_missing().unwrap();
    check_contract(one, two, "dev").await;
}

#[tokio::test]
async fn secrets_manager_keeps_the_contract() {
    let Ok(endpoint) = std::env::var("SECRETS_MANAGER_ENDPOINT") else {
        // Written past the test harness, which hides the output of a passing test.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: Secrets Manager was not tested, SECRETS_MANAGER_ENDPOINT is not set"
        );
        return;
    };
    let config = aws::emulator(&endpoint);
    let [one, two] = [(); 2].map(|()| Arc::new(SecretsManager::new(&config)));
    // Endpoints outlive a test run, so each run has names of its own.
    let stack = format!("contract-{}", std::process::id());
    check_contract(one.clone(), two, &stack).await;
    check_deletion(&*one, &Client::new(&config), &format!("{stack}/stack")).await;
}

/// A secret that was marked for deletion is gone for its readers at once.
async fn check_deletion(store: &dyn SecretStore, client: &Client, name: &str) {
    assert!(store.get(name).await.unwrap().is_some());
    let delete = client.delete_secret().secret_id(name);
    delete.send().await.unwrap();
    assert!(store.get(name).await.unwrap().is_none());
}

/// `one` and `two` are the same store in two processes.
async fn check_contract(one: Arc<dyn SecretStore>, two: Arc<dyn SecretStore>, stack: &str) {
    check_creation(&*one, &*two, &format!("{stack}/tenants/created")).await;
    check_replacement(&*one, &*two, &format!("{stack}/tenants/replaced")).await;
    check_removal(&*one, &*two, &format!("{stack}/webhooks/removed")).await;
    check_names(&*one, &format!("{stack}/names/")).await;
    let (ours, theirs) = (Arc::clone(&one), Arc::clone(&two));
    check_stack_secret(ours, theirs, &format!("{stack}/stack")).await;
    check_token(one, two, stack).await;
}

async fn check_creation(one: &dyn SecretStore, two: &dyn SecretStore, name: &str) {
    assert!(one.get(name).await.unwrap().is_none());
    let version = one.put(name, "first", None).await.unwrap();
    let found = two.get(name).await.unwrap().unwrap();
    assert_eq!(found.value, "first");
    assert_eq!(found.version, version);
    let again = two.put(name, "second", None).await;
    assert!(matches!(again, Err(SecretError::Conflict)));
    assert_eq!(one.get(name).await.unwrap().unwrap().value, "first");
}

async fn check_replacement(one: &dyn SecretStore, two: &dyn SecretStore, name: &str) {
    let first = one.put(name, "first", None).await.unwrap();
    let second = two.put(name, "second", Some(&first)).await.unwrap();
    assert_ne!(first, second);
    let late = one.put(name, "late", Some(&first)).await;
    assert!(matches!(late, Err(SecretError::Conflict)));
    let found = one.get(name).await.unwrap().unwrap();
    assert_eq!(found.value, "second");
    assert_eq!(found.version, second);
    // The loser reads again and succeeds then, even with an equal value.
    let third = one.put(name, "late", Some(&second)).await.unwrap();
    one.put(name, "late", Some(&third)).await.unwrap();
    assert_eq!(two.get(name).await.unwrap().unwrap().value, "late");
}

async fn check_removal(one: &dyn SecretStore, two: &dyn SecretStore, name: &str) {
    one.remove(name).await.unwrap();
    let first = one.put(name, "first", None).await.unwrap();
    two.remove(name).await.unwrap();
    assert!(one.get(name).await.unwrap().is_none());
    assert!(one.put(name, "late", Some(&first)).await.is_err());
    assert_eq!(one.names(name).await.unwrap(), [""; 0]);
    // The name is free again.
    one.put(name, "second", None).await.unwrap();
    assert_eq!(two.get(name).await.unwrap().unwrap().value, "second");
    one.remove(name).await.unwrap();
    one.remove(name).await.unwrap();
    assert!(two.get(name).await.unwrap().is_none());
}

async fn check_names(store: &dyn SecretStore, prefix: &str) {
    for n in 0..12 {
        let name = format!("{prefix}{n}");
        store.put(&name, "x", None).await.unwrap();
    }
    store.put(&prefix.to_uppercase(), "x", None).await.unwrap();
    let mut names = store.names(prefix).await.unwrap();
    names.sort();
    let mut expected: Vec<String> = (0..12).map(|n| format!("{prefix}{n}")).collect();
    expected.sort();
    assert_eq!(names, expected);
}

async fn check_stack_secret(one: Arc<dyn SecretStore>, two: Arc<dyn SecretStore>, name: &str) {
    let clock = || Arc::new(SystemClock);
    assert!(StackKeys::open(one.clone(), name, clock()).await.is_err());
    let made = StackKeys::open_or_create(one, name, clock()).await.unwrap();
    let read = StackKeys::open_or_create(two, name, clock()).await.unwrap();
    let key = |keys: &StackKeys| keys.signing().derive("any");
    assert_eq!(key(&made), key(&read));
    // Of two processes that add a key at the same time one does.
    let both = tokio::join!(made.rotate(), read.rotate());
    assert_eq!(both.0.unwrap().len(), 2);
    assert_eq!(both.1.unwrap().len(), 2);
    assert_eq!(made.states().await.unwrap().len(), 2);
    assert_eq!(key(&made), key(&read));
}

/// A token that one process makes opens the tenant in another, until it is revoked.
async fn check_token(one: Arc<dyn SecretStore>, two: Arc<dyn SecretStore>, stack: &str) {
    let name = format!("{stack}/stack");
    let clock = Arc::new(SystemClock);
    let key = StackKeys::open(one.clone(), &name, clock.clone());
    let key = Arc::new(key.await.unwrap());
    let issuer = Issuer::new(key.clone(), Credentials::new(one, stack), clock.clone());
    let acme = TenantId::parse("acme").unwrap();
    issuer.create_tenant(&acme).await.unwrap();
    let new = NewCredential {
        kind: CredentialKind::Bearer,
        label: "okta".to_owned(),
        lifetime_seconds: Some(3600),
        permissions: Permissions::All,
        role: None,
        user: None,
        jwks: None,
    };
    let issued = issuer.create_credential(&acme, new).await.unwrap();
    let credentials = Credentials::new(two, stack);
    let ask = async || {
        // A new authenticator has nothing cached.
        Authenticator::new(key.clone(), credentials.clone(), clock.clone())
            .authenticate(&head(&format!("Bearer {}", issued.secret)), async |_, _| {
                Ok(false)
            })
            .await
    };
    let caller = ask().await.unwrap();
    assert_eq!(caller.tenant, acme);
    assert_eq!(caller.credential, issued.credential.id);
    issuer.revoke(&acme, &caller.credential).await.unwrap();
    assert_eq!(ask().await.unwrap_err().error.status(), 401);
}

fn head(authorization: &str) -> RequestHead<'_> {
    RequestHead {
        authorization: Some(authorization),
        tenant: None,
        method: "GET",
        path: "/scim/v2/Users",
        query: None,
        date: None,
        content_md5: None,
        content_type: None,
    }
}
