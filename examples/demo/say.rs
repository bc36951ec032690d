//! What is shown: lines with the seconds since the start, plain in a terminal and in a pipe.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;

const INDENT: &str = "          ";

/// Tells what happens, and remembers which step it is at.
pub struct Say {
    begin: Instant,
    step: Mutex<String>,
}

// === impl Say ===

impl Say {
    pub fn new() -> Self {
        Self { begin: Instant::now(), step: Mutex::default() }
    }

    /// The next step begins.
    pub fn step(&self, title: &str) {
        title.clone_into(&mut self.step.lock().unwrap_or_else(PoisonError::into_inner));
        print(&format!("{}== {title}\n", self.stamp()));
    }

    /// Something happened.
    pub fn line(&self, text: &str) {
        print(&format!("{}{text}\n", self.stamp()));
    }

    /// The demo failed, in this step, for this reason.
    pub fn failure(&self, error: &Error) {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(std::io::stderr(), "{}FAILED: {step}\n{}", self.stamp(), indented(&error.to_string()));
    }

    fn stamp(&self) -> String {
        format!("{:>6.1} s  ", self.begin.elapsed().as_secs_f64())
    }
}

/// Lines that belong to the one before.
pub fn block(text: &str) {
    print(&indented(text));
}

/// A time with as many digits as matter.
pub fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{} ms", time.as_millis()),
        seconds => format!("{seconds:.1} s"),
    }
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{}", format!("{INDENT}{line}").trim_end());
        all
    })
}

/// A reader that has gone away is no error.
fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
