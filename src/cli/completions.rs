//! `completions` and `man`: the command line, told to shells and to `man`.

use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use super::exit::{Error, Exit};

/// How each shell is told.
pub const HELP: &str = "\
bash:        portcullis completions bash > ~/.local/share/bash-completion/completions/portcullis
zsh:         portcullis completions zsh > DIR/_portcullis, where DIR is in $fpath
fish:        portcullis completions fish > ~/.config/fish/completions/portcullis.fish
PowerShell:  portcullis completions powershell >> $PROFILE";

/// Prints the completions for `shell`.
pub fn print(shell: Shell) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    match io::stdout().write_all(&script) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(Exit::Done),
    }
}

/// Writes `portcullis.1`, `portcullis-keys.1` and so on into `folder`.
pub fn write_manual(folder: &Path) -> Result<Exit, Error> {
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|error| Error::Failed(format!("cannot write into {}: {error}", folder.display())))?;
    Ok(Exit::Done)
}
