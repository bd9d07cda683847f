//! Text as Discord writes it: escaped, measured, and cut into pages that fit.

use crate::notifiers::links::{Piece, pieces};

/// The room for text in one embed.
const DESCRIPTION: usize = 4_096;

/// A flood of messages tells nobody anything: what is beyond so many is only counted.
pub(super) const MOST_PAGES: usize = 20;

/// The text as Discord writes it, in pages that each fit one message, cut between lines.
pub(super) fn pages(body: &str) -> Vec<String> {
    let mut pages = Pages::default();
    let lines = lines(body);
    for (number, line) in lines.iter().enumerate() {
        if !pages.push(line) {
            let left = lines.len() - number;
            pages.write(&format!("… and {left} more line{}\n", if left == 1 { "" } else { "s" }));
            break;
        }
    }
    pages.turn();
    pages.full
}

/// A line, escaped, and whether it belongs into a block of code.
struct Line {
    text: String,
    diff: bool,
}

const FENCE_OPENS: &str = "```diff\n";
const FENCE_CLOSES: &str = "```\n";
/// What a page keeps free: for the fence that closes it, and on the last one the note of what was left out.
const RESERVE: usize = 60;

#[derive(Default)]
struct Pages {
    full: Vec<String>,
    page: String,
    units: usize,
    diff: bool,
}

impl Pages {
    /// Writes one line, on a new page if need be; says no when there may be no more pages.
    fn push(&mut self, line: &Line) -> bool {
        let room = DESCRIPTION - RESERVE;
        let text = shortened(&line.text, room - FENCE_OPENS.len() - 1);
        let needs = units(&text) + 1 + if line.diff == self.diff { 0 } else { FENCE_OPENS.len() };
        if self.units + needs > room {
            if self.full.len() + 1 == MOST_PAGES {
                self.fence(false);
                return false;
            }
            self.turn();
        }
        self.fence(line.diff);
        self.write(&text);
        self.write("\n");
        true
    }

    fn fence(&mut self, diff: bool) {
        if diff != self.diff {
            self.write(if diff { FENCE_OPENS } else { FENCE_CLOSES });
            self.diff = diff;
        }
    }

    fn write(&mut self, text: &str) {
        self.units += units(text);
        self.page.push_str(text);
    }

    fn turn(&mut self) {
        self.fence(false);
        self.units = 0;
        let page = std::mem::take(&mut self.page);
        let page = page.trim_matches('\n');
        if !page.trim().is_empty() {
            self.full.push(page.to_owned());
        }
    }
}

/// The lines of a body, each as Discord writes it.
fn lines(body: &str) -> Vec<Line> {
    let body: Vec<&str> = body.lines().collect();
    let marked = |line: &str| line.starts_with(['+', '-', ' ']);
    let starts = |start: &str| body.iter().any(|line| line.starts_with(start));
    let changes = starts("+") || starts("-");
    let hunks = changes && starts("@@");
    // A list may be written with dashes too, so without a hunk's head there must be both signs.
    let bare = starts("+") && starts("-") && body.iter().all(|line| line.is_empty() || marked(line));
    let mut diff = bare;
    let mut lines = Vec::with_capacity(body.len());
    for line in body {
        if hunks {
            let head = line.starts_with("@@") || line.starts_with("--- ") || line.starts_with("+++ ");
            diff = head || (diff && (line.is_empty() || marked(line) || line.starts_with('\\')));
        }
        // Two backticks at most may stand together in a block that three would end.
        let text = if diff { line.replace("``", "`\u{200b}`") } else { escaped(line) };
        lines.push(Line { text, diff });
    }
    lines
}

/// Text from outside, shown as it is: no markup, no mention, but links stay links.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut in_link = false;
    for piece in pieces(text) {
        let words = match piece {
            Piece::Link(link) => {
                escaped.push_str(link);
                in_link = true;
                continue;
            }
            Piece::Text(words) => words,
        };
        let mut before = None;
        let mut coming = words.chars().peekable();
        while let Some(c) = coming.next() {
            // Within a word a single underscore is only itself: `new_york_state`.
            let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let plain = c == '_' && within(before) && within(coming.peek().copied());
            before = Some(c);
            // To Discord a link goes on until here, so a backslash before would become part of it.
            in_link &= !c.is_whitespace() && c != '<';
            if !in_link
                && !plain
                && matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '#' | '[' | ']')
            {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped.replace("@everyone", "@\u{200b}everyone").replace("@here", "@\u{200b}here")
}

/// How long Discord thinks a text is, or a little longer.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// At most so many units, the last of them `…` when something was cut.
pub(super) fn shortened(text: &str, most: usize) -> String {
    if units(text) <= most {
        return text.to_owned();
    }
    let mut used = 1;
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            used += c.len_utf16();
            used <= most
        })
        .collect();
    let backslashes = kept.len() - kept.trim_end_matches('\\').len();
    if backslashes % 2 == 1 {
        kept.pop(); // what it escaped was cut
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup_or_a_mention() {
        for (text, shown) in [
            ("**bold** __u__ ~~s~~ ||x||", r"\*\*bold\*\* \_\_u\_\_ \~\~s\~\~ \|\|x\|\|"),
            ("`code` > quote # head \\", r"\`code\` \> quote \# head \\"),
            ("[click](https://evil.example)", r"\[click\](https://evil.example)"),
            ("https://a.example/_x_] [_y_]<", r"https://a.example/_x_] \[\_y\_\]\<"),
            ("<@123> <t:0:R>", r"\<@123\> \<t:0:R\>"),
            ("@everyone @here a@b", "@\u{200b}everyone @\u{200b}here a@b"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }
}
