//! The answers of servers. Of a source's input the first two characters say what was asked and how it was
//! answered, so that `00` and a captured reply is an input; see [`source`].

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::SignedDuration;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};
use url::Url;

use super::{assert_fit_to_show, now, text};
use crate::http::{Reply, excerpt, redacted, wall_sign};
use crate::model::{Availability, Evidence, Observation, Reading};
use crate::plugin::{self, FetchError, Needs, Seen, Source, Span};
use crate::sources;

/// Beside the example of each kind, configurations that read in other ways.
const MORE: &[(&str, &[&str])] = &[
    (
        "binance",
        &[
            "symbols = 'BTCUSDT'",
            "symbols = 'BTCUSDT'\ninterval = '1w'",
            "symbols = 'ETHBTC'\ninterval = '1m'",
        ],
    ),
    (
        "coinbase",
        &[
            "symbols = 'BTC-USD'",
            "symbols = 'BTC-USD'\ninterval = '1m'",
            "symbols = 'BTC-USD'\ninterval = '1d'",
        ],
    ),
    ("finnhub", &["symbols = 'AAPL'\ncandles = true\ninterval = '1d'", "symbols = 'AAPL'\ncandles = true"]),
    (
        "json",
        &[
            "url = 'https://a.example/'\npointer = '/*/value'\ndate = '/*/date'\nsubject = '/*/name'",
            "url = 'https://a.example/'\npointer = ''",
            "url = 'https://a.example/'\npointer = '/a/*/b/*'",
        ],
    ),
    (
        "kraken",
        &[
            "symbols = '*'",
            "symbols = 'XBTUSD'",
            "symbols = 'XBTUSD'\ninterval = '1m'",
            "symbols = 'XBTUSD'\ninterval = '1w'",
        ],
    ),
    (
        "newegg",
        &[
            "url = 'https://www.newegg.com/p/N82E16814137600'",
            "url = 'https://www.newegg.com/Product/ComboDealDetails?ItemList=Combo.4207546'",
        ],
    ),
    (
        "ny_gas",
        &["region = ['albany', 'new_york_state']\nurl = 'https://a.example/rows.csv?accessType=DOWNLOAD'"],
    ),
    (
        "page",
        &[
            "url = 'https://a.example/'",
            "url = 'https://a.example/'\nselect = 'li, ul > *, p:not(.x) ~ [href^=\"/\"]'",
        ],
    ),
    ("socrata", &["url = 'https://a.example/resource/abcd-1234.json'\nvalue = 'v'\ndate = 'd'"]),
    (
        "yahoo",
        &[
            "symbols = 'AAPL'\ninterval = '1d'",
            "symbols = 'AAPL'\ninterval = '1m'",
            "symbols = 'AAPL'\ninterval = '1w'",
        ],
    ),
];

/// How a request is answered: what was asked, the status, the type of the content.
const ANSWERS: &[(Asked, u16, &str)] = &[
    (Asked::Now, 200, ""),
    (Asked::Past, 200, ""),
    (Asked::Now, 200, "text/html; charset=utf-8"),
    (Asked::Now, 200, "text/html; charset=windows-1252"),
    (Asked::Now, 404, ""),
    (Asked::Now, 429, ""),
    (Asked::Past, 400, ""),
    (Asked::Now, 451, "application/json"),
    (Asked::Now, 202, "application/xml"),
    (Asked::Now, 500, "text/html; charset=utf-16"),
];

/// Whether a request is for how it is, or for a stretch of the past.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Now,
    Past,
}

/// Every source in each of its configurations.
static SOURCES: LazyLock<HashMap<&str, Vec<Box<dyn Source>>>> = LazyLock::new(|| {
    let configured = |kind: &'static str, example: &'static str| {
        let more = MORE.iter().filter(|(name, _)| *name == kind).flat_map(|(_, more)| *more);
        [example].into_iter().chain(more.copied()).map(|keys| build(kind, keys)).collect()
    };
    sources::KINDS.iter().map(|kind| (kind.name, configured(kind.name, kind.example))).collect()
});

fn build(kind: &'static str, keys: &'static str) -> Box<dyn Source> {
    let mut table = DeTable::parse(keys).unwrap_or_else(|error| panic!("{keys}: {error}"));
    let value = DeValue::String(DeString::Borrowed(kind));
    table.get_mut().insert(Spanned::new(0..0, DeString::Borrowed("kind")), Spanned::new(0..0, value));
    let built = plugin::build(sources::KINDS, table);
    built.unwrap_or_else(|error| panic!("{keys}: {}", error.message)).1
}

/// A reply to a source of this kind. The first character, from `0` on, is the configuration, and when it goes
/// round, the next of its requests; the second the row of [`ANSWERS`]; the rest is the body.
pub(super) fn source(kind: &str, bytes: &[u8]) {
    let configured = SOURCES.get(kind).unwrap_or_else(|| panic!("there is no target `{kind}`"));
    let [first, second, body @ ..] = bytes else { return };
    let (first, second) = (from_zero(*first), from_zero(*second));
    let Some(source) = configured.get(first % configured.len()) else { return };
    let Some((asked, status, content_type)) = ANSWERS.get(second % ANSWERS.len()) else { return };
    let needs = Needs { now: now(), bars: 140 };
    let gap = Span { from: now() - SignedDuration::from_hours(30), until: now() };
    let requests = match asked {
        Asked::Now => source.requests(&needs),
        Asked::Past => source.backfill(&gap).map(|fill| fill.requests).unwrap_or_default(),
    };
    let Some(request) = requests.get(first / configured.len() % requests.len().max(1)) else { return };
    let mut reply = Reply::captured(*status, request.url.clone(), body.to_vec());
    if !content_type.is_empty() {
        reply.headers.push(("content-type".into(), (*content_type).into()));
    }
    let read = source.read(request, &reply, &needs);
    if body.len() < SMALL {
        assert_eq!(read, source.read(request, &reply, &needs), "the same answer is read in two ways");
    }
    match read {
        Ok(seen) => {
            // Many services answer an error with a page or with JSON in which something can be found.
            assert!(reply.is_success(), "something is seen in an answer of HTTP {status}: {seen:?}");
            assert_promised(&**source, &seen);
        }
        Err(FetchError::Failed(why) | FetchError::Blocked { why, .. }) => assert_fit_to_show(&why),
    }
}

fn from_zero(character: u8) -> usize {
    usize::from(character.wrapping_sub(b'0'))
}

/// What is smaller than this, in bytes, is looked at more than once.
const SMALL: usize = 8_192;

/// What every source promises of what it saw.
fn assert_promised(source: &dyn Source, seen: &Seen) {
    let mut subjects = HashSet::new();
    for observation in &seen.observations {
        let Observation { subject, observed_at, evidence, .. } = observation;
        assert!(!subject.trim().is_empty(), "a subject without a name: {observation:?}");
        assert!(subjects.insert((subject, observed_at)), "{subject:?} twice at one time");
        assert!(source.describe(subject).contains(&**subject), "{subject:?} is not in its description");
        match &observation.reading {
            Reading::Candles { interval, candles } => {
                assert!(!candles.is_empty(), "no candles");
                for (one, next) in candles.iter().zip(candles.iter().skip(1)) {
                    assert!(one.open_time < next.open_time, "{one:?} is not before {next:?}");
                }
                for candle in candles {
                    assert_eq!(interval.floor(candle.open_time), candle.open_time, "not at its start");
                    assert!(candle.open_time < now(), "{candle:?} is not over");
                    let prices = [candle.open, candle.high, candle.low, candle.close, candle.volume];
                    assert_finite(&prices);
                }
            }
            Reading::Quote(quote) => {
                assert_finite(&[quote.price]);
                assert_finite(
                    [quote.bid, quote.ask, quote.volume].map(|number| number.unwrap_or(0.0)).as_slice(),
                );
            }
            Reading::Listing(listing) => {
                assert!(!listing.name.trim().is_empty(), "{subject:?} has no name");
                assert_is_price(listing.price);
                let is_contradictory = Evidence::is_contradictory(evidence);
                let is_unknown = listing.availability == Availability::Unknown;
                assert!(is_unknown || !is_contradictory, "settled against its evidence: {observation:?}");
                for one in evidence {
                    assert_is_price(one.price);
                    assert_fit_to_show(&one.excerpt);
                    assert!(one.excerpt.chars().count() <= LONGEST_EXCERPT, "{:?}", one.excerpt);
                }
            }
            Reading::Value { value, .. } => assert_finite(&[*value]),
            // An element that is watched may be empty.
            Reading::Text { .. } => {}
        }
    }
    if subjects.len() < 100 {
        // As it goes into the store and out of it.
        let written = serde_json::to_string(&seen.observations).expect("what was seen can be written");
        let read: Vec<Observation> = serde_json::from_str(&written).expect("what was written can be read");
        assert_eq!(read, seen.observations);
    }
}

/// In characters.
const LONGEST_EXCERPT: usize = 120;

fn assert_is_price(price: Option<f64>) {
    assert!(price.is_none_or(|price| price.is_finite() && price > 0.0), "{price:?} is no price");
}

fn assert_finite(numbers: &[f64]) {
    assert!(numbers.iter().all(|number| number.is_finite()), "{numbers:?}");
}

/// The longest that a host is left alone because it asks for it.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 86_400);

/// Any answer, before a source sees it: the status and the address in the first line, headers in those up to
/// an empty one, then the body.
pub(super) fn reply(bytes: &[u8]) {
    let (head, body) = match memchr::memmem::find(bytes, b"\n\n") {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 2..).unwrap_or_default()),
        None => (&b""[..], bytes),
    };
    let head = text(head);
    let mut lines = head.lines();
    let (status, address) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let url = Url::parse(address).or_else(|_| Url::parse("https://a.example/")).expect("a URL");
    assert_shown_without_secrets(&url);
    let mut reply = Reply::captured(status.parse().unwrap_or(200), url, body.to_vec());
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    reply.headers.extend(lines.filter_map(header));

    let shown = excerpt(&reply.text());
    assert!(shown.chars().count() <= LONGEST_EXCERPT && !shown.chars().any(char::is_control), "{shown:?}");
    assert_eq!(excerpt(&shown), shown);
    let wait = reply.retry_after(now());
    assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT), "{wait:?}");
    for said in [
        wall_sign(&reply),
        reply.ok().err().map(|error| error.to_string()),
        reply.json::<serde_json::Value>().err().map(|error| error.to_string()),
        reply.json::<Vec<HashMap<String, f64>>>().err().map(|error| error.to_string()),
    ] {
        assert_fit_to_show(&said.unwrap_or_default());
    }
}

fn assert_shown_without_secrets(url: &Url) {
    let shown = redacted(url);
    let read = Url::parse(&shown).unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert!(read.username().is_empty() && read.password().is_none(), "{shown}");
    assert!(read.query_pairs().all(|(_, value)| value.is_empty() || value == "…"), "{shown}");
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}
