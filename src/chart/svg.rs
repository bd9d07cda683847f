//! Writes SVG: every text and every attribute is escaped here, and no coordinate is written that is none.

/// An SVG being written.
pub(super) struct Svg {
    text: String,
}

/// A start tag being written.
pub(super) struct Tag<'s> {
    text: &'s mut String,
    name: &'static str,
}

impl Svg {
    pub(super) const fn new() -> Self {
        Self { text: String::new() }
    }

    pub(super) fn tag(&mut self, name: &'static str) -> Tag<'_> {
        self.text.push('<');
        self.text.push_str(name);
        Tag { text: &mut self.text, name }
    }

    /// Closes what [`Tag::open`] opened.
    pub(super) fn close(&mut self, name: &'static str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

impl Tag<'_> {
    pub(super) fn word(self, key: &'static str, value: &str) -> Self {
        self.text.push(' ');
        self.text.push_str(key);
        self.text.push_str("=\"");
        escape(value, self.text);
        self.text.push('"');
        self
    }

    pub(super) fn number(self, key: &'static str, value: f64) -> Self {
        self.text.push(' ');
        self.text.push_str(key);
        self.text.push_str("=\"");
        coordinate(value, self.text);
        self.text.push('"');
        self
    }

    pub(super) fn path(self, path: &Path) -> Self {
        self.text.push_str(" d=\"");
        self.text.push_str(&path.0);
        self.text.push('"');
        self
    }

    /// An element without content.
    pub(super) fn end(self) {
        self.text.push_str("/>");
    }

    /// An element with others in it.
    pub(super) fn open(self) {
        self.text.push('>');
    }

    /// An element with a text in it.
    pub(super) fn says(self, text: &str) {
        self.text.push('>');
        escape(text, self.text);
        self.text.push_str("</");
        self.text.push_str(self.name);
        self.text.push('>');
    }
}

/// The `d` of a path: many shapes in one element keep a drawing small.
#[derive(Default)]
pub(super) struct Path(String);

impl Path {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn point(&mut self, command: char, x: f64, y: f64) {
        self.0.push(command);
        coordinate(x, &mut self.0);
        self.0.push(' ');
        coordinate(y, &mut self.0);
    }

    pub(super) fn go(&mut self, x: f64, y: f64) {
        self.point('M', x, y);
    }

    pub(super) fn draw(&mut self, x: f64, y: f64) {
        self.point('L', x, y);
    }

    pub(super) fn down_to(&mut self, y: f64) {
        self.0.push('V');
        coordinate(y, &mut self.0);
    }

    pub(super) fn across_to(&mut self, x: f64) {
        self.0.push('H');
        coordinate(x, &mut self.0);
    }

    pub(super) fn shut(&mut self) {
        self.0.push('Z');
    }

    /// A rectangle between two corners.
    pub(super) fn rectangle(&mut self, (left, top): (f64, f64), (right, bottom): (f64, f64)) {
        self.go(left, top);
        self.across_to(right);
        self.down_to(bottom);
        self.across_to(left);
        self.shut();
    }
}

/// To a tenth of a pixel. A drawing is mostly these, so they are written without the machinery of `format!`.
fn coordinate(value: f64, text: &mut String) {
    debug_assert!(value.is_finite(), "a coordinate is a number");
    // Of no drawing is a side longer; what is no number becomes nothing.
    let tenths = (value * 10.0).round().clamp(-999_999.0, 999_999.0) as i32;
    if tenths < 0 {
        text.push('-');
    }
    let (whole, tenth) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
    let mut size = 1;
    while whole / size >= 10 {
        size *= 10;
    }
    while size > 0 {
        text.push(digit(whole / size));
        size /= 10;
    }
    if tenth > 0 {
        text.push('.');
        text.push(digit(tenth));
    }
}

/// The last digit of a number.
fn digit(number: u32) -> char {
    char::from_digit(number % 10, 10).unwrap_or('0')
}

fn escape(value: &str, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            // XML knows no control characters, not even escaped.
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => text.push(' '),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_texts_stay_texts_wherever_they_stand() {
        let mut svg = Svg::new();
        svg.tag("text").word("class", "a\"><script>").says("</text><script>&\u{0}'\u{1b}");
        let written =
            "<text class=\"a&quot;&gt;&lt;script&gt;\">&lt;/text&gt;&lt;script&gt;&amp; &#39; </text>";
        assert_eq!(svg.finish(), written);
    }

    #[test]
    fn coordinates_are_written_to_a_tenth_of_a_pixel() {
        for (value, written) in [
            (0.0, "0"),
            (12.34, "12.3"),
            (12.96, "13"),
            (-0.04, "0"),
            (-0.5, "-0.5"),
            (799.95, "800"),
            (1_204.5, "1204.5"),
        ] {
            let mut text = String::new();
            coordinate(value, &mut text);
            assert_eq!(text, written);
        }
    }
}
