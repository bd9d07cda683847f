//! What a person does not want to hear now.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Shared;
use super::Trouble;
use super::layout::{Section, ago, back_to, moment, page, with_query};
use crate::model::{About, Matchers, Period, Silence, or_known};
use crate::watchlist::{Roster, Watch};

/// What a form offers.
pub(super) const LENGTHS: [(&str, &str); 6] = [
    ("1h", "1 hour"),
    ("4h", "4 hours"),
    ("8h", "8 hours"),
    ("1d", "1 day"),
    ("7d", "1 week"),
    ("30d", "30 days"),
];

/// What is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    all: String,
    watch: String,
    subject: String,
    back: String,
}

/// The page, with what is to be silenced filled in, and where one goes after that.
pub(super) fn href(watch: &str, subject: &str, back: &str) -> String {
    with_query("/silences", &[("watch", watch), ("subject", subject), ("back", back)])
}

/// What a person does not want to hear.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    watch: String,
    subject: String,
    strategy: String,
    label: String,
    #[serde(rename = "for")]
    length: String,
    comment: String,
    back: String,
}

impl Wish {
    /// All of a watch. A star in its name stands for any text, also here: watches that fit it are silenced as well.
    pub(super) fn of_watch(watch: &str, length: &str) -> Self {
        Self { watch: watch.into(), length: length.into(), ..Self::default() }
    }

    /// The silence, or a sentence that says why there is none.
    pub(super) fn silence(&self, roster: &Roster, now: Timestamp) -> Result<Silence, String> {
        let Period(length) = self.length.trim().parse()?;
        let watch = self.watch.trim();
        if !watch.is_empty() && !watch.contains('*') && !roster.watches.contains_key(watch) {
            let near = or_known(watch, roster.watches.keys().map(String::as_str));
            return Err(format!("There is no watch `{watch}`{near}."));
        }
        let mut patterns: BTreeMap<String, String> = BTreeMap::new();
        for (name, pattern) in
            [("watch", watch), ("subject", self.subject.trim()), ("strategy", self.strategy.trim())]
        {
            if !pattern.is_empty() {
                patterns.insert(name.into(), pattern.into());
            }
        }
        if !self.label.trim().is_empty() {
            let (name, value) = self.label.trim().split_once('=').ok_or("Write a label like team=home.")?;
            patterns.insert(format!("label.{name}"), value.to_owned());
        }
        let matchers = Matchers::try_from(patterns)
            .map_err(|_| "Say what it is about: a watch, a subject, a strategy or a label.")?;
        let ends_at = now.checked_add(length).unwrap_or(Timestamp::MAX);
        Silence::new(matchers, ends_at, "the dashboard", &self.comment, now)
    }
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Trouble> {
    let Asked { all, watch, subject, back } = asked;
    let wish = Wish { watch, subject, back, length: "4h".into(), ..Wish::default() };
    view(&shared, &wish, None, all == "1").await
}

pub(super) async fn add(State(shared): State<Shared>, Form(wish): Form<Wish>) -> Result<Response, Trouble> {
    let now = Timestamp::now();
    match wish.silence(&shared.roster(), now) {
        Ok(silence) => {
            shared.store.add_silence(silence, now).await?;
            Ok(back_to(if wish.back.is_empty() { "/silences" } else { &wish.back }, "silenced"))
        }
        Err(wrong) => {
            let page = view(&shared, &wish, Some(&wrong), false).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(super) async fn end(State(shared): State<Shared>, Path(id): Path<i64>) -> Result<Response, Trouble> {
    let ended = shared.store.end_silence(id, Timestamp::now()).await?;
    Ok(back_to("/silences", if ended { "ended" } else { "over" }))
}

async fn view(shared: &Shared, wish: &Wish, wrong: Option<&str>, ended_too: bool) -> Result<Markup, Trouble> {
    let now = Timestamp::now();
    let roster = shared.roster();
    let silences = shared.store.silences(now, ended_too).await?;
    let body = html! {
        h1 { "Silences" }
        p.muted { "A silence keeps beginnings quiet, never ends, and always ends itself. What is still so after it is told then." }
        section #silences data-live="alerts" {
            nav aria-label="Which silences" {
                ul.filters {
                    @for (all, name) in [("", "in force"), ("1", "ended too")] {
                        li {
                            a href=(with_query("/silences", &[("all", all)]))
                                aria-current=[(ended_too != all.is_empty()).then_some("true")] { (name) }
                        }
                    }
                }
            }
            @if silences.is_empty() { p.empty { "Nothing is silenced." } } @else { (table(&silences, &roster, now)) }
        }
        section.card {
            h2 { "Silence something" }
            @if let Some(wrong) = wrong { p.wrong #wrong role="alert" { (wrong) } }
            (form(wish, &roster))
        }
    };
    Ok(page("Silences", Section::Silences, &body))
}

fn table(silences: &[Silence], roster: &Roster, now: Timestamp) -> Markup {
    html! {
        div.scroll {
            table.list {
                thead {
                    tr {
                        th scope="col" { "What" } th scope="col" { "Ends" } th scope="col" { "Why" }
                        th scope="col" { "By" } th scope="col" { span.unseen { "End it" } }
                    }
                }
                tbody {
                    @for silence in silences {
                        tr {
                            th scope="row" {
                                code { (silence.matchers) }
                                br; span.muted.small { (reach(silence, roster)) }
                            }
                            td data-label="Ends" { (ago(silence.ends_at, now)) br; span.muted.small { (moment(silence.ends_at)) } }
                            td data-label="Why" { (silence.comment) }
                            td.muted data-label="By" { (silence.created_by) }
                            td.number {
                                @if silence.ends_at > now {
                                    form method="post" action={ "/silences/" (silence.id) "/end" } {
                                        button.quiet type="submit" aria-label={ "End now: " (silence.matchers) } { "End now" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn form(wish: &Wish, roster: &Roster) -> Markup {
    let mut names: Vec<&str> = roster.watches.keys().map(String::as_str).collect();
    names.sort_unstable();
    let field = |name: &str, label: &str, value: &str, hint: &str| {
        html! {
            div.field {
                label for={ "silence-" (name) } { (label) }
                input id={ "silence-" (name) } name=(name) value=(value) placeholder=(hint)
                    list=[(name == "watch").then_some("watches")];
            }
        }
    };
    html! {
        form.fields method="post" action="/silences" {
            @if !wish.back.is_empty() { input type="hidden" name="back" value=(wish.back); }
            (field("watch", "Watch", &wish.watch, "any; gtx*"))
            datalist #watches { @for name in names.iter().take(500) { option value=(name) {} } }
            (field("subject", "Subject", &wish.subject, "any symbol or item"))
            (field("strategy", "Strategy", &wish.strategy, "any; run"))
            (field("label", "Label", &wish.label, "team=home"))
            div.field {
                label for="silence-for" { "For" }
                select #silence-for name="for" {
                    @for (length, name) in LENGTHS {
                        option value=(length) selected[wish.length == length] { (name) }
                    }
                }
            }
            (field("comment", "Why", &wish.comment, "shown when it ends"))
            button type="submit" { "Silence" }
        }
        p.muted.small { "All that is filled in must match; “*” stands for any text." }
    }
}

/// Which watches it is about; a subject is only known when it is seen.
fn reach(silence: &Silence, roster: &Roster) -> String {
    let subject =
        BTreeMap::from(silence.matchers.clone()).remove("subject").unwrap_or_default().replace('*', "");
    let touches = |watch: &Watch| {
        let strategies = watch.judges.iter().map(|judge| judge.name.as_str()).chain(["run"]);
        strategies.into_iter().any(|strategy| {
            let about = About { watch: &watch.name, strategy, subject: &subject, labels: &watch.labels };
            silence.matchers.matches(&about)
        })
    };
    let mut names: Vec<&str> = roster
        .watches
        .values()
        .filter(|(_, watch)| touches(watch))
        .map(|(_, watch)| watch.name.as_str())
        .collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => "matches no watch there is".into(),
        names if names.len() > 3 => format!("about {} watches", names.len()),
        names => format!("about {}", names.join(", ")),
    }
}
