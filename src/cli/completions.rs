//! `scim completions`: what a shell needs to complete the words of this command.

use clap::Args;
use clap_complete::Shell;

use super::CommandError;
use super::terminal::print;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    scim completions bash > ~/.local/share/bash-completion/completions/scim\n  \
    scim completions zsh > ~/.zfunc/_scim\n  \
    scim completions fish > ~/.config/fish/completions/scim.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script that completes this command.
    pub(super) fn run(self, mut command: clap::Command) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "scim", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
