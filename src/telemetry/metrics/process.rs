//! What the process uses, under the names that Prometheus' own clients use, from Linux' `/proc` (proc(5)). What cannot
//! be read is left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Unit;

/// `/proc` counts time in hundredths of a second: `USER_HZ` is a part of Linux' interface (time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Looks at the process that it is in.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let (stat, status, limits) = (read("stat"), read("status"), read("limits"));
        if let Some(seconds) = cpu_seconds(&stat) {
            let counter = ConstCounter::new(seconds);
            let help = "Time that the process has had of the CPUs.";
            counter.encode(to.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), MetricType::Counter)?)?;
        }
        let (bytes, seconds) = (Some(&Unit::Bytes), Some(&Unit::Seconds));
        gauge(&mut to, "process_resident_memory", "Memory in RAM.", bytes, memory(&status, "VmRSS:"))?;
        gauge(&mut to, "process_virtual_memory", "Memory that has addresses.", bytes, memory(&status, "VmSize:"))?;
        let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        gauge(&mut to, "process_open_fds", "Open file descriptors.", None, open)?;
        gauge(&mut to, "process_max_fds", "File descriptors that may be open.", None, most_files(&limits))?;
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let help = "When the process started.";
        gauge(&mut to, "process_start_time", help, seconds, start_time(&stat, &boot))
    }
}

fn gauge(
    to: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    value: Option<impl EncodeGaugeValue>,
) -> fmt::Result {
    match value {
        Some(value) => to.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value),
        None => Ok(()),
    }
}

/// A field of `/proc/self/stat` by its number in proc(5). The second one is a name that may hold anything.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

/// In seconds since 1970: the kernel's boot, and the ticks since.
fn start_time(stat: &str, boot: &str) -> Option<f64> {
    let booted: f64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + field(stat, 22)? / TICKS_PER_SECOND)
}

/// In bytes, from a line such as `VmRSS:  1234 kB`.
fn memory(status: &str, name: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?;
    kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The soft limit; none where it is unlimited.
fn most_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a ) b) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 1 0 12345 20000000 2500 18446";

    #[test]
    fn times_are_told_whatever_the_program_is_called() {
        assert_eq!(cpu_seconds(STAT), Some(3.0));
        assert_eq!(start_time(STAT, "cpu  1 2 3\nbtime 1800000000\nprocesses 9\n"), Some(1_800_000_123.45));
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tx\nVmSize:\t   20000 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!(memory(status, "VmRSS:"), Some(1_263_616));
        assert_eq!(memory(status, "VmSize:"), Some(20_480_000));
    }

    #[test]
    fn the_soft_limit_of_files_is_told() {
        let line = "Max open files            1024                 524288               files";
        assert_eq!(most_files(line), Some(1024));
        assert_eq!(most_files("Max open files            unlimited            unlimited            files"), None);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(
            (cpu_seconds(""), start_time(STAT, ""), memory("", "VmRSS:"), most_files("")),
            (None, None, None, None)
        );
        assert_eq!(field(STAT, 2), None);
    }
}
