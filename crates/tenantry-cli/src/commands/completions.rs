//! `tenantry completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{exit::Exit, failure::Result};

const EXAMPLES: &str = "\
Examples:
  tenantry completions bash > ~/.local/share/bash-completion/completions/tenantry
  tenantry completions zsh > ~/.zfunc/_tenantry
  tenantry completions fish > ~/.config/fish/completions/tenantry.fish";

/// Which shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell that is to complete
    shell: Shell,
}

impl Completions {
    /// `program` is the whole command line.
    pub(crate) fn run(self, program: &mut Command) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, program, "tenantry", &mut script);
        crate::render::raw(&script)?;
        Ok(Exit::Ok)
    }
}
