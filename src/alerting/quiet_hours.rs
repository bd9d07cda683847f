//! Hours of the day in which messages wait.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// Hours of the day in which messages wait. May cross midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    start: Time,
    end: Time,
}

impl QuietHours {
    /// Reads `22:00-07:00`; an empty text is no quiet hours.
    ///
    /// # Errors
    /// A sentence, when it is written otherwise.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let time = |text: &str| -> Option<Time> { text.trim().parse().ok() };
        let (start, end) = text
            .split_once('-')
            .and_then(|(start, end)| time(start).zip(time(end)))
            .ok_or_else(|| format!("`{text}` are not hours of the day; write them like \"22:00-07:00\""))?;
        if start == end {
            return Err(format!("`{text}` begins when it ends"));
        }
        Ok(Some(Self { start, end }))
    }

    /// When the quiet hours that `now` lies in end; `None` outside them.
    #[must_use]
    pub fn end_after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let here = now.to_zoned(zone.clone());
        let time = here.time();
        let inside = if self.start < self.end {
            self.start <= time && time < self.end
        } else {
            self.start <= time || time < self.end
        };
        if !inside {
            return None;
        }
        let day = if time < self.end { here.date() } else { here.date().tomorrow().ok()? };
        let end = zone.to_ambiguous_zoned(day.to_datetime(self.end));
        // An end in the hour that comes twice: after its first time it is its second.
        let [first, second] = [end.clone().compatible(), end.later()];
        [first, second].into_iter().flatten().map(|end| end.timestamp()).find(|end| *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn quiet_hours_cross_midnight_and_follow_the_zone() {
        let hours = QuietHours::parse("22:00-07:00").unwrap().unwrap();
        let zone = TimeZone::get("America/New_York").unwrap();
        for (now, end) in [
            ("2026-11-21T02:59:00Z", None),
            ("2026-11-21T03:00:00Z", Some("2026-11-21T12:00:00Z")),
            ("2026-11-21T06:00:00Z", Some("2026-11-21T12:00:00Z")),
            ("2026-11-21T12:00:00Z", None),
        ] {
            assert_eq!(hours.end_after(at(now), &zone), end.map(at), "{now}");
        }
        // Berlin, 25 October 2026: 03:00 becomes 02:00. New York, 8 March 2026: 02:00 becomes 03:00.
        let hours = QuietHours::parse("22:00-02:30").unwrap().unwrap();
        for (zone, now, end) in [
            ("Europe/Berlin", "2026-10-24T22:00:00Z", Some("2026-10-25T00:30:00Z")),
            ("Europe/Berlin", "2026-10-25T01:10:00Z", Some("2026-10-25T01:30:00Z")),
            ("Europe/Berlin", "2026-10-25T01:40:00Z", None),
            ("America/New_York", "2026-03-08T06:00:00Z", Some("2026-03-08T07:30:00Z")),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            assert_eq!(hours.end_after(at(now), &zone), end.map(at), "{now}");
        }
        assert_eq!(QuietHours::parse(""), Ok(None));
        assert!(QuietHours::parse("22-7h").is_err());
        assert!(QuietHours::parse("07:00-07:00").is_err());
    }
}
