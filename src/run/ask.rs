//! The outside world's part of a run: ask, and read what changed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use super::reading::READERS;
use crate::http::{Asked, Asker, Fetched, Http, HttpError, Mark, Reply, Request, Standing};
use crate::model::Outcome;
use crate::plugin::{FetchError, Needs, Seen};
use crate::store::Waited;
use crate::watchlist::Watch;

/// Answers after which nothing is asked again until the watch changes: gone for good, and unavailable for
/// legal reasons (RFC 9110, section 15.5.11; RFC 7725).
const FINAL: [u16; 2] = [410, 451];

/// A wait that is shorter explains nothing.
const LONG_WAIT: Duration = Duration::from_millis(100);

/// How one request went.
pub(super) struct Answer {
    pub(super) request: Request,
    pub(super) key: u64,
    pub(super) result: Result<Option<(Seen, Mark)>, FetchError>,
    /// Whether its host did not answer, or only with an error of its own.
    pub(super) unreachable: bool,
    /// Where its host is left alone, so that nothing was sent.
    pub(super) rest: Option<Rest>,
    /// Why nothing is asked again, where the answer was of that kind just now.
    pub(super) final_answer: Option<String>,
    /// How its host stands, where this has changed it.
    pub(super) standing: Option<Standing>,
    /// How the host stands that led to it, where this has changed it.
    pub(super) standing_before: Option<Standing>,
    /// The host that answered, where that is not the one that was asked.
    led_to: Option<String>,
    /// How long it waited for its host's turn.
    pub(super) waited: Duration,
}

/// A host is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// What for.
    pub(super) why: String,
    pub(super) until: Timestamp,
    /// When that was found out.
    pub(super) seen_at: Instant,
}

/// Sends every request at once (their hosts set the pace) and reads what changed.
pub(super) async fn ask(
    http: &Http,
    watch: &Arc<Watch>,
    watch_id: i64,
    needs: &Needs,
    marks: &HashMap<u64, Mark>,
) -> Vec<Answer> {
    let mut requests = watch.source.requests(needs);
    if requests.len() == 1
        && let Some(request) = requests.pop()
    {
        return vec![ask_one(http, watch, watch_id, request, needs, marks).await];
    }
    join_all(requests.into_iter().map(|request| ask_one(http, watch, watch_id, request, needs, marks))).await
}

pub(super) async fn ask_one(
    http: &Http,
    watch: &Arc<Watch>,
    watch_id: i64,
    request: Request,
    needs: &Needs,
    marks: &HashMap<u64, Mark>,
) -> Answer {
    let request = watch.manner.apply(request);
    let key = key_of(watch, &request);
    let known = marks.get(&key);
    if let Some(why) = known.and_then(|mark| mark.final_answer.as_ref()) {
        return Answer::without_asking(request, key, why);
    }
    let begun = Instant::now();
    let asker = Asker { watch_id, now: needs.now };
    let Asked { result: fetched, waited, led_to } = http.fetch(&request, known, asker).await;
    metrics::histogram!("stakeout_fetch_seconds", "source" => watch.source_kind)
        .record(begun.elapsed().saturating_sub(waited).as_secs_f64());
    let was_answered = fetched.is_ok();
    let (mut unreachable, mut rest, mut status) = (false, None, 0);
    let mut result = match fetched {
        Ok(Fetched::Unchanged) => Ok(None),
        Ok(Fetched::New(reply, mut mark)) => {
            status = reply.status;
            unreachable = status >= 500;
            conceal_mark(watch, &mut mark);
            read(watch, &request, reply, needs).await.map(|seen| Some((seen, mark)))
        }
        Err(error) => {
            if let HttpError::Resting { until, why, .. } = &error {
                rest = Some(Rest { why: why.clone(), until: *until, seen_at: Instant::now() });
            }
            unreachable = is_silence(&error);
            Err(if keeps_us_out(&error) {
                FetchError::Blocked { why: error.to_string(), retry_after: None }
            } else {
                FetchError::Failed(match request.subject.as_str() {
                    "" => error.to_string(),
                    subject => format!("{subject}: {error}"),
                })
            })
        }
    };
    if let Err(error) = &mut result {
        conceal_error(watch, error);
    }
    let host = led_to.as_deref().unwrap_or(request.authority());
    if let Err(FetchError::Blocked { retry_after, why }) = &result
        && was_answered
    {
        let now = needs.now.checked_add(begun.elapsed()).unwrap_or(needs.now);
        http.refused(host, Asker { watch_id, now }, *retry_after, why);
    }
    let standing = http.take_changed(host);
    // A host that leads elsewhere has changed too, by answering well.
    let standing_before = led_to.as_ref().and_then(|_| http.take_changed(request.authority()));
    let final_answer = end_for_good(status, &mut result);
    Answer {
        request,
        key,
        result,
        unreachable,
        rest,
        final_answer,
        standing,
        standing_before,
        led_to,
        waited,
    }
}

impl Answer {
    fn without_asking(request: Request, key: u64, why: &str) -> Self {
        Self {
            request,
            key,
            result: Err(FetchError::failed(why)),
            unreachable: false,
            rest: None,
            final_answer: None,
            standing: None,
            standing_before: None,
            led_to: None,
            waited: Duration::ZERO,
        }
    }

    /// The host that answered, or should have.
    pub(super) fn host(&self) -> &str {
        self.led_to.as_deref().unwrap_or(self.request.authority())
    }

    /// How hosts stand, where this has changed it.
    pub(super) fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.standing_before.iter().chain(&self.standing)
    }

    /// Until when its host is left alone from now on.
    pub(super) fn left_alone_until(&self) -> Option<Timestamp> {
        self.standing.as_ref().filter(|standing| !standing.wait.is_zero()).map(|standing| standing.until)
    }

    /// What it is known by next time, where there is something new to know.
    pub(super) fn mark(&self) -> Option<Mark> {
        match (&self.result, &self.final_answer) {
            (Ok(Some((_, mark))), _) => Some(mark.clone()),
            (_, Some(_)) => Some(Mark { final_answer: self.final_answer.clone(), ..Mark::default() }),
            _ => None,
        }
    }
}

/// How long the run waited, which is as long as the longest of its requests did.
pub(super) fn waited(answers: &[Answer]) -> Waited {
    let Some(longest) = answers.iter().max_by_key(|answer| answer.waited) else { return Waited::default() };
    let is_long = longest.waited >= LONG_WAIT;
    Waited { time: longest.waited, host: is_long.then(|| longest.host().to_owned()) }
}

const fn keeps_us_out(error: &HttpError) -> bool {
    matches!(error, HttpError::Walled(_) | HttpError::Resting { refused: true, .. })
}

fn is_silence(error: &HttpError) -> bool {
    match error {
        HttpError::Timeout(_) | HttpError::Connect(_) | HttpError::Broken(_) => true,
        HttpError::Resting { .. } => !keeps_us_out(error),
        _ => false,
    }
}

/// Finds out whether an answer that is no good will never be another, and says so with it.
fn end_for_good<T>(status: u16, result: &mut Result<T, FetchError>) -> Option<String> {
    let Err(FetchError::Failed(why)) = result else { return None };
    if !FINAL.contains(&status) {
        return None;
    }
    let said = format!("HTTP {status}");
    let said = if why.contains(&said) { why.clone() } else { format!("{said}: {why}") };
    *why = format!("{said}: not asked again until the watch or `[fetch]` is changed");
    Some(why.clone())
}

/// Keeps what is secret, such as a key in an address, out of everything that was read.
fn conceal(watch: &Watch, seen: &mut Seen) {
    let mut subjects = HashSet::new();
    for observation in &mut seen.observations {
        observation.url.take_if(|url| watch.reveals(url));
        // An address may have given the name, and a page may repeat what it was asked with.
        let is_renamed = watch.reveals(&observation.subject);
        for text in observation.texts_mut() {
            if let Cow::Owned(concealed) = watch.concealed(text) {
                *text = concealed;
            }
        }
        // Two that differ in nothing else stay two.
        let name = observation.subject.clone();
        for number in 2.. {
            if !is_renamed || !subjects.contains(&observation.subject) {
                break;
            }
            observation.subject = format!("{name} ({number})");
        }
        subjects.insert(observation.subject.clone());
    }
}

/// What an answer is known by, where nothing of it is secret; without it the bytes tell.
fn conceal_mark(watch: &Watch, mark: &mut Mark) {
    for text in [&mut mark.etag, &mut mark.last_modified] {
        text.take_if(|text| watch.reveals(text));
    }
}

/// The same for what went wrong, which may hold an excerpt.
fn conceal_error(watch: &Watch, error: &mut FetchError) {
    let (FetchError::Failed(why) | FetchError::Blocked { why, .. }) = error;
    if let Cow::Owned(concealed) = watch.concealed_in_excerpt(why) {
        *why = concealed;
    }
}

/// Reads an answer, and leaves out what is secret, away from the async threads.
async fn read(
    watch: &Arc<Watch>,
    request: &Request,
    reply: Reply,
    needs: &Needs,
) -> Result<Seen, FetchError> {
    let (watch, request, needs) = (Arc::clone(watch), request.clone(), needs.clone());
    let reading = move || {
        let mut seen = watch.source.read(&request, &reply, &needs)?;
        conceal(&watch, &mut seen);
        Ok(seen)
    };
    READERS.read(reading).await
}

/// What an answer is known by: what was asked, without what may be secret. This is stored, and from a hash
/// of it a weak secret could be guessed.
pub(super) fn key_of(watch: &Watch, request: &Request) -> u64 {
    let mut bytes = Vec::with_capacity(256);
    let url = watch.concealed(request.url.as_str());
    let body = if watch.manner.body.is_some() { &[][..] } else { &*request.body };
    for part in [request.method.as_bytes(), url.as_bytes(), body] {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes.extend_from_slice(request.subject.as_bytes());
    xxh3_64(&bytes)
}

/// One failure fails the run (what else was read still counts); a wall outranks it.
pub(super) fn outcome_of(answers: &[Answer], unchanged: bool) -> (Outcome, Option<String>) {
    let errors = answers.iter().filter_map(|answer| answer.result.as_ref().err());
    let blocked = errors.clone().find(|error| matches!(error, FetchError::Blocked { .. }));
    if let Some(error) = blocked {
        return (Outcome::Blocked, Some(error.to_string()));
    }
    let failed: Vec<String> = errors.map(ToString::to_string).collect();
    match (failed.is_empty(), unchanged) {
        (false, _) => (Outcome::Failed, Some(failed.join("; "))),
        (true, true) => (Outcome::Unchanged, None),
        (true, false) => (Outcome::Ok, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn resting(refused: bool, why: &str) -> HttpError {
        let until = at("2026-11-21T10:00:00Z");
        HttpError::Resting { host: "shop.example".into(), until, why: why.into(), refused }
    }

    #[test]
    fn a_host_that_is_left_alone_is_silent_or_keeps_us_out_as_it_was_before() {
        for (error, is_silent, is_closed) in [
            (HttpError::Timeout(Duration::ZERO), true, false),
            (HttpError::TooLarge(1), false, false),
            (HttpError::Walled("a robot check".into()), false, true),
            (resting(true, "HTTP 429: too many requests"), false, true),
            (resting(true, "HTTP 403 Forbidden"), false, true),
            (resting(false, "HTTP 503 Service Unavailable"), true, false),
            (resting(false, "no complete answer within 20 s"), true, false),
        ] {
            assert_eq!((is_silence(&error), keeps_us_out(&error)), (is_silent, is_closed), "{error:?}");
        }
    }

    #[test]
    fn only_what_is_gone_for_good_is_a_final_answer() {
        let failed = |why: &str| Err::<(), _>(FetchError::failed(why));
        for (status, mut result, expected) in [
            (404, failed("HTTP 404"), None),
            (410, Ok(()), None),
            (
                410,
                failed("HTTP 410 Gone"),
                Some("HTTP 410 Gone: not asked again until the watch or `[fetch]` is changed"),
            ),
            (
                451,
                failed("no price"),
                Some("HTTP 451: no price: not asked again until the watch or `[fetch]` is changed"),
            ),
        ] {
            assert_eq!(end_for_good(status, &mut result).as_deref(), expected);
        }
    }
}
