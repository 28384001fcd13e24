//! Sample events of API Gateway, read by `lambda_http` and answered by the shipped router.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[path = "../src/bin/scim-lambda/gateway.rs"]
mod gateway;

use axum::body::Body;
use axum::http::Request;
use lambda_http::lambda_runtime::{Context, LambdaEvent};
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};
use support::{Answer, Server};

/// The events of one kind of API, played in the order of a user's life.
struct Player<'s> {
    server: &'s Server,
    api: &'static str,
    /// What the base URL of every location is.
    base: &'static str,
    id: String,
}

impl Player<'_> {
    /// The event as a request of the router, with the placeholders filled in.
    fn request(&self, name: &str, change: impl FnOnce(&mut Value)) -> Request<Body> {
        let path = format!(
            "{}/events/{}-{name}.json",
            env!("CARGO_MANIFEST_DIR"),
            self.api
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace("{{token}}", &self.server.token)
            .replace("{{id}}", &self.id);
        let mut event: Value = serde_json::from_str(&text).unwrap();
        change(&mut event);
        let event: LambdaRequest = serde_json::from_value(event).unwrap();
        let event = LambdaEvent::new(event, Context::default());
        let request = gateway::keep_all_values(event).payload.into();
        gateway::introduce(request).map(|body| Body::from(body.to_vec()))
    }

    async fn play(&self, name: &str) -> Answer {
        self.server.answer(self.request(name, |_| {})).await
    }
}

async fn play_all(api: &'static str, base: &'static str) {
    let server = Server::behind_gateway().await;
    let id = String::new();
    let mut player = Player {
        server: &server,
        api,
        base,
        id,
    };
    let created = player.play("create").await;
    assert_eq!(created.status, 201, "{}", created.text);
    player.id = created.json["id"].as_str().unwrap().to_owned();
    let location = format!("{}/Users/{}", player.base, player.id);
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
    player.play("get").await.check_error(404, None);
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
async fn a_configured_url_wins_over_the_gateways() {
    let server = Server::start().await;
    let (base, id) = (support::BASE, String::new());
    for api in ["http-api", "rest-api"] {
        let player = Player {
            server: &server,
            api,
            base,
            id: id.clone(),
        };
        let created = player.play("create").await;
        assert!(
            created.header("location").starts_with(player.base),
            "{}",
            created.text
        );
        let path = created
            .header("location")
            .strip_prefix(support::ORIGIN)
            .unwrap();
        assert_eq!(server.send("DELETE", path, None).await.status, 204);
    }
}

#[tokio::test]
async fn repeated_parameters_and_bodies_in_base64_arrive_whole() {
    let server = Server::behind_gateway().await;
    for (api, member) in [
        ("http-api", "rawQueryString"),
        ("rest-api", "multiValueQueryStringParameters"),
    ] {
        let (base, id) = ("", String::new());
        let player = Player {
            server: &server,
            api,
            base,
            id,
        };
        let request = player.request("list", |event| {
            event[member] = match member {
                "rawQueryString" => "attributes=userName&attributes=emails".into(),
                _ => json!({"attributes": ["userName", "emails"]}),
            };
        });
        assert_eq!(
            request.uri().query(),
            Some("attributes=userName&attributes=emails")
        );
        let created = player.play("create").await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.json["userName"], "casey@example.com");
        let id = created.json["id"].as_str().unwrap();
        server
            .send("DELETE", &format!("/scim/v2/Users/{id}"), None)
            .await;
    }
}

#[tokio::test]
async fn headers_given_twice_arrive_twice() {
    let server = Server::behind_gateway().await;
    let (base, id) = ("", String::new());
    let player = Player {
        server: &server,
        api: "rest-api",
        base,
        id,
    };
    let request = player.request("list", |event| {
        event["multiValueHeaders"]["Accept"] = json!(["application/scim+json", "text/html"]);
        event["headers"]["Accept"] = "text/html".into();
    });
    let accepted: Vec<_> = request.headers().get_all("accept").iter().collect();
    assert_eq!(accepted, ["application/scim+json", "text/html"]);
}
