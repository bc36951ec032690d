//! The life that is left of a token, as a bar.

use k8s_openapi::jiff::Timestamp;

use super::{Style, Tone};

/// In characters.
const LENGTH: u64 = 20;

/// A token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Life {
    /// When the token was asked for.
    pub since: Timestamp,
    /// When its refresh is due, if it is refreshed.
    pub refresh_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Timestamp,
}

struct Glyphs {
    full: char,
    empty: char,
    /// Where the refresh is due.
    full_mark: char,
    empty_mark: char,
    frame: (&'static str, &'static str),
}

const UNICODE: Glyphs = Glyphs { full: '━', empty: '─', full_mark: '╋', empty_mark: '┼', frame: ("", "") };
const ASCII: Glyphs = Glyphs { full: '=', empty: '-', full_mark: '|', empty_mark: '|', frame: ("[", "]") };

/// The bar, as long for each life: what is left stands at its left, and a mark where the refresh is due.
pub(in crate::cli) fn bar(style: Style, tone: Tone, life: &Life, now: Timestamp) -> String {
    let glyphs = if style.unicode { UNICODE } else { ASCII };
    let full = cells(life, now, u64::div_ceil);
    let mark = life.refresh_at.map(|at| cells(life, at, |cells, whole| cells / whole).min(LENGTH - 1));
    let glyph = |cell: u64| match (cell < full, mark == Some(cell)) {
        (true, true) => glyphs.full_mark,
        (true, false) => glyphs.full,
        (false, true) => glyphs.empty_mark,
        (false, false) => glyphs.empty,
    };
    let (left, gone): (String, String) = ((0..full).map(glyph).collect(), (full..LENGTH).map(glyph).collect());
    let (open, close) = glyphs.frame;
    format!("{open}{}{}{close}", style.paint(tone, &left), style.paint(Tone::Faint, &gone))
}

/// How wide a bar is, in characters.
pub(in crate::cli) fn width(style: Style) -> usize {
    let (open, close) = if style.unicode { UNICODE.frame } else { ASCII.frame };
    usize::try_from(LENGTH).unwrap_or_default() + open.len() + close.len()
}

/// How many cells stand for what is left at that time.
fn cells(life: &Life, at: Timestamp, divided: impl Fn(u64, u64) -> u64) -> u64 {
    let whole = super::span::between(life.since, life.expires_at).max(1);
    let left = super::span::between(at, life.expires_at);
    divided(left.saturating_mul(LENGTH), whole).min(LENGTH)
}

#[cfg(test)]
mod tests {
    use super::super::{PLAIN, TERMINAL};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn life() -> Life {
        Life { since: at(0), refresh_at: Some(at(2700)), expires_at: at(3600) }
    }

    #[test]
    fn it_shrinks_towards_the_mark_and_past_it() {
        for (now, expected) in [
            (0, "[=====|==============]"),
            (1800, "[=====|====----------]"),
            (2700, "[=====|--------------]"),
            (3500, "[=----|--------------]"),
            (3599, "[=----|--------------]"),
            (3600, "[-----|--------------]"),
            (9999, "[-----|--------------]"),
            (-100, "[=====|==============]"),
        ] {
            assert_eq!(bar(PLAIN, Tone::Good, &life(), at(now)), expected, "{now}");
            assert_eq!(expected.chars().count(), width(PLAIN));
        }
    }

    #[test]
    fn one_that_is_not_refreshed_has_no_mark() {
        let life = Life { refresh_at: None, ..life() };
        assert_eq!(bar(PLAIN, Tone::Warn, &life, at(1800)), "[==========----------]");
    }

    #[test]
    fn on_a_terminal_the_rest_is_faint() {
        let expected = "\x1b[32m━━━━━╋━━━━\x1b[0m\x1b[2m──────────\x1b[0m";
        assert_eq!(bar(TERMINAL, Tone::Good, &life(), at(1800)), expected);
    }

    #[test]
    fn a_life_that_makes_no_sense_makes_no_panic() {
        let life = Life { since: at(3600), refresh_at: Some(at(-9)), expires_at: at(0) };
        assert_eq!(bar(PLAIN, Tone::Bad, &life, at(0)), "[-------------------|]");
    }
}
