//! The table at the end.

use std::fmt::Write as _;

use crate::scenario::Report;

const HEAD: [&str; 8] =
    ["scenario", "faults", "reads (unread)", "expired", "least time left", "exchanges", "longest", "verdict"];

/// The table, and under it what was not as promised.
pub fn of(reports: &[Report]) -> String {
    let rows = std::iter::once(HEAD.map(str::to_owned)).chain(reports.iter().map(row)).collect::<Vec<_>>();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = std::array::from_fn::<_, 8, _>(width);
    let mut text = String::from("\n");
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    for report in reports.iter().filter(|report| !report.is_good()) {
        let _ = writeln!(text, "\n{}: {}", report.scenario, report.verdict());
        for violation in &report.violations {
            let _ = writeln!(text, "  {violation}");
        }
    }
    text
}

fn row(report: &Report) -> [String; 8] {
    let tally = &report.tally;
    let left = tally.least_left.map_or("-".into(), |left| format!("{left:.1} s of {} s", report.lifetime));
    let longest = report.longest.map_or("-".into(), |(what, time)| format!("{what} {:.1} s", time.as_secs_f64()));
    [
        report.scenario.into(),
        report.faults.clone(),
        format!("{} ({})", tally.reads, tally.unread),
        (tally.expired + tally.wrong).to_string(),
        left,
        format!("{} of {}", report.exchanges, report.bound),
        longest,
        report.verdict().into(),
    ]
}
