//! What is wrong with a configuration, each with its place.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{File, Place};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// In which file.
    pub file: PathBuf,
    /// In which line and column, from 1.
    pub line: Option<(usize, usize)>,
    /// In which table and key: ``watch `gtx3070`: source``.
    pub place: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.line {
            write!(f, ":{line}:{column}")?;
        }
        if self.place.is_empty() {
            write!(f, ": {}", self.message)
        } else {
            write!(f, ": {}: {}", self.place, self.message)
        }
    }
}

/// All mistakes of a configuration.
#[derive(Clone, Default)]
pub struct Mistakes {
    files: Vec<File>,
    found: Vec<Mistake>,
    /// Values that came from outside the files and must not be shown.
    hidden: Vec<String>,
    /// Secrets that stand in the files.
    written_out: Vec<String>,
    /// Places whose value could not be had; what else is wrong there follows from that.
    without_value: Vec<Place>,
}

impl Mistakes {
    /// None yet, in these files.
    #[must_use]
    pub fn in_files(files: &[File]) -> Self {
        Self { files: files.to_vec(), ..Self::default() }
    }

    /// A single one.
    #[must_use]
    pub fn of(mistake: Mistake) -> Self {
        Self { found: vec![mistake], ..Self::default() }
    }

    /// One more, whose words hold no secret.
    pub(super) fn push(&mut self, mistake: Mistake) {
        self.found.push(mistake);
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.found.len()
    }

    /// Those in one file.
    #[must_use]
    pub fn of_file(&self, path: &Path) -> Self {
        let found = self.found.iter().filter(|mistake| mistake.file == path).cloned().collect();
        Self { found, ..self.clone() }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.found.iter()
    }

    /// In the order of the files and their lines.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        let files = &self.files;
        let position = |found: &Mistake| files.iter().position(|file| file.path == found.file);
        self.found.sort_by_key(|found| (position(found), found.line));
        self
    }

    /// One more, at a place.
    pub fn at(&mut self, place: &Place, what: &str, message: &str) {
        self.add(place.file, Some(place.span.clone()), what, message);
    }

    /// One more, at some bytes of a file.
    pub fn add(&mut self, file: usize, span: Option<Range<usize>>, place: &str, message: &str) {
        let follows = |lost: &Place| {
            lost.file == file && span.as_ref().is_some_and(|span| lost.span.contains(&span.start))
        };
        if self.without_value.iter().any(follows) {
            return;
        }
        let mut message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        for value in self.hidden.iter().chain(&self.written_out) {
            message = message.replace(value, "[secret]");
        }
        let (path, line) = match self.files.get(file) {
            Some(file) => (file.path.clone(), span.map(|span| line_of(&file.text, span.start))),
            None => (PathBuf::new(), None),
        };
        let (place, message) = (shown(place, LONGEST_PLACE), shown(&message, LONGEST_MESSAGE));
        let mistake = Mistake { file: path, line, place, message };
        if !self.found.contains(&mistake) {
            self.found.push(mistake);
        }
    }

    /// A value could not be had; what else is wrong with it is not told.
    pub(super) fn no_value(&mut self, file: usize, span: Range<usize>, place: &str, message: &str) {
        self.add(file, Some(span.clone()), place, message);
        self.without_value.push(Place { file, span });
    }

    /// The values that came from outside the files.
    #[must_use]
    pub fn secrets(&self) -> &[String] {
        &self.hidden
    }

    /// Keeps a secret that is written out in the files out of every message.
    pub(super) fn hide_written(&mut self, value: &str) {
        if value.len() >= 6 && !self.written_out.iter().any(|hidden| hidden == value) {
            self.written_out.push(value.to_owned());
        }
    }

    /// Keeps a value out of every message.
    pub(super) fn hide(&mut self, value: &str) {
        if value.len() >= 4 && !self.hidden.iter().any(|hidden| hidden == value) {
            self.hidden.push(value.to_owned());
        }
    }
}

impl fmt::Debug for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.found).finish()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.found {
            writeln!(f, "{mistake}")?;
        }
        match self.found.len() {
            1 => write!(f, "1 mistake in the configuration"),
            n => write!(f, "{n} mistakes in the configuration"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// In characters; a name has 200 bytes at most.
const LONGEST_PLACE: usize = 250;
/// In characters; the list of all keys of a watch fits.
const LONGEST_MESSAGE: usize = 700;

/// A text without what moves the cursor of a terminal, and not too long to be read.
fn shown(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = text.chars().take(most).map(plain).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

fn line_of(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_can_be_shown_whatever_stands_in_the_file() {
        let mut mistakes = Mistakes::default();
        mistakes.add(0, None, "watch `\u{1b}[2J`", &format!("`\u{7}{}` is no time", "x".repeat(9_999)));
        let found = mistakes.found.first().unwrap();
        assert_eq!(found.place, "watch `\u{fffd}[2J`");
        assert!(found.message.starts_with("`\u{fffd}xxx") && found.message.ends_with("x…"));
        assert_eq!(found.message.chars().count(), LONGEST_MESSAGE + 1);
    }
}
