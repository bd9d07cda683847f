//! What has just happened, for whoever looks at it now: Server-Sent Events.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>
//!
//! One task reads the store twice a second while somebody listens, and writes each event once for all of them. The
//! last thousand are kept, so that who was away for a moment misses nothing; who was away for longer is told the
//! alerts since then, and to look at everything anew (`reset`).

mod look;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use self::look::{Event, Look};
use super::Shared;
use crate::store::Store;

/// So many listen at once at most.
pub(super) const MOST_LISTENERS: usize = 1_000;

/// So many events are kept for who comes back, and so many may wait for one who reads slowly.
const KEPT: usize = 1_000;

/// More than so many at once are told as one: look at everything anew.
const MOST_AT_ONCE: usize = 500;

/// So many alerts are told to who was away for long; all others are found by looking at everything anew.
const MOST_ALERTS: i64 = 100;

/// How often the store is read.
const EVERY: Duration = Duration::from_millis(500);

/// Where a look takes long, there is a rest of so many times as long after it, and not more than this.
const RESTS: u32 = 9;
const LONGEST_REST: Duration = Duration::from_secs(5);

/// The store is read for so long after the last one has gone, who is often only on the way to the next page.
const LINGER: Duration = Duration::from_secs(30);

/// So often something is said, so that nothing in between takes a quiet connection for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// After so long a stream ends and is asked for again, with a login that still holds.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Tells everyone who listens what is new in the store; reads it only while somebody does.
pub(super) struct Live(Arc<Inner>);

struct Inner {
    store: Store,
    not_taken_up: watch::Receiver<Vec<String>>,
    sender: broadcast::Sender<Bytes>,
    past: Mutex<Past>,
    listeners: AtomicUsize,
    /// Whether it is known what was so before, from which on what happens is new.
    has_looked: watch::Sender<bool>,
    stop: CancellationToken,
}

/// What has been told lately.
struct Past {
    events: VecDeque<(Uuid, Bytes)>,
    /// Everything after this is among them.
    since: Uuid,
    /// Every alert up to this one has been told, or was there before: the others will be.
    alerts_until: String,
    /// Whether the task reads.
    is_reading: bool,
}

/// One who is counted, until it is dropped.
struct Listening(Arc<Inner>);

/// One who listens.
struct Listener {
    listening: Listening,
    events: broadcast::Receiver<Bytes>,
    /// What is told before anything else.
    missed: VecDeque<Bytes>,
    ends_at: Instant,
}

/// Since when somebody was away.
enum Away {
    /// Since now.
    No,
    /// Since an event that is still kept, or a moment from which on everything is.
    Briefly(Uuid),
    /// Since a moment that is told by an id.
    Long(Uuid),
    /// Since nobody knows when.
    Unknown,
}

#[derive(Deserialize)]
struct Asked {
    /// As `Last-Event-ID`, which a browser cannot send the first time.
    after: Option<String>,
}

pub(super) fn router() -> Router<Shared> {
    Router::new().route("/api/v1/events", get(events))
}

async fn events(
    State(shared): State<Shared>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Query(asked) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return super::guard::refuse("/api/v1/events", wrong.status(), &wrong.body_text()),
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(asked.after.as_deref());
    let Some(listener) = shared.live.listen(last.filter(|id| !id.is_empty())).await else {
        let sentence = format!("{MOST_LISTENERS} listen already; try again later.");
        let mut refusal = super::guard::refuse("/api/v1/events", StatusCode::SERVICE_UNAVAILABLE, &sentence);
        refusal.headers_mut().insert("retry-after", 60.into());
        return refusal;
    };
    let body = Body::from_stream(stream::unfold(listener, Listener::next).map(Ok::<_, Infallible>));
    // What stands before the server is not to gather it.
    let about = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (about, body).into_response()
}

impl Live {
    /// Of a store, and of why the configuration as it is now was not taken up.
    pub(super) fn new(store: Store, not_taken_up: watch::Receiver<Vec<String>>) -> Self {
        let (sender, _) = broadcast::channel(KEPT);
        let past = Past {
            events: VecDeque::new(),
            since: Uuid::now_v7(),
            alerts_until: String::new(),
            is_reading: false,
        };
        Self(Arc::new(Inner {
            store,
            not_taken_up,
            sender,
            past: Mutex::new(past),
            listeners: AtomicUsize::new(0),
            has_looked: watch::Sender::new(false),
            stop: CancellationToken::new(),
        }))
    }

    /// How many listen.
    pub(super) fn listeners(&self) -> usize {
        self.0.listeners.load(Ordering::Relaxed)
    }

    /// Ends every stream, and the reading.
    pub(super) fn close(&self) {
        self.0.stop.cancel();
    }

    /// One more who listens; `None` when there are too many. What happens from now on is told.
    async fn listen(&self, last: Option<&str>) -> Option<Listener> {
        let inner = &self.0;
        let room = |count| (count < MOST_LISTENERS).then_some(count + 1);
        inner.listeners.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        let listening = Listening(Arc::clone(inner));
        inner.see_to_reading();
        let mut looking = inner.has_looked.subscribe();
        tokio::select! {
            () = inner.stop.cancelled() => {}
            _ = looking.wait_for(|has_looked| *has_looked) => {}
        }
        let (mut missed, away, until, events) = {
            let past = inner.past();
            let away = past.away(last);
            // An id for who hears nothing before the connection breaks: of what is missed, it is told again.
            let id = match away {
                Away::Briefly(id) | Away::Long(id) => id,
                Away::No | Away::Unknown => past.events.back().map_or(past.since, |(id, _)| *id),
            };
            let mut missed = VecDeque::from([Bytes::from(format!("retry: 2000\nid: {id}\n\n"))]);
            if let Away::Briefly(id) = away {
                let after = past.events.iter().filter(|(event, _)| *event > id);
                missed.extend(after.map(|(_, text)| text.clone()));
            }
            // Whoever tells something holds the same lock, so that nothing is told twice, nor lost.
            (missed, away, past.alerts_until.clone(), inner.sender.subscribe())
        };
        if let Away::Long(id) = away {
            let alerts = inner.store.last_alerts_between(&id.to_string(), &until, MOST_ALERTS).await;
            let alerts = alerts.inspect_err(|error| warn!(%error, "What was missed could not be read"));
            for alert in alerts.unwrap_or_default() {
                let id = alert.id.parse().unwrap_or_else(|_| Uuid::now_v7());
                missed.extend(Event::alert(&alert).map(|event| event.text(id)));
            }
        }
        if matches!(away, Away::Long(_) | Away::Unknown) {
            missed.push_back(Event::reset().text(Uuid::now_v7()));
        }
        Some(Listener { listening, events, missed, ends_at: Instant::now() + LONGEST })
    }
}

impl Past {
    fn away(&self, last: Option<&str>) -> Away {
        let Some(last) = last else { return Away::No };
        match Uuid::parse_str(last) {
            Ok(id) if id.get_version_num() != 7 => Away::Unknown,
            Ok(id) if id >= self.since => Away::Briefly(id),
            Ok(id) => Away::Long(id),
            Err(_) => Away::Unknown,
        }
    }

    fn keep(&mut self, id: Uuid, text: Bytes) {
        if self.events.len() >= KEPT
            && let Some((oldest, _)) = self.events.pop_front()
        {
            self.since = oldest;
        }
        self.events.push_back((id, text));
    }
}

impl Inner {
    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to read, where nobody does.
    fn see_to_reading(self: &Arc<Self>) {
        let mut past = self.past();
        if !past.is_reading {
            past.is_reading = true;
            self.has_looked.send_replace(false);
            tokio::spawn(Arc::clone(self).read());
        }
    }

    /// Reads until nobody has listened for a while.
    async fn read(self: Arc<Self>) {
        let stop = self.stop.clone();
        let mut look = Look::new(self.store.clone(), self.not_taken_up.clone());
        let first = look.again().await.inspect_err(|error| warn!(%error, "What is so could not be read"));
        {
            let mut past = self.past();
            past.events.clear();
            past.since = Uuid::now_v7();
            look.seen_until().clone_into(&mut past.alerts_until);
        }
        self.has_looked.send_replace(true);
        // What was not seen has to be looked for anew.
        let mut is_missing = first.is_err();
        let (mut heard_at, mut said_at) = (Instant::now(), Instant::now());
        let mut rest = EVERY;
        while stop.run_until_cancelled(sleep(rest)).await.is_some() {
            let now = Instant::now();
            if self.listeners.load(Ordering::Relaxed) > 0 {
                heard_at = now;
            }
            if now.duration_since(heard_at) >= LINGER {
                let mut past = self.past();
                // Who begins to listen holds this lock while it looks whether somebody reads.
                if self.listeners.load(Ordering::Relaxed) == 0 {
                    past.is_reading = false;
                    return;
                }
            }
            match look.again().await {
                Ok(mut events) => {
                    events.extend(std::mem::take(&mut is_missing).then(Event::reset));
                    self.tell(events, look.seen_until());
                }
                Err(error) if !stop.is_cancelled() => {
                    is_missing = true;
                    warn!(%error, "What is new could not be read");
                }
                Err(_) => return,
            }
            rest = now.elapsed().saturating_mul(RESTS).clamp(EVERY, LONGEST_REST);
            if now.duration_since(said_at) >= KEEP_ALIVE {
                said_at = now;
                let _ = self.sender.send(Bytes::from_static(b":\n\n"));
            }
        }
    }

    /// Tells what is new, alerts up to this one.
    fn tell(&self, mut events: Vec<Event>, alerts_until: &str) {
        if events.len() > MOST_AT_ONCE {
            events = vec![Event::reset()];
        }
        let mut past = self.past();
        alerts_until.clone_into(&mut past.alerts_until);
        for event in events {
            let id = Uuid::now_v7();
            let text = event.text(id);
            past.keep(id, text.clone());
            let _ = self.sender.send(text);
        }
    }
}

impl Listener {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if let Some(text) = self.missed.pop_front() {
            return Some((text, self));
        }
        let stop = self.listening.0.stop.clone();
        let heard = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = sleep_until(self.ends_at) => return None,
            heard = self.events.recv() => heard,
        };
        match heard {
            Ok(text) => Some((text, self)),
            // It reads so slowly that what it missed is gone.
            Err(RecvError::Lagged(_)) => {
                self.events = self.events.resubscribe();
                Some((Event::reset().text(Uuid::now_v7()), self))
            }
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn live() -> (tempfile::TempDir, Live) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        (folder, Live::new(store, watch::channel(Vec::new()).1))
    }

    #[tokio::test]
    async fn a_configuration_that_is_not_taken_up_is_looked_at_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let (wrong, not_taken_up) = watch::channel(Vec::new());
        let mut look = Look::new(store, not_taken_up);
        let told = |events: Vec<Event>| {
            let text = |event: &Event| String::from_utf8(event.text(Uuid::nil()).to_vec()).unwrap();
            events.iter().map(text).filter(|text| text.contains("event: reset")).count()
        };
        assert_eq!(told(look.again().await.unwrap()), 0);
        wrong.send_replace(vec!["config.toml:1: no".into()]);
        assert_eq!(told(look.again().await.unwrap()), 1);
        assert_eq!(told(look.again().await.unwrap()), 0);
    }

    /// What it hears next, without the line of the id.
    async fn hear(listener: &mut Option<Listener>) -> String {
        let (text, next) = listener.take().unwrap().next().await.unwrap();
        *listener = Some(next);
        let text = String::from_utf8(text.to_vec()).unwrap();
        text.lines().filter(|line| !line.starts_with("id: ")).collect::<Vec<_>>().join("|")
    }

    fn numbered(number: usize) -> Event {
        Event::new("watch", &number).unwrap()
    }

    #[tokio::test]
    async fn who_comes_back_soon_is_told_what_was_missed_and_nothing_twice() {
        let (_folder, live) = live().await;
        let mut first = live.listen(None).await;
        assert_eq!(hear(&mut first).await, "retry: 2000|");
        live.0.tell(vec![numbered(1), numbered(2), numbered(3)], "");
        assert_eq!(hear(&mut first).await, "event: watch|data: 1|");
        let heard = live.0.past().events[0].0.to_string();
        let mut again = live.listen(Some(&heard)).await;
        live.0.tell(vec![numbered(4)], "");
        for expected in
            ["retry: 2000|", "event: watch|data: 2|", "event: watch|data: 3|", "event: watch|data: 4|"]
        {
            assert_eq!(hear(&mut again).await, expected);
        }
    }

    #[tokio::test]
    async fn who_was_away_for_long_or_says_nonsense_looks_at_everything_anew() {
        let (_folder, live) = live().await;
        let mut first = live.listen(None).await;
        hear(&mut first).await;
        let before = live.0.past().since;
        live.0.tell((0..MOST_AT_ONCE).map(numbered).collect(), "");
        live.0.tell((0..MOST_AT_ONCE).map(numbered).collect(), "");
        assert_eq!(live.0.past().events.len(), KEPT);
        assert_eq!(live.0.past().since, before, "all of them are still there");
        live.0.tell(vec![numbered(1)], "");
        assert_eq!(live.0.past().events.len(), KEPT);
        for last in [before.to_string(), "nonsense".into(), Uuid::nil().to_string()] {
            let mut again = live.listen(Some(&last)).await;
            assert_eq!(hear(&mut again).await, "retry: 2000|");
            assert_eq!(hear(&mut again).await, "event: reset|data: {}|", "{last}");
        }
    }

    #[tokio::test]
    async fn who_reads_too_slowly_looks_at_everything_anew_and_goes_on() {
        let (_folder, live) = live().await;
        let mut slow = live.listen(None).await;
        hear(&mut slow).await;
        for n in 0..=KEPT {
            live.0.tell(vec![numbered(n)], "");
        }
        // The channel rounds its room up.
        live.0.tell((0..30).map(numbered).collect(), "");
        assert_eq!(hear(&mut slow).await, "event: reset|data: {}|");
        live.0.tell(vec![numbered(7)], "");
        assert_eq!(hear(&mut slow).await, "event: watch|data: 7|");
    }

    #[tokio::test]
    async fn a_flood_is_told_as_one() {
        let (_folder, live) = live().await;
        let mut listener = live.listen(None).await;
        hear(&mut listener).await;
        live.0.tell((0..=MOST_AT_ONCE).map(numbered).collect(), "");
        assert_eq!(hear(&mut listener).await, "event: reset|data: {}|");
    }

    #[tokio::test]
    async fn only_so_many_listen_and_who_leaves_makes_room() {
        let (_folder, live) = live().await;
        let mut all = Vec::new();
        for _ in 0..MOST_LISTENERS {
            all.push(live.listen(None).await.unwrap());
        }
        assert!(live.listen(None).await.is_none());
        all.pop();
        assert_eq!(live.listeners(), MOST_LISTENERS - 1);
        assert!(live.listen(None).await.is_some());
    }

    #[tokio::test]
    async fn every_stream_ends_when_the_daemon_stops() {
        let (_folder, live) = live().await;
        let mut listener = live.listen(None).await;
        hear(&mut listener).await;
        live.close();
        assert!(listener.unwrap().next().await.is_none());
    }
}
