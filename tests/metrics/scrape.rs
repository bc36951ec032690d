//! A scrape, and what Prometheus' own parser (`hack/openmetrics`) makes of it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::harness::operator::get;
use crate::harness::{Operator, eventually};

/// What the parser says of one scrape.
#[derive(Debug)]
pub struct Scrape {
    pub text: String,
    lines: Vec<Line>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    family: String,
    #[serde(rename = "type")]
    kind: String,
    unit: String,
    help: String,
    series: String,
    labels: BTreeMap<String, String>,
    value: String,
    exemplar: BTreeMap<String, String>,
}

/// A metric, as one asks Prometheus for it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metric {
    pub name: String,
    pub kind: String,
    pub labels: Vec<String>,
}

// === impl Scrape ===

impl Scrape {
    /// The value of the one series with these labels; none where there is no such series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let name = format!("iam_token_operator_{name}");
        let found: Vec<_> = self.series(&name).filter(|line| has(&line.labels, labels)).collect();
        assert!(found.len() <= 1, "{name} {labels:?}: {found:#?}");
        found.first().map(|line| line.value.parse().unwrap())
    }

    /// Of this series of an `IamToken`.
    pub fn of_token(&self, name: &str, token: &str) -> Option<f64> {
        self.value(&format!("token_{name}"), &[("name", token)])
    }

    /// The sum over all series with these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let name = format!("iam_token_operator_{name}");
        let found = self.series(&name).filter(|line| has(&line.labels, labels));
        found.map(|line| line.value.parse::<f64>().unwrap()).sum()
    }

    /// The labels of all exemplars.
    pub fn exemplars(&self) -> impl Iterator<Item = &BTreeMap<String, String>> {
        self.lines.iter().map(|line| &line.exemplar).filter(|labels| !labels.is_empty())
    }

    /// All that is exposed.
    pub fn metrics(&self) -> Vec<Metric> {
        let types = self.lines.iter().filter(|line| !line.kind.is_empty());
        let mut all: Vec<_> = types.map(|line| self.metric(&line.family, &line.kind)).collect();
        all.sort();
        all
    }

    fn metric(&self, family: &str, kind: &str) -> Metric {
        let help = self.lines.iter().find(|line| line.family == family && !line.help.is_empty());
        assert!(help.is_some_and(|line| line.help.ends_with('.')), "{family} has no sentence of help");
        let unit = self.lines.iter().find(|line| line.family == family && !line.unit.is_empty());
        assert!(unit.is_none_or(|line| family.ends_with(&line.unit)), "{family} ends with another unit");
        let (name, sample) = match kind {
            "counter" => (format!("{family}_total"), format!("{family}_total")),
            "info" => (format!("{family}_info"), format!("{family}_info")),
            "histogram" => (family.to_owned(), format!("{family}_count")),
            _ => (family.to_owned(), family.to_owned()),
        };
        let series = self.series(&sample).next().unwrap_or_else(|| panic!("{sample} has no series"));
        Metric { name, kind: kind.to_owned(), labels: series.labels.keys().cloned().collect() }
    }

    fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.series == name)
    }
}

fn has(labels: &BTreeMap<String, String>, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(name, value)| labels.get(*name).is_some_and(|it| it == value))
}

// === asking ===

/// What the operator tells now.
pub async fn scrape(operator: &Operator) -> Scrape {
    let (head, text) = get(operator.address("scrapes").await, "/metrics").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    read(head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap(), text)
}

/// What the parser makes of it.
pub fn read(content_type: &str, text: String) -> Scrape {
    let parsed = parse(content_type, &text);
    let problem = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{problem}\n{text}");
    let lines = String::from_utf8(parsed.stdout).unwrap();
    Scrape { lines: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), text }
}

/// Scrapes until what is looked for is as it should be, and returns that scrape.
pub async fn until(operator: &Operator, what: &str, is: impl Fn(&Scrape) -> bool) -> Scrape {
    eventually(what, async || {
        let scrape = scrape(operator).await;
        if is(&scrape) { Ok(scrape) } else { Err(scrape.text) }
    })
    .await
}

/// Runs the parser.
pub fn parse(content_type: &str, text: &str) -> Output {
    let mut child = Command::new(parser())
        .arg(content_type)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The parser's program, built the first time.
fn parser() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/hack/openmetrics");
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openmetrics");
        let mut build = Command::new("go");
        build.args(["build", "-C", source, "-o"]).arg(&program).arg(".");
        let done = build.env("GOFLAGS", "-mod=readonly").env("GOWORK", "off").output().expect("Go is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        program
    })
}

#[test]
fn the_parser_refuses_what_is_no_openmetrics() {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let good = "# TYPE a gauge\na{b=\"c\"} 1\n# EOF\n";
    assert!(parse(content_type, good).status.success());
    let end = good.replace("# EOF\n", "");
    let twice = good.replace("# EOF", "a{b=\"c\"} 2\n# EOF");
    for bad in [&end, &twice, "a{b=} 1\n# EOF\n"] {
        assert!(!parse(content_type, bad).status.success(), "{bad}");
    }
}
