//! Columns.

use super::{Style, Tone, clean};

/// What stands in a column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Cell {
    /// As it is printed.
    text: String,
    /// In characters on the screen.
    width: usize,
}

// === impl Cell ===

impl Cell {
    /// What others wrote, in one colour.
    pub(in crate::cli) fn new(style: Style, tone: Tone, text: &str) -> Self {
        let text = clean(text);
        Self { width: text.chars().count(), text: style.paint(tone, &text) }
    }

    /// Text that is painted already and takes so many characters on the screen.
    pub(in crate::cli) fn painted(text: String, width: usize) -> Self {
        Self { text, width }
    }
}

/// Rows under each other, three spaces between columns and none at the end of a line, as `kubectl` has it.
pub(in crate::cli) fn table(rows: &[Vec<Cell>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<Cell>| {
        let last = row.iter().rposition(|cell| cell.width > 0).unwrap_or_default();
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().take(last + 1) {
            line += &cell.text;
            if column < last {
                line += &" ".repeat(widths[column] - cell.width + 3);
            }
        }
        line + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{PLAIN, TERMINAL};
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_seen_of_them() {
        let row = |texts: [&str; 3]| texts.map(|text| Cell::new(TERMINAL, Tone::Good, text)).to_vec();
        let text = table(&[row(["a", "long one", "x"]), row(["bbb", "", ""])]);
        let plain = text.replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert_eq!(plain, "a     long one   x\nbbb\n");
    }

    #[test]
    fn nothing_is_a_table_too() {
        assert_eq!(table(&[]), "");
        assert_eq!(table(&[vec![Cell::new(PLAIN, Tone::Plain, "a\tb")]]), "a?b\n");
    }
}
