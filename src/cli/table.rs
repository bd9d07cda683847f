//! Rows as people and programs read them.

use clap::ValueEnum;
use terminal_size::{Width, terminal_size};

/// For whom rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Csv,
}

/// Lays rows out under their headings; the last column is left as wide as it is.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(headings.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// The same, with cells in lines so that all of it fits the terminal.
pub(super) fn wrapped(headings: &[&str], rows: &[Vec<String>]) -> String {
    wrapped_to(terminal_width(), headings, rows)
}

/// Sentences in lines that fit the terminal.
pub(super) fn paragraph(text: &str) -> String {
    lines(text, terminal_width()).into_iter().map(|line| format!("{line}\n")).collect()
}

/// Where nobody looks at a terminal.
const USUAL_WIDTH: usize = 100;
/// A last column that is narrower than this reads badly; it rather runs over.
const NARROWEST: usize = 30;

fn terminal_width() -> usize {
    terminal_size().map_or(USUAL_WIDTH, |(Width(width), _)| width.into())
}

fn wrapped_to(width: usize, headings: &[&str], rows: &[Vec<String>]) -> String {
    // What stands before the last column, none of it much wider than a quarter of the terminal.
    let widest = (width / 4).max(8);
    let in_lines = |limit: usize| move |cell: &String| lines(cell, limit);
    let mut cells: Vec<Vec<Vec<String>>> =
        rows.iter().map(|row| row.iter().map(in_lines(widest)).collect()).collect();
    let width_of = |column: usize| {
        let lines = cells.iter().filter_map(|row| row.get(column)).flatten().map(|line| line.chars().count());
        lines.chain(headings.get(column).map(|heading| heading.chars().count())).max().unwrap_or(0) + 2
    };
    let last = headings.len().saturating_sub(1);
    let before: usize = (0..last).map(width_of).sum();
    for (row, cells) in rows.iter().zip(&mut cells) {
        if let (Some(cell), Some(long)) = (row.get(last), cells.get_mut(last)) {
            *long = lines(cell, width.saturating_sub(before).max(NARROWEST));
        }
    }
    let rows = cells.iter().flat_map(|row| {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        let line = |at: usize| row.iter().map(|cell| cell.get(at).cloned().unwrap_or_default()).collect();
        (0..height).map(line).collect::<Vec<Vec<String>>>()
    });
    table(headings, &rows.collect::<Vec<_>>())
}

/// A text in lines, none longer than `width` unless a word is.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { continue };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Rows for programs: CSV (RFC 4180), with its headings.
///
/// # Errors
/// When a row has more or fewer cells than there are headings.
pub(super) fn csv(headings: &[&str], rows: &[Vec<String>]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(headings)?;
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_go_on_in_lines_below_and_stay_in_their_column() {
        let row =
            vec!["key".to_owned(), "words of a sentence that is longer than the terminal is wide".to_owned()];
        let text = wrapped_to(40, &["a", "b"], &[row]);
        assert_eq!(text, "a    b\nkey  words of a sentence that is longer\n     than the terminal is wide\n");
        assert!(text.lines().all(|line| line.chars().count() <= 40));
    }
}
