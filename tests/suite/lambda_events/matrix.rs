//! Every kind of gateway, with every stage and API mapping, leads every root path of the service to
//! its answer. The answer has the URL at which the client finds the resource.

use lambda_http::lambda_runtime::Context;
use serde_json::{Value, json};

use crate::oauth::{self, keys::Key};
use crate::support::Server;

use super::{Answered, answer};

/// The id of the API, which the domains that AWS gives begin with.
const API_ID: &str = "abc123defg";
/// A domain of the operator's own.
const OWN: &str = "id.example.com";
const STAGES: [&str; 4] = ["$default", "prod", "scim", "v2"];
const MAPPINGS: [&str; 4] = ["", "/scim", "/v2", "/a/scim"];

/// One path below each root that the service answers. `{id}` stands for a user's id.
const PATHS: [Path; 14] = [
    Path::of_a_resource("/scim/v2/Users/{id}"),
    Path::of_a_resource("/scim/v1/Users/{id}"),
    Path::of_a_resource("/v2/acme/scim/Users/{id}"),
    Path::of_a_resource("/t/acme/scim/v2/Users/{id}"),
    Path::of_a_resource("/t/acme/scim/v1/Users/{id}"),
    Path::of_a_resource("/scim/v2/ServiceProviderConfig"),
    Path::of_anything("/scim/v2", None),
    Path::of_anything("/events", Some(("after", "now"))),
    Path::of_anything("/", None),
    Path::of_anything("/docs", None),
    Path::of_anything("/docs/init.js", None),
    Path::of_anything("/openapi.json", None),
    Path::of_anything("/healthz", None),
    Path::of_anything("/.well-known/oauth-authorization-server", None),
];

struct Path {
    path: &'static str,
    /// A query parameter that the path needs, and its value.
    parameter: Option<(&'static str, &'static str)>,
    /// Whether the answer has a `Location`, which is the URL that the client used.
    is_located: bool,
}

impl Path {
    const fn of_a_resource(path: &'static str) -> Self {
        Self {
            path,
            parameter: None,
            is_located: true,
        }
    }

    const fn of_anything(
        path: &'static str,
        parameter: Option<(&'static str, &'static str)>,
    ) -> Self {
        Self {
            path,
            parameter,
            is_located: false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    HttpApi,
    RestApi,
    FunctionUrl,
}

/// The domain of a request, and how the gateway passes its path on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// The domain that AWS gave the API; the stage is in the URL.
    AwsDomain,
    /// A domain of the operator; the path includes the mapping.
    OwnDomain,
    /// A domain of the operator, and a proxy that has removed the mapping from the path.
    OwnDomainUnmapped,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    kind: Kind,
    stage: &'static str,
    mapping: &'static str,
    way: Way,
}

impl Case {
    /// The stage as a prefix of paths. Function URLs have the default stage only.
    fn stage_prefix(&self) -> String {
        match (self.kind, self.stage) {
            (Kind::FunctionUrl, _) | (_, "$default") => String::new(),
            (_, stage) => format!("/{stage}"),
        }
    }

    fn domain(&self) -> String {
        match (self.way, self.kind) {
            (Way::AwsDomain, Kind::FunctionUrl) => {
                format!("{API_ID}.lambda-url.eu-west-1.on.aws")
            }
            (Way::AwsDomain, _) => format!("{API_ID}.execute-api.eu-west-1.amazonaws.com"),
            _ => OWN.to_owned(),
        }
    }

    /// The URL of the service for its clients.
    fn public_url(&self) -> String {
        match self.mapping {
            "" if self.way == Way::AwsDomain => {
                format!("https://{}{}", self.domain(), self.stage_prefix())
            }
            mapping => format!("https://{OWN}{mapping}"),
        }
    }

    /// The event of a GET with this token.
    fn event(&self, path: &str, parameter: Option<(&str, &str)>, token: &str) -> Value {
        let headers = json!({"authorization": format!("Bearer {token}")});
        self.event_of("GET", path, parameter, headers)
    }

    /// The event of a token request with this form.
    fn token_event(&self, form: &str) -> Value {
        let headers = json!({"content-type": "application/x-www-form-urlencoded"});
        let mut event = self.event_of("POST", "/oauth/token", None, headers);
        event["body"] = form.into();
        event
    }

    fn event_of(
        &self,
        method: &str,
        path: &str,
        parameter: Option<(&str, &str)>,
        mut headers: Value,
    ) -> Value {
        let mapped = match self.way {
            Way::OwnDomain => format!("{}{path}", self.mapping),
            Way::AwsDomain | Way::OwnDomainUnmapped => path.to_owned(),
        };
        let url_path = match self.way {
            Way::AwsDomain => format!("{}{path}", self.stage_prefix()),
            Way::OwnDomain | Way::OwnDomainUnmapped => mapped.clone(),
        };
        let domain = self.domain();
        headers["host"] = domain.as_str().into();
        let stage = match self.kind {
            Kind::FunctionUrl => "$default",
            Kind::HttpApi | Kind::RestApi => self.stage,
        };
        let mut context = json!({"apiId": API_ID, "domainName": domain, "stage": stage});
        if self.kind == Kind::RestApi {
            context["httpMethod"] = method.into();
            context["path"] = url_path.into();
            context["identity"] = json!({});
            let parameters = parameter.map(|(name, value)| json!({name: value}));
            return json!({
                "httpMethod": method,
                "path": mapped,
                "headers": headers,
                "queryStringParameters": parameters,
                "requestContext": context,
            });
        }
        let query = parameter.map_or_else(String::new, |(name, value)| format!("{name}={value}"));
        context["http"] = json!({"method": method, "path": url_path});
        json!({
            "version": "2.0",
            "rawPath": url_path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": context,
            "isBase64Encoded": false,
        })
    }
}

#[tokio::test]
async fn every_gateway_leads_every_root_path_to_its_answer() {
    let mut played = 0;
    for mapping in MAPPINGS {
        let configured = format!("https://{OWN}{mapping}");
        let configured = Some(configured.as_str()).filter(|_| !mapping.is_empty());
        let server = Server::at(configured).await;
        let user = json!({"userName": "ada@example.com"});
        let id = server.create("/scim/v2/Users", &user).await;
        for (kind, stage) in kinds_and_stages() {
            for way in [Way::AwsDomain, Way::OwnDomain, Way::OwnDomainUnmapped] {
                let case = Case {
                    kind,
                    stage,
                    mapping,
                    way,
                };
                for path in &PATHS {
                    check(&server, case, path, &id).await;
                    played += 1;
                }
            }
        }
    }
    assert_eq!(played, 3 * 4 * 4 * 3 * PATHS.len());
}

/// Clients get tokens at every address, also for assertions that are meant for the one that they use.
#[tokio::test]
async fn every_gateway_leads_token_requests_to_the_token_endpoint() {
    let key = Key::p256();
    for mapping in MAPPINGS {
        let configured = format!("https://{OWN}{mapping}");
        let configured = Some(configured.as_str()).filter(|_| !mapping.is_empty());
        let server = Server::at(configured).await;
        let known = oauth::client(&server, |_| {}).await;
        let secret = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            oauth::id(&known),
            known.secret
        );
        let signing = oauth::signing_client(&server, &[key.jwk("k")]).await;
        for (kind, stage) in kinds_and_stages() {
            for way in [Way::AwsDomain, Way::OwnDomain, Way::OwnDomainUnmapped] {
                let case = Case {
                    kind,
                    stage,
                    mapping,
                    way,
                };
                let mut claims = oauth::claims(&signing, &format!("{case:?}"));
                claims["aud"] = format!("{}/oauth/token", case.public_url()).into();
                let assertion = key.sign(&json!({"alg": "ES256"}), &claims);
                let assertion = format!(
                    "grant_type=client_credentials&client_assertion={assertion}&client_assertion_type=\
                     urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
                );
                for form in [&secret, &assertion] {
                    let event = case.token_event(form);
                    let answered = answer(&server, event, Context::default()).await;
                    assert_eq!(answered.status, 200, "{case:?} {}", answered.text);
                    let token = answered.json["access_token"].as_str().unwrap();
                    assert!(token.starts_with("scimat_"), "{token}");
                }
            }
        }
    }
}

fn kinds_and_stages() -> impl Iterator<Item = (Kind, &'static str)> {
    let kinds = [Kind::HttpApi, Kind::RestApi, Kind::FunctionUrl];
    let all = kinds.map(|kind| STAGES.map(|stage| (kind, stage)));
    all.into_iter().flatten()
}

async fn check(server: &Server, case: Case, path: &Path, id: &str) {
    let local = path.path.replace("{id}", id);
    let event = case.event(&local, path.parameter, &server.token);
    let Answered {
        status,
        headers,
        json,
        ..
    } = answer(server, event, Context::default()).await;
    assert_eq!(status, 200, "{case:?} {local}");
    let location = headers.get("location").map(String::as_str);
    let expected = format!("{}{local}", case.public_url());
    let expected = Some(expected.as_str()).filter(|_| path.is_located);
    assert_eq!(location, expected, "{case:?} {local}");
    let named = match path.path {
        "/" => json["openapi"]
            .as_str()
            .and_then(|url| url.strip_suffix("/openapi.json")),
        "/openapi.json" => json["servers"][0]["url"].as_str(),
        "/.well-known/oauth-authorization-server" => {
            let issuer = json["issuer"].as_str().unwrap();
            assert_eq!(json["token_endpoint"], format!("{issuer}/oauth/token"));
            Some(issuer)
        }
        _ => return,
    };
    assert_eq!(named, Some(case.public_url().as_str()), "{case:?} {local}");
}
