//! A length of time as people write it: `"30s"`, `"1h 30m"`, `"400d"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time. Days are 24 hours, weeks are seven days; months and years are refused because
/// their length depends on the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// So many whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As it stands in a configuration: `12m`, `1h 30m`, `400d`, of whole seconds.
    #[must_use]
    pub fn written(self) -> String {
        let seconds = self.0.as_secs();
        let units = [(86_400, "d", u64::MAX), (3_600, "h", 24), (60, "m", 60), (1, "s", 60)];
        let parts = units.map(|(length, unit, of_next)| (seconds / length % of_next, unit));
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
        if parts.is_empty() { "0s".into() } else { parts.join(" ") }
    }

    /// Whole milliseconds, saturating.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is not a length of time; write it like \"30s\", \"5m\", \"1h 30m\" or \"400d\"")
        };
        let span: Span = text.trim().parse().map_err(|_| wrong())?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(format!("`{text}`: months and years have no fixed length; write days"));
        }
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        Duration::try_from(duration)
            .map(Self)
            .map_err(|_| format!("`{text}`: a length of time cannot be negative"))
    }
}

impl fmt::Display for Period {
    /// The two largest units that are not zero: `12 min`, `1 h 30 min`, `3 d 4 h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds == 0 {
            return write!(f, "{} ms", self.0.as_millis());
        }
        let units = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "min"),
            (seconds % 60, "s"),
        ];
        let first = units.iter().position(|(n, _)| *n > 0).unwrap_or(3);
        let mut written = false;
        for (n, unit) in units.iter().skip(first).take(2).filter(|(n, _)| *n > 0) {
            if written {
                f.write_str(" ")?;
            }
            write!(f, "{n} {unit}")?;
            written = true;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written())
    }
}

super::written_as!(
    Period,
    "length of time",
    r"^\s*((\d+([.,]\d+)?\s*(w|wks?|weeks?|d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms|msecs?|millis|milliseconds?)\s*,?\s*)+|P.+)$",
    ["30s", "5m", "1h 30m", "7d"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_s_spellings_are_read() {
        for (text, seconds) in [
            ("30s", 30),
            ("1m", 60),
            ("1h 30m", 5_400),
            ("90min", 5_400),
            ("400d", 34_560_000),
            ("2w", 1_209_600),
            ("0s", 0),
        ] {
            assert_eq!(text.parse(), Ok(Period::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_explained() {
        for text in ["", "soon", "30", "1y", "2mo", "-5m"] {
            let error = text.parse::<Period>().expect_err(text);
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn as_it_is_written_it_is_read_again() {
        for (seconds, written) in
            [(0, "0s"), (90, "1m 30s"), (5_400, "1h 30m"), (34_560_000, "400d"), (90_061, "1d 1h 1m 1s")]
        {
            let period = Period::from_secs(seconds);
            assert_eq!(period.written(), written);
            assert_eq!(written.parse(), Ok(period));
        }
    }

    #[test]
    fn it_is_shown_by_its_two_largest_units() {
        for (seconds, shown) in
            [(5, "5 s"), (720, "12 min"), (5_400, "1 h 30 min"), (90_061, "1 d 1 h"), (3_601, "1 h")]
        {
            assert_eq!(Period::from_secs(seconds).to_string(), shown);
        }
    }
}
