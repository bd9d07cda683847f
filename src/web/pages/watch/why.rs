//! "Why was I not told?": one run, what its strategies made of what it saw, and what came of it.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::super::Trouble;
use super::super::layout::moment;
use super::{One, rough, told};
use crate::run::{self, Explanation, Judgement};

/// So many verdicts are shown.
const MOST_VERDICTS: usize = 60;

/// With more subjects than this, putting together what a run saw takes its time: only who asks for it waits.
const MANY_SUBJECTS: usize = 150;

pub(super) async fn why(one: &One<'_>) -> Result<Markup, Trouble> {
    let body = match chosen(one).await? {
        Chosen::Nothing(sentence) => html! { p { (sentence) } },
        Chosen::Last if one.shared.store.known_subjects(one.id, "", 1).await?.1 > MANY_SUBJECTS => html! {
            p {
                "It looks at very many subjects. "
                a href={ (one.href(&[("at", &one.now.to_string())])) "#why" } { "Explain its last run" }
            }
        },
        Chosen::Last => explained(one, None).await?,
        Chosen::At(at) => explained(one, Some(at)).await?,
    };
    Ok(html! {
        section #why aria-labelledby="why-told" {
            h2 #why-told { "Why was I (not) told?" }
            form.search method="get" action={ (one.href(&[])) "#why" } {
                label for="at" { "The run of (in " (one.watch.zone.iana_name().unwrap_or("UTC")) ")" }
                input #at type="text" name="at" value=(one.asked.at) placeholder=(one.now.to_zoned(one.watch.zone.clone()).strftime("%Y-%m-%d %H:%M"))
                    maxlength="60" autocomplete="off";
                button type="submit" { "Explain" }
            }
            div #verdicts .sections data-live=(one.topics()) { (body) }
        }
    })
}

/// Which run is asked about.
enum Chosen {
    Last,
    At(Timestamp),
    Nothing(String),
}

async fn chosen(one: &One<'_>) -> Result<Chosen, Trouble> {
    let (at, run) = (one.asked.at.trim(), one.asked.run.trim());
    if !run.is_empty() {
        let slot = match run.parse() {
            Ok(run) => one.shared.store.slot_of_run(one.id, run).await?,
            Err(_) => None,
        };
        return Ok(slot.map_or_else(
            || Chosen::Nothing("There is no such run, or it is no longer kept.".into()),
            Chosen::At,
        ));
    }
    if at.is_empty() {
        return Ok(Chosen::Last);
    }
    Ok(moment_of(at, &one.watch.zone).map_or_else(
        || Chosen::Nothing(format!("“{at}” is no time; write it like 2026-11-21 10:00.")),
        Chosen::At,
    ))
}

/// What a person typed: with its zone, or as the clock shows it in this one.
fn moment_of(typed: &str, zone: &TimeZone) -> Option<Timestamp> {
    typed
        .parse()
        .ok()
        .or_else(|| Some(typed.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?.timestamp()))
}

async fn explained(one: &One<'_>, at: Option<Timestamp>) -> Result<Markup, Trouble> {
    let subject = Some(one.asked.subject.as_str()).filter(|subject| !subject.is_empty() && at.is_some());
    let watch = Arc::clone(one.watch);
    let explained = run::explain(&one.shared.store, &watch, one.id, at, subject).await?;
    Ok(match explained {
        Some(explained) => described(one, &explained),
        None if at.is_some() => html! { p { "Nothing is known of a run at that time or before it." } },
        None => html! { p.muted { "It has not run yet." } },
    })
}

fn described(one: &One<'_>, explained: &Explanation) -> Markup {
    let late = std::time::Duration::from_millis(explained.late_ms.unsigned_abs());
    let shown = explained.judgements.iter().take(MOST_VERDICTS);
    html! {
        p {
            "The run of " (one.moment(explained.due_at)) " (" (explained.trigger.replace('_', " ")) ") ended "
            b { (explained.outcome) }
            @if late.as_secs() >= 1 { ", " (rough(late)) " late" }
            @if let Some(host) = &explained.waited_for {
                ", waited " (rough(std::time::Duration::from_millis(explained.waited_ms))) " for its turn at " (host)
            }
            @if let Some(error) = &explained.error { ": " (error) } @else { "." }
        }
        @if let Some(at) = explained.same_as { p { "The answer had the same bytes as the one of " (moment(at)) "." } }
        @if !explained.remarks.is_empty() { ul { @for remark in &explained.remarks { li { (remark) } } } }
        (in_force(explained))
        @if explained.judgements.is_empty() { p.muted { "Nothing was judged." } } @else {
            ul.verdicts { @for (n, judgement) in shown.enumerate() { li { (verdict(one, judgement, n)) } } }
            @if explained.judgements.len() > MOST_VERDICTS {
                p.muted { "… and " (explained.judgements.len() - MOST_VERDICTS) " more." }
            }
        }
        @if !explained.alerts.is_empty() {
            p { "It told:" }
            ul { @for alert in explained.alerts.iter().take(MOST_VERDICTS) { li { (alert.title) } } }
        }
        @if !explained.deliveries.is_empty() {
            ul {
                @for delivery in explained.deliveries.iter().take(MOST_VERDICTS) {
                    li { (delivery.notifier) ": " (delivery.title) ", " (told::fate(one, &delivery.fate)) }
                }
            }
        }
    }
}

fn in_force(explained: &Explanation) -> Markup {
    html! {
        @if !explained.silences.is_empty() || explained.quiet_until.is_some() || !explained.hosts.is_empty() {
            p { "In force then:" }
            ul {
                @for silence in explained.silences.iter().take(20) {
                    li {
                        "silenced until " (moment(silence.ends_at)) ": " (silence.matchers.to_string())
                        @if !silence.comment.is_empty() { " (" (silence.comment) ")" }
                    }
                }
                @if let Some(until) = explained.quiet_until { li { "quiet hours until " (moment(until)) } }
                @for host in &explained.hosts { li { (host) } }
            }
        }
    }
}

fn verdict(one: &One<'_>, judgement: &Judgement, number: usize) -> Markup {
    let Judgement { strategy, subject, state, verdict, why, .. } = judgement;
    let told = match verdict.as_str() {
        "held" => "held",
        "first" | "changed" | "reminder" | "resolved" => "told",
        _ => "not told",
    };
    let before = judgement.settled.as_deref().unwrap_or("nothing, this is the first sight");
    html! {
        p {
            b { (strategy) }
            @if !subject.is_empty() && strategy != "run" { " of " (one.watch.source.describe(subject)) }
            ": " (state.replace('_', " ")) ". "
            b { (told) } " (" (verdict.replace('_', " ")) ")"
            @if !why.is_empty() { ": " (why) } @else if told == "not told" { ": there is nothing to tell" }
        }
        @if !judgement.summary.is_empty() { p.muted { (judgement.summary) } }
        details id={ "steps-" (number) } {
            summary { "Step by step" }
            @if !judgement.steps.is_empty() { ol { @for step in &judgement.steps { li { (step) } } } }
            p { "Settled on before: " (before) "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_run_is_asked_for_as_the_clock_shows_it_in_the_watch_s_zone() {
        let zone = TimeZone::get("Europe/Warsaw").unwrap();
        for (typed, expected) in [
            ("2026-11-21 10:00", Some("2026-11-21T09:00:00Z")),
            ("2026-07-21 10:00:30", Some("2026-07-21T08:00:30Z")),
            ("2026-11-21", Some("2026-11-20T23:00:00Z")),
            ("2026-11-21T10:00:00Z", Some("2026-11-21T10:00:00Z")),
            ("2026-11-21T10:00:00-05:00", Some("2026-11-21T15:00:00Z")),
            ("yesterday", None),
            ("10:00", None),
        ] {
            assert_eq!(moment_of(typed, &zone), expected.map(at), "{typed}");
        }
    }
}
