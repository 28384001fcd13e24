use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;

use super::*;
use crate::clock::manual::ManualClock;
use crate::protocol::error::ErrorKind;
use crate::tenant::mac::secret as mac_key;
use crate::tenant::test_keys::keys_of;
use crate::tenant::test_secrets::TestSecrets;
use crate::tenant::{Issued, Issuer, KeyId, NewCredential, Token};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DATE_SECONDS: u64 = 784_111_777;

struct Fixture {
    secrets: Arc<TestSecrets>,
    clock: Arc<ManualClock>,
    issuer: Issuer,
    authenticator: Authenticator,
}

impl Fixture {
    /// The tenants `acme` and `other`.
    async fn new() -> Self {
        let secrets = Arc::new(TestSecrets::default());
        let clock = Arc::new(ManualClock::at_seconds(DATE_SECONDS));
        let stack = Arc::new(keys_of(&"7".repeat(32), DATE_SECONDS));
        let credentials = Credentials::new(secrets.clone(), "test");
        let issuer = Issuer::new(stack.clone(), credentials.clone(), clock.clone());
        let authenticator = Authenticator::new(stack, credentials, clock.clone());
        issuer.create_tenant(&tenant("acme")).await.unwrap();
        issuer.create_tenant(&tenant("other")).await.unwrap();
        Self {
            secrets,
            clock,
            issuer,
            authenticator,
        }
    }

    async fn issue(&self, kind: CredentialKind) -> Issued {
        self.issue_new(new(kind)).await
    }

    async fn issue_new(&self, new: NewCredential) -> Issued {
        let acme = tenant("acme");
        self.issuer.create_credential(&acme, new).await.unwrap()
    }

    async fn ask(&self, head: &RequestHead<'_>) -> Result<Caller> {
        let all = async |_, _| Ok(true);
        let caller = self.authenticator.authenticate(head, all).await;
        caller.map_err(|refusal| refusal.error)
    }

    async fn ask_with(&self, authorization: &str) -> Result<Caller> {
        self.ask(&head(Some(authorization))).await
    }

    async fn check_refused(&self, authorization: &str) {
        let refused = self.ask_with(authorization).await.unwrap_err();
        check_refusal(&refused);
    }

    /// The same for a credential that this stack has issued.
    async fn check_ended(&self, authorization: &str, detail: &str) {
        let refused = self.ask_with(authorization).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unauthorized);
        assert_eq!(refused.detail(), detail);
    }

    /// The same for a header without the form of any kind of credential.
    async fn check_malformed(&self, authorization: &str) {
        let refused = self.ask_with(authorization).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unauthorized);
        let detail = refused.detail();
        assert!(detail.contains("`Authorization: Bearer TOKEN`"), "{detail}");
        assert!(!detail.contains("scim_"), "{detail}");
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn new(kind: CredentialKind) -> NewCredential {
    NewCredential {
        kind,
        label: "okta".to_owned(),
        lifetime_seconds: None,
        permissions: Permissions::All,
        role: None,
        user: None,
        jwks: None,
    }
}

fn head(authorization: Option<&str>) -> RequestHead<'_> {
    RequestHead {
        authorization,
        tenant: None,
        method: "GET",
        path: "/scim/v2/Users",
        query: None,
        date: Some(DATE),
        content_md5: None,
        content_type: None,
    }
}

fn bearer(issued: &Issued) -> String {
    format!("Bearer {}", issued.secret)
}

fn basic(user_name: &str, password: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{user_name}:{password}"))
    )
}

/// Signs `head` as a client does, with the key that it was given.
fn mac(key_id: &str, secret: &str) -> String {
    let key = STANDARD.decode(secret).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let message = format!("GET\n\n\n{DATE}\n/scim/v2/Users");
    let signature = STANDARD.encode(hmac::sign(&key, message.as_bytes()));
    format!("IONIC {key_id}:{signature}")
}

fn check_refusal(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.detail(), unauthorized().detail());
    assert!(std::error::Error::source(error).is_none());
}

#[tokio::test]
async fn a_server_can_authenticate_on_any_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let fixture = Fixture::new().await;
    let answer = is_send(fixture.ask_with("Bearer abc")).await;
    check_refusal(&answer.unwrap_err());
}

#[tokio::test]
async fn every_kind_leads_to_its_tenant() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    let login = fixture.issue(CredentialKind::Basic).await;
    let key = fixture.issue(CredentialKind::Mac).await;
    let key_id = key.user_name.as_deref().unwrap();
    let presented = [
        (bearer(&token), &token),
        (format!("bEARER  {} ", token.secret), &token),
        (basic("okta@acme", &login.secret), &login),
        (basic("okta", &login.secret), &login),
        (mac(key_id, &key.secret), &key),
    ];
    for (authorization, issued) in presented {
        let caller = fixture.ask_with(&authorization).await.unwrap();
        assert_eq!(caller.tenant, tenant("acme"), "{authorization}");
        assert_eq!(caller.credential, issued.credential.id, "{authorization}");
        assert_eq!(caller.permissions, Permissions::All, "{authorization}");
    }
}

#[tokio::test]
async fn a_forged_credential_is_refused_without_a_read() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    let mut forged = bearer(&token);
    forged.pop();
    let before = fixture.secrets.reads();
    check_refusal(&fixture.ask(&head(None)).await.unwrap_err());
    fixture.check_refused("").await;
    fixture.check_refused("Bearer").await;
    fixture.check_refused("Bearer abc").await;
    fixture
        .check_refused(&format!("Token {}", token.secret))
        .await;
    fixture.check_refused(&forged).await;
    fixture.check_refused("Basic ???").await;
    fixture.check_refused(&basic("okta@acme", "hunter2")).await;
    fixture.check_refused("IONIC").await;
    fixture.check_refused("IONIC abc").await;
    fixture
        .check_refused(&mac("abc@acme", &STANDARD.encode("guess")))
        .await;
    assert_eq!(fixture.secrets.reads(), before);
}

#[tokio::test]
async fn a_header_of_the_wrong_form_is_answered_with_the_right_form() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await.secret;
    let before = fixture.secrets.reads();
    for authorization in [
        token.clone(),
        "abc".to_owned(),
        format!("Bearer Bearer {token}"),
        "bearer BEARER abc".to_owned(),
        "Bearer bearer".to_owned(),
        format!("Bearer{token}"),
        format!("Authorization: Bearer {token}"),
    ] {
        fixture.check_malformed(&authorization).await;
    }
    assert_eq!(fixture.secrets.reads(), before);
}

#[tokio::test]
async fn a_token_of_a_tenant_that_is_gone_is_a_revoked_one() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    let id = &token.credential.id;
    fixture.issuer.revoke(&tenant("acme"), id).await.unwrap();
    fixture
        .check_ended(&bearer(&token), "The token was revoked")
        .await;
    let stack = &fixture.authenticator.keys.signing();
    let of_nobody = Token::mint(stack, &tenant("nobody"), id, [1; 32]);
    let of_nobody = format!("Bearer {}", of_nobody.as_str());
    let before = fixture.secrets.reads();
    fixture
        .check_ended(&of_nobody, "The token was revoked")
        .await;
    fixture
        .check_ended(&of_nobody, "The token was revoked")
        .await;
    assert_eq!(fixture.secrets.reads(), before + 1);
}

#[tokio::test]
async fn a_token_with_another_random_part_is_refused() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    let stack = &fixture.authenticator.keys.signing();
    let id = &token.credential.id;
    let other = Token::mint(stack, &tenant("acme"), id, [1; 32]);
    fixture
        .check_refused(&format!("Bearer {}", other.as_str()))
        .await;
}

#[tokio::test]
async fn a_credential_is_presented_as_its_own_kind_only() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    let login = fixture.issue(CredentialKind::Basic).await;
    fixture.check_refused(&bearer(&login)).await;
    fixture.check_refused(&basic("okta", &token.secret)).await;
    fixture.check_refused(&basic("else", &login.secret)).await;
    fixture
        .check_refused(&basic("okta@other", &login.secret))
        .await;
    let id = login.credential.id.as_str();
    let stack = &fixture.authenticator.keys.signing();
    let key = mac_key(stack, &tenant("acme"), &login.credential.id);
    fixture
        .check_refused(&mac(&format!("{id}@acme"), &key))
        .await;
}

#[tokio::test]
async fn the_tenant_of_the_path_has_to_be_the_credentials() {
    let fixture = Fixture::new().await;
    let token = bearer(&fixture.issue(CredentialKind::Bearer).await);
    let key = fixture.issue(CredentialKind::Mac).await;
    let bare_key = mac(key.credential.id.as_str(), &key.secret);
    for authorization in [&token, &bare_key] {
        for (name, expected) in [("acme", true), ("other", false), ("nobody", false)] {
            let tenant = tenant(name);
            let head = RequestHead {
                tenant: Some(&tenant),
                ..head(Some(authorization))
            };
            let answer = fixture.ask(&head).await;
            assert_eq!(answer.is_ok(), expected, "{authorization} {name}");
            answer.err().iter().for_each(check_refusal);
        }
    }
    fixture.check_refused(&bare_key).await;
}

#[tokio::test]
async fn basic_and_mac_need_their_switch_and_bearer_does_not() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    let login = fixture.issue(CredentialKind::Basic).await;
    let key = fixture.issue(CredentialKind::Mac).await;
    let check = async |authorization: &str, expected: bool| {
        let head = head(Some(authorization));
        let none = async |_, _| Ok(false);
        let answer = fixture.authenticator.authenticate(&head, none).await;
        assert_eq!(answer.is_ok(), expected, "{authorization}");
        let refused = answer.map_err(|refusal| refusal.error).err();
        refused.iter().for_each(check_refusal);
    };
    check(&bearer(&token), true).await;
    check(&basic("okta@acme", &login.secret), false).await;
    check(&mac(key.user_name.as_deref().unwrap(), &key.secret), false).await;
}

#[tokio::test]
async fn a_new_token_works_at_once() {
    let fixture = Fixture::new().await;
    let first = fixture.issue(CredentialKind::Bearer).await;
    fixture.ask_with(&bearer(&first)).await.unwrap();
    fixture.clock.advance_seconds(1);
    let second = fixture.issue(CredentialKind::Bearer).await;
    fixture.ask_with(&bearer(&second)).await.unwrap();
    fixture.ask_with(&bearer(&first)).await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_stops_within_a_minute() {
    let fixture = Fixture::new().await;
    let token = fixture.issue(CredentialKind::Bearer).await;
    fixture.ask_with(&bearer(&token)).await.unwrap();
    let id = &token.credential.id;
    fixture.issuer.revoke(&tenant("acme"), id).await.unwrap();
    fixture.clock.advance_seconds(60);
    fixture
        .check_ended(&bearer(&token), "The token was revoked")
        .await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let fixture = Fixture::new().await;
    let new = NewCredential {
        lifetime_seconds: Some(30),
        ..new(CredentialKind::Bearer)
    };
    let token = fixture.issue_new(new).await;
    fixture.clock.advance_seconds(29);
    fixture.ask_with(&bearer(&token)).await.unwrap();
    fixture.clock.advance_seconds(1);
    fixture
        .check_ended(&bearer(&token), "The token expired on 1994-11-06")
        .await;
}

#[tokio::test]
async fn without_secrets_known_tokens_work_and_others_get_503() {
    let fixture = Fixture::new().await;
    let known = fixture.issue(CredentialKind::Bearer).await;
    fixture.ask_with(&bearer(&known)).await.unwrap();
    let unseen = fixture.issue(CredentialKind::Bearer).await;
    fixture.secrets.fail(true);
    fixture.clock.advance_seconds(60);
    fixture.ask_with(&bearer(&known)).await.unwrap();
    let error = fixture.ask_with(&bearer(&unseen)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn role_user_and_permissions_reach_the_caller() {
    let fixture = Fixture::new().await;
    let new = NewCredential {
        permissions: Permissions::of_credential(["users:read"]),
        role: Some("r1".to_owned()),
        user: Some("u1".to_owned()),
        ..new(CredentialKind::Bearer)
    };
    let token = fixture.issue_new(new).await;
    let caller = fixture.ask_with(&bearer(&token)).await.unwrap();
    assert_eq!(
        caller.permissions,
        Permissions::of_credential(["users:read"])
    );
    assert_eq!(caller.role.as_deref(), Some("r1"));
    assert_eq!(caller.user.as_deref(), Some("u1"));
}

/// A process whose keys are read from the secrets of the fixture, and an issuer with the same keys.
async fn process(fixture: &Fixture) -> (Authenticator, Issuer) {
    let opened =
        StackKeys::open_or_create(fixture.secrets.clone(), "test/stack", fixture.clock.clone());
    let keys = Arc::new(opened.await.unwrap());
    let credentials = Credentials::new(fixture.secrets.clone(), "test");
    let clock = fixture.clock.clone();
    let issuer = Issuer::new(keys.clone(), credentials.clone(), clock.clone());
    (Authenticator::new(keys, credentials, clock), issuer)
}

async fn issue(issuer: &Issuer, kind: CredentialKind) -> Issued {
    let acme = tenant("acme");
    issuer.create_credential(&acme, new(kind)).await.unwrap()
}

/// Whether a process accepts a request.
async fn accepts(process: &Authenticator, authorization: &str) -> bool {
    let head = head(Some(authorization));
    let answer = process.authenticate(&head, async |_, _| Ok(true)).await;
    answer.is_ok()
}

#[tokio::test]
async fn credentials_of_every_key_work_in_every_process_while_the_key_changes() {
    let fixture = Fixture::new().await;
    let (old, _) = process(&fixture).await;
    let (other, issuer) = process(&fixture).await;
    let mut issued: Vec<String> = Vec::new();
    for second in 0..400 {
        if second == 10 {
            other.keys.rotate().await.unwrap();
        }
        if second % 40 == 0 {
            for kind in [CredentialKind::Bearer, CredentialKind::Basic] {
                let made = issue(&issuer, kind).await;
                issued.push(match kind {
                    CredentialKind::Bearer => bearer(&made),
                    _ => basic("okta", &made.secret),
                });
            }
        }
        for authorization in &issued {
            assert!(
                accepts(&old, authorization).await,
                "{second} {authorization}"
            );
            assert!(
                accepts(&other, authorization).await,
                "{second} {authorization}"
            );
        }
        fixture.clock.advance_seconds(1);
    }
    let is_of_key_1 = |text: &&String| text.starts_with("Bearer") && text.contains("_1_");
    assert_eq!(issued.iter().filter(is_of_key_1).count(), 6);
}

#[tokio::test]
async fn a_process_that_served_nothing_for_an_hour_learns_of_a_key_by_the_first_token() {
    let fixture = Fixture::new().await;
    let (idle, _) = process(&fixture).await;
    let (busy, issuer) = process(&fixture).await;
    busy.keys.rotate().await.unwrap();
    fixture.clock.advance_seconds(3600);
    let token = bearer(&issue(&issuer, CredentialKind::Bearer).await);
    assert!(token.contains("_1_"), "{token}");
    assert!(accepts(&idle, &token).await);
}

#[tokio::test]
async fn what_a_retired_key_has_signed_is_refused_within_a_minute() {
    let fixture = Fixture::new().await;
    let (server, issuer) = process(&fixture).await;
    let token = issue(&issuer, CredentialKind::Bearer).await;
    let key = issue(&issuer, CredentialKind::Mac).await;
    let key_id = key.user_name.as_deref().unwrap();
    let old = [bearer(&token), mac(key_id, &key.secret)];
    for authorization in &old {
        assert!(accepts(&server, authorization).await, "{authorization}");
    }
    let (other, _) = process(&fixture).await;
    other.keys.rotate().await.unwrap();
    fixture.clock.advance_seconds(300);
    let key = issue(&issuer, CredentialKind::Mac).await;
    let key_id = key.user_name.as_deref().unwrap();
    assert!(key_id.ends_with("-1@acme"), "{key_id}");
    for authorization in &old {
        assert!(accepts(&server, authorization).await, "{authorization}");
    }
    assert!(accepts(&server, &mac(key_id, &key.secret)).await);
    other.keys.retire(KeyId::FIRST, true).await.unwrap();
    fixture.clock.advance_seconds(60);
    for authorization in &old {
        assert!(!accepts(&server, authorization).await, "{authorization}");
    }
    assert!(accepts(&server, &mac(key_id, &key.secret)).await);
}

#[tokio::test]
async fn forged_key_names_cause_a_read_of_the_keys_in_five_seconds_and_of_no_tenant() {
    let fixture = Fixture::new().await;
    let (server, _) = process(&fixture).await;
    let forged = format!("Bearer scim_acme_1_{}_7_{}", "0".repeat(64), "0".repeat(16));
    let before = fixture.secrets.reads();
    for _ in 0..100 {
        fixture.clock.advance_seconds(1);
        assert!(!accepts(&server, &forged).await);
    }
    assert!(fixture.secrets.reads() - before <= 21);
}

#[tokio::test]
async fn an_access_token_ends_with_the_key_of_its_client() {
    let fixture = Fixture::new().await;
    let (server, issuer) = process(&fixture).await;
    let client = issue(&issuer, CredentialKind::OAuth).await;
    server.keys.rotate().await.unwrap();
    fixture.clock.advance_seconds(300);
    let proof = ClientProof::Secret {
        id: client.user_name.as_deref().unwrap(),
        secret: &client.secret,
    };
    let known = server.authenticate_client(proof, &[]).await.unwrap();
    let token = format!("Bearer {}", server.issue_access(&known, None).token);
    assert!(token.starts_with("Bearer scimat_1."), "{token}");
    assert!(accepts(&server, &token).await);
    server.keys.retire(KeyId::FIRST, true).await.unwrap();
    fixture.clock.advance_seconds(60);
    assert!(!accepts(&server, &token).await);
}

#[tokio::test]
async fn an_assertion_that_names_a_client_with_a_secret_causes_no_early_read() {
    let fixture = Fixture::new().await;
    let client = fixture.issue(CredentialKind::OAuth).await;
    let id = client.user_name.as_deref().unwrap();
    let claims = URL_SAFE_NO_PAD.encode(format!("{{\"sub\":\"{id}\"}}"));
    let jwt = format!("e30.{claims}.AA");
    let proof = ClientProof::Assertion {
        id: None,
        jwt: &jwt,
    };
    let before = fixture.secrets.reads();
    for _ in 0..10 {
        let refused = fixture.authenticator.authenticate_client(proof, &[]).await;
        check_unknown(&refused.unwrap_err().error);
        fixture.clock.advance_seconds(5);
    }
    assert_eq!(fixture.secrets.reads(), before + 1);
}

#[track_caller]
fn check_unknown(error: &Error) {
    assert_eq!(error.detail(), unknown_client().detail());
}
