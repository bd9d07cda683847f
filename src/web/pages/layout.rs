//! What every page has around it, and the small things that all of them show.

use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use super::super::{Shared, assets};
use crate::model::Period;

/// The parts of the dashboard, as the navigation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Every watch, and one of them.
    Watches,
    /// What was told.
    Alerts,
    /// What is on its way.
    Deliveries,
    /// What is not to be told.
    Silences,
    /// The figures of the last 24 hours.
    Metrics,
    /// A new watch.
    Add,
    /// The configuration.
    Settings,
    /// Somewhere else: an error, the login.
    Elsewhere,
}

/// The navigation, in its order.
const SECTIONS: [(Section, &str, &str); 7] = [
    (Section::Watches, "/", "Watches"),
    (Section::Alerts, "/alerts", "Alerts"),
    (Section::Deliveries, "/deliveries", "Deliveries"),
    (Section::Silences, "/silences", "Silences"),
    (Section::Metrics, "/metrics-table", "Metrics"),
    (Section::Add, "/add", "Add a watch"),
    (Section::Settings, "/settings", "Settings"),
];

/// What was done, by the word that its form answers in the address: never foreign text.
const DONE: [(&str, &str); 13] = [
    ("added", "The watch was added. It runs from now on."),
    ("removed", "The watch was removed; its history stays."),
    ("paused", "The watch is paused: it does not run until you resume it."),
    ("resumed", "The watch runs by its schedule again."),
    ("running", "A run was asked for; what comes of it appears here."),
    ("silenced", "Silenced. Ends are told all the same."),
    ("ended", "The silence has ended. What it kept quiet and is still so is told at the watch's next run."),
    ("over", "That silence had ended already."),
    ("retried", "It is tried again now."),
    ("dropped", "It was given up; it stays in the list of all."),
    ("gone", "Nothing was changed: it was delivered in the meantime."),
    ("tested", "The test message was taken."),
    ("out", "You have logged out."),
];

/// What was not done, and why, in the same way.
const REFUSED: [(&str, &str); 3] = [
    ("busy", "The watch is being run already."),
    ("in-file", "The watch stands in the configuration file, and is removed there."),
    ("failed", "That could not be done; the daemon's log says why."),
];

tokio::task_local! {
    static AROUND: Around;
}

/// What a page shows beside what it is about.
#[derive(Clone, Debug, Default)]
struct Around {
    /// Whether one can log out.
    has_token: bool,
    /// How many deliveries are dead.
    dead: i64,
    /// What was just done, or was not.
    done: Option<Markup>,
    /// The id of the moment before the page was put together: what happens later is told.
    since: Uuid,
}

#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// Looks up what every page shows, for [`page`].
pub(super) async fn around(
    State(shared): State<Shared>,
    done: Result<Query<Done>, axum::extract::rejection::QueryRejection>,
    request: Request,
    next: Next,
) -> Response {
    let since = Uuid::now_v7();
    let dead = shared.store.delivery_counts().await.map_or(0, |(_, dead)| dead);
    let done = done.ok().and_then(|Query(done)| flash(done.done.as_deref()?));
    let around = Around { has_token: shared.token.is_some(), dead, done, since };
    AROUND.scope(around, next.run(request)).await
}

/// One line that says what was done or was not; nothing for a word that is none of ours.
fn flash(word: &str) -> Option<Markup> {
    let of =
        |list: &[(&str, &'static str)]| list.iter().find(|(known, _)| *known == word).map(|(_, says)| *says);
    if let Some(sentence) = of(&DONE) {
        return Some(html! { p.flash role="status" { (sentence) } });
    }
    of(&REFUSED).map(|sentence| html! { p.flash.flash-bad role="alert" { (sentence) } })
}

/// A whole page.
pub(super) fn page(title: &str, section: Section, body: &Markup) -> Markup {
    let around = AROUND.try_with(Clone::clone).unwrap_or_default();
    document(
        title,
        &html! {
            a.skip href="#main" { "Skip to the content" }
            header.top {
                a.brand href="/" { (icon()) span { "Stakeout" } }
                nav aria-label="Main" {
                    ul {
                        @for (of, href, name) in SECTIONS {
                            li {
                                a href=(href) aria-current=[(of == section).then_some("page")] {
                                    (name)
                                    @if of == Section::Deliveries && around.dead > 0 {
                                        " " span.count.count-bad { (around.dead) " dead" }
                                    }
                                }
                            }
                        }
                        li { a href="/api/docs/" { "API" } }
                    }
                }
                div.top-end {
                    span #live .live role="status" data-after=(around.since) hidden {}
                    @if around.has_token {
                        form method="post" action="/logout" { button.quiet type="submit" { "Log out" } }
                    }
                }
            }
            main #main tabindex="-1" {
                @if let Some(done) = &around.done { (done) }
                (body)
            }
            div #toasts .toasts role="status" aria-live="polite" {}
        },
    )
}

/// A page without navigation, for who is not inside.
pub(super) fn bare_page(title: &str, body: &Markup) -> Markup {
    document(title, &html! { main.bare #main { p.brand { (icon()) span { "Stakeout" } } (body) } })
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Stakeout" }
                link rel="icon" type="image/svg+xml" href=(assets::url("icon.svg"));
                link rel="stylesheet" href=(assets::url("style.css"));
                script type="module" src=(assets::url("live.js")) {}
            }
            body { (body) }
        }
    }
}

fn icon() -> Markup {
    html! { img src=(assets::url("icon.svg")) alt="" width="24" height="24"; }
}

/// A page that says one thing.
pub(super) fn message_page(title: &str, sentence: &str) -> Markup {
    page(
        title,
        Section::Elsewhere,
        &html! { h1 { (title) } p { (sentence) } p.actions { a.button href="/" { "All watches" } } },
    )
}

/// How a watch stands, as a badge: its word, and a colour beside it.
pub(super) fn state(word: &str) -> Markup {
    html! { span class={ "state state-" (word) } { (word) } }
}

/// A moment: what is written here is UTC; the script puts it into the viewer's zone, and the exact one is shown
/// on hover.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! {
        time.moment datetime=(at) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) {
            (at.strftime("%Y-%m-%d %H:%M UTC"))
        }
    }
}

/// The same to the second.
pub(super) fn moment_to_the_second(at: Timestamp) -> Markup {
    html! {
        time.moment.to-the-second datetime=(at) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) {
            (at.strftime("%Y-%m-%d %H:%M:%S UTC"))
        }
    }
}

/// A day that is called by its own date wherever it is read: the script leaves it alone.
pub(super) fn date(at: Timestamp) -> Markup {
    let day = at.strftime("%Y-%m-%d").to_string();
    html! { time datetime=(day) { (day) } }
}

/// Whether each of some moments is a date alone, as a published value or a daily bar has it.
pub(super) fn are_dates(moments: impl IntoIterator<Item = Timestamp>) -> bool {
    moments.into_iter().all(|at| at.as_nanosecond().rem_euclid(86_400_000_000_000) == 0)
}

/// How long something has been so: `3 h 5 min`; the script keeps it true.
pub(super) fn age(since: Timestamp, now: Timestamp) -> Markup {
    html! { time.age datetime=(since) title=(since.strftime("%Y-%m-%d %H:%M:%S UTC")) { (length(since, now)) } }
}

/// How far away a moment is: `3 min ago`, `in 2 h`; the script keeps it true.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let text = match at.duration_since(now).as_secs() {
        ..-44 => format!("{} ago", length(at, now)),
        -44..=44 => "now".into(),
        45.. => format!("in {}", length(at, now)),
    };
    html! { time.ago datetime=(at) title=(at.strftime("%Y-%m-%d %H:%M:%S UTC")) { (text) } }
}

/// The time between two moments, in minutes where it is longer than one.
fn length(a: Timestamp, b: Timestamp) -> String {
    let seconds = b.duration_since(a).as_secs().unsigned_abs();
    let shown = match seconds {
        0..60 => return "under 1 min".into(),
        60..86_400 => seconds - seconds % 60,
        _ => seconds - seconds % 3_600,
    };
    Period::from_secs(shown).to_string()
}

/// The page of a watch; its name may hold anything.
pub(super) fn watch_url(name: &str) -> String {
    format!("/watches/{}", escaped(name))
}

/// A link out of here, where that is an address of the web; otherwise only its words.
pub(super) fn outside(url: &str, words: &str) -> Markup {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    html! { @if is_web { a href=(url) rel="noopener noreferrer" { (words) } } @else { (words) } }
}

/// A text as a part of an address.
pub(super) fn escaped(text: &str) -> String {
    // A form writes a space as `+`, and a plus as `%2B`.
    byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// An address with its query, from what is asked; what is empty is left out.
pub(super) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Answers a form: back to a page of ours, with a word of [`DONE`] or [`REFUSED`].
pub(super) fn back_to(page: &str, done: &str) -> Response {
    // A browser takes `//host` and `/\host` for another server.
    let is_ours = page.starts_with('/')
        && !page.get(1..).is_some_and(|rest| rest.starts_with(['/', '\\']))
        && !page.contains(|c: char| c.is_control());
    let page = if is_ours { page } else { "/" };
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("done="));
    let pairs: Vec<String> = kept.map(str::to_owned).chain([format!("done={done}")]).collect();
    Redirect::to(&format!("{path}?{}", pairs.join("&"))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::header::LOCATION;

    use super::*;
    use crate::testing::at;

    #[test]
    fn lengths_are_shown_in_two_units_at_most_and_moments_with_their_side() {
        let now = at("2026-11-21T10:00:00Z");
        for (since, shown) in [
            ("2026-11-21T09:59:30Z", "under 1 min"),
            ("2026-11-21T09:54:31Z", "5 min"),
            ("2026-11-21T06:54:31Z", "3 h 5 min"),
            ("2026-11-18T06:54:31Z", "3 d 3 h"),
        ] {
            assert_eq!(length(at(since), now), shown);
        }
        let text = |when: &str| ago(at(when), now).into_string();
        assert!(text("2026-11-21T09:57:00Z").contains(">3 min ago<"));
        assert!(text("2026-11-21T12:00:00Z").contains(">in 2 h<"));
        assert!(text("2026-11-21T10:00:20Z").contains(">now<"));
    }

    #[test]
    fn any_name_has_an_address() {
        assert_eq!(watch_url("gtx 3070/a?b#ç+%"), "/watches/gtx%203070%2Fa%3Fb%23%C3%A7%2B%25");
        assert_eq!(with_query("/", &[("q", "a&b"), ("sort", "")]), "/?q=a%26b");
        assert_eq!(with_query("/", &[("q", "")]), "/");
    }

    #[test]
    fn a_form_leads_back_to_our_own_pages_only() {
        for (page, location) in [
            ("/deliveries", "/deliveries?done=retried"),
            ("/?q=a&done=paused", "/?q=a&done=retried"),
            ("https://elsewhere.example", "/?done=retried"),
            ("//elsewhere.example", "/?done=retried"),
            ("/\\elsewhere.example", "/?done=retried"),
            ("/a\r\nb", "/?done=retried"),
            ("", "/?done=retried"),
        ] {
            let answer = back_to(page, "retried");
            assert_eq!(answer.status(), 303);
            assert_eq!(answer.headers()[LOCATION], location, "{page}");
        }
        assert!(flash("retried").unwrap().into_string().contains("role=\"status\""));
        assert!(flash("busy").unwrap().into_string().contains("role=\"alert\""));
        assert!(flash("<script>").is_none());
    }
}
