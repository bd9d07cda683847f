//! The outside world's part of a run: ask, and read what changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use tracing::warn;
use xxhash_rust::xxh3::xxh3_64;

use crate::http::{Asked, Asker, Fetched, Http, HttpError, Mark, Reply, Request, wall_sign};
use crate::model::{Outcome, Reading};
use crate::plugin::{FetchError, Needs, Seen};
use crate::watchlist::Watch;

/// How one request went.
pub(super) struct Answer {
    pub(super) request: Request,
    pub(super) key: u64,
    pub(super) result: Result<Option<(Seen, Mark)>, FetchError>,
    /// Whether its host did not answer, or only with an error of its own.
    pub(super) unreachable: bool,
    /// Until when its host wants to be left alone, where for that reason nothing was sent.
    pub(super) rests_until: Option<Timestamp>,
    /// How long it waited for its host's turn.
    pub(super) waited: Duration,
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
    let begun = Instant::now();
    let asker = Asker { watch_id, now: needs.now };
    let Asked { result: fetched, waited } = http.fetch(&request, marks.get(&key), asker).await;
    metrics::histogram!("stakeout_fetch_seconds", "source" => watch.source_kind)
        .record(begun.elapsed().as_secs_f64());
    let mut unreachable =
        matches!(fetched, Err(HttpError::Timeout(_) | HttpError::Connect(_) | HttpError::Broken(_)));
    let rests_until = match &fetched {
        Err(HttpError::Resting { until, .. }) => Some(*until),
        _ => None,
    };
    let was_answered = fetched.is_ok();
    let mut result = match fetched {
        Ok(Fetched::Unchanged) => Ok(None),
        Ok(Fetched::New(reply, mark)) => {
            unreachable = reply.status >= 500;
            read(watch, &request, reply, needs).await.map(|seen| Some((seen, mark)))
        }
        Err(error @ (HttpError::Resting { refused: true, .. } | HttpError::Walled(_))) => {
            Err(FetchError::Blocked { why: error.to_string(), retry_after: None })
        }
        Err(error) => Err(FetchError::Failed(match request.subject.as_str() {
            "" => error.to_string(),
            subject => format!("{subject}: {error}"),
        })),
    };
    conceal(watch, &mut result);
    if let Err(FetchError::Blocked { retry_after, why }) = &result
        && was_answered
    {
        http.refused(request.authority(), asker, *retry_after, why);
    }
    Answer { request, key, result, unreachable, rests_until, waited }
}

/// Keeps what came from the environment, such as a key in an address, out of everything that follows.
fn conceal(watch: &Watch, result: &mut Result<Option<(Seen, Mark)>, FetchError>) {
    match result {
        Ok(Some((seen, _))) => {
            for observation in &mut seen.observations {
                observation.url.take_if(|url| watch.reveals(url));
                // An address may have given the name, and a page may repeat what it was asked with.
                let texts = match &mut observation.reading {
                    Reading::Text { text } => [Some(&mut observation.subject), Some(text)],
                    _ => [Some(&mut observation.subject), None],
                };
                for text in texts.into_iter().flatten().filter(|text| watch.reveals(text)) {
                    *text = watch.concealed(text);
                }
            }
        }
        Ok(None) => {}
        Err(FetchError::Failed(why) | FetchError::Blocked { why, .. }) => {
            if watch.reveals(why) {
                *why = watch.concealed(why);
            }
        }
    }
}

/// Reads an answer away from the async threads. A wall is known before the source sees it.
async fn read(
    watch: &Arc<Watch>,
    request: &Request,
    reply: Reply,
    needs: &Needs,
) -> Result<Seen, FetchError> {
    let (watch, request, needs) = (Arc::clone(watch), request.clone(), needs.clone());
    let reading = tokio::task::spawn_blocking(move || {
        if let Some(why) = wall_sign(&reply) {
            return Err(FetchError::Blocked { why, retry_after: reply.retry_after(Timestamp::now()) });
        }
        watch.source.read(&request, &reply, &needs)
    });
    reading.await.unwrap_or_else(|panic| {
        warn!(error = %panic, "A source panicked");
        Err(FetchError::failed("the answer could not be read: the source broke on it"))
    })
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
