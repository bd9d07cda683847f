//! What the tests under the code share: captured replies, and the small things a view is made of.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Once;

use jiff::{Timestamp, tz::TimeZone};
use url::Url;

use crate::http::{Reply, Request};
use crate::model::{Candle, Interval, Observation, Quote, Reading, Signal, SignalState};
use crate::plugin::{FetchError, Needs, Seen, Source, Strategy, View};

/// The set of captured replies, which lies outside the repository. Says that the test is skipped when
/// `STAKEOUT_FIXTURES` does not say where it is; in continuous integration that is an error.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let folder = std::env::var_os("STAKEOUT_FIXTURES").map(PathBuf::from);
    if folder.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "STAKEOUT_FIXTURES has to say where the captured replies are"
        );
        // Not by a macro, of which nothing is shown while a test passes; once for all of them.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            let why = "STAKEOUT_FIXTURES is not set, so there are no captured replies to be read";
            writeln!(std::io::stderr().lock(), "skipped: {why}").expect("standard error");
        });
    }
    folder
}

/// A captured reply of the set, as `kind/name`; a set without the file is an error.
pub(crate) fn fixture(name: &str) -> Option<Vec<u8>> {
    let path = fixtures()?.join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// A moment, from RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A plug-in from its TOML keys.
pub(crate) fn plugin<P: crate::plugin::Plugin>(toml: &str) -> P {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}\n{error}"))
}

/// The addresses that `source` fills a stretch of the past from, without their scheme and host.
pub(crate) fn backfilled(source: &dyn Source, from: &str, until: &str) -> Vec<String> {
    let gap = crate::plugin::Span { from: at(from), until: at(until) };
    let address =
        |request: Request| format!("{}?{}", request.url.path(), request.url.query().unwrap_or_default());
    source.backfill(&gap).into_iter().flat_map(|fill| fill.requests).map(address).collect()
}

/// What `source` reads in `body`, as the answer to the first request for a stretch of the past.
pub(crate) fn read_backfilled(
    source: &dyn Source,
    status: u16,
    body: impl Into<Vec<u8>>,
    now: &str,
) -> Result<Seen, FetchError> {
    let needs = Needs { now: at(now), bars: 0 };
    let gap = crate::plugin::Span { from: at(now), until: at(now) };
    let request = source.backfill(&gap).expect("it keeps a past").requests.remove(0);
    let reply = Reply::captured(status, request.url.clone(), body.into());
    source.read(&request, &reply, &needs)
}

/// What `source` reads in `body`, as the answer to its first request.
pub(crate) fn read(
    source: &dyn Source,
    status: u16,
    body: impl Into<Vec<u8>>,
    now: &str,
) -> Result<Seen, FetchError> {
    let needs = Needs { now: at(now), bars: 140 };
    let request: Request = source.requests(&needs).remove(0);
    let reply = Reply::captured(status, request.url.clone(), body.into());
    source.read(&request, &reply, &needs)
}

/// One quote a minute of one subject, oldest first, the last at `until`.
pub(crate) fn quotes(subject: &str, until: &str, prices: &[f64]) -> Vec<Observation> {
    let last = at(until).as_second();
    let count = prices.len() as i64;
    (0..)
        .zip(prices)
        .map(|(n, price)| Observation {
            subject: subject.into(),
            observed_at: Timestamp::from_second(last - 60 * (count - 1 - n)).unwrap(),
            url: None,
            reading: Reading::Quote(Quote { price: *price, ..Quote::default() }),
            evidence: Vec::new(),
        })
        .collect()
}

/// Half-hour bars with these closes, oldest first; each opens at the close before it.
pub(crate) fn candles(subject: &str, closes: &[f64]) -> Observation {
    let start = at("2026-11-02T00:00:00Z").as_second();
    let opens = closes.first().into_iter().chain(closes);
    let candles = (0..)
        .zip(closes.iter().zip(opens))
        .map(|(n, (&close, &open))| Candle {
            open_time: Timestamp::from_second(start + n * 1_800).unwrap(),
            open,
            high: open.max(close),
            low: open.min(close),
            close,
            volume: 1.0,
        })
        .collect();
    Observation {
        subject: subject.into(),
        observed_at: at("2026-11-20T00:00:00Z"),
        url: None,
        reading: Reading::Candles { interval: Interval::from_minutes(30).unwrap(), candles },
        evidence: Vec::new(),
    }
}

/// A source that is only a name, for views that need none of their own.
pub(crate) struct NoSource;

impl Source for NoSource {
    fn yields(&self) -> crate::model::ReadingKind {
        crate::model::ReadingKind::Value
    }
    fn requests(&self, _: &Needs) -> Vec<Request> {
        vec![Request::get(Url::parse("http://source.invalid/").unwrap())]
    }
    fn read(&self, _: &Request, _: &Reply, _: &Needs) -> Result<Seen, FetchError> {
        Ok(Seen::default())
    }
    fn usual_strategies(&self) -> &'static str {
        "[]"
    }
}

/// A source with these words before every subject.
pub(crate) struct Described(pub(crate) &'static str);

impl Source for Described {
    fn yields(&self) -> crate::model::ReadingKind {
        NoSource.yields()
    }
    fn requests(&self, needs: &Needs) -> Vec<Request> {
        NoSource.requests(needs)
    }
    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        NoSource.read(request, reply, needs)
    }
    fn describe(&self, subject: &str) -> String {
        format!("{} {subject}", self.0)
    }
    fn usual_strategies(&self) -> &'static str {
        NoSource.usual_strategies()
    }
}

/// What a view of `current` and nothing else makes of `strategy`.
pub(crate) fn evaluate(strategy: &dyn Strategy, current: &[Observation]) -> Vec<Signal> {
    evaluate_knowing(strategy, current, &[], &HashMap::new())
}

/// What a view makes of `strategy`, with a past and with what was settled on before.
pub(crate) fn evaluate_knowing(
    strategy: &dyn Strategy,
    current: &[Observation],
    earlier: &[crate::model::Past],
    known: &HashMap<String, SignalState>,
) -> Vec<Signal> {
    let now = current.last().map_or_else(|| at("2026-11-20T00:00:00Z"), |seen| seen.observed_at);
    strategy
        .evaluate(&View {
            current,
            earlier,
            absent: &[],
            known,
            now,
            zone: &TimeZone::UTC,
            source: &NoSource,
        })
        .expect("the strategy can judge the view")
}
