//! The real `kubectl` finds the plugin and its completion in the PATH.

use std::process::Command;

use super::plugin;
use crate::command::names;
use crate::harness::World;

fn kubectl(world: &World, args: &[&str]) -> String {
    let path = [names(), "/usr/bin".into(), "/bin".into()];
    let mut command: Command = world.plane.kubectl_cmd(args);
    command.env("PATH", std::env::join_paths(path).unwrap()).env("LC_ALL", "C");
    let output = command.output().unwrap();
    assert!(output.status.success(), "kubectl {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn kubectl_runs_the_plugin() {
    let world = World::start().await;
    world.put_pair("hpcs").await;
    world.ready("hpcs").await;
    let out = kubectl(&world, &["iamtoken", "list", "-n", &world.namespace]);
    assert!(out.contains("hpcs") && out.contains("Ready") && out.contains("|==="), "{out}");
    let names = kubectl(&world, &["get", "iamtokens", "-n", &world.namespace, "-o", "name"]);
    assert_eq!(names, plugin(&world, &["list", "-o", "name"]).run().succeeded());
    assert!(kubectl(&world, &["plugin", "list"]).contains("kubectl-iamtoken"));
}

#[tokio::test]
async fn kubectl_completes_the_plugins_arguments() {
    let world = World::start().await;
    for name in ["hpcs", "other"] {
        world.put_pair(name).await;
    }
    let complete = |words: &[&str]| {
        let out = kubectl(&world, &[&["__complete", "iamtoken"], words].concat());
        out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(complete(&["ref"]), ["refresh", ":4"]);
    assert_eq!(complete(&["status", "-n", &world.namespace, ""]), ["hpcs", "other", ":4"]);
    assert_eq!(complete(&["refresh", "-n", &world.namespace, "hpcs", ""]), ["other", ":4"]);
    assert_eq!(complete(&["list", "--output", "j"]), ["json", ":4"]);
}
