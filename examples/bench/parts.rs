//! The parts, in the order in which they are measured.

mod big;
mod memory;
mod refresh;
mod rotation;
mod small;

use crate::Size;
use crate::report::{Figure, Point};

/// As `--only` names them.
pub const NAMES: [&str; 9] =
    ["binary", "steady", "sharing", "cold", "cpu", "rotation", "restart", "failover", "memory"];

/// All that are wanted, one after the other. Those that need 10,000 IamTokens share them.
pub async fn run(size: Size, wanted: impl Fn(&str) -> bool) -> (Vec<Figure>, Vec<Point>) {
    let (mut figures, mut points) = (vec![], vec![]);
    if wanted("binary") {
        figures.extend(small::binary().await);
    }
    if wanted("steady") {
        figures.extend(small::steady().await);
    }
    if wanted("sharing") {
        figures.extend(small::sharing(size).await);
    }
    if wanted("cold") {
        figures.extend(refresh::cold(size).await);
    }
    if wanted("cpu") {
        figures.extend(refresh::cpu(size).await);
    }
    if wanted("rotation") {
        figures.extend(rotation::run(size).await);
    }
    if ["restart", "failover", "memory"].iter().any(|name| wanted(name)) {
        let (more, measured) = big::run(size, &wanted).await;
        figures.extend(more);
        points = measured;
    }
    (figures, points)
}

/// The value that so many percent are not above.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}
