//! Every watch and how it stands.

use axum::extract::State;
use maud::{Markup, html};

use super::super::{Shared, Status};
use super::Trouble;
use super::layout::{Section, moment, page};

pub(super) async fn show(State(shared): State<Shared>) -> Result<Markup, Trouble> {
    let watches: Vec<Status> = shared.store.glances().await?.into_iter().map(Status::from).collect();
    let rows = html! {
        table {
            @for watch in &watches {
                tr { td { (watch.name) } td { (watch.state.as_str()) } td { @if let Some(at) = watch.ran_at { (moment(at)) } } }
            }
        }
    };
    Ok(page("Watches", Section::Watches, &rows))
}
