//! What a caller may ask with: moments, limits and cursors, and the page that answers.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::super::problem::Problem;
use crate::model::Period;
use crate::store::TimeSpan;

/// So many rows come in a page where nobody says.
const USUAL_LIMIT: u16 = 100;

/// So many at most.
const LARGEST_LIMIT: u16 = 1_000;

/// How many rows a page may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(u16);

impl Limit {
    pub(super) fn rows(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(USUAL_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok().filter(|number| (1..=LARGEST_LIMIT).contains(number));
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        number.filter(|_| is_plain).map(Self).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no limit; it is a number from 1 to {LARGEST_LIMIT}"))
        })
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new().schema_type(Type::Integer);
        let object = object.minimum(Some(1)).maximum(Some(LARGEST_LIMIT)).default(Some(USUAL_LIMIT.into()));
        object.into()
    }
}

impl ToSchema for Limit {}

/// A moment, or a length of time ago.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(Period),
}

impl Moment {
    pub(super) fn seen_from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(length) => now.checked_sub(length.0).unwrap_or(Timestamp::MIN),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(length) = length(text) {
            return Some(Self::Ago(length));
        }
        rfc_3339(text).map(Self::At)
    }
}

/// `30s`, `15m`, `24h`, `7d`, `2w`.
fn length(text: &str) -> Option<Period> {
    let digits = text.strip_suffix(['s', 'm', 'h', 'd', 'w'])?;
    let is_number = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A moment as RFC 3339 has it: with seconds and an offset, without a name of a zone.
pub(super) fn rfc_3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let is_date_time = bytes.get(10).is_some_and(|byte| matches!(byte, b'T' | b't'));
    let has_seconds = bytes.get(16) == Some(&b':');
    let (_, time) = text.split_at_checked(11)?;
    let zone = time.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '.'));
    let has_offset = matches!(zone, "Z" | "z") || (zone.len() == 6 && zone.as_bytes().get(3) == Some(&b':'));
    if !is_date_time || !has_seconds || !has_offset {
        return None;
    }
    text.parse().ok().or_else(|| at_the_edge(text))
}

/// What lies before or after all that can be told apart is the first or the last moment that can.
fn at_the_edge(text: &str) -> Option<Timestamp> {
    let is_date = text.get(..10)?.parse::<jiff::civil::Date>().is_ok();
    match text.get(..4)? {
        "9999" if is_date => Some(Timestamp::MAX),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no moment; write it like 2026-11-21T18:00:00Z, or as a length of time ago: 90s, 24h, 7d"
            ))
        })
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let moment = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let ago = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]{1,5}[smhdw]$"));
        AnyOfBuilder::new().item(moment).item(ago).into()
    }
}

impl ToSchema for Moment {}

/// From when until when.
pub(super) fn span(since: Option<Moment>, until: Option<Moment>, now: Timestamp) -> TimeSpan {
    let seen = |moment: Option<Moment>| moment.map(|moment| moment.seen_from(now));
    TimeSpan { since: seen(since), until: seen(until) }
}

/// Where a page ended: the key of its last row, which tells a caller nothing.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cursor(String);

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).into()
    }
}

impl ToSchema for Cursor {}

/// The key that a cursor stands for.
///
/// # Errors
/// There is no page where nothing ended.
pub(super) fn after<K: DeserializeOwned>(cursor: Option<&Cursor>) -> Result<Option<K>, Problem> {
    let Some(Cursor(text)) = cursor else { return Ok(None) };
    let key = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| serde_json::from_slice(&json).ok());
    key.map(Some).ok_or_else(|| {
        Problem::not_found(
            "there is no such page: a cursor is the `next_cursor` of an answer to the same question",
        )
    })
}

/// Some rows of a list, and where the next ones are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The rows.
    pub(super) items: Vec<T>,
    /// What to say as `cursor` for the rows after these; null where there are none.
    #[schema(required)]
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Some rows, and the key of the last where more may follow.
    pub(super) fn new<K: Serialize>(items: Vec<T>, next: Option<K>) -> Result<Self, Problem> {
        let text = |key: K| Ok::<_, Problem>(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&key)?));
        Ok(Self { items, next_cursor: next.map(text).transpose()? })
    }

    /// A page of the store, each row as it is shown.
    pub(super) fn of<R, K: Serialize>(
        page: crate::store::Page<R, K>,
        shown: impl FnMut(R) -> T,
    ) -> Result<Self, Problem> {
        Self::new(page.rows.into_iter().map(shown).collect(), page.next)
    }

    /// The first rows of a list that lies in memory, in the order of their names.
    pub(super) fn cut(mut rows: Vec<T>, limit: Limit, name: impl Fn(&T) -> String) -> Result<Self, Problem> {
        let more = rows.len() > limit.rows();
        rows.truncate(limit.rows());
        let last = rows.last().map(name).filter(|_| more);
        Self::new(rows, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_moment_is_rfc_3339_or_a_length_of_time_ago() {
        let now = at("2026-11-21T10:00:00Z");
        for (text, moment) in [
            ("2026-11-20T18:00:00Z", "2026-11-20T18:00:00Z"),
            ("2026-11-20t18:00:00.5+01:00", "2026-11-20T17:00:00.5Z"),
            ("24h", "2026-11-20T10:00:00Z"),
            ("90s", "2026-11-21T09:58:30Z"),
            ("0d", "2026-11-21T10:00:00Z"),
        ] {
            let read = Moment::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(read.seen_from(now), at(moment), "{text}");
        }
        assert_eq!(Moment::parse("99999w").unwrap().seen_from(now), at("0110-05-17T10:00:00Z"));
        assert_eq!(rfc_3339("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        for text in [
            "",
            "24",
            "h",
            "1y",
            "24 h",
            "-1h",
            "2026-11-20",
            "2026-11-20T18:00Z",
            "2026-11-20T18:00:00",
            "2026-11-20 18:00:00Z",
            "2026-11-20T18:00:00+01",
            "2026-11-20T18:00:00Z[UTC]",
            "2026-02-30T00:00:00Z",
            "ü",
            "100000h",
        ] {
            assert!(Moment::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_cursor_gives_its_key_back_and_anything_else_is_no_page() {
        let page = Page::new(vec![1], Some((5_i64, "Gtx 3070 ü".to_owned()))).unwrap();
        let cursor = Cursor(page.next_cursor.unwrap());
        assert_eq!(after::<(i64, String)>(Some(&cursor)).unwrap(), Some((5, "Gtx 3070 ü".to_owned())));
        assert!(after::<i64>(Some(&cursor)).is_err(), "of another list");
        for text in ["", "?", "AAAA", "bnVsbA"] {
            assert!(after::<(i64, String)>(Some(&Cursor(text.into()))).is_err(), "{text}");
        }
        assert_eq!(after::<i64>(None).unwrap(), None);
    }
}
