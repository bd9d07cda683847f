//! Numbers out of any JSON, found by a pointer. <https://www.rfc-editor.org/rfc/rfc6901>

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::moment::{Moment, Order};
use super::number::{self, Number, kind_of};
use crate::http::{Reply, Request, excerpt};
use crate::model::{Observation, Reading, ReadingKind, nearest, written_as};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// The number may also be written as a text. Each that `*` finds is a subject of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Keys")]
pub(super) struct Json {
    url: Url,
    pointer: Pointer,
    date: Option<Pointer>,
    #[schemars(skip)]
    subject: Option<Subject>,
    unit: String,
}

/// What to call the values: a name, or what stands where a pointer shows.
enum Subject {
    Name(String),
    At(Pointer),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// The address that answers with JSON.
    url: Url,
    /// Where the number stands, as a JSON pointer: `/result/0/price`. A segment `*` walks every element or key, and
    /// names what was found; in `date` and `subject` it stands for the same one.
    pointer: Pointer,
    /// Where the date of the number stands, as a JSON pointer, for numbers that have one.
    date: Option<Pointer>,
    /// What to call it: a name, or as a JSON pointer (with `/` first) where that stands.
    subject: Option<String>,
    /// The unit of the number, for messages and charts: `USD`, `°C`.
    #[serde(default)]
    unit: String,
}

impl TryFrom<Keys> for Json {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let subject = match keys.subject {
            Some(text) if text.starts_with('/') => Some(Subject::At(Pointer::try_from(text)?)),
            text => text.map(Subject::Name),
        };
        if matches!(subject, Some(Subject::Name(_))) && keys.pointer.stars() > 0 && keys.date.is_none() {
            return Err(
                "one `subject` cannot name all that `*` finds; leave it out, or point to a `date`".into()
            );
        }
        let pointers = [keys.date.as_ref(), subject.as_ref().and_then(Subject::pointer)];
        if pointers.into_iter().flatten().any(|pointer| pointer.stars() > keys.pointer.stars()) {
            return Err("`date` and `subject` cannot have more `*` than `pointer`".into());
        }
        let Keys { url, pointer, date, unit, .. } = keys;
        Ok(Self { url, pointer, date, subject, unit })
    }
}

impl Subject {
    const fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Name(_) => None,
            Self::At(pointer) => Some(pointer),
        }
    }
}

impl Plugin for Json {
    const KIND: &'static str = "json";
    const ABOUT: &'static str = "numbers out of any JSON, by a JSON pointer with `*` for all";
    const EXAMPLE: &'static str =
        "url = \"https://api.example.com/summaries\"\npointer = \"/result/*/price/last\"\nunit = \"USD\"";
}

impl Source for Json {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Value
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        vec![Request::get(self.url.clone())]
    }

    fn read(&self, _: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let values = values_in(&reply.ok()?.body);
        if values > MOST_VALUES {
            return Err(FetchError::failed(format!(
                "the answer is too large: about {values} values, and {MOST_VALUES} are the most"
            )));
        }
        let mut document: Value = reply.json()?;
        // Some write JSON into a text and the text into JSON.
        if let Value::String(inner) = &document
            && let Ok(decoded) = serde_json::from_str(inner)
        {
            document = decoded;
        }
        let mut found = Found::default();
        self.pointer.walk(&document, &mut found).map_err(FetchError::failed)?;
        if let (true, Some(why)) = (found.values.is_empty(), found.missing) {
            return Err(FetchError::failed(why));
        }
        let mut observations = Vec::with_capacity(found.values.len());
        let mut wrong = None;
        for (keys, value) in found.values {
            match self.observation(&document, &keys, value, needs.now) {
                Ok(observation) => observations.extend(observation),
                // Of thousands that are wrong, only the first is put into words.
                Err(why) => {
                    wrong.get_or_insert_with(|| why.in_words(&document));
                }
            }
        }
        // Of many, some may be of another shape; when all are, the pointer is wrong.
        if let (true, Some(why)) = (observations.is_empty(), wrong) {
            return Err(FetchError::failed(why));
        }
        // Of several with one name and date the last counts.
        let mut known = HashSet::new();
        observations.reverse();
        observations.retain(|seen| known.insert((seen.subject.clone(), seen.observed_at)));
        observations.reverse();
        observations.sort_by_key(|seen| seen.observed_at);
        Ok(Seen::some(observations))
    }

    fn asks_own_address(&self) -> bool {
        true
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"percent_change\", by = 5.0, window = \"1h\" }]"
    }
}

impl Json {
    /// What was found at one place; `None` where it says that there is no number today.
    fn observation(
        &self,
        document: &Value,
        keys: &[String],
        value: &Value,
        now: Timestamp,
    ) -> Result<Option<Observation>, Wrong> {
        let is = |why: String| Wrong::Said(format!("{} is {why}", self.pointer.bound(keys)));
        let Some(value) = number::read(value).map_err(is)? else { return Ok(None) };
        let observed_at = match &self.date {
            None => now,
            Some(date) => {
                let place = date.bound(keys);
                let Some(value) = place.get(document) else { return Err(Wrong::Missing(place)) };
                moment(value).map_err(|why| Wrong::Said(format!("{place} is {why}")))?
            }
        };
        let subject = match &self.subject {
            Some(Subject::Name(name)) => name.clone(),
            Some(Subject::At(pointer)) => {
                let place = pointer.bound(keys);
                match place.get(document) {
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Number(number)) => number.to_string(),
                    Some(other) => {
                        return Err(Wrong::Said(format!("{place} is {}, not a name", kind_of(other))));
                    }
                    None => return Err(Wrong::Missing(place)),
                }
            }
            None if keys.is_empty() => self.pointer.name(&self.url),
            None => keys.join("/"),
        };
        let reading = Reading::Value { value, unit: self.unit.clone() };
        Ok(Some(Observation { subject, observed_at, url: None, reading, evidence: Vec::new() }))
    }
}

/// About how many values a larger answer may hold; read into memory, these take about 100 MB.
const MOST_VALUES: usize = 1_000_000;

/// How many values a pointer may find.
const MOST_FOUND: usize = 20_000;

/// About how many values a body in JSON holds; an object takes the place of eight.
fn values_in(body: &[u8]) -> usize {
    let place = |at: usize| if body.get(at) == Some(&b'{') { 8 } else { 1 };
    memchr::memchr3_iter(b'{', b'[', b',', body).map(place).fold(0, usize::saturating_add)
}

/// Why a value is not taken.
enum Wrong {
    /// There is nothing at this place.
    Missing(Place),
    Said(String),
}

impl Wrong {
    fn in_words(self, document: &Value) -> String {
        match self {
            Self::Missing(place) => place.missing(document),
            Self::Said(why) => why,
        }
    }
}

fn moment(value: &Value) -> Result<Timestamp, String> {
    let moment = match value {
        Value::String(text) => Moment::read(text, Order::Unknown),
        other => Number::of(other).map_or(Moment::None, Moment::epoch),
    };
    match moment {
        Moment::Sure(moment) => Ok(moment),
        Moment::Unsure(why) => Err(format!("not sure to be a date: {}", excerpt(&why))),
        Moment::None => Err(format!("{}, not a date or an epoch", kind_of(value))),
    }
}

/// A JSON pointer, in segments; `*` is any.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
struct Pointer(Vec<String>);

written_as!(Pointer, "JSON pointer", "^(/.*)?$", ["/result/0/price", "/rooms/*/celsius"]);

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!(
                "`{text}` is not a JSON pointer; it begins with `/`, like `/result/0/price`"
            ));
        };
        Ok(Self(path.split('/').map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

/// What a pointer found, each with the keys that `*` stood for, and the first place where it could not go
/// on.
#[derive(Default)]
struct Found<'d> {
    values: Vec<(Vec<String>, &'d Value)>,
    missing: Option<String>,
}

impl Pointer {
    fn stars(&self) -> usize {
        self.0.iter().filter(|segment| *segment == "*").count()
    }

    /// # Errors
    /// It finds too many.
    fn walk<'d>(&self, document: &'d Value, found: &mut Found<'d>) -> Result<(), String> {
        self.walk_on(0, document, &mut Vec::new(), found)
    }

    /// Goes on from `value`, reached by so many segments, where `*` stood for these keys.
    fn walk_on<'d>(
        &self,
        depth: usize,
        value: &'d Value,
        keys: &mut Vec<String>,
        found: &mut Found<'d>,
    ) -> Result<(), String> {
        let Some(segment) = self.0.get(depth) else {
            if found.values.len() >= MOST_FOUND {
                return Err(format!(
                    "`pointer` finds more than {MOST_FOUND} values, which are the most; let it find fewer"
                ));
            }
            found.values.push((keys.clone(), value));
            return Ok(());
        };
        let next = depth.saturating_add(1);
        match (segment.as_str(), value) {
            ("*", Value::Object(object)) => {
                for (key, value) in object {
                    keys.push(key.clone());
                    self.walk_on(next, value, keys, found)?;
                    keys.pop();
                }
            }
            ("*", Value::Array(array)) => {
                for (index, value) in array.iter().enumerate() {
                    keys.push(index.to_string());
                    self.walk_on(next, value, keys, found)?;
                    keys.pop();
                }
            }
            (name, value) => match step(value, name) {
                Some(value) => self.walk_on(next, value, keys, found)?,
                None => {
                    found.missing.get_or_insert_with(|| {
                        let reached = Self(self.0.iter().take(depth).cloned().collect()).bound(keys);
                        lacks(&reached, value, name)
                    });
                }
            },
        }
        Ok(())
    }

    /// The same with the keys in the place of its `*`.
    fn bound(&self, keys: &[String]) -> Place {
        let mut keys = keys.iter();
        let bind = |segment: &String| match segment.as_str() {
            "*" => keys.next().unwrap_or(segment).clone(),
            _ => segment.clone(),
        };
        Place(self.0.iter().map(bind).collect())
    }

    /// What a single value is called: its key, or the host where it is a bare number.
    fn name(&self, url: &Url) -> String {
        let key = self.0.iter().rev().find(|segment| segment.parse::<usize>().is_err());
        key.cloned().unwrap_or_else(|| url.host_str().unwrap_or("value").to_owned())
    }
}

/// One place in a document.
struct Place(Vec<String>);

impl Place {
    fn get<'d>(&self, document: &'d Value) -> Option<&'d Value> {
        self.0.iter().try_fold(document, |value, name| step(value, name))
    }

    /// Why there is nothing here.
    fn missing(&self, document: &Value) -> String {
        let mut value = document;
        for (depth, name) in self.0.iter().enumerate() {
            match step(value, name) {
                Some(next) => value = next,
                None => return lacks(&Self(self.0.iter().take(depth).cloned().collect()), value, name),
            }
        }
        format!("{self} is there")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the answer");
        }
        let path: String =
            self.0.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect();
        write!(f, "`{}`", excerpt(&path))
    }
}

fn step<'d>(value: &'d Value, name: &str) -> Option<&'d Value> {
    match value {
        Value::Object(object) => object.get(name),
        Value::Array(array) => array.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Why a pointer cannot go on from `value` to `name`.
fn lacks(reached: &Place, value: &Value, name: &str) -> String {
    match value {
        Value::Object(object) => {
            let hint = nearest(name, object.keys().map(String::as_str))
                .map_or(String::new(), |near| format!("; did you mean `{}`?", excerpt(near)));
            format!("{reached} has no `{name}`{hint}")
        }
        Value::Array(array) if name.parse::<usize>().is_ok() => {
            format!("{reached} has no `{name}`, only {} elements", array.len())
        }
        other => format!("{reached} is {}, which has no `{name}`", kind_of(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, plugin, read};

    const NOW: &str = "2021-10-04T00:30:00Z";

    fn json(keys: &str) -> Json {
        plugin(&format!("url = 'https://api.example/v1'\n{keys}"))
    }

    fn values(keys: &str, body: &str) -> Result<Vec<(String, f64)>, String> {
        let seen = read(&json(keys), 200, body, NOW).map_err(|error| error.to_string())?;
        let value = |seen: Observation| match seen.reading {
            Reading::Value { value, .. } => (seen.subject, value),
            other => panic!("{other:?}"),
        };
        Ok(seen.observations.into_iter().map(value).collect())
    }

    #[test]
    fn a_pointer_finds_one_value_or_many() {
        let body = r#"{"result": {"btc": {"price": {"last": 48103.7}}, "eth": {"price": {"last": "3410.35"}},
            "odd": {"price": {"last": "NaN"}}, "new": {"price": {}}}, "list": [{"n": 1}, {"n": 2}], "a/b": 3}"#;
        for (keys, found) in [
            ("pointer = '/result/*/price/last'", vec![("btc", 48103.7), ("eth", 3410.35)]),
            ("pointer = '/result/eth/price/last'", vec![("last", 3410.35)]),
            ("pointer = '/result/eth/price/last'\nsubject = 'ether'", vec![("ether", 3410.35)]),
            ("pointer = '/list/*/n'", vec![("0", 1.0), ("1", 2.0)]),
            ("pointer = '/list/1/n'", vec![("n", 2.0)]),
            ("pointer = '/a~1b'", vec![("a/b", 3.0)]),
        ] {
            let found: Vec<_> = found.into_iter().map(|(name, v)| (name.to_owned(), v)).collect();
            assert_eq!(values(keys, body), Ok(found), "{keys}");
        }
        assert_eq!(values("pointer = ''", "4.5"), Ok(vec![("api.example".into(), 4.5)]));
        assert_eq!(values("pointer = '/*'", "[]"), Ok(vec![]));
    }

    #[test]
    fn of_two_values_with_one_name_and_date_the_last_counts() {
        let body = r#"[{"n": "a", "d": "2026-11-20", "v": 1}, {"n": "b", "d": "2026-11-20", "v": 2},
            {"n": "a", "d": "2026-11-20T00:00:00Z", "v": 3}]"#;
        let keys = "pointer = '/*/v'\ndate = '/*/d'\nsubject = '/*/n'";
        assert_eq!(values(keys, body), Ok(vec![("b".into(), 2.0), ("a".into(), 3.0)]));
    }

    #[test]
    fn what_cannot_be_found_is_said_part_by_part() {
        let body = r#"{"result": {"btc": {"price": 1}}, "list": [1], "text": "soon", "on": true}"#;
        for (pointer, said) in [
            ("/results/btc", "the answer has no `results`; did you mean `result`?"),
            ("/result/*/prices", "`/result/btc` has no `prices`; did you mean `price`?"),
            ("/result/btc/price/last", "`/result/btc/price` is a number, which has no `last`"),
            ("/list/4", "`/list` has no `4`, only 1 elements"),
            ("/text", "`/text` is the text \"soon\", not a number"),
            ("/on", "`/on` is true or false, not a number"),
            ("/result/*", "`/result/btc` is an object, not a number"),
        ] {
            assert_eq!(values(&format!("pointer = '{pointer}'"), body), Err(said.to_owned()));
        }
    }

    #[test]
    fn an_answer_of_far_too_many_values_is_refused_at_once() {
        let rows = |row: &str, count: usize| format!("[{}]", vec![row; count].join(","));
        let found = |body: &str| values("pointer = '/*/a'", body);
        assert_eq!(found(&rows("{\"a\":0}", 20_000)).map(|found| found.len()), Ok(20_000));
        let error = found(&rows("{\"a\":0}", 20_001)).expect_err("too many");
        assert_eq!(error, "`pointer` finds more than 20000 values, which are the most; let it find fewer");
        let error = found(&rows("{\"a\":0}", 900_000)).expect_err("too large");
        assert_eq!(error, "the answer is too large: about 8100000 values, and 1000000 are the most");
        // What is passed by on the way does not count.
        let many = format!("[{},{{\"a\":1}}]", vec!["[]"; 30_000].join(","));
        assert_eq!(found(&many), Ok(vec![("30000".into(), 1.0)]));
    }

    #[test]
    fn thousands_of_values_without_their_date_are_told_of_once() {
        let rows: Vec<_> = (0..10_000).map(|n| format!("\"key{n}\": 1")).collect();
        let dates: Vec<_> = (0..10_000).map(|n| format!("\"date{n}\": 1")).collect();
        let body = format!("{{\"v\": {{{}}}, \"d\": {{{}}}}}", rows.join(","), dates.join(","));
        let error = values("pointer = '/v/*'\ndate = '/d/*'", &body).expect_err("no dates");
        assert!(error.starts_with("`/d` has no `key0`"), "{error}");
    }

    #[test]
    fn dates_and_names_may_stand_beside_the_values() {
        let body = r#"{"at": 1633307057, "rows": [{"d": "2021-10-02", "v": 2, "id": "b"},
            {"d": "2021-10-01T00:00:00Z", "v": 1, "id": "a"}]}"#;
        let keys = "pointer = '/rows/*/v'\ndate = '/rows/*/d'\nsubject = '/rows/*/id'";
        let seen = read(&json(keys), 200, body, NOW).expect("values").observations;
        let told: Vec<_> = seen.iter().map(|s| (&*s.subject, s.observed_at.to_string())).collect();
        assert_eq!(
            told,
            [("a", "2021-10-01T00:00:00Z".to_owned()), ("b", "2021-10-02T00:00:00Z".to_owned())]
        );
        let seen = read(&json("pointer = '/rows/0/v'\ndate = '/at'"), 200, body, NOW).expect("a value");
        assert_eq!(seen.observations[0].observed_at.to_string(), "2021-10-04T00:24:17Z");
        let error = values("pointer = '/rows/*/v'\ndate = '/rows/*/id'", body).expect_err("no date");
        assert_eq!(error, "`/rows/0/id` is the text \"b\", not a date or an epoch");
    }

    #[test]
    fn mistakes_in_the_keys_are_told() {
        for (keys, said) in [
            ("pointer = 'result'", "begins with `/`"),
            ("pointer = '/*/v'\nsubject = 'all'", "one `subject`"),
            ("pointer = '/v'\ndate = '/*/d'", "more `*`"),
        ] {
            let toml = format!("url = 'https://api.example/v1'\n{keys}");
            let error = toml::from_str::<Json>(&toml).err().expect(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn an_error_page_is_an_error() {
        let source = json("pointer = '/v'");
        let error = read(&source, 500, "{\"v\": 1}", NOW).expect_err("an error");
        assert_eq!(error.to_string(), "HTTP 500 Internal Server Error: {\"v\": 1}");
    }

    #[test]
    fn captured_markets_are_read() {
        let Some(body) = fixture("cryptowatch/prices_1633307057.json") else { return };
        let prices = values("pointer = '/*'", &String::from_utf8(body).expect("text")).expect("prices");
        assert!((9_400..9_600).contains(&prices.len()), "{}", prices.len());
        assert!(prices.contains(&("market:kraken:btcusd".into(), 48103.7)));

        let body = fixture("cryptowatch/summaries_1633410362.json").expect("the set is whole");
        let last =
            values("pointer = '/*/price/last'", &String::from_utf8(body).expect("text")).expect("prices");
        assert!((9_500..9_650).contains(&last.len()), "{}", last.len());
        assert!(last.contains(&("binance-us:aaveusd".into(), 299.9)));
    }

    #[test]
    fn a_capture_written_as_a_text_is_read_and_an_empty_one_is_an_error() {
        let Some(body) = fixture("cryptowatch/prices_1633312202_double_encoded.json") else { return };
        let prices = values("pointer = '/*'", &String::from_utf8(body).expect("text")).expect("prices");
        assert!((9_400..9_600).contains(&prices.len()), "{}", prices.len());
        assert!(prices.contains(&("market:binance-us:aaveusd".into(), 306.39)));

        let body = fixture("cryptowatch/prices_1633312322_empty.json").expect("the set is whole");
        let error = read(&json("pointer = '/*'"), 200, body, NOW).expect_err("empty");
        assert_eq!(error.to_string(), "the answer is empty where JSON was due");
    }
}
