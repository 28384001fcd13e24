use super::*;

/// The arguments as they were typed, beside what variables say.
fn args(typed: &[(&'static str, &str)], environment: Given) -> Result<DeploymentArgs, String> {
    let mut given = environment;
    for (name, value) in typed {
        let value = Some((*value).to_owned());
        match *name {
            "data" => given.data = value.map(PathBuf::from),
            "stack" => given.stack = value,
            "table" => given.table = value,
            "endpoint" => given.endpoint = value,
            "function" => given.function = value,
            name => panic!("{name}"),
        }
    }
    let typed = typed
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    given
        .settled(typed.collect())
        .map_err(|error| error.to_string())
}

fn variables(data: &str, stack: &str, table: &str) -> Given {
    let text = |text: &str| Some(text.to_owned());
    Given {
        data: text(data).map(PathBuf::from),
        stack: text(stack),
        table: text(table),
        ..Given::default()
    }
}

#[test]
fn what_is_typed_decides_before_variables() {
    let stack = |stack, table| Place::Stack { stack, table };
    let data = |data| Place::Data(Path::new(data));
    let both = || variables("", "prod", "scim-prod");
    let cases = [
        (vec![], both(), stack("prod", Some("scim-prod"))),
        (vec![], Given::default(), data(".scim")),
        (vec![], variables("d", "", ""), data("d")),
        (vec![("stack", "test")], both(), stack("test", None)),
        (
            vec![("stack", "test")],
            variables("d", "", ""),
            stack("test", None),
        ),
        (
            vec![("table", "other")],
            both(),
            stack("prod", Some("other")),
        ),
        (vec![("data", "d")], both(), data("d")),
        (
            vec![("data", "d"), ("table", "t")],
            both(),
            Place::TableWithData {
                table: "t",
                data: Path::new("d"),
            },
        ),
    ];
    for (typed, environment, expected) in cases {
        let args = args(&typed, environment).unwrap();
        assert_eq!(args.place().unwrap(), expected, "{typed:?}");
    }
}

#[test]
fn what_names_two_deployments_or_none_is_refused() {
    let both = args(&[("data", "d"), ("stack", "s")], Given::default());
    assert!(both.unwrap_err().contains("--data is local"));
    let both = args(&[], variables("d", "s", ""));
    assert!(both.unwrap_err().contains("SCIM_DATA"));
    let table = args(&[("table", "t")], Given::default()).unwrap();
    assert!(table.place().unwrap_err().to_string().contains("--stack"));
    let endpoint = args(&[("endpoint", "http://a")], Given::default()).unwrap();
    assert!(
        endpoint
            .place()
            .unwrap_err()
            .to_string()
            .contains("--table")
    );
}

#[test]
fn a_function_is_asked_only_if_it_is_wanted() {
    let lambda = |given: Given| Given {
        via: Some(Via::Lambda),
        ..given
    };
    let of_stack = args(&[], lambda(variables("", "prod", ""))).unwrap();
    assert_eq!(
        of_stack.function().unwrap(),
        Some(FunctionPlace::Of("prod"))
    );
    let named = args(&[("function", "f")], variables("", "prod", "")).unwrap();
    assert_eq!(named.function().unwrap(), Some(FunctionPlace::Named("f")));
    assert!(named.place().is_err());
    let direct = args(&[], variables("", "prod", "")).unwrap();
    assert_eq!(direct.function().unwrap(), None);
    let nowhere = args(&[], lambda(Given::default())).unwrap();
    assert!(
        nowhere
            .function()
            .unwrap_err()
            .to_string()
            .contains("--function")
    );
    // Data that was typed is not in AWS, whatever variables say.
    let function = Some("f".to_owned());
    let local = args(
        &[("data", "d")],
        lambda(Given {
            function,
            ..Given::default()
        }),
    )
    .unwrap();
    assert_eq!(local.function().unwrap(), None);
}

#[test]
fn a_printed_command_names_the_same_deployment() {
    let local = args(&[("data", "it's mine")], Given::default()).unwrap();
    assert_eq!(local.to_text(), r" --data 'it'\''s mine'");
    let typed = [
        ("stack", "my-stack"),
        ("table", "scim"),
        ("endpoint", "http://127.0.0.1:8000"),
    ];
    let remote = args(&typed, Given::default()).unwrap();
    let expected = " --stack my-stack --table scim --endpoint http://127.0.0.1:8000";
    assert_eq!(remote.to_text(), expected);
    let by_environment = args(&[], variables("", "prod", "")).unwrap();
    assert_eq!(by_environment.to_text(), "");
}
