//! Text for a terminal or a pipe. Pure: what is known of the terminal is in [`Style`], the time is an argument.

pub(super) mod bar;
pub(super) mod span;
pub(super) mod table;

use std::io::IsTerminal as _;

use clap::ValueEnum;

/// Where nobody says how wide the terminal is.
const WIDTH: usize = 100;

/// When text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How text may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// With colours.
    pub colour: bool,
    /// With characters beyond ASCII.
    pub unicode: bool,
    /// Sentences are broken there, in characters; `None` leaves them whole.
    pub width: Option<usize>,
}

/// What a colour stands for. It never says what no word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Neither good nor bad.
    Plain,
    /// All is well.
    Good,
    /// Not well, and the token is valid.
    Warn,
    /// There is no valid token.
    Bad,
    /// Less important than the rest.
    Faint,
    /// More important than the rest.
    Strong,
}

// === impl Style ===

impl Style {
    /// As standard output and the environment want it.
    pub(super) fn of_stdout(when: When) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mute = variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|term| term == "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        Self {
            colour: when == When::Always || (when == When::Auto && terminal && !mute),
            unicode: locale.is_some_and(|locale| is_utf8(&locale)),
            width: (terminal || when == When::Always)
                .then(|| variable("COLUMNS").and_then(|width| width.parse().ok()).unwrap_or(WIDTH)),
        }
    }

    /// The text in the colour of the tone (ECMA-48, "select graphic rendition").
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        if self.colour && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// The sentences in lines of the style's width, each indented by `indent` spaces and ended with a line break.
    pub(super) fn wrapped(self, text: &str, indent: usize) -> String {
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let line = lines.last().map(|line| line.chars().count()).unwrap_or_default();
            if line > 0 && line + 1 + word.chars().count() > room {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(word);
            }
        }
        indented(&lines.join("\n"), indent)
    }
}

/// Each line with so many spaces before it, and a line break behind it.
pub(super) fn indented(text: &str, spaces: usize) -> String {
    let spaces = " ".repeat(spaces);
    text.lines().flat_map(|line| [&spaces, line, "\n"]).collect()
}

fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// What others wrote, without what a terminal would obey: each control character becomes `?`.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_direction(c) { '?' } else { c }).collect()
}

/// Characters that turn the direction of the text after them (Unicode standard annex 9).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Plain text of any width, in ASCII: as in a pipe.
#[cfg(test)]
pub(super) const PLAIN: Style = Style { colour: false, unicode: false, width: None };
/// As on a terminal.
#[cfg(test)]
pub(super) const TERMINAL: Style = Style { colour: true, unicode: true, width: Some(80) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_coloured_style_paints() {
        assert_eq!(PLAIN.paint(Tone::Bad, "no"), "no");
        assert_eq!(TERMINAL.paint(Tone::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(TERMINAL.paint(Tone::Plain, "no"), "no");
    }

    #[test]
    fn sentences_are_broken_between_words_where_there_is_a_width() {
        let style = Style { width: Some(24), ..PLAIN };
        assert_eq!(style.wrapped("Put a valid key into it.", 2), "  Put a valid key into\n  it.\n");
        assert_eq!(PLAIN.wrapped("Put a valid key into it.", 2), "  Put a valid key into it.\n");
        assert_eq!(style.wrapped(&"x".repeat(30), 2), format!("  {}\n", "x".repeat(30)), "a long word stays whole");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("a\x1b[31mb\r\nc\u{9b}d\u{202e}e"), "a?[31mb??c?d?e");
        assert_eq!(clean("Zähler → 1"), "Zähler → 1");
    }

    #[test]
    fn a_locale_says_whether_it_is_utf_8() {
        assert!(is_utf8("en_US.UTF-8") && is_utf8("C.utf8"));
        assert!(!is_utf8("C") && !is_utf8("de_DE.ISO-8859-1"));
    }
}
