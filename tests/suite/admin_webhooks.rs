//! The operations `webhook.*`, as programs ask for them: JSON in, JSON out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use scim_lambda::delivery::{Failure, Outcome};
use scim_lambda::identity::{SubscriptionId, TenantId};
use scim_lambda::protocol::datetime::DateTime;
use scim_lambda::store::{Delivery, Failing, Meter};
use scim_lambda::tenant::SecretStore;
use serde_json::{Value, json};

use crate::admin::{Death, Fixture, MortalSecrets, ask, error, kill_everywhere, stack_store, with};
use crate::secrecy::{keep_log, logged};
use crate::simulation::Fault;
use crate::support::cause;

const URL: &str = "https://app.example.com/hook?key=s3cret";

impl Fixture {
    async fn add(&self, arguments: Value) -> Value {
        Self::ok(self.ask(with(arguments, "webhook.add")).await)
    }

    async fn list(&self) -> Vec<Value> {
        let answer = self.ask(json!({"op": "webhook.list"})).await;
        Self::ok(answer)["webhooks"].as_array().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_added_listed_and_removed() {
    let fixture = Fixture::new().await;
    let added = fixture
        .add(
            json!({"url": URL, "tenant": "acme", "types": ["user.*", "group.created", "user.*"],
            "from": "beginning"}),
        )
        .await;
    assert_eq!(added["existed"], false);
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(added["types"], json!(["group.created", "user.*"]));
    assert_eq!(added["disabled"], Value::Null);
    let tenant = TenantId::parse("acme").unwrap();
    let due = fixture.due().await;
    assert!(
        !due.is_empty() && due.iter().all(|due| due.tenant.as_ref() == Some(&tenant)),
        "{due:?}"
    );

    fixture.world.jump(Duration::from_secs(1));
    let second = fixture.add(json!({"url": "https://b.example"})).await;
    assert_eq!(second["url"], "https://b.example/");
    assert_eq!(
        (&second["tenant"], &second["from"]),
        (&Value::Null, &json!("now"))
    );
    let list = fixture.list().await;
    assert_eq!(
        [&list[0]["id"], &list[1]["id"]],
        [&added["id"], &second["id"]]
    );
    assert!(list.iter().all(|webhook| webhook.get("secret").is_none()));

    let remove = json!({"op": "webhook.remove", "id": added["id"]});
    let removed = Fixture::ok(fixture.ask(remove.clone()).await);
    assert_eq!(removed, json!({"id": added["id"], "existed": true}));
    assert_eq!(fixture.list().await.len(), 1);
    assert_eq!(fixture.names().await.len(), 1);
    let again = Fixture::ok(fixture.ask(remove).await);
    assert_eq!(again["existed"], false);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_addition_makes_no_second_webhook_and_shows_the_secret_to_its_own_request_only()
{
    let fixture = Fixture::new().await;
    let request = json!({"url": URL, "types": ["user.*", "group.*"], "requestId": "r-1"});
    let added = fixture.add(request.clone()).await;
    let repeated = fixture.add(request.clone()).await;
    assert_eq!(repeated["existed"], true);
    assert_eq!(repeated["secret"], added["secret"]);
    // Another request with the same webhook in another spelling.
    let spelled = json!({"url": "HTTPS://APP.example.com:443/hook?key=s3cret", "types": ["group.*", "user.*"]});
    let other = fixture.add(spelled).await;
    assert_eq!(
        (&other["id"], &other["existed"]),
        (&added["id"], &json!(true))
    );
    assert_eq!(other.get("secret"), None);
    fixture.world.jump(Duration::from_secs(601));
    assert_eq!(fixture.add(request).await.get("secret"), None);
    assert_eq!(fixture.list().await.len(), 1);

    // Other tenants and other types are other webhooks.
    for arguments in [
        json!({"url": URL}),
        json!({"url": URL, "types": ["user.*", "group.*"], "tenant": "acme"}),
    ] {
        assert_eq!(fixture.add(arguments).await["existed"], false);
    }
    let elsewhere = json!({"url": URL, "from": "beginning"});
    let elsewhere = fixture.add(elsewhere).await;
    assert_eq!(
        (&elsewhere["existed"], &elsewhere["from"]),
        (&json!(true), &json!("now"))
    );
    let every = fixture
        .add(json!({"url": URL, "types": ["user.*", "*"]}))
        .await;
    assert_eq!(every["id"], elsewhere["id"]);
    assert!(
        elsewhere["notes"][0]
            .as_str()
            .unwrap()
            .contains("remove it first")
    );
    assert_eq!(fixture.list().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_added_again_is_another_one() {
    let fixture = Fixture::new().await;
    let first = fixture.add(json!({"url": URL})).await;
    let remove = json!({"op": "webhook.remove", "id": first["id"]});
    Fixture::ok(fixture.ask(remove).await);
    let second = fixture.add(json!({"url": URL})).await;
    assert_eq!(second["existed"], false);
    assert_ne!(second["id"], first["id"]);
    assert_ne!(second["secret"], first["secret"]);
}

#[tokio::test(start_paused = true)]
async fn operators_who_add_the_same_webhook_at_once_add_one_and_see_the_secret_that_signs() {
    for _ in 0..20 {
        let fixture = Fixture::new().await;
        let admins = [(); 3].map(|()| fixture.admin());
        let added = admins
            .iter()
            .map(|admin| ask(admin, with(json!({"url": URL}), "webhook.add")));
        let added: Vec<Value> = join_all(added).await.into_iter().map(Fixture::ok).collect();
        let ids: BTreeSet<_> = added.iter().map(|added| added["id"].to_string()).collect();
        assert_eq!(ids.len(), 1, "{added:?}");
        let secret = stored_secret(&fixture, &added[0]).await;
        // The request that has added it shows the secret. So may the one that has made the secret.
        let is_new = |added: &&Value| added["existed"] == false;
        assert_eq!(added.iter().filter(is_new).count(), 1, "{added:?}");
        for added in &added {
            let shown = added.get("secret");
            assert!(shown.is_some() || added["existed"] == true, "{added}");
            assert!(shown.is_none_or(|shown| *shown == secret), "{added}");
        }
        assert_eq!(fixture.list().await.len(), 1);
    }
}

/// The secret that signs the messages of a webhook.
async fn stored_secret(fixture: &Fixture, webhook: &Value) -> Value {
    let name = format!("test/webhooks/{}", webhook["id"].as_str().unwrap());
    let stored = fixture.secrets.get(&name).await.unwrap().unwrap().value;
    let stored: Value = serde_json::from_str(&stored).unwrap();
    stored["current"]["key"].clone()
}

#[tokio::test(start_paused = true)]
async fn operators_who_add_and_remove_at_once_never_exceed_the_number_and_leave_no_webhook_without_a_secret()
 {
    let fixture = Fixture::new().await;
    for number in 0..98 {
        fixture
            .add(json!({"url": format!("https://{number}.example")}))
            .await;
    }
    let admins: Vec<_> = (0..6).map(|_| fixture.admin()).collect();
    let first = fixture.list().await[0]["id"].clone();
    let requests = admins.iter().enumerate().map(|(number, admin)| {
        let request = match number {
            0 => json!({"op": "webhook.remove", "id": first}),
            _ => json!({"op": "webhook.add", "url": format!("https://new-{number}.example")}),
        };
        ask(admin, request)
    });
    for answer in join_all(requests).await {
        if !answer["error"].is_null() {
            let (code, detail) = error(&answer);
            assert!(matches!(code, "refused" | "later"), "{detail}");
        }
    }
    let list = fixture.list().await;
    assert!(list.len() <= 100, "{}", list.len());
    for webhook in &list {
        stored_secret(&fixture, webhook).await;
    }
    for number in 0..10 {
        let url = format!("https://more-{number}.example");
        let answer = fixture.ask(json!({"op": "webhook.add", "url": url})).await;
        if fixture.list().await.len() == 100 && !answer["error"].is_null() {
            assert_eq!(
                error(&answer),
                (
                    "refused",
                    "There are 100 webhooks, which is the most; remove one first"
                )
            );
            return;
        }
    }
    panic!("there is room for more than 100");
}

#[tokio::test(start_paused = true)]
async fn an_addition_whose_process_dies_anywhere_is_completed_by_a_repeat() {
    let prepare = async |_: &Fixture| json!({"op": "webhook.add", "url": URL, "requestId": "r-1"});
    kill_everywhere(prepare, async |fixture, request, _| {
        // Even without a repeat something leads to the events of a webhook that is there, which has a secret.
        for webhook in fixture.list().await {
            stored_secret(fixture, &webhook).await;
            assert!(!fixture.due().await.is_empty());
        }
        let added = Fixture::ok(fixture.ask(request).await);
        assert_eq!(added["secret"], stored_secret(fixture, &added).await);
        assert_eq!(fixture.list().await.len(), 1);
        assert_eq!(fixture.names().await.len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_addition_whose_process_dies_anywhere_is_completed_by_another_request() {
    let prepare = async |_: &Fixture| json!({"op": "webhook.add", "url": URL, "requestId": "r-1"});
    kill_everywhere(prepare, async |fixture, mut request, _| {
        request["requestId"] = json!("r-2");
        let added = Fixture::ok(fixture.ask(request).await);
        if let Some(secret) = added.get("secret") {
            assert_eq!(*secret, stored_secret(fixture, &added).await);
        }
        // Without a secret in the answer the webhook had been added before.
        assert_eq!(added.get("secret").is_none(), added["existed"] == true);
        assert_eq!(fixture.list().await.len(), 1);
        assert_eq!(fixture.names().await.len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_process_dies_anywhere_is_completed_by_a_repeat() {
    let prepare = async |fixture: &Fixture| {
        let added = fixture.add(json!({"url": URL})).await;
        json!({"op": "webhook.remove", "id": added["id"]})
    };
    kill_everywhere(prepare, async |fixture, request, _| {
        // Whatever was done: a webhook that is still there has its secret.
        for webhook in fixture.list().await {
            stored_secret(fixture, &webhook).await;
        }
        Fixture::ok(fixture.ask(request).await);
        assert_eq!(fixture.list().await.len(), 0);
        assert_eq!(fixture.names().await.len(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rotation_whose_process_dies_anywhere_is_completed_by_a_repeat() {
    let prepare = async |fixture: &Fixture| {
        let added = fixture.add(json!({"url": URL})).await;
        json!({"op": "webhook.rotate", "id": added["id"], "requestId": "r-2"})
    };
    let mut deaths = 0;
    for is_after in [false, true] {
        for at in 0.. {
            let fixture = Fixture::new().await;
            let request = prepare(&fixture).await;
            let death = Death::at(at, is_after);
            ask(&fixture.mortal_admin(&death), request.clone()).await;
            let rotated = Fixture::ok(fixture.ask(request.clone()).await);
            assert_eq!(rotated["secret"], stored_secret(&fixture, &request).await);
            assert!(rotated["previousUntil"].is_string(), "{rotated}");
            if !death.is_dead() {
                break;
            }
            deaths += 1;
        }
    }
    assert!(deaths >= 4, "{deaths}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_rotated_once_a_day_or_at_once() {
    let fixture = Fixture::new().await;
    let added = fixture.add(json!({"url": URL})).await;
    let rotate = json!({"op": "webhook.rotate", "id": added["id"]});
    let rotated = Fixture::ok(fixture.ask(rotate.clone()).await);
    assert_ne!(rotated["secret"], added["secret"]);
    assert!(rotated["previousUntil"].is_string());
    let again = fixture.ask(rotate.clone()).await;
    let (code, detail) = error(&again);
    assert_eq!(code, "refused");
    assert!(detail.contains("less than a day ago"), "{detail}");
    let mut at_once = rotate;
    at_once["atOnce"] = json!(true);
    let at_once = Fixture::ok(fixture.ask(at_once).await);
    assert_eq!(at_once["previousUntil"], Value::Null);
    assert_eq!(at_once["secret"], stored_secret(&fixture, &added).await);
}

#[tokio::test(start_paused = true)]
async fn a_sample_is_an_event_of_its_own_type_and_its_outcome_is_told() {
    let mut fixture = Fixture::new().await;
    let added = fixture.add(json!({"url": URL})).await;
    let test = json!({"op": "webhook.test", "id": added["id"]});
    let tested = Fixture::ok(fixture.ask(test.clone()).await);
    assert_eq!(tested["accepted"], true);
    let sent = fixture.recorder.sent.lock().unwrap()[0].clone();
    assert_eq!(sent["data"]["tenant"], "acme");
    assert_eq!(sent["data"]["events"][0]["type"], "webhook.test");
    assert_eq!(sent["data"]["events"].as_array().unwrap().len(), 1);

    let mut of_globex = test.clone();
    of_globex["tenant"] = json!("globex");
    Fixture::ok(fixture.ask(of_globex).await);
    assert_eq!(
        fixture.recorder.sent.lock().unwrap()[1]["data"]["tenant"],
        "globex"
    );

    fixture.recorder.outcome = Outcome::Failed(Failure {
        code: "status".to_owned(),
        text: "The receiver answered with status 500".to_owned(),
    });
    let failed = Fixture::ok(fixture.ask(test.clone()).await);
    assert_eq!(failed["accepted"], false);
    assert_eq!(failed["detail"], "The receiver answered with status 500");
    fixture.recorder.outcome = Outcome::Gone;
    let gone = Fixture::ok(fixture.ask(test).await);
    assert!(gone["detail"].as_str().unwrap().contains("410"), "{gone}");
    assert_eq!(fixture.list().await[0]["disabled"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_is_disabled_is_shown_so_and_resumed() {
    let fixture = Fixture::new().await;
    let added = fixture.add(json!({"url": URL, "tenant": "acme"})).await;
    let stack = stack_store(&fixture.world.process());
    let subscription = stack.subscriptions().list().await.unwrap().pop().unwrap();
    let at = fixture.world.clock().now_millis();
    let disable = stack.subscriptions().disable(
        &subscription,
        at,
        "The receiver answered with status 410 (Gone)",
    );
    assert!(disable.await.unwrap());
    let shown = json!({"op": "webhook.show", "id": added["id"]});
    let disabled = Fixture::ok(fixture.ask(shown.clone()).await)["disabled"].clone();
    assert_eq!(
        disabled["reason"],
        "The receiver answered with status 410 (Gone)"
    );
    let found = fixture.add(json!({"url": URL, "tenant": "acme"})).await;
    assert_eq!(
        found["notes"],
        json!(["It is disabled; resume it to send again"])
    );
    let resumed = Fixture::ok(
        fixture
            .ask(json!({"op": "webhook.resume", "id": added["id"]}))
            .await,
    );
    assert_eq!(resumed["disabled"], Value::Null);
    assert_eq!(
        Fixture::ok(fixture.ask(shown).await)["disabled"],
        Value::Null
    );
}

/// Requests that add nothing, with the code of the error and a part of its text.
fn refused_additions() -> [(Value, &'static str, &'static str); 7] {
    let add = |member: &str, value: Value| {
        let mut request = json!({"op": "webhook.add", "url": URL});
        request[member] = value;
        request
    };
    let long = format!("https://a.example/{}", "a".repeat(2048));
    [
        (
            add("url", json!("http://a.example")),
            "invalid",
            "has to begin with https://",
        ),
        (
            add("url", json!("https://10.0.0.1/")),
            "invalid",
            "address that is not public",
        ),
        (add("url", json!(long)), "invalid", "2048 bytes"),
        (
            add("tenant", json!("nobody")),
            "unknown",
            "There is no tenant nobody",
        ),
        (
            add("types", json!(["user.creatd"])),
            "invalid",
            "`user.creatd` is no type",
        ),
        (
            add("types", json!(vec!["user.*"; 51])),
            "invalid",
            "At most 50",
        ),
        (
            add("type", json!("user.*")),
            "invalid",
            "unknown field `type`",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_named_and_costs_no_write() {
    let fixture = Fixture::new().await;
    let id = "5f0c9a1e7d3b2846";
    let before = fixture.world.items();
    let mut cases = refused_additions().to_vec();
    for op in [
        "webhook.show",
        "webhook.test",
        "webhook.rotate",
        "webhook.resume",
    ] {
        let request = json!({"op": op, "id": id});
        cases.push((request, "unknown", "There is no webhook 5f0c9a1e7d3b2846"));
    }
    let of_no_form = json!({"op": "webhook.show", "id": "A"});
    cases.push((of_no_form, "invalid", "A subscription id has"));
    let of_no_name = json!({"op": "webhook.delete", "id": id});
    cases.push((of_no_name, "invalid", "webhook.add, webhook.list"));
    for (request, code, part) in cases {
        let answer = fixture.ask(request.clone()).await;
        let found = error(&answer);
        assert_eq!(found.0, code, "{request}: {answer}");
        assert!(found.1.contains(part), "{request}: {answer}");
    }
    assert_eq!(fixture.world.items(), before);
    assert_eq!(fixture.names().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_one_tenant_is_about_no_other() {
    let fixture = Fixture::new().await;
    let added = fixture.add(json!({"url": URL, "tenant": "acme"})).await;
    for op in ["webhook.show", "webhook.test"] {
        let answer = fixture
            .ask(json!({"op": op, "id": added["id"], "tenant": "globex"}))
            .await;
        let (code, detail) = error(&answer);
        assert_eq!(code, "invalid");
        assert!(
            detail.contains("gets no events of tenant globex"),
            "{detail}"
        );
    }
    assert!(fixture.recorder.sent.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_does_not_exist_has_no_delivery() {
    let fixture = Fixture::new().await;
    let added = fixture.add(json!({"url": URL})).await;
    for op in ["webhook.show", "webhook.test"] {
        let answer = fixture
            .ask(json!({"op": op, "id": added["id"], "tenant": "nix"}))
            .await;
        assert_eq!(
            error(&answer),
            ("unknown", "There is no tenant nix"),
            "{op}"
        );
    }
    // A webhook that was added for one tenant is shown after the tenant is gone.
    let own = fixture.add(json!({"url": URL, "tenant": "acme"})).await;
    let secrets: &dyn SecretStore = &*fixture.secrets;
    secrets.remove("test/tenants/acme").await.unwrap();
    for more in [json!({}), json!({"tenant": "acme"})] {
        let mut request = json!({"op": "webhook.show", "id": own["id"]});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let shown = Fixture::ok(fixture.ask(request).await);
        assert_eq!(shown["deliveries"][0]["tenant"], "acme");
    }
}

#[tokio::test(start_paused = true)]
async fn every_tenant_is_shown_part_by_part() {
    let fixture = Fixture::new().await;
    let stack = stack_store(&fixture.world.process());
    for number in 0..150 {
        let tenant = TenantId::parse(&format!("tenant-{number:03}")).unwrap();
        stack.list_tenant(&tenant).await.unwrap();
    }
    let added = fixture.add(json!({"url": URL, "from": "beginning"})).await;
    let mut request = json!({"op": "webhook.show", "id": added["id"]});
    let (mut names, mut parts) = (Vec::new(), 0);
    loop {
        let shown = Fixture::ok(fixture.ask(request.clone()).await);
        for delivery in shown["deliveries"].as_array().unwrap() {
            assert_eq!(
                (&delivery["state"], &delivery["behind"]),
                (&json!("new"), &json!(0))
            );
            names.push(delivery["tenant"].as_str().unwrap().to_owned());
        }
        parts += 1;
        if shown["next"].is_null() {
            break;
        }
        request["after"] = shown["next"].clone();
    }
    assert_eq!((names.len(), parts), (152, 2));
    assert!(names.is_sorted());
}

#[tokio::test(start_paused = true)]
async fn when_table_or_secrets_are_out_of_reach_the_answer_is_later() {
    let fixture = Fixture::new().await;
    let process = fixture.world.process();
    process.line.plan(|_| Some(Fault::LoseRequest));
    let admin = fixture.admin_with(fixture.secrets.clone(), &process);
    let answer = ask(&admin, json!({"op": "webhook.list"})).await;
    assert_eq!(error(&answer).0, "later", "{answer}");
    let secrets = MortalSecrets {
        secrets: fixture.secrets.clone(),
        death: Death::at(0, false),
    };
    let admin = fixture.admin_with(Arc::new(secrets), &fixture.world.process());
    let answer = ask(&admin, json!({"op": "webhook.add", "url": URL})).await;
    assert_eq!(error(&answer).0, "later", "{answer}");
    assert!(fixture.list().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_shown_with_its_state_its_failure_and_its_next_attempt() {
    let fixture = Fixture::new().await;
    let added = fixture
        .add(json!({"url": URL, "tenant": "acme", "from": "beginning"}))
        .await;
    let (process, tenant) = (fixture.world.process(), TenantId::parse("acme").unwrap());
    let wait = Duration::from_secs(10);
    let store = process.provider.store();
    let store = store.for_tenant(&tenant, cause(), Meter::default(), wait);
    let now = fixture.world.clock().now_millis();
    let id = SubscriptionId::parse(added["id"].as_str().unwrap()).unwrap();
    let mut delivery = Delivery {
        subscription: id.clone(),
        revision: 0,
        after: "beginning".to_owned(),
        reached: 0,
        batch: None,
        succeeded: Some(now - 60_000),
        failing: None,
        resumed: 0,
        due: None,
        failed: None,
        held: None,
        lease: None,
        again: false,
    };
    let failing = Failing {
        since: now - 30_000,
        last: now - 10_000,
        attempts: 3,
        code: "status".to_owned(),
        text: "The receiver answered with status 500".to_owned(),
    };
    let show = json!({"op": "webhook.show", "id": added["id"]});
    let mut states = Vec::new();
    for step in 0..4 {
        match step {
            0 => {}
            1 => delivery.held = Some(now + 60_000),
            2 => (delivery.failing, delivery.due) = (Some(failing.clone()), Some(now + 20_000)),
            _ => (delivery.failed, delivery.due) = (Some(now), None),
        }
        assert!(store.deliveries().put(&delivery).await.unwrap());
        delivery.revision += 1;
        let shown = Fixture::ok(fixture.ask(show.clone()).await)["deliveries"][0].clone();
        states.push(shown["state"].as_str().unwrap().to_owned());
        assert_eq!(shown["lastSuccess"], text(now - 60_000));
        if step == 2 {
            assert_eq!(shown["nextAttempt"], text(now + 20_000));
            let expected = json!({"at": text(now - 10_000), "since": text(now - 30_000), "attempts": 3,
                "detail": "The receiver answered with status 500"});
            assert_eq!(shown["lastFailure"], expected);
        }
    }
    assert_eq!(states, ["upToDate", "held", "retrying", "failed"]);
    let resume = json!({"op": "webhook.resume", "id": added["id"]});
    Fixture::ok(fixture.ask(resume).await);
    // The next job takes it up.
    let shown = Fixture::ok(fixture.ask(show).await);
    assert_eq!(shown["deliveries"][0]["state"], "retrying");
}

/// A time in milliseconds since the Unix epoch as answers have it.
fn text(millis: u64) -> Value {
    let millis = i64::try_from(millis).unwrap();
    json!(
        DateTime::from_unix_milliseconds(millis)
            .unwrap()
            .to_string()
    )
}

#[tokio::test(start_paused = true)]
async fn every_operation_is_logged_with_who_asked_and_without_secrets() {
    keep_log();
    let fixture = Fixture::new().await;
    let added = fixture
        .add(json!({"url": URL, "tenant": "acme", "requestId": "r-1"}))
        .await;
    let rotate = json!({"op": "webhook.rotate", "id": added["id"], "requestId": "r-2"});
    Fixture::ok(fixture.ask(rotate).await);
    fixture
        .ask(json!({"op": "webhook.add", "url": URL, "tenant": "nobody"}))
        .await;
    let log = logged();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |op: &str| -> Vec<Value> {
        let lines = lines.iter().map(|line| line["fields"].clone());
        lines.filter(|fields| fields["op"] == op).collect()
    };
    let adding = of("webhook.add");
    assert_eq!(adding.len(), 2, "{log}");
    for (name, value) in [
        ("actor", &json!("billing-service")),
        ("request", &json!("r-1")),
        ("webhook", &added["id"]),
        ("tenant", &json!("acme")),
        ("receiver", &json!("https://app.example.com")),
    ] {
        assert_eq!(adding[0][name], *value, "{log}");
    }
    assert_eq!(adding[1]["code"], "unknown");
    assert_eq!(of("webhook.rotate")[0]["request"], "r-2");
    for hidden in ["s3cret", "/hook", "whsec_"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}
