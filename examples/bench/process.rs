//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

/// Of the kernel's accounting (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: u64 = 100;

/// The CPU time that a process has had, in user and kernel mode.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = [11, 12].map(|field| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default());
    Duration::from_millis((ticks[0] + ticks[1]) * 1000 / TICKS_PER_SECOND)
}

/// Memory in RAM now, and the most that there ever was, in MiB.
pub fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}
