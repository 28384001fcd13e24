//! The help of every command, as a person reads it.

use crate::cli::answer;

/// Names of subcommands that `help` lists, without `help` itself.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    // A line that goes on with an explanation is indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every command that does something, as its words, and its help. clap lists them, so a new command is among them.
pub(crate) fn every_command() -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    commands(&[], &mut found);
    found
}

fn commands(words: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = answer(&arguments);
    let names = subcommands(&help);
    if names.is_empty() {
        found.push((words.to_vec(), help));
        return;
    }
    for name in names {
        commands(&[words, &[name]].concat(), found);
    }
}

#[test]
fn every_command_explains_itself_with_an_example_and_the_variables_that_it_reads() {
    let found = every_command();
    assert!(found.len() > 30, "{}", found.len());
    for (words, help) in &found {
        let command = format!("scim {}", words.join(" "));
        let examples = help.split("\nExample").nth(1);
        let examples = examples.unwrap_or_else(|| panic!("{command} has no example"));
        let example = examples.lines().nth(1).unwrap().trim();
        assert!(example.starts_with(&command), "{command}: {example}");
        let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 100, "{command}: a line of {longest} characters");
        // Commands for one machine have a directory only.
        let is_local = ["serve", "table", "generate", "completions"].contains(&words[0].as_str());
        for variable in [
            "SCIM_STACK",
            "SCIM_DATA",
            "SCIM_TABLE",
            "SCIM_VIA",
            "AWS_PROFILE",
            "AWS_REGION",
        ] {
            let is_named = help.contains(&format!("[env: {variable}]"));
            assert!(is_named || is_local, "{command}: {variable}");
        }
    }
}
