//! The table and the graph in docs/performance.md, written from a report.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::report::{Figure, HEAD, Report};

const BEGIN: &str = "<!-- from here on written by make bench DOCS=1 -->\n";
const END: &str = "<!-- to here -->";

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
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", table(&report.figures));
    fs::write(guide, text).map_err(|error| failed(guide, error))
}

fn table(figures: &[Figure]) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for figure in figures {
        let _ = writeln!(text, "| {} |", figure.cells().join(" | "));
    }
    text
}
