//! The trace that a violation is printed with.

use std::collections::VecDeque;

use k8s_openapi::jiff::Timestamp;

#[derive(Default)]
pub struct Journal {
    most: usize,
    lines: VecDeque<String>,
}

impl Journal {
    /// Keeps the last `most` lines.
    pub fn new(most: usize) -> Self {
        Self { most, lines: VecDeque::new() }
    }

    pub fn note(&mut self, at: Timestamp, text: impl FnOnce() -> String) {
        if self.most > 0 {
            if self.lines.len() == self.most {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{at:.3} {}", text()));
        }
    }

    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}
