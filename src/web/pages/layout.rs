//! What every page has around it.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::super::assets;

/// The parts of the dashboard, as the navigation lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Every watch, and one of them.
    Watches,
}

/// A whole page.
pub(super) fn page(title: &str, _section: Section, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Stakeout" }
                link rel="stylesheet" href=(assets::url("style.css"));
                script type="module" src=(assets::url("live.js")) {}
            }
            body {
                main { (body) }
            }
        }
    }
}

/// A moment: what is written here is UTC; the script puts it into the viewer's zone, and the exact one is shown
/// on hover.
pub(super) fn moment(at: Timestamp) -> Markup {
    html! { time datetime=(at) title=(at) { (at.strftime("%Y-%m-%d %H:%M UTC")) } }
}
