//! `scim` on a deployment in AWS: found by the name of its stack, directly or by its function, with the permissions
//! that docs/operate.md lists, and what people read when AWS says no.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use crate::aws_account::{AwsAccount, STACK};

/// What a command printed.
#[track_caller]
fn out(output: &Output) -> String {
    let failure = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failure}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The line with which a command failed.
#[track_caller]
fn failure(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    text.lines().last().unwrap().to_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap()
}

#[test]
fn the_name_of_a_stack_is_enough() {
    let account = AwsAccount::start();
    let list = account.run(&["webhook", "list"]);
    assert!(out(&list).starts_with("There are no webhooks"));
    let said = String::from_utf8(list.stderr).unwrap();
    let table = format!("Deployment: stack {STACK}, table acme-prod-Table, ");
    assert!(said.starts_with(&table), "{said}");
    let by_function = account.run(&["webhook", "list", "--via", "lambda"]);
    let said = String::from_utf8(by_function.stderr).unwrap();
    let function = format!("Deployment: stack {STACK}, function acme-prod-Admin, eu-west-1\n");
    assert_eq!(said, function);
    out(&account.run(&["tenant", "create", "acme"]));
    let guide = out(&account.run(&["guide", "okta", "acme"]));
    assert!(
        guide.contains("https://id.example.com/t/acme/scim/v2"),
        "{guide}"
    );

    let missing = account
        .scim(&["webhook", "list", "--stack", "elsewhere"])
        .output();
    let line = failure(&missing.unwrap());
    assert!(
        line.starts_with("scim: There is no stack elsewhere in eu-west-1"),
        "{line}"
    );
    let other = account
        .scim(&["webhook", "list", "--stack", "other"])
        .output();
    let line = failure(&other.unwrap());
    assert!(line.contains("no output TableName"), "{line}");
}

#[test]
fn the_function_does_what_the_command_does_itself() {
    let account = AwsAccount::start();
    let url = "https://app.example.com/hook";
    let added = json(&account.run(&["webhook", "add", url, "--json", "--via", "lambda"]));
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = added["id"].as_str().unwrap();
    for arguments in [&["webhook", "list"][..], &["webhook", "show", id]] {
        let direct = json(&account.run(&[arguments, &["--json"]].concat()));
        let by_function = json(&account.run(&[arguments, &["--json", "--via", "lambda"]].concat()));
        assert_eq!(direct, by_function, "{arguments:?}");
    }
    let nothing = ["webhook", "resume", "0123456789abcdef"];
    let direct = failure(&account.run(&nothing));
    let by_function = failure(&account.run(&[&nothing[..], &["--via", "lambda"]].concat()));
    let [direct, by_function] =
        [direct, by_function].map(|line| line.split(';').next().unwrap().to_owned());
    assert_eq!(direct, by_function);
}

#[test]
fn an_invocation_whose_answer_is_lost_is_made_again_and_takes_effect_once() {
    let account = AwsAccount::start();
    account.lose(1);
    let url = "https://app.example.com/hook";
    let added = json(&account.run(&["webhook", "add", url, "--json", "--via", "lambda"]));
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    let list = json(&account.run(&["webhook", "list", "--json"]));
    assert_eq!(list["webhooks"].as_array().unwrap().len(), 1);
}

#[test]
fn what_aws_denies_is_said_with_the_action() {
    for (denied, arguments) in [
        ("cloudformation:DescribeStacks", &["webhook", "list"][..]),
        ("dynamodb:Query", &["webhook", "list"]),
        ("secretsmanager:GetSecretValue", &["webhook", "list"]),
        (
            "lambda:InvokeFunction",
            &["webhook", "list", "--via", "lambda"],
        ),
    ] {
        let account = AwsAccount::start();
        account.deny(denied);
        let line = failure(&account.run(arguments));
        let expected = format!("scim: AWS denies {denied} on arn:aws:");
        assert!(line.starts_with(&expected), "{line}");
        assert!(
            line.contains(" to arn:aws:sts::111122223333:assumed-role/Support/ada"),
            "{line}"
        );
    }
    let account = AwsAccount::start();
    let named = ["webhook", "list", "--function", "elsewhere"];
    let line = failure(&account.scim(&named).output().unwrap());
    assert!(
        line.starts_with("scim: There is no function elsewhere"),
        "{line}"
    );
}

/// Profiles of three kinds: a login by SSO, a program that fails, and keys without a region.
const PROFILES: &str = "[profile sso]
sso_session = corp
sso_account_id = 1
sso_role_name = Admin
region = eu-west-1
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.example.com
[profile process]
credential_process = false
region = eu-west-1
[profile keys]
aws_access_key_id = AKIAOPERATOR
aws_secret_access_key = x
";

#[test]
fn a_login_that_does_not_work_is_said_in_words() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config");
    std::fs::write(&config, PROFILES).unwrap();
    let account = AwsAccount::start();
    let list = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut list = account.scim(&[&["tenant", "list", "--stack", STACK], arguments].concat());
        list.env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_REGION");
        list.env("HOME", home.path())
            .env("AWS_CONFIG_FILE", &config);
        list.env(
            "AWS_SHARED_CREDENTIALS_FILE",
            home.path().join("credentials"),
        );
        list.env("AWS_EC2_METADATA_DISABLED", "true");
        list.envs(variables.iter().copied());
        list.output().unwrap()
    };
    let region = ("AWS_REGION", "eu-west-1");
    for (variables, arguments, expected) in [
        (&[][..], &[][..], "No AWS region"),
        (&[region], &[], "No AWS credentials: run `aws sso login`"),
        (
            &[("AWS_PROFILE", "sso")],
            &[],
            "The AWS login has expired, or there was none: run `aws sso login`",
        ),
        (
            &[region],
            &["--aws-profile", "nowhere"],
            "There is no AWS profile nowhere",
        ),
        (
            &[],
            &["--aws-profile", "process"],
            "The AWS credentials cannot be loaded: ",
        ),
        (&[], &["--aws-profile", "keys"], "No AWS region"),
        (&[], &["--aws-profile", "no"], "There is no AWS profile no:"),
        // A profile that was named comes before keys in the environment.
        (
            &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")],
            &["--aws-profile", "sso"],
            "The AWS login has expired",
        ),
    ] {
        let output = list(variables, arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line = failure(&output);
        assert!(
            line.starts_with(&format!("scim: {expected}")),
            "{variables:?} {arguments:?}: {line}"
        );
    }
    let keys = list(&[], &["--aws-profile", "keys", "--region", "eu-west-1"]);
    assert!(keys.status.success(), "{keys:?}");
}

/// The page with the rights of operators.
const OPERATE: &str = include_str!("../../docs/operate.md");

/// The permissions of the policy with this name in the page.
fn policy(name: &str) -> BTreeSet<String> {
    let start = format!("\"Sid\": \"{name}");
    let blocks = OPERATE.split("```json").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    let block = blocks.into_iter().find(|block| block.contains(&start));
    let policy: Value = serde_json::from_str(block.expect(name)).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements
        .iter()
        .flat_map(|statement| statement["Action"].as_array().unwrap());
    actions
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

/// Onboards a tenant and uses every command that a person may use on a deployment. `way` chooses how.
fn use_every_command(account: &AwsAccount, tenant: &str, way: &[&str]) {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let schema = file("badge.json", BADGE);
    let with_badge = file(
        "type.json",
        &user_type("urn:example:params:scim:schemas:Badge"),
    );
    let run = |arguments: &[&str]| out(&account.run(&[arguments, way].concat()));
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&run(&[arguments, &["--json"]].concat())).unwrap()
    };
    run(&["tenant", "create", tenant]);
    run(&["tenant", "set", tenant, "--set", "maxCount=500"]);
    run(&["tenant", "list"]);
    run(&["tenant", "show", tenant]);
    run(&["tenant", "suspend", tenant]);
    run(&["tenant", "resume", tenant]);
    run(&["tenant", "delete", tenant, "--confirm", tenant]);
    run(&["tenant", "restore", tenant]);
    run(&["tenant", "add-roles", tenant]);
    let token = json(&["token", "create", tenant, "--label", "okta"]);
    let rotated = json(&["token", "rotate", tenant, token["id"].as_str().unwrap()]);
    run(&["token", "list", tenant]);
    run(&["token", "revoke", tenant, rotated["id"].as_str().unwrap()]);
    run(&["token", "revoke-all", tenant, "--yes"]);
    run(&["schema", "add", "--tenant", tenant, &schema]);
    run(&["schema", "list", "--tenant", tenant]);
    run(&["resource-type", "add", "--tenant", tenant, &with_badge]);
    run(&["resource-type", "list", "--tenant", tenant]);
    run(&["events", "list", tenant]);
    run(&["events", "replay", tenant]);
    run(&["events", "forget", tenant, "1"]);
    run(&["events", "list", tenant, "--resource", "1"]);
    run(&["user", "find", tenant, "--email", "ada@example.com"]);
    run(&["group", "find", tenant, "--name", "Sales"]);
    run(&["stack", "status"]);
    run(&["brake", "status", tenant]);
    run(&["brake", "release", tenant]);
    let webhook = json(&["webhook", "add", "https://app.example.com/hook"]);
    let id = webhook["id"].as_str().unwrap();
    run(&["webhook", "rotate", id]);
    run(&["webhook", "show", id]);
    run(&["webhook", "resume", id]);
    run(&["webhook", "remove", id]);
    run(&["guide", "okta", tenant]);
    // The indexes of the new schema have to wait for two minutes.
    let doctor = account.run(&[&["doctor", "--repair"], way].concat());
    assert!(matches!(doctor.status.code(), Some(0 | 3)), "{doctor:?}");
}

const BADGE: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Schema"],
    "id":"urn:example:params:scim:schemas:Badge","name":"Badge",
    "attributes":[{"name":"number","type":"string","multiValued":false,"indexed":true}]}"#;

fn user_type(extension: &str) -> String {
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let ionic = "urn:ietf:params:scim:schemas:extension:ionic:2.0:User";
    format!(
        r#"{{"name":"User","endpoint":"/Users","schema":"urn:ietf:params:scim:schemas:core:2.0:User",
        "schemaExtensions":[{{"schema":"{enterprise}","required":false}},{{"schema":"{ionic}","required":false}},
        {{"schema":"{extension}","required":false}}]}}"#
    )
}

/// Both policies are complete, and allow nothing that no command needs.
#[test]
fn an_operator_has_exactly_the_rights_that_the_commands_need() {
    let account = AwsAccount::start();
    use_every_command(&account, "acme", &[]);
    let mut needed = account.needed();
    // The doctor needs it to finish a change of members, if a process has died within one.
    needed.insert("dynamodb:ConditionCheckItem".to_owned());
    assert_eq!(needed, policy("Direct"));
    use_every_command(&account, "beta", &["--via", "lambda"]);
    assert_eq!(account.needed(), policy("Function"));
}
