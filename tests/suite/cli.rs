//! The real `scim` command: what it prints, what it keeps, and how it fails.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// A `scim serve` or `scim table` that has printed that it is ready.
pub(crate) struct Running {
    child: Child,
    pub(crate) ready: Value,
}

pub(crate) fn scim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scim"));
    command.args(arguments).stdin(Stdio::null());
    for variable in [
        "SCIM_TABLE",
        "SCIM_STACK",
        "SCIM_DATA",
        "SCIM_VIA",
        "SCIM_FUNCTION",
        "SCIM_SECRETS_FILE",
        "SCIM_PUBLIC_URL",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
    ] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    scim(arguments).output().unwrap()
}

/// Runs a command that must succeed and returns what it printed.
#[track_caller]
pub(crate) fn answer(arguments: &[&str]) -> String {
    let output = run(arguments);
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {failure}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with code 1 and one line that says why, and returns the line.
#[track_caller]
pub(crate) fn failure(arguments: &[&str]) -> String {
    ended(arguments, 1)
}

/// Runs a command whose arguments must be refused, and returns the line that says why.
#[track_caller]
pub(crate) fn misuse(arguments: &[&str]) -> String {
    ended(arguments, 2)
}

#[track_caller]
fn ended(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(output.stdout, b"");
    // A command that has found its deployment says first which it is.
    let mut lines = text
        .lines()
        .filter(|line| !line.starts_with("Deployment: "));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.next(), None, "{text}");
    line + "\n"
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::run(scim(arguments))
    }

    fn run(mut command: Command) -> Self {
        command.stderr(Stdio::null());
        Self::logged(command)
    }

    /// Starts a command whose log goes where the command says.
    pub(crate) fn logged(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, ready }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.ready[name].as_str().unwrap().to_owned()
    }

    /// Sends a GET below the base URL and returns the status code.
    fn get(&self, path: &str, token: &str) -> u16 {
        let text = self.fetch(path, token);
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Sends a GET below the base URL and returns the answer as it came.
    pub(crate) fn fetch(&self, path: &str, token: &str) -> String {
        let base = self.text("baseUrl");
        let (host, prefix) = base
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap();
        self.send(&format!(
            "GET /{prefix}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Connection: close\r\n\r\n"
        ))
    }

    /// Sends bytes and returns everything until the server closes the connection.
    pub(crate) fn send(&self, bytes: &str) -> String {
        let base = self.text("baseUrl");
        let host = base.strip_prefix("http://").unwrap();
        let host = host.split_once('/').unwrap().0;
        let mut stream = TcpStream::connect(host).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Ends the process like a process supervisor, and returns its exit code and the rest of its
    /// stdout.
    #[cfg(unix)]
    fn end(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut rest = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The names in a list of tenants.
fn names(list: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(list).unwrap();
    let tenants = list["tenants"].as_array().unwrap().iter();
    tenants
        .map(|entry| entry["tenant"].as_str().unwrap().to_owned())
        .collect()
}

/// A data directory of its own.
pub(crate) fn data() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    (directory, path)
}

#[test]
#[cfg(unix)]
fn a_restart_on_the_same_data_keeps_tenant_and_token() {
    let (_guard, data) = data();
    let serve = [
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data",
        shown(&data),
    ];
    let first = Running::start(&serve);
    let (tenant, token) = (first.text("tenant"), first.text("token"));
    assert_eq!(first.get("/ServiceProviderConfig", &token), 200);
    assert_eq!(first.end(), (Some(0), String::new()));
    let second = Running::start(&serve);
    assert_eq!(
        (second.text("tenant"), second.text("token")),
        (tenant, token.clone())
    );
    assert_eq!(second.get("/ServiceProviderConfig", &token), 200);
}

#[test]
#[cfg(unix)]
fn files_of_the_data_directory_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let check = |data: &Path| {
        let listen = ["--listen", "127.0.0.1:0", "--data", shown(data)];
        let running = Running::start(&[&["serve", "--json"], &listen[..]].concat());
        let mut names = Vec::new();
        for entry in fs::read_dir(data).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
        for name in ["secrets.json", "table.sqlite", "table.sqlite-wal"] {
            assert!(names.iter().any(|found| found == name), "{names:?}");
        }
        drop(running);
    };
    let (_guard, data) = data();
    check(&data);
    assert_eq!(mode(&data), 0o700);
    // A directory and files that were created with other modes.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    check(&data);
}

/// The sockets of a process that listen for TCP connections.
#[cfg(target_os = "linux")]
fn listening_sockets(process: u32) -> usize {
    let mut own = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/fd")).unwrap() {
        let Ok(target) = fs::read_link(entry.unwrap().path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        if let Some(inode) = target.strip_prefix("socket:[") {
            own.push(inode.trim_end_matches(']').to_owned());
        }
    }
    let tables = ["tcp", "tcp6"].map(|name| format!("/proc/{process}/net/{name}"));
    let tables = tables.map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    let is_listening = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[3] == "0A" && own.iter().any(|inode| inode == fields[9])
    };
    lines.filter(is_listening).count()
}

#[test]
#[cfg(target_os = "linux")]
fn the_service_listens_on_its_own_port_only() {
    let at = ["--json", "--listen", "127.0.0.1:0", "--data", ":memory:"];
    let serve = Running::start(&[&["serve"], &at[..]].concat());
    assert_eq!(serve.get("/Users", &serve.text("token")), 200);
    assert_eq!(listening_sockets(serve.child.id()), 1);
    let table = Running::start(&[&["table"], &at[..]].concat());
    assert_eq!(listening_sockets(table.child.id()), 1);
}

#[test]
fn people_get_lines_to_paste() {
    let (_guard, data) = data();
    let mut command = scim(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let text: Vec<_> = lines
        .map(Result::unwrap)
        .take_while(|line| !line.contains("Ctrl-C"))
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let curls = text
        .iter()
        .filter(|line| line.trim_start().starts_with("curl -H"));
    assert_eq!(curls.count(), 3, "{text:#?}");
    for label in ["SCIM base URL", "SCIM 1.1", "Tenant", "Token", "Data"] {
        assert!(
            text.iter().any(|line| line.trim_start().starts_with(label)),
            "{text:#?}"
        );
    }
}

#[test]
fn raw_queries_are_read_and_other_bytes_get_a_scim_error() {
    let running = Running::start(&[
        "serve",
        "--data",
        ":memory:",
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let token = running.text("token");
    let raw = "/Users?filter=userName eq \"<a>\" or title sw \"b c\"";
    assert_eq!(running.get(raw, &token), 200);
    for (request, status) in [
        ("GET /\u{1} HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)), 414),
        (
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(200_000)),
            431,
        ),
    ] {
        let text = running.send(&request);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(
            head.contains("\r\ncontent-type: application/scim+json\r\n"),
            "{head}"
        );
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status"], status.to_string());
    }
    // Headers that name another address of the service are ignored.
    let forwarded = format!(
        "GET /scim/v2/ServiceProviderConfig HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {token}\r\n\
         X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\n\
         Forwarded: host=evil.example\r\nConnection: close\r\n\r\n"
    );
    let text = running.send(&forwarded);
    assert!(
        text.starts_with("HTTP/1.1 200 ") && !text.contains("evil"),
        "{text}"
    );
    assert_eq!(running.end().0, Some(0));
}

/// It may be a secret that is never shown again.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let (_guard, data) = data();
    let mut create = scim(&["tenant", "create", "acme", "--data", shown(&data)]);
    assert!(create.output().unwrap().status.success());
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut token = scim(&["token", "create", "acme", "--data", shown(&data)]);
    let ended = token.stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("The answer could not be written"), "{said}");
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let (_guard, data) = data();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["serve", "table"] {
        let line = failure(&[command, "--listen", &address, "--data", shown(&data)]);
        assert!(line.contains(&address), "{line}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_one_clear_line() {
    let (guard, _) = data();
    let file = guard.path().join("file");
    fs::write(&file, "").unwrap();
    let inside = file.join("data");
    let line = failure(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&inside)]);
    assert!(line.contains(shown(&inside)), "{line}");
}

#[test]
fn a_broken_file_is_one_clear_line() {
    for name in ["table.sqlite", "secrets.json"] {
        let (_guard, data) = data();
        fs::create_dir(&data).unwrap();
        fs::write(data.join("secrets.json"), r#"{"version":1,"secrets":{}}"#).unwrap();
        fs::write(
            data.join(name),
            "this is neither a table nor JSON, ".repeat(200),
        )
        .unwrap();
        let line = failure(&["serve", "--listen", "127.0.0.1:0", "--data", shown(&data)]);
        assert!(line.contains(name), "{line}");
    }
}

#[test]
#[cfg(unix)]
fn the_table_alone_prints_its_environment() {
    let table = Running::start(&[
        "table",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--data",
        ":memory:",
    ]);
    let environment = &table.ready["env"];
    assert_eq!(
        environment["AWS_ENDPOINT_URL_DYNAMODB"],
        table.ready["endpoint"]
    );
    assert_eq!(environment["SCIM_TABLE"], table.ready["table"]);
    assert_eq!(environment["SCIM_SECRETS_FILE"], table.ready["secretsFile"]);
    for name in [
        "SCIM_STACK",
        "SCIM_DOCS",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        assert!(environment[name].is_string(), "{name}");
    }
    assert!(
        table
            .text("token")
            .starts_with(&format!("scim_{}_", table.text("tenant")))
    );
    // The other commands need only this environment, and its access key.
    let show = |key: Option<&str>| {
        let mut show = scim(&["tenant", "show", "demo"]);
        let pairs = environment.as_object().unwrap().iter();
        show.envs(pairs.map(|(name, value)| (name, value.as_str().unwrap())));
        if let Some(key) = key {
            show.env("AWS_ACCESS_KEY_ID", key);
        }
        show.output().unwrap()
    };
    let shown = show(None);
    assert!(shown.status.success(), "{shown:?}");
    let refused = String::from_utf8(show(Some("local")).stderr).unwrap();
    assert!(refused.contains("access key id"), "{refused}");
    let secrets = PathBuf::from(table.text("secretsFile"));
    assert!(secrets.exists());
    assert_eq!(table.end(), (Some(0), String::new()));
    assert!(!secrets.exists(), "what was in memory is gone");
}

/// A table at an endpoint, and the commands that know its access key.
struct Endpoint {
    table: Running,
    url: String,
}

impl Endpoint {
    fn start() -> Self {
        let at = ["--listen", "127.0.0.1:0", "--data", ":memory:"];
        let table = Running::start(&[&["table", "--json"], &at[..]].concat());
        let url = table.text("endpoint");
        Self { table, url }
    }

    fn scim(&self, arguments: &[&str]) -> Command {
        let mut command = scim(arguments);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env(name, self.table.ready["env"][name].as_str().unwrap());
        }
        command
    }
}

fn serve_arguments() -> [&'static str; 4] {
    ["serve", "--json", "--listen", "127.0.0.1:0"]
}

/// Its feeds stay empty unless other processes read the stream.
#[test]
fn a_server_of_a_table_at_an_endpoint_says_that_it_reads_no_stream() {
    let (endpoint, (_guard, data)) = (Endpoint::start(), data());
    let at = ["--table", "others", "--endpoint", &endpoint.url];
    let at = [&serve_arguments()[..], &at, &["--data", shown(&data)]].concat();
    let mut command = endpoint.scim(&at);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(server.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let expected = "This process does not read the stream of table others: ";
    assert!(line.starts_with(expected), "{line}");
}

#[test]
#[cfg(unix)]
fn a_table_at_an_endpoint_is_created_and_served() {
    let (endpoint, (_guard, data)) = (Endpoint::start(), data());
    let place = ["--table", "others", "--data", shown(&data)];
    let at = [&place[..], &["--endpoint", &endpoint.url]].concat();
    let serve = || Running::run(endpoint.scim(&[&serve_arguments()[..], &at[..]].concat()));
    let first = serve();
    let token = first.text("token");
    assert_eq!(first.get("/Users", &token), 200);
    assert!(!data.join("table.sqlite").exists());
    assert!(data.join("secrets.json").exists());
    // The embedded table of the same directory has secrets of its own.
    let local = Running::start(&[&serve_arguments()[..], &["--data", shown(&data)]].concat());
    assert_eq!(local.get("/Users", &token), 401);
    drop(local);

    let create = endpoint
        .scim(&[&["tenant", "create", "acme", "--rules", "strict"], &at[..]].concat())
        .output();
    assert!(create.as_ref().unwrap().status.success(), "{create:?}");
    let list = endpoint
        .scim(&[&["tenant", "list", "--json"], &at[..]].concat())
        .output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    assert_eq!(names(&list), ["acme", "demo"]);
    let local = answer(&["tenant", "list", "--json", "--data", shown(&data)]);
    assert_eq!(names(&local), ["demo"]);

    assert_eq!(first.end().0, Some(0));
    let second = serve();
    assert_eq!(second.text("token"), token, "the table was not made anew");

    // Without `--endpoint`, the AWS settings decide.
    drop(second);
    let from_settings = [&serve_arguments()[..], &place[..]].concat();
    let mut from_settings = endpoint.scim(&from_settings);
    from_settings.env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint.url);
    from_settings.env("AWS_REGION", "us-east-1");
    let third = Running::run(from_settings);
    assert_eq!(third.get("/Users", &token), 200);
}

/// With new secrets, every token of the table would be refused.
#[test]
#[cfg(unix)]
fn a_table_at_an_endpoint_is_not_served_with_new_secrets() {
    let (endpoint, (_guard, data)) = (Endpoint::start(), data());
    let place = ["--table", "others", "--data", shown(&data)];
    let at = [&place[..], &["--endpoint", &endpoint.url]].concat();
    let first = Running::run(endpoint.scim(&[&serve_arguments()[..], &at[..]].concat()));
    let create = ["tenant", "create", "acme", "--rules", "strict"];
    let create = endpoint.scim(&[&create[..], &at[..]].concat()).output();
    assert!(create.as_ref().unwrap().status.success(), "{create:?}");
    assert_eq!(first.end().0, Some(0));
    let elsewhere = data.with_file_name("elsewhere");
    let elsewhere = ["--table", "others", "--data", shown(&elsewhere)];
    let listen = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--endpoint",
        &endpoint.url,
    ];
    let refused = endpoint
        .scim(&[&listen[..], &elsewhere].concat())
        .output()
        .unwrap();
    let line = String::from_utf8(refused.stderr).unwrap();
    assert!(line.contains("its secrets are not in"), "{line}");
}

#[test]
fn a_deployment_that_the_environment_describes_is_served_as_it_is() {
    let endpoint = Endpoint::start();
    let with_environment = |arguments: &[&str]| {
        let mut command = scim(arguments);
        for (name, value) in endpoint.table.ready["env"].as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
        command
    };
    let arguments = [
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
        "--table",
        "scim",
    ];
    let serve = Running::run(with_environment(&arguments));
    assert_eq!(serve.ready["token"], Value::Null, "its tenants are its own");
    assert_eq!(serve.get("/Users", &endpoint.table.text("token")), 200);
    // The table must exist already, or its name is wrong.
    let mut wrong = with_environment(&["tenant", "show", "demo"]);
    let wrong = wrong.env("SCIM_TABLE", "missing").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    let missing = ["serve", "--listen", "127.0.0.1:0", "--table", "missing"];
    let missing = with_environment(&missing).output().unwrap();
    let line = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(
        (missing.status.code(), line.lines().count()),
        (Some(1), 1),
        "{line}"
    );
    let rules = [&arguments[..], &["--rules", "strict"]].concat();
    let rules = with_environment(&rules).output().unwrap();
    let line = String::from_utf8(rules.stderr).unwrap();
    assert!(line.contains("scim tenant set"), "{line}");
}

#[test]
fn an_unused_endpoint_is_reported() {
    let (endpoint, (_guard, data)) = (Endpoint::start(), data());
    let at = ["--listen", "127.0.0.1:0", "--data", shown(&data)];
    let without_table = run(&[&["serve", "--endpoint", &endpoint.url], &at[..]].concat());
    let text = String::from_utf8(without_table.stderr).unwrap();
    assert!(text.contains("--table"), "{text}");
    let line = misuse(&[
        "tenant",
        "list",
        "--endpoint",
        &endpoint.url,
        "--data",
        shown(&data),
    ]);
    assert!(line.contains("--table"), "{line}");

    let serve = ["serve", "--table", "others", "--endpoint"];
    let line = failure(&[&serve[..], &[&endpoint.url], &at[..]].concat());
    assert!(line.contains("access key id"), "{line}");
    let not_a_url = run(&[&serve[..], &["127.0.0.1:8000"], &at[..]].concat());
    let text = String::from_utf8(not_a_url.stderr).unwrap();
    assert!(text.contains("http://127.0.0.1:8000"), "{text}");

    let mut command = scim(&[&["serve"], &at[..]].concat());
    command.env("AWS_ENDPOINT_URL", &endpoint.url);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("AWS_ENDPOINT_URL is set"), "{line}");
}

#[test]
fn a_table_of_another_kind_is_left_alone() {
    let (endpoint, (_guard, data)) = (Endpoint::start(), data());
    let key = endpoint.table.ready["env"]["AWS_ACCESS_KEY_ID"]
        .as_str()
        .unwrap();
    let body = r#"{"TableName":"orders","BillingMode":"PAY_PER_REQUEST",
        "KeySchema":[{"AttributeName":"order","KeyType":"HASH"}],
        "AttributeDefinitions":[{"AttributeName":"order","AttributeType":"S"}]}"#;
    let host = endpoint.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: DynamoDB_20120810.CreateTable\r\n\
         Content-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut made = String::new();
    stream.read_to_string(&mut made).unwrap();
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    let at = ["--endpoint", &endpoint.url, "--data", shown(&data)];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--table", "orders"];
    let refused = endpoint
        .scim(&[&serve[..], &at[..]].concat())
        .output()
        .unwrap();
    let line = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{line}");
    assert!(
        line.contains("orders") && line.contains("pk and sk"),
        "{line}"
    );
}

#[test]
fn tenants_and_tokens_are_managed_while_the_service_runs() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    let serve =
        Running::start(&[&["serve", "--json", "--listen", "127.0.0.1:0"], &at[..]].concat());
    let create = answer(&[&["tenant", "create", "acme", "--rules", "strict"], &at[..]].concat());
    assert!(create.contains("scim token create acme"), "{create}");
    let list = answer(&[&["tenant", "list"], &at[..]].concat());
    let lines: Vec<Vec<&str>> = list
        .lines()
        .map(|line| line.split_whitespace().take(2).collect())
        .collect();
    assert_eq!(
        lines,
        [["TENANT", "STATE"], ["acme", "active"], ["demo", "active"]]
    );

    let made = answer(
        &[
            &["token", "create", "acme", "--label", "okta", "--json"],
            &at[..],
        ]
        .concat(),
    );
    let made: Value = serde_json::from_str(&made).unwrap();
    let (id, token) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    assert_eq!(serve.get("/Schemas", token), 200);
    let list = answer(&[&["token", "list", "acme"], &at[..]].concat());
    assert!(
        list.contains(id) && list.contains("okta") && !list.contains(token),
        "{list}"
    );

    let set = ["tenant", "set", "acme", "--set", "maxCount=7", "--json"];
    let shown = answer(&[&set[..], &at[..]].concat());
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["profile"], &shown["switches"]["maxCount"]),
        (&"strict".into(), &7.into())
    );

    for days in ["0", "36501", "-1"] {
        let refused = run(&[&["token", "create", "acme", "--days", days], &at[..]].concat());
        assert!(
            !refused.status.success() && refused.stdout.is_empty(),
            "{days}"
        );
    }
    answer(&[&["token", "revoke", "acme", id], &at[..]].concat());
    let none = answer(&[&["token", "list", "acme"], &at[..]].concat());
    assert!(none.starts_with("There are no tokens"), "{none}");
    let again = failure(&[&["token", "revoke", "acme", id], &at[..]].concat());
    assert!(again.contains(id), "{again}");
    let twice = failure(&[&["tenant", "create", "acme"], &at[..]].concat());
    assert!(twice.contains("acme"), "{twice}");
    let nobody = failure(&[&["tenant", "show", "nobody"], &at[..]].concat());
    assert!(nobody.contains("nobody"), "{nobody}");
}

#[test]
fn rules_of_the_demo_tenant_are_arguments_of_serve() {
    let (_guard, data) = data();
    let at = ["--listen", "127.0.0.1:0", "--data", shown(&data)];
    let rules = [
        "serve",
        "--json",
        "--rules",
        "interop",
        "--set",
        "groupPatchAnswers=204",
    ];
    drop(Running::start(&[&rules[..], &at[..]].concat()));
    let shown = answer(&["tenant", "show", "demo", "--json", "--data", shown(&data)]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["profile"], "interop");
    assert_eq!(shown["switches"]["groupPatchAnswers"], "204");
    let line = misuse(&[&["serve", "--set", "colour=blue"], &at[..]].concat());
    assert!(line.contains("colour"), "{line}");
}

#[test]
fn the_doctor_lists_missing_entries_and_completes_an_index_once_every_process_knows_it() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    let scim = |words: &[&str]| run(&[words, &at[..]].concat());
    let (out, err) = (
        |output: &Output| String::from_utf8(output.stdout.clone()).unwrap(),
        |output: &Output| String::from_utf8(output.stderr.clone()).unwrap(),
    );
    assert!(scim(&["generate", "--users", "3"]).status.success());
    let well = scim(&["doctor"]);
    assert!(well.status.success());
    assert_eq!(
        out(&well),
        "demo: 3 resources, 0 index entries missing, 0 left over\n"
    );

    let set = scim(&["tenant", "set", "demo", "--set", "lastModifiedIndex=true"]);
    assert!(
        set.status.success() && err(&set).contains("doctor"),
        "{set:?}"
    );
    let looked = scim(&["doctor", "demo"]);
    assert_eq!(looked.status.code(), Some(3));
    let printed = out(&looked);
    assert!(printed.contains("3 index entries missing"), "{printed}");
    assert!(printed.contains("User meta.lastModified"), "{printed}");
    assert!(err(&looked).contains("--repair"), "{looked:?}");
    // Entries are written at once, but queries do not use them yet.
    let early = scim(&["doctor", "--repair"]);
    assert_eq!(early.status.code(), Some(3));
    assert!(out(&early).contains("seconds"), "{early:?}");
    assert!(out(&scim(&["doctor"])).contains("0 index entries missing"));
    assert_eq!(scim(&["doctor", "nobody"]).status.code(), Some(1));
}

/// A file of the suites beside this one.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

#[test]
fn a_tenant_registers_schemas_and_resource_types() {
    let (guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["tenant", "create", "acme"], &at[..]].concat());
    let schemas = kept("conformance/test-resource-schemas.json");
    let types = kept("conformance/test-resource-types.json");
    let add = |kind: &str, file: &Path| {
        let tenant = ["--tenant", "acme", shown(file)];
        [kind, "add"]
            .into_iter()
            .chain(tenant)
            .chain(at)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let registered = |kind: &str, file: &Path| {
        let arguments = add(kind, file);
        answer(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refused = |kind: &str, file: &Path| {
        let arguments = add(kind, file);
        failure(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let line = refused("resource-type", &types);
    assert!(line.contains("not a registered schema"), "{line}");
    let text = registered("schema", &schemas);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("urn:ietf:params:scim:schemas:test:2.0:TestResource"),
        "{text}"
    );
    let text = registered("resource-type", &types);
    assert_eq!(text, "Registered resource type TestResource\n");
    assert_eq!(registered("schema", &schemas).lines().count(), 2);
    let changed = guard.path().join("changed.json");
    let text = fs::read_to_string(&schemas).unwrap();
    fs::write(&changed, text.replace("\"integer\"", "\"decimal\"")).unwrap();
    let line = refused("schema", &changed);
    assert!(
        line.contains("registered already") && line.contains("`type`"),
        "{line}"
    );
    let broken = guard.path().join("broken.json");
    fs::write(&broken, "{").unwrap();
    for file in [broken, guard.path().join("nowhere.json")] {
        let line = refused("schema", &file);
        assert!(line.contains(shown(&file)), "{line}");
    }
    let token = answer(&[&["token", "create", "acme", "--json"], &at[..]].concat());
    let token: Value = serde_json::from_str(&token).unwrap();
    let listen = ["serve", "--json", "--listen", "127.0.0.1:0"];
    let serve = Running::start(&[&listen[..], &at[..]].concat());
    let token = token["token"].as_str().unwrap();
    assert_eq!(serve.get("/TestResources", token), 200);
    assert_eq!(serve.get("/TestResources", &serve.text("token")), 404);
}

#[test]
fn a_token_is_bound_to_a_role_that_exists() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["tenant", "create", "acme"], &at[..]].concat());
    let roles = answer(&[&["tenant", "add-roles", "acme"], &at[..]].concat());
    let reader = roles
        .lines()
        .find(|line| line.starts_with("  Reader"))
        .unwrap();
    let role = reader.split_whitespace().nth(1).unwrap();
    let again = answer(&[&["tenant", "add-roles", "acme"], &at[..]].concat());
    assert!(again.contains("has these roles already"), "{again}");
    let bound = answer(
        &[
            &["token", "create", "acme", "--json", "--role", role],
            &at[..],
        ]
        .concat(),
    );
    let bound: Value = serde_json::from_str(&bound).unwrap();
    let own = [
        "token",
        "create",
        "acme",
        "--json",
        "--permission",
        "groups:list",
    ];
    let own: Value = serde_json::from_str(&answer(&[&own[..], &at[..]].concat())).unwrap();
    let line = failure(&[&["token", "create", "acme", "--role", "none"], &at[..]].concat());
    assert!(line.contains("none"), "{line}");
    let line = failure(&[&["token", "create", "acme", "--permission", "fly"], &at[..]].concat());
    assert!(line.contains("fly"), "{line}");
    let listen = ["serve", "--json", "--listen", "127.0.0.1:0"];
    let serve = Running::start(&[&listen[..], &at[..]].concat());
    let (bound, own) = (
        bound["token"].as_str().unwrap(),
        own["token"].as_str().unwrap(),
    );
    assert_eq!(serve.get("/Users", bound), 200);
    assert_eq!(serve.get("/Users", own), 403);
    assert_eq!(serve.get("/Groups", own), 200);
}

#[test]
fn a_token_belongs_to_a_user_that_exists() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["generate", "--users", "1"], &at[..]].concat());
    let listen = ["serve", "--json", "--listen", "127.0.0.1:0"];
    let serve = Running::start(&[&listen[..], &at[..]].concat());
    let listed = serve.fetch("/Users?attributes=id", &serve.text("token"));
    let listed: Value = serde_json::from_str(listed.split_once("\r\n\r\n").unwrap().1).unwrap();
    let id = listed["Resources"][0]["id"].as_str().unwrap();
    for nobody in ["nobody", "", &"x".repeat(200)] {
        let line = failure(&[&["token", "create", "demo", "--user", nobody], &at[..]].concat());
        assert!(line.contains("no user with the id"), "{line}");
    }
    let token = |more: &[&str]| {
        let create = ["token", "create", "demo", "--json", "--user", id];
        let made = answer(&[&create, more, &at[..]].concat());
        let made: Value = serde_json::from_str(&made).unwrap();
        made["token"].as_str().unwrap().to_owned()
    };
    let (own, more) = (token(&[]), token(&["--permission", "users:list"]));
    assert_eq!(serve.get("/Me", &own), 200);
    assert_eq!(serve.get("/Users", &own), 403);
    assert_eq!(serve.get("/Users", &more), 200);
    assert_eq!(serve.get("/Me", &more), 403);
    let list = answer(&[&["token", "list", "demo"], &at[..]].concat());
    assert!(list.contains("me:read,me:update"), "{list}");
}

#[test]
fn credentials_of_a_kind_need_its_switch() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["tenant", "create", "acme"], &at[..]].concat());
    for (kind, secret) in [("basic", "Password"), ("mac", "Key")] {
        let create = [&["token", "create", "acme", "--kind", kind], &at[..]].concat();
        let line = failure(&create);
        assert!(line.contains(&format!("switch `{kind}` is off")), "{line}");
        let list = answer(&[&["token", "list", "acme"], &at[..]].concat());
        assert!(!list.contains(kind), "{list}");
        let switch = format!("{kind}=true");
        answer(&[&["tenant", "set", "acme", "--set", &switch], &at[..]].concat());
        assert!(answer(&create).contains(secret));
        let nobody = [&["token", "create", "nobody", "--kind", kind], &at[..]].concat();
        assert!(failure(&nobody).contains("no tenant nobody"));
    }
}

#[test]
fn oauth_clients_are_created_with_a_secret_or_with_keys() {
    let (guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["tenant", "create", "acme"], &at[..]].concat());
    let create = |arguments: &[&str]| {
        let made = answer(&[&["token", "create", "acme", "--json"], arguments, &at[..]].concat());
        serde_json::from_str::<Value>(&made).unwrap()
    };
    let made = create(&["--kind", "oauth"]);
    let (id, secret) = (made["userName"].as_str(), made["token"].as_str());
    assert!(id.unwrap().contains(".acme."), "{made}");
    assert!(secret.unwrap().starts_with("scim_acme_"), "{made}");
    let jwks = guard.path().join("jwks.json");
    // The public key of RFC 8037, appendix A.2.
    let key =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    fs::write(&jwks, json!({"keys": [key]}).to_string()).unwrap();
    let made = create(&["--kind", "oauth-jwt", "--jwks", shown(&jwks)]);
    assert!(
        made["userName"].is_string() && made["token"].is_null(),
        "{made}"
    );
    let without = [&["token", "create", "acme", "--kind", "oauth-jwt"], &at[..]].concat();
    assert!(!run(&without).status.success());
    fs::write(&jwks, json!({"kty": "oct", "k": "c2VjcmV0"}).to_string()).unwrap();
    let line = failure(&[&without[..], &["--jwks", shown(&jwks)]].concat());
    assert!(
        line.contains("public part") && !line.contains("c2VjcmV0"),
        "{line}"
    );
    let keys = answer(&[&["stack", "rotate-key", "--json"], &at[..]].concat());
    let keys: Value = serde_json::from_str(&keys).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn a_table_without_its_secrets_gets_no_new_ones() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["tenant", "create", "acme"], &at[..]].concat());
    let secrets = data.join("secrets.json");
    let kept = taken(&secrets);
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["tenant", "list"],
        &["token", "create", "acme"],
    ] {
        let line = failure(&[command, &at[..]].concat());
        assert!(line.contains(shown(&secrets)), "{line}");
        assert!(!secrets.exists());
    }
    fs::write(&secrets, kept).unwrap();
    let list = answer(&[&["tenant", "list", "--json"], &at[..]].concat());
    assert_eq!(names(&list), ["acme"]);
}

#[test]
fn a_missing_secrets_file_is_named() {
    let (guard, _) = data();
    let missing = guard.path().join("secrets.json");
    let mut list = scim(&["tenant", "list"]);
    list.envs([
        ("SCIM_TABLE", "table"),
        ("SCIM_STACK", "stack"),
        ("SCIM_SECRETS_FILE", shown(&missing)),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
    ]);
    let output = list.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains(shown(&missing)), "{line}");
    assert!(!missing.exists());
}

/// Removes a file and returns its content.
fn taken(file: &Path) -> Vec<u8> {
    let kept = fs::read(file).unwrap();
    fs::remove_file(file).unwrap();
    kept
}

#[test]
fn a_switch_out_of_its_range_changes_nothing() {
    let (_guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["tenant", "create", "acme"], &at[..]].concat());
    let show = ["tenant", "show", "acme", "--json"];
    let before = answer(&[&show[..], &at[..]].concat());
    for (switch, range) in [
        ("maxCount=0", "1 to 10,000"),
        ("inlineMemberCap=0", "1 to 20,000"),
        ("bulkMaxPayloadSize=4194305", "1,024 to 4,194,304"),
        ("bulkMaxOperations=1001", "1 to 1,000"),
    ] {
        for command in ["set", "create"] {
            let change = ["tenant", command, "acme", "--set", switch];
            let line = misuse(&[&change[..], &at[..]].concat());
            let name = switch.split('=').next().unwrap();
            assert!(line.contains(name) && line.contains(range), "{line}");
        }
    }
    assert_eq!(answer(&[&show[..], &at[..]].concat()), before);
}

#[test]
fn an_extension_is_removed_only_after_its_losses_were_shown() {
    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    const IONIC: &str = "urn:ietf:params:scim:schemas:extension:ionic:2.0:User";
    let (guard, data) = data();
    let at = ["--data", shown(&data)];
    answer(&[&["generate", "--users", "3"], &at[..]].concat());
    let file = guard.path().join("user.json");
    let users = format!(
        r#"{{"name": "User", "endpoint": "/Users",
            "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
            "schemaExtensions": [{{"schema": "{IONIC}"}}]}}"#
    );
    fs::write(&file, users).unwrap();
    let add = [
        &["resource-type", "add", "--tenant", "demo", shown(&file)],
        &at[..],
    ]
    .concat();
    let line = failure(&add);
    assert!(
        line.contains(ENTERPRISE) && line.contains(shown(&file)),
        "{line}"
    );
    let remove = [&add[..], &["--remove-extension", ENTERPRISE]].concat();
    let line = misuse(&remove);
    assert!(line.contains("3 resources lose"), "{line}");
    assert!(line.contains("--yes"), "{line}");
    let line = failure(&add);
    assert!(line.contains(ENTERPRISE), "nothing was changed: {line}");
    let other = [&add[..], &["--remove-extension", IONIC, "--yes"]].concat();
    let line = failure(&other);
    assert!(line.contains(IONIC), "{line}");
    let removed = answer(&[&remove[..], &["--yes"]].concat());
    let lines: Vec<_> = removed.lines().collect();
    assert!(lines[0].contains("3 resources lose"), "{removed}");
    assert_eq!(lines[1], "Registered resource type User");
    assert_eq!(answer(&add), "Registered resource type User\n");
}

#[test]
fn a_command_that_only_reads_creates_no_data() {
    let (guard, data) = data();
    for command in [
        &["tenant", "list"][..],
        &["tenant", "set", "acme", "--rules", "strict"],
        &["token", "create", "acme"],
        &["events", "tail", "acme"],
        &["events", "forget", "acme", "1"],
        &["brake", "status", "acme"],
        &["doctor", "--repair"],
    ] {
        let line = failure(&[command, &["--data", shown(&data)]].concat());
        assert!(line.contains("There is no data in"), "{line}");
        assert!(line.contains(shown(&data)), "{line}");
        let external = ["--table", "scim", "--endpoint", "http://127.0.0.1:1"];
        let line = failure(&[command, &external, &["--data", shown(&data)]].concat());
        assert!(line.contains("There is no data in"), "{line}");
        let mut without = scim(command);
        let output = without.current_dir(guard.path()).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            line,
            "scim: There is no data in .scim; say which deployment is meant, with --data DIR or --stack NAME\n"
        );
    }
    assert_eq!(fs::read_dir(guard.path()).unwrap().count(), 0);
    answer(&["tenant", "create", "acme", "--data", shown(&data)]);
    let listed = answer(&["tenant", "list", "--json", "--data", shown(&data)]);
    assert_eq!(names(&listed), ["acme"]);
}

/// What a command prints once that fits; the feed has a change some time after its answer.
fn awaited(arguments: &[&str], fits: impl Fn(&str) -> bool) -> String {
    for _ in 0..600 {
        let text = answer(arguments);
        if fits(&text) {
            return text;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{arguments:?} never fits: {}", answer(arguments));
}

/// A server of a tenant `demo` of 40 users of whom 22 are deleted while the brake holds, and their ids.
fn held(data: &Path) -> (Running, Vec<String>) {
    let at = ["--data", shown(data)];
    answer(&[&["generate", "--users", "40"], &at[..]].concat());
    answer(&[&["tenant", "set", "demo", "--set", "brake=hold"], &at[..]].concat());
    let listen = ["serve", "--json", "--listen", "127.0.0.1:0"];
    let serve = Running::start(&[&listen[..], &at[..]].concat());
    let token = serve.text("token");
    let listed = serve.fetch("/Users?attributes=id&count=22", &token);
    let listed: Value = serde_json::from_str(listed.split_once("\r\n\r\n").unwrap().1).unwrap();
    let users = listed["Resources"].as_array().unwrap();
    let ids: Vec<_> = users
        .iter()
        .map(|user| user["id"].as_str().unwrap().to_owned())
        .collect();
    for id in &ids {
        let answer = serve.send(&format!(
            "DELETE /scim/v2/Users/{id} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Connection: close\r\n\r\n"
        ));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
    let list = ["events", "list", "demo", "--type", "user.deleted"];
    awaited(&[&list[..], &at[..]].concat(), |text| {
        text.matches("user.deleted").count() == ids.len()
    });
    (serve, ids)
}

/// What an application gets of the feed.
fn feed(serve: &Running) -> Value {
    let token = serve.text("token");
    let answer = serve.send(&format!(
        "GET /events?after=beginning&limit=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    ));
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn what_the_brake_holds_is_shown_and_released() {
    let (_guard, data) = data();
    let (serve, ids) = held(&data);
    let at = ["--data", shown(&data)];
    let before = feed(&serve);
    assert_eq!(before["held"], true);
    let status = answer(&[&["brake", "status", "demo", "--json"], &at[..]].concat());
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["leavers"], 22);
    assert!(status["held"]["from"].is_u64(), "{status}");
    let release = [&["brake", "release", "demo"], &at[..]].concat();
    assert_eq!(answer(&release), "Released the feed of tenant demo\n");
    assert_eq!(
        answer(&release),
        "The feed of tenant demo was not held\n",
        "only once"
    );
    let after = feed(&serve);
    assert_eq!(after["held"], Value::Null);
    let count = |part: &Value| part["events"].as_array().unwrap().len();
    assert!(count(&before) < count(&after));
    assert!(count(&after) > ids.len());
    let text = answer(&[&["brake", "status", "demo"], &at[..]].concat());
    assert!(text.contains("Held          nothing"), "{text}");
    let nobody = failure(&[&["brake", "release", "nobody"], &at[..]].concat());
    assert!(nobody.contains("no tenant nobody"), "{nobody}");
}

/// The events of tenant `demo` that `scim events replay` prints.
fn replayed(at: &[&str], more: &[&str]) -> Vec<Value> {
    let text = answer(&[&["events", "replay", "demo"], more, at].concat());
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_events_of_one_resource_are_listed_with_those_of_the_feed_itself() {
    let (_guard, data) = data();
    let (_serve, ids) = held(&data);
    let at = ["--data", shown(&data)];
    let events = |more: &[&str]| answer(&[&["events"], more, &at[..]].concat());
    let replayed = |more: &[&str]| replayed(&at, more);
    let (all, id) = (replayed(&[]), ids[0].as_str());
    let about = replayed(&["--resource", id]);
    let is_wanted = |event: &&Value| {
        event["resource"]["id"] == id
            || event["type"]
                .as_str()
                .is_some_and(|name| name.starts_with("feed."))
    };
    assert!(about.iter().any(|event| event["type"] == "user.deleted"));
    let expected: Vec<_> = all.iter().filter(is_wanted).cloned().collect();
    assert_eq!(about, expected);
    let text = events(&["list", "demo", "--resource", id]);
    assert!(text.contains("  scim2 by token "), "{text}");
}

#[test]
fn events_are_listed_replayed_and_forgotten() {
    let (_guard, data) = data();
    let (_serve, ids) = held(&data);
    let at = ["--data", shown(&data)];
    let events = |more: &[&str]| answer(&[&["events"], more, &at[..]].concat());
    let replayed = |more: &[&str]| replayed(&at, more);
    let all = replayed(&[]);
    let numbers: Vec<_> = all
        .iter()
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    assert!(
        numbers.iter().copied().eq(1..=all.len() as u64),
        "{numbers:?}"
    );
    let part: Value =
        serde_json::from_str(&events(&["list", "demo", "--limit", "3", "--json"])).unwrap();
    assert_eq!(part["events"].as_array().unwrap()[..], all[..3]);
    assert_eq!(part["behind"], all.len() - 3);
    let next = part["next"].as_str().unwrap();
    assert_eq!(replayed(&["--after", next]), all[3..]);
    let text = events(&["list", "demo", "--after", next, "--limit", "1"]);
    assert!(
        text.contains("more events; continue with --after"),
        "{text}"
    );

    let id = ids[0].as_str();
    let of_user = |event: &&Value| event["resource"]["id"] == id;
    let has_values = |event: &Value| event["changes"]["userName"]["before"].is_string();
    assert!(all.iter().filter(of_user).any(has_values));
    let forget = ["forget", "demo", id];
    let expected = |count: usize| format!("Removed the values of {id} from {count} events\n");
    assert_eq!(events(&forget), expected(1));
    assert_eq!(events(&forget), expected(0));
    let left = replayed(&[]);
    assert!(!left.iter().filter(of_user).any(has_values));
    assert_eq!(
        left.iter().filter(|event| has_values(event)).count(),
        ids.len() - 1
    );
    check_positions(&at);
}

/// Checks that positions of another feed, and those that a replay has no use for, are refused.
fn check_positions(at: &[&str]) {
    let old = "018bcfe568adab14e960.1.1.9f86d0";
    let line = failure(&[&["events", "list", "demo", "--after", old], at].concat());
    assert!(line.contains("Begin with `after` `beginning`"), "{line}");
    let refused = run(&[&["events", "replay", "demo", "--after", "now"], at].concat());
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && text.contains("a position or `beginning`"),
        "{text}"
    );
}
