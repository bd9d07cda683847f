//! Prints messages on standard output, for trying things out and for logs that someone else collects.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::Http;
use crate::model::{AlertStatus, Severity};
use crate::plugin::{Message, Notifier, NotifyError, Plugin, Receipt};

/// For trying things out, and for logs that someone else collects. Without any `[notify.NAME]`, messages go here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Console {
    /// Whether messages have colours.
    #[serde(default)]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
enum Color {
    /// On a terminal, unless `NO_COLOR` is set. <https://no-color.org>
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// Whether standard output is taken for something that a script reads.
static ASIDE: AtomicBool = AtomicBool::new(false);

/// Prints on standard error from now on, because standard output is for a script.
pub fn stand_aside() {
    ASIDE.store(true, Ordering::Relaxed);
}

fn is_aside() -> bool {
    ASIDE.load(Ordering::Relaxed)
}

impl Plugin for Console {
    const KIND: &'static str = "console";
    const ABOUT: &'static str = "prints on standard output";
    const EXAMPLE: &'static str = "color = \"auto\"";
}

#[async_trait]
impl Notifier for Console {
    async fn notify(&self, _: &Http, message: &Message<'_>) -> Result<Receipt, NotifyError> {
        let block = block(message, self.in_color());
        // Whoever reads the other end may be slow, and must not hold up the async threads.
        let printed = tokio::task::spawn_blocking(move || {
            let mut output: Box<dyn Write> = if is_aside() {
                Box::new(std::io::stderr().lock())
            } else {
                Box::new(std::io::stdout().lock())
            };
            output.write_all(block.as_bytes()).and_then(|()| output.flush())
        });
        match printed.await {
            Ok(Ok(())) => Ok(Receipt { answer: "printed".into(), pause: None }),
            Ok(Err(error)) => Err(NotifyError::transient(format!("cannot print: {error}"))),
            Err(error) => Err(NotifyError::transient(format!("cannot print: {error}"))),
        }
    }
}

impl Console {
    fn in_color(&self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && if is_aside() {
                        std::io::stderr().is_terminal()
                    } else {
                        std::io::stdout().is_terminal()
                    }
            }
        }
    }
}

/// Time and title on one line, the rest below it, indented.
fn block(message: &Message<'_>, in_color: bool) -> String {
    let time = message.created_at.strftime("%H:%M:%S");
    let title = printable(&message.title.replace('\n', " "));
    let mut block = if in_color {
        format!("\x1b[2m{time}\x1b[0m \x1b[1;{}m{title}\x1b[0m\n", hue(message))
    } else {
        format!("{time} {title}\n")
    };
    // A list of items names each one's address itself.
    let url = message.url.filter(|url| !message.body.contains(url));
    for line in message.body.lines().chain(url) {
        let line = printable(line);
        let line = line.trim_end();
        if !line.is_empty() {
            block.push_str("  ");
        }
        block.push_str(line);
        block.push('\n');
    }
    block
}

/// The terminal's number for green, red, yellow or blue.
fn hue(message: &Message<'_>) -> u8 {
    let firing = message.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing);
    match firing.map(|alert| alert.signal.severity).max() {
        None if !message.alerts.is_empty() => 32,
        Some(Severity::Critical) => 31,
        Some(Severity::Warning) => 33,
        Some(Severity::Info) | None => 34,
    }
}

/// A line from outside, without anything that a terminal would obey: escape sequences, control
/// characters, and marks that turn the direction of writing.
fn printable(line: &str) -> String {
    let mut printable = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => printable.push(' '),
            '\x1b' => match chars.next() {
                Some('[') => skip_control_sequence(&mut chars),
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut chars),
                _ => {}
            },
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut chars),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => printable.push(c),
        }
    }
    printable
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Colours, cursor movements: parameters up to a final letter.
fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars.next_if(|c| matches!(c, '\x20'..='\x3f')).is_some() {}
    chars.next_if(|c| matches!(c, '\x40'..='\x7e'));
}

/// Window titles, links, clipboards: everything up to the bell or the terminator.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next() {
        match c {
            '\x07' | '\u{9c}' => return,
            '\x1b' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifiers::receiver::{alert, message};
    use crate::testing::plugin;

    #[test]
    fn a_block_says_when_what_and_where() {
        let alerts = [alert("gpu", Severity::Info)];
        let told = Message {
            title: "gpu: 2 items in stock",
            body: "RTX 3080\n\nRTX 3070\n",
            url: Some("https://shop.example/"),
            ..message(&alerts)
        };
        let expected = "10:20:30 gpu: 2 items in stock\n  RTX 3080\n\n  RTX 3070\n  https://shop.example/\n";
        assert_eq!(block(&told, false), expected);
        let colored = block(&told, true);
        assert!(colored.contains("\x1b[1;34mgpu: 2 items in stock\x1b[0m\n"), "{colored:?}");
        assert_eq!(colored.lines().map(printable).collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_a_command() {
        for (text, shown) in [
            ("\x1b[31mred\x1b[0m", "red"),
            ("a\x1b]0;new title\x07b", "ab"),
            ("a\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "alink"),
            ("a\u{9b}2Jb", "ab"),
            ("a\rb\x08c\x07d\0e\x7f", "abcde"),
            ("tab\there", "tab here"),
            ("\u{202e}gnp.exe", "gnp.exe"),
            ("cut\x1b", "cut"),
            ("cut\x1b[", "cut"),
            ("Grüße 東京 🛡", "Grüße 東京 🛡"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
        let alerts = [alert("gpu", Severity::Info)];
        let told = Message { title: "one\nline", body: "a\r\nb\x1b[2J", ..message(&alerts) };
        assert_eq!(block(&told, false), "10:20:30 one line\n  a\n  b\n");
    }

    #[tokio::test]
    async fn printing_succeeds() {
        let console: Console = plugin(Console::EXAMPLE);
        let http = Http::new(crate::http::Settings::default()).unwrap();
        let alerts = [alert("gpu", Severity::Warning)];
        let receipt = console.notify(&http, &message(&alerts)).await.unwrap();
        assert_eq!(receipt.answer, "printed");
    }
}
