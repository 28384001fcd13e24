//! Events of API Gateway, answered by the shipped adapter and router.

#[path = "../../src/bin/scim-lambda/gateway.rs"]
mod gateway;
mod matrix;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::lambda_runtime::{Context, LambdaEvent};
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};

use crate::support::{self, Server};

/// The answer of the function to the gateway.
#[derive(Debug)]
struct Answered {
    status: u64,
    /// The last value of each header.
    headers: BTreeMap<String, String>,
    text: String,
    /// The body, null where there is none.
    json: Value,
}

/// Answers an event like the function.
async fn answer(server: &Server, event: Value, context: Context) -> Answered {
    let event: LambdaRequest = serde_json::from_value(event).unwrap();
    let event = LambdaEvent::new(event, context);
    let answered = gateway::answer(server.router.clone(), event).await.unwrap();
    let answered = serde_json::to_value(answered).unwrap();
    let mut headers = BTreeMap::new();
    for (name, value) in answered["headers"].as_object().unwrap() {
        headers.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    for (name, values) in answered["multiValueHeaders"].as_object().unwrap() {
        headers.insert(name.clone(), values[0].as_str().unwrap().to_owned());
    }
    assert_eq!(answered["isBase64Encoded"], false);
    let text = answered["body"].as_str().unwrap_or_default().to_owned();
    Answered {
        status: answered["statusCode"].as_u64().unwrap(),
        headers,
        json: serde_json::from_str(&text).unwrap_or_default(),
        text,
    }
}

impl Answered {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    #[track_caller]
    fn check_error(&self, status: u64) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/scim+json");
        assert_eq!(self.json["status"], status.to_string(), "{}", self.text);
    }
}

/// The events of one kind of API, played in the order of a user's life.
struct Player<'s> {
    server: &'s Server,
    api: &'static str,
    id: String,
}

impl Player<'_> {
    /// The event of a file, with the placeholders filled in.
    fn event(&self, name: &str) -> Value {
        let path = format!(
            "{}/events/{}-{name}.json",
            env!("CARGO_MANIFEST_DIR"),
            self.api
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace("{{token}}", &self.server.token)
            .replace("{{id}}", &self.id);
        serde_json::from_str(&text).unwrap()
    }

    async fn play(&self, name: &str) -> Answered {
        self.play_changed(name, |_| {}).await
    }

    async fn play_changed(&self, name: &str, change: impl FnOnce(&mut Value)) -> Answered {
        let mut event = self.event(name);
        change(&mut event);
        answer(self.server, event, Context::default()).await
    }
}

/// A player for each kind of API.
fn players(server: &Server) -> [Player<'_>; 2] {
    ["http-api", "rest-api"].map(|api| Player {
        server,
        api,
        id: String::new(),
    })
}

async fn play_all(api: &'static str, base: &str) {
    let server = Server::at(None).await;
    let id = String::new();
    let mut player = Player {
        server: &server,
        api,
        id,
    };
    let created = player.play("create").await;
    assert_eq!(created.status, 201, "{}", created.text);
    player.id = created.json["id"].as_str().unwrap().to_owned();
    let location = format!("{base}/Users/{}", player.id);
    assert_eq!(created.header("location"), location);

    let read = player.play("get").await;
    assert_eq!(
        (read.status, read.header("location")),
        (200, location.as_str())
    );
    let list = player.play("list").await;
    assert_eq!(
        (list.status, &list.json["totalResults"]),
        (200, &json!(1)),
        "{}",
        list.text
    );
    assert_eq!(list.json["Resources"][0]["id"], player.id);
    let patched = player.play("patch").await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_ne!(patched.header("etag"), created.header("etag"));
    assert_eq!(player.play("delete").await.status, 204);
    player.play("get").await.check_error(404);
}

#[tokio::test]
async fn http_api_events_are_answered() {
    let base = "https://abc123defg.execute-api.eu-west-1.amazonaws.com/scim/v2";
    play_all("http-api", base).await;
}

#[tokio::test]
async fn rest_api_events_are_answered_below_their_stage() {
    let base = "https://abc123defg.execute-api.eu-west-1.amazonaws.com/prod/scim/v2";
    play_all("rest-api", base).await;
}

#[tokio::test]
async fn a_configured_url_takes_precedence_over_the_gateways() {
    let server = Server::start().await;
    for player in players(&server) {
        let created = player.play("create").await;
        let location = created.header("location");
        assert!(location.starts_with(support::BASE), "{}", created.text);
        let path = location.strip_prefix(support::ORIGIN).unwrap();
        assert_eq!(server.send("DELETE", path, None).await.status, 204);
    }
}

/// Sets the query of an event in the form of each kind of API.
fn set_query(event: &mut Value, raw: &str, decoded: Value) {
    if event.get("rawPath").is_some() {
        event["rawQueryString"] = raw.into();
    } else {
        event["queryStringParameters"] = Value::Null;
        event["multiValueQueryStringParameters"] = decoded;
    }
}

#[tokio::test]
async fn repeated_parameters_and_headers_arrive_whole() {
    let server = Server::at(None).await;
    for player in players(&server) {
        let created = player.play("create").await;
        assert_eq!(created.json["userName"], "casey@example.com");
        let list = player.play_changed("list", |event| {
            let raw = "attributes=userName&attributes=emails";
            set_query(event, raw, json!({"attributes": ["userName", "emails"]}));
            if event.get("multiValueHeaders").is_some() {
                // The last one alone would be refused with 406.
                event["headers"]["Accept"] = "text/html".into();
                event["multiValueHeaders"]["Accept"] =
                    json!(["application/scim+json", "text/html"]);
            }
        });
        let list = list.await;
        assert_eq!(list.status, 200, "{}", list.text);
        let user = &list.json["Resources"][0];
        assert!(
            user["userName"].is_string() && user["emails"].is_array(),
            "{user}"
        );
        assert!(user.get("name").is_none(), "{user}");
        delete(&server, &created).await;
    }
}

async fn delete(server: &Server, created: &Answered) {
    let path = format!("/scim/v2/Users/{}", created.json["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &path, None).await.status, 204);
}

#[tokio::test]
async fn a_query_may_hold_raw_characters() {
    let server = Server::at(None).await;
    for player in players(&server) {
        let name = "a\"<b> {c}|^`\u{f6}#d";
        let created = player.play_changed("create", |event| {
            event["isBase64Encoded"] = false.into();
            event["body"] = json!({"userName": name}).to_string().into();
        });
        let created = created.await;
        assert_eq!(created.status, 201, "{}", created.text);
        let quoted = json!(name).to_string();
        let list = player.play_changed("list", |event| {
            let filter = format!("userName eq {quoted}");
            set_query(
                event,
                &format!("filter={filter}"),
                json!({"filter": [filter]}),
            );
        });
        let list = list.await;
        assert_eq!(list.json["totalResults"], 1, "{}", list.text);
        for odd in [
            "\u{1}\u{7f}\u{0}",
            "%",
            "%zz",
            "\u{2028}",
            "filter=\r\nX: y",
        ] {
            let list = player.play_changed("list", |event| {
                set_query(event, odd, json!({odd: [odd]}));
            });
            let list = list.await;
            assert!([200, 400].contains(&list.status), "{odd:?}: {}", list.text);
        }
        delete(&server, &created).await;
    }
}

/// Texts that are not a host, a scheme, a path or a stage.
const ODD: [&str; 14] = [
    "",
    " ",
    "a b",
    "ht tp",
    "java script",
    ":",
    "[::1",
    "evil.example/x?y#z",
    "xn--a",
    "\u{f6}",
    "a:99999",
    "u:p@evil.example",
    "%zz",
    "<>\"",
];

#[tokio::test]
async fn no_header_makes_the_function_fail_or_changes_locations() {
    let server = Server::at(None).await;
    for player in players(&server) {
        let created = player.play("create").await;
        let expected = created.header("location").to_owned();
        let id = created.json["id"].as_str().unwrap().to_owned();
        let player = Player { id, ..player };
        let names = [
            "host",
            "x-forwarded-proto",
            "x-forwarded-host",
            "x-forwarded-port",
            "forwarded",
        ];
        for (name, value) in names.iter().flat_map(|name| ODD.map(|value| (name, value))) {
            let read = player.play_changed("get", |event| {
                for headers in ["headers", "multiValueHeaders"] {
                    if let Some(headers) = event.get_mut(headers).and_then(Value::as_object_mut) {
                        headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
                        headers.insert((*name).to_owned(), value.into());
                    }
                }
            });
            let read = read.await;
            assert_eq!(read.status, 200, "{name}: {value:?} {}", read.text);
            assert_eq!(read.header("location"), expected, "{name}: {value:?}");
        }
        delete(&server, &created).await;
    }
}

#[tokio::test]
async fn no_path_stage_or_domain_makes_the_function_fail() {
    let server = Server::at(None).await;
    for player in players(&server) {
        for value in ODD {
            for part in ["path", "stage", "domainName"] {
                let read = player.play_changed("get", |event| {
                    let is_http_api = event.get("rawPath").is_some();
                    match (part, is_http_api) {
                        ("path", true) => event["rawPath"] = value.into(),
                        ("path", false) => event["path"] = value.into(),
                        _ => event["requestContext"][part] = value.into(),
                    }
                });
                let read = read.await;
                assert!(read.status < 500, "{part} {value:?}: {}", read.text);
            }
        }
    }
}

#[tokio::test]
async fn a_decoded_path_has_no_query_and_does_not_lead_up() {
    let server = Server::at(None).await;
    let [player, _] = players(&server);
    for path in [
        "/Users?filter=x",
        "/Users#x",
        "/Users/../Users",
        "/Users/a/..",
        "\\..\\Users",
    ] {
        let read = player.play_changed("list", |event| {
            event["rawPath"] = format!("/prod/scim/v2{path}").into();
        });
        read.await.check_error(404);
    }
}

#[tokio::test]
async fn a_too_long_uri_and_a_body_that_is_not_base64_are_refused() {
    let server = Server::at(None).await;
    for player in players(&server) {
        let long = player.play_changed("list", |event| {
            let filter = "\"".repeat(30_000);
            set_query(event, &filter, json!({"filter": [filter]}));
        });
        long.await.check_error(414);
        let broken = player.play_changed("create", |event| {
            event["isBase64Encoded"] = true.into();
            event["body"] = "not base64!".into();
        });
        broken.await.check_error(400);
        let whole = player.play_changed("create", |event| {
            event["isBase64Encoded"] = true.into();
            event["body"] = STANDARD.encode(r#"{"userName": "b@example.com"}"#).into();
        });
        let whole = whole.await;
        assert_eq!(whole.status, 201, "{}", whole.text);
        delete(&server, &whole).await;
    }
}

#[tokio::test]
async fn a_page_full_of_quotation_marks_fits_an_answer_of_lambda() {
    let server = Server::at(None).await;
    let title = "\"".repeat(100_000);
    for number in 0..20 {
        let user = json!({"userName": format!("u{number}"), "title": title});
        server.create("/scim/v2/Users", &user).await;
    }
    for player in players(&server) {
        let list = player.play_changed("list", |event| {
            set_query(event, "count=20", json!({"count": ["20"]}));
        });
        let list = list.await;
        let shown = list.json["Resources"].as_array().unwrap().len();
        assert_eq!(list.json["totalResults"], 20);
        // 400 KB each in the function's JSON answer, of which 4 MB are filled.
        assert_eq!(shown, 9);
        assert_eq!(list.json["itemsPerPage"], shown);
        let sent = Value::from(list.text).to_string().len();
        assert!((3_500_000..4_100_000).contains(&sent), "{sent}");
    }
}
