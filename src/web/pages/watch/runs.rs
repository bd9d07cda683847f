//! The last runs that said something.

use maud::{Markup, html};

use super::super::Trouble;
use super::super::layout::state;
use super::{One, rough};
use crate::model::Period;

/// So many are shown.
const MOST_RUNS: usize = 50;

/// A wait that is worth a word.
const LONG_MILLIS: u128 = 1_000;

pub(super) async fn runs(one: &One<'_>) -> Result<Markup, Trouble> {
    let runs = one.shared.store.notable_runs(one.id, MOST_RUNS).await?;
    Ok(html! {
        section #runs data-live=(one.topic()) aria-labelledby="its-runs" {
            h2 #its-runs { "Runs" }
            @if runs.is_empty() { p.muted { "None has found anything yet." } } @else {
                p.muted { "The last " (runs.len()) " that did not just find the same as before." }
                div.scroll tabindex="0" role="region" aria-label="The table of runs" {
                    table.list {
                        thead { tr {
                            th scope="col" { "Began" } th scope="col" { "Asked for by" } th scope="col" { "Outcome" }
                            th scope="col" { "Took" } th scope="col" { "Seen, signals, alerts" } th scope="col" { "Why" }
                            th scope="col" { span.unseen { "Explained" } }
                        } }
                        tbody {
                            @for run in &runs {
                                @let took = run.finished_at.duration_since(run.started_at).unsigned_abs();
                                @let [seen, signals, alerts] = run.counts;
                                tr {
                                    th scope="row" { (one.moment(run.started_at)) }
                                    td data-label="Asked for by" { (run.trigger.replace('_', " ")) }
                                    td data-label="Outcome" { (state(&run.outcome)) }
                                    td data-label="Took" { (Period(took)) }
                                    td data-label="Seen, signals, alerts" { (seen) ", " (signals) ", " (alerts) }
                                    td data-label="Why" {
                                        (run.error.as_deref().unwrap_or_default())
                                        @if run.waited.time.as_millis() >= LONG_MILLIS {
                                            " " span.muted {
                                                "waited " (rough(run.waited.time))
                                                @if let Some(host) = &run.waited.host { " for its turn at " (host) }
                                            }
                                        }
                                    }
                                    td {
                                        @if run.trigger != "repair" {
                                            a href={ (one.href(&[("run", &run.id.to_string())])) "#why" } { "why?" }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}
