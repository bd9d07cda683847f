//! The top of the page: how it stands, where it looks, when, whom it tells, and what a person can do.

use maud::{Markup, html};
use serde_json::Value;

use super::super::super::State;
use super::super::super::status::Origin;
use super::super::Trouble;
use super::super::layout::{age, ago, escaped, moment, state, watch_url};
use super::super::silences;
use super::{One, link};
use crate::model::{About, Silence};
use crate::store::Episode;

/// So many open episodes are listed.
const MOST_EPISODES: usize = 20;

pub(super) async fn head(one: &One<'_>) -> Result<Markup, Trouble> {
    let episodes = one.shared.store.open_episodes(one.id, MOST_EPISODES).await?;
    let silences: Vec<Silence> = one.shared.store.silences(one.now, false).await?;
    let silences: Vec<Silence> = silences.into_iter().filter(|silence| concerns(one, silence)).collect();
    let status = one.status;
    Ok(html! {
        div #head .sections data-live=(one.topic()) {
            header.title {
                h1 { (one.watch.name) }
                (state(status.state.as_str()))
                (sentence(one))
            }
            (buttons(one))
            section.card aria-label="About this watch" {
                dl.pairs {
                    dt { "Looks at" } dd { (looks_at(one)) }
                    dt { "When" } dd { (schedule(one)) }
                    dt { "Last run" }
                    dd {
                        @if let Some(at) = status.ran_at {
                            (one.moment(at)) " "
                            span.muted { "(" (ago(at, one.now)) ")" }
                            @if let Some(outcome) = &status.outcome { ", " (outcome) }
                        } @else { "none yet" }
                    }
                    dt { "Next run" }
                    dd {
                        @if let Some(at) = status.next_due_at {
                            (one.moment(at)) " " span.muted { "(" (ago(at, one.now)) ")" }
                        } @else { "none" }
                    }
                    dt { "Tells" }
                    dd {
                        @if one.watch.notify.is_empty() { "nobody" } @else { (one.watch.notify.join(", ")) }
                        @if one.watch.urgent { ", at once" }
                    }
                    @if !one.watch.depends_on.is_empty() {
                        dt { "Depends on" }
                        dd {
                            @for (n, other) in one.watch.depends_on.iter().enumerate() {
                                @if n > 0 { ", " }
                                a href=(super::href(other, &[])) { (other) }
                            }
                        }
                    }
                    @if !one.watch.labels.is_empty() {
                        dt { "Labels" }
                        dd { @for (name, value) in &one.watch.labels { span.label { (name) "=" (value) } " " } }
                    }
                }
            }
            @if !silences.is_empty() { (silenced(&silences)) }
            @if !episodes.is_empty() { (going_on(one, &episodes)) }
        }
    })
}

/// What the state means, in a sentence.
fn sentence(one: &One<'_>) -> Markup {
    let status = one.status;
    let what = match status.state {
        State::Paused if !one.watch.enabled => "It is switched off in its configuration.",
        State::Paused => "Somebody paused it; it is not run until it is resumed.",
        State::Blocked => "The service refuses it, or asks to be left alone.",
        State::Failing => "Its last run failed.",
        State::Stale => "It gets answers, but nothing newer in them.",
        State::Firing => "Something is so that was told.",
        State::Held => "Something is so that will be told when the quiet hours end.",
        State::Waiting => "It has not run yet.",
        State::Ok => "All is well, and there is nothing to tell.",
    };
    html! {
        p.muted {
            (what)
            @if let Some(since) = status.since { " It has been so for " (age(since, one.now)) "." }
        }
    }
}

fn buttons(one: &One<'_>) -> Markup {
    let action = |verb: &str| format!("{}/{verb}", watch_url(&one.watch.name));
    html! {
        div.actions {
            form method="post" action=(action("run")) { button type="submit" { "Run now" } }
            @if one.status.paused_at.is_some() {
                form method="post" action=(action("resume")) { button.quiet type="submit" { "Resume" } }
            } @else if one.watch.enabled {
                form method="post" action=(action("pause")) { button.quiet type="submit" { "Pause" } }
            }
            form.actions method="post" action=(action("silence")) {
                label for="silence-for" { "Silence for" }
                select #silence-for name="for" {
                    @for (value, words) in silences::LENGTHS { option value=(value) { (words) } }
                }
                button.quiet type="submit" { "Silence" }
                a href=(silences::href(&one.watch.name, &one.asked.subject, &one.here())) { "or a part of it …" }
            }
            @for notifier in &one.watch.notify {
                form method="post" action={ "/notifiers/" (escaped(notifier)) "/test" } {
                    input type="hidden" name="back" value=(one.here());
                    button.quiet type="submit" { "Test " (notifier) }
                }
            }
            @if one.status.origin == Origin::Api {
                a.button.danger href=(action("remove")) { "Remove …" }
            }
        }
    }
}

/// The source, with the address that it asks, as far as it may be shown.
fn looks_at(one: &One<'_>) -> Markup {
    let spec: Value = serde_json::from_str(&one.watch.spec).unwrap_or_default();
    let addresses: Vec<&str> = match spec.pointer("/source/url") {
        Some(Value::String(url)) => vec![url],
        Some(Value::Array(urls)) => urls.iter().filter_map(Value::as_str).take(3).collect(),
        _ => Vec::new(),
    };
    html! {
        b { (one.watch.source_kind) } ", " (one.watch.source.yields().to_string())
        @if addresses.is_empty() {
            @for host in one.watch.hosts(one.now).iter().take(3) { ", " (host) }
        }
        @for address in addresses { br; span.address { (link(address, address)) } }
    }
}

/// When it is due, in words.
fn schedule(one: &One<'_>) -> Markup {
    let spec: Value = serde_json::from_str(&one.watch.spec).unwrap_or_default();
    let text = |key: &str| spec.get(key).and_then(Value::as_str);
    let zone = one.watch.zone.iana_name().unwrap_or("UTC");
    let every = one.watch.timetable.interval().map(|(every, _)| every);
    let coming = one.watch.timetable.next(one.now, 3);
    html! {
        @match (every, text("cron")) {
            (Some(every), _) => { "every " (every) },
            (None, Some(line)) => { "at " code { (line) } ", in " (zone) },
            (None, None) => { "by its timetable" },
        }
        @if let Some(hours) = text("hours") { ", within " (hours) }
        @if one.status.next_due_at.is_some() && !coming.is_empty() {
            br;
            span.muted {
                "then "
                @for (n, at) in coming.iter().enumerate() { @if n > 0 { ", " } (one.moment(*at)) }
            }
        }
    }
}

/// Whether a silence is in force or to come and is about all of this watch or a part of it.
fn concerns(one: &One<'_>, silence: &Silence) -> bool {
    let strategies = one.watch.judges.iter().map(|judge| judge.name.as_str()).chain(["run"]);
    let about = |strategy| About { watch: &one.watch.name, strategy, subject: "", labels: &one.watch.labels };
    strategies.map(about).any(|about| silence.matchers.matches(&about))
}

fn silenced(silences: &[Silence]) -> Markup {
    html! {
        section.card aria-label="Silenced" {
            @for silence in silences {
                p {
                    b { "Silenced" } " until " (moment(silence.ends_at))
                    @if !silence.comment.is_empty() { ": " (silence.comment) }
                    " " span.muted { "(" (silence.matchers.to_string()) "; ends are told all the same)" }
                    " " a href="/silences" { "Silences" }
                }
            }
        }
    }
}

/// What goes on, with its age.
fn going_on(one: &One<'_>, episodes: &[Episode]) -> Markup {
    let more = usize::try_from(one.status.firing).unwrap_or_default() > episodes.len();
    html! {
        section aria-labelledby="going-on" {
            h2 #going-on { "Going on" }
            ul.episodes {
                @for Episode { strategy, subject, state } in episodes {
                    li {
                        b { (state.state.replace('_', " ")) }
                        @if strategy == "run" { " (the watch itself)" } @else {
                            " " (one.watch.source.describe(subject)) " " span.muted { "by " (strategy) }
                        }
                        ", since " (one.moment(state.since)) " "
                        span.muted {
                            "(" (age(state.since, one.now)) ")"
                            @if !state.told { ", not told" }
                        }
                    }
                }
            }
            @if more { p.muted { "… and more; these are the last that began." } }
        }
    }
}
