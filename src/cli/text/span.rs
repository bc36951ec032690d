//! Spans of time as `kubectl` writes them.

use k8s_openapi::jiff::Timestamp;

/// The span from one time to a later one, in whole seconds; nothing where it is the other way round.
pub(in crate::cli) fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second().saturating_sub(from.as_second())).unwrap_or_default()
}

/// Seconds in the two largest units that matter: `90s`, `5m30s`, `48m`, `3h5m`, `26h`, `12d`.
pub(in crate::cli) fn words(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{smaller}"),
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if hours < 2 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_digits_than_matter() {
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (330, "5m30s"),
            (599, "9m59s"),
            (600, "10m"),
            (3600, "60m"),
            (7199, "119m"),
            (7200, "2h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (93_600, "26h"),
            (1_036_800, "12d"),
        ] {
            assert_eq!(words(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn a_time_that_has_passed_is_no_span() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!((between(at(10), at(25)), between(at(25), at(10))), (15, 0));
    }
}
