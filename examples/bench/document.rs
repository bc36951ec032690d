//! The table and the graph in docs/performance.md, written from a report.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::report::{Figure, HEAD, Point, Report};

const BEGIN: &str = "<!-- from here on written by make bench DOCS=1 -->\n";
const END: &str = "<!-- to here -->";

/// Of the longest bar, in characters.
const WIDTH: f64 = 50.0;

/// Writes what stands between the marks of `guide` anew.
///
/// # Errors
/// A file cannot be read or written, there are no marks, or the report is not one of a whole run.
pub fn write(guide: &Path, report: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let report = Report::load(report).map_err(|error| failed(report, error))?;
    if report.size != 100 {
        return Err(format!("the report is of {} % of a run: measure a whole one first", report.size));
    }
    let text = fs::read_to_string(guide).map_err(|error| failed(guide, error))?;
    let marks = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.ok_or_else(|| format!("{}: it has no marks to write between", guide.display()))?;
    let figures = table(&report.figures);
    let graph = [
        graph("memory", "MiB", &report.points, |point| point.memory),
        graph("start to ready", "s", &report.points, |point| point.seconds),
        graph("bare lists of the same", "s", &report.points, |point| point.bare),
    ];
    let text = format!("{before}{BEGIN}\n{figures}\n```\n{}```\n\n{END}{after}", graph.join("\n"));
    fs::write(guide, text).map_err(|error| failed(guide, error))
}

fn table(figures: &[Figure]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for figure in figures {
        let _ = writeln!(text, "| {} |", figure.cells().join(" | "));
    }
    text
}

/// A bar for each point, as long as its value is great.
fn graph(what: &str, unit: &str, points: &[Point], value: impl Fn(&Point) -> f64) -> String {
    let most = points.iter().map(&value).fold(f64::EPSILON, f64::max);
    let mut text = format!("IamTokens  {what}\n");
    for point in points {
        let value = value(point);
        // At least one, and no more than the width: the cast cuts nothing off that counts.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let bar = "█".repeat((value / most * WIDTH).ceil().max(1.0) as usize);
        let _ = writeln!(text, "{:>9}  {bar} {value:.2} {unit}", point.count);
    }
    text
}
