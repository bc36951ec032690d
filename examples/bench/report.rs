//! Figures, as a table and as a file.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    pub part: String,
    pub what: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// What the bare counterpart took in the same run, with its unit; empty where there is none.
    pub bare: String,
    /// The number that the goal is about: a ratio, a count, or the figure itself.
    pub value: f64,
    /// What it should be; empty where nothing was asked for.
    pub goal: String,
    /// Whether it is.
    pub met: Option<bool>,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// All figures of one run.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// Of a whole run, in percent.
    pub size: u32,
    pub figures: Vec<Figure>,
    pub points: Vec<Point>,
}

/// What a start takes where so many IamTokens have good tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    pub count: usize,
    /// Resident memory some seconds later, in MiB.
    pub memory: f64,
    /// Until it is ready, in seconds.
    pub seconds: f64,
    /// What bare lists of the same take, in seconds.
    pub bare: f64,
}

impl Figure {
    pub fn new(part: &str, what: &str, measured: String, bare: String, value: f64, goal: Goal) -> Self {
        let (goal, met) = match goal {
            Goal::AtMost(most) => (format!("≤ {most}"), Some(value <= most)),
            Goal::AtLeast(least) => (format!("≥ {least}"), Some(value >= least)),
            Goal::None => (String::new(), None),
        };
        Self { part: part.into(), what: what.into(), measured, bare, value, goal, met }
    }

    /// The cells of its row.
    pub fn cells(&self) -> [String; 7] {
        let value = if self.value.fract() == 0.0 { format!("{:.0}", self.value) } else { format!("{:.2}", self.value) };
        let met = self.met.map_or("", |met| if met { "yes" } else { "no" });
        [&self.part, &self.what, &self.measured, &self.bare, &value, &self.goal, met]
            .map(|cell| cell.to_owned().clone())
    }
}

pub const HEAD: [&str; 7] = ["part", "what", "measured", "bare", "value", "goal", "met"];

impl Report {
    pub fn table(&self) -> String {
        let rows: Vec<_> =
            std::iter::once(HEAD.map(str::to_owned)).chain(self.figures.iter().map(Figure::cells)).collect();
        let widths: Vec<_> = (0..HEAD.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        let mut text = String::from("\n");
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        text
    }

    pub fn save(&self, path: &Path) -> io::Result<()> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, serde_json::to_vec_pretty(self)?)
    }

    pub fn load(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }
}
