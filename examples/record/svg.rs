//! Lines with the colours of a terminal -> an image. Its lines appear one after the other, once; where nothing moves, all
//! of them stand there.

use std::fmt::Write as _;

/// In pixels.
const CHARACTER: f64 = 7.8;
const LINE: usize = 18;
const MARGIN: usize = 16;

/// A command and what it printed.
pub struct Shown {
    command: String,
    lines: Vec<Vec<Run>>,
}

/// Characters of one look.
struct Run {
    class: &'static str,
    text: String,
}

// === impl Shown ===

impl Shown {
    pub fn new(command: &str, printed: &str) -> Self {
        Self { command: command.to_owned(), lines: printed.lines().map(runs).collect() }
    }
}

/// Knows the escape sequences that the program writes (`cli::text`), and no others.
fn runs(line: &str) -> Vec<Run> {
    let mut runs = vec![];
    for (place, part) in line.split("\x1b[").enumerate() {
        let (code, text) = if place == 0 { ("0", part) } else { part.split_once('m').expect("a colour") };
        let class = match code {
            "0" => "",
            "1" => "strong",
            "2" => "faint",
            "31" => "bad",
            "32" => "good",
            "33" => "warn",
            other => panic!("an unknown colour, {other}"),
        };
        if !text.is_empty() {
            runs.push(Run { class, text: text.to_owned() });
        }
    }
    runs
}

/// The image, as wide as the longest line.
pub fn draw(shown: &[Shown]) -> String {
    let length = |line: &Vec<Run>| line.iter().map(|run| run.text.chars().count()).sum();
    let columns: usize = shown.iter().flat_map(|it| &it.lines).map(length).max().unwrap_or_default();
    let mut lines = String::new();
    let (mut row, mut seconds) = (0, 0.5);
    for it in shown {
        let command = [Run { class: "faint", text: "$ ".into() }, Run { class: "strong", text: it.command.clone() }];
        text(&mut lines, &command, row, seconds);
        seconds += 0.8;
        row += 1;
        for line in &it.lines {
            text(&mut lines, line, row, seconds);
            row += 1;
        }
        seconds += 1.7;
        row += 1;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let width = (columns as f64 * CHARACTER) as usize + 2 * MARGIN;
    let height = row * LINE + MARGIN;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="kubectl iamtoken in a terminal">
<!-- Drawn by `make record`; do not edit. -->
<style>
text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d7dce2; white-space: pre; }}
.strong {{ fill: #ffffff; font-weight: bold; }} .faint {{ fill: #7d8794; }}
.good {{ fill: #5fd787; }} .warn {{ fill: #e5c07b; }} .bad {{ fill: #ff6b6b; }}
g {{ animation: appear .01s both; }}
@keyframes appear {{ from {{ opacity: 0; }} to {{ opacity: 1; }} }}
@media (prefers-reduced-motion: reduce) {{ g {{ animation: none; }} }}
</style>
<rect width="{width}" height="{height}" rx="8" fill="#161b22"/>
{lines}</svg>
"##
    )
}

/// Each run is as wide as its characters are, whatever font there is.
fn text(image: &mut String, runs: &[Run], row: usize, seconds: f64) {
    let y = MARGIN + LINE * row + 13;
    let _ = write!(image, r#"<g style="animation-delay:{seconds:.1}s"><text y="{y}">"#);
    let mut column = 0;
    for run in runs {
        let length = run.text.chars().count();
        #[allow(clippy::cast_precision_loss)]
        let (x, width) = (MARGIN as f64 + column as f64 * CHARACTER, length as f64 * CHARACTER);
        let class = if run.class.is_empty() { String::new() } else { format!(r#" class="{}""#, run.class) };
        let _ = write!(
            image,
            r#"<tspan x="{x:.1}" textLength="{width:.1}" lengthAdjust="spacingAndGlyphs"{class}>{}</tspan>"#,
            escaped(&run.text)
        );
        column += length;
    }
    image.push_str("</text></g>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
