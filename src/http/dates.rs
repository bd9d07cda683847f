//! Dates as HTTP writes them. <https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats>

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

/// The moment in any of the three forms of an HTTP date: `Sat, 21 Nov 2026 10:01:30 GMT`,
/// `Saturday, 21-Nov-26 10:01:30 GMT`, `Sat Nov 21 10:01:30 2026`. The day of the week is not checked.
#[must_use]
pub fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // Longer than this is none of them.
    if text.len() > 64 || !text.is_ascii() {
        return None;
    }
    if let Ok(moment) = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text) {
        return Some(moment);
    }
    let dated = match text.split_once(", ") {
        Some((_, dated)) => DateTime::strptime("%d-%b-%y %H:%M:%S GMT", dated),
        None => DateTime::strptime("%b %e %H:%M:%S %Y", text.split_once(' ')?.1.trim_start()),
    };
    Some(dated.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_others_are_not() {
        for text in [
            "Sat, 21 Nov 2026 10:01:30 GMT",
            "Fri, 21 Nov 2026 10:01:30 +0000",
            "Saturday, 21-Nov-26 10:01:30 GMT",
            "Sat Nov 21 10:01:30 2026",
            " Sat Nov 21 10:01:30 2026 ",
        ] {
            assert_eq!(http_date(text).expect(text).to_string(), "2026-11-21T10:01:30Z", "{text}");
        }
        assert_eq!(
            http_date("Sun Nov  1 00:00:00 2026").expect("a date").to_string(),
            "2026-11-01T00:00:00Z"
        );
        for text in ["", "soon", "Sat, 32 Nov 2026 10:01:30 GMT", "Sat", ", ", "2026-11-21", "Sät, 21"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
