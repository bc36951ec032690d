//! The real helm, and the objects that it renders.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::control_plane::{ControlPlane, helm_cmd};

/// The root of the repository.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/iam-token-operator");

/// The release of every test and its namespace.
pub const RELEASE: &str = "iam-token-operator";
pub const NAMESPACE: &str = "iam-tokens";

/// `helm` with these arguments: what it prints, or what it complains of.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    run(program().args(arguments))
}

/// The same, on this API server.
pub fn helm_on(plane: &ControlPlane, arguments: &[&str]) -> Result<String, String> {
    run(program().args(arguments).env("KUBECONFIG", plane.kubeconfig_for_admin()))
}

/// The objects of the chart with these values, as YAML.
pub fn template(values: &str) -> Result<String, String> {
    template_for(values, "1.37.0")
}

/// The same, for a version of Kubernetes.
pub fn template_for(values: &str, kubernetes: &str) -> Result<String, String> {
    let file = values_file(values);
    let text = ["template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", kubernetes, "--values"];
    helm(&[&text[..], &[file.to_str().unwrap()]].concat())
}

/// The objects of the chart with these values.
pub fn objects(values: &str) -> Vec<Value> {
    parse(&template(values).unwrap())
}

/// The objects that the YAML holds.
pub fn parse(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The only one of this kind.
#[track_caller]
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

/// A file that holds the values, for as long as the tests run.
pub fn values_file(values: &str) -> PathBuf {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    values.hash(&mut hasher);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chart-values");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{:x}.yaml", hasher.finish()));
    // Another test may write the same.
    let new = folder.join(format!("{:x}.{:?}", hasher.finish(), std::thread::current().id()));
    std::fs::write(&new, values).unwrap();
    std::fs::rename(new, &file).unwrap();
    file
}

/// A file of this folder.
pub fn here(path: &str) -> PathBuf {
    Path::new(ROOT).join("tests/chart").join(path)
}

/// Compares with a committed file, which `UPDATE=1` writes anew.
#[track_caller]
pub fn current(file: &Path, content: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    let name = file.strip_prefix(ROOT).unwrap_or(file).display();
    let differs = committed.lines().zip(content.lines()).position(|(one, other)| one != other);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(content.lines().count())) + 1;
    assert!(
        committed == content,
        "{name} is not current, from line {line} on: make generate, and look at the difference"
    );
}

fn program() -> Command {
    helm_cmd(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm")).unwrap()
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
