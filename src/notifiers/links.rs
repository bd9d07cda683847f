//! The links in a plain text, which a notifier keeps clickable while it escapes the rest.

/// A stretch of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Words.
    Text(&'a str),
    /// An `http` or `https` address.
    Link(&'a str),
}

/// The stretches of a text, in order; joined they are the text again.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, link, after)) = first_link(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(Piece::Link(link));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// The first link, with what stands before and after it.
fn first_link(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices("http").find_map(|(at, _)| {
        let (before, from) = text.split_at(at);
        let name = from.strip_prefix("https://").or_else(|| from.strip_prefix("http://"))?;
        if before.ends_with(char::is_alphanumeric) || !name.starts_with(char::is_alphanumeric) {
            return None;
        }
        let end =
            from.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).unwrap_or(from.len());
        let link = without_punctuation(from.get(..end)?);
        Some((before, link, from.get(link.len()..)?))
    })
}

/// Without the punctuation of the sentence that the link ends.
fn without_punctuation(mut link: &str) -> &str {
    loop {
        let closes = |open: char, close: char| {
            link.ends_with(close) && link.matches(close).count() > link.matches(open).count()
        };
        if link.ends_with(['.', ',', ';', ':', '!', '?', '\'']) || closes('(', ')') || closes('[', ']') {
            let mut rest = link.chars();
            rest.next_back();
            link = rest.as_str();
        } else {
            return link;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Piece::{Link, Text};
    use super::*;

    #[test]
    fn links_are_found_without_the_sentence_around_them() {
        for (text, expected) in [
            ("no link, no http here", vec![Text("no link, no http here")]),
            ("https://a.example/x_y?z=*1*2", vec![Link("https://a.example/x_y?z=*1*2")]),
            (
                "see http://a.example/p. Or (https://b.example/q_(r)), then",
                vec![
                    Text("see "),
                    Link("http://a.example/p"),
                    Text(". Or ("),
                    Link("https://b.example/q_(r)"),
                    Text("), then"),
                ],
            ),
            ("<https://a.example>", vec![Text("<"), Link("https://a.example"), Text(">")]),
            ("xhttps://a.example https://", vec![Text("xhttps://a.example https://")]),
            ("", vec![]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }
}
