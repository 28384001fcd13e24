use super::*;
use crate::clock::manual::ManualClock;
use crate::protocol::error::ErrorKind;
use crate::tenant::test_keys::keys_of;
use crate::tenant::test_secrets::TestSecrets;

fn issuer(secrets: &Arc<TestSecrets>) -> Issuer {
    let keys = Arc::new(keys_of(&"7".repeat(32), 1000));
    let credentials = Credentials::new(secrets.clone(), "test");
    Issuer::new(keys, credentials, Arc::new(ManualClock::at_seconds(1000)))
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn new(kind: CredentialKind, label: &str) -> NewCredential {
    NewCredential {
        kind,
        label: label.to_owned(),
        lifetime_seconds: Some(500),
        permissions: Permissions::All,
        role: None,
        user: None,
        jwks: None,
    }
}

#[tokio::test]
async fn the_stored_credential_does_not_contain_its_secret() {
    let secrets = Arc::new(TestSecrets::default());
    let issuer = issuer(&secrets);
    let acme = tenant("acme");
    issuer.create_tenant(&acme).await.unwrap();
    for kind in [
        CredentialKind::Bearer,
        CredentialKind::Basic,
        CredentialKind::Mac,
    ] {
        let issue = issuer.create_credential(&acme, new(kind, "okta"));
        let issued = issue.await.unwrap();
        let kept = secrets.value("test/tenants/acme");
        assert!(kept.contains(issued.credential.id.as_str()));
        assert!(!kept.contains(&issued.secret));
        assert_eq!(issued.credential.expires, Some(1500));
        assert!(!format!("{issued:?}").contains(&issued.secret));
    }
}

#[tokio::test]
async fn credentials_are_listed_until_they_are_revoked() {
    let issuer = issuer(&Arc::default());
    let acme = tenant("acme");
    issuer.create_tenant(&acme).await.unwrap();
    let mut ids = Vec::new();
    for label in ["first", "second"] {
        let issue = issuer.create_credential(&acme, new(CredentialKind::Bearer, label));
        ids.push(issue.await.unwrap().credential.id);
    }
    assert!(issuer.revoke(&acme, &ids[0]).await.unwrap());
    let left = issuer.credentials(&acme).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, ids[1]);
    assert!(!issuer.revoke(&acme, &ids[0]).await.unwrap());
    assert_eq!(issuer.revoke_all(&acme).await.unwrap(), 1);
    assert_eq!(issuer.revoke_all(&acme).await.unwrap(), 0);
}

#[tokio::test]
async fn tenants_are_created_once_and_listed() {
    let issuer = issuer(&Arc::default());
    for name in ["beta", "acme"] {
        issuer.create_tenant(&tenant(name)).await.unwrap();
    }
    let again = issuer.create_tenant(&tenant("acme")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let tenants = issuer.tenants().await.unwrap();
    assert_eq!(tenants, [tenant("acme"), tenant("beta")]);
}

#[tokio::test]
async fn an_unknown_tenant_is_named() {
    let issuer = issuer(&Arc::default());
    let nobody = tenant("nobody");
    let error = issuer.credentials(&nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.detail().contains("nobody"));
    let new = new(CredentialKind::Bearer, "okta");
    let error = issuer.create_credential(&nobody, new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn only_permissions_of_the_catalogue_are_given() {
    let issuer = issuer(&Arc::default());
    let acme = tenant("acme");
    issuer.create_tenant(&acme).await.unwrap();
    let issue = |permission: &str| {
        let permissions = Permissions::of_credential([permission]);
        let new = NewCredential {
            permissions,
            ..new(CredentialKind::Bearer, "okta")
        };
        issuer.create_credential(&acme, new)
    };
    assert!(issue("users:read").await.is_ok());
    let error = issue("users:raed").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    assert!(error.detail().contains("users:raed"), "{error}");
}

#[tokio::test]
async fn a_token_of_a_user_is_stored_with_what_it_may_do() {
    let issuer = issuer(&Arc::default());
    let acme = tenant("acme");
    issuer.create_tenant(&acme).await.unwrap();
    let of_user = NewCredential {
        user: Some("ada".to_owned()),
        ..new(CredentialKind::Bearer, "okta")
    };
    let with_role = NewCredential {
        role: Some("reader".to_owned()),
        ..of_user.clone()
    };
    let issue = async |new| {
        let issued = issuer.create_credential(&acme, new).await.unwrap();
        issued.credential.permissions
    };
    let expected = Permissions::of_user();
    assert_eq!(issue(of_user).await.map(Permissions::Only), Some(expected));
    assert_eq!(issue(with_role).await, None);
}

#[tokio::test]
async fn issuers_at_the_same_time_lose_no_credential() {
    let secrets = Arc::new(TestSecrets::default());
    let (one, two) = (issuer(&secrets), issuer(&secrets));
    let acme = tenant("acme");
    one.create_tenant(&acme).await.unwrap();
    let made = tokio::join!(
        one.create_credential(&acme, new(CredentialKind::Bearer, "one")),
        two.create_credential(&acme, new(CredentialKind::Bearer, "two")),
    );
    assert!(made.0.is_ok() && made.1.is_ok());
    assert_eq!(one.credentials(&acme).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_tenant_has_at_most_a_hundred_credentials() {
    let issuer = issuer(&Arc::default());
    let acme = tenant("acme");
    issuer.create_tenant(&acme).await.unwrap();
    for _ in 0..MAX_CREDENTIALS {
        let issue = issuer.create_credential(&acme, new(CredentialKind::Mac, "sync"));
        issue.await.unwrap();
    }
    let one_more = issuer.create_credential(&acme, new(CredentialKind::Mac, "sync"));
    assert_eq!(one_more.await.unwrap_err().kind(), ErrorKind::TooMany);
}
