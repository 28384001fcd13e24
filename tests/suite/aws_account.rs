//! A stand-in for an AWS account with one stack, for commands that are told nothing but the stack's name.
//!
//! It answers on one port for CloudFormation, DynamoDB (a `scim table` behind it), Secrets Manager and Lambda, and
//! writes down which permissions the calls of the operator needed. Its function is the shipped
//! [`Admin`](scim_lambda::admin::Admin), whose own calls are not the operator's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use scim_lambda::admin::Admin;
use scim_lambda::aws;
use scim_lambda::outgoing::Reach;
use scim_lambda::stack::{Config, Stack};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cli::{Running, scim};

/// The stack, and its parts.
pub(crate) const STACK: &str = "acme-prod";
const TABLE: &str = "acme-prod-Table";
const FUNCTION: &str = "acme-prod-Admin";
/// The access key by which the operator's calls are told from those of the function.
const OPERATOR: &str = "AKIAOPERATOR";

pub(crate) struct AwsAccount {
    url: String,
    shared: Arc<Shared>,
    _table: Running,
}

struct Shared {
    /// The address of the table, and the access key that it takes.
    table: (String, String),
    secrets: Mutex<BTreeMap<String, SecretVersions>>,
    /// The permissions that the operator's calls needed.
    needed: Mutex<BTreeSet<String>>,
    /// Permissions that the operator does not have.
    denied: Mutex<BTreeSet<String>>,
    /// How many invocations are carried out and not answered.
    lost: Mutex<u32>,
    function: Mutex<Option<(Admin, Runtime)>>,
}

/// The values of a secret by their versions, and which version has which stage.
#[derive(Default)]
struct SecretVersions {
    values: HashMap<String, String>,
    stages: HashMap<String, String>,
}

/// A request as it came.
struct Received {
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// A status, a content type and a body.
type Answer = (u16, &'static str, String);

impl AwsAccount {
    pub(crate) fn start() -> Self {
        let at = ["--listen", "127.0.0.1:0", "--data", ":memory:"];
        let table = Running::start(&[&["table", "--json"], &at[..]].concat());
        let key = table.ready["env"]["AWS_ACCESS_KEY_ID"].as_str().unwrap();
        let address = table.text("endpoint").replace("http://", "");
        let shared = Arc::new(Shared {
            table: (address, key.to_owned()),
            secrets: Mutex::default(),
            needed: Mutex::default(),
            denied: Mutex::default(),
            lost: Mutex::default(),
            function: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(stream.unwrap()));
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let admin = runtime.block_on(async {
            let config = Config {
                table: TABLE.to_owned(),
                stack: STACK.to_owned(),
                stack_secret: format!("{STACK}/stack"),
                secrets_file: None,
                public_url: None,
                server_timing: false,
                functions: Vec::new(),
                docs: None,
            };
            let stack = Stack::open_or_create(config, &aws::emulator(&url))
                .await
                .unwrap();
            stack.store.create_table_if_missing().await.unwrap();
            stack.admin(Reach::Public, std::sync::Arc::new(stack.provider()))
        });
        *shared.function.lock().unwrap() = Some((admin, runtime));
        Self {
            url,
            shared,
            _table: table,
        }
    }

    /// A command of the operator, who is logged in to this account.
    pub(crate) fn scim(&self, arguments: &[&str]) -> Command {
        let mut command = scim(arguments);
        command.envs([
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_ACCESS_KEY_ID", OPERATOR),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "eu-west-1"),
        ]);
        command
    }

    /// Runs a command on the stack, which is named and nothing else.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let at = ["--stack", STACK];
        self.scim(&[arguments, &at].concat()).output().unwrap()
    }

    /// The permissions that were needed since the last call of this.
    pub(crate) fn needed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.shared.needed.lock().unwrap())
    }

    /// Takes a permission from the operator.
    pub(crate) fn deny(&self, permission: &str) {
        self.shared
            .denied
            .lock()
            .unwrap()
            .insert(permission.to_owned());
    }

    /// Loses the answers of this number of invocations.
    pub(crate) fn lose(&self, answers: u32) {
        *self.shared.lost.lock().unwrap() = answers;
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let Some(request) = Received::read(&stream) else {
            return;
        };
        let Some((status, media_type, body)) = self.answer(&request) else {
            return;
        };
        let length = body.len();
        // The client may have given up.
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\
             \r\n{body}"
        );
    }

    /// The answer of the service that is asked; `None` if it is lost.
    fn answer(&self, request: &Received) -> Option<Answer> {
        let target = request.header("x-amz-target");
        let (service, action) = match target.split_once('.') {
            Some((service, action)) if service.starts_with("DynamoDB") => ("dynamodb", action),
            Some((_, action)) => ("secretsmanager", action),
            None if request.path.ends_with("/invocations") => ("lambda", "InvokeFunction"),
            None => ("cloudformation", "DescribeStacks"),
        };
        let is_operator = request.header("authorization").contains(OPERATOR);
        for permission in permissions(service, action, &request.body) {
            if is_operator && self.denied.lock().unwrap().contains(&permission) {
                return Some(denial(service, &permission));
            }
            if is_operator {
                self.needed.lock().unwrap().insert(permission);
            }
        }
        Some(match service {
            "dynamodb" => self.dynamodb(target, &request.body),
            "secretsmanager" => {
                self.secret(action, &serde_json::from_slice(&request.body).unwrap())
            }
            "lambda" => return self.invoke(request),
            _ => stacks(&String::from_utf8_lossy(&request.body)),
        })
    }

    fn dynamodb(&self, target: &str, body: &[u8]) -> Answer {
        let (address, key) = &self.table;
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\nX-Amz-Target: {target}\r\nContent-Type: \
             application/x-amz-json-1.0\r\nContent-Length: {}\r\nConnection: close\r\nAuthorization: \
             AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, "application/x-amz-json-1.0", body.to_owned())
    }

    fn secret(&self, action: &str, asked: &Value) -> Answer {
        let mut secrets = self.secrets.lock().unwrap();
        let name = asked["SecretId"]
            .as_str()
            .or_else(|| asked["Name"].as_str())
            .unwrap_or_default();
        let version = format!("{}-read-by-no-one", uuid::Uuid::now_v7());
        let found = match action {
            "CreateSecret" if secrets.contains_key(name) => {
                return refusal("ResourceExistsException");
            }
            "CreateSecret" => secrets.entry(name.to_owned()).or_default(),
            "ListSecrets" => {
                let prefix = asked["Filters"][0]["Values"][0]
                    .as_str()
                    .unwrap_or_default();
                let names = secrets.keys().filter(|name| name.starts_with(prefix));
                let listed: Vec<_> = names.map(|name| json!({"Name": name})).collect();
                return json_answer(&json!({"SecretList": listed}));
            }
            "DeleteSecret" => {
                secrets.remove(name);
                return json_answer(&json!({"Name": name}));
            }
            _ => match secrets.get_mut(name) {
                Some(found) => found,
                None => return refusal("ResourceNotFoundException"),
            },
        };
        if let Some(value) = asked["SecretString"].as_str() {
            found.values.insert(version.clone(), value.to_owned());
            let stage = asked["VersionStages"][0].as_str().unwrap_or("AWSCURRENT");
            found.stages.insert(stage.to_owned(), version.clone());
        }
        if let Some(moved) = asked["MoveToVersionId"].as_str() {
            let stage = asked["VersionStage"].as_str().unwrap();
            found.stages.insert(stage.to_owned(), moved.to_owned());
        }
        let current = found.stages.get("AWSCURRENT").unwrap_or(&version);
        let value = found.values.get(current).cloned();
        let version = match action {
            "GetSecretValue" => current,
            _ => &version,
        };
        json_answer(&json!({"Name": name, "VersionId": version, "SecretString": value}))
    }

    fn invoke(&self, request: &Received) -> Option<Answer> {
        if !request.path.contains(&format!("/{FUNCTION}/")) {
            let (_, media_type, body) = refusal("ResourceNotFoundException");
            return Some((404, media_type, body));
        }
        let function = self.function.lock().unwrap();
        let (admin, runtime) = function.as_ref().unwrap();
        let answer = runtime.block_on(admin.answer(&request.body));
        let mut lost = self.lost.lock().unwrap();
        if *lost > 0 {
            *lost -= 1;
            return None;
        }
        Some(json_answer(&answer))
    }
}

impl Received {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self {
            path,
            headers,
            body,
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The permissions that a call needs: those of its parts, if it is a transaction.
fn permissions(service: &str, action: &str, body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(parts) = body["TransactItems"].as_array() else {
        return vec![format!("{service}:{action}")];
    };
    let part = |part: &Value| match part.as_object().unwrap().keys().next().unwrap().as_str() {
        "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
        verb => format!("dynamodb:{verb}Item"),
    };
    parts.iter().map(part).collect()
}

fn stacks(form: &str) -> Answer {
    let name = form
        .split('&')
        .find_map(|part| part.strip_prefix("StackName="));
    let name = name.unwrap_or_default();
    let output = |(key, value): (&str, &str)| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs = [
        ("TableName", TABLE),
        ("AdminFunctionName", FUNCTION),
        ("BaseUrl", "https://id.example.com/scim/v2"),
    ];
    let outputs: String = match name {
        STACK => outputs.map(output).concat(),
        // A stack of another template.
        "other" => String::new(),
        _ => {
            let text = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id {name} \
                 does not exist</Message></Error></ErrorResponse>"
            );
            return (400, "text/xml", text);
        }
    };
    let text = format!(
        "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><DescribeStacksResult>\
         <Stacks><member><StackName>{name}</StackName><CreationTime>2026-11-27T00:00:00Z</CreationTime>\
         <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{outputs}</Outputs></member></Stacks>\
         </DescribeStacksResult></DescribeStacksResponse>"
    );
    (200, "text/xml", text)
}

/// What AWS answers who has no permission.
fn denial(service: &str, permission: &str) -> Answer {
    let text = format!(
        "User: arn:aws:sts::111122223333:assumed-role/Support/ada is not authorized to perform: {permission} on \
         resource: arn:aws:{service}:eu-west-1:111122223333:it because no identity-based policy allows the \
         {permission} action"
    );
    match service {
        "cloudformation" => {
            let text = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{text}</Message></Error>\
                 </ErrorResponse>"
            );
            (403, "text/xml", text)
        }
        _ => {
            let body = json!({"__type": "AccessDeniedException", "message": text, "Message": text});
            (400, "application/x-amz-json-1.1", body.to_string())
        }
    }
}

fn refusal(code: &str) -> Answer {
    let body = json!({"__type": code, "Type": "User", "message": code});
    (400, "application/x-amz-json-1.1", body.to_string())
}

fn json_answer(body: &Value) -> Answer {
    (200, "application/x-amz-json-1.1", body.to_string())
}
