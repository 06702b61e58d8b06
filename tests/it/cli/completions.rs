//! What shells and `man` are told of the command line.

use std::process::Command;

use super::program::{Ran, portcullis};

fn run(args: &[&str]) -> Ran {
    portcullis().args(args).output().expect("it runs").into()
}

#[test]
fn bash_completes_commands_and_flags() {
    let script = run(&["completions", "bash"]);
    assert_eq!(script.code, 0, "{script}");
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("portcullis.bash");
    std::fs::write(&file, &script.stdout).expect("written");
    let complete = |words: &str| {
        let (last, count) = (words.rsplit(' ').next().expect("a word"), words.split(' ').count() - 1);
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={count}; _portcullis portcullis {last} x; echo ${{COMPREPLY[*]}}",
            file.display()
        );
        let ran: Ran = Command::new("bash").arg("-c").arg(ask).output().expect("bash").into();
        ran.stdout
    };
    assert_eq!(complete("portcullis key"), "keys keyspaces\n");
    assert_eq!(complete("portcullis keys import --dry"), "--dry-run\n");
}

#[test]
fn every_shell_has_completions_and_every_command_a_page() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert!(script.code == 0 && script.stdout.contains("keyspaces"), "{shell}: {script}");
    }
    let folder = tempfile::tempdir().expect("a directory");
    let ran = run(&["man", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(ran.code, 0, "{ran}");
    for page in ["portcullis.1", "portcullis-keys.1", "portcullis-keys-import.1"] {
        let text = std::fs::read_to_string(folder.path().join(page)).expect(page);
        assert!(text.contains(".TH portcullis"), "{text}");
    }
    let nowhere = run(&["man", "/nonexistent"]);
    assert!(nowhere.code != 0 && nowhere.stderr.contains("cannot write into /nonexistent"), "{nowhere}");
}
