//! Completion, and what the plugin tells of itself.

use crate::command::{call, call_by_name};

#[test]
fn each_shell_gets_a_script() {
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let own = call(&["completion", shell]).run().succeeded();
        assert!(own.contains(word) && own.contains("iam-token-operator"), "{own}");
        let plugin = call_by_name("kubectl-iamtoken", &["completion", shell]).run().succeeded();
        assert!(plugin.contains(word) && plugin.contains("kubectl-iamtoken") && plugin.contains("refresh"), "{plugin}");
    }
    assert!(call(&["completion", "csh"]).run().misused().contains("bash"));
}

#[test]
fn the_scripts_for_bash_are_read_by_bash() {
    for program in ["iam-token-operator", "kubectl-iamtoken"] {
        let script = call_by_name(program, &["completion", "bash"]).run().succeeded();
        let check = format!("{script}\ncomplete -p {program}\n");
        let out = std::process::Command::new("bash").args(["-euc", &check]).output().unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).contains(" -F "), "{out:?}");
    }
}

#[test]
fn the_plugin_is_used_as_a_command_of_kubectl() {
    let help = call_by_name("kubectl-iamtoken", &["--help"]).run().succeeded();
    assert!(help.contains("Usage: kubectl iamtoken [OPTIONS] <COMMAND>"), "{help}");
    for word in
        ["  list ", "  status ", "  refresh ", "  suspend ", "  resume ", "  events ", "  explain ", "Exit codes:"]
    {
        assert!(help.contains(word), "{word}:\n{help}");
    }
    let refresh = call_by_name("kubectl-iamtoken", &["refresh", "--help"]).run().succeeded();
    assert!(refresh.contains("Usage: kubectl iamtoken refresh ") && refresh.contains("[default: 60s]"), "{refresh}");
    assert!(call_by_name("kubectl-iamtoken", &[]).run().misused().contains("Usage: kubectl iamtoken"));
    assert!(call_by_name("kubectl-iamtoken", &["--version"]).run().succeeded().contains("(commit "));
}

#[test]
fn commands_are_completed_without_a_cluster() {
    let out = call_by_name("kubectl_complete-iamtoken", &["s"]).run().succeeded();
    assert_eq!(
        out.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
        ["status", "suspend", ":4"]
    );
    assert_eq!(call_by_name("kubectl_complete-iamtoken", &["status", ""]).run().succeeded(), ":4\n");
}
