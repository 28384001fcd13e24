//! Asks on a terminal before something is done that cannot be taken back.

use std::io::{self, BufRead, IsTerminal as _, Write};

use super::CommandError;
use super::terminal::print;

/// Says what will happen, and asks whether to go on. Without a terminal, `--yes` must be given.
pub(super) fn confirm(losses: &str, is_agreed_already: bool) -> Result<(), CommandError> {
    if is_agreed_already {
        return print(&format!("{losses}\n"));
    }
    if !io::stdin().is_terminal() {
        return Err(CommandError::usage(format!(
            "{losses}. Nothing was changed; to go on, add --yes"
        )));
    }
    if is_agreed(losses, &mut io::stderr(), &mut io::stdin().lock()) {
        return Ok(());
    }
    Err(CommandError::new("Nothing was changed"))
}

/// Asks, and reads the answer. Only `y` and `yes` agree.
fn is_agreed(text: &str, asks: &mut impl Write, answers: &mut impl BufRead) -> bool {
    let mut answer = String::new();
    let asked = write!(asks, "{text}. Go on? [y/N] ").and_then(|()| asks.flush());
    let read = asked.and_then(|()| answers.read_line(&mut answer));
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_agrees() {
        fn check(answer: &str, expected: bool) {
            let mut asked = Vec::new();
            let agreed = is_agreed("User loses all", &mut asked, &mut answer.as_bytes());
            assert_eq!(agreed, expected, "{answer:?}");
            assert_eq!(asked, b"User loses all. Go on? [y/N] ");
        }
        check("y\n", true);
        check(" Yes\n", true);
        check("\n", false);
        check("", false);
        check("no\n", false);
        check("yesterday\n", false);
    }
}
