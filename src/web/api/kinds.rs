//! What there is to choose from, and which hosts are left alone.

use axum::extract::State;
use axum::response::Json;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Shared;
use crate::plugin;
use crate::{notifiers, sources, strategies};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(kinds)).routes(routes!(hosts))
}

/// What a kind is for.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Family {
    /// Where to look.
    Source,
    /// How to judge.
    Strategy,
    /// Whom to tell.
    Notifier,
}

/// A kind of source, strategy or notifier.
#[derive(Serialize, ToSchema)]
struct Kind {
    family: Family,
    /// What stands after `kind =`.
    kind: &'static str,
    /// What it does.
    about: &'static str,
    /// The keys of a table that works, as TOML.
    example: &'static str,
}

/// Every kind there is.
#[derive(Serialize, ToSchema)]
struct Kinds {
    items: Vec<Kind>,
}

/// How a host stands that refused us or did not answer.
#[derive(Serialize, ToSchema)]
struct Host {
    /// Its name, with its port where that is not the usual one.
    host: String,
    /// Whether it refused us; otherwise it did not answer.
    refused: bool,
    /// Whether it is left alone now.
    resting: bool,
    /// What it said.
    why: String,
    /// When that began.
    since: Timestamp,
    /// It is not asked before.
    until: Timestamp,
}

/// The hosts that are left alone, or were until a short while ago.
#[derive(Serialize, ToSchema)]
struct Hosts {
    items: Vec<Host>,
}

/// Every source, strategy and notifier, with an example.
#[utoipa::path(get, path = "/v1/kinds", tag = "around",
    responses((status = 200, description = "In the order of the alphabet", body = Kinds)))]
async fn kinds() -> Json<Kinds> {
    fn rows<T: ?Sized>(family: Family, kinds: &'static [plugin::Kind<T>]) -> impl Iterator<Item = Kind> {
        kinds.iter().map(move |kind| Kind {
            family,
            kind: kind.name,
            about: kind.about,
            example: kind.example,
        })
    }
    let sources = rows(Family::Source, sources::KINDS);
    let strategies = rows(Family::Strategy, strategies::KINDS);
    let notifiers = rows(Family::Notifier, notifiers::KINDS);
    Json(Kinds { items: sources.chain(strategies).chain(notifiers).collect() })
}

/// The hosts that refused us or did not answer.
#[utoipa::path(get, path = "/v1/hosts", tag = "around",
    responses((status = 200, description = "By name", body = Hosts)))]
async fn hosts(State(shared): State<Shared>) -> Json<Hosts> {
    let now = Timestamp::now();
    let mut standings = shared.roster().http.standings();
    standings.sort_by(|one, other| one.host.cmp(&other.host));
    let host = |standing: crate::http::Standing| Host {
        resting: standing.is_resting(now),
        host: standing.host,
        refused: standing.refused,
        why: standing.why,
        since: standing.since,
        until: standing.until,
    };
    Json(Hosts { items: standings.into_iter().map(host).collect() })
}
